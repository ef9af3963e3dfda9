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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from core.clock import HOUR_US
from events.place import DOWNWIND_RAD, METRES_A_DEGREE, SOURCE_M, Place, World, related
from events.types import Near, Sameness

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

#: What is believed before anything is known: so many facts per point and hour (one in two days), as if seen for
#: so many hours.
USUAL_RATE = 1 / 48
USUAL_HOURS = 0.25
#: Facts count so long.
MEMORY_HOURS = 6.0
MEMORY_US = round(MEMORY_HOURS * HOUR_US)
#: What came in these last spans counts alone when it is too much for the rate over the longer one to be true.
LATELY_HOURS = (1.0, 0.25)
SPANS_US = (MEMORY_US, *(round(hours * HOUR_US) for hours in LATELY_HOURS))
TOO_MUCH = 0.2
#: What is believed of a point before anything is known, in facts.
USUAL = USUAL_RATE * USUAL_HOURS
#: The rate of a kind of fact that never came.
RATE_OF_NOTHING = USUAL / (MEMORY_HOURS + USUAL_HOURS)
Floats = NDArray[np.float64]
NOTHING_OWN: Mapping[str, int] = MappingProxyType({})
#: How many of those around lie along the pipes is measured at so many places, on so many neighbours of each.
PLACES, NEIGHBOURS = 12, 20
#: How far apart the anchors of a group lie is taken in steps of so many metres.
STEP_M = 100.0


