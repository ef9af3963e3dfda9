"""SenML CBOR, ThingsBoard, Sparkplug B and declared payloads: read as their makers mean them."""

from __future__ import annotations

import json
import math
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.batch import Quality
from core.clock import SECOND_US, ManualClock
from core.payload import PayloadMapping
from ingest.sparkplug import SparkplugHost
from ingest.stream import NoReceipt
from iot.codecs import senml, senml_cbor, sparkplug, thingsboard
from iot.codecs.frame import Columns, Parcel
from iot.codecs.plain import Mapper
from iot.codecs.sparkplug import Metric, Payload, Type
from tests.iot.frames import read, rows, why
from tests.iot.sample import NOW_US
from tests.iot.test_senml import VECTORS, record

NOW_S = NOW_US / SECOND_US

# -- SenML CBOR --------------------------------------------------------------------------------------------------


def as_cbor(pack: list[dict[str, Any]]) -> bytes:
    return cbor2.dumps([{senml_cbor.NUMBERS.get(k, k): v for k, v in item.items()} for item in pack])


@pytest.mark.parametrize(("pack", "expected"), VECTORS)
def test_cbor_packs_resolve_as_json_packs_do(
    pack: list[dict[str, Any]], expected: list[tuple[Any, ...]]
) -> None:
    found = read(senml_cbor.decode, as_cbor(pack))
    assert repr([(n, t, v, u) for (n, t, v), u in zip(rows(found), found.units, strict=True)]) == repr(
        expected
    )


@given(st.lists(record, min_size=1, max_size=5))
def test_a_pack_means_the_same_in_both_encodings(pack: list[dict[str, Any]]) -> None:
    one, other = read(senml_cbor.decode, as_cbor(pack)), read(senml.decode, json.dumps(pack).encode())
    assert repr((rows(one), one.units, why(one))) == repr((rows(other), other.units, why(other)))


@pytest.mark.parametrize("payload", [b"", b"\x81" * 500, b"\x9b" + b"\xff" * 8, b"\xa0", b"\x00"])
def test_what_is_no_cbor_pack_is_refused(payload: bytes) -> None:
    assert why(read(senml_cbor.decode, payload)) == [(0, 0, "malformed")]


def test_cbor_that_we_write_we_read() -> None:
    found = read(
        senml_cbor.decode,
        senml_cbor.encode([("d0/temp", "Cel", NOW_US, 8.5), ("d0/temp", "", NOW_US + 500_000, 9)]),
    )
    assert rows(found) == [("d0/temp", NOW_S, 8.5), ("d0/temp", NOW_S + 0.5, 9.0)]


def test_nan_in_cbor_is_refused_by_record() -> None:
    pack = [{0: "d0/temp", 2: 1.5}, {0: "d0/temp", 2: math.nan}]
    assert why(read(senml_cbor.decode, cbor2.dumps(pack))) == [(0, 1, "not_a_number")]


# -- ThingsBoard -------------------------------------------------------------------------------------------------


def test_thingsboard_devices_send_one_or_many_moments() -> None:
    found = read(thingsboard.device, b'{"temp": 8.5, "open": true, "mode": "auto", "text": "12.5"}')
    assert [(name, value) for name, _, value in rows(found)] == [
        ("gw-0/temp", 8.5), ("gw-0/open", 1.0), ("gw-0/mode", "auto"), ("gw-0/text", 12.5),
    ]  # fmt: skip
    found = read(thingsboard.device, b'[{"ts": 1769904000500, "values": {"temp": 1}}, {"temp": 2}]')
    assert repr(rows(found)) == repr([("gw-0/temp", NOW_S + 0.5, 1.0), ("gw-0/temp", math.nan, 2.0)])


