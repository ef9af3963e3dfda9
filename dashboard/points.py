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
from iot.latest import NEVER, Latest
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
    """The newest values with each point's level; remembers which points changed since the last `take`."""

    def __init__(self, registry: Registry) -> None:
        self.latest = Latest(registry)
        self._level = np.zeros(registry.size, np.uint8)
        self._dirty = np.zeros(registry.size, bool)

    @property
    def registry(self) -> Registry:
        return self.latest.registry

    def use(self, registry: Registry) -> None:
        """Take a newer snapshot of the registry; points that existed keep their numbers."""
        more = registry.size - len(self._level)
        self.latest.use(registry)
        self._level = np.append(self._level, np.zeros(more, np.uint8))
        self._dirty = np.append(self._dirty, np.zeros(more, bool))

    def add(self, batch: Batch, points: NDArray[np.int32] | None = None) -> None:
        """Take the readings that are newer than what is known; `points` as in `Latest.add`."""
        self._dirty[self.latest.add(batch, points)] = True

    def set_levels(self, levels: Mapping[int, int], silent: NDArray[np.int32] | None = None) -> None:
        """The highest standing alert level by device number; a device named nowhere has none."""
        by_device = np.zeros(self._devices() + max(levels, default=0) + 1, np.uint8)
        if silent is not None:
            by_device[silent] = SILENT
        for device, level in levels.items():
            by_device[device] = level
        wanted = np.where(self.registry.device_of >= 0, by_device[self.registry.device_of], 0).astype(
            np.uint8
        )
        self._dirty |= (wanted != self._level) & (self.latest.moment_us != NEVER)
        self._level = wanted

    def levels(self) -> NDArray[np.uint8]:
        """The level of each device, by its number: 0 none, 1 to 4, 9 silent; 0 where there is no device."""
        by_device = np.zeros(self._devices() + 1, np.uint8)
        known = self.registry.device_of >= 0
        by_device[self.registry.device_of[known]] = self._level[known]
        return by_device

    def take(self) -> NDArray[np.int32]:
        """The points that changed since the last call."""
        points = np.flatnonzero(self._dirty).astype(np.int32)
        self._dirty[points] = False
        return points

    def of_devices(self, points: NDArray[np.int32], devices: NDArray[np.int32]) -> NDArray[np.int32]:
        """Those points that belong to one of the devices."""
        return points[np.isin(self.registry.device_of[points], devices)]

    def columns(
        self, points: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.uint16]]:
        """(time µs or `NEVER`, value, quality) of points; -1 is one that was never heard."""
        said = (points >= 0) & self.latest.has(np.maximum(points, 0)) if len(self._level) else points < -1
        found = self.latest.batch(points[said])
        moment = np.full(len(points), NEVER)
        value, quality = np.zeros(len(points)), np.zeros(len(points), np.uint16)
        moment[said], value[said], quality[said] = found.ordered_us, found.value, found.quality
        return moment, value, quality

    def newest(self, devices: NDArray[np.int32]) -> NDArray[np.int64]:
        """When each device was last heard, µs; `NEVER` where it was not."""
        newest = np.full(self._devices() + 1, NEVER)
        points = self.latest.known()
        np.maximum.at(newest, self.registry.device_of[points], self.latest.moment_us[points])
        return np.asarray(newest[devices])

    def _devices(self) -> int:
        return max(self.registry.by_number, default=0)

    def frame(self, kind: int, seq: int, points: NDArray[np.int32], now_us: int) -> bytes:
        """These points, all of which have said something, as a frame."""
        said = self.latest.batch(points)
        return b"".join(
            (
                HEADER.pack(MAGIC, VERSION, kind, seq & 0xFFFFFFFF, now_us / 1000, len(said), 0),
                (said.ordered_us / 1000).astype("<f8").tobytes(),
                said.value.astype("<f8").tobytes(),
                said.device.astype("<u4").tobytes(),
                said.channel.astype("<u2").tobytes(),
                said.quality.astype("<u2").tobytes(),
                self._level[points].tobytes(),
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
