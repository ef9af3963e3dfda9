"""Evaluation (综合评价): indicators of cases with numerator and denominator, by area, department and post. Pure.

Formulas after the metric definitions of one working city system (research notes, §6). "Should be" in a period means:
its limit expired within the period, or it was done within it. An exemption that an appeal won takes a case out of
"late" here; the raw fact stays in the case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Record:
    """A case as the evaluation sees it. Times in µs, None = it has not happened."""

    id: str
    number: str
    area: str
    lead: str
    code: str
    source: str
    state: str
    reported_us: int
    verify_asked_us: int | None = None
    verified_us: int | None = None
    registered_us: int | None = None
    dispatched_us: int | None = None
    due_us: int | None = None
    handled_us: int | None = None
    stopped_us: int | None = None
    checked_us: int | None = None
    closed_us: int | None = None
    verify_due_us: int | None = None
    register_due_us: int | None = None
    dispatch_due_us: int | None = None
    check_due_us: int | None = None
    late: bool = False
    exempt: bool = False
    returns: int = 0
    reworks: int = 0
    extensions: int = 0
    suspensions: int = 0
    supervised: int = 0
    forced: bool = False
    repeated: bool = False
    satisfied: bool | None = None
    registered_by: str = ""
    dispatched_by: str = ""
    checked_by: str = ""

    @property
    def counts_late(self) -> bool:
        return self.late and not self.exempt


@dataclass(frozen=True, slots=True)
class Period:
    """[from, to) in µs."""

    from_us: int
    to_us: int

    def has(self, moment: int | None) -> bool:
        return moment is not None and self.from_us <= moment < self.to_us


Chosen = Callable[[Record, Period], bool]


@dataclass(frozen=True, slots=True)
class Indicator:
    """`of` chooses the denominator, `good` which of those are in the numerator. A count has no denominator."""

    key: str
    of: Chosen
    good: Chosen
    count: bool = False


def _reported(r: Record, p: Period) -> bool:
    return p.has(r.reported_us)


def _done_or_due(done_us: int | None, due_us: int | None, p: Period) -> bool:
    """Done within the period, or due within it."""
    return p.has(done_us) or (p.has(due_us) and (done_us is None or done_us >= p.from_us))


def _should_be_handled(r: Record, p: Period) -> bool:
    stood = r.handled_us is None and r.stopped_us is not None
    return r.state != "void" and not stood and _done_or_due(r.handled_us, r.due_us, p)


def _should_be_closed(r: Record, p: Period) -> bool:
    return r.state != "void" and r.registered_us is not None and _done_or_due(r.closed_us, r.due_us, p)


def _in_time(done_us: int | None, due_us: int | None, p: Period) -> bool:
    return p.has(done_us) and (due_us is None or (done_us is not None and done_us <= due_us))


def _valid(r: Record, _: Period) -> bool:
    return r.state not in ("refused", "void")


def _handled(r: Record, p: Period) -> bool:
    return p.has(r.handled_us)


INDICATORS: tuple[Indicator, ...] = (
    Indicator("register_rate", _reported, lambda r, _: r.registered_us is not None),
    Indicator("valid_report_rate", _reported, _valid),
    Indicator(
        "register_in_time",
        lambda r, p: p.has(r.registered_us),
        lambda r, p: _in_time(r.registered_us, r.register_due_us, p),
    ),
    Indicator(
        "verify_in_time",
        lambda r, p: r.verify_asked_us is not None and _done_or_due(r.verified_us, r.verify_due_us, p),
        lambda r, p: _in_time(r.verified_us, r.verify_due_us, p),
    ),
    Indicator(
        "dispatch_in_time",
        lambda r, p: r.registered_us is not None and _done_or_due(r.dispatched_us, r.dispatch_due_us, p),
        lambda r, p: _in_time(r.dispatched_us, r.dispatch_due_us, p),
    ),
    Indicator("dispatch_right", lambda r, p: p.has(r.dispatched_us), lambda r, _: r.returns == 0),
    Indicator("handle_rate", _should_be_handled, _handled),
    Indicator("handle_in_time", _should_be_handled, lambda r, p: _handled(r, p) and not r.counts_late),
    Indicator(
        "check_in_time",
        lambda r, p: r.handled_us is not None and _done_or_due(r.checked_us, r.check_due_us, p),
        lambda r, p: _in_time(r.checked_us, r.check_due_us, p),
    ),
    Indicator("close_rate", _should_be_closed, lambda r, p: p.has(r.closed_us)),
    Indicator("close_in_time", _should_be_closed, lambda r, p: p.has(r.closed_us) and not r.counts_late),
    Indicator("close_late", _should_be_closed, lambda r, p: p.has(r.closed_us) and r.counts_late),
    Indicator(
        "open_rate", _reported, lambda r, _: r.closed_us is None and r.state not in ("refused", "void")
    ),
    Indicator("rework_rate", _handled, lambda r, _: r.reworks > 0),
    Indicator("rework_free", _handled, lambda r, _: r.reworks == 0),
    Indicator(
        "satisfied_rate",
        lambda r, p: p.has(r.closed_us) and r.satisfied is not None,
        lambda r, _: r.satisfied is True,
    ),
    Indicator("repeated_rate", _reported, lambda r, _: r.repeated),
    Indicator("supervised", _reported, lambda r, _: r.supervised > 0, count=True),
    Indicator("suspended", _reported, lambda r, _: r.suspensions > 0, count=True),
    Indicator("returned", _reported, lambda r, _: r.returns > 0, count=True),
    Indicator("extended", _reported, lambda r, _: r.extensions > 0, count=True),
    Indicator("forced", _reported, lambda r, _: r.forced, count=True),
)
BY_KEY = {indicator.key: indicator for indicator in INDICATORS}


class By(StrEnum):
    """What is compared: the whole, places, departments, or posts."""

    ALL = "all"
    AREA = "area"
    DEPARTMENT = "department"
    ACCEPTOR = "acceptor"
    DISPATCHER = "dispatcher"
    CHECKER = "checker"


_SUBJECT: Mapping[By, Callable[[Record], str]] = {
    By.ALL: lambda _: "all",
    By.AREA: lambda r: r.area,
    By.DEPARTMENT: lambda r: r.lead,
    By.ACCEPTOR: lambda r: r.registered_by,
    By.DISPATCHER: lambda r: r.dispatched_by,
    By.CHECKER: lambda r: r.checked_by,
}


@dataclass(frozen=True, slots=True)
class Value:
    """Which cases are in the numerator and which in the denominator; the rate is None without any."""

    numerator: tuple[str, ...]
    denominator: tuple[str, ...]
    count: bool

    @property
    def rate(self) -> float | None:
        return len(self.numerator) / len(self.denominator) if self.denominator and not self.count else None


def value(indicator: Indicator, records: Iterable[Record], period: Period) -> Value:
    chosen = [record for record in records if indicator.of(record, period)]
    good = [record.id for record in chosen if indicator.good(record, period)]
    return Value(tuple(good), tuple(record.id for record in chosen), indicator.count)


def grouped(records: Iterable[Record], by: By) -> dict[str, list[Record]]:
    """Records of each subject; those without one are left out."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        subject = _SUBJECT[by](record)
        if subject:
            groups.setdefault(subject, []).append(record)
    return dict(sorted(groups.items()))


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of the league table (晾晒台). `score` of 100 points; indicators without cases do not count."""

    subject: str
    values: Mapping[str, Value]
    score: float | None
    grade: str
    colour: str


@dataclass(frozen=True, slots=True)
class Grade:
    at_least: float
    grade: str
    colour: str


def league(
    records: Sequence[Record], by: By, period: Period, weights: Mapping[str, float], grades: Sequence[Grade]
) -> list[Standing]:
    """All subjects, the best first; those without a score last."""
    table = [
        standing(subject, {key: value(i, group, period) for key, i in BY_KEY.items()}, weights, grades)
        for subject, group in grouped(records, by).items()
    ]
    return sorted(table, key=lambda row: (row.score is None, -(row.score or 0.0), row.subject))


def standing(
    subject: str, values: Mapping[str, Value], weights: Mapping[str, float], grades: Sequence[Grade]
) -> Standing:
    """The weighted mean of the rates that have cases, in points of 100."""
    known = {key: rate for key in weights if (rate := values[key].rate) is not None}
    total = sum(weights[key] for key in known)
    score = sum(weights[key] * rate for key, rate in known.items()) * 100 / total if total else None
    found = next((grade for grade in grades if score is not None and score >= grade.at_least), None)
    return Standing(subject, values, score, found.grade if found else "", found.colour if found else "")


def frequent(records: Iterable[Record], period: Period, most: int = 5) -> list[tuple[str, int]]:
    """高发案件: the codes reported most in the period."""
    counts: dict[str, int] = {}
    for record in records:
        if _reported(record, period):
            counts[record.code] = counts.get(record.code, 0) + 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
