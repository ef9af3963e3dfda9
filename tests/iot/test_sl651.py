"""SL 651: public frames and our own of the standard's layout; series, negative numbers, packets."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.stream import NoReceipt
from iot.codecs import china, sl651
from iot.codecs.frame import Columns, Parcel, Reason
from iot.codecs.sl651 import Message
from tests.iot.sample import NOW_US

HEX = {
    "keep": "7E7E01001234567812342F0008020003591011155111036BCA",
    "test": """
        7E7E010012345678123430002B020003591011154947F1F1001234567848F0F0591011154920190000052619000005392300
        000127381211150320FA
        """,
    "timed": """
        7E7E05001122334403E832002B020034170718110016F1F1001122334448F0F0170718110020190000402619000040392300
        0104903812109903A421
        """,
    "extra": """
        7E7E05001122334403E833002B020026170718102202F1F1001122334448F0F0170718102220190000402619000040392300
        0104903812110203F511
        """,
    "hourly": """
        7E7E05001122334403E8340068020033170718110014F1F1001122334448F0F01707181005F4600500000014FFFFFFFFFF00
        00F0F017071811002619000040F0F01707181005F5C0000C000C001C00310031FFFFFFFFFFFFFFFFFFFF00310031F0F01707
        18110039230001049020190000403812109903F502
        """,
    "status": "7E7E0500112233441234460015020023170718102008F1F100112233444520000004000315C1",
    "river": """
        7E7E010012345678123432002B020001260714083000F1F1001234567848F0F0260714083039230002345620190001252619
        00380038121261030E63
        """,
    "ack": "7E7E001234567801123432800802000126071408300204E3B7",
    "level": """
        7E7E010012345678123433002C020002260714084500F1F1001234567848F0F0260714084539230002510220190005804520
        000000043812126003180C
        """,
    "rain": """
        7E7E010012345678123434003A020003260714090000F1F1001234567850F0F02607140805F46005080C1421291E160A0602
        00F0F02607140900261900398920190007693812125803A27F
        """,
    "negative": """
        7E7E0100123456781234320022020004260714091500F1F1001234567844F0F026071409153B2BFF0000125038121255032D
        58
        """,
    "query": "7E7E001234567801123437800802000026071409200005B3BA",
}
FRAMES = {name: bytes.fromhex(text) for name, text in HEX.items()}
STATION = "0012345678"


def read(payload: bytes) -> Columns:
    into = Columns()
    sl651.decode(Parcel("rivers", "sl651", [payload], NOW_US, NoReceipt()), into)
    return into


def rows(columns: Columns) -> list[tuple[str, float, float]]:
    return [
        (name.partition("/")[2], value, time)
        for name, value, time in zip(columns.names, columns.values, columns.times, strict=True)
    ]


@pytest.mark.parametrize("name", FRAMES)
def test_golden_frames_are_read_and_written_back(name: str) -> None:
    assert sl651.encode(sl651.parse(FRAMES[name])) == FRAMES[name]


def test_the_check_is_that_of_public_frames() -> None:
    assert china.crc16_modbus(b"123456789") == 0x4B37


def test_a_timed_report_is_level_rain_and_battery() -> None:
    when = 1783989000.0  # 2026-07-14 08:30 in China
    assert rows(read(FRAMES["river"])) == [
        ("39H", 23.456, when), ("20H", 12.5, when), ("26H", 380.0, when), ("38H", 12.61, when),
    ]  # fmt: skip
    found = read(FRAMES["test"])
    assert [(name, value) for name, value, _ in rows(found)] == [
        ("20H", 0.5), ("26H", 0.5), ("39H", 0.127), ("38H", 11.15),
    ]  # fmt: skip
    assert found.names[0] == f"{STATION}/20H"


def test_negative_levels_are_negative() -> None:
    assert rows(read(FRAMES["negative"]))[0][:2] == ("3BH", -1.25)


def test_the_status_word_gives_its_bits() -> None:
    bits = {name: value for name, value, _ in rows(read(FRAMES["level"])) if name.startswith("45H")}
    assert bits["45H.2"] == 1.0
    assert sum(bits.values()) == 1.0
    alone = {name: value for name, value, _ in rows(read(FRAMES["status"]))}
    assert alone["45H.10"] == 1.0


def test_an_hour_of_five_minute_values_begins_at_its_time() -> None:
    found = [row for row in rows(read(FRAMES["rain"])) if row[0] == "F4H"]
    begin = 1783987500.0  # 08:05
    assert [value for _, value, _ in found] == [0.5, 0.8, 1.2, 2.0, 3.3, 4.1, 3.0, 2.2, 1.0, 0.6, 0.2, 0.0]
    assert [time - begin for _, _, time in found] == [300.0 * n for n in range(12)]
    hourly = rows(read(FRAMES["hourly"]))
    assert [(value, (time - 1500343500.0) / 300) for name, value, time in hourly if name == "F4H"] == [
        (0.5, 0), (0.0, 1), (0.0, 2), (0.0, 3), (2.0, 4), (0.0, 10), (0.0, 11),
    ]  # fmt: skip
    assert [value for name, value, _ in hourly if name == "F5H"] == [0.12, 0.12, 0.28, 0.49, 0.49, 0.49, 0.49]


def series(step: str, values: str, function: int = 0x31) -> bytes:
    body = bytes.fromhex("0005260714090000F1F1001234567848F0F02607140800" + "0418" + step + "3923" + values)
    return sl651.encode(Message(1, STATION, 0x1234, function, body))


def test_a_uniform_series_has_its_step_and_may_miss_values() -> None:
    found = read(series("000010", "00001000" + "FFFFFFFF" + "00001200"))
    assert rows(found) == [("39H", 1.0, 1783987200.0), ("39H", 1.2, 1783987200.0 + 1200)]
    assert [r.reason for r in read(series("000010", "000010")).refused] == [Reason.MALFORMED]
    assert [r.reason for r in read(series("000010", "00001A00")).refused] == [Reason.NOT_A_NUMBER]


def packets() -> list[bytes]:
    body = bytes.fromhex("0005260714090000F1F1001234567848F0F02607140800041800001039230000100000001200")
    halves = (body[:20], body[20:])
    return [
        sl651.encode(
            Message(1, STATION, 0x1234, 0x31, half, sl651.ETB if n == 1 else sl651.ETX, total=2, number=n)
        )
        for n, half in enumerate(halves, 1)
    ]


def test_a_report_of_packets_is_read_as_one() -> None:
    assert [value for _, value, _ in rows(read(b"".join(packets())))] == [1.0, 1.2]
    assert [r.reason for r in read(packets()[0]).refused] == [Reason.MALFORMED]
    assert [r.reason for r in read(packets()[1] + packets()[0]).refused] == [Reason.MALFORMED]


def test_a_confirmation_repeats_the_serial_number() -> None:
    at = 1783989002 * 1_000_000
    assert sl651.encode(sl651.confirm(sl651.parse(FRAMES["river"]), at)) == FRAMES["ack"]
    assert sl651.confirm(sl651.parse(packets()[0]), at).end == sl651.ACK
    assert sl651.confirm(sl651.parse(FRAMES["river"]), at, stay=True).end == sl651.ESC


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (FRAMES["river"][:-1] + b"\x00", Reason.BAD_CHECKSUM),
        (FRAMES["river"][:-3], Reason.MALFORMED),
        (FRAMES["river"].replace(b"\x02\x34", b"\x02\x35"), Reason.BAD_CHECKSUM),
        (b"", Reason.MALFORMED),
        (b"~~" + bytes(30), Reason.MALFORMED),
    ],
)
def test_broken_frames_give_no_value(payload: bytes, reason: Reason) -> None:
    found = read(payload)
    assert not found.names
    assert [r.reason for r in found.refused] == [reason]


@given(
    st.lists(st.sampled_from([*FRAMES.values(), b"~", b"~~", bytes(3), b"~~" + bytes(12)]), max_size=6),
    st.data(),
)
def test_a_stream_is_cut_alike_however_it_comes(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    edges = [0, *sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5))), len(whole)]
    piecewise = sl651.framer()
    found = [frame for a, b in itertools.pairwise(edges) for frame in piecewise.feed(whole[a:b])]
    assert found == list(sl651.framer().feed(whole))
