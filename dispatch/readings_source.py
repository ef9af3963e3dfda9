"""What the points of a case said, read through `iot.views`: committed readings only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import numpy as np

from core.batch import DOUBTFUL
from core.clock import HOUR_US, WEEK_US
from core.db import Database
from core.errors import NotFound
from dispatch.incident import Sample, Series
from dispatch.travel import distance_m
from iot import views
from iot.registry import Device, Registry
from iot.views import Recent

#: Weeks that are asked for what is usual at this hour, and how many of them must answer.
WEEKS = 4
WEEKS_AT_LEAST = 2

Point = tuple[int, int]


class StoredReadings:
    """`registry` gives the snapshot that is in force."""

    def __init__(self, database: Database, registry: Callable[[], Registry]) -> None:
        self._database = database
        self._registry = registry

    async def series(self, points: Sequence[tuple[str, str]], from_us: int, to_us: int) -> list[Series]:
        registry = self._registry()
        known = _known(registry, points)
        if not known:
            return []
        devices = np.array([device for device, _ in known], np.int32)
        channels = np.array([channel for _, channel in known], np.int16)
        samples: dict[Point, list[Sample]] = {}
        _add(samples, await views.latest_of_many(self._database, devices, channels))
        _add(samples, await views.recent_of_many(self._database, devices, channels, from_us, to_us + 1))
        usual = await self._usual(devices, channels, to_us)
        return [
            series_of(registry, device, channel, ordered(samples.get(point, [])), usual.get(point))
            for point, (device, channel) in known.items()
        ]

    def kind_of(self, device: str) -> str | None:
        found = self._registry().devices.get(device)
        return found.kind if found else None

    def wire_of(self, device: str) -> tuple[str, str]:
        found = self._registry().devices.get(device)
        if found is None:
            raise NotFound(id=device)
        return found.gateway, found.wire_name

    def near(self, kind: str, lon: float, lat: float, within_m: float) -> list[str]:
        ways = {
            device.id: distance_m((lon, lat), (device.lon, device.lat))
            for device in self._registry().devices.values()
            if device.kind == kind
        }
        return sorted((id_ for id_, way in ways.items() if way <= within_m), key=lambda id_: ways[id_])

    async def _usual(self, devices: np.ndarray, channels: np.ndarray, now_us: int) -> dict[Point, float]:
        """The median of this hour's means in the last weeks, where enough of them are known."""
        means: dict[Point, list[float]] = {}
        for week in range(1, WEEKS + 1):
            hour = (now_us - week * WEEK_US) // HOUR_US * HOUR_US
            found = await views.hours_of_many(self._database, devices, channels, hour, hour + HOUR_US)
            for device, channel, value in zip(found.device, found.channel, found.value, strict=True):
                means.setdefault((int(device), int(channel)), []).append(float(value))
        return {point: median(values) for point, values in means.items() if len(values) >= WEEKS_AT_LEAST}


def _known(registry: Registry, points: Sequence[tuple[str, str]]) -> dict[Point, tuple[Device, str]]:
    """Points that still exist, by their numbers."""
    found: dict[Point, tuple[Device, str]] = {}
    for device_id, name in points:
        device = registry.devices.get(device_id)
        channel = registry.channel(device, name) if device else None
        if device and channel:
            found[device.number, channel.number] = (device, name)
    return found


def _add(samples: dict[Point, list[Sample]], found: Recent) -> None:
    """Trustworthy readings by point."""
    good = (found.quality & np.uint16(DOUBTFUL)) == 0
    for row in np.flatnonzero(good):
        point = (int(found.device[row]), int(found.channel[row]))
        samples.setdefault(point, []).append(Sample(int(found.time_us[row]), float(found.value[row])))


def ordered(samples: Sequence[Sample]) -> list[Sample]:
    """Oldest first, each moment once."""
    return [sample for _, sample in sorted({s.time_us: s for s in samples}.items())]


def series_of(
    registry: Registry, device: Device, channel: str, samples: Sequence[Sample], usual: float | None
) -> Series:
    declared = registry.channel(device, channel)
    assert declared is not None
    return Series(
        device.id,
        device.name,
        device.kind,
        channel,
        declared.decl.unit,
        device.params,
        registry.kind_of(device).decl.silent_after_s,
        samples,
        usual,
    )
