"""What every family of detectors promises, and what each of them finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import MINUTE_US, SECOND_US
from events.detectors import Detector, Findings, Finds, Floats, Ints, Times, merged
from events.detectors.build import build
from events.detectors.families import Sliding
from events.rules import RuleDecl
from iot.registry import Registry
from tests.events.world import CITY, NOON_US, device, minutes, registry, rule, rules

LOW = rule(
    "low", ["logger"], channel="pressure", unit="MPa",
    on={"below": 0.14, "for": "5m", "min_samples": 2}, off={"at_least": 0.16, "for": "3m"},
)  # fmt: skip
LOWER = rule(
    "lower", ["logger"], channel="pressure", unit="MPa", level=2,
    on={"below": 0.10}, off={"at_least": 0.12, "min_samples": 2},
)  # fmt: skip
DROP = rule(
    "drop", ["logger"], channel="pressure", unit="MPa", detector="fall", window="5m", latch="24h",
    on={"at_least": 0.05, "min_samples": 2}, off={"below": 0.02, "for": "3m"},
)  # fmt: skip
RISE = rule(
    "rise", ["logger"], channel="pressure", unit="MPa", detector="rise", window="10m",
    on={"at_least": 0.05}, off={"below": 0.02},
)  # fmt: skip
OFTEN = rule(
    "often", ["logger"], channel="pressure", unit="count", detector="count", window="20m", each={"above": 0.3},
    on={"at_least": 3}, off={"at_most": 0},
)  # fmt: skip
MEAN = rule(
    "mean", ["logger"], channel="pressure", unit="MPa", detector="mean", window="5m",
    on={"above": 0.25}, off={"at_most": 0.2},
)  # fmt: skip
NIGHT = rule(
    "night", ["noise"], channel="laeq", unit="dB", detector="leq", window="20m",
    schedule={"from": "22:00", "to": "06:00"}, on={"above": 55}, off={"at_most": 53},
)  # fmt: skip
WET = rule(
    "wet", ["logger"], channel="pressure", unit="MPa", detector="sum", window="20m",
    on={"at_least": 1.0}, off={"below": 0.6},
)  # fmt: skip
STUCK = rule(
    "stuck", ["logger"], channel="pressure", unit="count", detector="stuck",
    on={"at_least": 12}, off={"at_most": 1},
)  # fmt: skip
DRIFT = rule(
    "drift", ["logger"], channel="pressure", unit="sigma", detector="drift",
    on={"at_least": 12}, off={"at_most": 1},
)  # fmt: skip
NOVEL = rule(
    "novel", ["logger"], channel="pressure", unit="score", detector="novelty",
    on={"at_least": 3.5}, off={"below": 1, "min_samples": 100},
)  # fmt: skip
FIRE = rule(
    "fire", ["detector"], channel="alarm", on={"equals": 1, "for": "10s"}, off={"equals": 0, "for": "30s"}
)

BALANCE = rule(
    "balance", ["logger"], channel="pressure", unit="MPa", detector="balance", group="zone", window="3m",
    on={"at_least": 0.3, "min_samples": 2}, off={"below": 0.2},
)  # fmt: skip
APART = rule(
    "apart", ["logger"], channel="pressure", unit="MPa", detector="apart", group="city", window="3m", wait="30s",
    on={"at_least": 0.1}, off={"below": 0.05},
)  # fmt: skip

FAMILIES: dict[str, RuleDecl] = {
    "threshold": LOW, "lower": LOWER, "fall": DROP, "rise": RISE, "count": OFTEN, "sum": WET, "mean": MEAN,
    "stuck": STUCK, "drift": DRIFT, "novelty": NOVEL, "balance": BALANCE, "apart": APART,
}  # fmt: skip
#: The third takes out of the district of the first two what it brings into that of its own and of the fourth.
CITYWIDE = registry(
    [
        device(1, "logger", zone="A"), device(2, "logger", zone="A"),
        device(3, "logger", zone="B", params={"leaves": "A"}), device(4, "logger", zone="B"),
        device(5, "logger", zone="C"),
    ]
)  # fmt: skip
POINTS = CITYWIDE.size


def detectors(decl: RuleDecl, reg: Registry = CITYWIDE) -> list[Detector]:
    return build(rules(decl), reg, CITY)


def run(
    decl: RuleDecl, samples: dict[float, float], reg: Registry = CITYWIDE
) -> list[tuple[str, float, float]]:
    """(what, seconds when decided, seconds of onset) of samples of the first point."""
    (detector,) = detectors(decl, reg)
    times = np.array([NOON_US + round(at * SECOND_US) for at in samples], np.int64)
    found = detector.observe(np.zeros(len(times), np.int32), times, np.array(list(samples.values())))
    return told(found)


def told(found: Findings) -> list[tuple[str, float, float]]:
    return [
        (
            Finds(row["kind"]).name,
            (row["time_us"] - NOON_US) / SECOND_US,
            (row["onset_us"] - NOON_US) / SECOND_US,
        )
        for row in found
    ]


# -- the contract of every family ----------------------------------------------------------------------------

Trace = list[tuple[int, int, float]]

traces = st.lists(
    st.tuples(
        st.integers(0, POINTS - 1),
        st.integers(1, 6),
        st.sampled_from([0.05, 0.11, 0.13, 0.15, 0.17, 0.22, 0.31, 0.32]),
    ),
    max_size=80,
)


def columns(trace: Trace) -> tuple[Any, Any, Any]:
    """(point, half-minutes since the point's last, value) → columns sorted by (point, time)."""
    clock = dict.fromkeys(range(POINTS), NOON_US)
    rows = []
    for point, wait, value in trace:
        clock[point] += wait * MINUTE_US // 2
        rows.append((point, clock[point], value))
    rows.sort()
    return (
        np.array([row[0] for row in rows], np.int32),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.float64),
    )


