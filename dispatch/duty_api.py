"""Routes of the duty: roster, log and hand-over, inbox, outbox, materials."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from core.actor import Actor
from core.clock import to_datetime
from core.errors import NotFound, WrongState
from core.http import Allow, Json, decode_cursor, page
from dispatch import store
from dispatch.actions import Actions
from dispatch.edge_api import At, Body, Page, Word


class Duty(Body):
    role: Word
    person: Word
    name: Word
    phone: Word = ""
    rank: Annotated[int, Field(ge=1, le=20)] = 1
    begins: AwareDatetime
    until: AwareDatetime


class DutyNote(Body):
    kind: Literal["note", "hand_over", "take_over"] = "note"
    text: Annotated[str, Field(min_length=1, max_length=20_000)]


class Stock(Body):
    change: float
    case: Word = ""
    reason: Annotated[str, Field(min_length=1, max_length=400)]


def receivers(actor: Actor) -> list[str]:
    """The inboxes of an actor; those of drills beside them."""
    own = [f"person:{actor.id}", *(f"role:{role}" for role in sorted(actor.roles))]
    own += [f"department:{name}" for name in sorted(actor.departments)]
    own += [f"crew:{actor.crew}"] if actor.crew else []
    return own + [f"drill:{name}" for name in own]


def add_duty_routes(routes: APIRouter, actions: Actions) -> None:
    _add_roster(routes)
    _add_messages(routes)
    _add_materials(routes, actions)


def _add_roster(routes: APIRouter) -> None:
    @routes.get("/roster")
    async def roster(
        at: At, asked: Annotated[Page, Query()], _: Annotated[Actor, Depends(Allow("roster.read"))]
    ) -> Response:
        """Duties that touch a span of time, by default the coming week."""
        begin = asked.since or to_datetime(at.now_us)
        end = asked.until or to_datetime(at.now_us + 7 * 86_400_000_000)
        async with at.database.transaction() as connection:
            items = await store.rows(connection, "list_roster", **{"from": begin, "to": end})
        return Json({"items": items, "next": None})

    @routes.post("/roster")
    async def put_duty(at: At, body: Duty, _: Annotated[Actor, Depends(Allow("roster.write"))]) -> Response:
        async with at.database.transaction() as connection:
            made = await store.one(
                connection, "insert_roster", role=body.role, person=body.person, name=body.name,
                phone=body.phone, rank=body.rank, from_at=body.begins, until_at=body.until,
            )  # fmt: skip
        return Json({"id": made["id"]})

    @routes.delete("/roster/{id_}")
    async def end_duty(id_: int, at: At, _: Annotated[Actor, Depends(Allow("roster.write"))]) -> Response:
        async with at.database.transaction() as connection:
            if not await store.run(connection, "delete_roster", id=id_):
                raise NotFound
        return Json({"id": id_})

    @routes.get("/duty-log")
    async def duty_log(
        at: At, asked: Annotated[Page, Query()], _: Annotated[Actor, Depends(Allow("roster.read"))]
    ) -> Response:
        async with at.database.transaction() as connection:
            found = await store.rows(
                connection, "duty_log", before=decode_cursor(asked.cursor), limit=asked.limit + 1
            )
        return Json(page(found, asked.limit, lambda row: row["id"]))

    @routes.post("/duty-log")
    async def note(
        at: At, body: DutyNote, actor: Annotated[Actor, Depends(Allow("duty_log.write"))]
    ) -> Response:
        async with at.database.transaction() as connection:
            made = await store.one(
                connection,
                "log_duty",
                now=to_datetime(at.now_us),
                by=actor.id,
                kind=body.kind,
                text=body.text,
            )
        return Json(made)


def _add_messages(routes: APIRouter) -> None:
    @routes.get("/inbox")
    async def inbox(
        at: At, asked: Annotated[Page, Query()], actor: Annotated[Actor, Depends(Allow("inbox.read"))]
    ) -> Response:
        async with at.database.transaction() as connection:
            found = await store.rows(
                connection, "read_inbox", receivers=receivers(actor), before=decode_cursor(asked.cursor),
                limit=asked.limit + 1,
            )  # fmt: skip
        return at.json(page(found, asked.limit, lambda row: row["id"]))

    @routes.post("/inbox/{id_}/read")
    async def read(id_: int, at: At, actor: Annotated[Actor, Depends(Allow("inbox.read"))]) -> Response:
        async with at.database.transaction() as connection:
            await store.run(
                connection, "mark_read", id=id_, receivers=receivers(actor), by=actor.id,
                now=to_datetime(at.now_us),
            )  # fmt: skip
        return Json({"id": id_})

    @routes.get("/outbox")
    async def outbox(
        at: At, asked: Annotated[Page, Query()], _: Annotated[Actor, Depends(Allow("outbox.read"))]
    ) -> Response:
        """What left, waits or was parked; `state=parked` is what needs a person."""
        async with at.database.transaction() as connection:
            found = await store.rows(
                connection, "list_outbox", state=asked.state, before=decode_cursor(asked.cursor),
                limit=asked.limit + 1,
            )  # fmt: skip
        return Json(page(found, asked.limit, lambda row: row["id"]))

    @routes.post("/outbox/{id_}/send-again")
    async def send_again(id_: int, at: At, _: Annotated[Actor, Depends(Allow("outbox.write"))]) -> Response:
        async with at.database.transaction() as connection:
            if not await store.row(connection, "send_again", id=id_, now=to_datetime(at.now_us)):
                raise WrongState("not parked", [])
        return Json({"id": id_})


def _add_materials(routes: APIRouter, actions: Actions) -> None:
    @routes.get("/materials")
    async def materials(at: At, _: Annotated[Actor, Depends(Allow("material.read"))]) -> Response:
        async with at.database.transaction() as connection:
            return Json({"items": await store.rows(connection, "list_materials"), "next": None})

    @routes.post("/materials/{id_}/stock")
    async def stock(
        id_: str, at: At, body: Stock, actor: Annotated[Actor, Depends(Allow("material.write"))]
    ) -> Response:
        """Take (negative) or bring back; more than there is cannot be taken."""
        async with at.database.transaction() as connection:
            return Json(
                await actions.stock(connection, id_, body.change, body.case, body.reason, actor, at.now_us)
            )
