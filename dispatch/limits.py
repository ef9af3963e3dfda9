"""Time limits: urgent hours, work hours, work days, natural days, on a calendar of work periods and holidays.

Facts and examples: the city-management case workflow (GB/T 30428 series), unit meanings of one working city
system; they are data of a city, see `city/`. A due instant equal to the end of a work period stays there;
overdue is strictly after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field

from core.clock import DAY_US, HOUR_US, MINUTE_US, to_datetime, to_us
from core.schema import Declared


class LimitUnit(StrEnum):
    MINUTE = "minute"
    URGENT_HOUR = "urgent_hour"
    WORK_HOUR = "work_hour"
    WORK_DAY = "work_day"
    NATURAL_DAY = "natural_day"


#: Units whose clock never stands still.
CONTINUOUS = {
    LimitUnit.MINUTE: MINUTE_US,
    LimitUnit.URGENT_HOUR: HOUR_US,
    LimitUnit.NATURAL_DAY: DAY_US,
}


class Limit(Declared):
    """An amount of time in a unit. `weekends` and `holidays` let work time run on those days too."""

    amount: Annotated[float, Field(gt=0, le=10_000)]
    unit: LimitUnit
    weekends: bool = False
    holidays: bool = False


@dataclass(frozen=True, slots=True)
class WorkCalendar:
    """Work periods of a day (minutes after midnight, local time) and which days are worked.

    `days_on` and `days_off` are a city's own corrections; beyond the years that the statutory calendar knows
    only weekends are off, and `knows` says so.
    """

    zone: ZoneInfo
    periods: tuple[tuple[int, int], ...] = ((480, 720), (840, 1080))
    days_on: frozenset[date] = field(default_factory=frozenset)
    days_off: frozenset[date] = field(default_factory=frozenset)

    @property
    def day_us(self) -> int:
        """The work time of one work day."""
        return sum(end - start for start, end in self.periods) * MINUTE_US

    def knows(self, day: date) -> bool:
        return day in self.days_on or day in self.days_off or statutory(day) is not None

    def is_worked(self, day: date, limit: Limit) -> bool:
        if day in self.days_on:
            return True
        if day in self.days_off:
            return limit.holidays
        holiday = statutory(day)
        weekend = day.weekday() >= 5
        if holiday is None:
            return limit.weekends if weekend else True
        if holiday == "worked":
            return True
        if holiday == "weekend":
            return limit.weekends
        return limit.holidays

    def spans(self, from_us: int, limit: Limit) -> Iterator[tuple[int, int]]:
        """Work periods (start, end) in µs from a moment on, the first one cut at it."""
        day = to_datetime(from_us).astimezone(self.zone).date()
        while True:
            if self.is_worked(day, limit):
                for start, end in self.periods:
                    start_us, end_us = self._moment(day, start), self._moment(day, end)
                    if end_us > from_us:
                        yield max(start_us, from_us), end_us
            day += timedelta(days=1)

    def _moment(self, day: date, minute: int) -> int:
        midnight = datetime.combine(day, time(), tzinfo=self.zone)
        if minute == 1440:
            return to_us(datetime.combine(day + timedelta(days=1), time(), tzinfo=self.zone))
        return to_us(midnight.replace(hour=minute // 60, minute=minute % 60))

    def length_us(self, limit: Limit) -> int:
        """How much of its own clock a limit is: work time for work units, plain time for the others."""
        if limit.unit in CONTINUOUS:
            return round(limit.amount * CONTINUOUS[limit.unit])
        unit = HOUR_US if limit.unit == LimitUnit.WORK_HOUR else self.day_us
        return round(limit.amount * unit)

    def due_us(self, from_us: int, limit: Limit, left_us: int | None = None) -> int:
        """When the limit, or what is `left_us` of it, has passed if its clock runs from a moment on."""
        left = self.length_us(limit) if left_us is None else left_us
        if limit.unit in CONTINUOUS:
            return from_us + left
        if left <= 0:
            return from_us
        for start, end in self.spans(from_us, limit):
            if left <= end - start:
                return start + left
            left -= end - start
        raise AssertionError("work periods never end")

    def spent_us(self, from_us: int, to_us_: int, limit: Limit) -> int:
        """How much of the limit's own clock passed between two moments."""
        if to_us_ <= from_us:
            return 0
        if limit.unit in CONTINUOUS:
            return to_us_ - from_us
        total = 0
        for start, end in self.spans(from_us, limit):
            if start >= to_us_:
                return total
            total += min(end, to_us_) - start
        raise AssertionError("work periods never end")


@lru_cache(maxsize=4096)
def statutory(day: date) -> str | None:
    """`worked` (also weekend days moved by 调休), `weekend`, `holiday`; None where no calendar was published yet."""
    import chinese_calendar  # type: ignore[import-untyped]  # it ships no types

    try:
        if chinese_calendar.is_workday(day):
            return "worked"
        _, festival = chinese_calendar.get_holiday_detail(day)
    except NotImplementedError:
        return None
    return "holiday" if festival else "weekend"


class Light(StrEnum):
    """Traffic light of a running limit."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Running:
    """A limit's clock: runs from `from_us`, of which `left_us` were left then. Stopped when `stopped_us` is set."""

    limit: Limit
    from_us: int
    left_us: int
    stopped_us: int | None = None

    def due_us(self, calendar: WorkCalendar) -> int:
        return calendar.due_us(self.from_us, self.limit, self.left_us)

    def remaining_us(self, calendar: WorkCalendar, now_us: int) -> int:
        """Left of the limit's own clock; negative by how much it is over."""
        until = now_us if self.stopped_us is None else self.stopped_us
        return self.left_us - calendar.spent_us(self.from_us, until, self.limit)

    def stop(self, now_us: int) -> Running:
        return (
            self if self.stopped_us is not None else Running(self.limit, self.from_us, self.left_us, now_us)
        )

    def go_on(self, calendar: WorkCalendar, now_us: int) -> Running:
        """Run again with what was left when it stopped: the time between is charged to nobody."""
        if self.stopped_us is None:
            return self
        return Running(self.limit, now_us, self.remaining_us(calendar, now_us))

    def extend(self, calendar: WorkCalendar, amount: float) -> Running:
        """Longer by an amount of the limit's own unit."""
        extra = calendar.length_us(self.limit.model_copy(update={"amount": amount}))
        return Running(self.limit, self.from_us, self.left_us + extra, self.stopped_us)

    def overdue(self, calendar: WorkCalendar, now_us: int) -> bool:
        until = now_us if self.stopped_us is None else self.stopped_us
        return until > self.due_us(calendar)

    def share_us(self, calendar: WorkCalendar, share: float) -> int:
        """When this share of the whole limit will be used: 1.0 is the due instant, more lies beyond it."""
        keep = round(calendar.length_us(self.limit) * (1 - share))
        return calendar.due_us(self.from_us, self.limit, max(0, self.left_us - keep))


def start(limit: Limit, calendar: WorkCalendar, now_us: int) -> Running:
    return Running(limit, now_us, calendar.length_us(limit))
