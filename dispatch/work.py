"""One transaction's work: the connection, the moment, and the news that its last step publishes."""

from __future__ import annotations

from dataclasses import dataclass, field

from core import changes
from core.changes import Change
from core.db import DictConnection


@dataclass(slots=True)
class Work:
    connection: DictConnection
    now_us: int
    news: list[Change] = field(default_factory=list)

    async def publish(self) -> None:
        """The last step of the transaction: each thing that changed is named once."""
        unique = {(change.topic, change.key): change for change in self.news}
        await changes.append(self.connection, list(unique.values()), self.now_us)
        self.news.clear()
