"""Past readings of many points: raw for windows and the last day, hours for what is usual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.batch import Batch
from core.clock import to_datetime
from core.db import Database
from iot.aggregate import QUERIES


@dataclass(frozen=True, slots=True)
class Hours:
    """Hour sums as parallel columns, in order of (device, channel, time)."""

    device: NDArray[np.int32]
    channel: NDArray[np.int16]
    time_us: NDArray[np.int64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


class Past(Protocol):
    """What the clerk needs of stored readings."""

    async def recent(
        self, device: NDArray[np.int32], channel: NDArray[np.int16], from_us: int, to_us: int
    ) -> Batch: ...

    async def hours(
        self, device: NDArray[np.int32], channel: NDArray[np.int16], from_us: int, to_us: int
    ) -> Hours: ...


class StoredPast:
    """The past as `iot` stores it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def recent(
        self, device: NDArray[np.int32], channel: NDArray[np.int16], from_us: int, to_us: int
    ) -> Batch:
        """Raw readings of these points, `from` inclusive, `to` exclusive."""
        rows = await self._database.fetch(
            QUERIES["recent_of_many"], **_asked(device, channel, from_us, to_us)
        )
        return Batch.of(
            device=[row["device"] for row in rows],
            channel=[row["channel"] for row in rows],
            time_us=[row["time_us"] for row in rows],
            value=[row["value"] for row in rows],
            quality=[row["quality"] for row in rows] if rows else 0,
        )

    async def hours(
        self, device: NDArray[np.int32], channel: NDArray[np.int16], from_us: int, to_us: int
    ) -> Hours:
        """Hour sums of these points."""
        rows = await self._database.fetch(QUERIES["hours_of_many"], **_asked(device, channel, from_us, to_us))
        return Hours(
            np.array([row["device"] for row in rows], np.int32),
            np.array([row["channel"] for row in rows], np.int16),
            np.array([row["time_us"] for row in rows], np.int64),
            np.array([row["value"] for row in rows], np.float64),
            np.array([row["low"] for row in rows], np.float64),
            np.array([row["high"] for row in rows], np.float64),
        )


def _asked(
    device: NDArray[np.int32], channel: NDArray[np.int16], from_us: int, to_us: int
) -> dict[str, object]:
    return {
        "devices": device.tolist(),
        "channels": channel.tolist(),
        "from": to_datetime(from_us),
        "to": to_datetime(to_us),
    }
