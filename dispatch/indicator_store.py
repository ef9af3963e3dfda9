"""Records of the evaluation from stored cases, and their report of a month."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.clock import to_datetime, to_us
from core.db import DictConnection
from dispatch import store
from dispatch.city import City
from dispatch.indicators import (
    BY_KEY,
    By,
    Grade,
    Period,
    Record,
    Standing,
    Value,
    frequent,
    grouped,
    league,
    value,
)
from dispatch.store import Row, us


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Reads what it compares; `provenances` are those that count (a demonstration scene counts its own)."""

    city: City
    provenances: Sequence[str] = ("real",)

    async def records(
        self, connection: DictConnection, period: Period, departments: Sequence[str] | None = None
    ) -> list[Record]:
        rows = await store.rows(
            connection, "indicator_cases", provenances=list(self.provenances),
            departments=list(departments) if departments else None,
            **{"from": to_datetime(period.from_us), "to": to_datetime(period.to_us)},
        )  # fmt: skip
        return [self._record(row) for row in rows]

    def _record(self, row: Row) -> Record:
        stages, calendar = self.city.rules.stages, self.city.calendar
        reported, times = to_us(row["created_at"]), row["times"]
        registered, handled, asked = (
            times.get("registered"),
            us(row["finished_at"]),
            us(row["verify_asked_at"]),
        )
        return Record(
            id=row["id"],
            number=row["number"],
            area=row["area"],
            lead=row["lead"] or "",
            code=row["code"],
            source=row["source"],
            state=row["state"],
            reported_us=reported,
            verify_asked_us=asked,
            verified_us=us(row["verified_at"]),
            registered_us=registered,
            dispatched_us=times.get("dispatched"),
            due_us=us(row["due_at"]),
            handled_us=handled,
            stopped_us=us(row["stopped_at"]),
            checked_us=us(row["checked_at"]),
            closed_us=us(row["closed_at"]),
            verify_due_us=None if asked is None else calendar.due_us(asked, stages.verify),
            register_due_us=calendar.due_us(reported, stages.register_),
            dispatch_due_us=None if registered is None else calendar.due_us(registered, stages.dispatch),
            check_due_us=None if handled is None else calendar.due_us(handled, stages.check),
            late=row["late"],
            exempt=row["exempt"],
            returns=row["returns"],
            reworks=row["reworks"],
            extensions=row["extensions"],
            suspensions=row["suspensions"],
            supervised=row["supervised"],
            forced=row["forced"],
            repeated=row["repeated"],
            satisfied=row["satisfied"],
            registered_by=row["registered_by"] or "",
            dispatched_by=row["dispatched_by"] or "",
            checked_by=row["checked_by"] or "",
        )

    async def table(
        self, connection: DictConnection, period: Period, by: By, departments: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Every indicator of every subject, with its counts."""
        records = await self.records(connection, period, departments)
        return [
            {"subject": subject, **{key: counts(value(i, group, period)) for key, i in BY_KEY.items()}}
            for subject, group in grouped(records, by).items()
        ]

    async def league(self, connection: DictConnection, period: Period, by: By) -> list[dict[str, Any]]:
        """晾晒台: subjects in order of their score."""
        found = self._league(await self.records(connection, period), period, by)
        return [_row(place, each) for place, each in enumerate(found, 1)]

    def _league(self, records: Sequence[Record], period: Period, by: By) -> list[Standing]:
        rules = self.city.rules.evaluation
        grades = [Grade(each.at_least, each.grade, each.colour) for each in rules.grades]
        return league(records, by, period, rules.weights, grades)

    async def cases(
        self, connection: DictConnection, period: Period, by: By, subject: str, key: str
    ) -> Value:
        """Which cases a figure is made of."""
        group = grouped(await self.records(connection, period), by).get(subject, [])
        return value(BY_KEY[key], group, period)

    async def report(self, connection: DictConnection, period: Period) -> dict[str, Any]:
        """The report of a period: the whole, departments, areas, posts, and what was reported most."""
        records = await self.records(connection, period)
        return {
            "from": to_datetime(period.from_us),
            "to": to_datetime(period.to_us),
            "provenances": list(self.provenances),
            "all": {key: counts(value(i, records, period)) for key, i in BY_KEY.items()},
            **{
                by.value: [_row(n, each) for n, each in enumerate(self._league(records, period, by), 1)]
                for by in (By.DEPARTMENT, By.AREA, By.ACCEPTOR, By.DISPATCHER, By.CHECKER)
            },
            "frequent": [
                {
                    "code": code,
                    "name": self.city.codes[code].name if code in self.city.codes else code,
                    "n": n,
                }
                for code, n in frequent(records, period)
            ],
        }


def counts(found: Value) -> dict[str, Any]:
    """A figure: how many of how many, and the rate; a count has no rate."""
    return {
        "n": len(found.numerator),
        "of": None if found.count else len(found.denominator),
        "rate": found.rate,
    }


def _row(place: int, each: Standing) -> dict[str, Any]:
    return {
        "place": place, "subject": each.subject, "score": each.score, "grade": each.grade, "colour": each.colour,
        **{key: counts(found) for key, found in each.values.items()},
    }  # fmt: skip
