"""What upper rooms read of devices and readings: columns for whoever computes, in the city's own terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import tuple_row

from core.batch import Batch, Quality
from core.clock import rfc3339, to_datetime
from core.db import Database
from core.sql import Queries
from iot.latest import Latest
from iot.registry import Device, Registry

QUERIES = Queries.of(__file__)
Bucket = Literal["raw", "1m", "1h", "1d"]

#: What TimescaleDB has summed already, on partitions summed when it is asked for.
ROLLED: Mapping[Bucket, str] = {"1m": "rolled_minutes", "1d": "rolled_days"}

#: More rows than this are never given at once.
MOST_ROWS = 100_000


def said(batch: Batch, registry: Registry, most: int) -> list[dict[str, object]]:
    """The first readings of a batch with their names, for people; `registry` is the one it was made with."""
    columns = (batch.device, batch.channel, batch.time_us, batch.value, batch.quality)
    return [
        {
            "device": registry.by_number[device].id, "channel": registry.channel_by_number[channel].name,
            "time": rfc3339(time_us), "value": value, "unit": registry.channel_by_number[channel].decl.unit,
            "quality": [mark.name.lower() for mark in Quality(quality) if mark.name],
        }
        for device, channel, time_us, value, quality in zip(
            *(column[:most].tolist() for column in columns), strict=True
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One point over time. Raw: `value` and `quality`; buckets: the mean with `low`, `high` and `n` readings."""

    time_us: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint16] | None = None
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    n: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        return len(self.time_us)


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """Hourly means of many points, sorted by (device, channel, time)."""

    device: NDArray[np.int32]
    channel: NDArray[np.int16]
    time_us: NDArray[np.int64]
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Means of many points over steps of some length, sorted by (device, channel, time)."""

    device: NDArray[np.int32]
    channel: NDArray[np.int16]
    time_us: NDArray[np.int64]
    value: NDArray[np.float64]
    n: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Recent:
    """Raw readings of many points, sorted by (device, channel, time)."""

    device: NDArray[np.int32]
    channel: NDArray[np.int16]
    time_us: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint16]


#: Types of the columns of `Recent`.
RECENT = (np.int32, np.int16, np.int64, np.float64, np.uint16)


async def series(
    database: Database,
    point: tuple[int, int],
    begin_us: int,
    end_us: int,
    bucket: Bucket = "raw",
    *,
    zone: str = "UTC",
    limit: int = MOST_ROWS,
) -> Series:
    """Readings of (device number, channel number) with begin ≤ time < end, oldest first, at most `limit`.

    Days are those of `zone`. A bucket's time is its beginning; a bucket without readings is absent.
    """
    query = {"raw": "raw_readings", "1m": "minute_readings", "1h": "hour_readings", "1d": "day_readings"}[
        bucket
    ]
    if bucket in ROLLED and await database.fetch_one(QUERIES["rolled_up"]):
        query = ROLLED[bucket]
    rows = await _columns(
        database, query, device=point[0], channel=point[1], begin=to_datetime(begin_us), end=to_datetime(end_us),
        limit=limit, zone=zone,
    )  # fmt: skip
    time_us = np.array(rows[0] if rows else [], np.int64)
    value = np.array(rows[1] if rows else [], np.float64)
    if bucket == "raw":
        return Series(time_us, value, np.array(rows[2] if rows else [], np.uint16))
    low, high, n = rows[2:] if rows else ([], [], [])
    return Series(
        time_us, value, None, np.array(low, np.float64), np.array(high, np.float64), np.array(n, np.int32)
    )


async def hours_of_many(
    database: Database,
    devices: NDArray[np.int32],
    channels: NDArray[np.int16],
    begin_us: int,
    end_us: int,
) -> Hours:
    """Hourly means of the points (devices[i], channels[i]), for usual bands and traces."""
    kinds = (np.int32, np.int16, np.int64, np.float64, np.float64, np.float64, np.int32)
    between = {"begin": to_datetime(begin_us), "end": to_datetime(end_us)}
    return Hours(*await _of_many(database, "hours_of_many", devices, channels, kinds, **between))


async def steps_of_many(
    database: Database,
    devices: NDArray[np.int32],
    channels: NDArray[np.int16],
    begin_us: int,
    end_us: int,
    step_s: int,
) -> Steps:
    """Means of the points (devices[i], channels[i]) over steps of `step_s`, from the readings themselves."""
    kinds = (np.int32, np.int16, np.int64, np.float64, np.int32)
    between = {"begin": to_datetime(begin_us), "end": to_datetime(end_us)}
    return Steps(*await _of_many(database, "steps_of_many", devices, channels, kinds, **between, step=step_s))


async def recent_of_many(
    database: Database,
    devices: NDArray[np.int32],
    channels: NDArray[np.int16],
    begin_us: int,
    end_us: int,
) -> Recent:
    """Raw readings of the points (devices[i], channels[i]), for traces and objections."""
    between = {"begin": to_datetime(begin_us), "end": to_datetime(end_us)}
    return Recent(*await _of_many(database, "recent_of_many", devices, channels, RECENT, **between))


async def latest_of_many(
    database: Database, devices: NDArray[np.int32], channels: NDArray[np.int16]
) -> Recent:
    """The newest stored reading of each of the points (devices[i], channels[i]), however old."""
    return Recent(*await _of_many(database, "latest_of_many", devices, channels, RECENT))


async def _of_many(
    database: Database,
    query: str,
    devices: NDArray[np.int32],
    channels: NDArray[np.int16],
    kinds: Sequence[type[np.generic]],
    **more: object,
) -> list[NDArray[Any]]:
    """The columns of a query about many points, each of its kind; empty ones when there are no rows."""
    rows = await _columns(database, query, devices=devices.tolist(), channels=channels.tolist(), **more)
    return [np.array(column, kind) for column, kind in zip(rows or ([],) * len(kinds), kinds, strict=True)]


async def _columns(database: Database, query: str, **params: object) -> Sequence[Sequence[object]]:
    """The columns of a query's rows; nothing when there are no rows."""
    async with (
        database.transaction() as connection,
        connection.cursor(row_factory=tuple_row, binary=True) as cursor,
    ):
        rows = await (await cursor.execute(QUERIES[query], params)).fetchall()
    return list(zip(*rows, strict=True))


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices; what is None does not narrow. `bbox` is west, south, east, north in WGS 84 degrees."""

    domain: str | None = None
    kind: str | None = None
    gateway: str | None = None
    asset: str | None = None
    area: str | None = None
    zone: str | None = None
    provenance: str | None = None
    bbox: tuple[float, float, float, float] | None = None

    @property
    def everything(self) -> bool:
        return self == DeviceFilter()

    def takes(self, device: Device) -> bool:
        for name in ("domain", "kind", "gateway", "asset", "area", "zone", "provenance"):
            wanted = getattr(self, name)
            if wanted is not None and getattr(device, name) != wanted:
                return False
        if self.bbox is None:
            return True
        west, south, east, north = self.bbox
        return west <= device.lon <= east and south <= device.lat <= north


def points_of(registry: Registry, wanted: DeviceFilter) -> NDArray[np.int32]:
    """Dense numbers of all points of the devices that a filter takes."""
    here = registry.current
    if not wanted.everything:
        keep = np.zeros(max(registry.by_number, default=0) + 1, bool)
        for number, device in registry.by_number.items():
            keep[number] = wanted.takes(device)
        here = here & keep[np.minimum(registry.device_of, len(keep) - 1)]
    return np.flatnonzero(here).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class LatestColumns:
    """The last reading of each of many points, parallel: ids of devices, names of channels, µs, values, quality."""

    device: NDArray[np.object_]
    channel: NDArray[np.object_]
    time_us: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint16]


def latest(values: Latest, wanted: DeviceFilter) -> LatestColumns:
    """From memory, never from the readings."""
    registry = values.registry
    points = points_of(registry, wanted)
    points = points[values.has(points)]
    batch = values.batch(points)
    device, channel = registry.point_names
    return LatestColumns(device[points], channel[points], batch.time_us, batch.value, batch.quality)
