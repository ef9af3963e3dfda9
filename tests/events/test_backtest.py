"""Rules over readings that are stored: what runs live says the same, and the figures are those one can count."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.batch import Batch
from core.clock import DAY_US, MINUTE_US, SECOND_US
from events.backtest import Backtest, only
from events.engine import Engine, Model
from events.load import FLOOD, busiest, chatterers
from events.offline import Offline
from iot.readings import Logged
from tests.events.world import CITY, NOON_US, device, registry, rule, rules

LOW = rule(
    "low", ["logger"], channel="pressure", unit="MPa",
    on={"below": 0.14, "for": "1m", "min_samples": 2}, off={"at_least": 0.16, "for": "1m"},
)  # fmt: skip
DROP = rule(
    "drop", ["logger"], channel="pressure", unit="MPa", detector="fall", window="5m", latch="24h",
    on={"at_least": 0.05, "min_samples": 2}, off={"below": 0.02, "for": "3m"},
)  # fmt: skip
MODEL = Model(rules(LOW, DROP), {})
LOGGERS = registry([device(number, "logger") for number in range(1, 7)])


def readings(seed: int, minutes: int, points: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pressures that wander across the limits, sorted by (point, time)."""
    rng = np.random.default_rng(seed)
    value = np.clip(0.2 + rng.normal(0, 0.02, (points, minutes)).cumsum(axis=1), 0.0, 0.4)
    time_us = NOON_US + np.arange(minutes, dtype=np.int64) * MINUTE_US
    return (
        np.repeat(np.arange(points, dtype=np.int32), minutes), np.tile(time_us, points), value.ravel(),
    )  # fmt: skip


def taken(test: Backtest, columns: tuple[np.ndarray, ...], parts: int = 1) -> Backtest:
    point, time_us, value = columns
    edges = np.linspace(time_us.min(), time_us.max() + 1, parts + 1).astype(np.int64)
    for begin, end in itertools.pairwise(edges):
        rows = (time_us >= begin) & (time_us < end)
        test.take(point[rows], time_us[rows], value[rows])
    return test


def alerts(offline: Offline) -> set[tuple[str, str, object, int]]:
    return {
        (row["rule"], row["subject"], row["onset"], row["returned_us"])
        for row in offline.alerts.values()
        if not row.get("withdrawn")
    }


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 9))
def test_it_says_what_the_engine_says_however_the_readings_are_cut(seed: int, parts: int) -> None:
    columns = readings(seed, 240)
    live = Offline(Engine(MODEL, LOGGERS, CITY))
    order = np.argsort(columns[1], kind="stable")
    for number, rows in enumerate(np.array_split(order, 24), 1):
        at_us = columns[1][rows]
        batch = Batch.of(
            device=LOGGERS.device_of[columns[0][rows]], channel=LOGGERS.channel_of[columns[0][rows]],
            time_us=at_us, value=columns[2][rows], gateway=1, received_us=at_us,
        )  # fmt: skip
        live.take(Logged(number, batch), int(at_us.max()))
    test = taken(Backtest(MODEL, LOGGERS, CITY), columns, parts)
    assert alerts(test.offline) == alerts(live)


def test_only_some_rules_keep_their_meaning() -> None:
    columns = readings(5, 600)
    both = alerts(taken(Backtest(MODEL, LOGGERS, CITY), columns).offline)
    one = alerts(taken(Backtest(Model(only(MODEL.rules, {"drop"}), {}), LOGGERS, CITY), columns).offline)
    assert one == {row for row in both if row[0] == "drop"}
    assert 0 < len(one) < len(both)


def test_the_load_is_what_counting_row_by_row_gives() -> None:
    test = taken(Backtest(MODEL, LOGGERS, CITY), readings(7, 3 * 1440), parts=3)
    load = test.load()
    rows = list(test.offline.alerts.values())
    assert load.alerts == len(rows) == sum(load.by_rule.values()) == sum(load.by_level.values())
    assert load.days == pytest.approx(3, abs=0.01)
    assert load.by_rule == Counter(row["rule"] for row in rows)
    asked = [row["raised_us"] for row in rows if row["asks"]]
    assert load.operator_alarms == len(asked)
    assert load.busiest_10min == max(
        sum(at <= other < at + 10 * MINUTE_US for other in asked) for at in asked
    )
    windows = Counter((at - NOON_US) // (10 * MINUTE_US) for at in asked)
    assert load.flood_share == pytest.approx(sum(n > FLOOD for n in windows.values()) / (3 * 144), rel=1e-9)
    stood = [(row["returned_us"] or NOON_US + 3 * DAY_US - MINUTE_US) - row["raised_us"] for row in rows]
    assert load.fleeting == sum(us < MINUTE_US for us in stood)
    assert load.stale == sum(us > DAY_US for us in stood)
    named = [f"{row['rule']} {row['subject']}" for row in rows]
    assert load.stale_sources == sorted({n for n, us in zip(named, stood, strict=True) if us > DAY_US})
    sources = Counter(named)
    assert load.top == sources.most_common(10)
    assert load.top_share == pytest.approx(sum(n for _, n in load.top) / len(rows))


def test_a_source_that_rises_three_times_a_minute_chatters() -> None:
    calm = [("calm", NOON_US + n * 31 * SECOND_US) for n in range(9)]
    nervous = [("nervous", NOON_US + n * 20 * SECOND_US) for n in range(3)]
    assert chatterers([*calm, *nervous]) == [("nervous", 3)]
    assert busiest([]) == 0


def test_nothing_taken_is_nothing_asked() -> None:
    load = Backtest(MODEL, LOGGERS, CITY).load()
    assert (load.alerts, load.operator_alarms, load.flood_share) == (0, 0, 0.0)
