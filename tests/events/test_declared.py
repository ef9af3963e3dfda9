"""What the shipped incident types open on, and what they must not."""

from __future__ import annotations

import pytest

from core.clock import DAY_US, MINUTE_US
from events.background import Background
from events.correlate import Correlator
from events.engine import Model
from events.facts import Fact
from events.place import Place
from tests.events.world import NOON_US


def fact(what: str, number: int = 1, *, zone: str = "DMA-07", after_us: int = 0) -> Fact:
    place = Place(121.49 + 0.004 * number, 31.24, f"d{number}", asset=f"a{number}", zone=zone)
    at_us = NOON_US + after_us
    return Fact(f"{what}/{number}", what, place, at_us, speaker=f"d{number}", limit=1.0, peak=2.0)


def opened(model: Model, *facts: Fact) -> set[str]:
    """The types that open when these facts are all there is."""
    correlator = Correlator(model.types.values(), background=Background({}))
    for each in sorted(facts, key=lambda each: each.onset_us):
        correlator.add(each)
    groups = {id(group): group for each in facts for group in correlator.groups_of(each.id)}
    return {group.type for group in groups.values() if correlator.opens(group)}


def test_two_loggers_of_a_zone_that_sag_are_a_leak_and_one_has_drifted(model: Model) -> None:
    one, other = fact("ws.pressure.sag", 1), fact("ws.pressure.sag", 2, after_us=DAY_US)
    assert opened(model, one, other) == {"water_leak"}
    assert opened(model, one) == set()


def test_two_that_sag_in_different_zones_or_weeks_are_no_leak(model: Model) -> None:
    one = fact("ws.pressure.sag", 1)
    assert opened(model, one, fact("ws.pressure.sag", 9, zone="DMA-02")) == set()
    assert opened(model, one, fact("ws.pressure.sag", 2, after_us=7 * DAY_US)) == set()


def test_more_water_by_night_and_a_leak_that_is_heard_are_a_leak(model: Model) -> None:
    night, noise = fact("ws.flow.night", 1), fact("ws.noise.leak", 2, after_us=3600 * 1_000_000)
    assert "water_leak" in opened(model, night, noise)
    assert "water_leak" not in opened(model, night)


def test_a_district_that_takes_far_more_than_usual_has_a_burst_unless_it_is_known_to_leak(
    model: Model,
) -> None:
    burst = fact("ws.balance.burst", 1, after_us=9 * DAY_US)
    assert "water_burst" in opened(model, burst)
    known = fact("ws.balance.night", 2, after_us=DAY_US)
    assert "water_burst" not in opened(model, known, burst)
    assert "water_burst" in opened(model, fact("ws.balance.night", 2, zone="DMA-01", after_us=DAY_US), burst)


def test_a_district_that_takes_more_by_night_leaks_where_a_logger_of_it_sags(model: Model) -> None:
    night, sag = fact("ws.balance.night", 1), fact("ws.pressure.sag", 2, after_us=4 * DAY_US)
    assert "water_leak" in opened(model, night, sag)
    assert opened(model, night) == opened(model, sag) == set()


def test_registered_works_explain_what_looks_like_a_leak(model: Model) -> None:
    sagging = [fact("ws.pressure.sag", 1), fact("ws.pressure.sag", 2)]
    assert opened(model, *sagging, fact("permit.work_order", 1, after_us=-60 * MINUTE_US)) == set()


@pytest.mark.parametrize(
    ("rule", "type_"),
    [
        ("ws.works.stop", "pump_failure"),
        ("ws.pump.stop", "pump_failure"),
        ("dr.pump.all_stop", "drain_pump_failure"),
        ("dr.pump.power", "drain_pump_failure"),
        ("con.dust.lasting", "site_dust"),
    ],
)
def test_a_single_one_of_these_opens_its_type_unless_works_are_registered(
    model: Model, rule: str, type_: str
) -> None:
    assert opened(model, fact(rule)) == {type_}
    if type_ != "site_dust":
        assert opened(model, fact(rule), fact("permit.work_order", after_us=-60 * MINUTE_US)) == set()


def test_a_single_monitor_over_its_limit_for_a_moment_is_no_incident(model: Model) -> None:
    assert opened(model, fact("con.dust.over")) == set()


def test_haze_over_the_city_speaks_against_a_site(model: Model) -> None:
    haze = fact("con.haze", 2, after_us=-60 * MINUTE_US)
    assert opened(model, fact("con.dust.lasting"), haze) == set()
