"""Rules over HTTP: read with their rationale, try a changed text over stored readings, put what was tried in force."""

from __future__ import annotations

import asyncio
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app.backtest import Span, Trial, trial
from app.rulebook import Rulebook
from core.actor import Actor
from core.clock import DAY_US, to_datetime
from core.db import DictConnection
from core.errors import Invalid, NotFound, WrongState
from core.http import Allow, IdempotencyKey, Json, Now, act
from core.yamlfile import Mistakes
from events import edited, edited_store, form
from events.load import Load
from events.rules import Rule

Reader = Annotated[Actor, Depends(Allow("rule.read"))]
Editor = Annotated[Actor, Depends(Allow("rule.edit"))]
#: A trial that takes longer than this asks for fewer days.
PATIENCE_S = 150.0


class Draft(BaseModel):
    """The changed text of a rule, and over how many days of stored readings it is tried."""

    model_config = ConfigDict(extra="forbid")

    yaml: Annotated[str, Field(max_length=20_000)]
    days: Annotated[float, Field(gt=0, le=30)] = 3


class Typed(BaseModel):
    """A rule's text while somebody edits it, and the field that was just changed; no value leaves the field out."""

    model_config = ConfigDict(extra="forbid")

    yaml: Annotated[str, Field(max_length=20_000)]
    path: Annotated[list[str | int], Field(max_length=6)] = []
    value: Annotated[str, Field(max_length=2000)] | bool | float | list[str] | None = None


class Activation(BaseModel):
    """What puts a text in force: the trial it went through, and why."""

    model_config = ConfigDict(extra="forbid")

    trial: int
    reason: Annotated[str, Field(max_length=500)] = ""


def router(book: Rulebook) -> APIRouter:
    """The routes under `/api/v1`. Nothing is put in force that was not tried beside what is in force now."""
    routes = APIRouter(tags=["rules"])
    _reads(routes, book)
    _trials(routes, book)
    return routes


def _reads(routes: APIRouter, book: Rulebook) -> None:
    @routes.get("/rules")
    async def rules(_: Reader) -> Response:
        """Every rule in force."""
        await book.load()
        return Json({"items": [shown(rule, book) for rule in book.model.rules], "next": None})

    @routes.get("/rules/{key}")
    async def rule(key: str, _: Reader) -> Response:
        """One rule: its text in force and as it ships, and all versions with what they would have said."""
        await book.load()
        found = one(book, key)
        file, line, text = edited.shipped(book.declared.domains, key) or ("", 0, "")
        versions = await book.database.fetch(edited_store.QUERIES["versions_of_rule"], rule=key)
        return Json(
            {
                **shown(found, book), "yaml": book.texts.get(key, text), "shipped": text, "file": file, "line": line,
                "versions": versions,
            }
        )  # fmt: skip

    @routes.post("/rules/{key}/form")
    async def form_of_rule(key: str, asked: Typed, _: Reader) -> Response:
        """The fields of a text, after one of them was changed in it; nothing is kept."""
        try:
            text = form.changed(asked.yaml, tuple(asked.path), asked.value) if asked.path else asked.yaml
        except ValueError as wrong:
            raise Invalid(field=".".join(map(str, asked.path)), reason=str(wrong)) from None
        fields, mistakes = form.read(key, text)
        shown_ = [asdict(each) for each in fields]
        return Json({"yaml": text, "fields": shown_, "mistakes": [asdict(each) for each in mistakes]})


def _trials(routes: APIRouter, book: Rulebook) -> None:
    busy = asyncio.Lock()

    @routes.post("/rules/{key}/trial")
    async def try_rule(key: str, asked: Draft, now: Now, actor: Editor) -> Response:
        """What the changed rule would have said beside the one in force; 422 with line and reason if it is wrong."""
        await book.load()
        found = one(book, key)
        try:
            edited.document(key, asked.yaml)
            book.checked({**book.texts, key: asked.yaml})
        except Mistakes as wrong:
            return Json({"title": str(wrong), "mistakes": [asdict(each) for each in wrong.mistakes]}, 422)
        if busy.locked():
            raise WrongState("busy", [], "error.trial_busy")
        async with busy:
            span = Span(now.now_us() - round(asked.days * DAY_US), now.now_us())
            before, after = map(figures, await elsewhere(wanted(book, found, asked.yaml, span)))
            row = {
                "rule": key, "yaml": asked.yaml, "base": book.model.rules.version, "by": actor.id,
                "begins": to_datetime(span.begin_us), "ends": to_datetime(span.end_us),
                "before": Jsonb(before), "after": Jsonb(after), "at": to_datetime(now.now_us()),
            }  # fmt: skip
            id_ = await edited_store.put_trial(book.database, **row)
        return Json({"trial": id_, "before": before, "after": after})

    @routes.put("/rules/{key}")
    async def activate(
        key: str,
        asked: Activation,
        request: Request,
        now: Now,
        actor: Editor,
        idempotency: IdempotencyKey = None,
    ) -> Response:
        """Put a tried text in force. 409 when the rules have changed since it was tried."""
        await book.load()
        if not asked.reason.strip():
            raise Invalid("error.reason_needed", field="reason")

        async def do(connection: DictConnection) -> dict[str, Any]:
            cursor = await connection.execute(edited_store.QUERIES["trial"], {"id": asked.trial})
            tried = await cursor.fetchone()
            if tried is None or tried["rule"] != key:
                raise NotFound
            if tried["base"] != book.model.rules.version:
                raise WrongState("changed", ["trial"], "error.trial_old")
            row = {"rule": key, "yaml": tried["yaml"], "trial": asked.trial, "reason": asked.reason.strip()}
            await edited_store.activate(connection, now.now_us(), **row, by=actor.id, by_name=actor.name)
            return {"rule": key, "trial": asked.trial}

        return await act(request, actor, do, idempotency, asked.model_dump())


def one(book: Rulebook, key: str) -> Rule:
    found = book.model.rules.by_key.get(key)
    if found is None:
        raise NotFound("error.no_rule", rule=key)
    return found


def shown(rule: Rule, book: Rulebook) -> dict[str, object]:
    """A rule as the list gives it; its words are the texts `rule.<key>.*`."""
    decl = rule.decl
    return {
        "id": rule.key, "domain": rule.domain, "level": decl.level, "class": decl.klass, "kinds": decl.kinds,
        "detector": decl.parts[0].detector, "source": decl.source.model_dump(), "owner": decl.owner.model_dump(),
        "seen_within_s": decl.seen_within, "act_within_s": decl.act_within, "enabled": decl.enabled,
        "is_edited": rule.key in book.texts,
    }  # fmt: skip


def wanted(book: Rulebook, rule: Rule, yaml: str, span: Span) -> Trial:
    """A trial of all rules of the domain: what one rule says decides which incidents others make."""
    declared = book.declared
    keys = tuple(each.key for each in book.model.rules if each.domain == rule.domain)
    texts = {key: text for key, text in book.texts.items() if key in keys}
    return Trial(
        book.database.dsn, declared.domains.folder, declared.settings.city.timezone, keys, tuple(texts.items()),
        tuple({**texts, rule.key: yaml}.items()), span, PATIENCE_S,
    )  # fmt: skip


def figures(load: Load) -> dict[str, object]:
    """As JSON: names of fields, levels as text."""
    return {**asdict(load), "by_level": {str(level): n for level, n in load.by_level.items()}}


async def elsewhere(asked: Trial) -> tuple[Load, Load]:
    """In a process of its own: a trial takes seconds of a core, and screens must not wait."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, trial, asked)
