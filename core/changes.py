"""News travels upward as committed data: a table, a wake-up, and a poll that does not need the wake-up.

`append` writes inside the transaction of what changed. `Feed.read` gives everything after a cursor, in commit
order. NOTIFY only shortens the wait: it carries no data, is sent at most 20 times a second by a process
(it takes a database-wide lock at COMMIT), and may be lost without harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from core.clock import Clock, to_datetime, to_us
from core.db import AWAY, Database, Lock, connect
from core.sql import Queries

QUERIES = Queries.of(__file__)
CHANNEL = "cityops"
NOTIFY_GAP_S = 0.05
POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Change:
    """Something of a topic (`incidents`, `orders` …) is not as it was; `key` is its id."""

    topic: str
    key: str
    body: dict[str, object] = field(default_factory=dict)
    id: int = 0
    at_us: int = 0


async def append(connection: AsyncConnection[object], changes: Sequence[Change], now_us: int) -> None:
    """Record news as the last step of a transaction. The order of ids is the order of commits."""
    if not changes:
        return
    await connection.execute(QUERIES["lock_changes"], {"lock": int(Lock.CHANGES)})
    at = to_datetime(now_us)
    async with connection.cursor() as cursor:
        await cursor.executemany(
            QUERIES["append_change"],
            [{"at": at, "topic": c.topic, "key": c.key, "body": Jsonb(c.body)} for c in changes],
        )


class Bell:
    """Wakes the readers of all processes, at most once every `NOTIFY_GAP_S`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Something was committed. Cheap; may be called for every change."""
        self._rung.set()

    async def run(self) -> None:
        while True:
            await self._rung.wait()
            self._rung.clear()
            try:
                await self._database.execute(b"SELECT pg_notify('cityops', '')")
            except AWAY:
                await asyncio.sleep(POLL_S)  # readers poll; the wake-up is not needed for correctness
            await asyncio.sleep(NOTIFY_GAP_S)


class Feed:
    """Reads the news from a cursor on, for as long as it is iterated, through restarts of the database."""

    def __init__(self, database: Database, cursor: int | None = None) -> None:
        self._database = database
        self.cursor = cursor
        self._wake = asyncio.Event()

    async def start(self) -> int:
        """Put the cursor at the newest change. Read the state after this, then follow: no gap."""
        if self.cursor is None:
            row = await self._database.fetch_one(QUERIES["newest_change"])
            self.cursor = int(row["id"]) if row else 0
        return self.cursor

    async def read(self, limit: int = 1000) -> list[Change]:
        """What came after the cursor, moving it."""
        rows = await self._database.fetch(QUERIES["changes_after"], cursor=await self.start(), limit=limit)
        if rows:
            self.cursor = int(rows[-1]["id"])
        return [Change(r["topic"], r["key"], r["body"], r["id"], to_us(r["at"])) for r in rows]

    async def follow(self) -> AsyncIterator[list[Change]]:
        """Groups of news for ever; an empty group at least every `POLL_S` says that there was none."""
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                try:
                    yield await self.read()
                except AWAY:
                    await asyncio.sleep(POLL_S)
                    continue
                try:
                    await asyncio.wait_for(self._wake.wait(), POLL_S)
                except TimeoutError:
                    continue
                self._wake.clear()
        finally:
            listener.cancel()

    async def _listen(self) -> None:
        while True:
            try:
                async with await connect(self._database.dsn) as connection:
                    await connection.execute(b"LISTEN cityops")
                    async for _ in connection.notifies():
                        self._wake.set()
            except psycopg.OperationalError:
                await asyncio.sleep(POLL_S)


async def prune(database: Database, clock: Clock, keep_s: float = 86_400.0) -> int:
    """Forget news that every reader has long seen."""
    before = to_datetime(clock.now_us() - round(keep_s * 1_000_000))
    return await database.execute(QUERIES["prune_changes"], before=before)
