"""GB/T 26875.3-2011: fire alarm transmission devices over TCP. Frames `@@` … `##`, low byte first, checksum a sum.

Readings are named after the object that speaks: `source` for the transmission device itself, `source:system.address`
for a system, `source:system.address.component` for a component; `source` as 12 hex digits. Codes are
`type flag.bit` for states and operations and `3.analogue type` for values (see `iot.kinds`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from iot.codecs import china
from iot.codecs.china import Cut, Framer
from iot.codecs.frame import NO_TIME, Columns, Decoder, MalformedError, Parcel, Reason, each

START, END = b"@@", b"##"
MOST_UNIT = 1024
MOST = 30 + MOST_UNIT
CONTROL, SEND, CONFIRM, REQUEST, ANSWER, DENY = 1, 2, 3, 4, 5, 6
#: Offsets 2–26 of a frame.
_HEAD = struct.Struct("<HBB6s6s6sHB")

#: Type flag → size of one object and how many there may be (table of clause 8).
OBJECTS: Mapping[int, tuple[int, int]] = {
    1: (10, 102), 2: (46, 22), 3: (16, 63), 4: (10, 102), 8: (8, 1), 21: (7, 1), 24: (8, 127), 25: (2, 1), 28: (6, 1),
}  # fmt: skip

#: Analogue type → unit on our side and value of one step (clause 8.2.1.3).
ANALOGUE: Mapping[int, tuple[str, float]] = {
    1: ("count", 1.0), 2: ("m", 0.01), 3: ("Cel", 0.1), 4: ("MPa", 0.1), 5: ("kPa", 0.1), 6: ("%LEL", 0.1),
    7: ("s", 1.0), 8: ("V", 0.1), 9: ("A", 0.1), 10: ("l/s", 0.1), 11: ("m3/min", 0.1), 12: ("m/s", 1.0),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Message:
    """A frame as it is meant. `unit` is the application data; addresses are numbers of 48 bits."""

    serial: int
    command: int
    source: int
    destination: int
    time: bytes
    unit: bytes = b""
    version: tuple[int, int] = (1, 1)

    @property
    def station(self) -> str:
        """The source as it is registered: 12 hex digits."""
        return f"{self.source:012x}"

    @property
    def kind(self) -> int:
        """The type flag; 0 without data."""
        return self.unit[0] if self.unit else 0


def checksum(data: bytes) -> int:
    return sum(data) & 0xFF


def cut(data: bytes) -> Cut:
    """What stands at `@@`: framed by length, the end mark checked; both marks may occur inside."""
    if len(data) < 26:
        return Cut(0)
    length = int.from_bytes(data[24:26], "little")
    if length > MOST_UNIT:
        return Cut(1)
    end = 30 + length
    if len(data) < end:
        return Cut(0)
    if data[end - 2 : end] != END:
        return Cut(1)
    return Cut(end, frame=True, sound=data[end - 3] == checksum(data[2 : end - 3]))


def framer() -> Framer:
    return Framer(START, cut, MOST)


def parse(frame: bytes) -> Message:
    """A whole frame. Raises `MalformedError`."""
    found = cut(frame)
    if not frame.startswith(START) or not found.frame or found.size != len(frame):
        raise MalformedError("no GB/T 26875.3 frame")
    if frame[-3] != checksum(frame[2:-3]):
        raise MalformedError(
            f"sum {frame[-3]:02X}, expected {checksum(frame[2:-3]):02X}", Reason.BAD_CHECKSUM
        )
    serial, major, minor, time, source, destination, _, command = _HEAD.unpack_from(frame, 2)
    if not CONTROL <= command <= DENY and command < 128:
        raise MalformedError(f"command {command}")
    return Message(
        serial, command, int.from_bytes(source, "little"), int.from_bytes(destination, "little"), time,
        frame[27:-3], (major, minor),
    )  # fmt: skip


def encode(message: Message) -> bytes:
    body = _HEAD.pack(
        message.serial, *message.version, message.time, message.source.to_bytes(6, "little"),
        message.destination.to_bytes(6, "little"), len(message.unit), message.command,
    ) + message.unit  # fmt: skip
    return START + body + bytes((checksum(body),)) + END


def answer(to: Message, command: int, now_us: int) -> Message:
    """Confirm (3) or deny (6): the serial number of what it answers, addresses exchanged."""
    return Message(to.serial, command, to.destination, to.source, clock(now_us), b"", to.version)


def clock(time_us: int) -> bytes:
    """A moment as second, minute, hour, day, month, year − 2000."""
    at = china.local(time_us)
    return bytes((at.second, at.minute, at.hour, at.day, at.month, at.year - 2000))


def moment(raw: bytes) -> float:
    """Seconds since 1970 UTC; `NO_TIME` of a device without a clock, which sends zeros."""
    second, minute, hour, day, month, year = raw
    found = china.seconds(2000 + year, month, day, hour, minute, second)
    return NO_TIME if found is None else found


def decode_one(payload: bytes, parcel: Parcel, into: Columns) -> None:  # noqa: ARG001 - all that it needs is in the frame
    """Append the readings of one frame of data or of an answer."""
    message = parse(payload)
    if message.command not in (SEND, ANSWER) or not message.unit:
        return
    kind = message.kind
    reader = _READERS.get(kind)
    if reader is None or len(message.unit) < 2:
        return
    size, most = OBJECTS[kind]
    count = message.unit[1]
    if not 0 < count <= most or len(message.unit) != 2 + count * size:
        raise MalformedError(f"type {kind}: {count} objects in {len(message.unit) - 2} bytes")
    for number in range(count):
        reader(message, number, message.unit[2 + number * size : 2 + (number + 1) * size], into)


def _system(message: Message, number: int, raw: bytes, into: Columns) -> None:
    _bits(into, number, f"{message.station}:{raw[0]}.{raw[1]}/1", _word(raw[2:4]), 16, moment(raw[4:10]))


def _component(message: Message, number: int, raw: bytes, into: Columns) -> None:
    _bits(into, number, f"{_place(message, raw)}/2", _word(raw[7:9]), 16, moment(raw[40:46]))


def _analogue(message: Message, number: int, raw: bytes, into: Columns) -> None:
    kind = raw[7]
    unit, step = ANALOGUE.get(kind, ("", 1.0))
    value = int.from_bytes(raw[8:10], "little", signed=True) * step
    into.add(number, f"{_place(message, raw)}/3.{kind}", round(value, 6), moment(raw[10:16]), unit)


def _operation(message: Message, number: int, raw: bytes, into: Columns) -> None:
    _bits(into, number, f"{message.station}:{raw[0]}.{raw[1]}/4", raw[2], 8, moment(raw[4:10]))


def _device(message: Message, number: int, raw: bytes, into: Columns) -> None:
    _bits(into, number, f"{message.station}/21", raw[0], 8, moment(raw[1:7]))


def _device_operation(message: Message, number: int, raw: bytes, into: Columns) -> None:
    _bits(into, number, f"{message.station}/24", raw[0], 8, moment(raw[2:8]))


def _place(message: Message, raw: bytes) -> str:
    return f"{message.station}:{raw[0]}.{raw[1]}.{int.from_bytes(raw[3:7], 'little')}"


def _word(raw: bytes) -> int:
    return int.from_bytes(raw, "little")


def _bits(into: Columns, number: int, name: str, word: int, width: int, time_s: float) -> None:
    for bit in range(width):
        into.add(number, f"{name}.{bit}", float(word >> bit & 1), time_s)


_READERS: Mapping[int, Callable[[Message, int, bytes, Columns], None]] = {
    1: _system, 2: _component, 3: _analogue, 4: _operation, 21: _device, 24: _device_operation,
}  # fmt: skip

decode: Decoder = each(decode_one)
