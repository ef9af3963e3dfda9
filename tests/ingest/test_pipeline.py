"""The pipeline through the bad days: a database that goes away, a full spool, a connection that breaks in COMMIT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from core.batch import Batch
from core.clock import SECOND_US
from core.db import Database
from ingest.assemble import Assembler
from ingest.intake import BatchSize
from ingest.spool import Entry, Spool
from iot import registry_store
from iot.codecs import senml
from iot.codecs.frame import Parcel, Reason, Refusal
from iot.readings import DeadLetter, Mark, Store, Stored
from iot.registry import Registry
from iot.registry_store import DeviceRow
from tests.ingest.house import House
from tests.ingest.wire import Client
from tests.iot.sample import NOW_US, catalogue, stored_registry


@dataclass
class Slip:
    """A receipt that remembers."""

    settled: asyncio.Event = field(default_factory=asyncio.Event)
    accepted: int = -1
    refused: Sequence[Refusal] = ()

    def settle(self, accepted: int, refused: Sequence[Refusal]) -> None:
        assert self.accepted < 0, "settled twice"
        self.accepted, self.refused = accepted, refused
        self.settled.set()


@pytest.fixture
async def registry(database: Database) -> Registry:
    return await stored_registry(database)


@pytest.fixture
async def house(dsn: str, registry: Registry, tmp_path: Path) -> AsyncIterator[House]:
    async with House(dsn, registry, tmp_path) as opened:
        yield opened


def put(
    house: House, seconds: float, name: str = "d0/pressure", value: float = 1.0, *, history: bool = False
) -> Slip:
    slip = Slip()
    pack = senml.encode([(name, "", NOW_US + round(seconds * SECOND_US), value)])
    house.intake.put(Parcel("gw-0", "senml", [pack], NOW_US, slip, "telemetry/gw-0", history))
    return slip


async def settled(*slips: Slip) -> None:
    await asyncio.wait_for(asyncio.gather(*(slip.settled.wait() for slip in slips)), 20)


async def stored(database: Database) -> list[int]:
    rows = await database.fetch(b"SELECT extract(epoch FROM time)::bigint AS t FROM readings ORDER BY time")
    return [r["t"] - NOW_US // SECOND_US for r in rows]


class Switch:
    """Takes the database away from everybody and gives it back."""

    def __init__(self, house: House, database: Database) -> None:
        self.house = house
        self.database = database
        self.name = psycopg.conninfo.conninfo_to_dict(house.dsn)["dbname"]
        self.admin = house.dsn.replace(str(self.name), "postgres")

    async def off(self) -> None:
        await self.database.close()
        await self._allow(can=False)

    async def on(self) -> None:
        await self._allow(can=True)

    async def _allow(self, *, can: bool) -> None:
        async with await psycopg.AsyncConnection.connect(self.admin, autocommit=True) as connection:
            name = sql.Identifier(str(self.name))
            state = sql.SQL("true" if can else "false")
            await connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, state))
            if not can:
                await connection.execute(
                    b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self.name]
                )


@pytest.fixture
async def switch(house: House, database: Database) -> Switch:
    return Switch(house, database)


async def count_of(dsn: str, query: bytes) -> int:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute(query)).fetchone()
        assert row is not None
        return int(row[0])


async def test_while_the_database_is_away_the_spool_keeps_and_acknowledges(
    house: House, switch: Switch, dsn: str
) -> None:
    before = [put(house, n) for n in range(5)]
    await settled(*before)
    await switch.off()
    during = [put(house, n) for n in range(5, 30)]
    bad = put(house, 0, "d0/nothing")
    await settled(*during, bad)
    assert len(bad.refused) == 1
    assert house.spool.size > 0
    assert not house.pipeline.database_up
    await switch.on()
    after = [put(house, n) for n in range(30, 35)]
    await settled(*after)
    await house.drained()
    assert not list(house.folder.rglob("*.seg"))
    assert await count_of(dsn, b"SELECT count(*) FROM readings") == 35
    assert await count_of(dsn, b"SELECT count(*) FROM dead_letters") == 1
    assert house.rows == 35
    assert house.metrics.gauges["spool_bytes"] == 0


async def test_life_safety_readings_are_drained_first(house: House, switch: Switch, dsn: str) -> None:
    await settled(put(house, 0))
    await switch.off()
    slips = []
    for n in range(1, 20):
        slips.append(put(house, n, "gas/ch4" if n % 4 == 0 else "d0/pressure"))
        await settled(*slips)
    await switch.on()
    await house.drained()
    gas = house.registry.devices["gas"].number
    devices = [set(logged.batch.device.tolist()) for logged in house.logged[1:]]
    assert devices[0] == {gas}
    assert all(gas not in each for each in devices[1:])
    assert sum(len(logged.batch) for logged in house.logged) == 20


async def test_a_full_spool_stops_acknowledging_and_loses_nothing(
    dsn: str, registry: Registry, database: Database, tmp_path: Path
) -> None:
    async with House(dsn, registry, tmp_path, spool_bytes=600, batch=BatchSize(frames=1)) as house:
        await settled(put(house, 0))
        switch = Switch(house, database)
        await switch.off()
        slips = [put(house, n) for n in range(1, 40)]
        for _ in range(100):
            if house.pipeline.blocked:
                break
            await asyncio.sleep(0.02)
        assert house.pipeline.blocked
        assert house.metrics.gauges["ingest_blocked"] == 1
        told = sum(slip.settled.is_set() for slip in slips)
        assert 0 < told < 39
        await asyncio.sleep(0.7)
        assert sum(slip.settled.is_set() for slip in slips) == told
        await switch.on()
        await settled(*slips)
        assert not house.pipeline.blocked
        await house.drained()
        assert await count_of(dsn, b"SELECT count(*) FROM readings") == 40


async def test_a_process_that_dies_leaves_its_spool_to_the_next(
    dsn: str, registry: Registry, database: Database, tmp_path: Path
) -> None:
    async with House(dsn, registry, tmp_path) as house:
        switch = Switch(house, database)
        await switch.off()
        await settled(*[put(house, n) for n in range(10)], put(house, 5, "d0/nothing"))
    await switch.on()
    async with House(dsn, registry, tmp_path) as house:
        await settled(put(house, 10))
        await house.drained()
        assert house.rows == 11
    assert await count_of(dsn, b"SELECT count(*) FROM readings") == 11


class Breaking(Store):
    """A store whose connection breaks once, around a COMMIT."""

    __slots__ = ("breaks",)

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
        moment, self.breaks = getattr(self, "breaks", ""), ""
        if moment == "before":
            await self.close()
            raise psycopg.OperationalError("the connection broke")
        done = await super().commit(batch, dead, now_us, mark, history=history, unseen=unseen)
        if moment == "after":
            await self.close()
            raise psycopg.OperationalError("the connection broke")
        return done


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_connection_that_breaks_around_commit_neither_loses_nor_doubles(
    dsn: str, registry: Registry, tmp_path: Path, database: Database, moment: str
) -> None:
    async with House(dsn, registry, tmp_path, store_type=Breaking) as house:
        await settled(put(house, 0))
        assert isinstance(house.store, Breaking)
        house.store.breaks = moment
        await settled(put(house, 1), put(house, 0, "d0/nothing"))
        await settled(put(house, 2))
        await house.drained()
    assert await stored(database) == [0, 1, 2]
    totals = await database.fetch_one(b"SELECT stored, duplicates, refused FROM ingest_totals")
    assert totals == {"stored": 3, "duplicates": 0, "refused": {"unknown_channel": 1}}
    letters = await database.fetch_one(b"SELECT count(*) AS n FROM dead_letters")
    assert letters == {"n": 1}


async def test_a_drained_entry_that_was_committed_is_not_drained_again(
    dsn: str, registry: Registry, database: Database, tmp_path: Path
) -> None:
    """Killed between COMMIT and the note that the entry is done: the database's mark says so."""
    spool = Spool(tmp_path, 1 << 30, reserve_bytes=0)
    spool.open()
    rows = Batch.of(device=1, channel=2, time_us=NOW_US, value=1.0, gateway=1)
    letter = DeadLetter("gw-0", "senml", "", 0, Reason.MALFORMED, "", b"{")
    await spool.append({"rest": Entry(71, rows, [letter])})
    async with House(dsn, registry, tmp_path / "other") as house:
        await settled(put(house, 100))
        await house.store.commit(rows, [letter], NOW_US, Mark("rest", 71))
    async with House(dsn, registry, tmp_path) as house:
        await settled(put(house, 200))
        await house.drained()
    assert await stored(database) == [0, 100, 200]
    assert await count_of(dsn, b"SELECT count(*) FROM dead_letters") == 1