def test_thingsboard_gateways_send_for_their_devices() -> None:
    payload = b'{"d0": [{"ts": 1769904000000, "values": {"temp": 1, "pressure": 2}}], "d2": [{"temp": 3}]}'
    assert repr(rows(read(thingsboard.gateway, payload))) == repr(
        [("d0/temp", NOW_S, 1.0), ("d0/pressure", NOW_S, 2.0), ("d2/temp", math.nan, 3.0)]
    )


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"{", [(0, 0, "malformed")]),
        (b"7", [(0, 0, "malformed")]),
        (b'{"temp": NaN}', [(0, 0, "not_a_number")]),
        (b'{"temp": null}', [(0, 0, "no_value")]),
        (b'{"temp": {"x": 1}}', [(0, 0, "not_a_number")]),
        (b'[{"temp": 1}, {"ts": "late", "values": {"temp": 1}}]', [(0, 1, "bad_time")]),
        (b'[{"temp": 1}, {"ts": 1e18, "values": {"temp": 1}}]', [(0, 1, "bad_time")]),
    ],
)
def test_thingsboard_mistakes_are_named(payload: bytes, expected: list[tuple[int, int, str]]) -> None:
    assert why(read(thingsboard.device, payload)) == expected


# -- Sparkplug B -------------------------------------------------------------------------------------------------

GOLDEN = {
    "NDEATH": "088098ffb3c133120b0a05626453657120045800",
    "NBIRTH": "088098ffb3c13312120a056264536571188098ffb3c1332004580012210a144e6f646520436f6e74726f6c2f5265626972746818"
    "8098ffb3c133200b70001800",
    "DBIRTH": "08e89fffb3c13312170a056c6576656c100118e89fffb3c1332009650000a03f12160a0770756d702f6f6e100218e89fffb3c133"
    "200b700112170a0474656d70100318e89fffb3c133200350fbffffff0f1801",
    "DDATA": "08d0a7ffb3c133120e100118d0a7ffb3c133650000c03f120f100318d0a7ffb3c13350f9ffffff0f1802",
    "DDATA null": "08c4abffb3c133120b100118c4abffb3c13338011803",
    "NCMD": "08b8afffb3c13312210a144e6f646520436f6e74726f6c2f5265626972746818b8afffb3c133200b7001",
    "DDEATH": "08a0b7ffb3c1331804",
    "DDATA stale": "08d0a7ffb3c1331220100118d0a7ffb3c1334a100a075175616c6974791205080318f403650000c03f1802",
}
BYTES = {name: bytes.fromhex(text) for name, text in GOLDEN.items()}


