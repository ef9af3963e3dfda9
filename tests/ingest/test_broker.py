"""`mqtt.mode: external` against real brokers: acknowledged when it is safe, and on the right connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import paho.mqtt.client as paho
import psycopg
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from core.clock import SystemClock
from core.db import Database
from core.metrics import Metrics
from ingest import mqtt
from ingest.broker import BrokerLink, BrokerNews, BrokerSettings, understand
from ingest.intake import Intake
from ingest.mqtt import Kind, Message, Packet, Run, Slicer
from iot.codecs import senml
from tests.ingest.brokers import NAMES, broker, free_port
from tests.ingest.house import House, until
from tests.iot.sample import NOW_US, stored_registry


def publish(port: int, count: int, first: int = 0) -> None:
    """What a gateway does with paho: readings first … first+count-1, all acknowledged by the broker."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="gw-0")
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    client.loop_start()
    sent = [
        client.publish("telemetry/gw-0", senml.encode([("d0/temp", "", NOW_US + n * 1_000_000, 8.0)]), 1)
        for n in range(first, first + count)
    ]
    for info in sent:
        info.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()


def link_to(port: int, house: House, news: BrokerNews | None = None, **changes: object) -> BrokerLink:
    settings = BrokerSettings("127.0.0.1", port, "cityops-test", version=mqtt.V311)
    settings = BrokerSettings(**{**{f: getattr(settings, f) for f in settings.__slots__}, **changes})
    return BrokerLink(settings, house.intake, house.clock, house.metrics, news)


@asynccontextmanager
async def running(link: BrokerLink) -> AsyncIterator[BrokerLink]:
    task = asyncio.create_task(link.run())
    await until(lambda: link.connected)
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def house(dsn: str, database: Database, tmp_path: Path) -> AsyncIterator[House]:
    async with House(dsn, await stored_registry(database), tmp_path / "spool") as opened:
        yield opened


@pytest.mark.parametrize("name", NAMES)
async def test_what_a_broker_holds_is_stored(house: House, tmp_path: Path, name: str) -> None:
    with broker(name, tmp_path) as port:
        async with running(link_to(port, house)):
            await asyncio.to_thread(publish, port, 300)
            await until(lambda: house.rows == 300)


@pytest.mark.parametrize("name", NAMES)
async def test_what_was_not_stored_comes_again_on_the_next_connection(
    house: House, dsn: str, database: Database, tmp_path: Path, name: str
) -> None:
    with broker(name, tmp_path) as port:
        async with running(link_to(port, house)):
            pass  # the session exists from now on
        async with await psycopg.AsyncConnection.connect(dsn) as blocker:
            await blocker.execute(b"LOCK TABLE readings IN EXCLUSIVE MODE")
            house.running.cancel()  # a worker that takes and dies before it stores
            async with running(link_to(port, house)):
                await asyncio.to_thread(publish, port, 50)
                await until(lambda: house.intake.frames > 0)
        while house.intake.frames:
            house.intake.take()  # and what it took is gone with it
        house.running = asyncio.create_task(house.pipeline.run())
        async with running(link_to(port, house)):
            await until(lambda: house.rows == 50)
    row = await database.fetch_one(b"SELECT count(*) AS n FROM readings")
    assert row == {"n": 50}


@pytest.mark.parametrize(
    "name", NAMES[1:]
)  # iotcore closes connections of MQTT 5, and dies when a sharer leaves
async def test_two_workers_share_what_a_broker_holds(
    house: House, dsn: str, database: Database, tmp_path: Path, name: str
) -> None:
    """MQTT 5 shared subscription: each message to one of them, nothing lost and nothing stored twice."""
    other = House(dsn, house.registry, tmp_path / "other", instance="2")
    async with other:
        with broker(name, tmp_path) as port:
            first, second = (
                link_to(port, each, version=mqtt.V5, shared="crew", client_id=client_id)
                for each, client_id in ((house, "one"), (other, "two"))
            )
            async with running(first), running(second):
                await asyncio.to_thread(publish, port, 400)
                await until(lambda: house.rows + other.rows >= 400)
            async with running(second):  # the share of the first may wait in its session until it is back
                await asyncio.to_thread(publish, port, 100, 400)
            async with running(first), running(second):
                await until(lambda: house.rows + other.rows >= 500)
        assert min(house.rows, other.rows) > 0
    row = await database.fetch_one(b"SELECT count(*) AS n, count(DISTINCT time) AS times FROM readings")
    assert row == {"n": 500, "times": 500}


