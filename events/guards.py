"""Guards of rules: what else must hold when a value has passed its limit. CEL, asked only of those that have.

Variables (docs/guide/rules.md): `value`; `params` the device's numbers; `latest` the last values of its other
channels; `site` those of all devices at the same asset; `usual` and `z` the usual value and the distance from it in
sigmas, by channel; `dry_h` hours without rain at the gauges around (absent where there is none); `rain_1h` their
highest hourly sum; `hour` of the city's day.
What is not known is absent, and a guard that asks for it says no.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import cel
import numpy as np
from numpy.typing import NDArray

from core.clock import HOUR_US, MINUTE_US
from events.citytime import CityTime
from events.detectors.memory import Memory
from events.place import Place
from events.rules import Rule, RuleSet
from events.usual import Usual
from iot.registry import Device, Registry

#: Gauges whose rain is that of a device, and how near they must be.
GAUGES, GAUGES_WITHIN_M = 3, 10_000.0
RAIN = ("rain_5m", "rain_1h")
#: Kinds that measure what is everywhere.
BACKGROUND = "_background"
#: A value older than so many of its device's periods is not the latest but the last.
STALE_PERIODS = 5
#: (switch, place, time) → whether a permit, a season or an event is in force there.
Switches = Callable[[str, Place, int], bool]


PROTECT = "protect."


def nothing_switched(_switch: str, _place: Place, _time_us: int) -> bool:
    return False


@dataclass(slots=True)
class Guards:
    """The guards of a rule set on one registry. `memory` is that of the state they are asked for."""

    rules: RuleSet
    registry: Registry
    city: CityTime
    memory: Memory
    usual: Usual
    switches: Switches = nothing_switched
    _programs: dict[int, cel.Program | None] = field(default_factory=dict)
    _gauges: dict[int, list[int]] = field(default_factory=dict)
    _assets: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    _params: dict[int, dict[str, float]] = field(default_factory=dict)

    def guarded(self) -> NDArray[np.bool_]:
        """Which rules ask anything, by their number."""
        return np.array([bool(rule.decl.guard or rule.decl.armed_by) for rule in self.rules], bool)

    def hold(self, rule_number: int, point: int, time_us: int, value: float) -> bool:
        """Whether a rule's guard lets it decide on a reading."""
        rule = self.rules.rules[rule_number]
        device = self.registry.by_number.get(int(self.registry.device_of[point]))
        if device is None:
            return False
        if rule.decl.armed_by:
            place = place_of(device)
            if not any(self.switches(switch, place, time_us) for switch in rule.decl.armed_by):
                return False
        program = self._program(rule)
        if program is None:
            return True
        try:
            return program.execute(self._names(device, time_us, value, program.variables())) is True
        except (KeyError, RuntimeError, TypeError, ValueError):
            return False  # something that it asks for is not known

    def protected(self, point: int, time_us: int) -> bool:
        """A protected event is in force there: what is pending waits half as long."""
        device = self.registry.by_number.get(int(self.registry.device_of[point]))
        return device is not None and self.switches(PROTECT, place_of(device), time_us)

    def runoff(self, rule: int, part: int, point: int) -> float:
        """What a millimetre of rain brings to a balance that a point speaks for (`Part.rain`)."""
        device = self.registry.by_number[int(self.registry.device_of[point])]
        rain = self.rules.rules[rule].decl.parts[part].rain
        return (rain.of(device.params) or 0.0) if rain is not None else 0.0

    def rain_1h(self, point: int, time_us: int) -> float:
        """Millimetres of the last hour at the gauges around, 0 where nobody knows."""
        device = self.registry.by_number.get(int(self.registry.device_of[point]))
        found = self._rain(device, time_us).get("rain_1h", 0.0) if device is not None else 0.0
        return found if isinstance(found, float) else 0.0

    def _program(self, rule: Rule) -> cel.Program | None:
        if rule.number not in self._programs:
            self._programs[rule.number] = cel.compile(rule.decl.guard) if rule.decl.guard else None
        return self._programs[rule.number]

    def _names(
        self, device: Device, time_us: int, value: float, variables: Collection[str]
    ) -> dict[str, object]:
        points = self.registry.points_of(device)
        latest: dict[str, float] = {}
        usual: dict[str, float] = {}
        z: dict[str, float] = {}
        kind = self.registry.kind_of(device).decl
        stale_us = STALE_PERIODS * (kind.period or 1e9) * 1_000_000 if not kind.heartbeat else np.inf
        for name, point in points.items():
            found = self.memory.asof(point, time_us)
            if found is not None and time_us - found[0] <= stale_us:
                latest[name] = found[1]
        known = np.array(list(points.values()), np.int32)
        middle, sigma = self.usual.at(known, np.full(len(known), time_us))
        for place, name in enumerate(points):
            if np.isfinite(middle[place]):
                usual[name] = float(middle[place])
                if name in latest and sigma[place] > 0:
                    z[name] = (latest[name] - usual[name]) / float(sigma[place])
        names: dict[str, object] = {
            "value": value, "params": self._numbers(device), "latest": latest, "usual": usual, "z": z,
            "site": self._site(device, time_us) if "site" in variables else {},
            "hour": float(self.city.minute_of_day(np.array([time_us]))[0]) / 60.0,
        }  # fmt: skip
        return names | self._rain(device, time_us)

    def _site(self, device: Device, time_us: int) -> dict[str, float]:
        """What the devices at the same asset said last, lately; of several one channel's highest."""
        if device.asset not in self._assets:
            mates = [other for other in self.registry.devices.values() if other.asset == device.asset]
            self._assets[device.asset] = [
                (name, point) for mate in mates for name, point in self.registry.points_of(mate).items()
            ]
        found: dict[str, float] = {}
        for name, point in self._assets[device.asset] if device.asset else ():
            last = self.memory.asof(point, time_us)
            if last is not None and time_us - last[0] <= 2 * HOUR_US:
                found[name] = max(found.get(name, last[1]), last[1])
        return found

    def _numbers(self, device: Device) -> dict[str, float]:
        known = self._params.get(device.number)
        if known is None:
            known = self._params[device.number] = numbers(device.params)
        return known

    def _rain(self, device: Device, time_us: int) -> dict[str, object]:
        """Rain at the gauges around; nothing where there is none or none has spoken for an hour."""
        gauges = self._gauges.get(device.number)
        if gauges is None:
            gauges = self._gauges[device.number] = self._near(device)
        dry, hourly = [], []
        for point in gauges:
            last = self.memory.asof(point, time_us)
            if last is None or time_us - last[0] > HOUR_US:
                continue
            wet = self.memory.last_wet(point, time_us)
            dry.append((time_us - wet) / HOUR_US if wet is not None else 1e6)
            if self._channel(point) == "rain_1h":
                hourly.append(last[1])
        names: dict[str, object] = {"dry_h": float(min(dry))} if dry else {}
        return names | ({"rain_1h": max(hourly)} if hourly else {})

    def _near(self, device: Device) -> list[int]:
        """Rain points of the nearest gauges."""
        found = []
        for gauge in self.registry.devices.values():
            points = self.registry.points_of(gauge)
            if gauge.domain == "flood" and any(name in points for name in RAIN):
                metres = place_of(device).metres_to(place_of(gauge))
                if metres <= GAUGES_WITHIN_M:
                    found.append((metres, [points[name] for name in RAIN if name in points]))
        found.sort()
        return [point for _, points in found[:GAUGES] for point in points]

    def _channel(self, point: int) -> str:
        return self.registry.channel_by_number[int(self.registry.channel_of[point])].name


