"""Chance: how often what came together comes together for no reason, learned from the facts alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, poisson

from core.clock import HOUR_US, MINUTE_US, SECOND_US
from events.background import (
    MEMORY_US,
    USUAL_HOURS,
    USUAL_RATE,
    Background,
    Nearby,
    Speakers,
    at_least,
    in_order,
    in_the_wind,
    together,
)
from events.correlate import Correlator
from events.facts import Fact
from events.place import NOWHERE, Place, World, related
from events.types import IncidentType, Kind, Near
from tests.events.test_correlate import TYPES, groups
from tests.events.world import NOON_US

SIDE = 40  # loggers a side of the city, 200 m apart
EAST = 200 / (111_320 * math.cos(math.radians(31.24)))
NORTH = 200 / 111_320


def place(number: int) -> Place:
    row, column = divmod(number, SIDE)
    return Place(121.4 + column * EAST, 31.2 + row * NORTH, f"p{number}", zone=f"Z{row // 8}-{column // 8}")


CITY = [place(number) for number in range(SIDE * SIDE)]
SPEAKERS = {"ws.pressure.drop": Speakers(CITY)}


def drop(name: str, number: int, second: float) -> Fact:
    where = CITY[number]
    at_us = NOON_US + round(second * SECOND_US)
    return Fact(name, "ws.pressure.drop", where, at_us, at_us + 600 * SECOND_US, speaker=where.device)


def noise(rng: np.random.Generator, per_hour: float, hours: float) -> list[Fact]:
    n = int(rng.poisson(per_hour * hours))
    times, who = np.sort(rng.uniform(0, hours * 3600, n)), rng.integers(0, len(CITY), n)
    return [drop(f"n{row}", int(who[row]), float(times[row])) for row in range(n)]


def burst(minute: float, at: int) -> list[Fact]:
    """A pressure drop that eight loggers around one see within three minutes."""
    around = [at, at + 1, at - 1, at + SIDE, at - SIDE, at + SIDE + 1, at + SIDE - 1, at + 2]
    return [drop(f"b{n}", number, minute * 60 + 25 * n) for n, number in enumerate(around)]


# -- the arithmetic --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "expected"), [(0, 0.3), (1, 0.0), (1, 0.02), (4, 0.5), (30, 12.0), (200, 150.0)]
)
def test_the_tail_of_a_count_is_that_of_poisson(n: int, expected: float) -> None:
    assert at_least(n, expected) == pytest.approx(float(poisson.sf(n - 1, expected)), rel=1e-6, abs=1e-30)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_chance_gives_each_order_as_often_as_counting_all_orders_says(n: int) -> None:
    every = list(itertools.permutations(range(n)))
    for order in every:
        mine = kendalltau(range(n), order).statistic
        share = sum(kendalltau(range(n), other).statistic >= mine - 1e-9 for other in every) / len(every)
        assert in_order(list(range(n)), list(order)) == pytest.approx(share)


def test_an_order_of_many_is_judged_about_as_one_of_few() -> None:
    assert in_order(range(12), range(12)) < 1e-7
    assert in_order(range(30), range(30)) < 1e-7
    assert in_order(range(30), list(reversed(range(30)))) > 0.999


def test_independent_tails_are_combined_so_that_chance_keeps_its_level() -> None:
    rng = np.random.default_rng(1)
    combined = np.array([together(tails) for tails in rng.uniform(size=(4000, 3)).tolist()])
    assert np.mean(combined < 0.05) == pytest.approx(0.05, abs=0.012)
    assert together([1.0, 0.2]) == 0.2
    assert together([0.0, 0.5]) == 0.0


# -- who could speak -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "near", [Near(within_m=500), Near(same=("zone",)), Near(same=("zone",), within_m=900)]
)
def test_speakers_around_a_place_are_counted(near: Near) -> None:
    found = Nearby(Speakers(CITY), near, NOWHERE).around(CITY[820])
    exact = sum(related(near, other, CITY[820]) for other in CITY)
    assert exact * 0.75 <= found <= exact


def test_speakers_in_the_wind_are_as_many_as_the_strip_takes() -> None:
    near = Near(downwind_m=2000)
    world = World(wind=lambda *_: 0.4)
    exact = sum(related(near, other, CITY[820], world) for other in CITY)
    assert Nearby(Speakers(CITY), near, world).around(CITY[820]) == pytest.approx(exact, rel=0.25)
    assert in_the_wind(10.0) == 1.0


def test_speakers_along_pipes_are_measured() -> None:
    class Rows:
        """A pipe along each row."""

        def along_m(self, one: str, other: str) -> float | None:
            return 200.0 * abs(int(one) - int(other)) if int(one) // SIDE == int(other) // SIDE else None

        def downstream_m(self, upper: str, lower: str) -> float | None:
            return self.along_m(upper, lower) if int(upper) < int(lower) else None

    piped = [Place(p.lon, p.lat, p.device, asset=str(n)) for n, p in enumerate(CITY)]
    near, world = Near(along_m=1000), World(Rows())
    exact = sum(related(near, other, piped[820], world) for other in piped)
    assert exact == 9
    found = Nearby(Speakers(piped), near, world).around(piped[820])
    assert found == pytest.approx(exact, rel=0.5)


# -- rates -----------------------------------------------------------------------------------------------------


def test_a_rate_is_that_of_the_last_hours_and_rises_within_minutes() -> None:
    background = Background(SPEAKERS)
    (crowd,) = background.crowds(["ws.pressure.drop"], Near(within_m=500), NOWHERE, [])
    quiet = background.rates(crowd, NOON_US)
    assert quiet < USUAL_RATE
    for n in range(400):  # 1 600 an hour: one per point and hour
        background.note("ws.pressure.drop", f"{n}", NOON_US + round(n * 2.25 * SECOND_US))
    assert background.rates(crowd, NOON_US + 15 * MINUTE_US) == pytest.approx(0.5, rel=0.2)
    assert background.rates(crowd, NOON_US + 7 * HOUR_US) == quiet


def test_a_fact_counts_once_and_one_that_is_taken_back_not_at_all() -> None:
    background = Background(SPEAKERS)
    (crowd,) = background.crowds(["ws.pressure.drop"], Near(within_m=500), NOWHERE, [])
    for _ in range(3):
        background.note("ws.pressure.drop", "a", NOON_US)
    once = background.rates(crowd, NOON_US)
    assert once == pytest.approx((1 / len(CITY) + USUAL_RATE * USUAL_HOURS) / (MEMORY_US / HOUR_US + 0.25))
    assert background.rates(crowd, NOON_US, {"ws.pressure.drop": 1}) < once
    background.forget("ws.pressure.drop", "a", NOON_US)
    assert background.rates(crowd, NOON_US) < once
    background.note("ws.pressure.drop", "b", NOON_US)
    background.forget_before(NOON_US + MEMORY_US + 1)
    assert background.rates(crowd, NOON_US) < once


# -- what follows ----------------------------------------------------------------------------------------------


def opened(
    facts: Sequence[Fact], types: Sequence[Kind] = TYPES, *, knows: bool = True
) -> list[frozenset[str]]:
    """What becomes an incident, offline."""
    from events.offline import correlate

    made = Correlator(types, background=Background({"ws.pressure.drop": Speakers(CITY)} if knows else {}))
    return [found.facts for found in correlate(made, facts)]


def test_two_drops_are_an_incident_in_a_quiet_city() -> None:
    assert opened([drop("a", 820, 0), drop("b", 821, 60)]) == [frozenset("ab")]


def test_a_storm_of_nuisance_alarms_is_no_incident_and_hides_none() -> None:
    storm = noise(np.random.default_rng(3), per_hour=300, hours=2)
    assert max(len(members) for members in opened(storm, knows=False)) > 100
    real = burst(80, 820)
    facts = sorted([*storm, *real], key=lambda fact: fact.onset_us)
    found = opened(facts)
    hit = [members for members in found if len(members & {fact.id for fact in real}) >= 6]
    assert len(hit) == 1
    assert len(hit[0]) <= 2 * len(real)
    assert len(found) <= 4


def test_evidence_that_opens_a_type_by_itself_is_believed_whatever_chance_says() -> None:
    sure = IncidentType.model_validate(
        {
            "key": "sure", "lead": "water", "open": 4,
            "together": {"near": {"within_m": 500}, "lag": "10m"},
            "evidence": [
                {"key": "pressure", "rules": ["ws.pressure.*"], "anchor": True, "weight": {"first": 4}}
            ],
        }
    )  # fmt: skip
    storm = noise(np.random.default_rng(3), per_hour=1200, hours=0.5)
    assert {id_ for found in opened(storm, [Kind("test", sure)]) for id_ in found} == {f.id for f in storm}


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_facts_shuffled_within_the_watermark_make_the_same_groups(seed: int) -> None:
    rng = np.random.default_rng(seed)
    facts = sorted([*noise(rng, 300, 1.5), *burst(70, 820)], key=lambda fact: fact.onset_us)
    late = np.array([fact.onset_us for fact in facts]) + rng.uniform(0, 9.9 * MINUTE_US, len(facts))
    made = []
    for order in (range(len(facts)), np.argsort(late).tolist()):
        correlator = Correlator(TYPES, background=Background(SPEAKERS))
        for row in order:
            correlator.add(facts[row])
        made.append(groups(correlator))
    assert made[0] == made[1]