class Host:
    """A host that hears one node."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW_US)
        self.asked: list[tuple[str, bytes]] = []
        self.host = SparkplugHost(self.clock, lambda topic, payload: self.asked.append((topic, payload)))

    def hear(self, kind: str, payload: bytes, device: str = "") -> Columns:
        topic = f"spBv1.0/plant/{kind}/gw-0" + (f"/{device}" if device else "")
        return read(self.host, payload, topic=topic)

    def born(self) -> Host:
        self.hear("NBIRTH", BYTES["NBIRTH"])
        self.hear("DBIRTH", BYTES["DBIRTH"], "pump")
        return self


def data(seq: int, value: float = 1.5) -> bytes:
    return sparkplug.encode(Payload((Metric("", 1, NOW_US // 1000, Type.FLOAT, value),), NOW_US // 1000, seq))


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_payloads_are_read_and_written_back(name: str) -> None:
    payload = sparkplug.parse(BYTES[name])
    if name in (
        "DDATA",
        "DDATA stale",
    ):  # data metrics leave their type out, so it is given here as it was born
        types = {1: Type.FLOAT, 3: Type.INT32}
        metrics = tuple(
            Metric(m.name, m.alias, m.time_ms, types[m.alias or 0], m.value, m.historical, m.quality)
            for m in payload.metrics
        )
        payload = Payload(metrics, payload.time_ms, payload.seq)
    assert sparkplug.encode(payload) == BYTES[name]


def test_a_rebirth_is_asked_for_as_the_specification_shows() -> None:
    assert sparkplug.rebirth(NOW_US // 1000 + 3000) == BYTES["NCMD"]


def test_births_give_names_and_data_gives_values() -> None:
    host = Host()
    host.hear("NBIRTH", BYTES["NBIRTH"])
    assert rows(host.hear("DBIRTH", BYTES["DBIRTH"], "pump")) == [
        ("pump/level", NOW_S + 1, 1.25), ("pump/pump.on", NOW_S + 1, 1.0), ("pump/temp", NOW_S + 1, -5.0),
    ]  # fmt: skip
    assert rows(host.hear("DDATA", BYTES["DDATA"], "pump")) == [
        ("pump/level", NOW_S + 2, 1.5),
        ("pump/temp", NOW_S + 2, -7.0),
    ]
    assert rows(host.hear("DDATA", BYTES["DDATA null"], "pump")) == []
    assert host.asked == []


def test_data_before_birth_asks_for_a_rebirth_once_in_a_while() -> None:
    host = Host()
    assert why(host.hear("DDATA", BYTES["DDATA"], "pump")) == [(0, 0, "not_born")]
    host.hear("DDATA", BYTES["DDATA"], "pump")
    assert [topic for topic, _ in host.asked] == ["spBv1.0/plant/NCMD/gw-0"]
    host.clock.advance(6)
    host.hear("DDATA", BYTES["DDATA"], "pump")
    assert len(host.asked) == 2
    host.born()
    assert len(host.asked) == 2


def test_a_gap_in_the_sequence_asks_and_keeps_what_came() -> None:
    host = Host().born()
    assert len(rows(host.hear("DDATA", data(2), "pump"))) == 1
    assert not host.asked
    assert len(rows(host.hear("DDATA", data(4), "pump"))) == 1
    assert len(host.asked) == 1


def test_the_sequence_wraps_at_255() -> None:
    host = Host().born()
    for seq in range(2, 600):
        host.hear("DDATA", data(seq % 256), "pump")
    assert not host.asked


def test_an_old_will_does_not_end_a_new_session() -> None:
    host = Host()
    birth = Payload((Metric("bdSeq", None, None, Type.INT64, 7),), NOW_US // 1000, 0)
    host.hear("NBIRTH", sparkplug.encode(birth))
    host.hear("NDEATH", BYTES["NDEATH"])  # of bdSeq 0
    host.hear("DBIRTH", BYTES["DBIRTH"], "pump")
    assert not host.asked
    host.hear("NDEATH", sparkplug.encode(Payload((Metric("bdSeq", None, None, Type.INT64, 7),))))
    host.hear("DDATA", data(2), "pump")
    assert len(host.asked) == 1


def test_an_unknown_alias_and_a_device_that_died_ask_for_a_rebirth() -> None:
    host = Host().born()
    strange = Payload((Metric("", 99, None, Type.FLOAT, 1.0),), NOW_US // 1000, 2)
    assert why(host.hear("DDATA", sparkplug.encode(strange), "pump")) == [(0, 0, "bad_name")]
    assert len(host.asked) == 1
    host.clock.advance(6)
    host.hear("DDEATH", sparkplug.encode(Payload((), NOW_US // 1000, 3)), "pump")
    host.hear("DDATA", data(4), "pump")
    assert len(host.asked) == 2


def test_stale_values_are_marked() -> None:
    host = Host().born()
    assert host.hear("DDATA", BYTES["DDATA stale"], "pump").marks == {0: int(Quality.ESTIMATED)}


INTEGERS = [(1, 233, -23), (1, 2**32 - 23, -23), (2, 0xFFE9, -23), (3, 2**32 - 23, -23), (4, 2**64 - 23, -23)]


@pytest.mark.parametrize(("datatype", "raw", "value"), INTEGERS)
def test_integers_have_the_width_of_their_type(datatype: int, raw: int, value: int) -> None:
    assert sparkplug.typed(raw, datatype) == value


@given(st.binary(max_size=120), st.sampled_from(["NBIRTH", "DDATA", "NDEATH", "DBIRTH", "NOTHING"]))
def test_noise_is_refused_or_read(payload: bytes, kind: str) -> None:
    Host().born().hear(kind, payload, "pump")


# -- declared payloads ---------------------------------------------------------------------------------------------


def mapper(**fields: object) -> Mapper:
    return Mapper(PayloadMapping.model_validate({"name": "acme", **fields}))


WIDE = {
    "topic": "acme/{gateway}/up", "items": "data[]", "device": "id", "time": "ts",
    "values": {"temp": "t.value", "pressure": "p"}, "units": {"pressure": "MPa"},
}  # fmt: skip
LONG = {
    "topic": "x/{gateway}/{device}",
    "channel": "name",
    "value": "val",
    "unit": "u",
    "channels": {"T": "temp"},
}


def test_a_wide_payload_gives_several_readings_a_thing() -> None:
    first = {"id": "d0", "ts": 1769904000000, "t": {"value": 8.5}, "p": "0.3"}
    payload = json.dumps({"data": [first, {"id": "d2", "t": {"value": 9}}]}).encode()
    found = read(mapper(**WIDE), payload, topic="acme/gw-0/up")
    assert repr(rows(found)) == repr(
        [("d0/temp", NOW_S, 8.5), ("d0/pressure", NOW_S, 0.3), ("d2/temp", math.nan, 9.0)]
    )
    assert found.units == ["", "MPa", ""]


def test_a_long_payload_names_its_channel_and_the_topic_its_device() -> None:
    found = read(mapper(**LONG), b'{"name": "T", "val": 8.5, "u": "Cel"}', topic="x/gw-0/d0")
    assert repr(rows(found)) == repr([("d0/temp", math.nan, 8.5)])
    assert found.units == ["Cel"]


@pytest.mark.parametrize(
    ("form", "raw", "seconds"),
    [
        ("s", 1769904000, NOW_S), ("ms", "1769904000500", NOW_S + 0.5), ("us", 1769904000000001, NOW_S + 1e-6),
        ("rfc3339", "2026-02-01T08:00:00+08:00", NOW_S), ("rfc3339", "2026-02-01T00:00:00Z", NOW_S),
        ("china", "2026-02-01 08:00:00", NOW_S),
    ],
)  # fmt: skip
def test_times_are_read_as_declared(form: str, raw: object, seconds: float) -> None:
    reader = mapper(device="d", time="t", format=form, values={"temp": "v"})
    [(_, found, _)] = rows(read(reader, json.dumps({"d": "d0", "t": raw, "v": 1}).encode()))
    assert found == pytest.approx(seconds, abs=1e-7)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"{", [(0, 0, "malformed")]),
        (b"{}", [(0, 0, "malformed")]),
        (b'{"data": []}', [(0, 0, "malformed")]),
        (b'{"data": [{"t": {"value": 1}}]}', [(0, 0, "bad_name")]),
        (b'{"data": [{"id": "d0", "ts": "soon", "t": {"value": 1}}]}', [(0, 0, "bad_time")]),
        (b'{"data": [{"id": "d0", "ts": 1e300, "t": {"value": 1}}]}', [(0, 0, "bad_time")]),
        (b'{"data": [{"id": "d0", "t": {"value": [1]}}]}', [(0, 0, "not_a_number")]),
        (b'{"data": [{"id": "d0", "t": {"value": NaN}}]}', [(0, 0, "not_a_number")]),
    ],
)
def test_mistakes_in_declared_payloads_are_named(
    payload: bytes, expected: list[tuple[int, int, str]]
) -> None:
    assert why(read(mapper(**WIDE), payload, topic="acme/gw-0/up")) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"values": {"temp": "t"}}, {"device": "d"}, {"device": "d", "values": {"temp": "t["}},
        {"device": "d", "values": {"temp": "t"}, "topic": "acme/up"},
        {"device": "d", "values": {"temp": "t"}, "channel": "c", "value": "v"},
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_work_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PayloadMapping.model_validate({"name": "acme", **fields})


def test_a_topic_belongs_to_the_gateway_that_it_names() -> None:
    assert mapper(**WIDE).gateway_of("acme/gw-7/up") == "gw-7"
    assert mapper(**WIDE).gateway_of("acme/gw-7/up/x") is None
    assert mapper(**LONG).topic_filter == "x/+/+"


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    for reader in (
        thingsboard.device,
        thingsboard.gateway,
        senml_cbor.decode,
        mapper(**WIDE),
        mapper(**LONG),
    ):
        read(reader, payload, topic="x/gw-0/d0")
    assert Parcel("g", "s", [payload], 0, NoReceipt()).size >= len(payload)
