"""Routes of the evaluation: figures that open the cases they are made of, the league table, the report of a month."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.clock import to_datetime, to_us
from core.errors import Invalid
from core.http import Allow
from dispatch import store
from dispatch.actions import Actions
from dispatch.edge_api import At
from dispatch.indicator_store import Evaluation
from dispatch.indicators import BY_KEY, By, Period

READ = Depends(Allow("indicator.read"))
#: What counts where a demonstration scene runs; a real city counts what is real.
SCENE = ("real", "recorded", "simulated")


class Asked(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    since: Annotated[AwareDatetime | None, Field(alias="from")] = None
    until: Annotated[AwareDatetime | None, Field(alias="to")] = None
    by: By = By.DEPARTMENT
    provenance: str | None = None


class OneFigure(Asked):
    subject: str
    part: Literal["numerator", "denominator"] = "numerator"


def add_indicator_routes(routes: APIRouter, actions: Actions) -> None:
    def evaluation(asked: Asked) -> Evaluation:
        counted = tuple(asked.provenance.split(",")) if asked.provenance else SCENE
        return Evaluation(actions.city, counted)

    def period(asked: Asked, at: At) -> Period:
        """The month so far of the city where nothing else is asked for."""
        local = to_datetime(at.now_us).astimezone(actions.zone)
        begin = asked.since or local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        end = asked.until or to_datetime(at.now_us)
        if begin >= end:
            raise Invalid(field="from")
        return Period(to_us(begin), to_us(end))

    @routes.get("/indicators", dependencies=[READ])
    async def table(at: At, asked: Annotated[Asked, Query()]) -> Response:
        own = sorted(at.actor.departments) or None
        async with at.database.transaction() as connection:
            items = await evaluation(asked).table(connection, period(asked, at), asked.by, own)
        named = {key: {part: word(at, f"{key}.{part}") for part in ("name", "formula")} for key in BY_KEY}
        return at.json(
            {"items": items, "next": None, "indicators": named, "should_be": word(at, "should_be")}
        )

    @routes.get("/indicators/{key}/cases", dependencies=[READ])
    async def made_of(key: str, at: At, asked: Annotated[OneFigure, Query()]) -> Response:
        if key not in BY_KEY:
            raise Invalid(field="key")
        async with at.database.transaction() as connection:
            found = await evaluation(asked).cases(connection, period(asked, at), asked.by, asked.subject, key)
            ids = list(found.numerator if asked.part == "numerator" else found.denominator)
            rows = await store.rows(connection, "numbers_of", ids=ids)
        return at.json({"items": rows, "next": None})

    @routes.get("/league", dependencies=[READ])
    async def league(at: At, asked: Annotated[Asked, Query()]) -> Response:
        async with at.database.transaction() as connection:
            items = await evaluation(asked).league(connection, period(asked, at), asked.by)
        return at.json({"items": items, "next": None})

    @routes.get("/reports/monthly", dependencies=[READ])
    async def monthly(
        at: At, month: Annotated[str, Query(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")],
        form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json", provenance: str | None = None,
    ) -> Response:  # fmt: skip
        begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=actions.zone)
        end = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
        asked = Asked(provenance=provenance)
        async with at.database.transaction() as connection:
            report = await evaluation(asked).report(connection, Period(to_us(begin), to_us(end)))
        if form == "json":
            return at.json({"month": month, **report})
        return Response(as_csv(report, at), media_type="text/csv; charset=utf-8")


def word(at: At, key: str) -> str:
    return at.texts(f"indicator.{key}", at.language)


def as_csv(report: dict[str, object], at: At) -> str:
    """One row a subject, with n, of and rate of each indicator; with the mark by which Excel knows UTF-8."""
    out = io.StringIO()
    out.write("\ufeff")
    writer = csv.writer(out)
    names = [at.texts(f"indicator.{key}.name", at.language) for key in BY_KEY]
    writer.writerow(
        ["by", "subject", "score", "grade", *(f"{n} {part}" for n in names for part in ("n", "of", "rate"))]
    )
    for by in (By.DEPARTMENT, By.AREA, By.ACCEPTOR, By.DISPATCHER, By.CHECKER):
        rows = report[by.value]
        assert isinstance(rows, list)
        for row in rows:
            figures = [row[key][part] for key in BY_KEY for part in ("n", "of", "rate")]
            writer.writerow([by.value, row["subject"], row["score"], row["grade"], *figures])
    return out.getvalue()
