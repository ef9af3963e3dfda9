"""Past readings of many points, as the clerk needs them: raw for windows and the last day, hours for what is usual."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.batch import Batch
from core.db import Database
from iot import views
from iot.views import Hours


class Past(Protocol):
    """Stored readings of points (device[i], channel[i]), `from` inclusive, `to` exclusive."""

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
        found = await views.recent_of_many(self._database, device, channel, from_us, to_us)
        return Batch.of(
            device=found.device,
            channel=found.channel,
            time_us=found.time_us,
            value=found.value,
            quality=found.quality,
        )

    async def hours(
        self, device: NDArray[np.int32], channel: NDArray[np.int16], from_us: int, to_us: int
    ) -> Hours:
        return await views.hours_of_many(self._database, device, channel, from_us, to_us)
