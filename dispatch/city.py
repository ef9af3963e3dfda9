"""What a city decides about its case loop: calendar, limits of codes and stages, approvals, escalation.

Shipped as the data of one example city in `data/`; a real city replaces the files.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from core import yamlfile
from core.actor import Actor
from core.errors import Invalid, NotAllowed
from core.schema import Declared, Key, Span
from dispatch.cases import Application, Asked, Case
from dispatch.limits import Limit, LimitUnit, WorkCalendar

DATA = Path(__file__).with_name("data")
_PERIOD = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")
_CSV_LIMIT = re.compile(r"(\d+)(紧急工作时|紧急工作日|小时|天)")
_CSV_UNIT = {
    "紧急工作时": LimitUnit.URGENT_HOUR,
    "紧急工作日": LimitUnit.NATURAL_DAY,
    "小时": LimitUnit.WORK_HOUR,
    "天": LimitUnit.WORK_DAY,
}


class CalendarRules(Declared):
    periods: Annotated[list[str], Field(min_length=1)]
    days_on: list[date] = []
    days_off: list[date] = []

    @field_validator("periods")
    @classmethod
    def _sound(cls, value: list[str]) -> list[str]:
        minutes = [minute for period in value for minute in _minutes(period)]
        if minutes != sorted(set(minutes)):
            raise ValueError("periods must follow each other without overlap")
        return value

    def calendar(self, zone: ZoneInfo) -> WorkCalendar:
        periods = tuple(_minutes(period) for period in self.periods)
        return WorkCalendar(zone, periods, frozenset(self.days_on), frozenset(self.days_off))


def _minutes(period: str) -> tuple[int, int]:
    found = _PERIOD.fullmatch(period)
    if not found:
        raise ValueError(f"{period} is not a period such as 08:00-12:00")
    hours = [int(part) for part in found.groups()]
    start, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if not start < end <= 1440:
        raise ValueError(f"{period} must begin before it ends, and end by 24:00")
    return start, end


class Stages(Declared):
    verify: Limit
    register_: Limit = Field(alias="register")
    dispatch: Limit
    check: Limit


class Approval(Declared):
    """Who may decide an application; `at_most` is a share of the limit, absent = any amount."""

    kind: Asked
    roles: Annotated[list[Key], Field(min_length=1)]
    at_most: float | None = None
    reviewers: Annotated[int, Field(ge=1, le=2)] = 1


class Escalation(Declared):
    """At `share` of the limit these are told: `department`, or `role:…`."""

    share: Annotated[float, Field(gt=0, le=10)]
    to: Annotated[list[str], Field(min_length=1)]


class Page(Declared):
    """An incident of this level that nobody acknowledged `after` so long pages `to`."""

    level: Annotated[int, Field(ge=1, le=4)]
    after: Span
    to: str


class CommandRules(Declared):
    """Which device kinds may be commanded, and which belong to a utility that is asked."""

    own: list[Key] = []
    utility: list[Key] = []
    utility_allowed: bool = False


class NearDuplicate(Declared):
    within_m: Annotated[float, Field(gt=0)]
    within: Span


class CityRules(Declared):
    """The content of `data/rules.yaml`."""

    calendar: CalendarRules
    yellow_share: Annotated[float, Field(gt=0, lt=1)]
    stages: Stages
    default_limit: Limit
    approvals: list[Approval]
    escalation: list[Escalation]
    unacknowledged: list[Page] = []
    commands: CommandRules = CommandRules()
    near_duplicate: NearDuplicate


@dataclass(frozen=True, slots=True)
class Code:
    """A case code of the city's list: `event/0501` 供水管道破裂, with its limits, the shortest condition first."""

    code: str
    major: str
    name: str
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class City:
    """Rules, calendar and codes, ready for use."""

    rules: CityRules
    calendar: WorkCalendar
    codes: Mapping[str, Code]

    def limit_of(self, code: str) -> Limit:
        """The first limit that the list gives for a code, else the city's default."""
        known = self.codes.get(code)
        return known.limits[0] if known and known.limits else self.rules.default_limit

    def known(self, code: str) -> str:
        """The code itself. Raises `Invalid` when the city's list does not hold it."""
        if code not in self.codes:
            raise Invalid("dispatch.error.unknown_code", field="code", code=code)
        return code

    def approval(self, case: Case, application: Application) -> Approval:
        """The row of the matrix that an application falls under. Raises `Invalid` when there is none."""
        share = application.amount / case.part(application.department).clock.limit.amount
        for row in self.rules.approvals:
            if row.kind == application.kind and (row.at_most is None or share <= row.at_most):
                return row
        raise Invalid("dispatch.error.no_approver", field="application", kind=application.kind)

    def require_approver(self, case: Case, application: Application, actor: Actor) -> Approval:
        """Raises `NotAllowed` when the matrix names none of the actor's roles."""
        row = self.approval(case, application)
        if not actor.roles & {*row.roles}:
            raise NotAllowed("dispatch.error.not_approver", action="case.decide", roles=", ".join(row.roles))
        return row


def load(zone: ZoneInfo, folder: Path = DATA) -> City:
    """Read a city's rules and codes. Raises `core.yamlfile.Mistakes`."""
    document = yamlfile.read(folder / "rules.yaml", f"{folder.name}/rules.yaml")
    rules = yamlfile.parse(document, CityRules)
    return City(rules, rules.calendar.calendar(zone), read_codes(folder / "case_codes.csv"))


def read_codes(path: Path) -> dict[str, Code]:
    """Codes by `kind/major+minor`. Limits keep the order of the file: its first condition is the most urgent."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    codes = {}
    for row in rows:
        code = f"{row['kind']}/{row['major']}{row['minor']}"
        limits = tuple(
            Limit(amount=float(amount), unit=_CSV_UNIT[unit])
            for amount, unit in _CSV_LIMIT.findall(row["handling_limits"])
        )
        codes[code] = Code(code, row["major_name"], row["name"], limits)
    return codes
