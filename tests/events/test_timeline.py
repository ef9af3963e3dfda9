"""Event time: what comes late by less than the watermark changes nothing but the moment of knowing."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.bench.kills import Ledger
from core.batch import Batch, Quality
from core.clock import MINUTE_US, SECOND_US
from events.detectors.build import build, fates
from events.moves import Does, moves
from events.rules import RuleDecl
from events.timeline import Timeline
from iot.registry import Registry
from tests.events.test_detectors import (
    APART,
    BALANCE,
    CITYWIDE,
    DROP,
    FIRE,
    LOW,
    LOWER,
    MEAN,
    OFTEN,
    POINTS,
)
from tests.events.world import CITY, NOON_US, device, registry, rules

ALL = rules(LOW, LOWER, DROP, OFTEN, MEAN, BALANCE, APART)
#: An alert as it ends up: rule, point, onset, returned (None: stands).
Outcome = set[tuple[int, int, int, int | None]]


def timeline(reg: Registry = CITYWIDE, *decls: RuleDecl) -> Timeline:
    chosen = rules(*decls) if decls else ALL
    live, settled = (build(chosen, reg, CITY) for _ in range(2))
    return Timeline(live, settled, reg, fates(chosen, reg, live))


def outcome(ledger: Ledger) -> Outcome:
    return {(*key, returned) for key, returned in ledger.alerts.items()}


def run(arrivals: list[Batch], line: Timeline | None = None) -> Ledger:
    line, ledger = line or timeline(), Ledger()
    for number, batch in enumerate(arrivals, 1):
        ledger.take(moves(line.take(number, batch)))
    return ledger


Sample = tuple[int, int, float, int]
#: (point, minutes since the point's last sample, value, seconds on the way)
samples = st.lists(
    st.tuples(
        st.integers(0, POINTS - 1),
        st.integers(1, 4),
        st.sampled_from([0.05, 0.11, 0.13, 0.15, 0.17, 0.22, 0.31]),
        st.integers(0, 590),
    ),
    min_size=1,
    max_size=80,
)


def readings(trace: list[Sample]) -> tuple[list[tuple[int, int, float]], list[int]]:
    """(device, time, value) of every sample, and when each is received."""
    clock = dict.fromkeys(range(POINTS), NOON_US)
    rows, received = [], []
    for point, wait, value, late in trace:
        clock[point] += wait * MINUTE_US
        rows.append((point + 1, clock[point], value))
        received.append(clock[point] + late * SECOND_US)
    return rows, received


def batches(rows: list[tuple[int, int, float]], received: list[int], sizes: list[int]) -> list[Batch]:
    """The readings in the order in which they are received, in batches of some sizes."""
    order = sorted(range(len(rows)), key=lambda place: (received[place], rows[place]))
    found = []
    cycle = itertools.cycle(sizes)
    while order:
        size = next(cycle)
        now, order = order[:size], order[size:]
        found.append(
            Batch.of(
                device=[rows[place][0] for place in now],
                channel=1,
                time_us=[rows[place][1] for place in now],
                value=[rows[place][2] for place in now],
                received_us=[received[place] for place in now],
                gateway=1,
            )
        )
    return found


@settings(max_examples=150, deadline=None)
@given(trace=samples, sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_readings_that_come_late_and_shuffled_lead_to_the_alerts_they_had_led_to_in_order(
    trace: list[Sample], sizes: list[int]
) -> None:
    rows, received = readings(trace)
    in_order = run(batches(rows, [time_us for _, time_us, _ in rows], [1]))
    shuffled = run(batches(rows, received, sizes))
    assert outcome(shuffled) == outcome(in_order)
    assert not shuffled.refused


def test_a_group_waits_for_a_member_whose_readings_are_longer_on_the_way_than_those_of_the_others() -> None:
    """Each point's own readings come in order; the district is decided on again when the last of them arrive."""
    rows = [(1, NOON_US + minute * MINUTE_US, 0.2) for minute in range(40)]
    rows += [(2, at_us, 0.2 if 12 <= minute < 21 else -0.05) for minute, (_, at_us, _) in enumerate(rows)]
    in_order = [time_us for _, time_us, _ in rows]
    delayed = [time_us + (8 * MINUTE_US if device == 2 else 0) for device, time_us, _ in rows]
    pair = registry([device(n, "logger", zone="A") for n in (1, 2)])
    whole, late = (run(batches(rows, sent, [1]), timeline(pair, BALANCE)) for sent in (in_order, delayed))
    assert outcome(late) == outcome(whole) == {(0, 0, rows[12][1], rows[21][1] + 4 * MINUTE_US)}


