"""Readings at rest: each key once, first come first kept, in the log in commit order, and nothing half done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import psycopg
import pytest

from core.batch import Batch, Quality
from core.clock import DAY_US, SECOND_US
from core.db import Database, connect
from iot import log
from iot.codecs.frame import Reason
from iot.partitions import ReadingsTable
from iot.readings import DeadLetter, Mark, Store, first_of_each_key
from iot.registry import Registry
from tests.iot.sample import NOW_US, stored_registry


@pytest.fixture
async def registry(database: Database) -> Registry:
    return await stored_registry(database)


@pytest.fixture
async def store(dsn: str, registry: Registry) -> AsyncIterator[Store]:
    opened = await open_store(dsn, registry)
    yield opened
    await opened.close()


async def open_store(dsn: str, registry: Registry, instance: str = "1") -> Store:
    table = ReadingsTable(86_400.0)
    async with await connect(dsn) as connection:
        await table.prepare(connection, "off")
    store = Store(dsn, table, "run", instance)
    store.use(registry)
    await store.connect()
    await store.recall()
    return store


def batch(*rows: tuple[int, int, float], channel: int = 2, quality: int = 0) -> Batch:
    """(device, seconds after NOW, value)."""
    device, seconds, value = zip(*rows, strict=True)
    times = [NOW_US + round(each * SECOND_US) for each in seconds]
    return Batch.of(device=device, channel=channel, time_us=times, value=value, quality=quality, gateway=1)


async def commit(store: Store, what: Batch, number: int, *, unseen: bool = False) -> tuple[int, int, int]:
    """(stored, duplicates, conflicts)."""
    done = await store.commit(what, (), NOW_US, Mark("live", number), unseen=unseen)
    return (len(done.logged.batch) if done.logged else 0, done.duplicates, done.conflicts)


async def readings(database: Database) -> list[tuple[int, int, float, int]]:
    rows = await database.fetch(
        b"SELECT device, (extract(epoch FROM time) * 1000000)::bigint AS t, value, quality FROM readings ORDER BY 1, 2"
    )
    return [(r["device"], (r["t"] - NOW_US) // SECOND_US, r["value"], r["quality"]) for r in rows]


async def test_a_resend_changes_nothing_and_a_contradiction_is_flagged(
    store: Store, database: Database
) -> None:
    assert await commit(store, batch((1, 0, 5.0), (2, 0, 6.0), (1, 60, 7.0)), 1) == (3, 0, 0)
    assert await commit(store, batch((1, 0, 5.0), (2, 0, 6.5), (2, 60, 8.0)), 2) == (1, 1, 1)
    assert await readings(database) == [
        (1, 0, 5.0, 0),
        (1, 60, 7.0, 0),
        (2, 0, 6.0, int(Quality.CONFLICT)),
        (2, 60, 8.0, 0),
    ]
    totals = await database.fetch_one(b"SELECT stored, duplicates, conflicts FROM ingest_totals")
    assert totals == {"stored": 4, "duplicates": 1, "conflicts": 1}


async def test_within_one_batch_the_first_of_a_key_is_kept() -> None:
    kept, duplicates, conflicts = first_of_each_key(batch((2, 0, 1.0), (1, 0, 5.0), (1, 0, 5.0), (1, 0, 6.0)))
    assert kept.device.tolist() == [1, 2]
    assert kept.value.tolist() == [5.0, 1.0]
    assert kept.quality.tolist() == [int(Quality.CONFLICT), 0]
    assert (duplicates, conflicts) == (1, 1)


async def test_late_rows_find_their_place(store: Store, database: Database) -> None:
    await commit(store, batch((1, 100, 1.0)), 1)
    assert await commit(store, batch((1, 50, 2.0), (1, 150, 3.0)), 2) == (2, 0, 0)
    assert await commit(store, batch((1, 75, 4.0)), 3, unseen=True) == (1, 0, 0)
    assert await commit(store, batch((1, 75, 4.0), (1, 80, 5.0)), 4, unseen=True) == (1, 1, 0)
    assert [row[1] for row in await readings(database)] == [50, 75, 80, 100, 150]


async def test_another_worker_may_have_stored_it_first(store: Store, dsn: str, database: Database) -> None:
    other = await open_store(dsn, store.registry or await stored_registry(database), "2")
    await commit(other, batch((1, 0, 5.0), (1, 60, 5.0)), 1)
    assert await commit(store, batch((1, 0, 5.0), (1, 60, 6.0), (1, 120, 7.0)), 1) == (1, 1, 1)
    await other.close()
    assert len(await readings(database)) == 3


async def test_after_a_restart_the_last_times_are_known(store: Store, dsn: str, registry: Registry) -> None:
    await commit(store, batch((1, 100, 1.0), (3, 200, 1.0)), 1)
    fresh = await open_store(dsn, registry)
    newest = {int(registry.device_of[p]): int(t) for p, t in enumerate(fresh._newest) if t > 0}
    assert newest == {1: NOW_US + 100 * SECOND_US, 3: NOW_US + 200 * SECOND_US}
    await fresh.close()


async def test_dead_letters_are_kept_whole_and_counted_by_reason(store: Store, database: Database) -> None:
    dead = [
        DeadLetter(
            "gw-0", "senml", "telemetry/gw-0", 3, Reason.UNKNOWN_UNIT, "d0/temp: \0 \ud800", b"\x00\xff", 2
        ),
        DeadLetter("gw-1", "senml", "", 0, Reason.MALFORMED, "", b"{"),
    ]
    done = await store.commit(Batch.empty(), dead, NOW_US, Mark("live", 1))
    assert done.logged is None
    await store.commit(batch((1, 0, 1.0)), dead[:1], NOW_US, Mark("live", 2))
    rows = await database.fetch(
        b"SELECT gateway, record, reason, payload, refused FROM dead_letters ORDER BY id"
    )
    assert [(r["gateway"], r["record"], r["reason"], bytes(r["payload"]), r["refused"]) for r in rows] == [
        ("gw-0", 3, "unknown_unit", b"\x00\xff", 2),
        ("gw-1", 0, "malformed", b"{", 1),
        ("gw-0", 3, "unknown_unit", b"\x00\xff", 2),
    ]
    totals = await database.fetch_one(b"SELECT refused FROM ingest_totals")
    assert totals == {"refused": {"unknown_unit": 4, "malformed": 1}}


async def test_a_commit_is_whole_or_nothing(store: Store, database: Database) -> None:
    await database.execute(b"ALTER TABLE ingest_totals ADD CHECK (stored < 3)")
    with pytest.raises(psycopg.errors.CheckViolation):
        await commit(store, batch((1, 0, 1.0), (1, 1, 1.0), (1, 2, 1.0)), 1)
    assert await readings(database) == []
    assert not await store.took(Mark("live", 1))
    assert await commit(store, batch((1, 0, 1.0)), 2) == (1, 0, 0)
    assert await store.took(Mark("live", 2))


async def test_every_reader_gets_every_batch_in_commit_order(dsn: str, registry: Registry) -> None:
    stores = [await open_store(dsn, registry, str(n)) for n in range(3)]
    seen: list[int] = []
    total = 3 * 25

    async def write(writer: int) -> None:
        for n in range(25):
            await commit(stores[writer], batch((writer + 1, n, float(n))), n)

    async def read() -> None:
        async with await connect(dsn) as connection:
            cursor = 0
            while len(seen) < total:
                for logged in await log.after(connection, cursor):
                    assert logged.id > cursor
                    cursor = logged.id
                    seen.append(int(logged.batch.device[0]) * 1000 + int(logged.batch.value[0]))

    await asyncio.wait_for(asyncio.gather(read(), *(write(n) for n in range(3))), 60)
    assert sorted(seen) == sorted(1000 * (w + 1) + n for w in range(3) for n in range(25))
    for store in stores:
        await store.close()


async def test_partitions_are_made_for_any_time_that_may_be_stored(store: Store, database: Database) -> None:
    days = np.array([-400, -30, -1, 0, 1])
    what = Batch.of(device=1, channel=2, time_us=NOW_US + days * DAY_US, value=1.0, gateway=1)
    assert await commit(store, what, 1) == (5, 0, 0)
    assert len(await readings(database)) == 5


async def test_partitions_that_were_kept_long_enough_are_dropped_and_no_others(
    store: Store, dsn: str
) -> None:
    span_us = round(store.table.span_s * SECOND_US)
    first = NOW_US // span_us * span_us
    async with await connect(dsn) as connection:
        await store.table.ensure(connection, first + np.arange(4) * span_us)
        gone = await store.table.forget(connection, first + 2 * span_us + 5)
        assert len(gone) == 2
        assert await store.table.forget(connection, first + 2 * span_us + 5) == []
        await store.table.ensure(connection, np.array([first]))
        assert len(await store.table.forget(connection, first + 2 * span_us)) == 1


async def test_a_partition_that_somebody_reads_is_left_for_the_next_time(store: Store, dsn: str) -> None:
    async with await connect(dsn) as connection, await connect(dsn) as reader:
        await store.table.ensure(connection, np.array([NOW_US]))
        async with reader.transaction():
            await reader.execute(b"SELECT count(*) FROM readings")
            assert await store.table.forget(connection, NOW_US + 10 * DAY_US) == []
        assert len(await store.table.forget(connection, NOW_US + 10 * DAY_US)) == 1
