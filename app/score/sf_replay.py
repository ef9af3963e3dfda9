"""Replays a table of real fire-service calls (DataSF "Fire Department Calls for Service") through dispatch.

Every row is one unit on one call with the times of its dispatch, departure, arrival and release. Each time is done to
an order at that very moment of a hand-moved clock; the response times that dispatch then tells are compared with those
of the table, second by second. The table does not ship with the product; name the file.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from app import policy
from app.bench.rig import GATEWAYS, rig
from core.actor import Actor
from core.clock import SECOND_US, to_us
from core.db import Database, DictConnection
from core.domains import Domains
from core.errors import NotFound, WrongState
from core.settings import DispatchSettings
from dispatch import city, plans, store
from dispatch.actions import Actions
from dispatch.cases import Ask, Case, CaseAction, CaseState, Source
from dispatch.events_source import EventIncidents
from dispatch.led_source import connect
from dispatch.limits import Limit, LimitUnit
from dispatch.machine import LogLine
from dispatch.orders import DONE, Order, OrderAction, OrderState
from dispatch.readings_source import StoredReadings
from dispatch.travel import StraightLine
from dispatch.work import Work
from iot.registry import Registry

ZONE = ZoneInfo("America/Los_Angeles")
FORMAT = "%m/%d/%Y %I:%M:%S %p"
#: Column → what it does to the order, in the order in which they should follow.
STEPS = {
    "Dispatch DtTm": "send",
    "Response DtTm": "depart",
    "On Scene DtTm": "arrive",
    "Available DtTm": "release",
}
CHIEF = Actor("system:replay", "replay", frozenset({"system"}))
CODE = "event/0595"


@dataclass(frozen=True, slots=True)
class Trip:
    """One unit on one call. Times in µs, None where the table is empty."""

    call: str
    unit: str
    lon: float
    lat: float
    place: str
    times_us: dict[str, int]

    @property
    def response_s(self) -> int | None:
        """Seconds from dispatch to arrival."""
        if "arrive" not in self.times_us or "send" not in self.times_us:
            return None
        return (self.times_us["arrive"] - self.times_us["send"]) // SECOND_US


def read(path: Path) -> list[Trip]:
    with path.open(encoding="utf-8", newline="") as lines:
        return [_trip(row) for row in csv.DictReader(lines)]


def _trip(row: dict[str, str]) -> Trip:
    lat, lon = (float(part) for part in row["Location"].strip("()").split(","))
    times = {
        step: to_us(datetime.strptime(row[column], FORMAT).replace(tzinfo=ZONE))
        for column, step in STEPS.items()
        if row[column]
    }
    return Trip(row["Call Number"], row["Unit ID"], lon, lat, row["Address"], times)


@dataclass(slots=True)
class Replay:
    """`out_of_turn`: times that the table has in an impossible order; `diverted`: units sent on while still out."""

    actions: Actions
    connection: DictConnection
    tell: Callable[[float], None] = lambda _share: None
    live: dict[str, str] = field(default_factory=dict)
    cases: dict[str, str] = field(default_factory=dict)
    arrived: dict[tuple[str, str], int] = field(default_factory=dict)
    diverted: int = 0
    out_of_turn: int = 0

    async def play(self, trips: Sequence[Trip]) -> None:
        """Do everything in the order in which it happened."""
        await self._units(trips)
        every = sorted(events(trips), key=lambda event: event[:3])
        for done, (at_us, _, step, trip) in enumerate(every):
            self.tell(done / len(every))
            async with self.connection.transaction():
                await self._do(Work(self.connection, at_us), step, trip)

    async def _units(self, trips: Sequence[Trip]) -> None:
        first_us = min(min(trip.times_us.values()) for trip in trips)
        units = sorted({trip.unit for trip in trips})
        rows = [
            {"id": unit, "name_zh": unit, "name_en": unit, "department": "fire_brigade", "skills": ["fire"],
             "depot_lon": -122.42, "depot_lat": 37.77, "provenance": "recorded"}
            for unit in units
        ]  # fmt: skip
        async with self.connection.transaction():
            await store.put_crews(self.connection, rows, first_us)

    async def _do(self, work: Work, step: str, trip: Trip) -> None:
        if step == "send":
            await self._send(work, trip)
            return
        try:
            order = await store.lock_order(work.connection, self._order_id(trip))
            if step == "release":
                await self._release(work, order)
            else:
                if order.state == OrderState.SENT:
                    order = await self.actions.step_order(work, order, OrderAction.ACCEPT, CHIEF.id)
                await self.actions.step_order(work, order, step, CHIEF.id)
        except (NotFound, WrongState):  # not sent yet, or not in this order
            self.out_of_turn += 1

    async def _send(self, work: Work, trip: Trip) -> None:
        """A unit that is still out is called off its old call first: nobody is at two places."""
        before = self.live.get(trip.unit)
        if before is not None:
            old = await store.lock_order(work.connection, before)
            if old.state not in DONE:
                self.diverted += 1
                await self.actions.step_order(work, old, OrderAction.RECALL, CHIEF.id, "diverted")
        case = await self._case(work, trip)
        order = Order(
            id=self._order_id(trip), number=f"SF-{trip.call}-{trip.unit}", case=case, incident="", crew=trip.unit,
            department="fire_brigade", task=f"unit-{trip.unit}", attempt=1, state=OrderState.PROPOSED, priority=2,
            level=2, provenance="recorded", lon=trip.lon, lat=trip.lat, place=trip.place, created_us=work.now_us,
            proposed_by=CHIEF.id, times_us={"proposed": work.now_us},
        )  # fmt: skip
        await store.insert_order(
            work.connection, order, LogLine(work.now_us, CHIEF.id, "propose", "", "proposed")
        )
        await self.actions.step_order(work, order, OrderAction.SEND, CHIEF.id)
        self.live[trip.unit] = order.id

    async def _release(self, work: Work, order: Order) -> None:
        arrived = order.state in (OrderState.ARRIVED, OrderState.HANDLING)
        action = OrderAction.FINISH if arrived else OrderAction.RECALL
        await self.actions.step_order(work, order, action, CHIEF.id, "released")

    async def _case(self, work: Work, trip: Trip) -> str:
        if trip.call not in self.cases:
            case = Case(
                id=store.natural_id("case", "sf", trip.call), number=f"SF-{trip.call}", code=CODE,
                source=Source.OPERATOR, state=CaseState.REPORTED, incident="", incident_type="", domain="fire",
                title={"text": trip.place}, priority=2, level=2, provenance="recorded", lon=trip.lon, lat=trip.lat,
                place=trip.place, area="", limit=Limit(amount=2, unit=LimitUnit.URGENT_HOUR),
                reported_us=work.now_us, since_us=work.now_us, times_us={"reported": work.now_us},
            )  # fmt: skip
            await self.actions.open_case(work, case, CHIEF.id)
            case = await self.actions.step_case(work, case, CaseAction.REGISTER, Ask(CHIEF.id, work.now_us))
            ask = Ask(CHIEF.id, work.now_us, lead="fire_brigade")
            await self.actions.step_case(work, case, CaseAction.DISPATCH, ask)
            self.cases[trip.call] = case.id
        return self.cases[trip.call]

    @staticmethod
    def _order_id(trip: Trip) -> str:
        return store.natural_id("order", "sf", trip.call, trip.unit)


def events(trips: Sequence[Trip]) -> Iterator[tuple[int, int, str, Trip]]:
    """(when, turn within the moment, step, trip): who is released in a second is free for a call of that second.

    What a trip did in the second of its release comes before that, in its own order.
    """
    own = list(STEPS.values())
    for trip in trips:
        released_us = trip.times_us.get("release")
        for step, at_us in trip.times_us.items():
            yield at_us, own.index(step) - (len(own) if at_us == released_us else 0), step, trip


def score(table: Path, known: Domains, tell: Callable[[float], None]) -> dict[str, float]:
    """The figures of `cityops score sf-fire`."""
    with rig(GATEWAYS, worker=False) as found:
        return asyncio.run(_on(found.dsn, found.registry, known, read(table), tell))


async def _on(
    dsn: str, registry: Registry, known: Domains, trips: Sequence[Trip], tell: Callable[[float], None]
) -> dict[str, float]:
    database = Database(dsn, 2)
    await database.open()
    try:
        actions = Actions(
            policy.load()[0], plans.load(known), city.load(ZONE), EventIncidents(nowhere),
            StoredReadings(database, lambda: registry), StraightLine(), DispatchSettings(), ZONE,
        )  # fmt: skip
        async with await connect(dsn) as connection:
            return await replay(actions, connection, trips, tell)
    finally:
        await database.close()


def nowhere(_lon: float, _lat: float) -> tuple[str, str]:
    """No place has a name here: the table has its addresses."""
    return "", ""


async def replay(
    actions: Actions, connection: DictConnection, trips: Sequence[Trip],
    tell: Callable[[float], None] = lambda _share: None,
) -> dict[str, float]:  # fmt: skip
    """Play, and compare. `different`: response times that are not the table's to the second, among trips of units
    that the table itself does not have at two places at once.
    """
    player = Replay(actions, connection, tell)
    await player.play(trips)
    rows = await (
        await connection.execute(b"SELECT id, times FROM orders WHERE provenance = 'recorded'")
    ).fetchall()
    told = {row["id"]: row["times"] for row in rows}
    twice = {id(trip) for trip in doubled(trips)}
    compared = [trip for trip in trips if trip.response_s is not None and id(trip) not in twice]
    wanted = [trip.response_s for trip in compared]
    got = [_seconds(told[Replay._order_id(trip)]) for trip in compared]  # noqa: SLF001 - the same module
    numbers = np.array([value for value in got if value is not None], np.float64)
    assigned_twice = await (await connection.execute(ASSIGNED_TWICE)).fetchone()
    return {
        "trips": float(len(trips)),
        "compared": float(len(compared)),
        "different": float(sum(a != b for a, b in zip(wanted, got, strict=True))),
        "mean_s": float(numbers.mean()),
        "mean_s_table": float(np.mean([value for value in wanted if value is not None])),
        "p90_s": float(np.percentile(numbers, 90)),
        "p90_s_table": float(np.percentile([value for value in wanted if value is not None], 90)),
        "assigned_twice": float(assigned_twice["n"] if assigned_twice else 0),
        "diverted": float(player.diverted),
        "out_of_turn": float(player.out_of_turn),
    }


#: Pairs of orders of one unit whose times overlap, as the logs tell them.
ASSIGNED_TWICE = b"""
WITH spans AS (
    SELECT o.crew, o.id, min(l.at) FILTER (WHERE l.action = 'send') AS begun,
           coalesce(max(l.at) FILTER (WHERE l.after IN ('finished', 'recalled', 'refused', 'expired')),
                    'infinity') AS ended
    FROM orders o JOIN order_log l ON l.order_id = o.id GROUP BY o.crew, o.id
)
SELECT count(*) AS n FROM spans a JOIN spans b ON a.crew = b.crew AND a.id < b.id
WHERE a.begun < b.ended AND b.begun < a.ended"""


def doubled(trips: Sequence[Trip]) -> list[Trip]:
    """Trips that the table has arrive after their unit was already sent to another call."""
    by_unit: dict[str, list[Trip]] = {}
    for trip in trips:
        if "send" in trip.times_us:
            by_unit.setdefault(trip.unit, []).append(trip)
    found: list[Trip] = []
    for own in by_unit.values():
        own.sort(key=lambda trip: trip.times_us["send"])
        for one, following in pairwise(own):
            if one.times_us.get("arrive", 0) > following.times_us["send"]:
                found.append(one)
    return found


def _seconds(times: dict[str, int]) -> int | None:
    if "arrived" not in times:
        return None
    return (times["arrived"] - times["sent"]) // SECOND_US
