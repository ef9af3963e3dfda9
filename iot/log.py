"""Following the batch log: every batch, in commit order, once; through memory when it is the next one anyway.

One mechanism serves one process, several writers, a restart after `kill -9` and a standby: whoever follows keeps
a cursor, and what memory does not give is read from the table.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import psycopg

from core.batch import Batch
from core.db import Connection, connect
from core.sql import Queries
from iot.readings import Logged

QUERIES = Queries.of(__file__)
#: Without a hand-over the log is asked this often; another process's batch is seen this late at most.
POLL_S = 0.25
#: A reader that lags more rows than this behind the writer reads from the table instead of holding memory.
HELD_ROWS = 400_000
#: Batches that are read from the table at a stroke.
AT_ONCE = 20


class BatchFeed:
    """One follower of the log. `offer` is the writer's side, `follow` the reader's."""

    def __init__(self, dsn: str, cursor: int, poll_s: float = POLL_S) -> None:
        self.cursor = cursor
        self._poll_s = poll_s
        self._dsn = dsn
        self._offered: deque[Logged] = deque()
        self._held = 0
        self._wake = asyncio.Event()

    def offer(self, logged: Logged) -> None:
        """Hand over a batch that this process has just committed. Never waits; never required."""
        self._offered.append(logged)
        self._held += len(logged.batch)
        while self._held > HELD_ROWS and len(self._offered) > 1:
            self._held -= len(self._offered.popleft().batch)
        self._wake.set()

    @property
    def lag_rows(self) -> int:
        return self._held

    async def follow(self) -> AsyncIterator[list[Logged]]:
        """Groups of batches after the cursor, for ever; an empty group at least every `poll_s`.

        Survives the loss of the database: it goes on where it was.
        """
        connection: Connection | None = None
        ask = (
            True  # the table: at first, where memory has a gap, and when nothing was handed over for a while
        )
        try:
            while True:
                self._wake.clear()
                group = self._from_memory()
                if not group and (ask or self._offered):
                    try:
                        connection = connection or await connect(self._dsn)
                        group = await after(connection, self.cursor)
                    except psycopg.OperationalError:
                        connection = None
                        await asyncio.sleep(self._poll_s)
                if group:
                    self.cursor = group[-1].id
                yield group
                ask = len(group) == AT_ONCE  # there may be more
                if not group and not self._offered:
                    try:
                        await asyncio.wait_for(self._wake.wait(), self._poll_s)
                    except TimeoutError:
                        ask = True
        finally:
            if connection is not None:
                await connection.close()

    def _from_memory(self) -> list[Logged]:
        group: list[Logged] = []
        cursor = self.cursor
        while self._offered:
            first = self._offered[0]
            if first.id > cursor and first.previous > cursor:
                break  # somebody else's batch lies between: read the table
            self._offered.popleft()
            self._held -= len(first.batch)
            if first.id > cursor:
                group.append(first)
                cursor = first.id
        return group


async def after(connection: Connection, cursor: int, limit: int = AT_ONCE) -> list[Logged]:
    """The batches that were committed after a cursor, oldest first."""
    rows = await (
        await connection.execute(QUERIES["batches_after"], {"cursor": cursor, "limit": limit}, binary=True)
    ).fetchall()
    return [Logged(number, Batch.from_bytes(payload), history) for number, history, payload in rows]


async def newest(connection: Connection) -> int:
    row = await (await connection.execute(QUERIES["newest_batch"])).fetchone()
    return int(row[0]) if row else 0
