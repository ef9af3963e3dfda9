"""Incidents as the engine keeps them, read and told of their cases in the transaction of the desk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.actor import Actor
from core.clock import to_datetime, to_us
from core.db import DictConnection
from dispatch.incident import Incident, Standing
from dispatch.papers import Paper
from events import views
from events.actions import act_on_incident, report

#: States of an alert that somebody put aside: it says nothing.
ASIDE = frozenset({"shelved", "suppressed", "out_of_service"})
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

    async def permit(self, connection: DictConnection, permit: Paper, by: Actor, now_us: int) -> None:
        if permit.lon is None or permit.lat is None:
            return  # without a place it can speak against nothing
        begins_us = now_us if permit.from_us is None else permit.from_us
        await report(
            connection, by, now_us,
            id=permit.id, kind=f"permit.{permit.facts.get('sort', 'work')}", at=to_datetime(begins_us),
            ends_at=None if permit.until_us is None else to_datetime(permit.until_us), words=permit.text,
            source=permit.number, lon=permit.lon, lat=permit.lat, asset=str(permit.facts.get("asset", "")),
            provenance=permit.provenance,
        )  # fmt: skip

    def _incident(self, row: dict[str, Any], facts: list[dict[str, Any]]) -> Incident:
        points = dict.fromkeys((fact["device"], fact["channel"]) for fact in facts if of_a_point(fact))
        return Incident(
            id=row["id"], number=row["number"], type=row["type"], domain=row["domain"], state=row["state"],
            level=row["level"], priority=row["priority"], sure=row["sure"], life=row["class"] == "life",
            provenance=row["provenance"], lon=row["lon"], lat=row["lat"],
            place=self._describe(row["lon"], row["lat"])[0], area=row["area"],
            title={"key": f"incident.{row['type']}.name", "params": {}}, code=row["case_code"],
            lead=row["lead"], assisting=tuple(row["assisting"]), plan=row["plan"], points=tuple(points),
            standing=tuple(_standing(fact) for fact in facts if stands(fact)),
            score=row["score"], # what was proven late notifies nobody
            acknowledged=row["acknowledged_at"] is not None or row["backdated"],
            opened_us=to_us(row["opened_at"]),
            facts={key: float(value) for key, value in row["consequences"].items() if isinstance(value, int | float)},
        )  # fmt: skip


def of_a_point(fact: dict[str, Any]) -> bool:
    """Evidence that one channel of one device gave; reports of people have none."""
    return bool(fact["device"] and fact["channel"])


def stands(fact: dict[str, Any]) -> bool:
    """Its condition still holds, it still belongs here, and nobody put it aside."""
    return of_a_point(fact) and fact["standing"] and fact["left_at"] is None and fact["state"] not in ASIDE


def _standing(fact: dict[str, Any]) -> Standing:
    return Standing(
        fact["device"], fact["channel"], fact["value"], fact["limit_value"], to_us(fact["onset"])
    )  # fmt: skip
