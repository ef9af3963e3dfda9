"""What may be asked of a device, in the words of its protocol, and what its answer means. Pure.

MQTT gateways get JSON on `command/<gateway>` and answer with the same id. HJ 212 (2017, 6.2 and table 4) has its
requests with 9011 and 9012; GB/T 26875.3 its control (1) and request (4) frames, confirmed (3), answered (5) or denied
(6); SL 651 its queries, which a station answers by the same function code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from iot.codecs import gbt26875, hj212, sl651
from iot.codecs.frame import MalformedError


class What(StrEnum):
    """`value`: seconds of a period, minutes in which a duty check is to be answered."""

    SET_CLOCK = "set_clock"
    SET_PERIOD = "set_period"
    READ_NOW = "read_now"
    DUTY_CHECK = "duty_check"


#: Gateway → what its protocol has a frame for; every other gateway speaks MQTT and is asked all of it.
HAS: Mapping[str, frozenset[What]] = {
    "hj212": frozenset({What.SET_CLOCK, What.SET_PERIOD, What.READ_NOW}),
    "gbt26875": frozenset({What.SET_CLOCK, What.READ_NOW, What.DUTY_CHECK}),
    "sl651": frozenset({What.SET_CLOCK, What.READ_NOW}),
}
#: The least and the most of a value; what is not here has none. HJ 212-2017: RtdInterval 30–3600 s.
RANGES: Mapping[What, tuple[float, float]] = {What.SET_PERIOD: (30, 3600), What.DUTY_CHECK: (1, 255)}

CONTROL, CONFIRM, REQUEST, ANSWER, DENY = 1, 3, 4, 5, 6
SET_STATION_CLOCK, QUERY = 0x4A, 0x37
ENQ = 0x05
#: The centre's address towards transmission devices.
OUR_ADDRESS = 1


@dataclass(frozen=True, slots=True)
class Operation:
    """`station` is the device's name on the wire; `wire` what its registration says of it (password, st, centre)."""

    id: int
    gateway: str
    station: str
    what: What
    value: float | None = None
    wire: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What goes out, to whom on the line, and by what the answer will be known."""

    frame: bytes
    station: str
    key: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer: good, bad, or (None) a promise that more comes; `told` is kept."""

    good: bool | None
    told: Mapping[str, object]


def asked(operation: Operation, now_us: int) -> Asked:
    """The frame of an operation that the protocol has (see `HAS`)."""
    match operation.gateway:
        case "hj212":
            return _hj212(operation, now_us)
        case "gbt26875":
            return _gbt26875(operation, now_us)
        case "sl651":
            return _sl651(operation, now_us)
        case _:
            name = f"op-{operation.id}"
            body: dict[str, object] = {"id": name, "device": operation.station, "do": operation.what.value}
            if operation.value is not None:
                body["value"] = operation.value
            if operation.what == What.SET_CLOCK:
                body["time_ms"] = now_us // 1000
            return Asked(msgspec.json.encode(body), "", name)


def _hj212(operation: Operation, now_us: int) -> Asked:
    qn = (
        hj212.stamp(now_us)[:14] + f"{operation.id % 1000:03d}"
    )  # a request of its own, within the same second too
    cn, name, value = {
        What.SET_CLOCK: ("1012", "SystemTime", hj212.stamp(now_us)[:14]),
        What.SET_PERIOD: ("1062", "RtdInterval", f"{operation.value or 0:.0f}"),
        What.READ_NOW: ("2011", "", ""),
    }[operation.what]
    items = (((name, value),),) if name else ()
    st, pw = str(operation.wire.get("st", "39")), str(operation.wire.get("password", "123456"))
    message = hj212.Message(qn, st, cn, operation.station, pw, 5, items=items)
    return Asked(hj212.encode(message), operation.station, qn)


def _gbt26875(operation: Operation, now_us: int) -> Asked:
    address, _, place = operation.station.partition(":")
    now, serial = gbt26875.clock(now_us), operation.id % 65_536
    match operation.what:
        case What.SET_CLOCK:
            command, unit = CONTROL, b"\x5a\x01" + now
        case What.DUTY_CHECK:
            command, unit = CONTROL, bytes((91, 1, round(operation.value or 1)))
        case _:
            command, unit = REQUEST, _state_of(place)
    message = gbt26875.Message(serial, command, OUR_ADDRESS, int(address, 16), now, unit)
    return Asked(gbt26875.encode(message), address, f"{serial}")


def _state_of(place: str) -> bytes:
    """Ask for the state of the device itself (81), of a system (61) or of a component (62)."""
    parts = [int(part) for part in place.split(".") if part]
    match parts:
        case [system, address]:
            return bytes((61, 1, system, address))
        case [system, address, component]:
            return bytes((62, 1, system, address)) + component.to_bytes(4, "little")
        case _:
            return b"\x51\x01\x00"


def _sl651(operation: Operation, now_us: int) -> Asked:
    function = SET_STATION_CLOCK if operation.what == What.SET_CLOCK else QUERY
    centre = int(str(operation.wire.get("centre", 1)))
    password = int(str(operation.wire.get("password", "0000")), 16)
    body = b"\0\0" + sl651.bcd_time(now_us)
    message = sl651.Message(centre, operation.station, password, function, body, ENQ, down=True)
    return Asked(sl651.encode(message), operation.station, f"{function:02X}")


def answered(gateway: str, key: str, frame: bytes) -> tuple[str, Answered] | None:
    """The key that an answer of a field protocol carries and what it means; None when it answers nothing."""
    head, _, tail = key.partition(":")
    try:
        match gateway:
            case "hj212":
                return head, _hj212_said(tail, hj212.parse(frame))
            case "gbt26875" if int(tail) in (CONFIRM, ANSWER, DENY):
                return head, Answered(int(tail) != DENY, {"command": int(tail)})
            case "sl651" if head in (f"{QUERY:02X}", f"{SET_STATION_CLOCK:02X}"):
                return head, Answered(good=True, told={"function": head})
    except (MalformedError, ValueError):
        return None
    return None


def _hj212_said(cn: str, message: hj212.Message) -> Answered:
    """9011 says whether the request is taken, 9012 how it ended (QnRtn, ExeRtn: 1 is good)."""
    name = {"9011": "QnRtn", "9012": "ExeRtn"}.get(cn, "")
    code = message.value(name) or ""
    if cn == "9011":
        return Answered(None if code == "1" else False, {name: code})
    return Answered(code == "1", {name or "CN": code or cn})


def replied(payload: bytes) -> tuple[str, Answered] | None:
    """The same for `command/<gateway>/reply`."""
    try:
        body = msgspec.json.decode(payload, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    name = str(body.get("id", ""))
    good = str(body.get("status", "ok")) == "ok"
    return (name, Answered(good, body)) if name.startswith("op-") else None