@pytest.mark.parametrize("name", NAMES)
async def test_messages_for_a_worker_that_is_away_wait_in_its_session(
    house: House, tmp_path: Path, name: str
) -> None:
    with broker(name, tmp_path) as port:
        async with running(link_to(port, house)):
            pass
        await asyncio.to_thread(publish, port, 40)
        async with running(link_to(port, house)):
            await until(lambda: house.rows == 40)


async def test_a_lost_session_is_an_alarm(house: House, tmp_path: Path) -> None:
    lost: list[int] = []

    class Ear(BrokerNews):
        def session_lost(self, at_us: int) -> None:
            lost.append(at_us)

    port = free_port()
    link = link_to(port, house, Ear())
    with broker("iotcore", tmp_path, port):
        task = asyncio.create_task(link.run())
        await until(lambda: link.connected)
        assert not lost
    await until(lambda: not link.connected)
    with broker("iotcore", tmp_path, port):
        await until(lambda: link.connected)
        await asyncio.to_thread(publish, port, 5)
        await until(lambda: house.rows == 5)
    task.cancel()
    assert len(lost) == 1
    assert house.metrics.counters["broker_session_lost_total"] == 1


class ForgetfulBroker:
    """Gives packet identifier 7 to one message, breaks the connection, and gives it to another."""

    def __init__(self) -> None:
        self.acknowledged: list[list[int]] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine: list[int] = []
        self.acknowledged.append(mine)
        slicer = Slicer()
        while data := await reader.read(65_536):
            for item in slicer.feed(data):
                if isinstance(item, Run):
                    continue
                self._answer(item, writer, mine)
        writer.close()

    def _answer(self, item: Packet, writer: asyncio.StreamWriter, mine: list[int]) -> None:
        if item.kind == Kind.CONNECT:
            writer.write(mqtt.connack(mqtt.V311, mqtt.Code.SUCCESS))
        elif item.kind == Kind.SUBSCRIBE:
            writer.write(mqtt.suback(mqtt.V311, 1, [1] * 8))
            pack = json.dumps([{"n": "d0/temp", "v": 8, "t": NOW_US / 1e6 + len(self.acknowledged)}]).encode()
            message = Message("telemetry/gw-0", pack, 1)
            writer.write(mqtt.publish(message, version=mqtt.V311, number=7))
            if len(self.acknowledged) == 1:
                asyncio.get_running_loop().call_later(0.2, writer.close)
        elif item.kind == Kind.PUBACK:
            mine.append(mqtt.read_acknowledgement(item.body, mqtt.V311)[0])


async def settle_late() -> list[list[int]]:
    """The first message is settled when another has its identifier: what was acknowledged on each connection."""
    intake = Intake()
    async with ForgetfulBroker() as forgetful:
        settings = BrokerSettings("127.0.0.1", forgetful.port, "x", version=mqtt.V311, coalesce_s=0.0)
        async with running(BrokerLink(settings, intake, SystemClock(), Metrics())):
            await until(lambda: intake.frames == 1)
            [first] = intake.take()
            await until(lambda: intake.frames == 1)  # the second connection's message, unsettled
            first.receipt.settle(1, ())
            await asyncio.sleep(0.2)
            told = [list(connection) for connection in forgetful.acknowledged]
            intake.take()[0].receipt.settle(1, ())
            await until(lambda: forgetful.acknowledged[1] != [])
            return told


async def test_an_identifier_of_the_old_connection_is_not_acknowledged_on_the_new_one() -> None:
    assert await settle_late() == [[], []]


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("telemetry/gw", ("gw", "senml")), ("telemetry/gw/cbor", ("gw", "senml-cbor")), ("telemetry/gw/x", None),
        ("status/gw", ("gw", "status")), ("command/gw/reply", ("gw", "reply")), ("command/gw", None),
        ("tb/gw/telemetry", ("gw", "thingsboard-device")), ("tb/gw/gateway", ("gw", "thingsboard-gateway")),
        ("spBv1.0/g/NDATA/gw", ("gw", "sparkplug")), ("spBv1.0/g/DDATA/gw/d", ("gw", "sparkplug")),
        ("spBv1.0/STATE/host", None), ("x", None),
    ],
)  # fmt: skip
def test_topics_say_who_spoke_and_how(topic: str, expected: tuple[str, str] | None) -> None:
    heard = understand(topic)
    assert (heard and (heard.gateway, heard.source)) == expected
