"""Gateways, dead letters and strangers over HTTP. Mounted under `/api/v1`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.access import Scope
from core.actor import Actor
from core.clock import DAY_US, rfc3339, to_datetime, to_us
from core.db import DictConnection
from core.errors import Invalid
from core.http import Allow, Db, IdempotencyKey, Json, Now, act, decode_cursor, page
from ingest import gateways_store as store
from ingest.assemble import Assembled
from ingest.gateways_store import QUERIES
from ingest.http import LISTED, MAX_BYTES, Awaited, Desk, listed, read_body
from ingest.stream import NoReceipt
from iot import registry_store, views
from iot.api import DeviceIn
from iot.codecs.frame import Parcel
from iot.health import Health
from iot.registry import Registry

Short = Annotated[str, Field(max_length=64)]
#: More of a payload is not shown; it is kept and replayed whole.
SHOWN_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Known:
    """Snapshots that the process keeps up to date; `new_secret` makes a secret and what is kept of it.

    `assemble` reads a frame as the pipeline would, and stores nothing.
    """

    registry: Callable[[], Registry]
    health: Callable[[], Health]
    new_secret: Callable[[], tuple[str, str]]
    assemble: Callable[[Parcel], Assembled]


class PageOf(BaseModel):
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: str = ""


class Letters(PageOf):
    gateway: Short | None = None
    reason: Short | None = None
    open: bool | None = None


class GatewayIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    provenance: Literal["real", "recorded", "simulated", "drill"] = "real"
    rotate: bool = False


class Frame(BaseModel):
    """What a frame is; `hex`: the body is written in hexadecimal digits."""

    format: Annotated[str, Field(max_length=64)] = "senml"
    topic: Annotated[str, Field(max_length=500)] = ""
    hex: bool = False


class LetterAction(BaseModel):
    model_config = ConfigDict(extra="forbid")

    action: Literal["replay", "drop"]
    ids: Annotated[list[int], Field(min_length=1, max_length=store.MOST_LETTERS)]


class StrangerAction(BaseModel):
    """`approve` registers the stranger as `device`; `refuse` does not ask about it again."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["approve", "refuse"]
    gateway: Short
    wire_name: Short
    device: DeviceIn | None = None
    reason: Annotated[str, Field(max_length=500)] = ""


def router(known: Known, desk: Desk) -> APIRouter:
    """The routes; `desk` takes what is replayed."""
    routes = APIRouter(tags=["gateways"])
    add_gateways(routes, known)
    add_letters(routes, desk)
    add_strangers(routes, known)
    return routes


def add_gateways(routes: APIRouter, known: Known) -> None:
    @routes.get("/gateways", dependencies=[Depends(Allow("gateway.read"))])
    async def list_gateways(database: Db, clock: Now, asked: Annotated[PageOf, Query()]) -> Response:
        """Every gateway: on line since when, what it said of itself, when its data last came, how much was refused."""
        rows = await database.fetch(
            QUERIES["gateways"], since=to_datetime(clock.now_us() - DAY_US),
            after=str(decode_cursor(asked.cursor) or ""), limit=asked.limit + 1,
        )  # fmt: skip
        registry, health = known.registry(), known.health()
        return Json(
            page([_gateway(row, registry, health) for row in rows], asked.limit, lambda item: item["id"])
        )

    @routes.put("/gateways/{id}")
    async def put_gateway(
        database: Db,
        clock: Now,
        _: Annotated[Actor, Depends(Allow("gateway.write"))],
        id: Annotated[str, Path(max_length=64)],  # noqa: A002 - the name in the address
        body: GatewayIn,
    ) -> Response:
        """Register a gateway. Its secret is told once: now, or when `rotate` asks for another."""
        async with database.transaction() as connection:
            return Json(await registered(connection, id, body, known.new_secret, clock.now_us()))

    @routes.post("/gateways/{id}/check")
    async def check_frame(
        request: Request,
        clock: Now,
        actor: Annotated[Actor, Depends(Allow("telemetry.check"))],
        id: Annotated[str, Path(max_length=64)],  # noqa: A002 - the name in the address
        asked: Annotated[Frame, Query()],
    ) -> Response:
        """What would become of this frame of the gateway: each reading that it holds, each refusal with its reason.

        For whoever sets a gateway up. Nothing is stored; `format` is senml, arrow, hj212 …, or plain:<mapping>.
        """
        request.app.state.policy.require(actor, "telemetry.check", Scope(gateway=id))
        body = await read_body(request, MAX_BYTES)
        if asked.hex:
            try:
                body = bytes.fromhex(body.decode("ascii"))
            except ValueError as wrong:
                raise Invalid("error.malformed_pack", field="body", detail=str(wrong)) from None
        parcel = Parcel(id, asked.format, [body], clock.now_us(), NoReceipt(), asked.topic)
        return Json(_checked(known.assemble(parcel), known.registry()))


def _checked(found: Assembled, registry: Registry) -> dict[str, object]:
    return {
        "readings": views.said(found.batch, registry, LISTED),
        "accepted": len(found.batch),
        "refused": listed(found.refused.get(0, ())),
    }


async def registered(
    connection: DictConnection,
    gateway: str,
    asked: GatewayIn,
    new_secret: Callable[[], tuple[str, str]],
    now_us: int,
) -> dict[str, object]:
    """Put a gateway into the registry; with its secret when it has a new one."""
    row = await (await connection.execute(QUERIES["may_sign_in"], {"id": gateway})).fetchone()
    secret, kept = new_secret() if row is None or asked.rotate or not row["may_sign_in"] else ("", "")
    await registry_store.put_gateway(
        connection, gateway, now_us, secret_hash=kept, provenance=asked.provenance
    )
    return {"id": gateway, **({"secret": secret} if secret else {})}


