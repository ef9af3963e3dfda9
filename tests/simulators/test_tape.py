"""The shipped tapes: real data of whole weeks that goes on for ever."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import DAY_US, HOUR_US, WEEK_US, to_datetime
from simulators import tape

NAMES = ("floodnet", "bwdf", "montreal")
SHANGHAI = ZoneInfo("Asia/Shanghai")
NOW_US = 1_795_300_000_000_000  # 2026-11-21
OFFSET_US = tape.offset_us(SHANGHAI, NOW_US)


@pytest.mark.parametrize("name", NAMES)
def test_times_of_a_tape_ascend_within_its_period(name: str) -> None:
    found = tape.load(name)
    for device, channel in found.rows():
        series = found.series[device][channel]
        assert len(series.at_us) == len(series.value) > 100
        assert np.all(np.diff(series.at_us) > 0)
        assert 0 <= series.at_us[0] <= series.at_us[-1] < found.period_us
        assert np.isfinite(series.value).all()


def test_the_tapes_hold_what_their_readme_says() -> None:
    floodnet, bwdf, montreal = (tape.load(name) for name in NAMES)
    assert len(floodnet.series) == 8
    assert len(bwdf.series) == 10
    assert sum(len(series["depth"].at_us) for series in floodnet.series.values()) > 150_000
    assert len(bwdf.series["dma-5"]["flow"].at_us) > 1950
    assert len(montreal.series["montreal"]["laeq_1m"].at_us) == 7 * 24 * 60


def test_values_are_those_of_the_sources() -> None:
    """Spot checks against lines of the published files."""
    flow = tape.load("bwdf").series["dma-5"]["flow"]
    sunday_23h = flow.at_us % WEEK_US == 6 * DAY_US + 23 * HOUR_US
    assert np.isclose(flow.value[sunday_23h], 76.62 * 3.6, atol=0.01).any()
    first_minute = tape.load("montreal").series["montreal"]["laeq_1m"]
    friday = np.searchsorted(first_minute.at_us, 4 * DAY_US)
    assert first_minute.value[friday] == pytest.approx(47.36, abs=0.06)
    depth = tape.load("floodnet").series["barely_hot_aphid"]["depth"]
    hour_of_week = depth.at_us % WEEK_US // HOUR_US
    friday_morning = hour_of_week == 4 * 24 + 10
    assert depth.value[friday_morning].max() == pytest.approx(104.8, abs=0.5), (
        "something stood under the sensor"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_tape_is_small(name: str) -> None:
    assert (tape.FOLDER / f"{name}.npz").stat().st_size < 500_000


@given(start=st.integers(0, 10 * WEEK_US), span=st.integers(1, 5 * WEEK_US), cut=st.floats(0, 1))
def test_two_parts_of_a_span_make_the_whole(start: int, span: int, cut: float) -> None:
    found = tape.load("montreal")
    middle = start + int(span * cut)
    ranges = [(start, start + span), (start, middle), (middle, start + span)]
    (times, values), first, second = [found.between("montreal", "laeq_1m", *r, OFFSET_US) for r in ranges]
    assert np.array_equal(times, np.concatenate([first[0], second[0]]))
    assert np.array_equal(values, np.concatenate([first[1], second[1]]))
    assert np.all(np.diff(times) > 0)


def test_a_reading_keeps_its_weekday_and_its_local_hour() -> None:
    """The quietest hour of the street in Montreal is the same hour of the night in Shanghai."""
    found = tape.load("montreal")
    times, values = found.between("montreal", "laeq_1m", NOW_US - WEEK_US, NOW_US, OFFSET_US)
    hours = np.array([to_datetime(int(t)).astimezone(SHANGHAI).hour for t in times])
    quietest = min(range(24), key=lambda hour: float(np.median(values[hours == hour])))
    assert quietest in (1, 2, 3)


def test_every_period_is_the_same_shifted_by_whole_weeks() -> None:
    found = tape.load("bwdf")
    one = found.between("dma-1", "flow", NOW_US - found.period_us, NOW_US, OFFSET_US)
    two = found.between("dma-1", "flow", NOW_US, NOW_US + found.period_us, OFFSET_US)
    assert np.array_equal(one[0] + found.period_us, two[0])
    assert np.array_equal(one[1], two[1])


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    at_us = np.arange(50, dtype=np.int64) * HOUR_US
    value = np.linspace(0, 5, 50)
    value[7] = np.nan
    for name in ("a", "b"):
        tape.save(
            tmp_path / f"{name}.npz", 1, {"flow": "m3/h"}, {"flow": 0.1}, {"x": (at_us, {"flow": value})}
        )
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    read = tape.load("a", tmp_path).series["x"]["flow"]
    assert len(read.value) == 49
    assert np.allclose(read.value, np.delete(value, 7), atol=0.05)
