"""One engine leads; another stands by and takes over soon, and what was replaced cannot write any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from app.bench.kills import append, until_taken
from core import db
from core.clock import SystemClock
from core.db import Lock
from core.metrics import Metrics
from events.feed import Around, EngineFeed, Timing
from tests.events.conftest import City
from tests.events.world import CITY, NOON_US

TAKES_OVER_S = 10.0


def engine(city: City) -> EngineFeed:
    feed = EngineFeed(city.database, CITY, Around(SystemClock(), Timing(), Metrics()))
    feed.use(city.model, city.registry)
    return feed


@asynccontextmanager
async def standing_by(city: City) -> AsyncIterator[EngineFeed]:
    feed = engine(city)
    running = asyncio.create_task(feed.run())
    await asyncio.sleep(0.2)
    assert not feed.leading
    try:
        yield feed
    finally:
        running.cancel()


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_standby_takes_over_within_ten_seconds_and_the_old_leader_cannot_write(
    city: City, dsn: str, how: str
) -> None:
    """Killed: the server sees the connection end. Frozen, or its machine gone: it says nothing, and is cut off."""
    async with await db.connect(dsn) as connection:
        assert await db.lead(connection, Lock.ENGINE)
        old = await engine(city).begin(connection)
        async with standing_by(city) as standby, asyncio.timeout(TAKES_OVER_S):
            if how == "killed":
                await city.database.execute(
                    b"SELECT pg_terminate_backend(%(pid)s)", pid=connection.info.backend_pid
                )
            await append(city.connection, city.batch("ws_pressure_logger-1", "pressure", {0: 0.3}), NOON_US)
            await until_taken(city.database, 1)
            assert standby.leading
            with pytest.raises(psycopg.OperationalError):
                await old.writer.apply([], 2, NOON_US)
    assert await city.database.fetch_one(b"SELECT cursor FROM engine_cursor") == {"cursor": 1}


async def test_a_leader_that_lives_keeps_the_lead_though_it_has_nothing_to_write(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "FROZEN_S", 0.4)
    async with await db.connect(dsn) as connection, await db.connect(dsn) as other:
        assert await db.lead(connection, Lock.ENGINE)
        beating = asyncio.create_task(db.pulse(connection))
        await asyncio.sleep(1.5)
        assert not await db.lead(other, Lock.ENGINE)
        beating.cancel()
        await asyncio.sleep(0.8)
        assert await db.lead(other, Lock.ENGINE)
