"""Field protocols over TCP: readings of registered devices, answers when they are safe, and hostile peers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import psycopg
import pytest

from core.clock import ManualClock
from core.db import Database
from core.domains import Domains
from ingest.field import PROTOCOLS, Hj212
from ingest.tcp import TcpLimits, TcpServer
from iot import kinds, registry_store
from iot.codecs import gbt26875, hj212, sl651
from iot.registry import Registry
from iot.registry_store import DeviceRow
from tests.ingest.house import House, until
from tests.iot import test_gbt26875, test_hj212, test_sl651

#: Just after the frames of the standards' examples.
NOW_US = 1783989060 * 1_000_000
FIRE = test_gbt26875.STATION
DEVICES = [
    ("dust", "con_dust_noise", "hj212", test_hj212.MN, {"units": {"a34001": "ug/m3"}}),
    ("smoke", "fire_detector", "gbt26875", f"{FIRE}:1.0.327683", {}),
    ("utd", "fire_utd", "gbt26875", FIRE, {}),
    ("river", "fl_river", "sl651", test_sl651.STATION, {}),
    ("pump", "dr_pump_station", "sl651", "0099999999", {"names": ["0011223344"]}),
]


@pytest.fixture
async def registry(database: Database, shipped: Domains) -> Registry:
    catalogue = kinds.load(shipped)
    async with database.transaction() as connection:
        for gateway in PROTOCOLS:
            await registry_store.put_gateway(connection, gateway, NOW_US)
        rows = [
            DeviceRow(name, kind, name, name, 121.5, 31.2, gateway, wire_name, params={"wire": wire})
            for name, kind, gateway, wire_name, wire in DEVICES
        ]
        await registry_store.put_devices(connection, rows, catalogue, NOW_US)
    return await registry_store.load(database, catalogue)


@pytest.fixture
async def house(dsn: str, registry: Registry, tmp_path: Path) -> AsyncIterator[House]:
    async with House(dsn, registry, tmp_path, clock=ManualClock(NOW_US)) as opened:
        yield opened


@asynccontextmanager
async def served(house: House, name: str, limits: TcpLimits | None = None) -> AsyncIterator[TcpServer]:
    server = TcpServer(name, PROTOCOLS[name], house.intake, house.clock, house.metrics, limits)
    server.port = await server.start("127.0.0.1", 0)  # type: ignore[attr-defined] # for the tests to dial
    try:
        yield server
    finally:
        await server.stop()


class Device:
    """A device that dialled us."""

    def __init__(self, server: TcpServer) -> None:
        self.port: int = server.port  # type: ignore[attr-defined] # see above

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def hears(self, expected: bytes) -> None:
        assert await asyncio.wait_for(self.reader.readexactly(len(expected)), 5) == expected

    async def silence(self) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.reader.read(1), 0.3)

    async def closed(self, patience_s: float = 5.0) -> None:
        async with asyncio.timeout(patience_s):
            while await self.reader.read(1000):
                pass


async def stored(database: Database) -> dict[str, float]:
    rows = await database.fetch(
        b"SELECT d.id || '/' || split_part(c.full_name, '.', 2) AS name, r.value FROM readings r "
        b"JOIN devices d ON d.number = r.device JOIN channels c ON c.number = r.channel"
    )
    return {row["name"]: row["value"] for row in rows}


async def test_a_dust_station_is_stored_and_answered_when_it_is_safe(
    house: House, database: Database, dsn: str
) -> None:
    async with served(house, "hj212") as server, Device(server) as device:
        async with await psycopg.AsyncConnection.connect(dsn) as blocker:
            await blocker.execute(b"LOCK TABLE readings IN EXCLUSIVE MODE")
            device.say(test_hj212.A)
            await device.silence()
        await device.hears(test_hj212.B)
        assert await stored(database) == {
            "dust/tsp": 186.0, "dust/pm10": 97.0, "dust/pm25": 41.0, "dust/air_temp": 31.4, "dust/humidity": 68.2,
            "dust/air_pressure": 100.3, "dust/wind_speed": 2.3, "dust/wind_dir": 135.0, "dust/laeq_1m": 63.7,
        }  # fmt: skip
        device.say(test_hj212.A)  # sent again: answered again, stored once
        await device.hears(test_hj212.B)
        assert house.rows == 9


async def test_split_packets_are_answered_each(house: House) -> None:
    async with served(house, "hj212") as server, Device(server) as device:
        device.say(test_hj212.D1 + test_hj212.D2)
        for frame in (test_hj212.D1, test_hj212.D2):
            answer = hj212.answer_to(hj212.parse(frame))
            assert answer is not None
            await device.hears(hj212.encode(answer))
        assert house.rows == 0  # means of hours are nobody's readings here


async def test_a_later_packet_has_the_time_of_the_first(house: House, database: Database) -> None:
    def packet(number: int, *items: tuple[tuple[str, str], ...]) -> bytes:
        return hj212.encode(
            hj212.Message(f"q{number}", "39", "2011", test_hj212.MN, "", 7, 2, number, items=items)
        )

    async with served(house, "hj212") as server, Device(server) as device:
        device.say(
            packet(1, (("DataTime", "20260714083000"),), (("LA-Rtd", "60"),))
            + packet(2, (("a34002-Rtd", "5"),))
        )
        await until(lambda: house.rows == 2)
    rows = await database.fetch(b"SELECT DISTINCT extract(epoch FROM time)::bigint AS t FROM readings")
    assert rows == [{"t": 1783989000}]


async def test_a_wrong_check_is_kept_and_not_answered(house: House, database: Database) -> None:
    broken = test_hj212.A.replace(b"97.0", b"98.0")
    async with served(house, "hj212") as server, Device(server) as device:
        device.say(broken + test_hj212.A)
        await device.hears(test_hj212.B)
        await device.silence()
    row = await database.fetch_one(b"SELECT reason, payload FROM dead_letters")
    assert row == {"reason": "bad_checksum", "payload": broken}


async def test_a_logger_that_computes_the_check_as_modbus_does_may_be_registered(house: House) -> None:
    frame = hj212.encode(hj212.parse(test_hj212.A), modbus=True)
    server = TcpServer(
        "hj212", lambda: Hj212(frozenset({test_hj212.MN})), house.intake, house.clock, house.metrics
    )
    server.port = await server.start("127.0.0.1", 0)  # type: ignore[attr-defined] # see above
    async with Device(server) as device:
        device.say(frame)
        await device.hears(hj212.encode(hj212.parse(test_hj212.B), modbus=True))
    await server.stop()
    assert house.rows == 9


async def test_an_unknown_station_is_kept_once_a_frame(house: House, database: Database) -> None:
    frame = test_hj212.A.replace(b"A001", b"B002")
    frame = hj212.encode(hj212.parse_data(frame[6:-6].decode()))
    async with served(house, "hj212") as server, Device(server) as device:
        device.say(frame)
        answer = hj212.answer_to(hj212.parse(frame))
        assert answer is not None
        await device.hears(hj212.encode(answer))
    rows = await database.fetch(b"SELECT reason, refused FROM dead_letters")
    assert rows == [{"reason": "unknown_device", "refused": 1}]


async def test_a_fire_is_confirmed_when_it_is_safe(house: House, database: Database) -> None:
    frames = test_gbt26875.FRAMES
    async with served(house, "gbt26875") as server, Device(server) as device:
        device.say(frames["fire"])
        confirm = gbt26875.answer(gbt26875.parse(frames["fire"]), gbt26875.CONFIRM, NOW_US)
        await device.hears(gbt26875.encode(confirm))
        assert await stored(database) == {"smoke/alarm": 1.0, "smoke/fault": 0.0, "smoke/shield": 0.0}
        device.say(frames["device"])
        await device.hears(gbt26875.encode(gbt26875.answer(gbt26875.parse(frames["device"]), 3, NOW_US)))
        found = await stored(database)
        assert (found["utd/backup_power"], found["utd/main_power"], found["utd/fire"]) == (0.0, 1.0, 0.0)
        broken = bytearray(frames["fire"])
        broken[38] ^= 1
        device.say(bytes(broken))
        await device.hears(
            gbt26875.encode(gbt26875.answer(gbt26875.parse(frames["fire"]), gbt26875.DENY, NOW_US))
        )


async def test_a_river_station_is_confirmed_and_a_missing_packet_asked_for(
    house: House, database: Database
) -> None:
    async with served(house, "sl651") as server, Device(server) as device:
        device.say(test_sl651.FRAMES["river"])
        await device.hears(sl651.encode(sl651.confirm(sl651.parse(test_sl651.FRAMES["river"]), NOW_US)))
        assert await stored(database) == {"river/river_level": 23.456, "river/battery_voltage": 12.61}
        device.say(test_sl651.FRAMES["keep"])
        device.say(test_sl651.FRAMES["query"])  # an echo of ours
        first, last = test_sl651.packets()
        device.say(last)
        again = sl651.ask_again(sl651.parse(last), 1, NOW_US)
        await device.hears(sl651.encode(again))
        device.say(first)
        answer = await asyncio.wait_for(device.reader.readexactly(25), 5)
        assert sl651.parse(answer).end == sl651.EOT
    assert house.rows == 4


async def test_a_status_word_tells_the_pump_station_its_mains_by_another_wire_name(
    house: House, database: Database
) -> None:
    async with served(house, "sl651") as server, Device(server) as device:
        device.say(test_sl651.FRAMES["status"])
        await asyncio.wait_for(device.reader.read(100), 5)
    assert await stored(database) == {"pump/power_ok": 1.0}


async def test_a_station_can_be_spoken_to_while_it_is_on_line(house: House) -> None:
    async with served(house, "hj212") as server:
        assert not server.send(test_hj212.MN, test_hj212.E)
        replies: list[tuple[str, str]] = []
        server.replied = lambda station, key, _frame: replies.append((station, key))
        async with Device(server) as device:
            device.say(test_hj212.A)
            await device.hears(test_hj212.B)
            assert server.send(test_hj212.MN, test_hj212.E)
            await device.hears(test_hj212.E)
            device.say(test_hj212.F + test_hj212.G)
            await until(lambda: len(replies) == 2)
        assert replies == [
            (test_hj212.MN, "20260714083500456:9011"),
            (test_hj212.MN, "20260714083500456:9012"),
        ]


async def test_strangers_unfinished_frames_and_silence_are_closed(house: House) -> None:
    assert isinstance(house.clock, ManualClock)
    limits = TcpLimits(rubbish_bytes=5000, frame_s=30, idle_s=600, connections=3)
    async with served(house, "hj212", limits) as server:
        async with Device(server) as device:
            device.say(b"GET / HTTP/1.1\r\n" * 400)
            await device.closed()
        async with (
            Device(server) as drip,
            Device(server) as silent,
            Device(server) as good,
            Device(server) as surplus,
        ):
            await surplus.closed()
            drip.say(b"##0100QN")
            good.say(test_hj212.A)
            await good.hears(test_hj212.B)
            for line in list(server.connections):
                line.check(house.clock.monotonic_s() + 31)
            await drip.closed()
            for line in list(server.connections):
                line.check(house.clock.monotonic_s() + 601)
            await silent.closed()
            await good.closed()
