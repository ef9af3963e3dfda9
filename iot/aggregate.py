"""A reader of the batch log that keeps the last value of every point and the sums of every hour.

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
from iot.readings import NEVER, Logged

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


class Latest:
    """The newest reading of every point, in memory, by (device, channel); a future one counts as of its receipt."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, int], tuple[int, int, float, int, int]] = {}

    def add(self, batch: Batch) -> list[int]:
        """Take what is newer; the row numbers of the batch that became the newest of their points."""
        moment = batch.ordered_us
        order = np.lexsort((moment, batch.channel, batch.device))
        device, channel = batch.device[order], batch.channel[order]
        last = (
            np.append((device[1:] != device[:-1]) | (channel[1:] != channel[:-1]), True)
            if len(order)
            else order
        )
        taken: list[int] = []
        for row in order[np.asarray(last, bool)].tolist():
            key = (int(batch.device[row]), int(batch.channel[row]))
            known = self._rows.get(key)
            if known is None or moment[row] >= known[0]:
                self._rows[key] = (
                    int(moment[row]),
                    int(batch.received_us[row]),
                    float(batch.value[row]),
                    int(batch.quality[row]),
                    int(batch.gateway[row]),
                )
                taken.append(row)
        return taken

    def get(self, device: int, channel: int) -> tuple[int, int, float, int, int] | None:
        """(time µs, received µs, value, quality, gateway) or None."""
        return self._rows.get((device, channel))

    def __len__(self) -> int:
        return len(self._rows)

    def columns(self) -> Batch:
        """All of it as one batch, in no particular order."""
        if not self._rows:
            return Batch.empty()
        keys = np.array(list(self._rows), np.int64)
        rows = list(self._rows.values())
        return Batch.of(
            device=keys[:, 0],
            channel=keys[:, 1],
            time_us=[row[0] for row in rows],
            received_us=[row[1] for row in rows],
            value=[row[2] for row in rows],
            quality=[row[3] for row in rows],
            gateway=[row[4] for row in rows],
        )


class Aggregates:
    """Follows the log; `flush` makes what was followed durable."""

    def __init__(self) -> None:
        self.cursor = 0
        self._hours = Hours()
        self._touched = Latest()
        self.latest = Latest()

    async def load(self, connection: Connection) -> None:
        """Start from what was durable; the caller then feeds every batch after `cursor`."""
        row = await (await connection.execute(QUERIES["reader_cursor"], {"name": READER})).fetchone()
        self.cursor = int(row[0]) if row else 0
        self.latest = await load_latest(connection)

    def take(self, logged: Logged) -> None:
        """Batches must come in order and once; one that was seen is ignored."""
        if logged.id <= self.cursor:
            return
        self.cursor = logged.id
        self._hours.add(logged.batch)
        self._touched.add(logged.batch)
        self.latest.add(logged.batch)

    @property
    def due(self) -> bool:
        """So much is waiting that it should be written before the usual time."""
        return self._hours.rows > HISTORY_ROWS

    async def flush(self, connection: Connection) -> None:
        hours = self._hours.take()
        touched = self._touched.columns()
        self._touched = Latest()
        async with connection.transaction(), connection.cursor() as cursor:
            if len(touched):
                await cursor.execute(QUERIES["create_latest_stage"])
                await copyrows.copy_in(cursor, QUERIES["copy_latest_stage"], copyrows.readings(touched))
                await cursor.execute(QUERIES["merge_latest"])
            if len(hours):
                await cursor.execute(QUERIES["create_hours_stage"])
                await copyrows.copy_in(cursor, QUERIES["copy_hours_stage"], hours)
                await cursor.execute(QUERIES["merge_hours"])
            await cursor.execute(QUERIES["move_reader"], {"name": READER, "cursor": self.cursor})


async def load_latest(connection: Connection) -> Latest:
    rows = await (await connection.execute(QUERIES["all_latest"], binary=True)).fetchall()
    latest = Latest()
    if rows:
        device, channel, time_us, received_us, value, quality, gateway = zip(*rows, strict=True)
        latest.add(
            Batch.of(
                device=device, channel=channel, time_us=time_us, received_us=received_us,
                value=value, quality=quality, gateway=gateway,
            )
        )  # fmt: skip
    return latest


def newest_times(latest: Latest, size: int, point: object) -> NDArray[np.int64]:
    """Last stored time of every dense point number, for `Store.use`."""
    newest = np.full(size, NEVER, np.int64)
    columns = latest.columns()
    points = point(columns.device, columns.channel)  # type: ignore[operator]
    known = points >= 0
    newest[points[known]] = columns.time_us[known]
    return newest