@given(trace=traces)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize(("decl", "way"), [(RISE, 1.0), (DROP, -1.0)], ids=["rise", "fall"])
def test_a_rise_or_fall_is_that_of_a_plain_recomputation_of_its_window(
    decl: RuleDecl, way: float, trace: Trace
) -> None:
    """Of the quick way out, too: signals are compared at every reading, whether or not something began."""
    (detector,) = build(rules(decl.model_copy(update={"latch": 0.0})), CITYWIDE, CITY)
    assert isinstance(detector, Sliding)
    seen: list[tuple[int, float]] = []
    decide = detector.hold.step

    def step(w: Ints, time_us: Times, signal: Floats) -> Findings:
        seen.extend(zip(time_us.tolist(), signal.tolist(), strict=True))
        return decide(w, time_us, signal)

    detector.hold.step = step  # type: ignore[method-assign, assignment]
    points, times, values = columns([(0, wait, value) for _, wait, value in trace])
    detector.observe(points, times, values)
    span = round((decl.parts[0].window or 0) * SECOND_US) // 8
    told = dict(seen)
    for row, at_us in enumerate(times.tolist()):
        within = [way * v for t, v in zip(times.tolist(), values.tolist(), strict=True) if t <= at_us
                  and t // span > at_us // span - 8]  # fmt: skip
        change = way * values[row] - min(within)
        assert told.get(at_us, change) == pytest.approx(change)
        assert at_us in told or change < 0.05


every_family = pytest.mark.parametrize("decl", FAMILIES.values(), ids=FAMILIES)


@every_family
@settings(max_examples=60, deadline=None)
@given(trace=traces, cuts=st.lists(st.integers(0, 10_000), max_size=4))
def test_any_split_of_the_readings_gives_the_same_findings(
    decl: RuleDecl, trace: Trace, cuts: list[int]
) -> None:
    point, time_us, value = columns(trace)
    whole = detectors(decl)[0].observe(point, time_us, value)
    begins = NOON_US
    (detector,) = detectors(decl)
    parts = []
    for end in [*sorted(NOON_US + cut * MINUTE_US // 100 for cut in cuts), NOON_US + 10**12]:
        rows = (time_us >= begins) & (time_us < end)
        parts.append(detector.observe(point[rows], time_us[rows], value[rows]))
        begins = end
    assert merged(parts).tolist() == whole.tolist()


@every_family
@settings(max_examples=40, deadline=None)
@given(trace=traces, cut=st.integers(0, 10_000))
def test_a_restored_detector_goes_on_as_if_nothing_had_happened(
    decl: RuleDecl, trace: Trace, cut: int
) -> None:
    point, time_us, value = columns(trace)
    early = time_us < NOON_US + cut * MINUTE_US // 100
    one, other = detectors(decl)[0], detectors(decl)[0]
    one.observe(point[early], time_us[early], value[early])
    everybody = np.arange(POINTS, dtype=np.int32)
    other.restore(one.state(everybody))
    again = other.observe(point[~early], time_us[~early], value[~early])
    assert again.tolist() == one.observe(point[~early], time_us[~early], value[~early]).tolist()
    assert other.state(everybody).tobytes() == one.state(everybody).tobytes()


@every_family
@settings(max_examples=20, deadline=None)
@given(trace=traces)
def test_the_columns_given_stay_untouched_and_forgotten_points_begin_anew(
    decl: RuleDecl, trace: Trace
) -> None:
    point, time_us, value = columns(trace)
    before = (point.copy(), time_us.copy(), value.copy())
    (detector,) = detectors(decl)
    first = detector.observe(point, time_us, value)
    assert all((a == b).all() for a, b in zip(before, (point, time_us, value), strict=True))
    detector.forget(np.arange(POINTS, dtype=np.int32))
    assert detector.observe(point, time_us, value).tolist() == first.tolist()


# -- threshold: delays, dead band, samples -------------------------------------------------------------------


def test_it_rises_after_the_on_delay_and_is_dated_at_its_onset() -> None:
    assert run(LOW, minutes([0.2, 0.13, 0.13, 0.13, 0.13, 0.13, 0.13])) == [("RAISE", 360, 60)]


def test_one_good_sample_in_between_begins_the_delay_anew() -> None:
    assert run(LOW, minutes([0.13, 0.13, 0.13, 0.15, 0.13, 0.13, 0.13, 0.13, 0.13])) == []


def test_inside_the_dead_band_it_neither_rises_nor_ends() -> None:
    values = [0.13] * 6 + [0.15] * 10
    assert run(LOW, minutes(values)) == [("RAISE", 300, 0)]


def test_it_ends_after_the_off_delay_only() -> None:
    values = [0.13] * 6 + [0.17, 0.17, 0.15, 0.17, 0.17, 0.17, 0.17]
    assert run(LOW, minutes(values)) == [("RAISE", 300, 0), ("CLEAR", 720, 0)]


def test_a_gap_in_the_data_begins_the_delay_anew() -> None:
    assert run(LOW, {0: 0.13, 60: 0.13, 1200: 0.13, 1260: 0.13}) == []


def test_strict_and_loose_comparisons_differ_at_the_limit() -> None:
    loose = rule("loose", ["logger"], channel="pressure", unit="MPa", on={"at_most": 0.1}, off={"above": 0.1})
    strict = rule(
        "strict", ["logger"], channel="pressure", unit="MPa", on={"below": 0.1}, off={"at_least": 0.1}
    )
    assert run(loose, {0: 0.1}) == [("RAISE", 0, 0)]
    assert run(strict, {0: 0.1}) == []


def test_a_device_brings_its_own_limit_and_one_without_any_is_not_watched() -> None:
    own = rule(
        "own", ["logger"], channel="pressure", unit="MPa",
        on={"above": {"param": "zone_max"}}, off={"at_most": {"param": "zone_max", "offset": -0.03}},
    )  # fmt: skip
    reg = registry([device(1, "logger", params={"zone_max": 0.3}), device(2, "logger")])
    assert run(own, {0: 0.31}, reg) == [("RAISE", 0, 0)]
    (detector,) = detectors(own, reg)
    assert len(detector.observe(np.ones(1, np.int32), np.array([NOON_US]), np.array([9.0]))) == 0


def test_a_point_that_speaks_on_events_rises_when_its_delay_is_over_without_another_word() -> None:
    (detector,) = detectors(FIRE, registry([device(1, "detector")]))
    point = np.zeros(1, np.int32)
    assert len(detector.observe(point, np.array([NOON_US]), np.array([1.0]))) == 0
    assert told(detector.advance(NOON_US + 9 * SECOND_US)) == []
    assert told(detector.advance(NOON_US + 60 * SECOND_US)) == [("RAISE", 10, 0)]
    detector.observe(point, np.array([NOON_US + 70 * SECOND_US]), np.array([0.0]))
    assert told(detector.advance(NOON_US + 300 * SECOND_US)) == [("CLEAR", 100, 0)]


def test_an_overdue_delay_comes_before_the_reading_that_ends_it() -> None:
    (detector,) = detectors(FIRE, registry([device(1, "detector")]))
    times = NOON_US + np.array([0, 20, 100], np.int64) * SECOND_US
    found = detector.observe(np.zeros(3, np.int32), times, np.array([1.0, 0.0, 0.0]))
    assert told(found) == [("RAISE", 10, 0), ("CLEAR", 50, 0)]


# -- sliding windows -----------------------------------------------------------------------------------------


def test_a_fall_within_the_window_is_found_and_stands_until_the_value_is_back() -> None:
    values = [0.30] * 5 + [0.24] * 30 + [0.29] * 5
    assert run(DROP, minutes(values)) == [("RAISE", 360, 300), ("CLEAR", 2280, 300)]


def test_a_slow_fall_is_none() -> None:
    assert run(DROP, minutes([0.30 - 0.002 * step for step in range(60)])) == []


def test_a_level_that_stays_becomes_the_normal_after_the_latch() -> None:
    brief = DROP.model_copy(update={"latch": 1200.0})
    values = [0.30] * 5 + [0.24] * 60
    assert [what for what, *_ in run(brief, minutes(values))] == ["RAISE", "CLEAR"]


def test_a_rise_without_latch_ends_with_its_window() -> None:
    assert [what for what, *_ in run(RISE, minutes([0.2] * 5 + [0.3] * 15))] == ["RAISE", "CLEAR"]


def test_samples_above_a_limit_are_counted_within_the_window() -> None:
    assert run(OFTEN, minutes([0.31, 0.2, 0.31, 0.2, 0.31] + [0.2] * 25)) == [
        ("RAISE", 240, 240),
        ("CLEAR", 1380, 240),
    ]


# -- windows of the clock ------------------------------------------------------------------------------------


def night(values: list[float], begins: str) -> list[tuple[str, float, float]]:
    hour = {"noon": 0, "ten": 10}[begins]
    return run(NIGHT, minutes(values, hour * 3600.0), registry([device(1, "noise")]))


def test_a_noisy_window_of_the_night_counts_and_is_dated_at_its_beginning() -> None:
    assert night([60.0] * 20 + [40.0], "ten") == [("RAISE", 10 * 3600 + 19 * 60, 10 * 3600)]


def test_the_same_noise_by_day_is_none() -> None:
    assert night([60.0] * 60, "noon") == []


def nights(count: int, **schedule: object) -> list[tuple[str, float, float]]:
    """Pressure low in the small hours only; a mean of every hour, three of which make it."""
    low = rule(
        "low_nights", ["logger"], channel="pressure", unit="MPa", detector="mean", window="1h", share=0.05,
        schedule={"from": "02:00", "to": "04:00", **schedule},
        on={"below": 0.2, "min_samples": 3}, off={"at_least": 0.25, "min_samples": 2},
    )  # fmt: skip
    tens = range(count * 24 * 6)
    return run(low, {600.0 * ten: 0.1 if 84 <= ten % 144 < 102 else 0.3 for ten in tens})


def test_a_rule_that_sleeps_by_day_counts_nights() -> None:
    begun = 14 * 3600.0
    assert nights(3, sleeps=True) == [("RAISE", begun + 24 * 3600 + 50 * 60, begun)]
    assert nights(3) == [], "one that does not begins anew every night"


def test_a_window_with_too_few_samples_says_nothing() -> None:
    assert night([60.0] * 8, "ten") == []
    times = {10 * 3600.0 + 60.0 * step: 60.0 for step in (0, 1, 2, 3, 25)}
    assert run(NIGHT, times, registry([device(1, "noise")])) == []


def test_the_mean_of_sound_is_that_of_its_energy() -> None:
    quiet = [40.0] * 18 + [67.0] * 2 + [40.0]  # arithmetic mean 42.7, energy mean 57
    assert [what for what, *_ in night(quiet, "ten")] == ["RAISE"]


# -- stuck ---------------------------------------------------------------------------------------------------


def test_twelve_equal_values_of_a_lively_point_are_found_at_the_first_of_them() -> None:
    lively = [0.2 + 0.001 * (step % 7) for step in range(300)]
    found = run(STUCK, minutes([*lively, *[0.25] * 14, 0.21]))
    assert found == [("RAISE", (300 + 11) * 60, 300 * 60), ("CLEAR", 314 * 60, 300 * 60)]


def test_a_point_that_usually_stands_still_is_never_stuck() -> None:
    assert run(STUCK, minutes([0.2] * 500)) == []
    slow = [0.2 + 0.001 * (step // 40) for step in range(800)]
    assert run(STUCK, minutes(slow)) == []


# -- drift -----------------------------------------------------------------------------------------------------


def noisy(shift: float, *, seed: int = 1, until: int = 900) -> dict[float, float]:
    """Ten hours of a calm pressure, shifted by so many sigmas from the 600th minute on."""
    draw = np.random.default_rng(seed).normal(0.3, 0.002, until)
    draw[600:] += shift * 0.002
    return minutes(draw.tolist())


def test_a_drift_of_one_sigma_is_found_within_the_hour_and_dated_near_its_beginning() -> None:
    (kind, at_s, onset_s), *_ = run(DRIFT, noisy(1.0))
    assert kind == "RAISE"
    assert 600 * 60 < at_s <= 660 * 60
    assert abs(onset_s - 600 * 60) <= 30 * 60


def test_pure_noise_drifts_less_than_once_in_a_hundred_hours() -> None:
    found = [run(DRIFT, noisy(0.0, seed=seed)) for seed in range(10)]  # 150 hours
    assert sum(len(each) > 0 for each in found) <= 1


def test_a_drift_is_over_when_the_point_is_back_and_a_new_level_becomes_the_usual_one() -> None:
    back = noisy(3.0, until=620) | minutes([0.3] * 300, start=620 * 60)
    assert [kind for kind, *_ in run(DRIFT, back)] == ["RAISE", "CLEAR"]
    long = minutes(np.r_[np.full(600, 0.3), np.full(12_000, 0.32)].tolist())
    assert [kind for kind, *_ in run(DRIFT, long)] == ["RAISE", "CLEAR"]


def test_a_single_wild_reading_is_no_drift() -> None:
    samples = noisy(0.0)
    samples[700 * 60.0] = 9.0
    assert run(DRIFT, samples) == []


def test_a_drift_is_the_same_however_the_readings_are_split() -> None:
    samples = noisy(1.0)
    times = np.array([NOON_US + round(at * SECOND_US) for at in samples], np.int64)
    value = np.array(list(samples.values()))
    (whole,), (parts,) = detectors(DRIFT), detectors(DRIFT)
    found = whole.observe(np.zeros(len(times), np.int32), times, value)
    cut = [
        parts.observe(np.zeros(len(rows), np.int32), times[rows], value[rows])
        for rows in np.array_split(np.arange(len(times)), 7)
    ]
    assert merged(cut).tolist() == found.tolist() != []
