"""The words of vital signs' expressions: what may be said about points, records, figures and devices. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, TypeVar

import cel
import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US, HOUR_US
from dashboard.vitals import series


class Why(IntEnum):
    """Why a point takes part or not; the names are text keys `vital_why.<name>`."""

    TAKES_PART = 0
    NEVER_HEARD = 1
    TOO_OLD = 2
    DOUBTFUL = 3


#: The same as a number: asked for hundreds of thousands of times while history is recomputed.
TAKES_PART = int(Why.TAKES_PART)


@dataclass(frozen=True, slots=True)
class Points:
    """A set of points as parallel columns; `value` counts only where `why` is `TAKES_PART`.

    device int32 · value float64 · time_us int64 · why uint8 · zone int32 (equal numbers = equal zones, -1 none)
    `samples` are the numbers of samples behind the values, where they were reduced over a window.
    """

    device: NDArray[np.int32]
    value: NDArray[np.float64]
    time_us: NDArray[np.int64]
    why: NDArray[np.uint8]
    zone: NDArray[np.int32]

    @classmethod
    def of(cls, *values: float, zone: int = -1) -> Points:
        """Points 1, 2 … with these values, NaN = too old; for tries and tests."""
        value = np.array(values, np.float64)
        why = np.where(np.isnan(value), Why.TOO_OLD, Why.TAKES_PART).astype(np.uint8)
        n = len(value)
        return cls(
            np.arange(1, n + 1, dtype=np.int32), value, np.zeros(n, np.int64), why, np.full(n, zone, np.int32)
        )

    @property
    def taking_part(self) -> NDArray[np.bool_]:
        return np.asarray(self.why == TAKES_PART)

    @property
    def values(self) -> NDArray[np.float64]:
        return self.value[self.taking_part]

    @property
    def coverage(self) -> tuple[int, int]:
        return int(self.taking_part.sum()), len(self.device)

    @property
    def newest_us(self) -> int | None:
        times = self.time_us[self.taking_part]
        return int(times.max()) if len(times) else None

    def at(self, end: Literal["lowest", "highest"]) -> int | None:
        """The device of the lowest or highest value."""
        rows = np.flatnonzero(self.taking_part)
        if not len(rows):
            return None
        best = np.argmin(self.value[rows]) if end == "lowest" else np.argmax(self.value[rows])
        return int(self.device[rows[best]])


@dataclass(frozen=True, slots=True)
class Series(Points):
    """Points over steps of time (`series`): steps[steps × points] of begins `begin_us`; `value` is the newest step."""

    steps: NDArray[np.float64]
    begin_us: NDArray[np.int64]

    @classmethod
    def over(cls, steps: NDArray[np.float64], begin_us: NDArray[np.int64], zone: int = -1) -> Series:
        """Points 1, 2 … over steps, all of one zone; for tries and tests."""
        last = Points.of(*steps[-1].tolist(), zone=zone)
        return cls(last.device, last.value, last.time_us, last.why, last.zone, steps, begin_us)


@dataclass(frozen=True, slots=True)
class Records:
    """Records as rooms show them, with an `at_us` where age matters."""

    items: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a room gives; None is unknown."""

    value: float | None


@dataclass(frozen=True, slots=True)
class Installed:
    """Devices: how many there are and how many of them were heard in time."""

    online: int
    total: int


Input = Points | Records | Figure | Installed


class Unknown(Exception):
    """There is nothing to compute from: no value, which is not the same as a bad one."""


class Nothing(Unknown):
    """Everything is known, and there was nothing to measure: no case was due, no order was sent."""


FunctionT = TypeVar("FunctionT", bound=Callable[..., float])


def word(function: FunctionT) -> FunctionT:
    """Marks a method of `Words` as a word of the expressions."""
    vars(function)["word"] = True
    return function


