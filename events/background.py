"""How often would chance alone bring such facts together? Each kind of fact has a rate of coming for no reason.

The rate is learned from what comes; how many could have spoken nearby is known from the registry.
A group is opened only when fewer such coincidences are expected by chance than the type puts up with, so that a
storm of nuisance alarms does not fuse into incidents, and a quiet city needs no more than its rules ask for.
What is known here follows from the facts alone: after a restart the stored ones give the same rates.
"""

from __future__ import annotations

import bisect
import functools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.clock import HOUR_US, MINUTE_US
from events.place import DOWNWIND_RAD, METRES_A_DEGREE, SOURCE_M, Place, World, related
from events.types import Near, Sameness

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

#: What is believed before anything is known: so many facts per point and hour (one in two days), as if seen for
#: so many hours.
USUAL_RATE = 1 / 48
USUAL_HOURS = 0.25
#: Facts count so long.
MEMORY_US = 6 * HOUR_US
#: What came in these last spans counts alone when it is too much for the rate over the longer one to be true.
LATELY_US = (HOUR_US, 15 * MINUTE_US)
TOO_MUCH = 0.2
#: How many of those around lie along the pipes is measured at so many places, on so many neighbours of each.
PLACES, NEIGHBOURS = 12, 20
#: How far apart the anchors of a group lie is taken in steps of so many metres.
STEP_M = 100.0

SAMENESS: tuple[Sameness, ...] = ("device", "asset", "zone", "area", "city")