def asks_usual(guard: str) -> bool:
    """Whether a guard asks for usual values."""
    return bool(guard) and not {"usual", "z"}.isdisjoint(cel.compile(guard).variables())


def place_of(device: Device) -> Place:
    return Place(device.lon, device.lat, device.id, device.asset, device.zone, device.area)


def numbers(params: Mapping[str, object]) -> dict[str, float]:
    """The numbers among a device's parameters, as CEL compares them; yes is 1, no is 0."""
    return {name: float(value) for name, value in params.items() if isinstance(value, int | float)}


#: How long a value of somebody else may be compared with.
COMPARED_WITHIN_US = 2 * HOUR_US
#: How long the air is taken to be as a background station said.
FRESH_US = 15 * MINUTE_US
NEIGHBOURS, NEIGHBOURS_WITHIN_M = 3, 5_000.0


@dataclass(slots=True)
class Others:
    """What a point is compared with, when not with itself: background stations, or its nearest neighbours."""

    registry: Registry
    memory: Memory
    _of: dict[tuple[str, int], list[int]] = field(default_factory=dict)

    def median(self, against: str, point: int, time_us: int) -> float:
        """Median of what the others said last; nan where nobody has spoken lately.

        Where background stations spoke a while ago, what even the cleanest neighbour says now is background too.
        """
        said = self._said(against, point, time_us)
        found = float(np.median([value for _, value in said])) if said else float("nan")
        if against == "background" and said and time_us - max(at_us for at_us, _ in said) > FRESH_US:
            around = [value for _, value in self._said("neighbours", point, time_us)]
            if len(around) == NEIGHBOURS:
                return max(found, min(around))
        return found

    def _said(self, against: str, point: int, time_us: int) -> list[tuple[int, float]]:
        """(when, value) of the others' last words that may be compared with."""
        told = [self.memory.asof(other, time_us) for other in self._points(against, point)]
        return [each for each in told if each is not None and time_us - each[0] <= COMPARED_WITHIN_US]

    def _points(self, against: str, point: int) -> list[int]:
        known = self._of.get((against, point))
        if known is None:
            find = self._background if against == "background" else self._neighbours
            known = self._of[against, point] = find(point)
        return known

    def _background(self, point: int) -> list[int]:
        """Points of background stations with the same channel."""
        channel = self.registry.channel_of[point]
        return [
            other
            for device in self.registry.devices.values()
            if device.kind.endswith(BACKGROUND)
            for other in self.registry.points_of(device).values()
            if self.registry.channel_of[other] == channel
        ]

    def _neighbours(self, point: int) -> list[int]:
        """The same channel at the nearest devices of other assets."""
        mine = self.registry.by_number[int(self.registry.device_of[point])]
        channel = self.registry.channel_of[point]
        found = []
        for device in self.registry.devices.values():
            if (
                device.kind != mine.kind
                or device.id == mine.id
                or (mine.asset and device.asset == mine.asset)
            ):
                continue
            metres = place_of(mine).metres_to(place_of(device))
            if metres <= NEIGHBOURS_WITHIN_M:
                found += [
                    (metres, other)
                    for other in self.registry.points_of(device).values()
                    if self.registry.channel_of[other] == channel
                ]
        return [other for _, other in sorted(found)[:NEIGHBOURS]]
