"""The packet codec: every split gives the same packets, and nothing but ProtocolError comes out of noise."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import mqtt
from ingest.mqtt import Code, Kind, Message, Packet, ProtocolError, Run, Slicer


def slice_all(data: bytes, version: int = mqtt.V311, cuts: tuple[int, ...] = ()) -> list[Run | Packet]:
    slicer = Slicer(alias_maximum=5)
    slicer.version = version
    found: list[Run | Packet] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for begin, end in itertools.pairwise(edges):
        found += slicer.feed(data[begin:end])
    return found


def flat(items: list[Run | Packet]) -> list[object]:
    """Runs taken apart: how they are grouped depends on how the bytes came."""
    told: list[object] = []
    for item in items:
        if isinstance(item, Packet):
            told.append(item)
            continue
        for place, payload in enumerate(item.payloads):
            told.append(
                (
                    item.topic,
                    item.qos,
                    item.retain,
                    payload,
                    item.ids[place] if item.ids else b"",
                    item.properties,
                )
            )
    return told


messages = st.builds(
    Message,
    topic=st.sampled_from(["telemetry/gw-0", "telemetry/gw-0/cbor", "t", "状态/一"]),
    payload=st.binary(max_size=300),
    qos=st.integers(0, 2),
    retain=st.booleans(),
    properties=st.sampled_from([{}, {"content_type": "x"}, {"payload_format": 1, "message_expiry": 9}]),
)
versions = st.sampled_from([mqtt.V311, mqtt.V5])


@given(st.lists(messages, max_size=12), versions, st.lists(st.integers(0, 4000), max_size=6), st.booleans())
def test_what_is_published_is_read_whatever_the_chunks(
    sent: list[Message],
    version: int,
    cuts: list[int],
    dup: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    data = b""
    expected: list[object] = []
    for number, message in enumerate(sent, 1):
        data += mqtt.publish(message, version=version, number=number, dup=dup and message.qos > 0)
        data += mqtt.packet(Kind.PINGREQ, 0, b"") if number % 5 == 0 else b""
        identifier = struct.pack(">H", number) if message.qos else b""
        properties = (message.properties if version == mqtt.V5 else None) or None
        expected.append((message.topic, message.qos, message.retain, message.payload, identifier, properties))
        if number % 5 == 0:
            expected.append(Packet(Kind.PINGREQ, 0, b""))
    assert flat(slice_all(data, version, tuple(cuts))) == expected


def test_runs_gather_what_goes_to_one_topic() -> None:
    data = b"".join(
        mqtt.publish(Message("telemetry/gw-0", b"%d" % n, 1), version=mqtt.V311, number=n)
        for n in range(1, 500)
    )
    [run] = slice_all(data)
    assert isinstance(run, Run)
    assert len(run.payloads) == len(run.ids) == 499
    answers = slice_all(mqtt.acknowledge(Kind.PUBACK, run.ids))
    assert [
        mqtt.read_acknowledgement(a.body, mqtt.V311)[0] for a in answers if isinstance(a, Packet)
    ] == list(range(1, 500))


def test_an_alias_stands_for_its_topic() -> None:
    def aliased(topic: str, n: int) -> bytes:
        message = Message(topic, b"x", 1, properties={"topic_alias": 3})
        return mqtt.publish(message, version=mqtt.V5, number=n)

    runs = slice_all(aliased("a/b", 1) + aliased("", 2) + aliased("", 3), mqtt.V5)
    assert [(run.topic, len(run.payloads)) for run in runs if isinstance(run, Run)] == [("a/b", 1)] * 3


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40), versions, st.integers(0, 2))
def test_lengths_around_the_second_length_byte_are_read(sizes: list[int], version: int, qos: int) -> None:
    data = b"".join(
        mqtt.publish(Message("telemetry/gw-0", b"x" * size, qos), version=version, number=n)
        for n, size in enumerate(sizes, 1)
    )
    assert [len(p) for run in slice_all(data, version) if isinstance(run, Run) for p in run.payloads] == sizes


@given(st.binary(max_size=300), versions)
def test_noise_gives_packets_or_a_protocol_error(data: bytes, version: int) -> None:
    try:
        items = slice_all(data, version)
    except ProtocolError:
        return
    for item in items:
        if isinstance(item, Packet):
            try:
                read(item, version)
            except ProtocolError:
                pass


def read(packet: Packet, version: int) -> object:
    match packet.kind:
        case Kind.CONNECT:
            return mqtt.read_connect(packet.body)
        case Kind.SUBSCRIBE:
            return mqtt.read_subscribe(packet.body, version)
        case Kind.UNSUBSCRIBE:
            return mqtt.read_unsubscribe(packet.body, version)
        case Kind.DISCONNECT:
            return mqtt.read_disconnect(packet.body, version)
        case _:
            return mqtt.read_acknowledgement(packet.body, version)


@given(st.data())
def test_a_broken_connect_is_a_protocol_error(data: st.DataObject) -> None:
    whole = connect_body()
    place = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:place] + bytes((data.draw(st.integers(0, 255)),)) + whole[place + 1 :]
    broken = broken[: data.draw(st.integers(0, len(whole)))]
    try:
        mqtt.read_connect(broken)
    except ProtocolError:
        pass


def connect_body(version: int = mqtt.V5) -> bytes:
    five = version == mqtt.V5
    return (
        mqtt.text("MQTT") + struct.pack(">BBH", version, 0b1110_1110, 60)
        + (mqtt.properties({"session_expiry": 7, "receive_maximum": 9}) if five else b"")
        + mqtt.text("client") + (mqtt.properties({"will_delay": 5}) if five else b"")
        + mqtt.text("status/gw-0") + mqtt.binary(b"{}") + mqtt.text("gw-0") + mqtt.binary(b"secret")
    )  # fmt: skip


@pytest.mark.parametrize("version", [mqtt.V311, mqtt.V5])
def test_connect_is_read_whole(version: int) -> None:
    connect = mqtt.read_connect(connect_body(version))
    assert connect.version == version
    assert (connect.client_id, connect.username, connect.password) == ("client", "gw-0", b"secret")
    assert connect.clean
    assert connect.keep_alive_s == 60
    assert connect.will == Message("status/gw-0", b"{}", 1, retain=True)
    assert connect.will_delay_s == (5 if version == mqtt.V5 else 0)
    assert connect.limit("receive_maximum", 65_535) == (9 if version == mqtt.V5 else 65_535)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x36\x05\x00\x01a\x00\x01", Code.MALFORMED),  # QoS 3
        (b"\x38\x04\x00\x01ax", Code.MALFORMED),  # a repeated QoS 0
        (b"\x32\x05\x00\x01a\x00\x00", Code.MALFORMED),  # identifier 0
        (b"\x30\x03\x00\x00x", Code.BAD_TOPIC),
        (b"\x30\x04\x00\x01#x", Code.BAD_TOPIC),
        (b"\x30\x04\x00\x01\x00x", Code.MALFORMED),
        (b"\x30\x04\x00\x01\xffx", Code.MALFORMED),
        (b"\x30\x02\x00\x05", Code.MALFORMED),
        (b"\x80\x05\x00\x01\x00\x00\x00", Code.MALFORMED),  # SUBSCRIBE without its flags
        (b"\x00\x00", Code.MALFORMED),
        (b"\x30\xff\xff\xff\xff\x7f", Code.MALFORMED),
        (b"\x30\x80\x80\x80\x40" + b"x", Code.TOO_LARGE),
    ],
)
def test_broken_packets_end_the_connection_with_their_code(data: bytes, code: Code) -> None:
    slicer = Slicer(1 << 20)
    good = mqtt.publish(Message("t", b"1", 1), version=mqtt.V311, number=7)
    found: list[Run | Packet] = []
    with pytest.raises(ProtocolError) as caught:
        for item in slicer.feed(good + data):
            found.append(item)  # noqa: PERF402 - what came before the error counts
    assert caught.value.code == code
    assert [item.payloads for item in found if isinstance(item, Run)] == [[b"1"]]


def test_a_dripping_peer_costs_no_copies() -> None:
    slicer = Slicer(1 << 20)
    packet = mqtt.publish(Message("t", b"x" * 200_000), version=mqtt.V311)
    for place in range(0, len(packet) - 1, 7):
        assert not list(slicer.feed(packet[place : place + 7]))[:0]
    assert slicer.waiting <= len(packet)


TAKEN = ["a/b a/b", "a/+ a/b", "a/# a", "a/# a/b/c", "# a", "$SYS/# $SYS/x", "/+ /a", "+/+ /a"]
NOT_TAKEN = ["a/+ a/b/c", "# $SYS/x", "+/x $SYS/x", "+ a/b", "a/b/c a/b", "+ /a"]


@pytest.mark.parametrize("pair", TAKEN + NOT_TAKEN)
def test_filters_take_what_the_standard_says(pair: str) -> None:
    topic_filter, topic = pair.split()
    assert mqtt.check_filter(topic_filter)
    assert mqtt.matches(topic_filter, topic) is (pair in TAKEN)


@pytest.mark.parametrize("topic_filter", ["", "a#", "#/a", "a+/b", "a/#/b", "+a"])
def test_filters_that_are_none(topic_filter: str) -> None:
    assert not mqtt.check_filter(topic_filter)