def _gateway(row: dict[str, Any], registry: Registry, health: Health) -> dict[str, Any]:
    heard = health.last_of_gateway(row["id"]) if row["id"] in registry.gateways else None
    return {
        **{name: row[name] for name in ("id", "provenance", "may_sign_in", "online", "why", "refused_24h")},
        "since": _moment(row["since"]), "status": row["said"], "status_at": _moment(row["said_at"]),
        "heard_at": rfc3339(heard) if heard is not None else None,
        "devices": len(registry.devices_of(row["id"])),
    }  # fmt: skip


def add_letters(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/dead-letters")
    async def list_letters(
        request: Request,
        database: Db,
        actor: Annotated[Actor, Depends(Allow("dead_letter.read"))],
        asked: Annotated[Letters, Query()],
    ) -> Response:
        """What was refused, newest first, whole and with its reason. A gateway sees its own."""
        gateway = actor.gateway or asked.gateway
        request.app.state.policy.require(actor, "dead_letter.read", Scope(gateway=gateway or ""))
        before = decode_cursor(asked.cursor)
        rows = await database.fetch(
            QUERIES["letters"], before=int(before) if before else 1 << 62, gateway=gateway, reason=asked.reason,
            open=asked.open, limit=asked.limit + 1,
        )  # fmt: skip
        return Json(page([_letter(row) for row in rows], asked.limit, lambda item: item["id"]))

    @routes.post("/dead-letters/actions")
    async def act_on_letters(
        request: Request,
        clock: Now,
        actor: Annotated[Actor, Depends(Allow("dead_letter.act"))],
        body: LetterAction,
        key: IdempotencyKey = None,
    ) -> Response:
        """Read letters again (`replay`: what is refused again is a new letter), or put them aside (`drop`)."""

        async def do(connection: DictConnection) -> dict[str, object]:
            if body.action == "drop":
                return {"settled": await store.settle(connection, body.ids, "dropped", clock.now_us())}
            return await replayed(connection, desk, body.ids, clock.now_us())

        return await act(request, actor, do, key, body.model_dump())


async def replayed(connection: DictConnection, desk: Desk, ids: list[int], now_us: int) -> dict[str, object]:
    """Put letters through the pipeline again as history; they are settled when what they hold is safe."""
    letters = await store.open_letters(connection, ids)
    accepted = refused = 0
    for letter in letters:
        receipt = Awaited()
        taken, left = await desk.store(replace(letter.parcel, receipt=receipt), receipt)
        accepted += taken
        refused += len(left)
    settled = await store.settle(connection, [letter.id for letter in letters], "replayed", now_us)
    return {"settled": settled, "accepted": accepted, "refused": refused}


def add_strangers(routes: APIRouter, known: Known) -> None:
    @routes.get("/strangers", dependencies=[Depends(Allow("device.write"))])
    async def list_strangers(
        database: Db, clock: Now, limit: Annotated[int, Query(ge=1, le=1000)] = 100
    ) -> Response:
        """Devices that speak and that nobody registered: the waiting room, newest first."""
        since = to_datetime(clock.now_us() - store.STRANGERS_US)
        rows = await database.fetch(QUERIES["strangers"], since=since, limit=limit)
        items = [
            {**row, "first_at": _moment(row["first_at"]), "last_at": _moment(row["last_at"])} for row in rows
        ]
        return Json({"items": items, "next": None})

    @routes.post("/strangers/actions")
    async def act_on_stranger(
        request: Request,
        clock: Now,
        actor: Annotated[Actor, Depends(Allow("device.write"))],
        body: StrangerAction,
        key: IdempotencyKey = None,
    ) -> Response:
        """Register a stranger, or turn it away. What it said stays among the dead letters, to be replayed."""
        row = body.device.row() if body.device else None
        if body.action == "approve":
            if row is None or row.gateway != body.gateway or (row.wire_name or row.id) != body.wire_name:
                raise Invalid("error.other_device", field="device")
            request.app.state.policy.require(actor, "device.write", Scope(area=row.area))

        async def do(connection: DictConnection) -> dict[str, object]:
            ids = await store.letters_of(connection, body.gateway, body.wire_name)
            name = {"gateway": body.gateway, "wire_name": body.wire_name}
            if row is None:
                by = {"now": to_datetime(clock.now_us()), "by": actor.id, "reason": body.reason}
                await connection.execute(QUERIES["refuse_stranger"], {**name, **by})
                return {"settled": await store.settle(connection, ids, "dropped", clock.now_us())}
            await registry_store.put_devices(connection, [row], known.registry().catalogue, clock.now_us())
            await connection.execute(QUERIES["welcome_stranger"], name)
            return {"id": row.id, "letters": ids}

        return await act(request, actor, do, key, body.model_dump())


def _letter(row: dict[str, Any]) -> dict[str, Any]:
    payload = bytes(row["payload"])
    try:
        shown, encoding = payload[:SHOWN_BYTES].decode(), "text"
    except UnicodeDecodeError:
        shown, encoding = base64.b64encode(payload[:SHOWN_BYTES]).decode(), "base64"
    return {
        **{name: row[name] for name in ("id", "gateway", "source", "topic", "record", "reason", "detail", "outcome")},
        "at": _moment(row["at"]), "count": row["refused"], "payload": shown, "encoding": encoding,
        "bytes": len(payload), "settled_at": _moment(row["settled_at"]),
    }  # fmt: skip


def _moment(at: Any) -> str | None:  # noqa: ANN401 - what a row holds
    return rfc3339(to_us(at)) if at is not None else None
