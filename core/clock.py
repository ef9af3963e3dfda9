"""Time is an argument: the only file that reads the wall clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
WEEK_US = 7 * DAY_US

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """What tells the time: the system's in production, a hand-moved one in tests and scored runs."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""

    def monotonic_s(self) -> float:
        """Seconds of a clock that never goes back; only differences mean something."""


class SystemClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1000  # noqa: TID251 - this is the one file

    def monotonic_s(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until somebody moves it."""

    def __init__(self, now_us: int = 1_750_000_000_000_000) -> None:
        self._now_us = now_us
        self._started_us = now_us

    def now_us(self) -> int:
        return self._now_us

    def monotonic_s(self) -> float:
        return (self._now_us - self._started_us) / SECOND_US

    def advance(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError("a monotonic clock does not go back")
        self._now_us += round(seconds * SECOND_US)


def to_datetime(time_us: int) -> datetime:
    """UTC datetime of a time in µs; exact, unlike `datetime.fromtimestamp` of a float."""
    seconds, micros = divmod(time_us, SECOND_US)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=micros)


def to_us(moment: datetime) -> int:
    """Microseconds of a datetime; one without zone is refused, because its meaning is a guess."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone")
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND_US + delta.microseconds


def rfc3339(time_us: int) -> str:
    """RFC 3339 in UTC with `Z`, milliseconds only where there are any."""
    moment = to_datetime(time_us)
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")