class Words:
    """The inputs of one evaluation, and what may be said about them. All numbers are floats; `known` are variables."""

    def __init__(self, inputs: Mapping[str, Input] | None = None) -> None:
        self.inputs: Mapping[str, Input] = inputs or {}
        self.now_us = self.offset_us = 0
        self.known: dict[str, object] = {}
        self._unknown = False
        self._context = cel.Context()
        self._context.set_variable_resolver(self._resolve)
        for name, method in vars(Words).items():
            if getattr(method, "word", False):
                self._context.add_function(name, getattr(self, name))

    def use(self, inputs: Mapping[str, Input], now_us: int, offset_us: int) -> None:
        """Other inputs, same words: a context is made once and used for thousands of evaluations.

        `offset_us` is the city's wall clock minus UTC.
        """
        self.inputs, self.now_us, self.offset_us = inputs, now_us, offset_us
        self.known = {"hour": float((now_us + offset_us) % DAY_US // HOUR_US)}

    def run(self, program: Any) -> float:  # noqa: ANN401 - a compiled expression
        """The value of an expression; True is 1.

        Raises `Unknown` when an input has nothing to say, `Nothing` when inputs have and there was nothing to measure.
        """
        self._unknown = False
        try:
            found = program.execute(self._context)
        except (RuntimeError, TypeError):  # CEL has no comparison for what is not a number
            if self._unknown:
                raise Unknown from None
            raise
        if self._unknown:
            raise Unknown
        number = float(found)
        if not math.isfinite(number):
            raise Nothing
        return number

    def _resolve(self, name: str) -> object:
        return self.known.get(name, name if name in self.inputs else None)

    def _values(self, name: str) -> NDArray[np.float64]:
        found = self._points(name).values
        if not len(found):
            self._unknown = True
            return np.full(1, math.nan)
        return found

    def _points(self, name: str) -> Points:
        found = self.inputs[name]
        if not isinstance(found, Points):
            raise TypeError(f"{name} is no set of points")
        return found

    def _records(self, name: str) -> Sequence[Mapping[str, Any]]:
        found = self.inputs[name]
        if not isinstance(found, Records):
            raise TypeError(f"{name} is no set of records")
        return found.items

    # points

    @word
    def lowest(self, name: str) -> float:
        return float(self._values(name).min())

    @word
    def highest(self, name: str) -> float:
        return float(self._values(name).max())

    @word
    def total(self, name: str) -> float:
        return float(self._values(name).sum())

    @word
    def mean(self, name: str) -> float:
        return float(self._values(name).mean())

    @word
    def median(self, name: str) -> float:
        return float(np.median(self._values(name)))

    @word
    def p90(self, name: str) -> float:
        return float(np.percentile(self._values(name), 90))

    @word
    def below(self, name: str, limit: float) -> float:
        """How many points lie below a limit."""
        return float((self._values(name) < limit).sum())

    @word
    def at_least(self, name: str, limit: float) -> float:
        """How many points lie at or above a limit."""
        return float((self._values(name) >= limit).sum())

    @word
    def at_most(self, name: str, limit: float) -> float:
        """How many points lie at or below a limit."""
        return float((self._values(name) <= limit).sum())

    @word
    def within(self, name: str, low: float, high: float) -> float:
        """How many points lie between two limits, both included."""
        values = self._values(name)
        return float(((values >= low) & (values <= high)).sum())

    @word
    def fresh(self, name: str) -> float:
        """How many points take part."""
        return float(len(self._values(name)))

    @word
    def zone_below(self, name: str, limit: float) -> float:
        """The most points of one zone that lie below a limit together."""
        points = self._points(name)
        rows = points.taking_part & (points.zone >= 0) & (points.value < limit)
        return float(np.bincount(points.zone[rows]).max(initial=0))

    @word
    def devices_within(self, *asked: Any) -> float:  # noqa: ANN401 - name, low, high, name, low, high …
        """How many devices lie within the limits of every input that is named, both limits included."""
        sound: set[int] | None = None
        for name, low, high in zip(asked[::3], asked[1::3], asked[2::3], strict=True):
            points = self._points(name)
            good = points.taking_part & (points.value >= low) & (points.value <= high)
            found = set(points.device[good].tolist())
            sound = found if sound is None else sound & found
        return float(len(sound or ()))

    @word
    def devices_reaching(self, *asked: Any) -> float:  # noqa: ANN401 - name, limit, name, limit …
        """How many devices reach the limit of any input that is named."""
        found: set[int] = set()
        for name, limit in zip(asked[::2], asked[1::2], strict=True):
            points = self._points(name)
            found |= set(points.device[points.taking_part & (points.value >= limit)].tolist())
        return float(len(found))

    # points over steps of time

    @word
    def night_excess(self, name: str, begin_h: float, end_h: float) -> float:
        """By how much of its base the least flow between two hours of last night lies above it, over all zones."""
        found = self._series(name)
        local_us = found.begin_us + self.offset_us
        excess = series.night_excess(series.nights(local_us, found.steps, found.zone, begin_h, end_h))
        self._unknown |= math.isnan(excess)
        return excess

    @word
    def steps_above_today(self, name: str, beside: str, limit: float) -> float:
        """In how many steps of the city's day, over all points, one lay more than `limit` over the mean of `beside`."""
        found, level = self._series(name), self._series(beside)
        midnight = (self.now_us + self.offset_us) // DAY_US * DAY_US
        local_us = found.begin_us + self.offset_us
        return float(series.steps_above(local_us, midnight, found.steps, level.steps, limit))

    @word
    def lag_median_s(self, name: str, below: float, leading: str, leading_below: float) -> float:
        """The median of the spans from `leading` falling below a limit to a point falling below its own."""
        lags = self._lags(name, below, leading, leading_below)
        return float(np.median(lags)) if len(lags) else math.nan

    @word
    def lag_highest_s(self, name: str, below: float, leading: str, leading_below: float) -> float:
        """The longest of these spans."""
        return float(self._lags(name, below, leading, leading_below).max(initial=0.0))

    def _lags(self, name: str, below: float, leading: str, leading_below: float) -> NDArray[np.float64]:
        found, lead = self._series(name), self._series(leading)
        return series.lags_s(found.begin_us, found.steps, below, lead.steps, leading_below)

    @word
    def since_s(self, name: str, low: float, high: float) -> float:
        """Seconds since the end of the newest step in which a point lay within two limits."""
        found = self._series(name)
        seconds = series.since_s(found.begin_us, found.steps, low, high, self.now_us)
        self._unknown |= math.isnan(seconds)
        return seconds

    def _series(self, name: str) -> Series:
        found = self.inputs[name]
        if not isinstance(found, Series):
            raise TypeError(f"{name} has no steps")
        self._unknown |= not found.taking_part.any()
        return found

    # records

    @word
    def count(self, name: str) -> float:
        return float(len(self._records(name)))

    @word
    def with_level(self, name: str, level: float) -> float:
        """How many records stand at this level."""
        return float(sum(item.get("level") == int(level) for item in self._records(name)))

    @word
    def sum_of(self, name: str, field: str) -> float:
        """The sum of a number that the records bring; one that brings none adds nothing."""
        return float(sum(self._numbers(name, field)))

    @word
    def median_of(self, name: str, field: str) -> float:
        """The median of a number that the records bring; nothing to measure without any."""
        given = self._numbers(name, field)
        return float(np.median(given)) if given else math.nan

    @word
    def p90_of(self, name: str, field: str) -> float:
        """Nine in ten of the records bring no more than this."""
        given = self._numbers(name, field)
        return float(np.percentile(given, 90)) if given else math.nan

    def _numbers(self, name: str, field: str) -> list[float]:
        return [
            float(value) for item in self._records(name) if isinstance(value := item.get(field), int | float)
        ]

    @word
    def clusters(self, name: str, least: float, metres: float, seconds: float) -> float:
        """How many groups there are of `least` or more records of one `kind` near each other in place and time."""
        by_kind: dict[object, list[Mapping[str, Any]]] = {}
        for item in self._records(name):
            by_kind.setdefault(item.get("kind"), []).append(item)
        return float(sum(groups(items, int(least), metres, seconds) for items in by_kind.values()))

    @word
    def oldest_s(self, name: str) -> float:
        """Seconds since the oldest record began; 0 without records."""
        return max((self._age_s(item) for item in self._records(name)), default=0.0)

    @word
    def oldest_of_level_s(self, name: str, level: float) -> float:
        """The same among the records of one level."""
        return max((self._age_s(i) for i in self._records(name) if i.get("level") == int(level)), default=0.0)

    def _age_s(self, item: Mapping[str, Any]) -> float:
        return max(0.0, (self.now_us - int(item["at_us"])) / 1e6)

    # figures and devices

    @word
    def figure(self, name: str) -> float:
        found = self.inputs[name]
        if not isinstance(found, Figure):
            raise TypeError(f"{name} is no figure")
        if found.value is None:
            self._unknown = True
            return math.nan
        return float(found.value)

    @word
    def online(self, name: str) -> float:
        return float(self._installed(name).online)

    @word
    def installed(self, name: str) -> float:
        found = self._installed(name).total
        self._unknown |= found == 0
        return float(found)

    def _installed(self, name: str) -> Installed:
        found = self.inputs[name]
        if not isinstance(found, Installed):
            return Installed(1, 1) if isinstance(found, Figure) else Installed(0, 0)
        return found


def groups(items: Sequence[Mapping[str, Any]], least: int, metres: float, seconds: float) -> int:
    """How many groups records with `lon`, `lat` and `at_us` form.

    One that has `least` - 1 others within `metres` and `seconds` is the heart of a group; hearts near each other are of
    one group.
    """
    lonlat = np.array([(item["lon"], item["lat"]) for item in items], np.float64).reshape(-1, 2)
    xy = (
        lonlat * 111_320.0 * np.array([math.cos(math.radians(float(lonlat[:, 1].mean()))), 1.0])
        if items
        else lonlat
    )
    at_s = np.array([item["at_us"] for item in items], np.float64) / 1e6
    away = np.hypot(*(xy[:, None] - xy[None]).transpose(2, 0, 1))
    near = (away <= metres) & (np.abs(at_s[:, None] - at_s) <= seconds)
    left = set(np.flatnonzero(near.sum(axis=1) >= least).tolist())
    found = 0
    while left:
        found, reached = found + 1, {left.pop()}
        while reached:
            joined = set(np.flatnonzero(near[reached.pop()]).tolist()) & left
            left -= joined
            reached |= joined
    return found
