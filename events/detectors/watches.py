"""Rules × registry → watches: which rule looks at which point, with the numbers that hold there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.clock import SECOND_US
from events.rules import ANY_KIND, EVERY_CHANNEL, GROUPED, Edge, OfDevice, Part, Rule, RuleSet, SpanOfDevice
from iot.kinds import Kind
from iot.registry import Device, Registry

#: Detectors that speak once a window of the clock.
TUMBLING = frozenset({"mean", "leq", "highest", "lowest", "total"}) | GROUPED
#: What a signal is compared with, and how: even numbers are ratios.
AGAINST = {
    (None, "difference"): 0, (None, "ratio"): 0, ("usual", "difference"): 1, ("usual", "ratio"): 2,
    ("background", "difference"): 3, ("background", "ratio"): 4, ("neighbours", "difference"): 5,
    ("neighbours", "ratio"): 6,
}  # fmt: skip
#: The part number of watches that belong to no rule.
MEMORY_PART = -1
FOREVER = np.iinfo(np.int64).max // 4

#: Rules that sleep by day hear from the night before.
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Watches:
    """Parallel columns of n watches sorted by point, and where each point's begin.

    Decisions are made on `sign × signal`: it has begun at ≥ `on`, and ended at ≤ `off`. `latched` are points of
    kinds that speak on events only: what they last said holds until they say otherwise. Those that `sleep` outside
    their schedule go on the next day where they stood.
    """

    rule: NDArray[np.int32]
    part: NDArray[np.int16]
    point: NDArray[np.int32]
    sign: NDArray[np.float64]
    on: NDArray[np.float64]
    off: NDArray[np.float64]
    on_us: NDArray[np.int64]
    off_us: NDArray[np.int64]
    on_need: NDArray[np.int32]
    off_need: NDArray[np.int32]
    gap_us: NDArray[np.int64]
    latched: NDArray[np.bool_]
    begin: NDArray[np.int16]
    end: NDArray[np.int16]
    sleeps: NDArray[np.bool_]
    window_us: NDArray[np.int64]
    period_us: NDArray[np.int64]
    latch_us: NDArray[np.int64]
    against: NDArray[np.int8]
    z: NDArray[np.float64]
    floor: NDArray[np.float64]
    floor_share: NDArray[np.float64]
    extra: NDArray[np.float64]
    first: NDArray[np.int32]
    count: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.rule)

    def of_points(self, points: NDArray[np.int32]) -> NDArray[np.int32]:
        """The watches of distinct points, in order; see `spread` for which came from where."""
        return self.spread(points)[1]

    def spread(self, points: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
        """For each watch of each given point: the position of the point in the argument, and the watch."""
        count = self.count[points]
        rows = np.repeat(np.arange(len(points)), count)
        starts = np.cumsum(count) - count
        within = np.arange(len(rows)) - np.repeat(starts, count)
        return rows, (self.first[points][rows] + within).astype(np.int32)


#: The parameter of a device that sends at a period of its own, in seconds.
PERIOD = "period_s"
#: rule, part → the three numbers of `extra`, for detectors that need more than the common columns.
Extra = Callable[[Part], tuple[float, float, float]]


def _no_extra(_: Part) -> tuple[float, float, float]:
    return 0.0, 0.0, 0.0


def compile_watches(
    rules: RuleSet, registry: Registry, takes: Callable[[Part], bool], extra: Extra = _no_extra
) -> Watches:
    """The watches of the parts that `takes` wants. Disabled rules watch nothing."""
    rows: list[tuple[object, ...]] = []
    by_kind: dict[str, list[Device]] = {}
    for device in registry.devices.values():
        by_kind.setdefault(device.kind, []).append(device)
    for rule in rules:
        if not rule.decl.enabled:
            continue
        kinds = (
            by_kind
            if ANY_KIND in rule.decl.kinds
            else {kind: by_kind.get(kind, []) for kind in rule.decl.kinds}
        )
        for number, part in enumerate(rule.decl.parts):
            if takes(part) and part.channel is not None:
                for devices in kinds.values():
                    rows += _rows(rule, number, part, devices, registry, extra(part))
    return _columns(rows, registry.size)


def _rows(
    rule: Rule,
    number: int,
    part: Part,
    devices: list[Device],
    registry: Registry,
    extra: tuple[float, float, float],
) -> list[tuple[object, ...]]:
    """One row a device and channel that have every number that the part needs."""
    if not devices:
        return []
    kind = registry.kind_of(devices[0])
    every = part.channel == EVERY_CHANNEL
    channels = [name for name in kind.channels if every or name == part.channel]
    if part.detector == "stuck":
        channels = [name for name in channels if not _never_stuck(kind, name, registry)]
    rows: list[tuple[object, ...]] = []
    known: dict[str, tuple[object, ...] | None] = {}
    asked = _params(part)
    for device in devices:
        key = repr(
            [device.params.get(name) for name in asked]
        )  # most devices of a kind have the same numbers
        if key not in known:
            known[key] = _numbers(rule, part, kind, device)
        numbers = known[key]
        if numbers is None:
            continue
        points = registry.points_of(device)
        rows += [(rule.number, number, points[name], *numbers, extra) for name in channels]
    return rows


def _params(part: Part) -> list[str]:
    """The parameters of a device that its watches depend on."""
    edges = [edge for edge in (part.on, part.off) if edge is not None]
    found = [edge.limit.param for edge in edges if isinstance(edge.limit, OfDevice)]
    return [PERIOD, *found, *(edge.hold.param for edge in edges if isinstance(edge.hold, SpanOfDevice))]


def _numbers(rule: Rule, part: Part, kind: Kind, device: Device) -> tuple[object, ...] | None:
    """The columns from `sign` to `latch_us` for a device; None when it lacks a number."""
    assert part.on is not None
    assert part.off is not None
    on, off = threshold(part.on, device.params), threshold(part.off, device.params)
    if on is None or off is None:
        return None
    speaks = kind.decl
    sign = 1.0 if part.on.upward else -1.0
    begin, end, sleeps = -1, -1, False
    if rule.decl.schedule:
        (begin, end), sleeps = rule.decl.schedule.minutes, rule.decl.schedule.sleeps
    on_s = part.on.hold_s(device.params)
    gap_s = max(speaks.silent_after_s, on_s) + (2 * (part.window or 0) if part.detector in TUMBLING else 0)
    gap_s += DAY_S if sleeps else 0.0
    latched = speaks.heartbeat is not None or speaks.period is None
    sample_s = speaks.sample or speaks.alarm_period or speaks.period or 0.0
    return (
        sign, first_at(sign * on, strict=part.on.strict), _last_at(sign * off, strict=part.off.strict),
        _us(on_s), _us(part.off.hold_s(device.params)), part.on.min_samples, part.off.min_samples,
        FOREVER if latched else _us(gap_s), latched, begin, end, sleeps,
        _us(part.window or 0), _us(_period(device, sample_s)), _us(part.latch),
        AGAINST[part.against, part.by], part.z, part.floor, part.floor_share,
    )  # fmt: skip


def threshold(edge: Edge, params: Mapping[str, object]) -> float | None:
    """The number that holds for a device, None where it has none."""
    limit = edge.limit
    return limit.of(params) if isinstance(limit, OfDevice) else float(limit)


def _period(device: Device, usual_s: float) -> float:
    own = device.params.get(PERIOD)
    return float(own) if isinstance(own, int | float) else usual_s


def _never_stuck(kind: Kind, channel: str, registry: Registry) -> bool:
    """Digital channels and those that a kind exempts stand still in health."""
    quantity = registry.catalogue.channels[kind.channels[channel]].quantity
    return quantity in ("state", "event", "total") or channel in kind.decl.stuck_exempt


def first_at(limit: float, *, strict: bool) -> float:
    """The smallest number that fulfils `> limit` or `≥ limit`: strictness without another comparison."""
    return float(np.nextafter(limit, np.inf)) if strict else limit


def _last_at(limit: float, *, strict: bool) -> float:
    return float(np.nextafter(limit, -np.inf)) if strict else limit


def _us(seconds: float) -> int:
    return round(seconds * SECOND_US) if seconds < FOREVER / SECOND_US else FOREVER


def compile_points(points: list[int], size: int) -> Watches:
    """One watch a point, of no rule: for what only remembers."""
    return _columns([(0, MEMORY_PART, point, *(0,) * 19, (0.0, 0.0, 0.0)) for point in points], size)


def _columns(rows: list[tuple[object, ...]], size: int) -> Watches:
    rows.sort(key=lambda row: (row[2], row[0], row[1]))
    names = [column.name for column in fields(Watches)][:-3]
    kinds = {
        "rule": np.int32, "part": np.int16, "point": np.int32, "on_need": np.int32, "off_need": np.int32,
        "against": np.int8, "latched": np.bool_, "sleeps": np.bool_, "begin": np.int16,
        "end": np.int16,
        **dict.fromkeys(("sign", "on", "off", "z", "floor", "floor_share"), np.float64),
        **dict.fromkeys(("on_us", "off_us", "gap_us", "window_us", "period_us", "latch_us"), np.int64),
    }  # fmt: skip
    columns: dict[str, NDArray[Any]] = {
        name: np.array([row[place] for row in rows], kinds[name]) for place, name in enumerate(names)
    }
    extra = np.array([row[-1] for row in rows], np.float64).reshape(len(rows), 3)
    count = np.bincount(columns["point"], minlength=size).astype(np.int32)
    first = (np.cumsum(count) - count).astype(np.int32)
    return Watches(**columns, extra=extra, first=first, count=count)
