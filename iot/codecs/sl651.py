"""SL 651-2014: hydrological stations over TCP, the HEX/BCD encoding. Frames 7E7E …, high byte first, CRC-16/MODBUS
whose high byte is sent first.

Readings are named `station/guideH`: the station address as 10 digits, the guide byte in hex (`39H` level, `20H`
rain), `FFxxH` for extended ones; bits of the status word are `45H.bit`. Times are those of the group F0F0 that an
element stands in; series (31H, F4H–FCH) begin at it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from iot.codecs import china
from iot.codecs.china import Cut, Framer, crc16_modbus
from iot.codecs.frame import NO_TIME, Columns, Decoder, MalformedError, Parcel, Reason, each

START = b"\x7e\x7e"
STX, SYN, ETX, ETB = 0x02, 0x16, 0x03, 0x17
ENQ, EOT, ACK, NAK, ESC = 0x05, 0x04, 0x06, 0x15, 0x1B
KEEP_ALIVE, UNIFORM = 0x2F, 0x31
#: Reports that carry readings: test, uniform, timed, extra, hourly, manual, and answers to queries.
READINGS = frozenset({0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x37, 0x38, 0x3A, 0x44, 0x46})
MOST_BODY = 4095
MOST = 17 + 3 + MOST_BODY
_ADDRESS, _TIME, _STEP, _STATUS = 0xF1, 0xF0, 0x04, 0x45
FIVE_MINUTES_S = 300.0


@dataclass(frozen=True, slots=True)
class Message:
    """A frame as it is meant. `total` and `number` count the packets of one report, from 1; 0 = it is one packet."""

    centre: int
    station: str
    password: int
    function: int
    body: bytes
    end: int = ETX
    down: bool = False
    total: int = 0
    number: int = 0

    @property
    def serial(self) -> int:
        return int.from_bytes(self.body[:2], "big")


def cut(data: bytes) -> Cut:
    """What stands at 7E7E: framed by length; the text-start byte is checked."""
    if len(data) < 14:
        return Cut(0)
    if data[13] not in (STX, SYN):
        return Cut(1)
    end = 14 + (3 if data[13] == SYN else 0) + (int.from_bytes(data[11:13], "big") & 0x0FFF) + 3
    if len(data) < end:
        return Cut(0)
    return Cut(
        end, frame=True, sound=int.from_bytes(data[end - 2 : end], "big") == crc16_modbus(data[: end - 2])
    )


def framer() -> Framer:
    return Framer(START, cut, MOST)


def parse(frame: bytes) -> Message:
    """A whole frame. Raises `MalformedError`."""
    found = cut(frame)
    if not frame.startswith(START) or not found.frame or found.size != len(frame):
        raise MalformedError("no SL 651 frame")
    expected = crc16_modbus(frame[:-2])
    if int.from_bytes(frame[-2:], "big") != expected:
        raise MalformedError(f"CRC {frame[-2:].hex()}, expected {expected:04x}", Reason.BAD_CHECKSUM)
    down = frame[11] >> 4 == 8
    centre, station = (frame[7], frame[2:7]) if down else (frame[2], frame[3:8])
    total = number = 0
    begin = 14
    if frame[13] == SYN:
        packets = int.from_bytes(frame[14:17], "big")
        total, number, begin = packets >> 12, packets & 0x0FFF, 17
        if not 0 < number <= total:
            raise MalformedError(f"packet {number} of {total}")
    return Message(
        centre, station.hex().upper(), int.from_bytes(frame[8:10], "big"), frame[10], frame[begin:-3], frame[-3],
        down, total, number,
    )  # fmt: skip


def encode(message: Message) -> bytes:
    station, centre = bytes.fromhex(message.station), bytes((message.centre,))
    head = station + centre if message.down else centre + station
    packets = (message.total << 12 | message.number).to_bytes(3, "big") if message.total else b""
    frame = START + head + struct.pack(
        ">HBHB", message.password, message.function, (0x8000 if message.down else 0) | len(message.body),
        SYN if message.total else STX,
    ) + packets + message.body + bytes((message.end,))  # fmt: skip
    return frame + crc16_modbus(frame).to_bytes(2, "big")


def confirm(to: Message, now_us: int, *, stay: bool = False) -> Message:
    """The centre's confirmation: same serial, its own time; EOT lets the station go, ESC keeps it on line."""
    end = ACK if to.end == ETB else ESC if stay else EOT
    return Message(
        to.centre, to.station, to.password, to.function, to.body[:2] + bcd_time(now_us), end, down=True
    )


