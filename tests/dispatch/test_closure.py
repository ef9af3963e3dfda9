"""Sensor-verified closure, judged on readings alone."""

from __future__ import annotations

from core.clock import SECOND_US
from dispatch import closure
from dispatch.closure import SensorCondition
from dispatch.incident import Sample, Series, Standing

NOW_US = 1_790_000_000 * SECOND_US
NEAR_USUAL = SensorCondition.model_validate({"channel": "pressure", "within": 0.03, "hold": "2m"})


def series(*said: tuple[float, float], usual: float | None = 0.30, silent_after_s: float = 60.0) -> Series:
    """Readings as (seconds before now, value)."""
    samples = [Sample(NOW_US - round(ago * SECOND_US), value) for ago, value in said]
    return Series(
        "P1",
        {"zh": "测压点", "en": "Logger"},
        "ws_pressure_logger",
        "pressure",
        "MPa",
        {},
        silent_after_s,
        samples,
        usual,
    )


def test_a_reading_that_broke_its_limit_seconds_ago_refuses_who_says_it_is_fixed() -> None:
    found = closure.objections([NEAR_USUAL], [series((15, 0.30), (5, 0.21))], NOW_US)
    assert [(each.device, each.value, each.limit) for each in found] == [("P1", 0.21, 0.30)]


def test_while_the_case_is_watched_a_short_violation_does_not_object_and_a_long_one_does() -> None:
    blip = series((200, 0.30), (150, 0.21), (100, 0.30), (5, 0.30))
    lasting = series((200, 0.21), (150, 0.21), (70, 0.21), (5, 0.30))
    since = NOW_US - 300 * SECOND_US
    assert closure.objections_within([NEAR_USUAL], [blip], since, NOW_US) == []
    assert len(closure.objections_within([NEAR_USUAL], [lasting], since, NOW_US)) == 1


def test_a_silent_point_cannot_agree() -> None:
    found = closure.objections([NEAR_USUAL], [series((61, 0.30))], NOW_US)
    assert [each.value for each in found] == [None]
    assert closure.objections([NEAR_USUAL], [series()], NOW_US) != []


def test_a_point_whose_usual_value_is_unknown_is_not_watched_by_a_condition_that_needs_it() -> None:
    assert closure.objections([NEAR_USUAL], [series((5, 0.01), usual=None)], NOW_US) == []


def test_a_set_value_of_the_device_replaces_the_number() -> None:
    condition = SensorCondition.model_validate(
        {"channel": "depth", "at_most": 5, "param": "close_depth_cm", "plus": -10}
    )
    wet = Series("U1", {}, "fl_underpass", "depth", "cm", {"close_depth_cm": 25}, 60, [Sample(NOW_US, 14)])
    deep = Series("U1", {}, "fl_underpass", "depth", "cm", {"close_depth_cm": 25}, 60, [Sample(NOW_US, 16)])
    assert closure.objections([condition], [wet], NOW_US) == []
    assert [each.limit for each in closure.objections([condition], [deep], NOW_US)] == [15]


def test_a_point_that_no_condition_judges_objects_while_its_own_alert_stands() -> None:
    stands = [Standing("P1", "pressure", 0.05, 0.14, NOW_US), Standing("Q9", "flow", 90.0, 80.0, NOW_US)]
    unknown = series((5, 0.11), usual=None)
    found = closure.unjudged([NEAR_USUAL], [unknown], [*stands, stands[0]])
    assert [(each.device, each.value, each.comparison, each.limit) for each in found] == [
        ("P1", 0.11, "alert", 0.14), ("Q9", 90.0, "alert", 80.0),
    ]  # fmt: skip
    assert closure.unjudged([NEAR_USUAL], [series((5, 0.30))], stands[:1]) == []
