"""News: in commit order, none missed, with or without the wake-up."""

from __future__ import annotations

import asyncio

import pytest

from core import changes
from core.changes import Change, Feed
from core.db import Database


async def test_a_reader_gets_everything_after_its_cursor_in_order(database: Database) -> None:
    feed = Feed(database)
    await feed.start()
    for number in range(5):
        async with database.transaction() as connection:
            await changes.append(connection, [Change("alerts", str(number), {"n": number})], 1_000_000)
    assert [change.key for change in await feed.read()] == ["0", "1", "2", "3", "4"]
    assert await feed.read() == []


async def test_no_change_is_missed_when_transactions_commit_out_of_order(database: Database) -> None:
    feed = Feed(database)
    await feed.start()
    seen: list[str] = []
    writing = True

    async def write(writer: int) -> None:
        for number in range(30):
            async with database.transaction() as connection:
                await changes.append(connection, [Change("alerts", f"{writer}/{number}")], 1_000_000)
                await asyncio.sleep(0.001 * (writer % 3))

    async def read() -> None:
        while writing:
            seen.extend(change.key for change in await feed.read())
            await asyncio.sleep(0)

    reader = asyncio.create_task(read())
    await asyncio.gather(*(write(writer) for writer in range(4)))
    writing = False
    await reader
    seen.extend(change.key for change in await feed.read())
    assert len(seen) == len(set(seen)) == 120


async def test_a_rolled_back_change_is_no_news(database: Database) -> None:
    feed = Feed(database)
    await feed.start()
    with pytest.raises(RuntimeError):
        async with database.transaction() as connection:
            await changes.append(connection, [Change("alerts", "never")], 1_000_000)
            raise RuntimeError
    assert await feed.read() == []
