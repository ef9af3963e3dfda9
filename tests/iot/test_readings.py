"""Readings at rest: each key once, first come first kept, in the log in commit order, and nothing half done.

The same tests on partitions and on TimescaleDB; what needs several backends at once, on PostgreSQL only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import numpy as np
import psycopg
import pytest
from numpy.typing import NDArray

from app.postgres import EmbeddedPostgres
from core.batch import Batch, Quality
from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from core.db import Database, connect
from iot import log, views
from iot.aggregate import Aggregates
from iot.codecs.frame import Reason
from iot.partitions import ReadingsTable
from iot.readings import DeadLetter, Mark, Store, first_of_each_key
from iot.registry import Registry
from tests.conftest import fresh_database
from tests.iot.sample import NOW_US, stored_registry

#: What needs several backends at once, which TimescaleDB in WebAssembly has not.
SEVERAL = pytest.mark.parametrize("dsn", ["partitions"], indirect=True)
TIMESCALE = pytest.mark.parametrize("dsn", ["timescale"], indirect=True)
Table = list[tuple[int, float, float, float, int]]
ZONE = "Asia/Shanghai"
POINT = (1, 2)


@pytest.fixture(params=["partitions", "timescale"])
def dsn(request: pytest.FixtureRequest) -> str:
    """A database of its own on each store."""
    name = "postgres_dsn" if request.param == "partitions" else "timescale_dsn"
    found = request.getfixturevalue(name)
    assert isinstance(found, str)
    return found


@pytest.fixture
def postgres_dsn(postgres: EmbeddedPostgres) -> Iterator[str]:
    with fresh_database(postgres) as made:
        yield made


@pytest.fixture
async def registry(database: Database) -> Registry:
    return await stored_registry(database)


@pytest.fixture
async def store(dsn: str, registry: Registry) -> AsyncIterator[Store]:
    opened = await open_store(dsn, registry)
    yield opened
    await opened.close()


async def open_store(dsn: str, registry: Registry, instance: str = "1") -> Store:
    table = ReadingsTable(86_400.0, ZONE)
    async with await connect(dsn) as connection:
        await table.prepare(connection, "auto")
    store = Store(dsn, table, "run", instance)
    store.use(registry)
    await store.connect()
    await store.recall()
    return store


def batch(*rows: tuple[int, float, float], channel: int = 2, quality: int = 0) -> Batch:
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


@SEVERAL
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


async def test_what_was_kept_long_enough_is_forgotten_and_nothing_else(
    store: Store, dsn: str, database: Database
) -> None:
    day = NOW_US // DAY_US * DAY_US
    for number in range(2):
        what = Batch.of(device=1, channel=2, time_us=day + np.arange(4) * DAY_US, value=1.0, gateway=1)
        await commit(store, what, number)
        async with await connect(dsn) as connection:
            gone = await store.table.forget(connection, day + 2 * DAY_US + 5)
            assert len(gone) == 2
            assert len(await readings(database)) == 2
            assert await store.table.forget(connection, day + 2 * DAY_US + 5) == []
        assert await commit(store, batch((1, 0, 1.0)), 10 + number) == (1, 0, 0)
        await database.execute(b"DELETE FROM readings")


@SEVERAL
async def test_a_partition_that_somebody_reads_is_left_for_the_next_time(store: Store, dsn: str) -> None:
    async with await connect(dsn) as connection, await connect(dsn) as reader:
        await store.table.ensure(connection, np.array([NOW_US]))
        async with reader.transaction():
            await reader.execute(b"SELECT count(*) FROM readings")
            assert await store.table.forget(connection, NOW_US + 10 * DAY_US) == []
        assert len(await store.table.forget(connection, NOW_US + 10 * DAY_US)) == 1


def expected(times: NDArray[np.int64], values: NDArray[np.float64], bucket_us: int, shift_us: int) -> Table:
    """(bucket's begin, mean, lowest, highest, how many) of each bucket."""
    begins = (times + shift_us) // bucket_us * bucket_us - shift_us
    groups = [values[begins == begin] for begin in np.unique(begins)]
    sums = [(float(g.mean()), float(g.min()), float(g.max()), len(g)) for g in groups]
    return [(int(begin), *each) for begin, each in zip(np.unique(begins), sums, strict=True)]


async def summed(database: Database, bucket: views.Bucket, begin_us: int) -> Table:
    found = await views.series(database, POINT, begin_us, NOW_US + DAY_US, bucket, zone=ZONE)
    assert found.low is not None
    assert found.high is not None
    assert found.n is not None
    columns = (found.time_us, found.value, found.low, found.high, found.n)
    return list(zip(*(column.tolist() for column in columns), strict=True))


async def test_minutes_hours_and_days_are_right_also_after_late_readings(
    store: Store, dsn: str, database: Database, registry: Registry
) -> None:
    """Partitions: hours by our own reader, the rest when asked; TimescaleDB: its continuous aggregates."""
    begin_us = (NOW_US // DAY_US - 3) * DAY_US - 8 * HOUR_US  # midnight in the city
    rng = np.random.default_rng(1)
    times = (
        np.sort(rng.choice(3 * DAY_US // (20 * SECOND_US), 3000, replace=False)) * 20 * SECOND_US + begin_us
    )
    values = rng.integers(0, 1000, len(times)).astype(float)
    late = rng.random(len(times)) < 0.1
    aggregates = Aggregates(registry)
    async with await connect(dsn) as connection:
        await aggregates.load(connection)
        for number, rows in enumerate((~late, late)):
            what = Batch.of(device=1, channel=2, time_us=times[rows], value=values[rows], gateway=1)
            done = await store.commit(what, (), NOW_US, Mark("live", number))
            assert done.logged is not None
            aggregates.take(done.logged)
            await aggregates.flush(connection)
            await store.table.roll_up(connection, begin_us, NOW_US)
    assert await summed(database, "1m", begin_us) == expected(times, values, MINUTE_US, 0)
    assert await summed(database, "1h", begin_us) == expected(times, values, HOUR_US, 0)
    assert await summed(database, "1d", begin_us) == expected(times, values, DAY_US, 8 * HOUR_US)


async def test_hours_outlive_their_readings(
    store: Store, dsn: str, database: Database, registry: Registry
) -> None:
    aggregates = Aggregates(registry)
    async with await connect(dsn) as connection:
        await aggregates.load(connection)
        for number, days in enumerate((20, 1)):
            done = await store.commit(batch((1, -days * 86_400, 5.0)), (), NOW_US, Mark("live", number))
            assert done.logged is not None
            aggregates.take(done.logged)
        await aggregates.flush(connection)
        await store.table.roll_up(connection, NOW_US - 30 * DAY_US, NOW_US)
        assert await store.table.forget(connection, NOW_US - 10 * DAY_US)
        await store.table.roll_up(connection, NOW_US - 9 * DAY_US, NOW_US)
    assert len(await readings(database)) == 1
    assert [row[1:] for row in await summed(database, "1h", NOW_US - 30 * DAY_US)] == [(5.0, 5.0, 5.0, 1)] * 2


@TIMESCALE
async def test_what_is_packed_takes_late_rows_and_contradictions_and_is_packed_again(
    store: Store, dsn: str, database: Database
) -> None:
    old = [-10 * 86_400 + second for second in range(500)]
    await commit(store, batch(*((1, second, 5.0) for second in old)), 1)

    async def packed() -> list[bool]:
        async with await connect(dsn) as connection:
            await store.table.pack(connection, NOW_US - 7 * DAY_US)
        rows = await database.fetch(
            b"SELECT is_compressed FROM timescaledb_information.chunks"
            b" WHERE hypertable_schema = current_schema() AND hypertable_name = 'readings'"
        )
        return [row["is_compressed"] for row in rows]

    assert await packed() == [True]
    more = batch((1, old[0], 5.0), (1, old[1], 6.0), (1, old[2] + 0.5, 7.0), (1, 0, 8.0))
    assert await commit(store, more, 2) == (2, 1, 1)
    assert sorted(await packed()) == [False, True]
    assert len(await readings(database)) == 502
    assert [row for row in await readings(database) if row[3]] == [(1, old[1], 5.0, int(Quality.CONFLICT))]


@TIMESCALE
async def test_a_hypertable_stays_one_and_its_days_follow_the_city(
    store: Store, dsn: str, database: Database
) -> None:
    midnight_us = NOW_US // DAY_US * DAY_US
    await commit(store, Batch.of(device=1, channel=2, time_us=midnight_us, value=1.0, gateway=1), 1)
    assert (await summed(database, "1d", midnight_us - DAY_US))[0][0] == midnight_us - 8 * HOUR_US
    moved = ReadingsTable(86_400.0, "UTC")
    async with await connect(dsn) as connection:
        await moved.prepare(connection, "off")
    assert moved.timescale
    assert (await summed(database, "1d", midnight_us - DAY_US))[0][0] == midnight_us


@SEVERAL
async def test_a_follower_takes_what_is_handed_over_and_reads_what_is_not(store: Store, dsn: str) -> None:
    """Every batch once and in order, whether this process hands it over, forgets to, or another one wrote it."""
    seen: list[int] = []
    feed = log.BatchFeed(dsn, 0)

    async def follow() -> None:
        async for group in feed.follow():
            seen.extend(int(logged.batch.value[0]) for logged in group)
            if len(seen) == 30:
                return

    following = asyncio.create_task(follow())
    for n in range(30):
        done = await store.commit(batch((1, n, float(n))), (), NOW_US, Mark("live", n))
        assert done.logged is not None
        if n % 3 and n != 29:
            feed.offer(done.logged)
    await asyncio.wait_for(following, 20)
    assert seen == list(range(30))