async def test_back_fill_is_logged_as_history(house: House) -> None:
    slips = [put(house, -40 * 86_400, history=True), put(house, 0), put(house, 1, history=True)]
    await settled(*slips)
    assert sorted((logged.history, len(logged.batch)) for logged in house.logged) == [
        (False, 1),
        (True, 1),
        (True, 1),
    ]


async def test_a_new_registry_counts_from_the_next_batch_on(house: House, database: Database) -> None:
    slip = put(house, 0, "d99/temp")
    await settled(slip)
    assert len(slip.refused) == 1
    async with database.transaction() as connection:
        row = DeviceRow("d99", "meter", "九九", "Ninety-nine", 121.5, 31.2, "gw-0")
        await registry_store.put_devices(connection, [row], catalogue(), NOW_US)
    fresh = await registry_store.load(database, catalogue(), house.registry)
    house.pipeline.use(Assembler(fresh, house.limits))
    slip = put(house, 0, "d99/temp")
    await settled(slip)
    assert (slip.accepted, slip.refused) == (1, ())


async def test_the_endpoint_goes_on_through_an_outage(house: House, switch: Switch, dsn: str) -> None:
    async with Client(house.port) as client:
        await client.acknowledged(
            [client.send("telemetry/gw-0", [{"n": "d0/temp", "v": 1, "t": NOW_US / 1e6}])]
        )
        await switch.off()
        ids = [
            client.send("telemetry/gw-0", [{"n": "d0/temp", "v": 1, "t": NOW_US / 1e6 + n}])
            for n in range(1, 50)
        ]
        await client.acknowledged(ids)
        await switch.on()
        await house.drained()
    assert await count_of(dsn, b"SELECT count(*) FROM readings") == 50
