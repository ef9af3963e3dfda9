"""Readings at rest: one transaction takes a batch, its dead letters, its place in the batch log and its counts.

The writer is the only one who calls `Store.commit`; readers follow the batch log (`after`) from a cursor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import AsyncCursor
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from core.batch import Batch, Quality
from core.clock import to_datetime
from core.db import Connection, Lock, connect
from core.sql import Queries
from iot import copyrows
from iot.codecs.frame import Reason
from iot.partitions import ReadingsTable
from iot.registry import Registry

QUERIES = Queries.of(__file__)
NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A frame of which something was refused: kept whole, with the first reason, before anything is acknowledged.

    `record`, `reason` and `detail` are those of the first of `count` refused records.
    """

    gateway: str
    source: str
    topic: str
    record: int
    reason: Reason
    detail: str
    payload: bytes
    count: int = 1


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


@dataclass(frozen=True, slots=True)
class Mark:
    """Names one commit for ever: `id` is unique, `lane` is who stores (live, or a lane of the spool)."""

    lane: str
    id: int


@dataclass(slots=True)
class Store:
    """The committing side, on a connection of its own.

    It knows every point's last stored time, so that most batches COPY straight in. Errors of the connection come
    out as `psycopg.OperationalError`; after one, `connect` again and ask `took` before repeating a commit.
    """

    dsn: str
    table: ReadingsTable
    run: str
    instance: str = "1"
    registry: Registry | None = None
    _connection: Connection | None = None
    _newest: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    async def connect(self) -> None:
        """A new connection; the old one is given up."""
        await self.close()
        self._connection = await connect(self.dsn)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def recall(self) -> None:
        """Learn the points' last times from what is stored. Without it every batch would go by the stage first."""
        assert self._connection is not None
        assert self.registry is not None
        known = await load_newest(self._connection)
        self._note(known, self.registry.point(known.device, known.channel))

    async def took(self, mark: Mark) -> bool:
        """Was this commit done? To be asked when a connection broke before it said so."""
        return (await self.marks()).get(mark.lane) == mark.id

    async def marks(self) -> dict[str, int]:
        """Lane → the id of its last commit."""
        assert self._connection is not None
        rows = await self._connection.execute(QUERIES["marks"], {"instance": self.instance})
        return {str(lane): int(last) for lane, last in await rows.fetchall()}

    def use(self, registry: Registry) -> None:
        """Take a new registry snapshot, which keeps the numbers of the points of the last."""
        self.registry = registry
        grown = np.full(registry.size, NEVER, np.int64)
        grown[: len(self._newest)] = self._newest
        self._newest = grown

    async def commit(
        self,
        batch: Batch,
        dead: Sequence[DeadLetter],
        now_us: int,
        mark: Mark,
        *,
        history: bool = False,
        unseen: bool = False,
    ) -> Stored:
        """Store a batch in one transaction. When this returns it is safe; when it raises nothing happened.

        Of rows with one key (device, channel, time) the first is kept; a later one with the same value is a
        duplicate, with another value a conflict, counted and flagged on what is stored.
        `unseen`: these rows are most likely new although they are not the newest (a spool is drained).
        """
        assert self.registry is not None
        batch, doubled, doubled_conflicts = first_of_each_key(batch)
        points = self.registry.point(batch.device, batch.channel)
        fresh = points >= 0  # a device that is registered no more goes by the stage
        if not unseen and len(self._newest):
            fresh &= batch.time_us > self._newest[points]
        try:
            stored = await self._transaction(batch, fresh, dead, now_us, mark, history=history)
        except psycopg.errors.UniqueViolation:
            # one of these is stored already, by a resend or by another worker: the stage finds out which
            stored = await self._transaction(
                batch, np.zeros(len(batch), bool), dead, now_us, mark, history=history
            )
        self._note(batch, points)
        return Stored(stored.logged, stored.duplicates + doubled, stored.conflicts + doubled_conflicts)

    def _note(self, batch: Batch, points: NDArray[np.int32]) -> None:
        known = points >= 0
        np.maximum.at(self._newest, points[known], batch.time_us[known])

    async def _transaction(
        self,
        batch: Batch,
        fresh: NDArray[np.bool_],
        dead: Sequence[DeadLetter],
        now_us: int,
        mark: Mark,
        *,
        history: bool,
    ) -> Stored:
        connection = self._connection
        if connection is None:
            raise psycopg.OperationalError("not connected")
        now = to_datetime(now_us)
        await self.table.ensure(connection, batch.time_us)
        async with connection.transaction(), connection.cursor(binary=True) as cursor:
            if fresh.any():
                rows = copyrows.readings(batch if fresh.all() else batch.take(fresh))
                await copyrows.copy_in(cursor, QUERIES["copy_readings"], rows)
            new, conflicts = await self._stage(cursor, batch, ~fresh)
            stored = batch if new.all() else batch.take(new)
            if dead:
                await _copy_dead(cursor, dead, now)
            duplicates = len(batch) - len(stored) - conflicts
            refused: Counter[str] = Counter()
            for letter in dead:
                refused[letter.reason.value] += letter.count
            await cursor.execute(
                QUERIES["keep_batch"],
                {
                    "run": self.run, "instance": self.instance, "lane": mark.lane, "mark": mark.id,
                    "stored": len(stored), "duplicates": duplicates, "conflicts": conflicts,
                    "refused": Jsonb(dict(refused)), "lock": int(Lock.BATCH_LOG), "at": now, "history": history,
                    "payload": stored.to_bytes(),
                },
            )  # fmt: skip
            row = await cursor.fetchone()
        assert row is not None
        number, previous = row
        logged = None if number is None else Logged(int(number), stored, history, int(previous))
        return Stored(logged, duplicates, conflicts)

    async def _stage(
        self, cursor: AsyncCursor[TupleRow], batch: Batch, rows: NDArray[np.bool_]
    ) -> tuple[NDArray[np.bool_], int]:
        """Send rows that may be known through the stage: which rows of the batch are new, and how many conflict."""
        new = ~rows
        if not rows.any():
            return new, 0
        await cursor.execute(QUERIES["create_stage"])
        staged = batch.take(rows)
        await copyrows.copy_in(cursor, QUERIES["copy_stage"], copyrows.readings(staged))
        await cursor.execute(QUERIES["insert_from_stage"])
        inserted = set(await cursor.fetchall())
        keys = zip(staged.device.tolist(), staged.channel.tolist(), staged.time_us.tolist(), strict=True)
        new[rows] = [key in inserted for key in keys]
        conflicts = 0
        if len(inserted) < len(staged):
            await cursor.execute(QUERIES["flag_conflicts"])
            conflicts = cursor.rowcount
        await cursor.execute(b"TRUNCATE readings_stage")
        return new, conflicts


