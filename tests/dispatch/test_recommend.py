"""Ranking, matching, coverage and travel: who goes, why, and why nobody does."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dispatch import assign, cover, recommend
from dispatch.cover import Coverage
from dispatch.crews import Crew
from dispatch.recommend import Need, Way
from dispatch.travel import Blocked, Impassable, Roads, StraightLine
from gis.city import City, sample_city
from gis.routing import XY
from simulators.sample import places_of
from tests.dispatch.world import BUND, START

PLAIN = Crew(
    id="a", name={"zh": "甲", "en": "A"}, department="water", kind="", skills=frozenset({"pumping"}),
    equipment=frozenset({"pump"}), members=3, area="", depot=BUND, duty="on", duty_since_us=START,
    position=BUND, position_us=START, provenance="real",
)  # fmt: skip
NEED = Need(frozenset({"pumping"}), frozenset({"pump"}), department="water", arrive_s=600.0)
NEAR = Way(120.0, network=True, position_age_s=5.0)


def keys(told: tuple[recommend.Told, ...]) -> set[str]:
    return {str(each["key"]).removeprefix("dispatch.why.") for each in told}


def only(crew: Crew, way: Way = NEAR, need: Need = NEED) -> recommend.Candidate:
    (found,) = recommend.rank(need, [crew], {crew.id: way}, START)
    return found


def test_a_fit_crew_goes_and_the_reasons_say_why() -> None:
    found = only(PLAIN)
    assert found.able
    assert keys(found.reasons) == {"skills", "equipment", "own_department", "travel", "position", "rested"}
    assert found.cost_s == 120.0


@pytest.mark.parametrize(
    ("crew", "way", "why"),
    [
        (replace(PLAIN, duty="off"), NEAR, "off_duty"),
        (replace(PLAIN, duty="rest"), NEAR, "resting"),
        (replace(PLAIN, order="o1"), NEAR, "busy"),
        (PLAIN, Way(None), "no_way"),
    ],
)
def test_who_cannot_go_says_why(crew: Crew, way: Way, why: str) -> None:
    found = only(crew, way)
    assert not found.able
    assert keys(found.barred) == {why}


@pytest.mark.parametrize(
    ("crew", "way", "why"),
    [
        (replace(PLAIN, equipment=frozenset()), NEAR, "equipment_missing"),
        (replace(PLAIN, department="other"), NEAR, "other_department"),
        (replace(PLAIN, orders_this_duty=2), NEAR, "load"),
        (replace(PLAIN, duty_since_us=START - 13 * 3_600_000_000), NEAR, "long_duty"),
        (PLAIN, Way(900.0, network=True, position_age_s=5.0), "too_far"),
        (PLAIN, Way(120.0, network=True), "from_depot"),
    ],
)
def test_what_speaks_against_a_crew_costs_and_is_told(crew: Crew, way: Way, why: str) -> None:
    found = only(crew, way)
    assert found.able
    assert why in keys(found.shortfalls)
    assert found.cost_s >= (way.travel_s or 0.0)


def test_a_crew_with_part_of_the_skills_is_shown_but_cannot_go() -> None:
    need = replace(NEED, skills=frozenset({"pumping", "gas_repair"}))
    assert keys(only(PLAIN, need=need).barred) == {"skills_missing"}
    assert recommend.rank(need, [replace(PLAIN, skills=frozenset({"guard"}))], {}, START) == []


@pytest.mark.parametrize(
    ("crew", "incident", "serves"),
    [
        ("real", "real", True), ("simulated", "real", True), ("real", "simulated", False),
        ("real", "recorded", False), ("simulated", "recorded", True), ("drill", "real", False),
        ("real", "drill", False), ("drill", "drill", True), ("simulated", "drill", False),
    ],
)  # fmt: skip
def test_nobody_real_is_sent_to_what_is_not(crew: str, incident: str, serves: object) -> None:
    assert recommend.may_serve(crew, incident) is serves


def test_the_shortage_counts_only_what_forbids() -> None:
    crews = [replace(PLAIN, id=f"c{n}", duty="off") for n in range(3)] + [replace(PLAIN, id="x", order="o")]
    ranked = recommend.rank(NEED, crews, {crew.id: Way(60.0) for crew in crews}, START)
    assert recommend.best(ranked) is None
    assert recommend.shortage(ranked).reasons == (("dispatch.why.off_duty", 3), ("dispatch.why.busy", 1))


crews = st.builds(
    replace,
    st.just(PLAIN),
    id=st.sampled_from([f"c{n}" for n in range(20)]),
    duty=st.sampled_from(["on", "off", "rest"]),
    order=st.sampled_from(["", "", "o"]),
    orders_this_duty=st.integers(0, 4),
)


@given(st.lists(crews, max_size=12, unique_by=lambda crew: crew.id), st.floats(1, 5000))
def test_the_ranking_never_names_an_off_duty_or_busy_crew_as_able(found: list[Crew], travel_s: float) -> None:
    ranked = recommend.rank(NEED, found, {crew.id: Way(travel_s) for crew in found}, START)
    by_id = {crew.id: crew for crew in found}
    for each in ranked:
        crew = by_id[each.crew]
        assert each.able == (crew.duty == "on" and not crew.order)
    able = [each.able for each in ranked]
    assert able == sorted(able, reverse=True)
    costs = [each.cost_s for each in ranked if each.able]
    assert costs == sorted(costs)


# -- many at once -------------------------------------------------------------------------------------------


def test_matching_is_cheapest_overall_not_greedy() -> None:
    cost = np.array([[1.0, 2.0], [1.0, 100.0]])
    assert assign.match(cost, [2, 2], [-1, -1]).crew_of == (1, 0)


def test_a_crew_under_way_is_not_turned_around_for_a_trifle_but_for_a_real_gain() -> None:
    assert assign.match(np.array([[200.0, 150.0]]), [2], [0]).changed == ()
    assert assign.match(np.array([[200.0, 100.0]]), [2], [0]).crew_of == (1,)


def test_with_too_few_crews_the_important_orders_are_served() -> None:
    cost = np.array([[10.0], [500.0], [10.0]])
    assert assign.match(cost, [3, 1, 2], [-1] * 3).crew_of == (-1, 0, -1)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(0, 8), st.integers(0, 8))
def test_no_crew_is_matched_twice_and_none_that_cannot_go(seed: int, orders: int, n_crews: int) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(1, 1000, (orders, n_crews))
    cost[rng.random(cost.shape) < 0.4] = np.inf
    found = assign.match(cost, rng.integers(1, 5, orders).tolist(), [-1] * orders)
    served = [crew for crew in found.crew_of if crew >= 0]
    assert len(served) == len(set(served))
    assert all(np.isfinite(cost[i, j]) for i, j in enumerate(found.crew_of) if j >= 0)


# -- coverage -----------------------------------------------------------------------------------------------

TWO_TOWNS = Coverage(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), np.array([0.7, 0.3]), 0.3)


def test_a_second_crew_in_one_place_is_worth_less_than_the_first() -> None:
    assert TWO_TOWNS.gains(np.array([], np.intp))[0] == pytest.approx(0.49)
    assert TWO_TOWNS.gains(np.array([0]))[0] == pytest.approx(0.7 * 0.7 * 0.3)
    assert TWO_TOWNS.covered(np.array([0, 1])) == pytest.approx(0.7)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=6))
def test_what_a_leaving_crew_takes_is_what_it_had_added(standing: list[int]) -> None:
    here = np.array(standing)
    for row, loss in enumerate(TWO_TOWNS.losses(here)):
        without = np.delete(here, row)
        assert loss == pytest.approx(TWO_TOWNS.covered(here) - TWO_TOWNS.covered(without))


def test_a_crew_that_covers_nothing_is_advised_to_move_and_a_good_place_is_kept() -> None:
    ways = np.full((2, 3), 300.0)
    ways[[0, 1], [0, 2]] = 0.0
    move = cover.best_move(TWO_TOWNS, np.array([0, 2]), ways)
    assert move is not None
    assert (move.crew, move.place) == (1, 1)
    assert cover.best_move(TWO_TOWNS, np.array([0, 1]), ways) is None


def test_of_two_that_come_in_time_the_one_goes_that_leaves_most_cover() -> None:
    assert cover.whom_to_send(np.array([200.0, 230.0]), np.array([0.3, 0.05]), 400.0) == 1
    assert cover.whom_to_send(np.array([200.0, 600.0]), np.array([0.3, 0.05]), 400.0) == 0


# -- travel -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def town() -> City:
    return sample_city(1)


def test_a_flood_on_the_way_makes_crews_drive_around_it(town: City) -> None:
    west, south, east, north = town.bounds
    origins = [(west + (east - west) * f, south + (north - south) * f) for f in (0.2, 0.5, 0.9)]
    target = (west + (east - west) * 0.35, south + (north - south) * 0.4)
    roads = Roads(lambda: town)
    dry = roads.seconds(origins, target)
    start, end = (tuple(xy) for xy in town.plane.points(np.array([origins[2], target])))
    route = town.router.route(start, end)
    assert route is not None
    ((lon, lat),) = town.plane.lonlats(route.line[len(route.line) // 2][None])
    wet = roads.seconds(origins, target, [Blocked(float(lon), float(lat), 30.0)])
    for before, after in zip(dry, wet, strict=True):
        assert before is not None
        assert after is None or after >= before - 1e-6
    assert dry[2] is not None
    assert wet[2] is None or wet[2] > dry[2] + 0.1
    closed = Impassable(frozenset({*route.edges[2:-2], "a road that is no more"}))
    around = roads.seconds(origins[2:], target, [closed])
    assert around[0] is not None
    assert around[0] > dry[2]
    assert roads.seconds([], target) == []


def test_a_flooded_underpass_is_reached_at_its_edge_from_both_sides(town: City) -> None:
    roads = Roads(lambda: town)
    for underpass in town.of_kind("underpass"):
        lon, lat = flood = town.lonlat(underpass.id)
        blocked = [Blocked(lon, lat, 60.0)]
        crews = [(lon + 0.004, lat + 0.003), (lon - 0.02, lat + 0.01)]
        for dry, wet in zip(roads.seconds(crews, flood), roads.seconds(crews, flood, blocked), strict=True):
            assert dry is not None
            assert wet == pytest.approx(dry, abs=240), "about as long as on a dry day"
        start, end = (tuple(xy) for xy in town.plane.points(np.array([crews[1], flood])))
        way = town.router.route(start, end, roads.closed(blocked))
        assert way is not None
        assert not roads.closed(blocked) & set(way.edges[:-1]), "the way ends where the water begins"


def test_a_flooded_underpass_is_driven_around_by_who_has_to_get_past_it(town: City) -> None:
    flood = town.lonlat(places_of(town).underpasses[0].asset)
    closed = Roads(lambda: town).closed([Blocked(*flood, 60.0)])
    past = 0
    for start, end in _across(town, flood):
        through, around = town.router.route(start, end), town.router.route(start, end, closed)
        assert through is not None
        assert around is not None
        assert not closed & set(around.edges)
        if closed & set(through.edges):
            assert around.seconds > through.seconds
            past += 1
    assert past, "some of these ways led through it"


def _across(town: City, place: tuple[float, float]) -> list[tuple[XY, XY]]:
    """Pairs of places, in metres, that lie 400 m on either side of a place."""
    ((x, y),) = town.plane.points(np.array([place]))
    arms = [(400.0 * math.cos(turn), 400.0 * math.sin(turn)) for turn in np.linspace(0, math.pi, 8)]
    return [((x + east, y + north), (x - east, y - north)) for east, north in arms]


def test_without_roads_the_way_is_an_estimate_that_says_so() -> None:
    (found,) = StraightLine().seconds([(121.49, 31.24)], (121.50, 31.24))
    assert found == pytest.approx(952 * 1.35 / (30 / 3.6), rel=0.01)
    assert not StraightLine.network
