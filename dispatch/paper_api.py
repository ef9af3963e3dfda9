"""Routes of requests, directives, bulletins, warnings and permits, which are all alike, and of commands."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from core.actor import Actor
from core.clock import to_us
from core.db import DictConnection
from core.http import Allow, IdempotencyKey, page
from core.people_store import named
from dispatch import paper_store, store
from dispatch.actions import Actions
from dispatch.commands import Command
from dispatch.edge_api import At, Body, Latitude, Longitude, Page, Word, next_key
from dispatch.paper_actions import NewPaper, PaperActions, addressed, shown, shown_command
from dispatch.papers import Change, PaperKind

Text = Annotated[str, Field(max_length=20_000)]
Level = Annotated[int, Field(ge=1, le=4)]
#: kind → its list in the API.
PATHS = {kind: f"/{kind.value}s" for kind in PaperKind}


class PaperBody(Body):
    title: Annotated[str, Field(min_length=1, max_length=400)]
    to: Annotated[list[Word], Field(max_length=50)] = []
    text: Text = ""
    issuer: Word = ""
    level: Level = 4
    incident: Word = ""
    case: Word = ""
    lon: Longitude | None = None
    lat: Latitude | None = None
    due: AwareDatetime | None = None
    begins: AwareDatetime | None = None
    until: AwareDatetime | None = None
    facts: dict[Word, object] = {}


class PaperAct(Body):
    action: Word
    reason: Annotated[str, Field(max_length=2000)] = ""
    text: Text | None = None
    level: Level | None = None
    until: AwareDatetime | None = None
    facts: dict[Word, object] | None = None


class NewCommand(Body):
    device: Word
    channel: Word
    value: float
    reason: Annotated[str, Field(min_length=1, max_length=400)]
    incident: Word = ""


class CommandAct(Body):
    action: Word
    reason: Annotated[str, Field(max_length=2000)] = ""


def us(moment: AwareDatetime | None) -> int | None:
    return None if moment is None else to_us(moment)


def add_paper_routes(routes: APIRouter, actions: Actions) -> None:
    papers = PaperActions(actions)
    for kind in PaperKind:
        _add_kind(routes, papers, kind)
    _add_commands(routes, papers)


def _add_kind(routes: APIRouter, papers: PaperActions, kind: PaperKind) -> None:
    """List, get, create and act, the same for every kind."""
    path = PATHS[kind]

    def may(action: str) -> dict[str, Any]:
        """The route's own question, and a name that tells the kinds apart in the documents of the API."""
        return {"dependencies": [Depends(Allow(f"{kind}.{action}"))], "name": f"{action} {kind}"}

    @routes.get(path, **may("read"))
    async def list_papers(at: At, asked: Annotated[Page, Query()]) -> Response:
        filter_ = asked.filter(at.actor)
        before, before_id = filter_.before or (None, None)
        mine = [f"department:{name}" for name in sorted(at.actor.departments)] or None
        async with at.database.transaction() as connection:
            rows = await store.rows(
                connection, "list_papers", kind=kind, state=filter_.state, incident=asked.incident,
                receivers=mine, before=before, before_id=before_id, limit=filter_.limit,
            )  # fmt: skip
        return at.json(page([shown(paper_store.paper_of(row)) for row in rows], asked.limit, next_key))

    @routes.get(path + "/{id_}", **may("read"))
    async def get_paper(id_: str, at: At) -> Response:
        async with at.database.transaction() as connection:
            row = await store.one(connection, "find_paper", id=id_)
            log = await named(connection, await store.rows(connection, "paper_log", id=row["id"]), "by")
        paper = paper_store.paper_of(row)
        addressed(at.actor, paper)
        return at.json({**shown(paper), "log": log})

    @routes.post(path, **may("create"))
    async def create_paper(at: At, body: PaperBody, key: IdempotencyKey = None) -> Response:
        new = NewPaper(
            kind, {"text": body.title}, tuple(body.to), body.text, body.issuer, body.level,
            incident=body.incident, case=body.case, lon=body.lon, lat=body.lat, due_us=us(body.due),
            from_us=us(body.begins), until_us=us(body.until), facts=body.facts, key=key or "",
        )  # fmt: skip

        async def do(connection: DictConnection) -> object:
            return shown(await papers.create(connection, new, at.actor, at.now_us))

        return await at.act(at.actor, key, body, do)

    @routes.post(path + "/{id_}/actions", **may("act"))
    async def act_on_paper(id_: str, at: At, body: PaperAct, key: IdempotencyKey = None) -> Response:
        change = Change(body.reason, body.text, body.level, us(body.until), body.facts)

        async def do(connection: DictConnection) -> object:
            return shown(await papers.act(connection, kind, id_, body.action, at.actor, at.now_us, change))

        return await at.act(at.actor, key, body, do)


def _add_commands(routes: APIRouter, papers: PaperActions) -> None:
    @routes.get("/commands")
    async def list_commands(
        at: At, asked: Annotated[Page, Query()], actor: Annotated[Actor, Depends(Allow("command.read"))]
    ) -> Response:
        filter_ = asked.filter(actor)
        before, before_id = filter_.before or (None, None)
        async with at.database.transaction() as connection:
            rows = await store.rows(
                connection, "list_commands", state=filter_.state, before=before, before_id=before_id,
                limit=filter_.limit,
            )  # fmt: skip
        return at.json(
            page([shown_command(paper_store.command_of(row)) for row in rows], asked.limit, next_key)
        )

    @routes.post("/commands")
    async def propose_command(
        at: At, body: NewCommand, actor: Annotated[Actor, Depends(Allow("command.propose"))],
        key: IdempotencyKey = None,
    ) -> Response:  # fmt: skip
        new = Command(
            "", "", body.device, body.channel, body.value, "proposed", body.reason, actor.id, at.now_us, "real",
            incident=body.incident,
        )  # fmt: skip

        async def do(connection: DictConnection) -> object:
            return shown_command(await papers.propose_command(connection, new, actor, at.now_us))

        return await at.act(actor, key, body, do)

    @routes.post("/commands/{id_}/actions")
    async def act_on_command(
        id_: str, at: At, body: CommandAct, actor: Annotated[Actor, Depends(Allow("command.confirm"))],
        key: IdempotencyKey = None,
    ) -> Response:  # fmt: skip
        async def do(connection: DictConnection) -> object:
            done = await papers.act_on_command(connection, id_, body.action, actor, at.now_us, body.reason)
            return shown_command(done)

        return await at.act(actor, key, body, do)
