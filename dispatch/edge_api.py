"""What all routes of this room need of a request, once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.actor import NOBODY, Actor
from core.db import Database, DictConnection
from core.http import (
    Act,
    Db,
    Json,
    Lang,
    Limit,
    Moment,
    Now,
    act,
    bbox,
    decode_cursor,
    levels,
)
from core.text import Texts
from dispatch.views import Filter, Shown
from dispatch.words import render

Longitude = Annotated[float, Field(ge=-180, le=180)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Word = Annotated[str, Field(max_length=200)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Page(BaseModel):
    """Query parameters of the lists."""

    model_config = ConfigDict(populate_by_name=True)

    state: str | None = None
    level: str | None = None
    provenance: str | None = None
    domain: str | None = None
    incident: str | None = None
    case: str | None = None
    crew: str | None = None
    bbox: str | None = None
    since: Annotated[Moment, Field(alias="from")] = None
    until: Annotated[Moment, Field(alias="to")] = None
    limit: Limit = 100
    cursor: str | None = None

    def filter(self, actor: Actor) -> Filter:
        """What is asked for, inside what the actor may see."""
        return Filter(
            state=self.state.split(",") if self.state else None,
            domain=self.domain,
            level=levels(self.level),
            provenance=self.provenance,
            incident=self.incident,
            case=self.case,
            crew=self.crew,
            departments=sorted(actor.departments) or None,
            areas=sorted(actor.areas) or None,
            since=self.since,
            until=self.until,
            bbox=bbox(self.bbox),
            before=decode_cursor(self.cursor),
            limit=self.limit + 1,
        )


def next_key(shown: Shown) -> tuple[datetime, str]:
    return shown["created_at"], shown["id"]


@dataclass(frozen=True, slots=True)
class Edge:
    """What every route here needs of a request."""

    request: Request
    actor: Actor
    database: Database
    now_us: int
    language: str
    texts: Texts

    def json(self, value: object) -> Response:
        return Json(render(value, self.texts, self.language))

    async def act(self, actor: Actor, key: str | None, body: BaseModel, do: Act) -> Response:
        """Do it once for its idempotency key, and answer in the asker's language."""

        async def rendered(connection: DictConnection) -> object:
            return render(await do(connection), self.texts, self.language)

        return await act(self.request, actor, rendered, key, body.model_dump())


def edge(request: Request, db: Db, now: Now, lang: Lang) -> Edge:
    actor: Actor = getattr(request.state, "actor", NOBODY)
    return Edge(request, actor, db, now.now_us(), lang, request.state.texts)


At = Annotated[Edge, Depends(edge)]
