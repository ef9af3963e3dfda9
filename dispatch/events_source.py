"""Incidents as the engine keeps them, read and told of their cases in the transaction of the desk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.actor import Actor
from core.db import DictConnection
from dispatch.incident import Incident
from events import views
from events.actions import act_on_incident

#: Longitude and latitude (WGS 84) → the place in words, Chinese and English.
Describe = Callable[[float, float], tuple[str, str]]


class EventIncidents:
    """`describe` says where an incident is; it may be slow the first time."""

    def __init__(self, describe: Describe) -> None:
        self._describe = describe

    async def get(self, connection: DictConnection, incident: str) -> Incident | None:
        found = await views.incident_in(connection, incident)
        return self._incident(*found) if found else None

    async def open(self, connection: DictConnection) -> list[str]:
        return await views.live_ids(connection)

    async def case_opened(
        self, connection: DictConnection, incident: str, case: str, by: Actor, now_us: int
    ) -> None:
        await act_on_incident(connection, incident, "case_opened", by, now_us, case=case)

    async def case_closed(
        self, connection: DictConnection, incident: str, case: str, by: Actor, now_us: int
    ) -> None:
        await act_on_incident(connection, incident, "case_closed", by, now_us, case=case)

    def _incident(self, row: dict[str, Any], facts: list[dict[str, Any]]) -> Incident:
        points = {
            (fact["device"], fact["channel"]): None for fact in facts if fact["device"] and fact["channel"]
        }
        return Incident(
            id=row["id"], number=row["number"], type=row["type"], domain=row["domain"], state=row["state"],
            level=row["level"], priority=row["priority"], sure=row["sure"], life=row["class"] == "life",
            provenance=row["provenance"], lon=row["lon"], lat=row["lat"],
            place=self._describe(row["lon"], row["lat"])[0], area=row["area"],
            title={"key": f"incident.{row['type']}.name", "params": {}}, code=row["case_code"],
            lead=row["lead"], assisting=tuple(row["assisting"]), plan=row["plan"], points=tuple(points),
            score=row["score"], acknowledged=row["acknowledged_at"] is not None,
            facts={key: float(value) for key, value in row["consequences"].items() if isinstance(value, int | float)},
        )  # fmt: skip
