"""HJ 212: the standard's frames, the field's habits, and nothing out of a frame whose CRC is wrong."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.batch import Quality
from ingest.stream import NoReceipt
from iot.codecs import china, hj212
from iot.codecs.frame import Columns, MalformedError, Parcel, Reason
from iot.codecs.hj212 import Message
from tests.iot.sample import NOW_US

MN = "31010600010000010000A001"
A = (
    b"##0374QN=20260714083000123;ST=39;CN=2011;PW=123456;MN=31010600010000010000A001;Flag=5;CP=&&"
    b"DataTime=20260714083000;a34001-Rtd=186.0,a34001-Flag=N;a34002-Rtd=97.0,a34002-Flag=N;a34004-Rtd=41.0,"
    b"a34004-Flag=N;a01001-Rtd=31.4,a01001-Flag=N;a01002-Rtd=68.2,a01002-Flag=N;a01006-Rtd=100.300,a01006-Flag=N;"
    b"a01007-Rtd=2.3,a01007-Flag=N;a01008-Rtd=135,a01008-Flag=N;LA-Rtd=63.7,LA-Flag=N&&F141\r\n"
)
B = b"##0087QN=20260714083000123;ST=91;CN=9014;PW=123456;MN=31010600010000010000A001;Flag=4;CP=&&&&74C0\r\n"
C = (
    b"##0284QN=20260714084500001;ST=39;CN=2051;PW=123456;MN=31010600010000010000A001;Flag=4;CP=&&"
    b"DataTime=20260714083000;a34001-Min=150.0,a34001-Avg=178.5,a34001-Max=240.0,a34001-Flag=N;a34002-Min=80.0,"
    b"a34002-Avg=95.2,a34002-Max=130.0,a34002-Flag=N;LA-Min=58.0,LA-Avg=62.1,LA-Max=71.4,LA-Flag=N&&2940\r\n"
)
D1 = (
    b"##0251QN=20260714090000001;ST=39;CN=2061;PW=123456;MN=31010600010000010000A001;Flag=7;PNUM=2;PNO=1;CP=&&"
    b"DataTime=20260714080000;a34001-Min=120.0,a34001-Avg=171.3,a34001-Max=402.0,a34001-Flag=N;"
    b"a34002-Min=60.0,a34002-Avg=90.4,a34002-Max=188.0,a34002-Flag=N&&30C0\r\n"
)
D2 = (
    b"##0210QN=20260714090000002;ST=39;CN=2061;PW=123456;MN=31010600010000010000A001;Flag=7;PNUM=2;PNO=2;CP=&&"
    b"DataTime=20260714080000;Leq-Data=61.8,Leq-Flag=N;a34004-Min=22.0,a34004-Avg=38.6,a34004-Max=77.0,"
    b"a34004-Flag=D&&E681\r\n"
)
E = (
    b"##0101QN=20260714083500456;ST=39;CN=1062;PW=123456;MN=31010600010000010000A001;Flag=5;CP=&&"
    b"RtdInterval=60&&1100\r\n"
)
F = b"##0094QN=20260714083500456;ST=91;CN=9011;PW=123456;MN=31010600010000010000A001;Flag=4;CP=&&QnRtn=1&&6900\r\n"
G = b"##0095QN=20260714083500456;ST=91;CN=9012;PW=123456;MN=31010600010000010000A001;Flag=4;CP=&&ExeRtn=1&&47C0\r\n"
H = (
    b"##0193QN=20260714083100007;ST=39;CN=2011;PW=123456;MN=31010600010000010000A001;Flag=4;CP=&&"
    b"DataTime=20260714083100;a34001-Rtd=1000.0,a34001-Flag=T;a34002-Rtd=0.0,a34002-Flag=B;"
    b"LA-Rtd=64.0,LA-Flag=N&&8701\r\n"
)
DAY = (
    b"##0210QN=20260715000000001;ST=39;CN=2031;PW=123456;MN=31010600010000010000A001;Flag=4;CP=&&"
    b"DataTime=20260714000000;a34001-Min=60.0,a34001-Avg=142.7,a34001-Max=402.0,a34001-Flag=N;"
    b"Leq-DayData=62.4;Leq-NightData=51.9&&E7C1\r\n"
)
STANDARD = b"".join(
    (
        b"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;",
        b"CP=&&RtdInterval=30&&1C80",
    )
)
FRAMES = [A, B, C, D1, D2, E, F, G, H, DAY]


def read(frame: bytes, topic: str = "") -> Columns:
    into = Columns()
    hj212.decode(Parcel("hj212", "hj212", [frame], NOW_US, NoReceipt(), topic), into)
    return into


def rows(columns: Columns) -> dict[str, tuple[float, float, int]]:
    return {
        name.removeprefix(f"{MN}/"): (columns.values[row], columns.times[row], columns.marks.get(row, 0))
        for row, name in enumerate(columns.names)
    }


CHECKS = {
    b"": 0xFFFF,
    b"A": 0x7080,
    b"1": 0x9481,
    b"12": 0x7A80,
    b"123": 0xF6C1,
    b"123456789": 0x2F80,
    b"&&": 0xB101,
}


@pytest.mark.parametrize(("data", "check"), CHECKS.items())
def test_the_check_is_the_standards_and_not_modbus(data: bytes, check: int) -> None:
    assert hj212.crc16(data) == check
    assert china.crc16_modbus(b"123456789") == 0x4B37


@pytest.mark.parametrize("frame", [*FRAMES, STANDARD])
def test_golden_frames_are_read_and_written_back(frame: bytes) -> None:
    message = hj212.parse(frame)
    assert hj212.encode(message).removesuffix(b"\r\n") == frame.removesuffix(b"\r\n")
    assert message.edition == 2017


def test_realtime_values_are_readings_at_their_moment() -> None:
    found = rows(read(A))
    when = 1783989000.0  # 2026-07-14 08:30:00 in China
    assert found == {
        "a34001": (186.0, when, 0), "a34002": (97.0, when, 0), "a34004": (41.0, when, 0), "a01001": (31.4, when, 0),
        "a01002": (68.2, when, 0), "a01006": (100.3, when, 0), "a01007": (2.3, when, 0), "a01008": (135.0, when, 0),
        "LA": (63.7, when, 0),
    }  # fmt: skip


def test_statistics_are_named_apart_from_realtime_values() -> None:
    assert set(rows(read(C))) == {"2051:a34001", "2051:a34002", "2051:LA"}
    assert rows(read(D2))["2061:a34004"] == (38.6, 1783987200.0, int(Quality.DEVICE_FAULT))
    assert set(rows(read(DAY))) == {"2031:a34001", "2031:Leq"}
    noise = Message("1", "23", "2051", MN, items=((("DataTime", "20260714083000"),), (("Leq-Data", "61.8"),)))
    assert set(rows(read(hj212.encode(noise)))) == {
        "Leq"
    }  # of noise the minute's statistics are the readings


def test_data_marks_become_quality() -> None:
    found = rows(read(H))
    assert found["a34001"][2] == 0  # over range is still said
    assert found["a34002"][2] == int(Quality.DEVICE_FAULT)


def test_a_packet_without_its_time_takes_that_of_the_packets_before_it() -> None:
    second = Message("1", "39", "2011", MN, flag=7, pnum=2, pno=2, items=((("LA-Rtd", "60.0"),),))
    assert rows(read(hj212.encode(second), "20260714083000"))["LA"][1] == 1783989000.0


@pytest.mark.parametrize("raw", ["--", "NaN", "", "inf", "1e999", "１２", "1_0", "0x10"])
def test_what_is_no_number_is_refused_by_item(raw: str) -> None:
    message = Message(
        "1",
        "39",
        "2011",
        MN,
        items=((("DataTime", "20260714083000"),), (("LA-Rtd", raw),), (("a34002-Rtd", "5"),)),
    )
    found = read(hj212.encode(message))
    assert list(rows(found)) == ["a34002"]
    assert [(r.record, r.reason) for r in found.refused] == [(1, Reason.NOT_A_NUMBER)]


def test_a_time_that_does_not_exist_is_refused() -> None:
    message = Message("1", "39", "2011", MN, items=((("DataTime", "20260230000000"), ("LA-Rtd", "5")),))
    assert [r.reason for r in read(hj212.encode(message)).refused] == [Reason.BAD_TIME]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (A.replace(b"F141", b"F142"), Reason.BAD_CHECKSUM),
        (A.replace(b"##0374", b"##0375"), Reason.MALFORMED),
        (A.replace(b"97.0", b"98.0"), Reason.BAD_CHECKSUM),
        (b"##00xx", Reason.MALFORMED),
        (b"", Reason.MALFORMED),
        (hj212.encode(hj212.parse(A), modbus=True), Reason.BAD_CHECKSUM),
    ],
)
def test_broken_frames_give_no_value(frame: bytes, reason: Reason) -> None:
    found = read(frame)
    assert not found.names
    assert [r.reason for r in found.refused] == [reason]


def test_lower_case_checks_and_missing_line_ends_are_forgiven() -> None:
    assert rows(read(A.replace(b"F141\r\n", b"f141"))) == rows(read(A))
    assert hj212.parse(hj212.encode(hj212.parse(A), modbus=True), modbus=True) == hj212.parse(A)


def test_an_answer_repeats_what_it_answers() -> None:
    found = hj212.answer_to(hj212.parse(A))
    assert found is not None
    assert hj212.encode(found) == B
    assert hj212.answer_to(hj212.parse(C)) is None  # its flag asks for none
    assert hj212.answer_to(hj212.parse(F)) is None
    beat = hj212.answer_to(dataclasses.replace(hj212.parse(C), cn="9015"))
    assert beat is not None
    assert beat.cn == "9013"


@given(
    st.lists(st.sampled_from([*FRAMES, b"##", b"rubbish", b"##12", b"\r\n", b"##9999"]), max_size=8),
    st.data(),
)
def test_a_stream_is_cut_alike_however_it_comes(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    edges = [0, *cuts, len(whole)]
    at_once = list(hj212.framer().feed(whole))
    piecewise = hj212.framer()
    found = [frame for a, b in itertools.pairwise(edges) for frame in piecewise.feed(whole[a:b])]
    assert [frame.removesuffix(b"\r\n") for frame in found] == [
        frame.removesuffix(b"\r\n") for frame in at_once
    ]


def test_after_rubbish_the_next_good_frame_is_found() -> None:
    framer = hj212.framer()
    found = list(framer.feed(b"xx##12##zz" + A + b"##0374QN" + A + A))
    assert [frame for frame in found if frame == A] == [A, A] or found[-1] == A


def test_noise_raises_nothing_but_malformed() -> None:
    for cut in range(len(A)):
        try:
            hj212.parse(A[:cut])
        except MalformedError:
            continue
        assert cut >= len(A) - 2
