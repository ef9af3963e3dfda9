"""Words about steps of time and about records of days: each value equals a plain recomputation from the raw data."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from core.batch import Batch, Quality
from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, to_datetime
from dashboard.lately import verdicts
from dashboard.vitals.declare import PointsDecl, RecordsDecl
from dashboard.vitals.flow import Flow
from dashboard.vitals.inputs import chosen
from dashboard.vitals.series import carried, lags_s, night_excess, nights, since_s, steps_above
from dashboard.vitals.window import Windows
from dashboard.vitals.words import Nothing, Records, Series, Unknown, groups
from tests.dashboard import scripted
from tests.dashboard.test_vitals import NOW_US, say

FIVE = 5 * MINUTE_US
MIDNIGHT_US = (NOW_US + 8 * HOUR_US) // DAY_US * DAY_US
REDUCED: dict[str, Callable[[list[float]], float]] = {
    "mean": lambda v: sum(v) / len(v),
    "high": max,
    "total": sum,
}
NUMBERS = st.floats(0, 100, allow_nan=False, width=16)


def matrix(rows: int, columns: int) -> st.SearchStrategy[NDArray[np.float64]]:
    """Values of steps, some of them missing."""
    return arrays.arrays(np.float64, (rows, columns), elements=NUMBERS | st.just(math.nan))


# -- nights -------------------------------------------------------------------------------------------------


@given(matrix(10 * 24, 3), st.integers(0, 23))
def test_the_lowest_hour_of_each_night_is_that_of_the_zone_s_sum(
    steps: NDArray[np.float64], hour: int
) -> None:
    begins = MIDNIGHT_US - 10 * DAY_US + (np.arange(240) + hour) * HOUR_US
    found = nights(begins, steps, np.array([4, 4, -1], np.int32), 2.0, 4.0)
    rows: list[list[float]] = []
    for day in range(MIDNIGHT_US // DAY_US - 10, MIDNIGHT_US // DAY_US + 2):
        dark = [
            row
            for row in range(240)
            if begins[row] in (day * DAY_US + 2 * HOUR_US, day * DAY_US + 3 * HOUR_US)
        ]
        if len(dark) == 2:
            alone = [steps[row, 2] for row in dark if np.isfinite(steps[row, 2])]
            both = [steps[row, 0] + steps[row, 1] for row in dark if np.isfinite(steps[row, :2]).all()]
            rows.append([min(alone, default=math.nan), min(both, default=math.nan)])
    assert found.shape == (len(rows), 2)
    assert np.array_equal(found, np.array(rows).reshape(-1, 2), equal_nan=True)


@given(arrays.arrays(np.float64, (12, 4), elements=st.floats(1, 50)))
def test_excess_is_that_of_last_night_over_the_medians_of_the_nights_before(
    by_night: NDArray[np.float64],
) -> None:
    base = sum(sorted(by_night[:-1, zone])[5] for zone in range(4))
    assert night_excess(by_night) == pytest.approx((by_night[-1].sum() - base) / base)


def test_a_zone_without_a_week_of_nights_has_no_excess() -> None:
    assert math.isnan(night_excess(np.full((7, 1), 3.0)))
    assert night_excess(np.full((8, 1), 3.0)) == 0.0
    with pytest.raises(Unknown):
        hours = MIDNIGHT_US - 8 * HOUR_US - np.arange(48, 0, -1) * HOUR_US
        say("night_excess(q, 2.0, 4.0)", q=Series.over(np.ones((48, 1)), hours))


# -- excesses, ages, spans ------------------------------------------------------------------------------------


@given(matrix(96, 2), matrix(96, 1))
def test_steps_over_the_background_are_counted_from_midnight_on(
    site: NDArray[np.float64], background: NDArray[np.float64]
) -> None:
    begins = MIDNIGHT_US - DAY_US // 2 + np.arange(96) * 15 * MINUTE_US
    count, level = 0, math.nan
    for row in range(96):
        level = background[row, 0] if np.isfinite(background[row, 0]) else level
        if begins[row] >= MIDNIGHT_US:
            count += sum(bool(value - level > 20) for value in site[row])
    assert steps_above(begins, MIDNIGHT_US, site, background, 20.0) == count


@given(matrix(60, 2), matrix(60, 1))
def test_every_fall_is_measured_from_the_last_fall_of_what_leads(
    depth: NDArray[np.float64], rain: NDArray[np.float64]
) -> None:
    begins = np.arange(60) * FIVE
    wanted = []
    rained, water = carried(rain)[:, 0], carried(depth)
    for point in range(2):
        for row in range(1, 60):
            if water[row - 1, point] >= 15 and water[row, point] < 15:
                ends = [n for n in range(1, row + 1) if rained[n - 1] >= 2.5 and rained[n] < 2.5]
                if rained[row] >= 2.5:
                    wanted.append(0.0)
                elif ends:
                    wanted.append((row - ends[-1]) * 300.0)
    assert lags_s(begins, depth, 15.0, rain, 2.5).tolist() == wanted


@given(matrix(48, 1))
def test_the_age_of_what_was_said_last_is_that_of_its_step(steps: NDArray[np.float64]) -> None:
    begins = np.arange(48) * HOUR_US
    rows = [row for row in range(48) if 1 <= steps[row, 0] <= 2]
    found = since_s(begins, steps, 1.0, 2.0, 50 * HOUR_US)
    assert found == (49 - rows[-1]) * 3600.0 if rows else math.isnan(found)


def test_no_flood_at_all_is_nothing_to_measure_and_silence_is_unknown() -> None:
    calm = Series.over(np.zeros((4, 2)), np.arange(4) * FIVE)
    with pytest.raises(Nothing):
        say("lag_median_s(d, 15.0, r, 2.5)", d=calm, r=calm)
    assert say("lag_highest_s(d, 15.0, r, 2.5)", d=calm, r=calm) == 0
    silent = Series.over(np.full((4, 2), math.nan), np.arange(4) * FIVE)
    with pytest.raises(Unknown) as told:
        say("lag_highest_s(d, 15.0, r, 2.5)", d=silent, r=calm)
    assert not isinstance(told.value, Nothing)


@given(
    st.lists(st.tuples(st.integers(0, 3600), st.floats(0, 50)), max_size=60),
    st.sampled_from(["mean", "high", "total"]),
)
def test_steps_of_a_window_are_those_of_the_raw_readings(said: list[tuple[int, float]], reduce: str) -> None:
    registry = scripted.registry(1)
    decl = PointsDecl.model_validate({"channel": "level", "reduce": reduce, "window": "1h", "step": "5m"})
    windows = Windows()
    points = registry.point(np.array([1], np.int32), np.array([1], np.int16))
    windows.make({("v", "p"): (decl, points)}, registry.size)
    first = NOW_US // FIVE * FIVE - HOUR_US
    times = [first + second * SECOND_US for second, _ in said]
    batch = Batch.of(
        device=[1] * len(said), channel=[1] * len(said), time_us=times, value=[value for _, value in said]
    )
    windows.add(batch, registry.point(batch.device, batch.channel))
    begins, steps, _ = windows["v", "p"].steps(NOW_US)
    assert begins.tolist() == [first + n * FIVE for n in range(12)]
    for begin, value in zip(begins.tolist(), steps[:, 0].tolist(), strict=True):
        own = [said[n][1] for n, at in enumerate(times) if begin <= at < begin + FIVE]
        wanted = REDUCED[reduce](own) if own else math.nan
        assert value == pytest.approx(wanted, nan_ok=True)


# -- records ------------------------------------------------------------------------------------------------


def test_words_about_spans_of_records() -> None:
    found = Records([{"took_s": 60.0}, {"took_s": 120.0}, {"took_s": 600.0}, {}])
    assert say('median_of(o, "took_s")', o=found) == 120
    assert say('p90_of(o, "took_s")', o=found) == pytest.approx(504)
    with pytest.raises(Nothing):
        say('median_of(o, "took_s")', o=Records([]))


def test_records_of_a_span_and_of_the_city_s_day() -> None:
    rows = {"arrivals": [{"at_us": NOW_US - n * HOUR_US, "domain": "gas"} for n in range(48)]}
    lately = RecordsDecl.model_validate({"topic": "arrivals", "last": "24h"})
    today = RecordsDecl.model_validate({"topic": "arrivals", "today": True, "where": {"domain": "gas"}})
    midnight = MIDNIGHT_US - 8 * HOUR_US
    assert len(chosen(lately, rows, NOW_US, midnight).items) == 25
    assert len(chosen(today, rows, NOW_US, midnight).items) == 16


CALL = st.builds(
    lambda east, minute, kind: {
        "lon": 121.5 + east / 1000, "lat": 31.2, "at_us": NOW_US + minute * MINUTE_US, "kind": kind
    },
    st.integers(0, 40), st.integers(0, 90), st.sampled_from(["water", "gas"]),
)  # fmt: skip


@given(st.lists(CALL, max_size=14))
def test_groups_are_the_joined_neighbourhoods_of_hearts(calls: list[dict[str, Any]]) -> None:
    def near(a: dict[str, Any], b: dict[str, Any]) -> bool:
        east = abs(a["lon"] - b["lon"]) * 111_320 * math.cos(math.radians(31.2))
        return bool(east <= 500 and abs(a["at_us"] - b["at_us"]) <= 1800 * SECOND_US)

    wanted = 0
    for kind in ("water", "gas"):
        own = [call for call in calls if call["kind"] == kind]
        hearts = [a for a in own if sum(near(a, b) for b in own) >= 3]
        left = list(range(len(hearts)))
        while left:
            wanted, edge = wanted + 1, [left.pop()]
            while edge:
                at = edge.pop()
                joined = [n for n in left if near(hearts[at], hearts[n])]
                left, edge = [n for n in left if n not in joined], edge + joined
    assert (
        sum(groups([c for c in calls if c["kind"] == k], 3, 500.0, 1800.0) for k in ("water", "gas"))
        == wanted
    )
    assert say("clusters(c, 3.0, 500.0, 1800.0)", c=Records(calls)) == wanted


def test_an_alarm_is_what_was_said_of_it_last_and_verified_when_it_was_said_first() -> None:
    at = to_datetime(NOW_US)
    row = {"key": "i1", "incident": "i1", "rule": "fire.alarm", "provenance": "real"}
    told = [
        {**row, "shown_at": at, "at": at + timedelta(seconds=90), "real": True},
        {**row, "shown_at": at - timedelta(seconds=10), "at": at + timedelta(seconds=90), "real": True},
        {
            **row,
            "key": "a2",
            "incident": "",
            "shown_at": at,
            "at": at + timedelta(seconds=30),
            "real": False,
        },
    ]
    found = {each["key"]: each for each in verdicts(told, [])}
    assert (found["i1"]["real"], found["i1"]["took_s"]) == (True, 100.0)
    assert (found["a2"]["real"], found["a2"]["took_s"]) == (False, 30.0)
    missing = {"incident": "i1", "at": at + timedelta(minutes=9), "real": False}
    found = {each["key"]: each for each in verdicts(told, [missing, {**missing, "incident": "other"}])}
    assert (found["i1"]["real"], found["i1"]["took_s"]) == (False, 100.0), "a collector found nothing"


# -- the stream itself ----------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 1800), st.booleans()), min_size=1, max_size=80))
def test_what_came_and_what_is_in_no_doubt_is_counted_by_period(said: list[tuple[int, int, bool]]) -> None:
    flow, begun = Flow(scripted.registry(4), NOW_US), NOW_US
    slots: set[tuple[int, int]] = set()
    for device, second, doubted in sorted(said, key=lambda each: each[1]):
        at = begun + second * SECOND_US
        quality = int(Quality.STUCK) if doubted else 0
        flow.take(
            Batch.of(device=device, channel=1, time_us=[at - 2 * SECOND_US], value=[1.0], quality=quality), at
        )
        if not doubted:
            slots.add((device, (at - 2 * SECOND_US) // MINUTE_US))
    found = flow.figures(begun + 1800 * SECOND_US)
    assert found["system.periods_heard"] == len(slots)
    assert found["system.periods_owed"] == 4 * 30
    assert (found["system.readings"], found["system.readings_sound"]) == (
        len(said),
        sum(not each[2] for each in said),
    )
    late = [each for each in said if each[1] >= 1500]
    assert found["system.delay_p95_s"] == (2.0 if late else None)