class Speakers:
    """Everybody who can say one kind of fact. What is asked is computed once, when it is asked."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = tuple(places)
        self._share: dict[Near, float] = {}

    def __len__(self) -> int:
        return len(self.places)

    def near(self, near: Near, place: Place, world: World, spread_m: float = 0.0) -> float:
        """How many of them are, about, at places that `near` relates to one, or to others as far as `spread_m`."""
        named = max((self._by_name[same, place.named(same)] for same in near.same), default=0)
        reach_m = near.reach_m
        if not reach_m:
            return float(named)
        if near.within_m == reach_m:
            return float(max(named, len(self._around(place, reach_m + spread_m))))
        # pipes and wind are lines: what lies along them grows with the length
        line = len(self._around(place, reach_m)) * self._related(near, world) * (1 + spread_m / reach_m)
        return max(float(named), line)

    @functools.cached_property
    def _by_name(self) -> Counter[tuple[Sameness, str]]:
        return Counter(
            (same, name) for place in self.places for same in SAMENESS if (name := place.named(same))
        )

    @functools.cached_property
    def _tree(self) -> cKDTree:
        from scipy.spatial import cKDTree

        return cKDTree(self._metres(self.places))

    def _metres(self, places: Sequence[Place]) -> NDArray[np.float64]:
        """A plane in metres, good enough to count who is near."""
        plane = np.array([(place.lon, place.lat) for place in places], np.float64).reshape(len(places), 2)
        lat = math.radians(self.places[0].lat) if self.places else 0.0
        metres: NDArray[np.float64] = plane * METRES_A_DEGREE * np.array([math.cos(lat), 1.0])
        return metres

    def _around(self, place: Place, reach_m: float) -> list[int]:
        found: list[int] = self._tree.query_ball_point(self._metres([place])[0], reach_m)
        return found

    def _related(self, near: Near, world: World) -> float:
        """Of those within reach, what share is related: those in the wind, or as measured along the pipes."""
        if near.downwind_m == near.reach_m:
            return in_the_wind(near.reach_m)
        share = self._share.get(near)
        if share is None:
            share = self._share[near] = self._measured(near, world)
        return share

    def _measured(self, near: Near, world: World) -> float:
        asked = joined = 0
        for place in self.places[:: max(1, len(self.places) // PLACES)]:
            around = self._around(place, near.reach_m)
            some = around[:: max(1, len(around) // NEIGHBOURS)]
            asked += len(some)
            joined += sum(related(near, self.places[row], place, world) for row in some)
        return joined / max(asked, 1)


@dataclass(slots=True)
class Background:
    """Rates of facts and numbers of speakers, by what a fact says.

    Facts that an incident explains count like the others: else the first false incidents of a storm would hide it.
    """

    speakers: Mapping[str, Speakers]
    _came: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    _near: dict[tuple[str, Near, str, int], float] = field(default_factory=dict)

    def note(self, what: str, id_: str, time_us: int) -> None:
        """A fact has come; one that is known already is not counted again."""
        came = self._came[what]
        at = bisect.bisect_left(came, (time_us, id_))
        if at == len(came) or came[at] != (time_us, id_):
            came.insert(at, (time_us, id_))

    def forget(self, what: str, id_: str, time_us: int) -> None:
        """A fact was taken back."""
        came = self._came[what]
        at = bisect.bisect_left(came, (time_us, id_))
        if at < len(came) and came[at] == (time_us, id_):
            del came[at]

    def forget_before(self, time_us: int) -> None:
        """Nobody will ask about instants before this."""
        for came in self._came.values():
            del came[: bisect.bisect_left(came, (time_us - MEMORY_US, ""))]

    def rate(self, what: str, now_us: int, without: int = 0) -> float:
        """Facts per point and hour up to an instant, some of them left out."""
        points = self.everywhere(what)
        rate = _rate(self._count(what, now_us, MEMORY_US) - without, points, MEMORY_US)
        for span_us in LATELY_US:
            n = self._count(what, now_us, span_us) - without
            if n > 1 and at_least(n, rate * points * span_us / HOUR_US) < TOO_MUCH:
                rate = _rate(n, points, span_us)
        return rate

    def within(self, what: str, near: Near, place: Place, world: World, spread_m: float = 0.0) -> float:
        """How many could say this around a place, or around others as far as `spread_m` (taken to steps)."""
        found = self.speakers.get(what)
        if found is None:
            return 1.0
        steps = math.ceil(spread_m / STEP_M)
        key = (what, near, place.device or f"{place.lon},{place.lat}", steps)
        known = self._near.get(key)
        if known is None:
            known = self._near[key] = found.near(near, place, world, steps * STEP_M)
        return known

    def everywhere(self, what: str) -> float:
        """How many could say this at all; one where nobody knows."""
        return float(len(self.speakers.get(what, ())) or 1)

    def _count(self, what: str, now_us: int, span_us: int) -> int:
        came = self._came[what]
        return bisect.bisect_left(came, (now_us + 1, "")) - bisect.bisect_left(came, (now_us - span_us, ""))


def in_the_wind(reach_m: float) -> float:
    """The share of a circle that lies up or down the wind of its middle (`events.place`): two trapezes."""
    one_way = 2 * SOURCE_M * reach_m + math.tan(DOWNWIND_RAD) * reach_m**2
    return min(1.0, 2 * one_way / (math.pi * reach_m**2))


def _rate(n: int, points: float, span_us: int) -> float:
    return (max(n, 0) / points + USUAL_RATE * USUAL_HOURS) / (span_us / HOUR_US + USUAL_HOURS)


def together(tails: Iterable[float]) -> float:
    """How likely chance alone is to give independent tails whose product is so small (Fisher's combination)."""
    known = [tail for tail in tails if tail < 1.0]
    product = math.prod(known)
    if product <= 0.0 or len(known) < 2:
        return product
    deep = -math.log(product)
    return min(1.0, product * sum(deep**k / math.factorial(k) for k in range(len(known))))


def at_least(n: int, expected: float) -> float:
    """P(N ≥ n) of a Poisson count: the regularised lower gamma function."""
    from scipy.special import gammainc  # 0.6 s of import that only the engine's process needs

    if n <= 0:
        return 1.0
    return float(gammainc(n, expected)) if expected > 0 else 0.0


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
