"""What the points of a case said, read from the store of readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from core.batch import DOUBTFUL
from core.clock import HOUR_US, WEEK_US, to_datetime
from core.db import DictConnection
from dispatch import store
from dispatch.incident import Sample, Series
from iot import readings
from iot.registry import Device, Registry

#: Weeks that are asked for what is usual at this hour, and how many of them must answer.
WEEKS = 4
WEEKS_AT_LEAST = 2

Point = tuple[int, int]


class StoredReadings:
    """Reads through `iot.readings`; `registry` gives the snapshot that is in force."""

    def __init__(self, registry: Callable[[], Registry]) -> None:
        self._registry = registry

    async def series(
        self, connection: DictConnection, points: Sequence[tuple[str, str]], from_us: int, to_us: int
    ) -> list[Series]:
        registry = self._registry()
        known = dict(self._known(registry, points))
        if not known:
            return []
        asked = {"devices": [d for d, _ in known], "channels": [c for _, c in known]}
        samples = await self._samples(connection, asked, from_us, to_us)
        usual = await self._usual(connection, asked, to_us)
        return [
            series_of(registry, device, channel, samples.get(point, []), usual.get(point))
            for point, (device, channel) in known.items()
        ]

    def _known(
        self, registry: Registry, points: Sequence[tuple[str, str]]
    ) -> Sequence[tuple[Point, tuple[Device, str]]]:
        """Points that still exist, by their numbers."""
        found = []
        for device_id, name in dict.fromkeys(points):
            device = registry.devices.get(device_id)
            channel = registry.channel(device, name) if device else None
            if device and channel:
                found.append(((device.number, channel.number), (device, name)))
        return found

    async def _samples(
        self, connection: DictConnection, asked: Mapping[str, Any], from_us: int, to_us: int
    ) -> dict[Point, list[Sample]]:
        """Trustworthy readings in [from, to], oldest first, and the newest one whenever it was."""
        found: dict[Point, list[Sample]] = {}
        window = {"from": to_datetime(from_us), "to": to_datetime(to_us + 1)}
        rows = await (
            await connection.execute(readings.QUERIES["recent_of_many"], {**asked, **window})
        ).fetchall()
        for row in [*await store.rows(connection, "latest_of_many", **asked), *rows]:
            if not row["quality"] & int(DOUBTFUL):
                found.setdefault((row["device"], row["channel"]), []).append(
                    Sample(row["time_us"], row["value"])
                )
        return {
            point: sorted({s.time_us: s for s in samples}.values(), key=lambda s: s.time_us)
            for point, samples in found.items()
        }

    async def _usual(
        self, connection: DictConnection, asked: Mapping[str, Any], now_us: int
    ) -> dict[Point, float]:
        """The median of this hour's means in the last weeks, where enough of them are known."""
        means: dict[Point, list[float]] = {}
        for week in range(1, WEEKS + 1):
            hour = (now_us - week * WEEK_US) // HOUR_US * HOUR_US
            window = {"from": to_datetime(hour), "to": to_datetime(hour + HOUR_US)}
            for row in await (
                await connection.execute(readings.QUERIES["hours_of_many"], {**asked, **window})
            ).fetchall():
                means.setdefault((row["device"], row["channel"]), []).append(row["value"])
        return {point: median(values) for point, values in means.items() if len(values) >= WEEKS_AT_LEAST}


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
