"""`cityops bench dispatch`: how fast 500 crews are ranked on the roads of a city, and many orders are matched."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from app import policy
from app.bench.rig import GATEWAYS, Figures, Measured, Say, rig
from app.declared import ROOT
from core import domains
from core.clock import SystemClock
from core.db import Database
from core.domains import Domains
from core.settings import DispatchSettings
from dispatch import assign, city, plans, store
from dispatch.actions import Actions
from dispatch.cases import Case, CaseState, Source
from dispatch.events_source import EventIncidents
from dispatch.limits import Limit, LimitUnit
from dispatch.readings_source import StoredReadings
from dispatch.travel import Blocked, Obstacle, Place, Roads
from dispatch.work import Work
from gis.city import City, sample_city
from iot import kinds, registry_store

CREWS = 500
ASKED = 100
SKILLS = ("water_main_repair", "drainage", "pumping", "gas_repair", "enforcement")
ZONE = ZoneInfo("Asia/Shanghai")


def run(say: Say) -> Measured:
    """On a server of its own, with the domains as they are shipped."""
    say("crews and orders of dispatch")
    with rig(GATEWAYS, worker=False) as found:
        return Measured(asyncio.run(on(found.dsn)))


async def on(dsn: str) -> Figures:
    database = Database(dsn, 4)
    await database.open()
    try:
        return await figures(database, domains.load(ROOT / "domains"))
    finally:
        await database.close()


async def figures(database: Database, known: Domains, seed: int = 1) -> Figures:
    """`recommend_p95_ms` of 100 rankings of 500 crews with flooded roads; `assign_300x1000_ms` of 20 matchings."""
    rng = np.random.default_rng(seed)
    return {
        "recommend_p95_ms": await recommend_p95_ms(database, known, sample_city(seed), rng),
        "assign_300x1000_ms": assign_ms(rng),
    }


def spots(town: City, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    west, south, east, north = town.bounds
    return np.column_stack([rng.uniform(west, east, n), rng.uniform(south, north, n)])


async def recommend_p95_ms(database: Database, known: Domains, town: City, rng: np.random.Generator) -> float:
    """95th percentile of reading 500 crews, their ways on the roads around five floods, and the ranking."""
    clock = SystemClock()
    registry = await registry_store.load(database, kinds.load(known))
    roads = Flooded(town, spots(town, 5, rng))
    actions = Actions(
        policy.load()[0], plans.load(known), city.load(ZONE), EventIncidents(town.describe),
        StoredReadings(database, lambda: registry), roads, DispatchSettings(), ZONE,
    )  # fmt: skip
    now_us = clock.now_us()
    async with database.transaction() as connection:
        await store.put_crews(
            connection, [crew(n, place) for n, place in enumerate(spots(town, CREWS, rng))], now_us
        )
    took: list[float] = []
    for lon, lat in spots(town, ASKED + 5, rng):
        began = clock.monotonic_s()
        async with database.transaction() as connection:
            ranked = await actions.rank(Work(connection, now_us), case_at(float(lon), float(lat), now_us))
        took.append(clock.monotonic_s() - began)
        assert ranked[0].able
    return float(np.percentile(took[5:], 95) * 1000)


class Flooded(Roads):
    """The roads with places that are under water."""

    def __init__(self, town: City, places: NDArray[np.float64]) -> None:
        super().__init__(lambda: town)
        self._places = [Blocked(float(lon), float(lat), 60.0) for lon, lat in places]

    def seconds(
        self,
        origins: Sequence[Place],
        target: Place,
        blocked: Sequence[Obstacle] = (),
    ) -> list[float | None]:
        return super().seconds(origins, target, [*blocked, *self._places])


def crew(number: int, place: NDArray[np.float64]) -> dict[str, object]:
    lon, lat = float(place[0]), float(place[1])
    return {
        "id": f"bench-{number}", "name_zh": f"{number}", "name_en": f"{number}",
        "department": SKILLS[number % len(SKILLS)], "skills": [SKILLS[number % len(SKILLS)], "pumping"],
        "equipment": ["pump"], "depot_lon": lon, "depot_lat": lat, "lon": lon, "lat": lat,
    }  # fmt: skip


def case_at(lon: float, lat: float, now_us: int) -> Case:
    return Case(
        id="bench", number="bench", code="event/0506", source=Source.IOT, state=CaseState.DISPATCHED, incident="",
        incident_type="underpass_flood", domain="flood", title={}, priority=2, level=2, provenance="real",
        lon=lon, lat=lat, place="", area="", limit=Limit(amount=2, unit=LimitUnit.URGENT_HOUR),
        reported_us=now_us, since_us=now_us, plan="underpass_flood",
    )  # fmt: skip


def assign_ms(rng: np.random.Generator) -> float:
    """Median milliseconds to match 300 orders with 1 000 crews, a third of the orders already being driven to."""
    clock = SystemClock()
    took: list[float] = []
    for _ in range(20):
        cost_s = rng.uniform(60, 3600, (300, 1000))
        cost_s[rng.random(cost_s.shape) < 0.5] = np.inf
        present = np.where(rng.random(300) < 1 / 3, rng.permutation(1000)[:300], -1)
        began = clock.monotonic_s()
        assign.match(cost_s, rng.integers(1, 5, 300).tolist(), present.tolist())
        took.append(clock.monotonic_s() - began)
    return float(np.median(took) * 1000)
