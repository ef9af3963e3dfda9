"""Novelty: what it finds, what it learns, and that nothing but a point's own readings decides."""

from __future__ import annotations

import numpy as np
import pytest

from core.clock import MINUTE_US
from events.detectors import Finds, Floats, Ints, Times, novelty
from events.detectors.build import build
from events.detectors.novelty import MUTE, WARM, Novelty
from tests.events.world import CITY, NOON_US, device, registry, rng, rule, rules

RULE = rule(
    "novel", ["logger"], channel="pressure", unit="score", detector="novelty",
    on={"at_least": 6}, off={"below": 1, "min_samples": MUTE},
)  # fmt: skip
POINTS = 3


def detector() -> Novelty:
    (found,) = build(rules(RULE), registry([device(number + 1, "logger") for number in range(POINTS)]), CITY)
    assert isinstance(found, Novelty)
    return found


def found_at(values: Floats) -> list[tuple[str, int]]:
    """(what, which reading) of one point."""
    times = NOON_US + MINUTE_US * np.arange(len(values))
    findings = detector().observe(np.zeros(len(values), np.int32), times, values)
    return [(Finds(row["kind"]).name, int((row["time_us"] - NOON_US) // MINUTE_US)) for row in findings]


def noise(count: int, seed: int = 1) -> Floats:
    return rng(seed).normal(10.0, 1.0, count)


def test_noise_is_usual_and_a_value_far_from_all_others_is_not() -> None:
    values = noise(1000)
    assert found_at(values) == []
    values[700] = 30.0
    assert found_at(values)[0] == ("RAISE", 700)


def test_a_value_that_was_often_there_is_usual_wherever_it_lies() -> None:
    values = noise(2000)
    values[::40] = 30.0
    assert [at for what, at in found_at(values) if what == "RAISE" and at > 500] == []


def test_a_lesser_peak_soon_after_is_the_same_event_and_a_worse_one_is_another() -> None:
    values = noise(1000)
    values[[700, 730]] = 30.0, 25.0
    assert [at for what, at in found_at(values) if what == "RAISE"] == [700]
    signal = signals(np.where(np.arange(1000) == 730, 300.0, values))
    assert (signal[[700, 730]] >= 6).all()
    assert np.flatnonzero(signal[701:730]).size == 0


def test_it_ends_when_nothing_new_was_said_for_a_while() -> None:
    values = noise(1000)
    values[700] = 30.0
    assert [what for what, _ in found_at(values)] == ["RAISE", "CLEAR"]


def test_a_flat_line_that_moves_is_new() -> None:
    assert found_at(np.where(np.arange(600) < 500, 5.0, 5.5))[0] == ("RAISE", 500)


def test_it_says_nothing_before_it_knows_the_point() -> None:
    values = noise(400)
    values[WARM - 20] = 1000.0
    assert [at for _, at in found_at(values) if at < WARM] == []


@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324, 0.0])
def test_no_number_breaks_it(value: float) -> None:
    values = noise(300)
    values[200] = value
    assert np.isfinite(signals(values)).all()


def signals(values: Floats) -> Floats:
    one = detector()
    w = np.zeros(1, np.int32)
    with np.errstate(all="raise", under="ignore"):
        return np.array([one._signal(w, values[[row]].clip(-1e100, 1e100))[0] for row in range(len(values))])


def test_the_weight_of_the_newest_reading_begins_anew_without_a_trace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = noise(500) + np.linspace(0, 5, 500)
    before = signals(values)
    monkeypatch.setattr(novelty, "REBASE", 64)
    assert signals(values) == pytest.approx(before, abs=1e-3)


def columns(count: int) -> tuple[Ints, Times, Floats]:
    """Three points of unlike kinds, with what is rare in each: growing, in steps, far outside."""
    one, two, three = (noise(count, seed) for seed in range(POINTS))
    values = np.concatenate(
        [one + np.arange(count) / 50, np.round(two), np.where(three > 12, 1e4 * three, three)]
    )
    times = np.tile(NOON_US + MINUTE_US * np.arange(count), POINTS)
    return np.repeat(np.arange(POINTS, dtype=np.int32), count), times, values


@pytest.mark.parametrize("cuts", [[1], [47, 48, 49], [100, 250, 251], list(range(0, 400, 7))])
def test_any_split_leaves_the_same_findings_and_the_same_state(cuts: list[int]) -> None:
    point, time_us, value = columns(400)
    whole, split = detector(), detector()
    findings = whole.observe(point, time_us, value).tolist()
    assert findings
    begin, parts = NOON_US, []
    for end in [*(NOON_US + cut * MINUTE_US for cut in cuts), NOON_US + 10**12]:
        rows = (time_us >= begin) & (time_us < end)
        parts += split.observe(point[rows], time_us[rows], value[rows]).tolist()
        begin = end
    assert sorted(parts) == sorted(findings)
    everybody = np.arange(POINTS, dtype=np.int32)
    assert split.state(everybody).tobytes() == whole.state(everybody).tobytes()


@pytest.mark.parametrize("cut", [10, 48, 49, 200])
def test_a_restored_one_goes_on_as_if_nothing_had_happened(cut: int) -> None:
    point, time_us, value = columns(400)
    early = time_us < NOON_US + cut * MINUTE_US
    one, other = detector(), detector()
    everybody = np.arange(POINTS, dtype=np.int32)
    one.observe(point[early], time_us[early], value[early])
    other.restore(one.state(everybody))
    for each in (one, other):
        each.observe(point[~early], time_us[~early], value[~early])
    assert other.state(everybody).tobytes() == one.state(everybody).tobytes()


def test_a_point_takes_less_than_four_kilobytes() -> None:
    assert detector().columns.record.itemsize <= 4096
