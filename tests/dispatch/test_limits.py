"""Time limits: the examples of the case workflow, the statutory calendar, and what must hold for every limit."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import HOUR_US, to_us
from dispatch.limits import Limit, LimitUnit, WorkCalendar, start, statutory
from tests.dispatch.world import ZONE

CALENDAR = WorkCalendar(ZONE)
U = LimitUnit


def at(text: str) -> int:
    """`01-09 17:30` of 2026 in Shanghai."""
    return to_us(datetime.fromisoformat(f"2026-{text.replace(' ', 'T')}:00").replace(tzinfo=ZONE))


def limit(amount: float, unit: LimitUnit, **more: bool) -> Limit:
    return Limit(amount=amount, unit=unit, **more)


@pytest.mark.parametrize(
    ("amount", "unit", "begins", "due"),
    [
        (4, U.WORK_HOUR, "01-09 17:30", "01-12 11:30"),
        (1, U.WORK_DAY, "01-09 17:30", "01-12 17:30"),
        (2, U.URGENT_HOUR, "01-09 17:30", "01-09 19:30"),
        (4, U.WORK_HOUR, "01-09 12:30", "01-09 18:00"),
        (2, U.WORK_HOUR, "01-10 10:00", "01-12 10:00"),
        (1, U.NATURAL_DAY, "01-09 17:30", "01-10 17:30"),
    ],
)
def test_the_examples_of_the_case_workflow(amount: float, unit: LimitUnit, begins: str, due: str) -> None:
    assert CALENDAR.due_us(at(begins), limit(amount, unit)) == at(due)


def test_a_suspended_limit_runs_on_with_what_was_left() -> None:
    clock = start(limit(4, U.WORK_HOUR), CALENDAR, at("01-09 17:30")).stop(at("01-12 09:00"))
    assert clock.remaining_us(CALENDAR, at("01-12 15:00")) == round(2.5 * HOUR_US)
    assert clock.go_on(CALENDAR, at("01-12 15:00")).due_us(CALENDAR) == at("01-12 17:30")


def test_a_due_instant_at_the_end_of_a_period_stays_there_and_overdue_is_strictly_after() -> None:
    clock = start(limit(4, U.WORK_HOUR), CALENDAR, at("01-09 12:30"))
    assert clock.due_us(CALENDAR) == at("01-09 18:00")
    assert not clock.overdue(CALENDAR, at("01-09 18:00"))
    assert clock.overdue(CALENDAR, at("01-09 18:00") + 1)


def test_the_statutory_calendar_knows_holidays_and_moved_weekends() -> None:
    assert statutory(date(2026, 1, 4)) == "worked", "a Sunday that is worked for New Year"
    assert statutory(date(2026, 1, 1)) == "holiday"
    assert statutory(date(2026, 1, 10)) == "weekend"
    assert statutory(date(2031, 1, 1)) is None


def test_beyond_the_published_calendar_only_weekends_are_off_and_the_calendar_says_so() -> None:
    assert not CALENDAR.knows(date(2031, 1, 1))
    assert CALENDAR.is_worked(date(2031, 1, 1), limit(1, U.WORK_DAY))
    assert not CALENDAR.is_worked(date(2031, 1, 4), limit(1, U.WORK_DAY))


def test_spring_festival_stops_work_hours_unless_the_limit_runs_through_it() -> None:
    begins = at("02-13 17:00")  # Friday; work goes on on Saturday the 14th (调休), then the festival
    assert CALENDAR.due_us(begins, limit(10, U.WORK_HOUR)) == at("02-24 09:00")
    assert CALENDAR.due_us(begins, limit(10, U.WORK_HOUR, weekends=True, holidays=True)) == at("02-15 09:00")


def test_a_city_corrects_its_own_days() -> None:
    closed = WorkCalendar(ZONE, days_off=frozenset({date(2026, 1, 12)}))
    assert closed.due_us(at("01-09 17:30"), limit(4, U.WORK_HOUR)) == at("01-13 11:30")
    opened = WorkCalendar(ZONE, days_on=frozenset({date(2026, 1, 10)}))
    assert opened.due_us(at("01-09 17:30"), limit(4, U.WORK_HOUR)) == at("01-10 11:30")


def test_an_extension_moves_the_due_time_in_the_limits_own_unit() -> None:
    clock = start(limit(1, U.WORK_DAY), CALENDAR, at("01-09 17:30")).extend(CALENDAR, 0.5)
    assert clock.due_us(CALENDAR) == at("01-13 11:30")


moments = st.integers(at("01-01 00:00"), at("06-30 00:00"))
limits = st.builds(
    limit,
    st.integers(1, 40).map(float),
    st.sampled_from(list(U)),
    weekends=st.booleans(),
    holidays=st.booleans(),
)


@given(moments, limits)
def test_exactly_the_limit_has_passed_when_it_is_due(begins: int, asked: Limit) -> None:
    due = CALENDAR.due_us(begins, asked)
    assert CALENDAR.spent_us(begins, due, asked) == CALENDAR.length_us(asked)
    assert CALENDAR.spent_us(begins, due - 1, asked) < CALENDAR.length_us(asked)


@given(moments, limits, st.integers(0, 20 * 24), st.integers(0, 20 * 24))
def test_stopping_and_going_on_charges_nobody_for_the_time_between(
    begins: int, asked: Limit, runs_h: int, stands_h: int
) -> None:
    clock = start(asked, CALENDAR, begins)
    stopped = clock.stop(begins + runs_h * HOUR_US)
    again = stopped.go_on(CALENDAR, begins + (runs_h + stands_h) * HOUR_US)
    assert again.left_us == clock.remaining_us(CALENDAR, begins + runs_h * HOUR_US)
    assert stopped.stop(begins + 10**15) == stopped


@given(moments, limits, st.floats(0.05, 0.95))
def test_a_share_of_the_limit_is_used_when_its_moment_comes(begins: int, asked: Limit, share: float) -> None:
    clock = start(asked, CALENDAR, begins)
    moment = clock.share_us(CALENDAR, share)
    used = CALENDAR.spent_us(begins, moment, asked)
    assert abs(used - share * CALENDAR.length_us(asked)) <= 1
    assert moment <= clock.due_us(CALENDAR) <= clock.share_us(CALENDAR, 1.5)


def test_a_day_without_a_clock_change_has_eight_work_hours() -> None:
    for day in range(5):
        begins = at("01-12 00:00") + day * 24 * HOUR_US
        spent = CALENDAR.spent_us(begins, begins + 24 * HOUR_US, limit(1, U.WORK_DAY))
        assert spent == CALENDAR.day_us == 8 * HOUR_US
