"""Connections of what there is one of: who holds the lock works, and writes through the connection that holds it."""

from __future__ import annotations

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from core.db import OPTIONS, DictConnection, Lock


async def connect(dsn: str) -> DictConnection:
    """A connection of its own whose rows are dicts; transactions are explicit."""
    return await AsyncConnection.connect(dsn, autocommit=True, options=OPTIONS, row_factory=dict_row)


async def leads(connection: DictConnection, lock: Lock) -> bool:
    """Try to become the one; the lock lives as long as the connection."""
    row = await (await connection.execute(b"SELECT pg_try_advisory_lock(%s) AS won", [int(lock)])).fetchone()
    return bool(row and row["won"])
