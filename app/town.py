"""Which city an installation watches: the sample city of a demonstration, or what was imported of a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.clock import Clock
from core.db import Database
from core.settings import Settings
from gis import stored
from gis.city import sample_city
from gis.ground import Box, Ground
from gis.sample import area_names
from gis.views import CityMap, LiveLayer

#: What the wall looks at in the sample city: its core (WGS 84), from the south-east.
SAMPLE_VIEW = (121.4813, 31.2269, 121.5197, 31.2504)
#: When the extract of the sample's base map was taken.
SAMPLE_DATE = "2026-07"


def ground_of(settings: Settings, dsn: str, clock: Clock) -> Callable[[], Ground]:
    """Makes the city; takes a second or more: not for the event loop."""
    return (lambda: stored.read(dsn, clock.now_us())) if settings.own_city else sample_city


def map_of(
    settings: Settings, database: Database, clock: Clock, live: Mapping[str, LiveLayer] | None = None
) -> CityMap:
    """The map of a process."""
    make = ground_of(settings, database.dsn, clock)
    return CityMap(make, settings.data / "tiles", live, database, own=settings.own_city)


@dataclass(slots=True)
class Town:
    """What screens and sentences say of the map's city; `renew` after an import.

    `areas`: names of the street offices' areas in every language, by id. `view`: what a wall looks at, in WGS 84.
    """

    map: CityMap
    areas: dict[str, dict[str, str]] = field(default_factory=area_names)
    view: Box = SAMPLE_VIEW
    credit: str = "© OpenStreetMap"
    date: str = SAMPLE_DATE

    async def renew(self) -> None:
        self.map.renew()
        if not self.map.own:
            return
        city = await asyncio.to_thread(lambda: self.map.city)
        self.areas.clear()
        self.areas.update(
            {each.id: {"zh": each.name, "en": each.name_en or each.name} for each in city.of_kind("area")}
        )
        self.view, self.credit, self.date = city.bounds, city.attribution, ""
