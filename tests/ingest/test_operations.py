"""Asking devices over the protocol that they speak: the standards' own frames, one answer, a limit, and an audit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.doors import Doors
from core import settings
from core.access import Policy
from core.actor import Actor
from core.clock import SECOND_US, ManualClock
from core.db import Database
from core.domains import Domains
from ingest import operations, operations_api
from ingest.mqtt import Kind
from ingest.operations import HAS, Operation, What, asked
from ingest.operations_store import ANSWER_S
from iot import kinds, registry_store
from iot.codecs import gbt26875, hj212, sl651
from iot.registry import Registry
from iot.registry_store import DeviceRow
from tests.ingest.brokers import free_port
from tests.ingest.house import House, known, until
from tests.ingest.test_tcp import DEVICES
from tests.ingest.wire import Client
from tests.iot import test_gbt26875, test_hj212, test_sl651
from tests.iot.test_api import serve

#: 2026-07-14 08:30:00, 08:35:00 and 09:20:00 in Beijing.
HALF_PAST_US = 1783989000 * SECOND_US
NOW_US = HALF_PAST_US + 300 * SECOND_US
TWENTY_PAST_US = HALF_PAST_US + 3000 * SECOND_US
ACTOR = Actor("wang", "王工", frozenset({"fitter"}), areas=frozenset())

CLOCK = "4040640001010 01E080E071A010000000000060504030201080001 5A01001E080E071A8A2323"
CHECK = "40406500010100 1E080E071A010000000000060504030201030001 5B010A3C2323"
STATE = "40406600010100 1E080E071A010000000000060504030201030004 5101002C2323"
QUERY = "7E7E001234567801123437800802000026071409200005B3BA"


def of_hex(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


@pytest.mark.parametrize(
    ("operation", "now_us", "expected"),
    [
        (Operation(456, "hj212", test_hj212.MN, What.SET_PERIOD, 60.0), NOW_US, test_hj212.E),
        (Operation(100, "gbt26875", "010203040506", What.SET_CLOCK), HALF_PAST_US, of_hex(CLOCK)),
        (Operation(101, "gbt26875", "010203040506", What.DUTY_CHECK, 10.0), HALF_PAST_US, of_hex(CHECK)),
        (Operation(102, "gbt26875", "010203040506", What.READ_NOW), HALF_PAST_US, of_hex(STATE)),
        (
            Operation(1, "sl651", "0012345678", What.READ_NOW, None, {"password": "1234"}),
            TWENTY_PAST_US,
            of_hex(QUERY),
        ),
    ],
)
def test_the_frames_are_those_of_the_standards_to_the_byte(
    operation: Operation, now_us: int, expected: bytes
) -> None:
    assert asked(operation, now_us).frame == expected


@pytest.mark.parametrize("gateway", [*HAS, "gw-0"])
@pytest.mark.parametrize("what", What)
def test_every_frame_that_is_promised_can_be_made_and_read(gateway: str, what: What) -> None:
    if what not in HAS.get(gateway, frozenset(What)):
        return
    station = {"hj212": test_hj212.MN, "gbt26875": "010203040506:1.0.7", "sl651": "0012345678"}.get(
        gateway, "d0"
    )
    found = asked(Operation(1, gateway, station, what, 60.0), NOW_US)
    readers: dict[str, Callable[[bytes], object]] = {
        "hj212": hj212.parse, "gbt26875": gbt26875.parse, "sl651": sl651.parse, "gw-0": json.loads,
    }  # fmt: skip
    readers[gateway](found.frame)


def test_an_answer_of_nothing_is_none() -> None:
    assert operations.answered("hj212", "1:9011", b"rubbish") is None
    assert operations.answered("gbt26875", "1:x", b"") is None
    assert operations.answered("sl651", "32", b"") is None  # a report of its own
    assert operations.replied(b"[1]") is None
    assert operations.replied(b'{"id": "SJ-1"}') is None


# -- the whole way ----------------------------------------------------------------------------------------------------


@dataclass
class Town:
    """A worker's doors and the routes of the web before one database."""

    doors: Doors
    database: Database
    clock: ManualClock
    client: httpx.AsyncClient
    ports: dict[str, int]
    others: list[bytes]

    async def ask(self, device: str, do: What, value: float | None = None, minutes: int = 10) -> None:
        body = {"do": do.value, "value": value, "reason": "现场要求", "minutes": minutes}
        answer = await self.client.post(f"/devices/{device}/operations", json=body)
        assert answer.status_code == 200, answer.text

    async def exchange(self) -> None:
        await self.doors.operator.exchange(self.database, self.clock.now_us())

    async def last(self, device: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(f"/devices/{device}/operations")).json()["items"][0]
        return found

    async def dial(self, protocol: str, first: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A station that has made itself known."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[protocol])
        writer.write(first)
        await until(lambda: bool(self.doors.servers[protocol].stations))
        await asyncio.wait_for(reader.read(1000), 5)  # its own confirmation
        return reader, writer


@pytest.fixture
async def registry(database: Database, shipped: Domains) -> Registry:
    catalogue = kinds.load(shipped)
    async with database.transaction() as connection:
        for gateway in ("hj212", "gbt26875", "sl651", "gw-0"):
            await registry_store.put_gateway(connection, gateway, NOW_US)
        rows = [
            DeviceRow(name, kind, name, name, 121.5, 31.2, gateway, wire_name, params={"wire": wire})
            for name, kind, gateway, wire_name, wire in DEVICES
        ]
        rows.append(DeviceRow("meter", "ws_pressure_logger", "m", "m", 121.5, 31.2, "gw-0", "meter"))
        await registry_store.put_devices(connection, rows, catalogue, NOW_US)
    return await registry_store.load(database, catalogue)


@pytest.fixture
async def town(dsn: str, database: Database, registry: Registry, tmp_path: Path) -> AsyncIterator[Town]:
    ports = {name: free_port() for name in HAS}
    config = tmp_path / "config.yaml"
    config.write_text(f"mqtt: {{port: {free_port()}}}\ntcp: {ports}\n".replace("'", ""), "utf-8")
    clock = ManualClock(NOW_US)
    house = House(dsn, registry, tmp_path / "spool", clock=clock)
    doors = Doors(settings.load(config), house.intake, clock, house.metrics, known, lambda: registry)
    others: list[bytes] = []
    doors.replied = lambda _gateway, payload: others.append(payload)
    app = serve(database, ACTOR)
    app.state.clock = clock
    may = frozenset({"fitter"})
    app.state.policy = Policy({"device.read": may, "device.maintain": may}, {})
    app.include_router(operations_api.router(lambda: registry))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")
    async with house, client:
        await doors.open()
        yield Town(doors, database, clock, client, ports, others)
        await doors.close()


def answer_of(frame: bytes, cn: str, name: str, code: str) -> bytes:
    return hj212.encode(hj212.answer(hj212.parse(frame), cn, (((name, code),),)))


async def test_a_dust_station_is_asked_when_it_comes_and_its_answer_is_kept(town: Town) -> None:
    await town.ask("dust", What.SET_PERIOD, 60.0)
    await town.exchange()
    assert (await town.last("dust"))["state"] == "waiting"
    reader, writer = await town.dial("hj212", test_hj212.A)
    await town.exchange()
    frame = await asyncio.wait_for(reader.read(1000), 5)
    assert hj212.parse(frame).value("RtdInterval") == "60"
    await town.exchange()  # is not sent again
    writer.write(answer_of(frame, "9011", "QnRtn", "1"))
    await asyncio.sleep(0.05)
    await town.exchange()
    assert (await town.last("dust"))["state"] == "sent"
    writer.write(answer_of(frame, "9012", "ExeRtn", "1"))
    await until(lambda: bool(town.doors.operator._heard))
    await town.exchange()
    found = await town.last("dust")
    assert (found["state"], found["reply"], found["by"]) == ("done", {"ExeRtn": "1"}, "wang")
    assert found["reason"] == "现场要求"
    writer.close()


async def test_a_refusal_fails_and_silence_expires(town: Town) -> None:
    reader, writer = await town.dial("hj212", test_hj212.A)
    await town.ask("dust", What.READ_NOW)
    await town.exchange()
    frame = await asyncio.wait_for(reader.read(1000), 5)
    writer.write(answer_of(frame, "9011", "QnRtn", "3"))
    await until(lambda: bool(town.doors.operator._heard))
    await town.exchange()
    assert (await town.last("dust"))["reply"] == {"QnRtn": "3"}
    assert (await town.last("dust"))["state"] == "failed"
    await town.ask("dust", What.SET_CLOCK)
    await town.ask("river", What.SET_CLOCK, minutes=1)
    await town.exchange()
    town.clock.advance(ANSWER_S + 31)
    await town.exchange()
    assert [(await town.last(name))["state"] for name in ("dust", "river")] == ["expired", "expired"]
    frame = await asyncio.wait_for(reader.read(1000), 5)
    writer.write(answer_of(frame, "9012", "ExeRtn", "1"))  # too late
    await until(lambda: bool(town.doors.operator._heard))
    await town.exchange()
    assert (await town.last("dust"))["state"] == "expired"
    writer.close()


async def test_a_fire_alarm_confirms_or_denies(town: Town) -> None:
    frames = map(gbt26875.parse, test_gbt26875.FRAMES.values())
    theirs = (
        each for each in frames if each.station == test_gbt26875.STATION and each.command == gbt26875.SEND
    )
    reader, writer = await town.dial("gbt26875", gbt26875.encode(next(theirs)))
    for command, state in ((gbt26875.CONFIRM, "done"), (gbt26875.DENY, "failed")):
        await town.ask("utd", What.DUTY_CHECK, 10.0)
        await town.exchange()
        question = gbt26875.parse(await asyncio.wait_for(reader.read(1000), 5))
        assert question.unit == bytes((91, 1, 10))
        writer.write(gbt26875.encode(gbt26875.answer(question, command, NOW_US)))
        await until(lambda: bool(town.doors.operator._heard))
        await town.exchange()
        assert (await town.last("utd"))["state"] == state
    writer.close()


async def test_a_river_station_stays_on_line_to_be_asked(town: Town) -> None:
    await town.ask("river", What.READ_NOW)
    await town.exchange()
    reports = ((frame, sl651.parse(frame)) for frame in test_sl651.FRAMES.values())
    report = next(f for f, told in reports if (told.function, told.station) == (0x32, test_sl651.STATION))
    reader, writer = await asyncio.open_connection("127.0.0.1", town.ports["sl651"])
    writer.write(report)
    assert sl651.parse(await asyncio.wait_for(reader.read(1000), 5)).end == sl651.ESC
    await town.exchange()
    question = sl651.parse(await asyncio.wait_for(reader.read(1000), 5))
    assert (question.function, question.down) == (0x37, True)
    told = sl651.parse(report)
    writer.write(sl651.encode(sl651.Message(told.centre, told.station, told.password, 0x37, told.body)))
    await until(lambda: bool(town.doors.operator._heard))
    await town.exchange()
    assert (await town.last("river"))["state"] == "done"
    writer.close()


async def test_a_gateway_is_asked_on_its_topic_and_other_replies_go_on(town: Town) -> None:
    await town.ask("meter", What.SET_PERIOD, 120.0)
    async with Client(town.doors.settings.mqtt.port) as gateway:
        gateway.subscribe("command/gw-0")
        await gateway.packet(Kind.SUBACK)
        await town.exchange()
        _, payload = await gateway.message()
        asked_for = json.loads(payload)
        assert (asked_for["device"], asked_for["do"], asked_for["value"]) == ("meter", "set_period", 120.0)
        gateway.send("command/gw-0/reply", {"id": asked_for["id"], "status": "failed", "why": "busy"})
        gateway.send("command/gw-0/reply", {"id": "c-1", "status": "ok"})
        await until(lambda: len(town.others) == 1)
    await town.exchange()
    found = await town.last("meter")
    assert (found["state"], found["reply"]["why"]) == ("failed", "busy")
    assert json.loads(town.others[0])["id"] == "c-1"


async def test_what_a_protocol_cannot_say_is_refused(town: Town) -> None:
    wrong: list[tuple[str, dict[str, object], str]] = [
        ("dust", {"do": "duty_check", "value": 5}, "do"), ("river", {"do": "set_period", "value": 60}, "do"),
        ("dust", {"do": "set_period", "value": 5}, "value"), ("dust", {"do": "set_period"}, "value"),
        ("dust", {"do": "set_clock", "value": 1}, "value"), ("dust", {"do": "explode"}, "do"),
    ]  # fmt: skip
    for device, body, field in wrong:
        answer = await town.client.post(f"/devices/{device}/operations", json={**body, "reason": "x"})
        assert answer.status_code == 422, body
        assert answer.json()["field"].endswith(field), body
