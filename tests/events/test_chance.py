"""What speaks against chance: a front that climbs, and many soon after one another, whoever spoke before them."""

from __future__ import annotations

from dataclasses import replace

from core.clock import MINUTE_US
from events.background import Background, Nearby, Speakers
from events.chance import Chance
from events.correlate import Correlator
from events.facts import Fact
from events.place import NOWHERE, Place, World
from events.roles import cast
from events.types import IncidentType, Kind, Near
from tests.events.test_background import CITY
from tests.events.test_correlate import BLOCKED, Line
from tests.events.world import NOON_US

CLIMBING = BLOCKED.model_copy(update={"together": BLOCKED.together.model_copy(update={"front": "upstream"})})
WELLS = [Place(121.4, 31.2 + n * 100 / 111_320, f"w{n}", f"m{n}") for n in range(40)]


def chance(decl: IncidentType, facts: list[Fact]) -> float:
    """How often chance alone makes the one group that facts would be in a quiet city."""
    world, background = World(Line()), Background({"dr.high": Speakers(WELLS)})
    for n in range(180):  # a storm of nuisance alarms
        background.note("dr.high", f"n{n}", NOON_US - n * 2 * MINUTE_US)
    made = Correlator([Kind("test", decl)], world)
    for fact in facts:
        made.add(fact)
    (group,) = {group for fact in facts for group in made.groups_of(fact.id)}
    return Chance(made.facts, background, world).of(cast(decl, background, world), group)


def high(minute: float, well: int) -> Fact:
    at_us = NOON_US + round(minute * MINUTE_US)
    return Fact(f"{well}@{minute}", "dr.high", WELLS[well], at_us, speaker=f"w{well}")


def test_wells_that_rise_one_after_the_other_up_the_drain_are_less_by_chance_than_down_it() -> None:
    up = [high(5 * n, 20 - n) for n in range(4)]
    down = [high(5 * n, 20 + n) for n in range(4)]
    assert chance(CLIMBING, up) < chance(BLOCKED, up) / 2
    assert chance(CLIMBING, down) == chance(BLOCKED, down)


def test_one_who_spoke_long_before_does_not_hide_those_who_speak_together() -> None:
    together = [high(20 + n / 4, 20 + n) for n in range(4)]
    assert chance(BLOCKED, [high(0, 19), *together]) < 5 * chance(BLOCKED, together)


def test_those_who_will_ask_are_counted_at_once_as_one_by_one() -> None:
    near, everybody = Near(same=("zone",), within_m=450), Speakers(CITY)
    at_once = Nearby(everybody, near, NOWHERE)
    at_once.expect([everybody])
    some = [CITY[0], CITY[820], replace(CITY[5], device="")]
    alone = [Nearby(Speakers(CITY), near, NOWHERE).around(place) for place in some]
    assert [at_once.around(place) for place in some] == alone
