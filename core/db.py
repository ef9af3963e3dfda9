"""Connections to PostgreSQL: a pool for short transactions, and led connections for what there is one of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import IntEnum

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, TupleRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from core.errors import Unavailable


class Lock(IntEnum):
    """Keys of our advisory locks; one list, so that no two parts choose the same."""

    MIGRATE = 7_001
    BATCH_LOG = 7_002
    CHANGES = 7_003
    ENGINE = 7_004
    TIMERS = 7_005
    ROLLUPS = 7_006
    OUTBOX = 7_007


Connection = AsyncConnection[TupleRow]
DictConnection = AsyncConnection[DictRow]
#: The database cannot be had just now: whoever lives on waits and asks again.
AWAY = (psycopg.OperationalError, Unavailable)

#: Options of every session: times are UTC, and an abandoned transaction cannot stall the rest for ever.
OPTIONS = "-c timezone=UTC -c idle_in_transaction_session_timeout=60s"


class Database:
    """A pool whose rows are dicts. Opened in the process's lifespan, closed with it."""

    def __init__(self, dsn: str, size: int = 8) -> None:
        self.dsn = dsn
        self._pool: AsyncConnectionPool[DictConnection] = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=size,
            open=False,
            timeout=10,
            kwargs={"row_factory": dict_row, "options": OPTIONS},
            check=AsyncConnectionPool.check_connection,
        )

    async def open(self) -> None:
        await self._pool.open(wait=True, timeout=30)

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[DictConnection]:
        """A connection inside one transaction: committed when the block ends, rolled back when it raises."""
        try:
            async with self._pool.connection() as connection, connection.transaction():
                yield connection
        except PoolTimeout as away:
            raise Unavailable("error.database_away") from away

    async def fetch(self, query: bytes, **params: object) -> list[DictRow]:
        async with self.transaction() as connection:
            return await (await connection.execute(query, params)).fetchall()

    async def fetch_one(self, query: bytes, **params: object) -> DictRow | None:
        async with self.transaction() as connection:
            return await (await connection.execute(query, params)).fetchone()

    async def execute(self, query: bytes, **params: object) -> int:
        """Run a statement; the number of rows it touched."""
        async with self.transaction() as connection:
            return (await connection.execute(query, params)).rowcount


async def connect(dsn: str) -> Connection:
    """A connection of its own, for COPY and for what is led; autocommit, transactions are explicit."""
    return await AsyncConnection.connect(dsn, autocommit=True, options=OPTIONS)


#: The server ends the session of a leader that says nothing for so long: frozen, or its machine is gone.
FROZEN_S = 6.0


async def lead(connection: Connection, lock: Lock) -> bool:
    """Try to become the one. The lock lives as long as the connection: who lost it cannot write by it.

    Who leads must `pulse`.
    """
    row = await (await connection.execute(b"SELECT pg_try_advisory_lock(%s)", [int(lock)])).fetchone()
    if not (row and row[0]):
        return False
    await connection.execute(f"SET idle_session_timeout = '{FROZEN_S:g}s'".encode())
    return True


async def pulse(connection: Connection) -> None:
    """Say again and again that the leader lives, until the connection is lost."""
    with suppress(psycopg.OperationalError):
        while True:
            if connection.info.transaction_status == TransactionStatus.IDLE:
                with suppress(psycopg.errors.InFailedSqlTransaction):  # one began and failed meanwhile
                    await connection.execute(b"SELECT 1")
            await asyncio.sleep(FROZEN_S / 4)


def connect_sync(dsn: str) -> psycopg.Connection[DictRow]:
    """For the command line and for migrations."""
    return psycopg.connect(dsn, autocommit=True, row_factory=dict_row, options=OPTIONS)
