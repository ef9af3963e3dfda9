"""Which site the air brought it from: the monitors and vanes around, asked of `events.plume`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from events.detectors import Floats
from events.detectors.columns import NEVER
from events.detectors.trail import Trail
from events.detectors.watches import compile_points
from events.guards import place_of
from events.place import METRES_A_DEGREE, Place
from events.plume import Air, trace
from events.rules import RuleSet
from events.types import Kind, matches
from events.wind import DIRECTION, SPEED
from iot.registry import Registry

#: Monitors, vanes and sites no further away than this take part, and no more of them than these.
REACH_M, MONITORS, SITES, VANES = 3_000.0, 40, 20, 3
#: Fewer steps with readings and wind than this say nothing.
LEAST_STEPS = 3


def channels(types: Iterable[Kind], rules: RuleSet) -> set[str]:
    """What the anchors of incident types that are traced up the wind measure."""
    wanted = [
        pattern
        for type_ in types
        if type_.decl.cause == "upwind"
        for evidence in type_.decl.evidence
        if evidence.anchor
        for pattern in evidence.rules
    ]
    return {
        part.channel
        for rule in rules
        if any(matches(pattern, rule.key) for pattern in wanted)
        for part in rule.decl.parts
        if part.channel
    }


def trail(names: set[str], registry: Registry) -> Trail:
    """Remembers these channels, and the wind, wherever the channels are measured at a place known by name."""
    turning: dict[int, bool] = {}
    for device in registry.devices.values():
        points = registry.points_of(device)
        if names & points.keys():
            wanted = names | {SPEED, DIRECTION}
            turning |= {point: name == DIRECTION for name, point in points.items() if name in wanted}
    ordered = sorted(turning)
    return Trail(
        compile_points(ordered, registry.size), np.array([turning[each] for each in ordered], np.bool_)
    )


class Traces:
    """The chance of each site near a place to be a source, as of the newest readings."""

    def __init__(self, registry: Registry, remembered: Trail) -> None:
        self._trail = remembered
        self._vanes: list[tuple[Place, int, int]] = []
        self._monitors: dict[str, list[tuple[Place, int]]] = defaultdict(list)
        known = set(remembered.watches.point.tolist())
        for device in registry.devices.values():
            points = {name: point for name, point in registry.points_of(device).items() if point in known}
            if SPEED in points and DIRECTION in points:
                self._vanes.append((place_of(device), points[SPEED], points[DIRECTION]))
            for name, point in points.items():
                self._monitors[name].append((place_of(device), point))
        self._known: dict[tuple[str, str], tuple[int, dict[str, float]]] = {}

    def __call__(self, channel: str, place: Place) -> dict[str, float]:
        """Asset → probability, of the steps that are over; empty where too little is known. Traced once a step."""
        monitors = _near(place, self._monitors.get(channel, []))[:MONITORS]
        points = np.array([point for _, point in monitors], np.int32)
        newest = self._trail.newest(points)
        if newest == NEVER:
            return {}
        key, end = (channel, place.asset or place.device), newest - 1
        if key not in self._known or self._known[key][0] != end:
            self._known[key] = end, self._trace(place, monitors, end)
        return self._known[key][1]

    def _trace(self, place: Place, monitors: list[tuple[Place, int]], end: int) -> dict[str, float]:
        wind = self._wind(place, end)
        seen = self._trail.steps(np.array([point for _, point in monitors], np.int32), end)
        heard = np.isfinite(seen).any(axis=1) & np.isfinite(wind).all(axis=1)
        if np.count_nonzero(heard) < LEAST_STEPS:
            return {}
        sites: dict[str, list[Place]] = defaultdict(list)
        for there, _ in monitors:
            if there.asset:
                sites[there.asset].append(there)
        if not sites:
            return {}
        names = list(sites)[:SITES]
        middles = [np.mean([_xy(each, place) for each in sites[name]], axis=0) for name in names]
        from_deg, speed = wind[heard].T
        monitor_xy = np.array([_xy(there, place) for there, _ in monitors])
        found = trace(Air(np.array(middles), monitor_xy, seen[heard], from_deg, speed))
        return dict(zip(names, found.probability.tolist(), strict=True))

    def _wind(self, place: Place, end: int) -> Floats:
        """(STEPS, 2): where it came from in degrees, m/s, of the nearest vanes; NaN where nobody knows."""
        vanes = sorted(self._vanes, key=lambda vane: vane[0].metres_to(place))[:VANES]
        points = [point for there, *both in vanes if there.metres_to(place) <= REACH_M for point in both]
        told = self._trail.steps(np.array(points, np.int32), end)
        speed, degrees = told[:, 0::2], np.radians(told[:, 1::2])
        north, east = _means(speed * np.cos(degrees)), _means(speed * np.sin(degrees))
        return np.stack([np.degrees(np.arctan2(east, north)) % 360, np.hypot(east, north)], axis=1)


def _means(told: Floats) -> Floats:
    """Row means of what is known, NaN where nothing is."""
    count = np.isfinite(told).sum(axis=1)
    found: Floats = np.where(count > 0, np.nansum(told, axis=1) / np.maximum(count, 1), np.nan)
    return found


def _near(place: Place, monitors: list[tuple[Place, int]]) -> list[tuple[Place, int]]:
    """Those within reach, the nearest first."""
    ranked = sorted((each[0].metres_to(place), n) for n, each in enumerate(monitors))
    return [monitors[n] for metres, n in ranked if metres <= REACH_M]


def _xy(place: Place, middle: Place) -> tuple[float, float]:
    """Metres to the east and north of a place."""
    shrunk = METRES_A_DEGREE * math.cos(math.radians(middle.lat))
    return (place.lon - middle.lon) * shrunk, (place.lat - middle.lat) * METRES_A_DEGREE
