"""Real clients against the endpoint: paho as gateways use it."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from core.db import Database
from iot.codecs import senml
from tests.ingest.house import House
from tests.iot.sample import NOW_US, stored_registry


def talk(port: int, version: MQTTProtocolVersion) -> dict[str, object]:
    """Connect, hear refusals, publish 200 packs at QoS 0, 1 and 2; what happened."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="gw-0", protocol=version)
    client.username_pw_set("gw-0", "secret")
    client.will_set("status/gw-0", b'{"state":"offline"}', 1, retain=True)
    heard: list[tuple[str, bytes]] = []
    told, ready = threading.Event(), threading.Event()

    def on_connect(*_: object) -> None:
        client.subscribe("refused/gw-0", 1)

    def on_message(_: object, __: object, message: paho.MQTTMessage) -> None:
        heard.append((message.topic, bytes(message.payload)))
        told.set()

    client.on_connect = on_connect
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = on_message
    client.connect("127.0.0.1", port, keepalive=10)
    client.loop_start()
    assert ready.wait(5)
    sent = [
        client.publish(
            "telemetry/gw-0", senml.encode([("d0/temp", "Cel", NOW_US + n * 1_000_000, 8.0)]), n % 3
        )
        for n in range(200)
    ]
    for info in sent:
        info.wait_for_publish(10)
    client.publish("telemetry/gw-0", b'[{"n":"d0/temp","u":"furlong","v":1}]', 1).wait_for_publish(5)
    assert told.wait(5)
    client.disconnect()
    client.loop_stop()
    return {"published": all(info.is_published() for info in sent), "heard": heard}


@pytest.mark.parametrize("version", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
async def test_paho_publishes_and_hears_what_was_refused(
    dsn: str, database: Database, tmp_path: Path, version: MQTTProtocolVersion
) -> None:
    registry = await stored_registry(database)
    async with House(dsn, registry, tmp_path) as house:
        told = await asyncio.to_thread(talk, house.port, version)
        assert told["published"]
        heard = told["heard"]
        assert isinstance(heard, list)
        [(topic, payload)] = heard
        assert (topic, json.loads(payload)["first"]["reason"]) == ("refused/gw-0", "unknown_unit")
        assert house.rows == 200