async def _copy_dead(cursor: AsyncCursor[TupleRow], dead: Sequence[DeadLetter], now: datetime) -> None:
    async with cursor.copy(QUERIES["copy_dead_letters"]) as copy:
        copy.set_types(["timestamptz", "text", "text", "text", "int4", "text", "text", "bytea", "int4"])
        for letter in dead:
            await copy.write_row(
                (
                    now, _storable(letter.gateway), letter.source, _storable(letter.topic), letter.record,
                    letter.reason.value, _storable(letter.detail), letter.payload, letter.count,
                )
            )  # fmt: skip


def _storable(text: str) -> str:
    """PostgreSQL keeps no NUL in text, and UTF-8 has no lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


async def load_newest(connection: Connection) -> Batch:
    """The last stored reading of every point: the table `latest`, and what the log has after it."""
    cursor = await (await connection.execute(QUERIES["reader_cursor"], {"name": "aggregates"})).fetchone()
    parts = [await copyrows.copy_out(connection, QUERIES["copy_latest_out"])]
    after = int(cursor[0]) if cursor else 0
    while True:
        found = await (
            await connection.execute(QUERIES["batches_after"], {"cursor": after, "limit": 100}, binary=True)
        ).fetchall()
        if not found:
            return Batch.concat(parts)
        parts += [Batch.from_bytes(payload) for _, _, payload in found]
        after = int(found[-1][0])


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
