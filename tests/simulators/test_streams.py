"""Streams are pure functions of time that look like the real thing."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.clock import DAY_US, HOUR_US, MINUTE_US, WEEK_US
from simulators import streams
from simulators.streams import Stream, Table

NOW_US = 1_795_300_000_000_000
OFFSET_US = 8 * HOUR_US
WATER = Stream(
    base=400.0, shape="water", swing=0.9, weekends=0.9, slow=6.0, fast=2.0, low=0.0, resolution=0.1
)


def one(stream: Stream, times: np.ndarray, seed: int = 7) -> np.ndarray:
    table = Table([stream], [streams.key_of(seed, "x")])
    return table.at(np.zeros(len(times), np.intp), times, OFFSET_US)


def test_a_day_looks_like_its_shape() -> None:
    times = NOW_US - 28 * DAY_US + np.arange(28 * 24, dtype=np.int64) * HOUR_US
    hours = (times + OFFSET_US) % DAY_US // HOUR_US
    value = one(WATER, times)
    by_hour = np.array([value[hours == hour].mean() for hour in range(24)])
    assert by_hour.argmin() in (2, 3, 4)
    assert by_hour.argmax() in (7, 8)
    assert 350 < value.mean() < 420


def test_noise_has_unit_variance_and_remembers() -> None:
    times = np.arange(200_000, dtype=np.int64) * MINUTE_US
    key = np.full(len(times), streams.key_of(1, "n"), np.uint64)
    slow = streams.wander(key, times, np.full(len(times), HOUR_US))
    assert abs(slow.std() - 1) < 0.05
    assert np.corrcoef(slow[:-1], slow[1:])[0, 1] > 0.95
    assert abs(np.corrcoef(slow[:-180], slow[180:])[0, 1]) < 0.1
    fast = streams.normal(key, times)
    assert abs(fast.mean()) < 0.01
    assert abs(fast.std() - 1) < 0.01


def test_names_and_seeds_have_noise_of_their_own() -> None:
    keys = {streams.key_of(seed, f"d-{n}/flow") for seed in range(5) for n in range(2000)}
    assert len(keys) == 10_000
    times = np.arange(5000, dtype=np.int64) * MINUTE_US
    assert abs(np.corrcoef(one(WATER, times, 1) - one(WATER, times, 2), one(WATER, times, 3))[0, 1]) < 0.2


@given(st.lists(st.integers(0, 60 * DAY_US), min_size=1, max_size=20))
def test_the_value_at_a_time_does_not_depend_on_what_else_is_asked(ages: list[int]) -> None:
    times = NOW_US - np.array(ages, np.int64)
    together = one(WATER, times)
    alone = [one(WATER, times[i : i + 1])[0] for i in range(len(times))]
    assert together.tolist() == alone


def test_it_rains_rarely_and_never_below_zero() -> None:
    rain = one(Stream(shower=20.0, resolution=0.1), NOW_US - np.arange(5000, dtype=np.int64) * HOUR_US)
    assert rain.min() == 0
    assert 0.01 < (rain > 0).mean() < 0.08
    assert 1 < rain.max() <= 30


def test_values_are_whole_multiples_of_the_resolution() -> None:
    value = one(WATER, NOW_US + np.arange(2000, dtype=np.int64) * MINUTE_US)
    assert all(len(f"{v!r}".split(".")[1]) == 1 for v in value.tolist())


def test_a_table_evaluates_every_stream_as_if_it_were_alone() -> None:
    table = Table([WATER, Stream(base=5.0, slow=1.0)], [streams.key_of(7, "x"), streams.key_of(7, "y")])
    times = NOW_US + np.arange(50, dtype=np.int64) * WEEK_US // 50
    rows = np.tile([0, 1], 25).astype(np.intp)
    both = table.at(rows, times, OFFSET_US)
    assert np.array_equal(both[rows == 0], one(WATER, times[rows == 0]))
