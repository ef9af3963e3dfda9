"""GB/T 26875.3: the frames of the standard's layout and one of the field; a wrong sum gives nothing."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.stream import NoReceipt
from iot.codecs import gbt26875
from iot.codecs.frame import Columns, Parcel, Reason
from iot.codecs.gbt26875 import Message
from tests.iot.sample import NOW_US

HEX = {
    "field": """40 40 00 00 01 01 18 0D 11 16 0A 14 00 00 00 00 00 00 06 05 04 03 02 01 30 00 02 02 01 01 03 00 D9 00
        06 00 02 00 A3 C1 C7 F8 A3 B1 B2 E3 DF C8 B2 B8 D7 DF C0 C8 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        30 12 13 01 08 14 68 23 23""",
    "fire": """40 40 01 00 01 01 00 1E 08 0E 07 1A 06 05 04 03 02 01 01 00 00 00 00 00 30 00 02 02 01 01 00 2A 03 00
        05 00 03 00 33 B2 E3 B6 AB D7 DF C0 C8 D1 CC B8 D0 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00
        1E 08 0E 07 1A BA 23 23""",
    "confirm": "40 40 01 00 01 01 01 1E 08 0E 07 1A 01 00 00 00 00 00 06 05 04 03 02 01 00 00 03 72 23 23",
    "system": """40 40 02 00 01 01 00 1E 08 0E 07 1A 06 05 04 03 02 01 01 00 00 00 00 00 16 00 02 01 02 01 00 05 00 00
        1E 08 0E 07 1A 0B 01 01 01 00 1E 08 0E 07 1A 48 23 23""",
    "analogue": """40 40 03 00 01 01 00 1E 08 0E 07 1A 06 05 04 03 02 01 01 00 00 00 00 00 22 00 02 03 02 0B 00 5B 01 00
        00 00 04 02 00 00 1E 08 0E 07 1A 0B 00 63 02 00 00 00 05 F3 05 00 1E 08 0E 07 1A 1D 23 23""",
    "operation": """40 40 04 00 01 01 00 1E 08 0E 07 1A 06 05 04 03 02 01 01 00 00 00 00 00 0A 00 02 18 01 04 07 00 1E
        08 0E 07 1A F6 23 23""",
    "device": """40 40 05 00 01 01 00 1E 08 0E 07 1A 06 05 04 03 02 01 01 00 00 00 00 00 09 00 02 15 01 11 00 1E 08 0E
        07 1A F9 23 23""",
    "clock": """40 40 64 00 01 01 00 1E 08 0E 07 1A 01 00 00 00 00 00 06 05 04 03 02 01 08 00 01 5A 01 00 1E 08 0E 07
        1A 8A 23 23""",
    "duty": """40 40 65 00 01 01 00 1E 08 0E 07 1A 01 00 00 00 00 00 06 05 04 03 02 01 03 00 01 5B 01 0A 3C 23 23""",
    "read": "40 40 66 00 01 01 00 1E 08 0E 07 1A 01 00 00 00 00 00 06 05 04 03 02 01 03 00 04 51 01 00 2C 23 23",
    "answer": """40 40 66 00 01 01 02 1E 08 0E 07 1A 06 05 04 03 02 01 01 00 00 00 00 00 09 00 05 15 01 01 00 1E 08 0E
        07 1A 4F 23 23""",
    "deny": "40 40 03 00 01 01 02 1E 08 0E 07 1A 01 00 00 00 00 00 06 05 04 03 02 01 00 00 06 78 23 23",
    "cold": """40 40 06 00 01 01 00 1E 08 0E 07 1A 06 05 04 03 02 01 01 00 00 00 00 00 12 00 02 03 01 01 00 1F 09 00
        00 00 03 83 FF 00 1E 08 0E 07 1A 8E 23 23""",
}
FRAMES = {name: bytes.fromhex("".join(text.split())) for name, text in HEX.items()}
WHEN = 1783989000.0  # 2026-07-14 08:30:00 in China
STATION = "010203040506"


def read(frame: bytes) -> Columns:
    into = Columns()
    gbt26875.decode(Parcel("fire", "gbt26875", [frame], NOW_US, NoReceipt()), into)
    return into


def rows(columns: Columns) -> dict[str, float]:
    """What is not zero, by name."""
    return {name: value for name, value in zip(columns.names, columns.values, strict=True) if value}


@pytest.mark.parametrize("name", FRAMES)
def test_golden_frames_are_read_and_written_back(name: str) -> None:
    assert gbt26875.encode(gbt26875.parse(FRAMES[name])) == FRAMES[name]


def test_a_component_on_fire_names_itself() -> None:
    found = read(FRAMES["fire"])
    assert rows(found) == {f"{STATION}:1.0.327683/2.0": 1.0, f"{STATION}:1.0.327683/2.1": 1.0}
    assert set(found.times) == {WHEN}
    assert rows(read(FRAMES["field"])) == {
        "000000000000:1.3.393433/2.1": 1.0
    }  # fire without bit 0, as devices do


def test_systems_values_and_the_device_itself() -> None:
    assert rows(read(FRAMES["system"])) == {
        f"{STATION}:1.0/1.0": 1.0, f"{STATION}:1.0/1.2": 1.0, f"{STATION}:11.1/1.0": 1.0, f"{STATION}:11.1/1.8": 1.0,
    }  # fmt: skip
    found = read(FRAMES["analogue"])
    assert rows(found) == {f"{STATION}:11.0.1/3.4": 0.2, f"{STATION}:11.0.2/3.5": 152.3}
    assert found.units == ["MPa", "kPa"]
    assert rows(read(FRAMES["cold"])) == {f"{STATION}:1.0.9/3.3": -12.5}
    assert rows(read(FRAMES["device"])) == {f"{STATION}/21.0": 1.0, f"{STATION}/21.4": 1.0}
    assert rows(read(FRAMES["operation"])) == {f"{STATION}/24.2": 1.0}
    assert rows(read(FRAMES["answer"])) == {f"{STATION}/21.0": 1.0}
    for name in ("confirm", "clock", "duty", "read", "deny"):
        assert not read(FRAMES[name]).names


def test_confirm_and_deny_repeat_the_serial_number() -> None:
    when = (int(WHEN) + 1) * 1_000_000
    assert gbt26875.encode(gbt26875.answer(gbt26875.parse(FRAMES["fire"]), 3, when)) == FRAMES["confirm"]
    later = (int(WHEN) + 2) * 1_000_000
    assert gbt26875.encode(gbt26875.answer(gbt26875.parse(FRAMES["analogue"]), 6, later)) == FRAMES["deny"]


def change(name: str, place: int, value: int, *, mend: bool = True) -> bytes:
    frame = bytearray(FRAMES[name])
    frame[place] = value
    if mend:
        frame[-3] = gbt26875.checksum(bytes(frame[2:-3]))
    return bytes(frame)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (change("fire", 38, 7, mend=False), Reason.BAD_CHECKSUM),
        (change("fire", 24, 0x31), Reason.MALFORMED),
        (change("fire", 25, 0x05), Reason.MALFORMED),
        (change("fire", 26, 9), Reason.MALFORMED),
        (change("fire", 28, 0), Reason.MALFORMED),
        (change("fire", 28, 23), Reason.MALFORMED),
        (FRAMES["fire"][:-1], Reason.MALFORMED),
        (b"", Reason.MALFORMED),
    ],
)
def test_broken_frames_give_no_value(frame: bytes, reason: Reason) -> None:
    found = read(frame)
    assert not found.names
    assert [r.reason for r in found.refused] == [reason]


def test_a_device_without_a_clock_has_no_event_time() -> None:
    frame = bytearray(FRAMES["device"])
    frame[30:36] = bytes(6)
    frame[-3] = gbt26875.checksum(bytes(frame[2:-3]))
    assert all(math.isnan(time) for time in read(bytes(frame)).times)


def test_marks_inside_a_frame_do_not_cut_it() -> None:
    text = b"##@@" + bytes(27)
    unit = (
        bytes((2, 1, 1, 0, 42))
        + (5).to_bytes(4, "little")
        + b"\x02\x00"
        + text
        + bytes((0, 30, 8, 14, 7, 26))
    )
    frame = gbt26875.encode(Message(1, 2, 6, 1, bytes(6), unit))
    framer = gbt26875.framer()
    assert list(framer.feed(b"@" + frame + b"##" + frame)) == [frame, frame]
    assert framer.rubbish == 3


@given(st.lists(st.sampled_from([*FRAMES.values(), b"@@", b"@", b"##", bytes(3)]), max_size=6), st.data())
def test_a_stream_is_cut_alike_however_it_comes(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    edges = [0, *sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5))), len(whole)]
    piecewise = gbt26875.framer()
    found = [frame for a, b in itertools.pairwise(edges) for frame in piecewise.feed(whole[a:b])]
    assert found == list(gbt26875.framer().feed(whole))
