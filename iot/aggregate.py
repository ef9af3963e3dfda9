"""A reader of the batch log that keeps the last value of every point and, on partitions, the sums of every hour.

Both are written with the reader's cursor in one transaction, so every reading counts exactly once whatever dies.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.batch import Batch
from core.clock import HOUR_US
from core.db import Connection
from core.sql import Queries
from iot import copyrows
from iot.latest import Latest
from iot.readings import Logged
from iot.registry import Registry

QUERIES = Queries.of(__file__)
READER = "aggregates"
HISTORY_ROWS = 500_000


@dataclass(slots=True)
class Hours:
    """Sums not yet written, per (device, channel, hour)."""

    parts: list[Batch] = field(default_factory=list)
    rows: int = 0

    def add(self, batch: Batch) -> None:
        self.parts.append(batch)
        self.rows += len(batch)

    def take(self) -> NDArray[np.void]:
        """COPY records of the sums since the last take; doubtful readings are summed like any other."""
        batch = Batch.concat(self.parts)
        self.parts, self.rows = [], 0
        bucket = batch.time_us // HOUR_US
        order = np.lexsort((bucket, batch.channel, batch.device))
        device, channel, bucket = batch.device[order], batch.channel[order], bucket[order]
        value = batch.value[order]
        if not len(value):
            return copyrows.blank(copyrows.HOUR, 0)
        begins = np.flatnonzero(
            np.concatenate(
                ([True], (np.diff(device) != 0) | (np.diff(channel) != 0) | (np.diff(bucket) != 0))
            )
        )
        records = copyrows.blank(copyrows.HOUR, len(begins))
        records["device"] = device[begins]
        records["channel"] = channel[begins]
        records["bucket"] = bucket[begins] * HOUR_US - copyrows.POSTGRES_EPOCH_US
        records["n"] = np.diff(np.append(begins, len(value)))
        records["total"] = np.add.reduceat(value, begins)
        records["low"] = np.minimum.reduceat(value, begins)
        records["high"] = np.maximum.reduceat(value, begins)
        return records


class Aggregates:
    """Follows the log; `flush` makes what was followed durable."""

    def __init__(self, registry: Registry) -> None:
        self.cursor = 0
        self.latest = Latest(registry)
        self._hours = Hours()
        self._sums = True  # TimescaleDB sums the hours by itself
        self._touched: list[NDArray[np.int32]] = []

    async def load(self, connection: Connection) -> None:
        """Start from what was durable; the caller then feeds every batch after `cursor`."""
        row = await (await connection.execute(QUERIES["reader_cursor"], {"name": READER})).fetchone()
        self.cursor = int(row[0]) if row else 0
        self._sums = await (await connection.execute(QUERIES["hours_are_ours"])).fetchone() is not None
        self.latest.add(await load_latest(connection))

    def use(self, registry: Registry) -> None:
        self.latest.use(registry)

    def take(self, logged: Logged) -> None:
        """Batches must come in order and once; one that was seen is ignored."""
        if logged.id <= self.cursor:
            return
        self.cursor = logged.id
        if self._sums:
            self._hours.add(logged.batch)
        self._touched.append(self.latest.add(logged.batch))

    @property
    def due(self) -> bool:
        """So much is waiting that it should be written before the usual time."""
        return self._hours.rows > HISTORY_ROWS

    async def flush(self, connection: Connection) -> None:
        hours = self._hours.take()
        touched = np.unique(np.concatenate(self._touched)) if self._touched else np.empty(0, np.int32)
        self._touched = []
        async with connection.transaction(), connection.cursor() as cursor:
            if len(touched):
                rows = copyrows.readings(self.latest.batch(touched))
                await cursor.execute(QUERIES["create_latest_stage"])
                await copyrows.copy_in(cursor, QUERIES["copy_latest_stage"], rows)
                await cursor.execute(QUERIES["merge_latest"])
            if len(hours):
                await cursor.execute(QUERIES["create_hours_stage"])
                await copyrows.copy_in(cursor, QUERIES["copy_hours_stage"], hours)
                await cursor.execute(QUERIES["merge_hours"])
            await cursor.execute(QUERIES["move_reader"], {"name": READER, "cursor": self.cursor})


async def load_latest(connection: Connection) -> Batch:
    """The table `latest` as columns."""
    return await copyrows.copy_out(connection, QUERIES["copy_latest_out"])
