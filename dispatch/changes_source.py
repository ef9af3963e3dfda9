"""Reading the news through the desk's own connection, from a cursor that is stored with what it led to."""

from __future__ import annotations

from core import changes
from core.changes import Change
from core.clock import to_us
from core.db import DictConnection
from dispatch import store


async def cursor(connection: DictConnection, reader: str) -> int | None:
    """Where a reader is; None when it never read."""
    found = await store.row(connection, "reader_cursor", name=reader)
    return int(found["cursor"]) if found else None


async def newest(connection: DictConnection) -> int:
    row = await (await connection.execute(changes.QUERIES["newest_change"])).fetchone()
    return int(row["id"]) if row else 0


async def after(connection: DictConnection, reader: str, limit: int) -> list[Change]:
    """What came after the reader's cursor, in commit order."""
    at = await cursor(connection, reader) or 0
    found = await (
        await connection.execute(changes.QUERIES["changes_after"], {"cursor": at, "limit": limit})
    ).fetchall()
    return [Change(r["topic"], r["key"], r["body"], r["id"], to_us(r["at"])) for r in found]


async def move(connection: DictConnection, reader: str, to: int) -> None:
    await store.run(connection, "move_reader", name=reader, cursor=to)
