"""How often would chance alone bring such facts together? Each kind of fact has a rate of coming for no reason.

The rate is learned from what comes; how many could have spoken nearby is known from the registry.
A group is opened only when fewer such coincidences are expected by chance than the type puts up with, so that a
storm of nuisance alarms does not fuse into incidents, and a quiet city needs no more than its rules ask for.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from core.clock import HOUR_US
from events.place import DOWNWIND_RAD, METRES_A_DEGREE, Place, World, related
from events.types import Near, Sameness

#: What is believed before anything is known: so many facts per point and hour (one in two days), as if seen for
#: so many hours.
USUAL_RATE = 1 / 48
USUAL_HOURS = 0.25
#: Facts count so long.
MEMORY_US = 2 * HOUR_US


@dataclass(frozen=True, slots=True, eq=False)
class Speakers:
    """Everybody who can say one kind of fact."""

    places: tuple[Place, ...]
    tree: cKDTree
    lat: float
    by_name: Mapping[tuple[str, str], int]
    count: int

    @classmethod
    def of(cls, places: Iterable[Place]) -> Speakers:
        known = list(places)
        names: dict[tuple[str, str], int] = defaultdict(int)
        for place in known:
            for sameness in SAMENESS:
                if name := place.named(sameness):
                    names[sameness, name] += 1
        lat = known[0].lat if known else 0.0
        return cls(
            tuple(known), cKDTree(_metres([(p.lon, p.lat) for p in known], lat)), lat, dict(names), len(known)
        )

    def near(self, near: Near, place: Place, world: World) -> float:
        """How many of them are at places that `near` relates to one."""
        named = float(max((self.by_name.get((same, place.named(same)), 0) for same in near.same), default=0))
        reach_m = near.reach_m
        if not reach_m:
            return named
        at = _metres([(place.lon, place.lat)], self.lat)[0]
        around = self.tree.query_ball_point(at, reach_m)
        if near.within_m == reach_m:
            return max(named, float(len(around)))
        if near.downwind_m == reach_m:
            return max(named, len(around) * IN_THE_WIND)
        asked = around[:: max(1, len(around) // COUNTED)]
        on_pipe = sum(related(near, self.places[row], place, world) for row in asked)
        return max(named, on_pipe * len(around) / max(len(asked), 1))


SAMENESS: tuple[Sameness, ...] = ("device", "asset", "zone", "area", "city")


def _metres(lonlat: list[tuple[float, float]], lat: float) -> NDArray[np.float64]:
    """A plane in metres around a latitude, good enough to count who is near."""
    plane = np.array(lonlat, np.float64).reshape(len(lonlat), 2)
    metres: NDArray[np.float64] = plane * METRES_A_DEGREE * np.array([math.cos(math.radians(lat)), 1.0])
    return metres


@dataclass(slots=True)
class Background:
    """Rates of facts and numbers of speakers, by what a fact says.

    Facts that an incident explains count like the others: else the first false incidents of a storm would hide it.
    """

    speakers: Mapping[str, Speakers]
    began_us: int | None = None
    _came: dict[str, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    _near: dict[tuple[str, int, str], float] = field(default_factory=dict)

    def note(self, what: str, time_us: int) -> None:
        """A fact has come."""
        if self.began_us is None:
            self.began_us = time_us
        self._came[what].append(time_us)

    def rate(self, what: str, now_us: int, without: int = 0) -> float:
        """Facts per point and hour, some of them left out."""
        found = self.speakers.get(what)
        if found is None or not found.count:
            return USUAL_RATE
        came = self._came[what]
        while came and came[0] < now_us - MEMORY_US:
            came.popleft()
        hours = min(MEMORY_US, max(now_us - (self.began_us or now_us), 0)) / HOUR_US
        known = max(len(came) - without, 0) / found.count
        return (known + USUAL_RATE * USUAL_HOURS) / (hours + USUAL_HOURS)

    def within(self, what: str, near: Near, place: Place, world: World) -> float:
        """How many could say this around a place."""
        found = self.speakers.get(what)
        if found is None:
            return 1.0
        key = (what, id(near), place.device or f"{place.lon},{place.lat}")
        known = self._near.get(key)
        if known is None:
            known = self._near[key] = found.near(near, place, world)
        return known

    def everywhere(self, what: str) -> float:
        found = self.speakers.get(what)
        return float(found.count) if found else 1.0


#: Of those within reach, so many lie up or down the wind: the angle, on both sides, both ways.
IN_THE_WIND = 4 * DOWNWIND_RAD / math.tau
#: Walks along pipes are made for so many of those around; the rest is taken to be like them.
COUNTED = 100


def together(tails: Iterable[float]) -> float:
    """How likely chance alone is to give independent tails whose product is so small (Fisher's combination)."""
    known = [tail for tail in tails if tail < 1.0]
    product = math.prod(known)
    if product <= 0.0 or len(known) < 2:
        return product
    deep = -math.log(product)
    return min(1.0, product * sum(deep**k / math.factorial(k) for k in range(len(known))))


def at_least(n: int, expected: float) -> float:
    """P(N ≥ n) of a Poisson count."""
    if n <= 0:
        return 1.0
    if expected <= 0:
        return 0.0
    term = total = math.exp(-expected) * expected**n / math.factorial(n) if n < 150 else 0.0
    k = n
    while term > total * 1e-12 and k < n + 200:
        k += 1
        term *= expected / k
        total += term
    return min(total, 1.0)


def in_order(distance: Sequence[float], later: Sequence[float]) -> float:
    """How likely chance alone is to give such an agreement between how far and how much later (Kendall, one-sided)."""
    n = len(distance)
    if n < 2:
        return 1.0
    wrong = sum(
        (distance[a] - distance[b]) * (later[a] - later[b]) < 0 for a in range(n) for b in range(a + 1, n)
    )
    if n > MANY:
        pairs = n * (n - 1) / 2
        sigma = math.sqrt(n * (n - 1) * (2 * n + 5) / 72)
        return 0.5 * math.erfc((pairs / 2 - wrong) / sigma / math.sqrt(2))
    return _inversions(n)[wrong]


#: Up to so many the distribution is counted out.
MANY = 12


@functools.cache
def _inversions(n: int) -> tuple[float, ...]:
    """Share of the permutations of n that have at most k inversions."""
    counts = [1]
    for size in range(2, n + 1):
        longer = [0] * (len(counts) + size - 1)
        for k, count in enumerate(counts):
            for more in range(size):
                longer[k + more] += count
        counts = longer
    total = math.factorial(n)
    return tuple(sum(counts[: k + 1]) / total for k in range(len(counts)))
