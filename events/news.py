"""What a transaction of the engine tells the others, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.changes import Change
from events.engine import Row


@dataclass(slots=True)
class News:
    """What a transaction tells the others, and what it did."""

    changes: list[Change] = field(default_factory=list)
    alerts: int = 0
    incidents: int = 0

    def alert(self, row: Row, action: str) -> None:
        body = {"state": row["state"], "level": row["level"], "domain": row["domain"], "action": action}
        self.changes.append(Change("alerts", row["id"], body))

    def incident(self, row: Row, action: str) -> None:
        body = {"state": row["state"], "type": row["type"], "level": row["level"], "action": action}
        self.changes.append(Change("incidents", row["id"], body))
