"""Field protocols as devices speak them: what a device has measured becomes frames of HJ 212, GB/T 26875.3 or SL 651.

A `Speaker` remembers what its device last said, because a frame carries whole states: bits that did not change stand
beside those that did. Pure; `simulators.dial` brings the frames to the product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

from core.clock import MINUTE_US
from iot.codecs import gbt26875, hj212, sl651

#: Protocol → device kind → channel → its code there, as `domains/*/kinds.yaml` declares them (a test compares).
CODES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "hj212": {
        "con_dust_noise": {
            "tsp": "a34001", "pm10": "a34002", "pm25": "a34004", "laeq_1m": "LA", "air_temp": "a01001",
            "humidity": "a01002", "wind_speed": "a01007", "wind_dir": "a01008",
        },
    },
    "gbt26875": {
        "fire_panel": {
            "sys_fire": "1.1", "sys_fault": "1.2", "sys_shield": "1.3", "manual_mode": "1.11", "main_power": "!1.8",
            "backup_power": "!1.9",
        },
        "fire_detector": {"alarm": "2.1", "fault": "2.2", "shield": "2.3"},
        "fire_pump": {"running": "2.5", "fault": "2.2", "power_ok": "!2.8", "auto_mode": "!1.11"},
        "fire_pipe_pressure": {"water_pressure": "3.5"},
        "fire_tank": {"tank_level": "3.2"},
    },
    "sl651": {
        "fl_river": {"river_level": "39H"},
        "fl_rain": {"rain_5m": "22H", "rain_1h": "1AH", "rain_24h": "1FH"},
    },
}  # fmt: skip
#: Component types and system types of GB/T 26875.3 tables 4 and 5 that our kinds are (0: none of them).
SYSTEM, COMPONENT = 1, {"fire_detector": 40, "fire_pump": 95}
#: Component addresses of a kind begin here, so that no two things of a building share one.
FROM = {"fire_pipe_pressure": 1000, "fire_tank": 2000}
#: An analogue value on the wire, per unit of the channel: kPa of MPa, m of m.
PER_UNIT = {"3.5": 1000.0, "3.2": 1.0}
#: SL 651 guide → (bytes, decimals) of its BCD number.
BCD = {"39H": (4, 3), "22H": (3, 1), "1AH": (3, 1), "1FH": (3, 1)}
CENTRE = 1

Reading = tuple[str, int, float]
"""(channel, time µs, value) of one device."""


class Speaker(Protocol):
    """One device's side of a protocol. `station` is whom a connection belongs to, `names` how it is registered."""

    @property
    def station(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    def frames(self, readings: Iterable[Reading]) -> list[bytes]:
        """What it sends for readings in the order of their times."""


def protocol_of(kind: str) -> str:
    """The field protocol that devices of a kind speak; empty for those that speak SenML."""
    return next((name for name, kinds in CODES.items() if kind in kinds), "")


def speaker(kind: str, number: int, place: int) -> Speaker:
    """How a device speaks. `number` is its own, `place` that of its building or site."""
    protocol = protocol_of(kind)
    codes = CODES[protocol][kind]
    if protocol == "hj212":
        return DustPole(codes, f"310000000000CITYOPS{number:05d}")
    if protocol == "sl651":
        return Gauging(codes, f"{31 if kind == 'fl_river' else 32:04d}{number:06d}")
    return FireObject(codes, kind, number, place)


def _by_time(readings: Iterable[Reading]) -> Iterable[tuple[int, dict[str, float]]]:
    for time_us, group in groupby(readings, key=lambda each: each[1]):
        yield time_us, {channel: value for channel, _, value in group}


@dataclass(slots=True)
class DustPole:
    """HJ 212-2017: realtime values (CN 2011) that ask for an answer."""

    codes: Mapping[str, str]
    station: str

    @property
    def names(self) -> tuple[str, ...]:
        return (self.station,)

    def frames(self, readings: Iterable[Reading]) -> list[bytes]:
        return [self._frame(time_us, values) for time_us, values in _by_time(readings)]

    def _frame(self, time_us: int, values: Mapping[str, float]) -> bytes:
        stamp = hj212.stamp(time_us)
        said = [
            ((f"{self.codes[key]}-Rtd", f"{value:g}"), (f"{self.codes[key]}-Flag", "N"))
            for key, value in values.items()
        ]
        items = ((("DataTime", stamp[:14]),), *said)
        return hj212.encode(hj212.Message(stamp, "39", "2011", self.station, "123456", 5, items=tuple(items)))


@dataclass(slots=True)
class FireObject:
    """GB/T 26875.3: a system, a component or an analogue value behind the transmission device of a building."""

    codes: Mapping[str, str]
    kind: str
    number: int
    place: int
    _said: dict[str, float] = field(default_factory=dict)
    _serial: int = 0

    @property
    def source(self) -> int:
        return 0x0100_0000_0000 + self.place

    @property
    def station(self) -> str:
        return f"{self.source:012x}"

    @property
    def address(self) -> int:
        """Of its system: pumps have one of their own, which carries their mode."""
        return 2 if self.kind == "fire_pump" else 1

    @property
    def _component(self) -> int:
        return FROM.get(self.kind, 0) + self.number

    @property
    def names(self) -> tuple[str, ...]:
        system = f"{self.station}:{SYSTEM}.{self.address}"
        part = f"{system}.{self._component}"
        if self.kind == "fire_panel":
            return (system,)
        return (part, system) if self.kind == "fire_pump" else (part,)

    def frames(self, readings: Iterable[Reading]) -> list[bytes]:
        found: list[bytes] = []
        for time_us, values in _by_time(readings):
            self._said |= values
            types = {self.codes[key].lstrip("!").partition(".")[0] for key in values}
            found += [self._frame(int(flag), time_us) for flag in sorted(types)]
        return found

    def _frame(self, flag: int, time_us: int) -> bytes:
        clock = gbt26875.clock(time_us)
        place = bytes((SYSTEM, self.address, COMPONENT.get(self.kind, 0))) + self._component.to_bytes(
            4, "little"
        )
        if flag == 1:
            thing = place[:2] + self._bits(flag) + clock
        elif flag == 2:
            thing = place + self._bits(flag) + bytes(31) + clock
        else:
            thing = place + self._analogue() + clock
        self._serial = (self._serial + 1) & 0xFFFF
        unit = bytes((flag, 1)) + thing
        return gbt26875.encode(gbt26875.Message(self._serial, gbt26875.SEND, self.source, 0, clock, unit))

    def _bits(self, flag: int) -> bytes:
        word = 0
        for channel, code in self.codes.items():
            kind, _, bit = code.lstrip("!").partition(".")
            value = self._said.get(channel, float(code.startswith("!")))
            if int(kind) == flag and bool(value) != code.startswith("!"):
                word |= 1 << int(bit)
        return word.to_bytes(2, "little")

    def _analogue(self) -> bytes:
        ((channel, code),) = self.codes.items()
        type_ = int(code.partition(".")[2])
        steps = round(self._said[channel] * PER_UNIT[code] / gbt26875.ANALOGUE[type_][1])
        return bytes((type_,)) + steps.to_bytes(2, "little", signed=True)


@dataclass(slots=True)
class Gauging:
    """SL 651: timed reports. Its clock knows minutes: what comes twice within one waits for the next report."""

    codes: Mapping[str, str]
    station: str
    _serial: int = 0
    _minute: int = -1

    @property
    def names(self) -> tuple[str, ...]:
        return (self.station,)

    def frames(self, readings: Iterable[Reading]) -> list[bytes]:
        found: list[bytes] = []
        for time_us, values in _by_time(readings):
            if time_us // MINUTE_US > self._minute:
                self._minute = time_us // MINUTE_US
                found.append(self._frame(time_us, values))
        return found

    def _frame(self, time_us: int, values: Mapping[str, float]) -> bytes:
        self._serial = self._serial % 0xFFFF + 1
        now = sl651.bcd_time(time_us)
        body = self._serial.to_bytes(2, "big") + now + b"\xf1\xf1" + bytes.fromhex(self.station) + b"\x48"
        body += b"\xf0\xf0" + now[:5]
        for channel, value in values.items():
            code = self.codes[channel]
            size, decimals = BCD[code]
            digits = f"{abs(round(value * 10**decimals)):0{2 * size}d}"
            raw = b"\xff" + bytes.fromhex(digits[2:]) if value < 0 else bytes.fromhex(digits)
            body += bytes.fromhex(code[:2]) + bytes((size << 3 | decimals,)) + raw
        return sl651.encode(sl651.Message(CENTRE, self.station, 0x1234, 0x32, body))


def key_of(protocol: str, frame: bytes) -> str:
    """What an answer to a frame will carry again: the same for a frame and for its confirmation; empty for no answer.

    Raises `MalformedError`.
    """
    if protocol == "hj212":
        message = hj212.parse(frame)
        return message.qn if message.cn in ("2011", hj212.DATA_ANSWER) else ""
    if protocol == "gbt26875":
        fire = gbt26875.parse(frame)
        return str(fire.serial) if fire.command in (gbt26875.SEND, gbt26875.CONFIRM) else ""
    return str(sl651.parse(frame).serial)


FRAMERS = {"hj212": hj212.framer, "gbt26875": gbt26875.framer, "sl651": sl651.framer}
