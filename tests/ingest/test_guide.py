"""docs/guide/gateways.md: every example goes in by the door that it names, as it stands there, and is stored."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.doors import Doors
from core import settings, text
from core.access import Policy
from core.actor import Actor
from core.clock import ManualClock
from core.db import Database
from core.domains import Domains
from core.settings import Settings
from ingest import http, mqtt
from ingest.mqtt import Kind, Message
from iot import kinds, registry_store
from iot.registry import Registry
from iot.registry_store import DeviceRow
from tests.conftest import ROOT
from tests.ingest.brokers import free_port
from tests.ingest.house import House, known, until
from tests.ingest.wire import Client
from tests.iot import test_gbt26875, test_hj212, test_sl651
from tests.iot.test_api import serve

GUIDE = (ROOT / "docs" / "guide" / "gateways.md").read_text("utf-8")
#: A minute after the moment in the examples.
NOW_US = 1783989060 * 1_000_000
DEVICES = [
    ("meter-1", "ws_pressure_logger", "gw-1", "meter-1"),
    ("nb-1", "ws_pressure_logger", "nb-platform", "nb-1"),
    ("dust", "con_dust_noise", "hj212", test_hj212.MN),
    ("smoke", "fire_detector", "gbt26875", f"{test_gbt26875.STATION}:1.0.327683"),
    ("river", "fl_river", "sl651", test_sl651.STATION),
]


@dataclass(frozen=True)
class Example:
    language: str
    door: str
    place: str
    body: str

    def __str__(self) -> str:
        return f"{self.door} {self.place}".strip()

    @property
    def payload(self) -> bytes:
        """What goes over the wire: the text itself, the bytes of hex, or what the program makes."""
        if self.language == "hex":
            return bytes.fromhex("".join(self.body.split()))
        if self.language == "python":
            made: dict[str, Any] = {}
            exec(self.body, made)  # noqa: S102 - our own guide
            payload = made["payload"]
            assert isinstance(payload, bytes)
            return payload
        if self.door == "tcp":
            return self.body.replace("\n", "").encode() + b"\r\n"
        return self.body.encode()


EXAMPLES = [
    Example(*found)
    for found in re.findall(r"^```(\w+) (\w+) ?(\S*)\n(.*?)\n```$", GUIDE, re.DOTALL | re.MULTILINE)
]


def of(door: str) -> list[Example]:
    return [example for example in EXAMPLES if example.door == door]


@pytest.fixture
def declared(tmp_path: Path) -> Settings:
    """The configuration of the guide, with free ports."""
    [config] = of("config")
    ports = {name: free_port() for name in ("hj212", "gbt26875", "sl651")}
    path = tmp_path / "config.yaml"
    path.write_text(f"{config.body}\nmqtt: {{port: {free_port()}}}\ntcp: {ports}\n".replace("'", ""), "utf-8")
    return settings.load(path)


@pytest.fixture
async def registry(database: Database, shipped: Domains) -> Registry:
    catalogue = kinds.load(shipped)
    async with database.transaction() as connection:
        for gateway in sorted({gateway for _, _, gateway, _ in DEVICES}):
            await registry_store.put_gateway(connection, gateway, NOW_US)
        rows = [
            DeviceRow(name, kind, name, name, 121.5, 31.2, gateway, wire)
            for name, kind, gateway, wire in DEVICES
        ]
        await registry_store.put_devices(connection, rows, catalogue, NOW_US)
    return await registry_store.load(database, catalogue)


@pytest.fixture
async def house(
    dsn: str, registry: Registry, declared: Settings, tmp_path: Path
) -> AsyncIterator[tuple[House, Doors]]:
    clock = ManualClock(NOW_US)
    house = House(dsn, registry, tmp_path, clock=clock)
    doors = Doors(declared, house.intake, clock, house.metrics, known, lambda: registry)
    house.pipeline.use(type(house.pipeline._assembler)(registry, house.limits, doors.decoders()))
    async with house:
        await doors.open()
        yield house, doors
        await doors.close()


def test_the_guide_has_an_example_of_every_door() -> None:
    assert (len(of("mqtt")), len(of("tcp")), len(of("http"))) == (6, 3, 3)


@pytest.mark.parametrize("example", of("mqtt"), ids=str)
async def test_what_is_published_as_the_guide_says_is_stored(
    house: tuple[House, Doors], declared: Settings, example: Example
) -> None:
    async with Client(declared.mqtt.port, "gw-1") as client:
        if "DBIRTH" in example.place:
            await publish(client, 1, "spBv1.0/city/NBIRTH/gw-1", born())
        await publish(client, 2, example.place, example.payload)
    assert house[0].rows >= 1
    assert house[0].notices == []


async def publish(client: Client, number: int, topic: str, payload: bytes) -> None:
    client.writer.write(mqtt.publish(Message(topic, payload, 1), version=mqtt.V311, number=number))
    await client.packet(Kind.PUBACK)


def born() -> bytes:
    from iot.codecs.sparkplug import Metric, Payload, Type, encode

    number = Metric("bdSeq", None, NOW_US // 1000, Type.INT64, 0)
    return encode(Payload((number,), NOW_US // 1000, seq=0))


@pytest.mark.parametrize("example", of("tcp"), ids=str)
async def test_what_a_logger_sends_is_stored_and_answered(
    house: tuple[House, Doors], declared: Settings, example: Example
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", declared.tcp.ports[example.place])
    writer.write(example.payload)
    answer = await asyncio.wait_for(reader.read(1000), 10)
    writer.close()
    await until(lambda: house[0].rows > 0)
    if example.place == "hj212":
        assert answer.decode().strip() in [each.body for each in of("answer")]
    assert house[0].notices == []


@pytest.mark.parametrize("example", of("http"), ids=str)
async def test_what_is_posted_as_the_guide_says_is_stored(
    house: tuple[House, Doors], declared: Settings, database: Database, example: Example
) -> None:
    app = serve(database, Actor("gateway:gw-1", "gw-1", frozenset({"gateway"}), gateway="gw-1"))
    app.state.clock = ManualClock(NOW_US)
    own = frozenset({"gateway"})
    app.state.policy = Policy({}, {"telemetry.write": own, "telemetry.backfill": own})
    texts = text.load([ROOT / "core", ROOT / "iot", ROOT / "ingest"])
    app.include_router(http.router(house[0].intake, texts, declared.ingest.pushes))
    kind = {"csv": "text/csv"}.get(example.language, "application/json")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.post(example.place, content=example.payload, headers={"Content-Type": kind})
    assert answer.status_code in (200, 202)
    assert answer.json()["refused"] == []
    assert house[0].rows == answer.json()["accepted"] > 0


async def test_the_device_of_the_guide_can_be_registered(database: Database, shipped: Domains) -> None:
    from iot.api import DeviceIn

    [device] = of("device")
    row = DeviceIn.model_validate_json(device.body).row()
    async with database.transaction() as connection:
        await registry_store.put_gateway(connection, "gw-1", NOW_US)
        await registry_store.put_devices(connection, [row], kinds.load(shipped), NOW_US)