@settings(max_examples=100, deadline=None)
@given(trace=samples, sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5), cut=st.integers(0, 80))
def test_after_a_restart_the_engine_goes_on_as_if_nothing_had_happened(
    trace: list[Sample], sizes: list[int], cut: int
) -> None:
    arrivals = batches(*readings(trace), sizes)
    through = run(arrivals)
    cut = min(cut, len(arrivals))

    first, ledger = timeline(), Ledger()
    for number, batch in enumerate(arrivals[:cut], 1):
        ledger.take(moves(first.take(number, batch)))
    everybody = np.arange(CITYWIDE.size, dtype=np.int32)
    states = [detector.state(everybody) for detector in first.settled]

    again = timeline()
    again.restore(states, first.horizon_us, first.head_us, first.replay_from)
    for number, batch in enumerate(arrivals, 1):
        if number > first.replay_from:
            found = moves(again.take(number, batch))
            if number > cut:
                ledger.take(found)
    assert outcome(ledger) == outcome(through)


def test_a_late_reading_withdraws_what_it_disproves() -> None:
    line = timeline(CITYWIDE, LOW)
    at = [NOON_US + minute * MINUTE_US for minute in range(8)]
    early = Batch.of(
        device=1, channel=1, time_us=[at[0], at[1], at[2], at[4], at[5], at[6]], value=0.13, gateway=1
    )
    late = Batch.of(device=1, channel=1, time_us=[at[3]], value=0.2, received_us=[at[7]], gateway=1)
    assert [move.does for move in moves(line.take(1, early))] == [Does.RAISE]
    assert [move.does for move in moves(line.take(2, late))] == [Does.WITHDRAW]


def test_a_late_reading_dates_an_alert_to_its_true_beginning() -> None:
    line = timeline(CITYWIDE, LOW)
    at = [NOON_US + minute * MINUTE_US for minute in range(9)]
    early = Batch.of(device=1, channel=1, time_us=at[1:8], value=[0.2, *[0.13] * 6], gateway=1)
    raised = moves(line.take(1, early))
    late = Batch.of(
        device=1, channel=1, time_us=[at[1] + SECOND_US], value=0.13, received_us=[at[8]], gateway=1
    )
    (amended,) = moves(line.take(2, late))
    assert [move.does for move in raised] == [Does.RAISE]
    assert (amended.does, amended.onset_us, amended.to_us) == (Does.AMEND, at[2], at[1] + SECOND_US)


def test_what_comes_behind_the_watermark_changes_nothing_and_is_handed_on() -> None:
    line = timeline(CITYWIDE, LOWER)
    line.take(1, Batch.of(device=1, channel=1, time_us=NOON_US, value=0.2, gateway=1))
    old = Batch.of(
        device=1, channel=1, time_us=NOON_US - 30 * MINUTE_US, value=0.01, received_us=NOON_US,
        quality=int(Quality.LATE), gateway=1,
    )  # fmt: skip
    taken = line.take(2, old)
    assert moves(taken) == []
    assert taken.too_late is not None
    assert len(taken.too_late) == 1


def test_doubtful_readings_are_not_decided_on() -> None:
    line = timeline(CITYWIDE, LOWER)
    for bit in (
        Quality.OUT_OF_RANGE,
        Quality.SPIKE,
        Quality.CALIBRATING,
        Quality.DEVICE_FAULT,
        Quality.MAINTENANCE,
    ):
        time_us = NOON_US + int(bit) * SECOND_US
        doubtful = Batch.of(device=1, channel=1, time_us=time_us, value=0.0, quality=int(bit), gateway=1)
        assert moves(line.take(int(bit), doubtful)) == []


def test_a_reading_from_the_future_takes_part_when_it_was_received() -> None:
    line = timeline(CITYWIDE, LOWER)
    ahead = Batch.of(
        device=1, channel=1, time_us=NOON_US + 60 * MINUTE_US, value=0.05, received_us=NOON_US,
        quality=int(Quality.FUTURE), gateway=1,
    )  # fmt: skip
    (raised,) = moves(line.take(1, ahead))
    assert raised.onset_us == NOON_US


def test_a_word_that_comes_after_the_decision_it_contradicts_takes_it_back() -> None:
    line = timeline(registry([device(1, "detector")]), FIRE)
    alarm = Batch.of(device=1, channel=6, time_us=NOON_US, value=1, gateway=1)
    line.take(1, alarm)
    assert [bool(len(line.advance(NOON_US + wait * SECOND_US))) for wait in (5, 12)] == [False, True]
    calm = Batch.of(device=1, channel=6, time_us=NOON_US + 4 * SECOND_US, value=0, gateway=1)
    assert [move.does for move in moves(line.take(2, calm))] == [Does.WITHDRAW]


def test_the_readings_held_back_are_released_once_they_have_settled() -> None:
    line = timeline()
    for number in range(1, 41):
        time_us = NOON_US + number * MINUTE_US
        line.take(number, Batch.of(device=[1, 2], channel=1, time_us=[time_us] * 2, value=0.3, gateway=1))
    assert line.held == 2 * 10
    assert line.replay_from == 30
