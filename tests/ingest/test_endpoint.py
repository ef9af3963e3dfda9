"""The MQTT endpoint: acknowledged means stored, who may say what, and a bad neighbour who hurts only himself."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from core.clock import SECOND_US
from core.db import Database
from ingest import mqtt
from ingest.endpoint import EndpointLimits, Listener
from ingest.mqtt import Code, Kind, Message, Packet, Run
from tests.ingest.house import House
from tests.ingest.wire import Client
from tests.iot.sample import NOW_US, stored_registry

NOW_S = NOW_US / SECOND_US
FIVE = mqtt.V5


class Ear(Listener):
    def __init__(self) -> None:
        self.heard: list[tuple[str, ...]] = []

    def connected(self, gateway: str, at_us: int) -> None:
        self.heard.append(("connected", gateway))

    def disconnected(self, gateway: str, at_us: int, why: str) -> None:
        self.heard.append(("disconnected", gateway, why))

    def status(self, gateway: str, payload: bytes, at_us: int) -> None:
        self.heard.append(("status", gateway, payload.decode()))

    def reply(self, gateway: str, payload: bytes, at_us: int) -> None:
        self.heard.append(("reply", gateway, payload.decode()))


@pytest.fixture
async def house(dsn: str, database: Database, tmp_path: Path) -> AsyncIterator[House]:
    registry = await stored_registry(database)
    limits = EndpointLimits(packet_bytes=20_000, in_flight=50, in_flight_bytes=100_000, session_s=600)
    async with House(dsn, registry, tmp_path, endpoint_limits=limits, listener=Ear()) as opened:
        yield opened


def reading(name: str = "d0/pressure", value: float = 300.0, seconds: float = 0.0) -> dict[str, object]:
    return {"n": name, "v": value, "t": NOW_S + seconds}


async def count(database: Database) -> int:
    row = await database.fetch_one(b"SELECT count(*) AS n FROM readings")
    assert row is not None
    return int(row["n"])


@pytest.mark.parametrize("version", [mqtt.V311, mqtt.V5])
async def test_an_acknowledged_publish_is_in_the_table(
    house: House, database: Database, version: int
) -> None:
    async with Client(house.port, version=version) as client:
        ids = [client.send("telemetry/gw-0", [reading(seconds=n)]) for n in range(40)]
        await client.acknowledged(ids)
        assert await count(database) == 40
        await client.acknowledged([client.send("telemetry/gw-0", [reading(seconds=99)], qos=2)], Kind.PUBREC)
        assert await count(database) == 41
        client.writer.write(mqtt.acknowledge(Kind.PUBREL, [struct.pack(">H", 41)]))
        await client.acknowledged([41], Kind.PUBCOMP)
        client.send("telemetry/gw-0", [reading(seconds=100)], qos=0)
        await client.acknowledged([client.send("telemetry/gw-0", [])])
        assert await count(database) == 42


async def test_nothing_is_acknowledged_before_the_commit(house: House, dsn: str, database: Database) -> None:
    async with Client(house.port) as client:
        await client.acknowledged([client.send("telemetry/gw-0", [reading()])])
        async with await psycopg.AsyncConnection.connect(dsn) as blocker:
            await blocker.execute(b"LOCK TABLE readings IN EXCLUSIVE MODE")
            number = client.send("telemetry/gw-0", [reading(seconds=1)])
            with pytest.raises(TimeoutError):
                await client.next(patience_s=0.5)
        await client.acknowledged([number])
        assert await count(database) == 2


async def test_a_refused_record_is_kept_named_and_acknowledged(house: House, database: Database) -> None:
    async with Client(house.port) as client:
        client.subscribe("refused/gw-0")
        await client.packet(Kind.SUBACK)
        bad = [reading(), reading("d0/nothing"), reading("d0/temp", 5)]
        await client.acknowledged([client.send("telemetry/gw-0", bad)])
        topic, payload = await client.message()
        assert topic == "refused/gw-0"
        assert json.loads(payload) == {
            "count": 1, "first": {"record": 1, "reason": "unknown_channel", "detail": "d0/nothing"},
        }  # fmt: skip
        await client.acknowledged([client.send("telemetry/gw-0", b"{nonsense")])
    letters = await database.fetch(
        b"SELECT gateway, topic, record, reason, payload FROM dead_letters ORDER BY id"
    )
    assert [(r["topic"], r["record"], r["reason"]) for r in letters] == [
        ("telemetry/gw-0", 1, "unknown_channel"),
        ("telemetry/gw-0", 0, "malformed"),
    ]
    assert await count(database) == 2
    assert house.metrics.counters['refused_total{reason="malformed"}'] == 1


async def test_acknowledgements_leave_in_the_order_of_the_publishes(house: House) -> None:
    async with Client(house.port) as client:
        ids = [
            client.send("telemetry/gw-0", [reading(seconds=1)]),
            client.send("status/gw-0", {"state": "online"}, retain=True),
            client.send("telemetry/gw-0", [reading(seconds=2)]),
        ]
        await client.acknowledged(ids)


@pytest.mark.parametrize("password", ["wrong", ""])
async def test_bad_credentials_are_turned_away(house: House, password: str) -> None:
    for version, code in ((mqtt.V311, 4), (FIVE, Code.BAD_CREDENTIALS)):
        client = Client(house.port, version=version, password=password)
        answer = await client.connect()
        assert answer.body[1] == code
        await client.closed()
        await client.close()


async def test_what_follows_connect_in_the_same_breath_waits_for_the_sign_in(house: House) -> None:
    client = Client(house.port)
    then = mqtt.publish(
        Message("telemetry/gw-0", json.dumps([reading()]).encode(), 1), version=mqtt.V311, number=7
    )
    assert (await client.connect(then=then)).body[1] == 0
    await client.acknowledged([7])
    await client.close()


@pytest.mark.parametrize(
    "topic", ["telemetry/gw-1", "telemetry/gw-0/x", "other", "refused/gw-0", "command/gw-0"]
)
async def test_a_gateway_speaks_only_for_itself(house: House, topic: str) -> None:
    async with Client(house.port, version=FIVE) as client:
        number = client.send(topic, [reading()])
        packet = await client.packet(Kind.PUBACK)
        assert mqtt.read_acknowledgement(packet.body, FIVE) == (number, Code.NOT_AUTHORIZED)
        await client.acknowledged([client.send("telemetry/gw-0", [reading()])])
    async with Client(house.port) as client:  # 3.1.1 has no other way to say it
        client.send(topic, [reading()])
        await client.closed()


@pytest.mark.parametrize(
    "topic_filter", ["#", "+/gw-0", "telemetry/gw-0", "refused/gw-1", "$share/x/refused/gw-0", "a#"]
)
async def test_a_gateway_hears_only_what_is_meant_for_it(house: House, topic_filter: str) -> None:
    async with Client(house.port) as client:
        client.subscribe("command/gw-0", topic_filter, "refused/gw-0")
        assert (await client.packet(Kind.SUBACK)).body[2:] == b"\x01\x80\x01"


async def test_status_is_retained_and_the_will_replaces_it(house: House) -> None:
    will = Message("status/gw-0", b'{"state":"offline"}', 1, retain=True)
    client = Client(house.port)
    await client.connect(will=will)
    await client.acknowledged([client.send("status/gw-0", b'{"state":"online"}', retain=True)])
    async with Client(house.port, "gw-0") as watcher:  # takes the session over, which is no clean end
        watcher.subscribe("status/gw-0")
        await watcher.packet(Kind.SUBACK)
        assert await watcher.message() == ("status/gw-0", b'{"state":"offline"}')
    assert isinstance(house.listener, Ear)
    assert ("status", "gw-0", '{"state":"online"}') in house.listener.heard
    assert ("disconnected", "gw-0", "another connection uses this client id") in house.listener.heard
    await client.close()


async def test_a_will_may_not_speak_for_others(house: House) -> None:
    client = Client(house.port)
    assert (await client.connect(will=Message("status/gw-1", b"", 1))).body[1] == 5
    await client.close()


async def test_a_clean_goodbye_has_no_will(house: House) -> None:
    client = Client(house.port)
    await client.connect(will=Message("status/gw-0", b"gone", 1))
    client.writer.write(mqtt.packet(Kind.DISCONNECT, 0, b""))
    await client.closed()
    await client.close()
    assert isinstance(house.listener, Ear)
    assert house.listener.heard == [("connected", "gw-0"), ("disconnected", "gw-0", "said goodbye")]


async def test_the_same_client_id_takes_its_session_over(house: House) -> None:
    first, second = Client(house.port, version=FIVE), Client(house.port, version=FIVE)
    await first.connect(clean=False, values={"session_expiry": 60})
    first.subscribe("command/gw-0")
    await first.packet(Kind.SUBACK)
    assert (await second.connect(clean=False, values={"session_expiry": 60})).body[0] == 1  # session present
    [goodbye] = await first.closed()
    assert isinstance(goodbye, Packet)
    assert goodbye.body[0] == Code.TAKEN_OVER
    house.endpoint.publish(Message("command/gw-0", b"open", 1))
    assert await second.message() == ("command/gw-0", b"open")
    await first.close()
    await second.close()


async def test_another_gateway_cannot_take_a_session_by_its_client_id(house: House) -> None:
    async with Client(house.port, "gw-0") as mine, Client(house.port, "gw-1") as other:
        await other.close()
        thief = Client(house.port, "gw-1")
        await thief.connect(client_id="gw-0")
        await mine.acknowledged([mine.send("telemetry/gw-0", [reading()])])
        await thief.close()


async def test_what_was_sent_to_a_session_waits_for_it(house: House) -> None:
    client = Client(house.port)
    await client.connect(clean=False)
    client.subscribe("command/gw-0")
    await client.packet(Kind.SUBACK)
    house.endpoint.publish(Message("command/gw-0", b"1", 1))
    assert isinstance(await client.next(), Run)  # and is not acknowledged
    await client.close()
    await asyncio.sleep(0.05)
    house.endpoint.publish(Message("command/gw-0", b"2", 1))
    assert (await client.connect(clean=False)).body[0] == 1
    again = [await client.message(), await client.message()]
    assert again == [("command/gw-0", b"1"), ("command/gw-0", b"2")]
    await client.close()


@pytest.mark.parametrize("version", [mqtt.V311, FIVE])
async def test_a_command_at_qos_2_is_delivered_exactly_once_across_a_reconnect(
    house: House, version: int
) -> None:
    keep: mqtt.Properties = {"session_expiry": 60} if version == FIVE else {}
    client = Client(house.port, version=version)
    await client.connect(clean=False, values=dict(keep))
    client.subscribe("command/gw-0", options=2)
    assert (await client.packet(Kind.SUBACK)).body[-1] == 2
    house.endpoint.publish(Message("command/gw-0", b"open", 2))
    run = await client.next()
    assert isinstance(run, Run)
    assert (run.qos, run.payloads) == (2, [b"open"])
    client.writer.write(mqtt.acknowledge(Kind.PUBREC, run.ids))
    assert (await client.packet(Kind.PUBREL)).body == run.ids[0]
    await client.close()  # PUBCOMP never leaves
    await client.connect(clean=False, values=dict(keep))
    assert (await client.packet(Kind.PUBREL)).body == run.ids[0]
    client.writer.write(mqtt.acknowledge(Kind.PUBCOMP, run.ids))
    house.endpoint.publish(Message("command/gw-0", b"close", 2))
    again = await client.next()
    assert isinstance(again, Run)
    assert again.payloads == [b"close"]
    await client.close()


async def test_a_pubrec_for_nothing_is_told_so(house: House) -> None:
    async with Client(house.port, version=FIVE) as client:
        client.writer.write(mqtt.acknowledge(Kind.PUBREC, [b"\0\7"]))
        released = await client.packet(Kind.PUBREL)
        assert mqtt.read_acknowledgement(released.body, FIVE) == (7, Code.NO_PACKET_ID)


async def test_qos_2_that_is_not_released_counts_against_the_window(house: House, database: Database) -> None:
    async with Client(house.port, version=FIVE) as client:
        sent = [client.send("telemetry/gw-0", [reading(seconds=n)], qos=2) for n in range(50)]
        await client.acknowledged(sent, Kind.PUBREC)
        client.writer.write(mqtt.acknowledge(Kind.PUBREL, [(1).to_bytes(2, "big")]))
        await client.acknowledged([1], Kind.PUBCOMP)
        await client.acknowledged([client.send("telemetry/gw-0", [reading(seconds=60)], qos=2)], Kind.PUBREC)
        client.send("telemetry/gw-0", [reading(seconds=61)], qos=2)
        goodbye = (await client.closed())[-1]
        assert isinstance(goodbye, Packet)
        assert goodbye.body[0] == Code.RECEIVE_MAXIMUM
    assert await count(database) == 51


async def test_a_packet_that_is_too_large_ends_the_connection(house: House, database: Database) -> None:
    async with Client(house.port, version=FIVE) as client, Client(house.port, "gw-1") as neighbour:
        client.writer.write(b"\x32\xff\xff\xff\x7f" + b"x" * 1000)
        [told] = await client.closed()
        assert isinstance(told, Packet)
        assert told.body[0] == Code.TOO_LARGE
        await neighbour.acknowledged([neighbour.send("telemetry/gw-1", [reading("d1/temp", 7)])])
    assert await count(database) == 1


async def test_who_is_let_go_while_still_writing_is_told_why(house: House) -> None:
    def shout(greeting: bytes) -> bytes:
        """A client that does not listen while it speaks: a reset would take what it was told."""
        with socket.create_connection(("127.0.0.1", house.port), 10) as line:
            line.sendall(greeting)
            time.sleep(0.3)
            line.sendall(b"\x32\xff\xff\xff\x7f")  # a packet of 256 MB
            for _ in range(20):
                line.sendall(bytes(10_000))
                time.sleep(0.01)
            return line.recv(1000)

    body = mqtt.text("command/gw-0") + b"\0"
    subscribe = mqtt.packet(Kind.SUBSCRIBE, 2, b"\0\1\0" + body)
    greeting = Client(house.port, version=FIVE).connect_packet(None, 60, None, {}, clean=True) + subscribe
    asking = asyncio.create_task(asyncio.to_thread(shout, greeting))
    while not asking.done():
        house.endpoint.publish(
            Message("command/gw-0", b"", 0)
        )  # what is said to it meanwhile troubles nobody
        await asyncio.sleep(0.05)
    assert (await asking)[-3:] == mqtt.disconnect(Code.TOO_LARGE)[-3:]


async def test_more_in_flight_than_agreed_ends_a_client_of_five(house: House, dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as blocker:
        await blocker.execute(b"LOCK TABLE readings IN EXCLUSIVE MODE")
        async with Client(house.port, version=FIVE) as client:
            for n in range(51):
                client.send("telemetry/gw-0", [reading(seconds=n)])
            [told] = await client.closed()
            assert isinstance(told, Packet)
            assert told.body[0] == Code.RECEIVE_MAXIMUM


async def test_a_client_of_three_is_slowed_instead_and_loses_nothing(
    house: House, database: Database
) -> None:
    pad = " " * 900
    async with Client(house.port) as client:
        ids = [
            client.send("telemetry/gw-0", (json.dumps([reading(seconds=n)]) + pad).encode())
            for n in range(400)
        ]
        await client.acknowledged(ids)
    assert await count(database) == 400


async def test_a_silent_client_is_let_go_after_its_keep_alive(house: House) -> None:
    client = Client(house.port)
    await client.connect(keep_alive=1, will=Message("status/gw-0", b"lost", 1, retain=True))
    assert await client.closed(4.0) == []
    assert isinstance(house.listener, Ear)
    assert ("status", "gw-0", "lost") in house.listener.heard
    await client.close()


async def test_keep_alive_zero_means_no_limit(house: House) -> None:
    client = Client(house.port)
    await client.connect(keep_alive=0)
    await asyncio.sleep(2.2)
    client.writer.write(mqtt.packet(Kind.PINGREQ, 0, b""))
    await client.packet(Kind.PINGRESP)
    await client.close()


@pytest.mark.parametrize(
    "data", [b"\x00" * 50, b"GET / HTTP/1.1\r\n\r\n", b"\x32\x05\x00\x01a\x00\x01", b"\x10\x02\x00\x00"]
)
async def test_strangers_and_noise_are_closed(house: House, data: bytes) -> None:
    client = Client(house.port)
    await client.dial()
    client.writer.write(data)
    await client.closed()
    await client.close()


async def test_an_unfinished_packet_does_not_hold_a_place_for_ever(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.endpoint.PATIENCE_S", 1.0)
    async with Client(house.port) as client:
        whole = mqtt.publish(Message("telemetry/gw-0", b"x" * 5000), version=mqtt.V311)
        ended = asyncio.create_task(client.closed())
        for place in range(40):
            client.writer.write(whole[place : place + 1])
            await asyncio.sleep(0.1)
            if ended.done():
                break
        assert ended.done()


async def test_a_flooding_gateway_is_slowed_and_named_and_its_neighbour_is_not_touched(
    dsn: str, database: Database, tmp_path: Path
) -> None:
    registry = await stored_registry(database)
    limits = EndpointLimits(messages_s=500)
    async with (
        House(dsn, registry, tmp_path, endpoint_limits=limits) as house,
        Client(house.port, "gw-0") as loud,
        Client(house.port, "gw-1") as calm,
    ):
        second = Client(house.port, "gw-0")
        await second.connect(client_id="another of the same gateway")
        began = asyncio.get_running_loop().time()
        flood = [loud.send("telemetry/gw-0", [reading(seconds=n)]) for n in range(750)]
        other = [second.send("telemetry/gw-0", [reading(seconds=n)]) for n in range(750, 1500)]
        done = asyncio.gather(loud.acknowledged(flood), second.acknowledged(other))
        delays: list[float] = []
        for n in range(10):
            sent = asyncio.get_running_loop().time()
            await calm.acknowledged([calm.send("telemetry/gw-1", [reading("d1/temp", 7, n)])])
            delays.append(asyncio.get_running_loop().time() - sent)
            await asyncio.sleep(0.05)
        await done
        for n in (2000, 2001):  # whichever connection brought the last of the flood, this one rests now
            await loud.acknowledged([loud.send("telemetry/gw-0", [reading(seconds=n)])])
        await second.close()
        assert asyncio.get_running_loop().time() - began > 0.8  # 1500 at 500/s, less a burst of two seconds
        assert max(delays) < 0.5
        assert house.metrics.counters['gateway_slowed_total{gateway="gw-0"}'] >= 1
        assert 'gateway_slowed_total{gateway="gw-1"}' not in house.metrics.counters
