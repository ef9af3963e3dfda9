"""Readings at rest: one transaction takes a batch, its dead letters, its place in the batch log and its counts.

The writer is the only one who calls `Store.commit`; readers follow the batch log (`after`) from a cursor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from core.batch import Batch, Quality
from core.clock import to_datetime
from core.db import Connection, Lock
from core.sql import Queries
from iot import copyrows
from iot.codecs.frame import Reason
from iot.partitions import ReadingsTable
from iot.registry import Registry

QUERIES = Queries.of(__file__)
NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused record: kept whole, with its reason, before anything is acknowledged."""

    gateway: str
    source: str
    record: int
    reason: Reason
    detail: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Logged:
    """A batch in the log: its id is its place in commit order, `previous` the id before it (-1 unknown)."""

    id: int
    batch: Batch
    history: bool = False
    previous: int = -1


@dataclass(frozen=True, slots=True)
class Stored:
    """What a commit did. `logged` is None when no row was new."""

    logged: Logged | None
    duplicates: int = 0
    conflicts: int = 0


@dataclass(slots=True)
class Store:
    """The committing side. `newest` knows every point's last stored time, so that most batches COPY straight in."""

    connection: Connection
    table: ReadingsTable
    run: str
    instance: str = "1"
    registry: Registry | None = None
    _newest: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def use(self, registry: Registry, newest: NDArray[np.int64]) -> None:
        """Take a registry snapshot and the last times of its points (`NEVER` where nothing is stored)."""
        self.registry = registry
        grown = np.full(registry.size, NEVER, np.int64)
        grown[: len(newest)] = newest
        overlap = min(len(self._newest), len(grown))
        grown[:overlap] = np.maximum(grown[:overlap], self._newest[:overlap])
        self._newest = grown

    async def commit(
        self, batch: Batch, dead: Sequence[DeadLetter], now_us: int, *, history: bool = False
    ) -> Stored:
        """Store a batch in one transaction. When this returns it is safe; when it raises nothing happened.

        Of rows with one key (device, channel, time) the first is kept; a later one with the same value is a
        duplicate, with another value a conflict, counted and flagged on what is stored.
        """
        assert self.registry is not None
        batch, doubled, doubled_conflicts = first_of_each_key(batch)
        points = self.registry.point(batch.device, batch.channel)
        fresh = batch.time_us > self._newest[points]
        try:
            stored = await self._transaction(batch, fresh, dead, now_us, history=history)
        except psycopg.errors.UniqueViolation:
            # another worker stored one of these before us: let the stage find out which
            stored = await self._transaction(batch, np.zeros(len(batch), bool), dead, now_us, history=history)
        if len(batch):
            np.maximum.at(self._newest, points, batch.time_us)
        return Stored(stored.logged, stored.duplicates + doubled, stored.conflicts + doubled_conflicts)

    async def _transaction(
        self,
        batch: Batch,
        fresh: NDArray[np.bool_],
        dead: Sequence[DeadLetter],
        now_us: int,
        *,
        history: bool,
    ) -> Stored:
        connection = self.connection
        now = to_datetime(now_us)
        await self.table.ensure(connection, batch.time_us)
        async with connection.transaction():
            async with connection.cursor() as cursor:
                if fresh.any():
                    rows = copyrows.readings(batch.take(fresh))
                    await copyrows.copy_in(cursor, QUERIES["copy_readings"], rows)
            new, conflicts = await self._stage(batch, ~fresh)
            stored = batch if new.all() else batch.take(new)
            for letter in dead:
                await connection.execute(
                    QUERIES["insert_dead_letter"],
                    {
                        "at": now, "gateway": letter.gateway, "source": letter.source, "record": letter.record,
                        "reason": letter.reason.value, "detail": letter.detail, "payload": letter.payload,
                    },
                )  # fmt: skip
            duplicates = len(batch) - len(stored) - conflicts
            refused = Counter(letter.reason.value for letter in dead)
            await connection.execute(
                QUERIES["add_totals"],
                {
                    "run": self.run, "instance": self.instance, "stored": len(stored),
                    "duplicates": duplicates, "conflicts": conflicts, "refused": Jsonb(dict(refused)),
                },
            )  # fmt: skip
            logged = None
            if len(stored):
                await connection.execute(QUERIES["lock_batches"], {"lock": int(Lock.BATCH_LOG)})
                row = await (
                    await connection.execute(
                        QUERIES["append_batch"],
                        {"at": now, "rows": len(stored), "history": history, "payload": stored.to_bytes()},
                        binary=True,
                    )
                ).fetchone()
                assert row is not None
                logged = Logged(int(row[0]), stored, history, int(row[1]))
        return Stored(logged, duplicates, conflicts)

    async def _stage(self, batch: Batch, rows: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
        """Send rows that may be known through the stage: which rows of the batch are new, and how many conflict."""
        new = ~rows
        if not rows.any():
            return new, 0
        connection = self.connection
        await connection.execute(QUERIES["create_stage"])
        staged = batch.take(rows)
        async with connection.cursor() as cursor:
            await copyrows.copy_in(cursor, QUERIES["copy_stage"], copyrows.readings(staged))
            inserted = {
                tuple(r) for r in await (await cursor.execute(QUERIES["insert_from_stage"])).fetchall()
            }
            keys = zip(staged.device.tolist(), staged.channel.tolist(), staged.time_us.tolist(), strict=True)
            new[rows] = [key in inserted for key in keys]
            conflicts = 0
            if len(inserted) < len(staged):
                conflicts = len(await (await cursor.execute(QUERIES["flag_conflicts"])).fetchall())
            await cursor.execute(b"TRUNCATE readings_stage")
        return new, conflicts


def first_of_each_key(batch: Batch) -> tuple[Batch, int, int]:
    """Sort by (device, channel, time) and keep the first of equal keys; numbers of duplicates and of conflicts.

    A kept row that met another value is flagged as conflict.
    """
    ordered = batch.take(batch.order())
    if len(ordered) < 2:
        return ordered, 0, 0
    same = (
        (ordered.device[1:] == ordered.device[:-1])
        & (ordered.channel[1:] == ordered.channel[:-1])
        & (ordered.time_us[1:] == ordered.time_us[:-1])
    )
    if not same.any():
        return ordered, 0, 0
    first = np.concatenate(([True], ~same))
    group = np.cumsum(first) - 1
    leader = np.flatnonzero(first)[group]
    differs = ordered.value != ordered.value[leader]
    quality = ordered.quality.copy()
    quality[np.unique(leader[differs])] |= np.uint16(Quality.CONFLICT)
    marked = Batch(
        ordered.device,
        ordered.channel,
        ordered.time_us,
        ordered.received_us,
        ordered.value,
        quality,
        ordered.gateway,
    )
    conflicts = int(differs.sum())
    return marked.take(first), len(ordered) - int(first.sum()) - conflicts, conflicts
