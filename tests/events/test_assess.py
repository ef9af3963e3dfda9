"""Where the cause lies: among the anchors, against the direction in which it was carried."""

from __future__ import annotations

import pytest

from core.clock import MINUTE_US
from core.text import Texts
from events.assess import Assessment, Assessor
from events.correlate import Correlator
from events.facts import Fact
from events.place import Candidate, Heard, Place, World
from events.sentence import Speech
from events.types import IncidentType, Kind
from tests.events.test_correlate import Line
from tests.events.world import CITY, NOON_US, registry, rules


def kind(cause: str, near: dict[str, object]) -> Kind:
    return Kind(
        "test",
        IncidentType.model_validate(
            {
                "key": "sewer_overflow", "lead": "drains", "open": 2, "cause": cause,
                "falls": ["dr.high"] if cause == "hydraulic" else [],
                "together": {"near": near, "lag": "60m"},
                "evidence": [
                    {"key": "high", "rules": ["dr.high"], "anchor": True, "weight": {"first": 2, "each": 1}}
                ],
            }
        ),
    )  # fmt: skip


def manhole(number: int, minute: float, peak: float = 1.2, lon: float = 121.49) -> Fact:
    place = Place(lon, 31.24, f"d{number}", asset=f"m{number}")
    onset_us = NOON_US + round(minute * MINUTE_US)
    return Fact(f"m{number}", "dr.high", place, onset_us, speaker=f"d{number}", limit=1.0, peak=peak)


def assessed(type_: Kind, facts: list[Fact], world: World) -> Assessment:
    correlator = Correlator([type_], world)
    for fact in facts:
        correlator.add(fact)
    group = next(group for fact in facts for group in correlator.groups_of(fact.id))
    return Assessor(rules(), registry([])).assess(correlator, group)


def causes(type_: Kind, facts: list[Fact], world: World) -> list[tuple[str, float, str]]:
    seen = assessed(type_, facts, world)
    return [
        (str(c["asset"]), float(str(c["probability"])), str(c["why"]["key"]))  # type: ignore[index] # a sentence
        for c in seen.causes
    ]


#: Water stands highest in the middle; it backs up from m5.
BACKED_UP = [manhole(3, 20), manhole(4, 10, peak=2.2), manhole(5, 4, peak=1.3)]
ON_THE_PIPE: dict[str, object] = {"upstream_m": 400, "downstream_m": 400}


def test_a_blockage_lies_at_the_lowest_well_that_stands_high() -> None:
    ranked = causes(kind("lowest", ON_THE_PIPE), BACKED_UP, World(Line()))
    assert [asset for asset, *_ in ranked] == ["m5", "m4", "m3"]
    assert ranked[0][2] == "explain.cause.lowest"
    assert ranked[1][2] == "explain.cause.strongest"
    assert sum(probability for _, probability, _ in ranked) == pytest.approx(1, abs=0.01)


def test_a_discharge_comes_from_the_highest() -> None:
    facts = [manhole(3, 5), manhole(4, 4, peak=1.3), manhole(5, 5)]
    ranked = causes(kind("highest", ON_THE_PIPE), facts, World(Line()))
    assert (ranked[0][0], ranked[0][2]) == ("m3", "explain.cause.highest")


def test_without_a_direction_the_strongest_and_earliest_is_the_cause() -> None:
    ranked = causes(kind("strongest", ON_THE_PIPE), BACKED_UP, World(Line()))
    assert ranked[0][0] == "m4"
    assert {why for *_, why in ranked} == {"explain.cause.strongest"}


def test_the_hydraulic_model_names_pipes_by_what_fell_together() -> None:
    heard: list[tuple[str, Heard]] = []

    def breaks(zone: str, said: Heard) -> list[Candidate]:
        heard.append((zone, said))
        return [Candidate("p7", {"zh": "七", "en": "seven"}, 121.5, 31.2, 0.6)]

    type_ = kind("hydraulic", ON_THE_PIPE)
    late = manhole(5, 24, peak=3.0)  # long after the first: it had not fallen yet
    seen = assessed(type_, [manhole(3, 3), manhole(4, 4, peak=-2.2), late], World(Line(), breaks=breaks))
    assert heard[-1] == ("", Heard({"m3": 1.2, "m4": 2.2}, {}))
    assert (seen.asset, seen.lon, seen.lat) == ("p7", 121.5, 31.2)
    assert seen.causes[0]["name"] == {"zh": "七", "en": "seven"}


def test_without_a_model_the_strongest_place_is_the_cause_as_ever() -> None:
    assert causes(kind("hydraulic", ON_THE_PIPE), BACKED_UP, World(Line()))[0][0] == "m4"


@pytest.mark.parametrize(("to_rad", "site"), [(0.0, "m1"), (3.14159, "m3")])
def test_dust_comes_from_up_the_wind(to_rad: float, site: str) -> None:
    facts = [manhole(n, 2, lon=121.49 + 0.003 * n) for n in (1, 2, 3)]
    world = World(wind=lambda *_: to_rad)
    ranked = causes(kind("upwind", {"downwind_m": 1200}), facts, world)
    assert (ranked[0][0], ranked[0][2]) == (site, "explain.cause.upwind")
    calm = causes(kind("upwind", {"within_m": 1200}), facts, World(wind=lambda *_: None))
    assert {why for *_, why in calm} == {"explain.cause.strongest"}


def test_where_a_plume_can_be_traced_its_site_is_the_cause_though_another_says_more() -> None:
    facts = [manhole(1, 4, peak=1.3, lon=121.493), manhole(2, 2, peak=2.2, lon=121.496)]
    traced = causes(
        kind("upwind", {"within_m": 1200}), facts, World(trace=lambda *_: {"m1": 0.97, "m2": 0.03})
    )
    assert (traced[0][0], traced[0][2]) == ("m1", "explain.cause.traced")
    unknown = causes(
        kind("upwind", {"within_m": 1200}), facts, World(trace=lambda *_: {"m1": 0.2, "m2": 0.01})
    )
    assert (unknown[0][0], unknown[0][2]) == ("m2", "explain.cause.strongest")


def test_every_reason_has_words(texts: Texts) -> None:
    for language in ("zh", "en"):
        for cause in ("strongest", "lowest", "highest", "upwind", "traced"):
            said = Speech(texts, language, CITY.zone).say({"key": f"explain.cause.{cause}", "params": {}})
            assert "⟦" not in said
