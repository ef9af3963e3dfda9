"""Keeps the hazards of the map as live incidents and the newest readings have them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from anyio import to_thread

from core.batch import DOUBTFUL
from core.clock import MINUTE_US, Clock
from core.db import Database
from events import store
from events.engine import Row
from events.hazards import Danger, Depth, Survey, Wind, drawn, survey
from events.types import Kind
from gis import hazard_store
from gis.ground import Ground
from gis.hazard import Hazard
from iot import views
from iot.registry import Device, Registry

SURVEY_S = 5.0
#: A reading that is older says nothing about now.
FRESH_US = 30 * MINUTE_US
WIND = ("wind_speed", "wind_dir")
#: Hazards of incidents are called so; others are not ours to end.
OURS = "incident/"


@dataclass(slots=True)
class HazardFeed:
    """`run` for ever, in one process. `registry` and `city` give what is in force."""

    database: Database
    clock: Clock
    registry: Callable[[], Registry]
    city: Callable[[], Ground]
    types: Mapping[str, Kind]
    _shown: dict[str, Survey] = field(default_factory=dict)

    async def run(self) -> None:
        self._shown.clear()  # after a loss of the database everything is drawn again
        while True:
            await self.survey()
            await asyncio.sleep(SURVEY_S)

    async def survey(self) -> None:
        """Look once: draw what is new or has changed, end what is over."""
        found = [each for row in await self._endangering() if (each := await self._survey(row))]
        for each in found:
            if self._shown.get(each.incident) != each:
                await self._show(each)
        await self._end_others({each.incident for each in found})

    async def _endangering(self) -> list[Row]:
        types = [key for key, kind in self.types.items() if kind.decl.endangers]
        async with self.database.transaction() as connection:
            return await store.rows(connection, "endangering", types=types)

    async def _survey(self, row: Row) -> Survey | None:
        declared = self.types[row["type"]].decl.endangers
        assert declared is not None
        danger = Danger(
            row["id"], declared, row["lon"], row["lat"], row["asset"], row["sure"], row["provenance"]
        )
        depths: list[Depth] = []
        wind = None
        if declared.kind == "flood":
            devices = [each for name in row["devices"] if (each := self.registry().devices.get(name))]
            said = await self._said(devices, [declared.channel])
            depths = [Depth(value, d.lon, d.lat, d.asset) for d, (value,) in said]
        elif declared.kind == "plume":
            wind = await self._wind(danger)
        return survey(danger, depths, wind)

    async def _wind(self, danger: Danger) -> Wind | None:
        """As the nearest station has it that said something lately."""
        devices = list(self.registry().devices.values())
        devices.sort(key=lambda each: (each.lon - danger.lon) ** 2 + (each.lat - danger.lat) ** 2)
        said = await self._said(devices, WIND)
        return Wind(said[0][1][1], said[0][1][0]) if said else None

    async def _said(
        self, devices: Sequence[Device], channels: Sequence[str]
    ) -> list[tuple[Device, tuple[float, ...]]]:
        """The newest trustworthy values of these channels, of each device that has all of them."""
        registry = self.registry()
        asked: list[tuple[Device, list[int]]] = []
        for device in devices:
            known = [registry.channel(device, name) for name in channels]
            numbers = [each.number for each in known if each is not None]
            if len(numbers) == len(channels):
                asked.append((device, numbers))
        if not asked:
            return []
        rows = np.array([device.number for device, numbers in asked for _ in numbers], np.int32)
        columns = np.array([number for _, numbers in asked for number in numbers], np.int16)
        latest = await views.latest_of_many(self.database, rows, columns)
        since = self.clock.now_us() - FRESH_US
        good = (latest.time_us >= since) & ((latest.quality & np.uint16(DOUBTFUL)) == 0)
        points = zip(latest.device[good].tolist(), latest.channel[good].tolist(), strict=True)
        value = dict(zip(points, latest.value[good].tolist(), strict=True))
        return [
            (device, tuple(value[device.number, number] for number in numbers))
            for device, numbers in asked
            if all((device.number, number) in value for number in numbers)
        ]

    async def _show(self, found: Survey) -> None:
        zones = await to_thread.run_sync(lambda: drawn(found, self.city()))
        self._shown[found.incident] = found
        now_us = self.clock.now_us()
        made = Hazard(
            OURS + found.incident, found.kind, zones, now_us, None, found.incident, found.provenance
        )
        async with self.database.transaction() as connection:
            await hazard_store.put(connection, made, now_us)

    async def _end_others(self, lasting: set[str]) -> None:
        now_us = self.clock.now_us()
        for name, incident in await hazard_store.standing(self.database, OURS, now_us):
            if incident not in lasting:
                async with self.database.transaction() as connection:
                    await hazard_store.end(connection, name, now_us, now_us, incident)
        self._shown = {name: each for name, each in self._shown.items() if name in lasting}