def ask_again(to: Message, number: int, now_us: int) -> Message:
    """NAK for one packet of a report, which the station then sends again."""
    body = to.body[:2] + bcd_time(now_us)
    return Message(
        to.centre, to.station, to.password, to.function, body, NAK, down=True, total=to.total, number=number
    )


def bcd_time(time_us: int) -> bytes:
    """YYMMDDHHmmSS."""
    return bytes.fromhex(china.local(time_us).strftime("%y%m%d%H%M%S"))


def bcd_moment(raw: bytes) -> float:
    """Seconds since 1970 UTC of YYMMDDHHmm; `NO_TIME` when there is no such moment."""
    digits = raw.hex()
    if not digits.isdigit():
        return NO_TIME
    year, month, day, hour, minute = (int(digits[at : at + 2]) for at in range(0, 10, 2))
    found = china.seconds(2000 + year, month, day, hour, minute)
    return NO_TIME if found is None else found


def bcd(raw: bytes, decimals: int) -> float | None:
    """A number; None for a missing value (all F) and for digits that are none. FF and FF0 in front are a minus."""
    digits = raw.hex()
    if not digits.strip("f"):
        return None
    sign = 1.0
    if digits.startswith("ff"):
        sign, digits = -1.0, digits[2:]
    if not digits.isdigit():
        return None
    return sign * int(digits) / 10.0**decimals


# -- elements --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a body: its code, its bytes, its decimals, and the observation time it stands under."""

    code: str
    raw: bytes
    decimals: int
    time_s: float


def elements(body: bytes) -> Iterator[Element]:
    """The elements of a report's body, after serial number and time of sending. Raises `MalformedError`."""
    at, time_s = 8, NO_TIME
    while at < len(body):
        guide = body[at]
        if guide in (_ADDRESS, _TIME):
            at, piece = _take(body, at, 7)
            if guide == _TIME:
                time_s = bcd_moment(piece[2:])
            elif at < len(body) and body[at] not in (_TIME, _ADDRESS) and not _is_element(body, at):
                at += 1  # the station's class
            continue
        code = f"{guide:02X}H"
        if guide == 0xFF:
            at, piece = _take(body, at, 2)
            code = f"FF{piece[1]:02X}H"
            at -= 1
        at, piece = _take(body, at, 2)
        definition = piece[1]
        size, decimals = definition >> 3, definition & 7
        at, raw = _take(body, at, size)
        yield Element(code, raw, decimals, time_s)


def _is_element(body: bytes, at: int) -> bool:
    """A status report (46H) has no class byte before its first element, which is the status word."""
    return body[at] == _STATUS and body[at + 1 : at + 2] == b"\x20"


def _take(body: bytes, at: int, size: int) -> tuple[int, bytes]:
    piece = body[at : at + size]
    if len(piece) != size:
        raise MalformedError("an element ends early")
    return at + size, piece


def decode_one(payload: bytes, parcel: Parcel, into: Columns) -> None:  # noqa: ARG001 - all is in the frames
    """Append the readings of one report; its packets may stand one after another in the payload."""
    message = joined(payload)
    if message.function not in READINGS or message.down:
        return
    if message.function in (UNIFORM, 0x38):
        _uniform(message, into)
        return
    for number, element in enumerate(elements(message.body)):
        _add(message, number, element, into)


