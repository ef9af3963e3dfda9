"""Which facts belong together: near, in time, in any order; and what people decided stays decided."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import MINUTE_US
from events.correlate import Correlator
from events.facts import Fact, Group, Standing
from events.place import NOWHERE, Place, World
from events.types import IncidentType, Kind
from tests.events.world import NOON_US

BURST = IncidentType.model_validate(
    {
        "key": "burst", "lead": "water", "open": 4, "sure": 7,
        "together": {"near": {"same": ["zone"], "within_m": 500}, "lag": "10m"},
        "evidence": [
            {"key": "pressure", "rules": ["ws.pressure.*"], "anchor": True,
             "weight": {"points": 2, "first": 4, "each": 1.5, "cap": 7}},
            {"key": "call", "rules": ["report.no_water"], "near": {"within_m": 800}, "lag": ["-5m", "40m"],
             "weight": {"first": 1.5, "each": 1.5, "cap": 4}},
            {"key": "works", "rules": ["permit.*"], "near": {"same": ["zone"]}, "lag": ["-12h", "10m"],
             "weight": {"first": -5}},
        ],
    }
)  # fmt: skip
BLOCKED = IncidentType.model_validate(
    {
        "key": "blocked", "lead": "drains",
        "together": {"near": {"upstream_m": 300, "downstream_m": 300}, "lag": "60m"},
        "evidence": [
            {"key": "high", "rules": ["dr.high"], "anchor": True, "weight": {"first": 2}},
            {"key": "low", "rules": ["dr.low"], "near": {"downstream_m": 200}, "lag": ["-60m", "60m"],
             "weight": {"first": 4}},
        ],
    }
)  # fmt: skip
TYPES = [Kind("test", BURST), Kind("test", BLOCKED)]


def fact(name: str, minute: float = 0, *, what: str = "ws.pressure.drop", **place: object) -> Fact:
    values = {"lon": 121.49, "lat": 31.24, "device": name, "zone": "A", **place}
    return Fact(name, what, Place(**values), NOON_US + round(minute * MINUTE_US), speaker=name)  # type: ignore[arg-type]


def correlator(*facts: Fact, world: World = NOWHERE) -> Correlator:
    made = Correlator(TYPES, world)
    for each in facts:
        made.add(each)
    return made


def groups(made: Correlator, type_: str = "burst") -> set[frozenset[str]]:
    found = {group for fact_id in made.facts for group in made.groups_of(fact_id) if group.type == type_}
    return {frozenset(group.members) for group in found}


def group_of(made: Correlator, name: str) -> Group:
    (group,) = made.groups_of(name)
    return group


def test_anchors_of_one_zone_group_when_each_follows_the_next_within_the_lag() -> None:
    assert groups(correlator(fact("a", 0), fact("b", 9), fact("c", 18))) == {frozenset("abc")}
    assert groups(correlator(fact("a", 0), fact("c", 18))) == {frozenset("a"), frozenset("c")}


def test_anchors_of_no_zone_group_by_distance() -> None:
    near, far = fact("b", 1, zone="", lon=121.494), fact("c", 1, zone="", lon=121.5)
    assert groups(correlator(fact("a", zone=""), near, far)) == {frozenset("ab"), frozenset("c")}


def test_nobody_knows_is_not_the_same_as_nobody_knows() -> None:
    one, other = fact("a", zone=""), fact("b", zone="", lon=121.6)
    assert groups(correlator(one, other)) == {frozenset("a"), frozenset("b")}


def test_other_evidence_attaches_to_anchors_near_it_before_and_after_them() -> None:
    call = fact("call", 30, what="report.no_water", zone="", device="")
    assert groups(correlator(fact("a"), call)) == {frozenset({"a", "call"})}
    assert groups(correlator(call, fact("a"))) == {frozenset({"a", "call"})}
    late = fact("call", 41, what="report.no_water", zone="", device="")
    assert groups(correlator(fact("a"), late)) == {frozenset("a")}


def test_a_call_between_two_bursts_speaks_for_both_and_joins_them_not() -> None:
    call = fact("call", 3, what="report.no_water", zone="", lon=121.494)
    other = fact("b", 0, zone="B", lon=121.4975)
    assert groups(correlator(fact("a"), other, call)) == {frozenset({"a", "call"}), frozenset({"b", "call"})}


def test_weights_count_speakers_and_stop_at_their_cap() -> None:
    made = correlator(fact("a"), replace(fact("a2"), speaker="a"))
    assert made.score(group_of(made, "a")).total == 0
    for number in range(6):
        made.add(fact(f"b{number}", 1))
    assert made.score(group_of(made, "a")).parts == {"pressure": 7.0}
    made.add(fact("works", -60, what="permit.flushing"))
    assert made.score(group_of(made, "a")).total == 2.0


class Line:
    """Manholes m1 → m2 → m3 …, 100 m apart."""

    @staticmethod
    def downstream_m(upper: str, lower: str) -> float | None:
        metres = 100.0 * (int(lower[1:]) - int(upper[1:]))
        return metres if metres > 0 else None

    def along_m(self, one: str, other: str) -> float | None:
        return self.downstream_m(one, other) or self.downstream_m(other, one)


def test_the_direction_of_flow_decides_what_is_evidence() -> None:
    high = fact("high", what="dr.high", asset="m5", zone="")
    below = fact("below", 5, what="dr.low", asset="m6", zone="")
    above = fact("above", 5, what="dr.low", asset="m4", zone="")
    far = fact("far", 5, what="dr.low", asset="m8", zone="")
    made = correlator(high, below, above, far, world=World(Line()))
    assert groups(made, "blocked") == {frozenset({"high", "below"})}


# -- order, removal, restart ---------------------------------------------------------------------------------

facts = st.lists(
    st.builds(
        lambda number, minute, zone, east, what: fact(
            f"f{number}", minute, what=what, zone=zone, lon=121.49 + east * 0.002
        ),
        st.integers(0, 30),
        st.integers(0, 60),
        st.sampled_from(["A", "B", ""]),
        st.integers(0, 8),
        st.sampled_from(["ws.pressure.drop", "report.no_water", "permit.x"]),
    ),
    max_size=14,
    unique_by=lambda each: each.id,
)


@settings(max_examples=200, deadline=None)
@given(facts=facts, order=st.randoms(use_true_random=False))
def test_the_groups_are_the_same_in_whatever_order_facts_come(facts: list[Fact], order: object) -> None:
    shuffled = list(facts)
    order.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random
    assert groups(correlator(*facts)) == groups(correlator(*shuffled))


@settings(max_examples=200, deadline=None)
@given(facts=facts, gone=st.sets(st.integers(0, 13)))
def test_facts_that_are_taken_back_leave_no_trace(facts: list[Fact], gone: set[int]) -> None:
    made = correlator(*facts)
    for number in gone:
        if number < len(facts):
            made.remove(facts[number].id)
    assert groups(made) == groups(correlator(*(each for n, each in enumerate(facts) if n not in gone)))


def test_the_larger_part_keeps_the_incident_when_a_group_falls_apart() -> None:
    made = correlator(fact("a", 0), fact("b", 9), fact("c", 18), fact("d", 19))
    group_of(made, "a").incident = "I"
    made.remove("b")
    assert {group_of(made, name).incident for name in "cd"} == {"I"}
    assert group_of(made, "a").incident == ""


def test_of_two_incidents_that_turn_out_one_the_larger_takes_the_other_in() -> None:
    made = correlator(fact("a", 0), fact("a2", 1), fact("c", 18))
    group_of(made, "a").incident, group_of(made, "c").incident = "I1", "I2"
    touched = made.add(fact("b", 9))
    (lost,) = [group for group in touched if group.into is not None and group.incident]
    assert lost.incident == "I2"
    assert group_of(made, "c").incident == "I1"


@pytest.mark.parametrize(("pinned", "apart"), [(True, frozenset()), (False, frozenset({"I2"}))])
def test_incidents_that_people_have_taken_up_or_told_apart_are_never_joined_by_ourselves(
    *, pinned: bool, apart: frozenset[str]
) -> None:
    made = Correlator(TYPES)
    made.place(Standing("I1", "burst", pinned, apart), [(fact("a", 0), "pressure")])
    made.place(Standing("I2", "burst", pinned), [(fact("c", 18), "pressure")])
    made.add(fact("b", 9))
    assert {group_of(made, "a").incident, group_of(made, "c").incident} == {"I1", "I2"}


def test_new_evidence_near_a_member_that_still_stands_joins_hours_later() -> None:
    made = correlator(fact("a", 0), fact("b", 5))
    group_of(made, "a").incident = "I"
    made.add(fact("late", 120))
    assert group_of(made, "late").incident == "I"
    for name in ("a", "b", "late"):
        made.end(name, NOON_US + 130 * MINUTE_US)
    made.add(fact("later", 240))
    assert group_of(made, "later").incident == ""


def test_a_closed_incident_leaves_nothing_that_could_open_another() -> None:
    made = correlator(fact("a", 0), fact("b", 5))
    group = group_of(made, "a")
    group.incident = "I"
    made.close(group)
    assert made.facts == {}


def test_thousands_of_alerts_of_one_cause_stay_cheap() -> None:
    made = Correlator(TYPES)
    for number in range(3000):
        made.add(fact(f"f{number}", number / 600))
    assert len(groups(made)) == 1
    assert len(list(itertools.islice(made.facts, 5))) == 5
