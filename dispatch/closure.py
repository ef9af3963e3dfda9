"""Sensor-verified closure: do the case's own sensors agree that it is over?

Pure: what a plan declares under `close:` is compared with what the points said. A reading that objects is named
with device, channel, value, limit and time. A silent point cannot agree; one that has not spoken since the work
ended is waited for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from core.clock import rfc3339
from core.schema import Declared, Key, Span
from dispatch.incident import Sample, Series, Standing


class SensorCondition(Declared):
    """What one channel must say. Exactly one of the comparisons.

    `param` names a set value of the device that replaces the number where the device has it. `within` of the usual
    value of this hour is absolute, `share` relative. `hold`: while the case is watched, a violation shorter than this
    does not object; who reports it finished is asked what the points say at that very moment.
    """

    channel: Key
    kinds: list[Key] = []
    at_most: float | None = None
    at_least: float | None = None
    equals: float | None = None
    within: Annotated[float | None, Field(gt=0)] = None
    share: Annotated[float | None, Field(gt=0)] = None
    param: str = ""
    plus: float = 0.0
    hold: Span = 0.0

    @model_validator(mode="after")
    def _one(self) -> SensorCondition:
        named = [
            name
            for name in ("at_most", "at_least", "equals", "within", "share")
            if getattr(self, name) is not None
        ]
        if len(named) != 1:
            raise ValueError("needs exactly one of at_most, at_least, equals, within, share")
        return self

    def concerns(self, series: Series) -> bool:
        return series.channel == self.channel and (not self.kinds or series.kind in self.kinds)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The range that a point must be in; `comparison` is how a person reads it."""

    low: float
    high: float
    comparison: str
    limit: float | None

    def broken_by(self, value: float) -> bool:
        return not self.low <= value <= self.high


INFINITE = float("inf")
#: The comparison of a point that only its own alert judges.
ALERT = "alert"


@dataclass(frozen=True, slots=True)
class Objection:
    """A sensor that does not agree.

    `value` None: it has not spoken since `time_us`. `comparison` is `alert` where no condition judges the point but its
    own alert still stands.
    """

    device: str
    name: dict[str, str]
    channel: str
    unit: str
    value: float | None
    comparison: str
    limit: float | None
    time_us: int | None

    def shown(self) -> dict[str, object]:
        """As the API and the problem document show it."""
        return {
            "device": self.device,
            "name": self.name,
            "channel": self.channel,
            "unit": self.unit,
            "value": self.value,
            "comparison": self.comparison,
            "limit": self.limit,
            "time": None if self.time_us is None else rfc3339(self.time_us),
        }


def bounds(condition: SensorCondition, series: Series) -> Bounds | None:
    """The range that a condition means for a point; None when it needs a usual value and none is known yet."""
    override = series.params.get(condition.param) if condition.param else None
    own = float(override) + condition.plus if isinstance(override, int | float) else None
    if condition.at_most is not None:
        limit = condition.at_most if own is None else own
        return Bounds(-INFINITE, limit, "<=", limit)
    if condition.at_least is not None:
        limit = condition.at_least if own is None else own
        return Bounds(limit, INFINITE, ">=", limit)
    if condition.equals is not None:
        return Bounds(condition.equals, condition.equals, "=", condition.equals)
    if series.usual is None:
        return None
    reach = condition.within if condition.within is not None else abs(series.usual) * (condition.share or 0.0)
    return Bounds(series.usual - reach, series.usual + reach, f"±{reach:.4g}", round(series.usual, 4))


Conditions = Sequence[SensorCondition]
Watched = tuple[Series, SensorCondition, Bounds]


def watched(conditions: Conditions, points: Sequence[Series]) -> Iterator[Watched]:
    """Every point that a condition concerns, with the range it must be in."""
    for series in points:
        for condition in conditions:
            limit = bounds(condition, series) if condition.concerns(series) else None
            if limit is not None:
                yield series, condition, limit


def objections(conditions: Conditions, points: Sequence[Series], now_us: int) -> list[Objection]:
    """Who objects now: the newest reading of a point breaks its limit, however short that has been so."""
    return [
        *_silent(conditions, points, now_us),
        *(
            _objection(series, limit, series.samples[-1].value, series.samples[-1])
            for series, _, limit in watched(conditions, points)
            if _speaks(series, now_us) and limit.broken_by(series.samples[-1].value)
        ),
    ]


def objections_within(
    conditions: Conditions, points: Sequence[Series], from_us: int, now_us: int
) -> list[Objection]:
    """Who objected since `from_us` for longer than the condition's `hold`, or is silent now."""
    found = _silent(conditions, points, now_us)
    seen = {(each.device, each.channel) for each in found}
    for series, condition, limit in watched(conditions, points):
        broke = _broken_run(series, limit, from_us, now_us, condition.hold)
        if broke and (series.device, series.channel) not in seen:
            found.append(_objection(series, limit, broke.value, broke))
            seen.add((series.device, series.channel))
    return found


def _speaks(series: Series, now_us: int) -> bool:
    return bool(series.samples) and now_us - series.samples[-1].time_us <= 1e6 * series.silent_after_s


def _silent(conditions: Conditions, points: Sequence[Series], now_us: int) -> list[Objection]:
    """Points that cannot agree because they say nothing."""
    return [
        _objection(series, limit, None, series.samples[-1] if series.samples else None)
        for series, _, limit in watched(conditions, points)
        if not _speaks(series, now_us)
    ]


def not_yet_heard(conditions: Conditions, points: Sequence[Series], from_us: int) -> list[str]:
    """Devices that have said nothing since `from_us`: the observation waits for them."""
    return sorted(
        {
            series.device
            for series, _, _ in watched(conditions, points)
            if not series.samples or series.samples[-1].time_us <= from_us
        }
    )


def unjudged(
    conditions: Conditions, points: Sequence[Series], standing: Sequence[Standing]
) -> list[Objection]:
    """Points that no condition can judge, but whose own alert still stands: one objection a point.

    So nothing closes over a standing alert where a plan names no condition for it, or its usual value is not known yet.
    """
    judged = {(series.device, series.channel) for series, _, _ in watched(conditions, points)}
    known = {(series.device, series.channel): series for series in points}
    first = {(each.device, each.channel): each for each in reversed(standing)}
    return [_by_alert(each, known.get(point)) for point, each in sorted(first.items()) if point not in judged]


def _by_alert(alert: Standing, series: Series | None) -> Objection:
    if series is None or not series.samples:
        return Objection(alert.device, {}, alert.channel, "", alert.value, ALERT, alert.limit, alert.since_us)
    return _objection(
        series, Bounds(-INFINITE, INFINITE, ALERT, alert.limit), series.samples[-1].value, series.samples[-1]
    )


def _broken_run(series: Series, limit: Bounds, from_us: int, now_us: int, hold_s: float) -> Sample | None:
    """The first violation since `from_us` that lasted `hold_s`, None when none did."""
    began: Sample | None = None
    for sample in series.samples:
        if sample.time_us < from_us:
            continue
        if not limit.broken_by(sample.value):
            if began and (sample.time_us - began.time_us) / 1e6 > hold_s:
                return began
            began = None
        elif began is None:
            began = sample
    return began if began and (now_us - began.time_us) / 1e6 >= hold_s else None


def _objection(series: Series, limit: Bounds, value: float | None, last: Sample | None) -> Objection:
    return Objection(
        series.device,
        dict(series.name),
        series.channel,
        series.unit,
        value,
        limit.comparison,
        limit.limit,
        None if last is None else last.time_us,
    )
