"""The one evaluator of vital signs. Pure: inputs in, a reading out; 2 µs an expression.

What is unknown is not good: below 75 % coverage there is no colour, below 50 % no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.clock import MINUTE_US
from dashboard.vitals.declare import Vital
from dashboard.vitals.usual import Usual
from dashboard.vitals.words import Input, Nothing, Points, Unknown, Words

#: `empty`: everything is known, and there was nothing to measure (no case was due): neither good nor bad.
State = Literal["ok", "low_coverage", "stale", "no_data", "empty"]
#: Below these shares of points that take part a colour, and a value, may not be shown.
COLOUR_COVERAGE, VALUE_COVERAGE = 0.75, 0.5


@dataclass(frozen=True, slots=True)
class Reading:
    """What a vital is at an instant; `level` is that of the worst band that holds, before any hold-off."""

    key: str
    value: float | None
    level: int
    state: State
    coverage: tuple[int, int]
    confidence: float
    as_of_us: int | None
    z: float = 0.0
    parts: tuple[float, float] | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    place: int | None = None


def evaluate(vital: Vital, words: Words, usual: Usual | None) -> Reading:
    """Evaluate one vital over the inputs that `words` uses now. Pure; 2 µs an expression."""
    inputs = words.inputs
    n, total = coverage(inputs)
    share = n / total if total else 0.0 if installed_nowhere(inputs) else 1.0
    as_of = newest(inputs)
    if share < VALUE_COVERAGE:
        return Reading(vital.key, None, 0, "no_data", (n, total), share, as_of)
    try:
        figures = {name: words.run(program) for name, program in vital.figures.items()}
        words.known |= figures
        value = words.run(vital.value)
        parts = (words.run(vital.parts[0]), words.run(vital.parts[1])) if vital.parts else None
    except Nothing:
        return Reading(vital.key, None, 0, "empty", (n, total), share, as_of)
    except Unknown:
        return Reading(vital.key, None, 0, "no_data", (n, total), 0.0, as_of)
    z = usual.z(value, floor_of(vital)) if usual else 0.0
    words.known |= {"value": value, "z": z, "usual": usual.median if usual and usual.learned else value}
    covered = share >= COLOUR_COVERAGE
    level = next((level for level, band in sorted(vital.bands.items()) if covered and _holds(words, band)), 0)
    sub = vital.decl.sub
    named = inputs.get(sub.place) if sub else None
    place = named.at(sub.at) if sub and isinstance(named, Points) else None
    state: State = "ok" if covered else "low_coverage"
    return Reading(vital.key, value, level, state, (n, total), share, as_of, z, parts, figures, place)


def _holds(words: Words, band: Any) -> bool:  # noqa: ANN401 - a compiled expression
    try:
        return bool(words.run(band))
    except Unknown:
        return False


def floor_of(vital: Vital) -> float:
    """The least spread that counts: half of the last digit that is shown."""
    return 0.5 * 10.0**-vital.decl.digits


def coverage(inputs: Mapping[str, Input]) -> tuple[int, int]:
    """(points that take part, points there are) of the input that is covered worst."""
    found = [each.coverage for each in inputs.values() if isinstance(each, Points)]
    return min(found, key=lambda pair: pair[0] / pair[1] if pair[1] else 0.0, default=(0, 0))


def installed_nowhere(inputs: Mapping[str, Input]) -> bool:
    """Whether an input asks for points of which the city has none at all."""
    return any(isinstance(each, Points) and not len(each.device) for each in inputs.values())


def newest(inputs: Mapping[str, Input]) -> int | None:
    times = [each.newest_us for each in inputs.values() if isinstance(each, Points)]
    known = [moment for moment in times if moment is not None]
    return max(known) if known else None


@dataclass(slots=True)
class Held:
    """The colour that is shown: it rises at once and falls after the better band has held for `HOLD_US`."""

    level: int = 0
    better_since_us: int | None = None

    HOLD_US = 10 * MINUTE_US

    def show(self, level: int, now_us: int) -> int:
        """The level to show, given the one that holds now (0 none, 1 worst)."""
        if self.level == 0 or (level and level <= self.level):
            self.level, self.better_since_us = level, None
        elif self.better_since_us is None:
            self.better_since_us = now_us
        elif now_us - self.better_since_us >= self.HOLD_US:
            self.level, self.better_since_us = level, None
        return self.level