class Speakers:
    """Everybody who can say one kind of fact. What is asked is computed once, when it is asked."""

    def __init__(self, places: Iterable[Place]) -> None:
        self.places = tuple(places)
        self._names: dict[Sameness, Counter[str]] = {}
        self._near: dict[Near, Nearby] = {}

    def __len__(self) -> int:
        return len(self.places)

    def near(self, near: Near, world: World, askers: Iterable[Speakers] = ()) -> Nearby:
        """How many of them are near a place; known for as long as we are: a correlator that begins anew counts none."""
        known = self._near.get(near)
        if known is None:
            known = self._near[near] = Nearby(self, near, world)
        known.expect(askers)
        return known

    def named(self, near: Near, place: Place) -> int:
        """How many of them share a name with a place that makes them near."""
        found = 0
        for same in near.same:
            found = max(found, self._by_name(same).get(place.named(same), 0))
        return found

    def within(self, places: Sequence[Place], reach_m: float) -> Floats:
        """How many of them lie within reach of each of some places."""
        at = np.array([self._metres(place) for place in places]).reshape(-1, 2)
        return np.asarray(self._tree.query_ball_point(at, reach_m, return_length=True), np.float64)

    def _by_name(self, same: Sameness) -> Counter[str]:
        known = self._names.get(same)
        if known is None:
            known = Counter(name for place in self.places if (name := place.named(same)))
            self._names[same] = known
        return known

    @functools.cached_property
    def _tree(self) -> cKDTree:
        from scipy.spatial import cKDTree

        return cKDTree([self._metres(place) for place in self.places] or np.empty((0, 2)))

    @functools.cached_property
    def _east_m(self) -> float:
        """Metres of a degree to the east: a plane, good enough to count who is near."""
        return METRES_A_DEGREE * math.cos(math.radians(self.places[0].lat)) if self.places else 0.0

    def _metres(self, place: Place) -> tuple[float, float]:
        return place.lon * self._east_m, place.lat * METRES_A_DEGREE

    def related(self, near: Near, world: World) -> float:
        """Of those within reach of one, what share is related by pipes: measured at some places."""
        asked = joined = 0
        for place in self.places[:: max(1, len(self.places) // PLACES)]:
            around: list[int] = self._tree.query_ball_point(self._metres(place), near.reach_m)
            some = around[:: max(1, len(around) // NEIGHBOURS)]
            asked += len(some)
            joined += sum(related(near, self.places[row], place, world) for row in some)
        return joined / max(asked, 1)


class Nearby:
    """How many of those who can say something are near, as one kind of evidence of a type declares it."""

    def __init__(self, speakers: Speakers, near: Near, world: World) -> None:
        self.speakers = speakers
        self.near = near
        self._world = world
        self._known: dict[tuple[str, int], float] = {}
        #: Those who will ask, and whether they have been counted: all with the first, for a fifth of one by one.
        self._askers: dict[Speakers, bool] = {}

    def expect(self, askers: Iterable[Speakers]) -> None:
        """These will ask how many are near them."""
        for asker in askers:
            self._askers.setdefault(asker, False)

    def around(self, place: Place, spread_m: float = 0.0) -> float:
        """How many are, about, near a place, or near others as far as `spread_m` (taken to steps)."""
        steps = math.ceil(spread_m / STEP_M) if spread_m else 0
        known = self._known.get((place.device, steps))
        if known is None:
            others = () if steps else [each for each, done in self._askers.items() if not done]
            places = [place, *(each for asker in others for each in asker.places)]
            counts = self._count(places, steps * STEP_M)
            known = counts[0]
            self._known |= {
                (each.device, steps): n for each, n in zip(places, counts, strict=True) if each.device
            }
            self._askers |= dict.fromkeys(others, True)
        return known

    def _count(self, places: Sequence[Place], spread_m: float) -> list[float]:
        named = [float(self.speakers.named(self.near, place)) for place in places]
        reach_m = self.near.reach_m
        if not reach_m or not self.speakers:
            return named
        if self.near.within_m == reach_m:
            counts = self.speakers.within(places, reach_m + spread_m)
        else:  # pipes and wind are lines: what lies along them grows with the length
            counts = self.speakers.within(places, reach_m) * self._share * (1 + spread_m / reach_m)
        known: list[float] = np.maximum(counts, named).tolist()
        return known

    @functools.cached_property
    def _share(self) -> float:
        """Of those within reach, what share is related: those in the wind, or as measured along the pipes."""
        if self.near.downwind_m == self.near.reach_m:
            return in_the_wind(self.near.reach_m)
        return self.speakers.related(self.near, self._world)


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """Those who can say one kind of evidence of a type, and so count together: the same speakers, several facts."""

    whats: tuple[str, ...]
    #: How many could say it at all; one where nobody knows.
    points: float
    nearby: Nearby


@dataclass(slots=True)
class _Came:
    """When facts of one kind came, ascending; each counts once."""

    times: list[int] = field(default_factory=list)
    ids: set[tuple[int, str]] = field(default_factory=set)
    #: How many had come over the spans at the instant that was asked last, and the rates that were told of it.
    _at_us: int = -1
    _seen: tuple[int, ...] = ()
    _rates: dict[int, float] = field(default_factory=dict)

    def note(self, id_: str, time_us: int) -> None:
        if (time_us, id_) not in self.ids:
            self.ids.add((time_us, id_))
            bisect.insort(self.times, time_us)
            self._at_us = -1

    def forget(self, id_: str, time_us: int) -> None:
        if (time_us, id_) in self.ids:
            self.ids.remove((time_us, id_))
            del self.times[bisect.bisect_left(self.times, time_us)]
            self._at_us = -1

    def forget_before(self, oldest_us: int) -> None:
        if self.times and self.times[0] < oldest_us:
            del self.times[: bisect.bisect_left(self.times, oldest_us)]
            self.ids = {each for each in self.ids if each[0] >= oldest_us}
            self._at_us = -1

    def rate(self, points: float, now_us: int, without: int) -> float:
        """How many an hour and point came until an instant, but for some: over hours, or lately when that is true."""
        if now_us != self._at_us:
            self._at_us, self._seen, self._rates = now_us, self._count(now_us), {}
        known = self._rates.get(without)
        if known is None:
            known = self._rates[without] = self._rate(points, without)
        return known

    def _rate(self, points: float, without: int) -> float:
        long, *lately = self._seen
        rate = (max(long - without, 0) / points + USUAL) / (MEMORY_HOURS + USUAL_HOURS)
        for seen, hours in zip(lately, LATELY_HOURS, strict=True):
            n = seen - without
            if n > 1 and _too_much(n, rate * points * hours):
                rate = (n / points + USUAL) / (hours + USUAL_HOURS)
        return rate

    def _count(self, now_us: int) -> tuple[int, ...]:
        times = self.times
        end = bisect.bisect_right(times, now_us)
        return tuple([end - bisect.bisect_left(times, now_us - span_us) for span_us in SPANS_US])


@dataclass(slots=True)
class Background:
    """Rates of facts and numbers of speakers, by what a fact says.

    Facts that an incident explains count like the others: else the first false incidents of a storm would hide it.
    """

    speakers: Mapping[str, Speakers]
    _came: dict[str, _Came] = field(default_factory=lambda: defaultdict(_Came))
    #: Rates that were asked of the past, by crowd: the instant, and how many.
    _settled: dict[Crowd, tuple[int, float]] = field(default_factory=dict)
    _settled_us: int = 0

    def note(self, what: str, id_: str, time_us: int) -> None:
        """A fact has come; one that is known already is not counted again."""
        self._came[what].note(id_, time_us)
        if time_us <= self._settled_us:
            self._settled.clear()

    def forget(self, what: str, id_: str, time_us: int) -> None:
        """A fact was taken back."""
        self._came[what].forget(id_, time_us)
        if time_us <= self._settled_us:
            self._settled.clear()

    def forget_before(self, time_us: int) -> None:
        """Nobody will ask about instants before this."""
        for came in self._came.values():
            came.forget_before(time_us - MEMORY_US)

    def rates(self, crowd: Crowd, now_us: int, own: Mapping[str, int] = NOTHING_OWN) -> float:
        """Facts of a crowd per point and hour up to an instant, some of their own left out."""
        found = 0.0
        for what in crowd.whats:
            came = self._came.get(what)
            if came is None or not came.times:
                found += RATE_OF_NOTHING
            else:
                found += came.rate(crowd.points, now_us, own.get(what, 0))
        return found

    def settled(self, crowd: Crowd, then_us: int) -> float:
        """The rate up to an instant of the past, about which many ask."""
        at_us, rate = self._settled.get(crowd, (-1, 0.0))
        if at_us != then_us:
            rate = self.rates(crowd, then_us)
            self._settled[crowd] = then_us, rate
            self._settled_us = max(self._settled_us, then_us)
        return rate

    def crowds(self, whats: Iterable[str], near: Near, world: World, askers: Iterable[str]) -> list[Crowd]:
        """Those known who can say some facts, by who they are; who can say what `askers` are will ask how many."""
        by_speakers: dict[Speakers, list[str]] = defaultdict(list)
        for what in whats:
            by_speakers[self.speakers[what]].append(what)
        asking = {self.speakers[what] for what in askers}
        return [
            Crowd(tuple(told), float(len(who) or 1), who.near(near, world, asking))
            for who, told in by_speakers.items()
        ]


def in_the_wind(reach_m: float) -> float:
    """The share of a circle that lies up or down the wind of its middle (`events.place`): two trapezes."""
    one_way = 2 * SOURCE_M * reach_m + math.tan(DOWNWIND_RAD) * reach_m**2
    return min(1.0, 2 * one_way / (math.pi * reach_m**2))


def _too_much(n: int, expected: float) -> bool:
    """Whether chance reaches such a count less often than `TOO_MUCH`; mostly plain from its deviation."""
    if n <= expected:
        return False
    sigma = math.sqrt(expected)
    if n <= expected + 0.5 * sigma:
        return False
    return n >= expected + 2 * sigma + 1 or at_least(n, expected) < TOO_MUCH


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
    if n <= 0:
        return 1.0
    if n == 1:
        return -math.expm1(-expected)
    return float(_gammainc()(n, expected))


@functools.cache
def _gammainc() -> Callable[[float, float], float]:
    """0.6 s of import that only the engine's process needs."""
    from scipy.special import gammainc

    found: Callable[[float, float], float] = gammainc
    return found


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
