"""What is usual: the same hour of comparable days, median and MAD. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.clock import HOUR_US, to_datetime, to_us

#: Fewer days than this make no rule: the band is "learning".
LEARNING_DAYS = 7
#: History that usual bands look back on.
LOOK_BACK_DAYS = 28
DayType = Callable[[date], str]


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual at this hour of comparable days: median and MAD of `days` days; fewer than 7 make no rule."""

    median: float
    mad: float
    days: int

    @property
    def learned(self) -> bool:
        return self.days >= LEARNING_DAYS

    def z(self, value: float, floor: float) -> float:
        """Robust distance, 0.6745·(x − median)/MAD; `floor` keeps a flat history from making everything unusual."""
        if not self.learned:
            return 0.0
        return 0.6745 * (value - self.median) / max(self.mad, floor)

    def band(self, floor: float) -> tuple[float, float]:
        """The usual band as it is drawn: |z| ≤ 2."""
        half = 2 * max(self.mad, floor) / 0.6745
        return self.median - half, self.median + half


@dataclass(frozen=True, slots=True)
class Local:
    """Times of the city's wall clock."""

    zone: ZoneInfo
    day_type: DayType

    def at(self, time_us: int) -> datetime:
        return to_datetime(time_us).astimezone(self.zone)

    def offset_us(self, time_us: int) -> int:
        """The wall clock minus UTC."""
        offset = self.at(time_us).utcoffset()
        return round(offset.total_seconds() * 1e6) if offset else 0

    def midnight_us(self, time_us: int) -> int:
        """The begin of the city's day."""
        return to_us(self.at(time_us).replace(hour=0, minute=0, second=0, microsecond=0))

    def slot(self, time_us: int) -> tuple[str, int]:
        """(type of day, hour): what a time is compared with."""
        local = self.at(time_us)
        return self.day_type(local.date()), local.hour


def usual_at(usuals: Mapping[tuple[str, int], Usual], local: Local, time_us: int) -> Usual | None:
    """What is usual at an instant, between the middles of the hours around it: a steep hour is nothing unusual."""
    before_us = (time_us - HOUR_US // 2) // HOUR_US * HOUR_US
    found = [usuals.get(local.slot(moment)) for moment in (before_us, before_us + HOUR_US)]
    known = [each for each in found if each is not None]
    if len(known) < 2:
        return known[0] if known else None
    first, last = known
    share = (time_us - HOUR_US // 2 - before_us) / HOUR_US
    return Usual(
        first.median + (last.median - first.median) * share,
        first.mad + (last.mad - first.mad) * share,
        min(first.days, last.days),
    )


def weekly(day: date) -> str:
    """Working days and days of rest by the calendar of the week; a city's holidays come with its own function."""
    return "rest" if day.weekday() >= 5 else "work"


def learn(at_us: NDArray[np.int64], value: NDArray[np.float64], local: Local) -> dict[tuple[str, int], Usual]:
    """What is usual in each (type of day, hour), out of history rows in any order.

    Rows of one hour of one day are averaged first, so that every day counts once.
    """
    hours: dict[tuple[str, int], dict[date, list[float]]] = {}
    for moment, number in zip(at_us.tolist(), value.tolist(), strict=True):
        wall = local.at(moment)
        slot = (local.day_type(wall.date()), wall.hour)
        hours.setdefault(slot, {}).setdefault(wall.date(), []).append(number)
    return {slot: _spread([sum(each) / len(each) for each in days.values()]) for slot, days in hours.items()}


def _spread(values: list[float]) -> Usual:
    numbers = np.array(values)
    median = float(np.median(numbers))
    return Usual(median, float(np.median(np.abs(numbers - median))), len(numbers))