def joined(payload: bytes) -> Message:
    """The report of one or more packets, in order. Raises `MalformedError`."""
    parts: list[Message] = []
    at = 0
    while at < len(payload):
        found = cut(payload[at : at + MOST])
        if not found.frame:
            raise MalformedError("no SL 651 frame")
        parts.append(parse(payload[at : at + found.size]))
        at += found.size
    if not parts:
        raise MalformedError("empty")
    first = parts[0]
    if [part.number for part in parts] != list(range(1, first.total + 1)) and first.total:
        raise MalformedError(f"{len(parts)} of {first.total} packets")
    body = b"".join(part.body for part in parts)
    return Message(
        first.centre, first.station, first.password, first.function, body, parts[-1].end, first.down
    )


def _add(message: Message, number: int, element: Element, into: Columns) -> None:
    name = f"{message.station}/{element.code}"
    if element.code == "45H":
        word = int.from_bytes(element.raw, "big")
        for bit in range(12):
            into.add(number, f"{name}.{bit}", float(word >> bit & 1), element.time_s)
    elif element.code == "F4H":
        _series(
            name, number, [None if byte == 0xFF else byte / 10 for byte in element.raw], element.time_s, into
        )
    elif element.code in {f"F{n:X}H" for n in range(5, 13)}:
        words = [int.from_bytes(element.raw[at : at + 2], "big") for at in range(0, len(element.raw) - 1, 2)]
        _series(name, number, [None if w == 0xFFFF else w / 100 for w in words], element.time_s, into)
    else:
        _number(name, number, element.raw, element.decimals, element.time_s, into)


def _series(
    name: str,
    number: int,
    values: Sequence[float | None],
    begin_s: float,
    into: Columns,
    step_s: float = FIVE_MINUTES_S,
) -> None:
    for place, value in enumerate(values):
        if value is not None:
            into.add(number, name, value, begin_s + place * step_s)


def _number(name: str, number: int, raw: bytes, decimals: int, time_s: float, into: Columns) -> None:
    value = bcd(raw, decimals)
    if value is not None:
        into.add(number, name, value, time_s)
    elif raw.hex().strip("f"):
        into.refuse(number, Reason.NOT_A_NUMBER, f"{name} {raw.hex()}")


def _uniform(message: Message, into: Columns) -> None:
    """A series (6.6.4.4): the step (04H, days, hours, minutes), one element, its values up to the end."""
    body, at, time_s = message.body, 8, NO_TIME
    while at < len(body) and body[at] in (_ADDRESS, _TIME):
        begin = at
        at, piece = _take(body, at, 7)
        if body[begin] == _TIME:
            time_s = bcd_moment(piece[2:])
        elif body[at : at + 1] not in (b"\xf0", b"\xf1", b"\x04"):
            at += 1  # the station's class
    at, step = _take(body, at, 5)
    if step[0] != _STEP or step[1] != 0x18 or not step[2:].hex().isdigit():
        raise MalformedError("a series without its step")
    days, hours, minutes = (int(f"{byte:02x}") for byte in step[2:])
    step_s = days * 86_400.0 + hours * 3600.0 + minutes * 60.0
    guide, definition = _take(body, at, 2)[1]
    if not step_s:  # a step of nothing goes with an hour's group, which brings its own
        for number, element in enumerate(elements(body[:8] + body[at:])):
            _add(message, number, Element(element.code, element.raw, element.decimals, time_s), into)
        return
    size, decimals = definition >> 3, definition & 7
    values = body[at + 2 :]
    if not size or len(values) % size:
        raise MalformedError("a series that ends within a value")
    name = f"{message.station}/{guide:02X}H"
    for place in range(len(values) // size):
        raw = values[place * size : (place + 1) * size]
        _number(name, place, raw, decimals, time_s + place * step_s, into)


decode: Decoder = each(decode_one)
