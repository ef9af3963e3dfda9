"""`cityops score dispatch`: late arrivals when crews wait where coverage says, against return to their own base.

The city of the simulated baseline in the project's research notes: 10 km × 10 km, 10 crews at 10 bases, 14 calls an
hour, late after 8 minutes; turn-out time, speed and time on scene are set so that return-to-base comes out as it did
there (mean 485 s, 90 % within 798 s, 43 % late). Same calls, crews and speeds for every policy and seed.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dispatch import cover
from dispatch.assign import HYSTERESIS_S
from dispatch.cover import Coverage

Floats = NDArray[np.float64]

SIDE_M = 10_000.0
CELLS = 20
CREWS = 10
CALLS_PER_HOUR = 14.0
DAYS = 4
SEEDS = 6
LATE_S = 480.0
TURN_OUT_S = 120.0
SPEED_M_S = 27.4 / 3.6
ON_SCENE_S = 600.0
#: Part of the calls that come from anywhere; the rest from around three centres (x, y, spread in m, share).
ANYWHERE = 0.35
CENTRES = ((5000.0, 5000.0, 1800.0, 0.35), (2500.0, 7500.0, 1000.0, 0.15), (7800.0, 3000.0, 1000.0, 0.15))
#: Standing places (预置点) beside the bases: a square of so many a side. 0: crews wait at bases only.
POSTS = 4
#: Share of time that a crew is busy, as the coverage reckons with it.
BUSY = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class City:
    """Where calls come from (cells with their share), where crews live, and where they may wait."""

    cells: Floats
    demand: Floats
    bases: Floats
    posts: Floats

    @property
    def places(self) -> Floats:
        """Standing places: the bases first."""
        return np.vstack([self.bases, self.posts])


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """Calls in order of time: seconds, places, seconds on scene."""

    at_s: Floats
    place: Floats
    scene_s: Floats


def make_city(seed: int, posts: int) -> City:
    middle = (np.arange(CELLS) + 0.5) * SIDE_M / CELLS
    cells = np.array([(x, y) for x in middle for y in middle])
    demand = np.full(len(cells), ANYWHERE / len(cells))
    for x, y, spread, share in CENTRES:
        bell = np.exp(-((cells - (x, y)) ** 2).sum(axis=1) / (2 * spread**2))
        demand += share * bell / bell.sum()
    bases = np.random.default_rng(77 + seed).uniform(500, SIDE_M - 500, (CREWS, 2))
    grid = (np.arange(posts) + 0.5) * SIDE_M / max(posts, 1)
    standing = np.array([(x, y) for x in grid for y in grid]).reshape(-1, 2)
    return City(cells, demand / demand.sum(), bases, standing)


def make_calls(seed: int, city: City, days: int) -> Calls:
    rng = np.random.default_rng(1000 + seed)
    n = int(rng.poisson(CALLS_PER_HOUR * days * 24))
    at_s = np.sort(rng.uniform(0, days * 86_400, n))
    half = SIDE_M / CELLS / 2
    place = city.cells[rng.choice(len(city.cells), n, p=city.demand)] + rng.uniform(-half, half, (n, 2))
    return Calls(at_s, place, rng.gamma(4.0, ON_SCENE_S / 4.0, n))


def seconds(here: Floats, there: Floats) -> Floats:
    """Driving time along streets that run east–west and north–south."""
    return np.asarray(np.abs(here - there).sum(axis=-1) / SPEED_M_S)


class Fleet:
    """Where every crew is at any moment: on its way from `start` to `goal` since `left_s`, first east–west."""

    def __init__(self, bases: Floats) -> None:
        self.start = bases.copy()
        self.goal = bases.copy()
        self.left_s = np.zeros(len(bases))
        self.driven_m = 0.0

    def _gone_m(self, now_s: float) -> Floats:
        whole = np.abs(self.goal - self.start).sum(axis=1)
        return np.asarray(np.minimum(np.maximum(now_s - self.left_s, 0.0) * SPEED_M_S, whole))

    def where(self, now_s: float) -> Floats:
        way = self.goal - self.start
        gone = self._gone_m(now_s)
        across = np.minimum(gone, np.abs(way[:, 0]))
        return np.asarray(self.start + np.sign(way) * np.stack([across, gone - across], axis=1))

    def go(self, crew: int, place: Floats, now_s: float, after_s: float = 0.0) -> float:
        """Turn to a place, leaving `after_s` from now; the time of arrival."""
        self.driven_m += float(self._gone_m(now_s)[crew])
        self.start[crew] = self.where(now_s)[crew]
        self.goal[crew], self.left_s[crew] = place, now_s + after_s
        return now_s + after_s + float(seconds(self.start[crew], place))

    def finish(self) -> float:
        """Metres driven once everybody has arrived."""
        return self.driven_m + float(self._gone_m(np.inf).sum())


@dataclass(slots=True)
class Run:
    """One run of one policy. `coverage` None: every crew returns to its own base."""

    city: City
    calls: Calls
    coverage: Coverage | None
    fleet: Fleet = field(init=False)
    home: NDArray[np.intp] = field(init=False)
    call_of: list[int] = field(init=False)
    under_way: NDArray[np.bool_] = field(init=False)
    eta_s: Floats = field(init=False)
    version: list[int] = field(init=False)
    arrived_s: Floats = field(init=False)
    waiting: list[int] = field(default_factory=list)
    events: list[tuple[float, int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        crews = len(self.city.bases)
        self.fleet = Fleet(self.city.bases)
        self.home = np.arange(crews)
        self.call_of = [-1] * crews
        self.under_way = np.zeros(crews, bool)
        self.eta_s = np.zeros(crews)
        self.version = [0] * crews
        self.arrived_s = np.full(len(self.calls.at_s), np.nan)

    def play(self) -> tuple[Floats, float]:
        """Response times in seconds, and kilometres driven."""
        self.events = [(float(at), 0, call, 0) for call, at in enumerate(self.calls.at_s)]
        heapq.heapify(self.events)
        handlers = (self._called, self._arrived, self._done)
        while self.events:
            now_s, kind, subject, version = heapq.heappop(self.events)
            if kind == 0 or self.version[subject] == version:
                handlers[kind](subject, now_s)
        return self.arrived_s - self.calls.at_s, self.fleet.finish() / 1000

    def _free(self) -> NDArray[np.intp]:
        return np.flatnonzero([call < 0 for call in self.call_of])

    def _called(self, call: int, now_s: float) -> None:
        free = self._free()
        if not len(free):
            self.waiting.append(call)
            return
        travel_s = seconds(self.fleet.where(now_s)[free], self.calls.place[call])
        if self.coverage is None:
            chosen = int(np.argmin(travel_s))
        else:
            losses = self.coverage.losses(self.home[free])
            chosen = cover.whom_to_send(travel_s, losses, LATE_S - TURN_OUT_S)
        self._send(int(free[chosen]), call, now_s)
        self._rearrange(now_s)

    def _send(self, crew: int, call: int, now_s: float) -> None:
        self.call_of[crew], self.under_way[crew] = call, True
        self.version[crew] += 1
        self.eta_s[crew] = self.fleet.go(crew, self.calls.place[call], now_s, TURN_OUT_S)
        heapq.heappush(self.events, (float(self.eta_s[crew]), 1, crew, self.version[crew]))

    def _arrived(self, crew: int, now_s: float) -> None:
        call = self.call_of[crew]
        self.arrived_s[call], self.under_way[crew] = now_s, False
        done_s = now_s + float(self.calls.scene_s[call])
        heapq.heappush(self.events, (done_s, 2, crew, self.version[crew]))

    def _done(self, crew: int, now_s: float) -> None:
        if self.waiting:
            self._send(crew, self.waiting.pop(0), now_s)
            return
        self._release(crew, now_s)
        if self.coverage is not None:
            self._take_over(now_s)
        self._rearrange(now_s)

    def _release(self, crew: int, now_s: float) -> None:
        """Free again: to its own base, or to where it covers most."""
        self.call_of[crew] = -1
        others = self._free()
        others = others[others != crew]
        self.home[crew] = crew
        if self.coverage is not None:
            travel_s = seconds(self.fleet.where(now_s)[crew], self.city.places)
            self.home[crew] = cover.where_to_wait(self.coverage, self.home[others], travel_s)
        self.fleet.go(crew, self.city.places[self.home[crew]], now_s)

    def _rearrange(self, now_s: float) -> None:
        """At most one free crew moves to a better place."""
        free = self._free()
        if self.coverage is None or not len(free):
            return
        travel_s = seconds(self.fleet.where(now_s)[free][:, None], self.city.places[None])
        move = cover.best_move(self.coverage, self.home[free], travel_s)
        if move is not None:
            crew = int(free[move.crew])
            self.home[crew] = move.place
            self.fleet.go(crew, self.city.places[move.place], now_s)

    def _take_over(self, now_s: float) -> None:
        """A free crew takes over a call when that saves more than the hysteresis."""
        while True:
            free, driving = self._free(), np.flatnonzero(self.under_way)
            if not len(free) or not len(driving):
                return
            here = self.fleet.where(now_s)[free]
            targets = self.calls.place[[self.call_of[crew] for crew in driving]]
            saved = (self.eta_s[driving] - now_s - TURN_OUT_S)[:, None] - seconds(
                here[None], targets[:, None]
            )
            row, column = np.unravel_index(int(np.argmax(saved)), saved.shape)
            if saved[row, column] <= HYSTERESIS_S:
                return
            relieved, taker = int(driving[row]), int(free[column])
            call = self.call_of[relieved]
            self.under_way[relieved] = False
            self.version[relieved] += 1
            self._send(taker, call, now_s)
            self._release(relieved, now_s)


def coverage_of(city: City) -> Coverage:
    reach = seconds(city.places[:, None], city.cells[None]) <= LATE_S - TURN_OUT_S
    return Coverage(reach.astype(np.float64), city.demand, BUSY)


@dataclass(frozen=True, slots=True)
class Result:
    """Over all seeds. Response times in seconds from call to arrival."""

    calls: int
    mean_s: float
    p90_s: float
    late_share: float
    km: float


def play(seeds: Sequence[int], days: int, *, posts: int | None) -> Result:
    """All seeds under one policy; `posts` None: return to base."""
    response: list[Floats] = []
    km = 0.0
    for seed in seeds:
        city = make_city(seed, posts or 0)
        calls = make_calls(seed, city, days)
        times, driven = Run(city, calls, None if posts is None else coverage_of(city)).play()
        response.append(times)
        km += driven
    every = np.concatenate(response)
    late = float((every > LATE_S).mean())
    return Result(len(every), float(every.mean()), float(np.percentile(every, 90)), late, km)


def score(seed: int = 0, days: int = DAYS, seeds: int = SEEDS) -> dict[str, float]:
    """The figures of `cityops score dispatch`; `seed` is the first of the seeds."""
    chosen = range(seed, seed + seeds)
    static = play(chosen, days, posts=None)
    bases = play(chosen, days, posts=0)
    posts = play(chosen, days, posts=POSTS)
    return {
        "late_share": posts.late_share,
        "late_share_static": static.late_share,
        "km_ratio": posts.km / static.km,
        "late_share_bases_only": bases.late_share,
        "km_ratio_bases_only": bases.km / static.km,
        "mean_s": posts.mean_s,
        "mean_s_static": static.mean_s,
        "p90_s": posts.p90_s,
        "p90_s_static": static.p90_s,
        "calls": float(static.calls),
    }
