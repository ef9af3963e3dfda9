"""One good frame of every wire format, made by our own encoders for the moment and the devices at hand. Pure.

A vendor sends it, or compares with it what his own gateway sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from core.clock import SECOND_US, rfc3339
from iot.codecs import arrow, gbt26875, hj212, senml, senml_cbor, sl651, sparkplug
from iot.kinds import ChannelDecl, Format
from iot.registry import Device, Registry

Door = Literal["mqtt", "http", "tcp"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What an example speaks of; `code` is the channel's in a field protocol."""

    device: str
    channel: str
    unit: str
    value: float
    code: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A frame, and where it goes in: a topic, a path, the name of a TCP port."""

    format: str
    door: Door
    place: str
    frame: bytes

    def shown(self) -> dict[str, object]:
        """As the API gives it."""
        body, is_hex = readable(self.frame)
        return {"format": self.format, "door": self.door, "place": self.place, "body": body, "hex": is_hex}


def readable(frame: bytes) -> tuple[str, bool]:
    """A frame for the eye, and whether that is hexadecimal digits because it is no text."""
    if all(byte >= 32 or byte in b"\t\r\n" for byte in frame):
        try:
            return frame.decode(), False
        except UnicodeDecodeError:
            pass  # bytes, or a text that was cut within a letter
    return frame.hex(" ").upper(), True


#: What the examples speak of where no device of the gateway can lend its name.
SAMPLES: Mapping[Format, Subject] = {
    "senml": Subject("meter-1", "pressure", "MPa", 0.31),
    "hj212": Subject("31010600010000010000A001", "", "", 96.5, "a34002"),
    "gbt26875": Subject("060504030201:1.0.327683", "", "", 1, "2.1"),
    "sl651": Subject("0012345678", "", "", 23.456, "39H"),
}


def examples(registry: Registry, gateway: str, now_us: int) -> list[Example]:
    """Of every format that the gateway may speak. `gateway` "" : all of them, with sample names."""
    fields: dict[Format, Callable[[Subject, int], bytes]] = {
        "hj212": _hj212, "gbt26875": _gbt26875, "sl651": _sl651,
    }  # fmt: skip
    coded = [
        Example(form, "tcp", form, make(_subject(registry, gateway, form), now_us))
        for form, make in fields.items()
        if gateway in ("", form)
    ]
    if gateway in fields:
        return coded
    return named(_subject(registry, gateway, "senml"), gateway or "gw-1", now_us) + coded


def _subject(registry: Registry, gateway: str, form: Format) -> Subject:
    """The first device of the gateway that has something to say in the format."""
    for device in registry.devices_of(gateway):
        found = _of_device(registry, device, form)
        if found:
            return found
    return SAMPLES[form]


def _of_device(registry: Registry, device: Device, form: Format) -> Subject | None:
    kind = registry.kind_of(device)
    codes = {"": next(iter(kind.channels))} if form == "senml" else kind.decl.factors.get(form, {})
    for code, name in codes.items():
        if form == "sl651" and not (len(code) == 3 and code[0] != "F"):
            continue  # a status word or a series
        decl = registry.channels[kind.channels[name]].decl
        return Subject(device.wire_name, name, decl.unit, plausible(decl), code.removeprefix("!"))
    return None


def plausible(decl: ChannelDecl) -> float:
    """A value that nobody doubts; of a state the first."""
    if decl.states or decl.quantity == "state":
        return decl.low
    steps = (decl.high - decl.low) / 4 // decl.resolution
    return round(decl.low + steps * decl.resolution, 6)


# -- formats that carry our own names ---------------------------------------------------------------------------


def named(subject: Subject, gateway: str, now_us: int) -> list[Example]:
    name, second = f"{subject.device}/{subject.channel}", now_us // SECOND_US
    rows = [(name, subject.unit, second * SECOND_US, subject.value)]
    bd_seq = sparkplug.Metric(sparkplug.BD_SEQ, None, second * 1000, sparkplug.Type.INT64, 0)
    metric = sparkplug.Metric(subject.channel, 1, second * 1000, sparkplug.Type.DOUBLE, subject.value)
    of_device = [{"ts": second * 1000, "values": {subject.channel: subject.value}}]
    return [
        Example("senml", "mqtt", f"telemetry/{gateway}", senml.encode(rows)),
        Example("senml-cbor", "mqtt", f"telemetry/{gateway}/cbor", senml_cbor.encode(rows)),
        Example("arrow", "mqtt", f"telemetry/{gateway}/arrow", _arrow(subject, second)),
        Example("sparkplug", "mqtt", f"spBv1.0/city/NBIRTH/{gateway}", _birth(second, 0, bd_seq)),
        Example(
            "sparkplug", "mqtt", f"spBv1.0/city/DBIRTH/{gateway}/{subject.device}", _birth(second, 1, metric)
        ),
        Example("thingsboard-gateway", "mqtt", "v1/gateway/telemetry", _json({subject.device: of_device})),
        Example("senml", "http", "/api/v1/telemetry", senml.encode(rows)),
        Example("csv", "http", "/api/v1/backfill", _csv(subject, second)),
    ]


def _json(content: object) -> bytes:
    return msgspec.json.encode(content)


def _arrow(subject: Subject, second: int) -> bytes:
    first = np.zeros(1, np.int32)
    time_us = np.array([second * SECOND_US], np.int64)
    return arrow.encode(
        ([subject.device], first), ([subject.channel], first), time_us, np.array([subject.value])
    )


def _birth(second: int, seq: int, metric: sparkplug.Metric) -> bytes:
    return sparkplug.encode(sparkplug.Payload((metric,), second * 1000, seq))


def _csv(subject: Subject, second: int) -> bytes:
    row = (subject.device, subject.channel, rfc3339(second * SECOND_US), f"{subject.value:g}", subject.unit)
    return f"device,channel,time,value,unit\n{','.join(row)}\n".encode()


# -- field protocols --------------------------------------------------------------------------------------------


def _hj212(subject: Subject, now_us: int) -> bytes:
    """Real-time data that asks for its answer."""
    stamp = hj212.stamp(now_us)
    code = ((f"{subject.code}-Rtd", f"{subject.value:g}"), (f"{subject.code}-Flag", "N"))
    items = ((("DataTime", stamp[:14]),), code)
    return hj212.encode(hj212.Message(stamp, "39", "2011", subject.device, "123456", 5, items=items))


def _sl651(subject: Subject, now_us: int) -> bytes:
    """A timed report of one element: four bytes of BCD, three decimals."""
    time, station = sl651.bcd_time(now_us), bytes.fromhex(subject.device)
    digits = bytes.fromhex(f"{round(subject.value * 1000):08d}")
    head = b"\0\1" + time + b"\xf1\xf1" + station + b"\x48" + b"\xf0\xf0" + time[:5]
    body = head + bytes((int(subject.code[:2], 16), 0x23)) + digits
    return sl651.encode(sl651.Message(1, subject.device, 0x1234, 0x32, body))


def _gbt26875(subject: Subject, now_us: int) -> bytes:
    """One object of the type that the code names (GB/T 26875.3-2011, 8.2)."""
    station, _, place = subject.device.partition(":")
    system, address, component = [*(int(part) for part in place.split(".") if part), 0, 0, 0][:3]
    kind, _, tail = subject.code.partition(".")
    bit, where = int(tail or 0), bytes((system, address))
    part = where + b"\x28" + component.to_bytes(4, "little")
    word = (1 << bit).to_bytes(2, "little")
    objects = {
        "1": lambda: where + word,
        "2": lambda: part + word + bytes(31),
        "3": lambda: part + bytes((bit,)) + (1).to_bytes(2, "little"),
        "4": lambda: where + bytes((1 << bit, 1)),
        "21": lambda: bytes((1 << bit,)),
        "24": lambda: bytes((1 << bit, 1)),
    }
    unit = bytes((int(kind), 1)) + objects[kind]() + gbt26875.clock(now_us)
    message = gbt26875.Message(
        1, gbt26875.SEND, int(station, 16), 0, gbt26875.clock(now_us), unit, version=(1, 1)
    )
    return gbt26875.encode(message)
