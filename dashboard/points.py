"""The newest reading of every point as columns, and the binary frames that carry them to browsers.

Frame, little-endian, columns in order of width so that a browser reads them as typed arrays without copying:

    offset  0  magic "CP", version u8, kind u8 (0 snapshot, 1 delta), seq u32, at f64 (ms since 1970), n u32, 0 u32
           24  time f64[n] (ms) · value f64[n] · device u32[n] · channel u16[n] · quality u16[n] · level u8[n]

A row is a point; `level` is the highest standing alert of the point's device (0 none, 1 to 4, 9 silent too long).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.batch import Batch
from iot.readings import NEVER
from iot.registry import Registry

HEADER = struct.Struct("<2sBBIdII")
MAGIC, VERSION = b"CP", 1
SNAPSHOT, DELTA = 0, 1
#: Level of a device that has no standing alert and was silent for longer than its kind allows.
SILENT = 9


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame taken apart again: for tests and for clients in Python."""

    kind: int
    seq: int
    at_ms: float
    time_ms: NDArray[np.float64]
    value: NDArray[np.float64]
    device: NDArray[np.uint32]
    channel: NDArray[np.uint16]
    quality: NDArray[np.uint16]
    level: NDArray[np.uint8]


class PointTable:
    """Columns over the dense point numbers of a registry; remembers which rows changed since the last `take`."""

    def __init__(self, registry: Registry) -> None:
        self._time = np.empty(0, np.int64)
        self._value = np.empty(0, np.float64)
        self._quality = np.empty(0, np.uint16)
        self._level = np.empty(0, np.uint8)
        self._dirty = np.empty(0, bool)
        self.use(registry)

    def use(self, registry: Registry) -> None:
        """Take a newer snapshot of the registry; points that existed keep their rows."""
        self.registry = registry
        more = registry.size - len(self._time)
        self._time = np.append(self._time, np.full(more, NEVER, np.int64))
        self._value = np.append(self._value, np.zeros(more))
        self._quality = np.append(self._quality, np.zeros(more, np.uint16))
        self._level = np.append(self._level, np.zeros(more, np.uint8))
        self._dirty = np.append(self._dirty, np.zeros(more, bool))

    def add(self, batch: Batch) -> None:
        """Take the readings that are newer than what is known."""
        points = self.registry.point(batch.device, batch.channel)
        rows = np.flatnonzero(points >= 0)
        moment = batch.ordered_us
        rows = rows[np.lexsort((moment[rows], points[rows]))]
        last = np.append(points[rows][1:] != points[rows][:-1], True) if len(rows) else np.empty(0, bool)
        rows = rows[last]
        rows = rows[moment[rows] >= self._time[points[rows]]]
        at = points[rows]
        self._time[at] = moment[rows]
        self._value[at] = batch.value[rows]
        self._quality[at] = batch.quality[rows]
        self._dirty[at] = True

    def set_levels(self, levels: Mapping[int, int], silent: NDArray[np.int32] | None = None) -> None:
        """The highest standing alert level by device number; a device named nowhere has none."""
        by_device = np.zeros(self._devices() + max(levels, default=0) + 1, np.uint8)
        if silent is not None:
            by_device[silent] = SILENT
        for device, level in levels.items():
            by_device[device] = level
        known = self.registry.device_of >= 0
        wanted = np.zeros(len(self._level), np.uint8)
        wanted[known] = by_device[self.registry.device_of[known]]
        self._dirty |= (wanted != self._level) & (self._time != NEVER)
        self._level = wanted

    def columns(
        self, points: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.uint16]]:
        """(time µs or `NEVER`, value, quality) of dense point numbers; -1 was never heard."""
        safe = np.maximum(points, 0)
        known = (points >= 0) & (points < len(self._time))
        if not len(self._time):
            return np.full(len(points), NEVER), np.zeros(len(points)), np.zeros(len(points), np.uint16)
        return np.where(known, self._time[safe], NEVER), self._value[safe], self._quality[safe]

    def newest(self, devices: NDArray[np.int32]) -> NDArray[np.int64]:
        """When each device was last heard, µs; `NEVER` where it was not."""
        newest = np.full(self._devices() + 1, NEVER)
        spoken = self.spoken()
        np.maximum.at(newest, self.registry.device_of[spoken], self._time[spoken])
        return np.asarray(newest[devices])

    def _devices(self) -> int:
        return max(self.registry.by_number, default=0)

    def take(self) -> NDArray[np.intp]:
        """The rows that changed since the last call."""
        rows = np.flatnonzero(self._dirty)
        self._dirty[rows] = False
        return rows

    def spoken(self) -> NDArray[np.intp]:
        """The rows of points that have a reading."""
        return np.flatnonzero(self._time != NEVER)

    def of_devices(self, rows: NDArray[np.intp], devices: NDArray[np.int32]) -> NDArray[np.intp]:
        """Those rows that belong to one of the devices."""
        return rows[np.isin(self.registry.device_of[rows], devices)]

    def frame(self, kind: int, seq: int, rows: NDArray[np.intp], now_us: int) -> bytes:
        registry = self.registry
        return b"".join(
            (
                HEADER.pack(MAGIC, VERSION, kind, seq & 0xFFFFFFFF, now_us / 1000, len(rows), 0),
                (self._time[rows] / 1000).astype("<f8").tobytes(),
                self._value[rows].astype("<f8").tobytes(),
                registry.device_of[rows].astype("<u4").tobytes(),
                registry.channel_of[rows].astype("<u2").tobytes(),
                self._quality[rows].astype("<u2").tobytes(),
                self._level[rows].tobytes(),
            )
        )


def read_frame(data: bytes) -> Frame:
    """Take a frame apart. Raises `ValueError` on what is none."""
    magic, version, kind, seq, at_ms, n, _ = HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise ValueError("not a frame of points")
    columns = []
    at = HEADER.size
    for dtype in ("<f8", "<f8", "<u4", "<u2", "<u2", "<u1"):
        columns.append(np.frombuffer(data, dtype, n, at))
        at += n * np.dtype(dtype).itemsize
    return Frame(kind, seq, at_ms, *columns)
