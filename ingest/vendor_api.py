"""For whoever makes or sets up a gateway: ways in, good frames, a live look, a report. Mounted under `/api/v1`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import HTMLResponse, Response

from core.access import Scope
from core.actor import Actor
from core.clock import to_datetime
from core.http import Allow, Db, Json, Lang, Now, Open
from core.text import Texts
from ingest import report_page, watch_store
from ingest.examples import examples
from ingest.gateways_store import QUERIES
from iot.registry import Registry

Id = Annotated[str, Path(max_length=64)]
Watching = Annotated[Actor, Depends(Allow("gateway.watch"))]


@dataclass(frozen=True, slots=True)
class Place:
    """What a vendor must know of this installation. `ports` of the ways in; 0 = closed."""

    registry: Callable[[], Registry]
    texts: Texts
    ports: Mapping[str, int]


class WatchIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    minutes: Annotated[int, Field(ge=1, le=1440)] = 60


def router(place: Place) -> APIRouter:
    routes = APIRouter(tags=["vendors"])
    add_examples(routes, place)
    add_watch(routes, place)
    return routes


def add_examples(routes: APIRouter, place: Place) -> None:
    @routes.get(
        "/vendors", dependencies=[Depends(Open("how to speak to us is no secret; no data stands in it"))]
    )
    async def ways_in(clock: Now) -> Response:
        """Ports, and one good frame of every format with sample names."""
        shown = [example.shown() for example in examples(place.registry(), "", clock.now_us())]
        return Json({"ports": dict(place.ports), "examples": shown})

    @routes.get("/gateways/{id}/examples")
    async def own_examples(request: Request, clock: Now, actor: Watching, id: Id) -> Response:  # noqa: A002 - the name in the address
        """Good frames of this gateway's own devices, and every name that it may use."""
        _require(request, actor, id)
        registry = place.registry()
        points = [
            {"device": device.wire_name, "channel": name, "unit": registry.channels[full].decl.unit}
            for device in registry.devices_of(id)[:200]
            for name, full in registry.kind_of(device).channels.items()
        ]  # fmt: skip
        shown = [example.shown() for example in examples(registry, id, clock.now_us())]
        return Json({"gateway": id, "examples": shown, "points": points})


def add_watch(routes: APIRouter, place: Place) -> None:
    @routes.post("/gateways/{id}/watch", status_code=202)
    async def begin_watch(
        request: Request, database: Db, clock: Now, actor: Watching, id: Id, body: WatchIn  # noqa: A002 - the name in the address
    ) -> Response:  # fmt: skip
        """Look at what the gateway sends from now on, and count anew. Nothing about what is stored changes."""
        _require(request, actor, id)
        await watch_store.begin(database, id, actor.id, clock.now_us(), body.minutes)
        return Json({"gateway": id, "minutes": body.minutes}, 202)

    @routes.get("/gateways/{id}/frames")
    async def frames(
        request: Request, database: Db, clock: Now, actor: Watching, id: Id,  # noqa: A002 - the name in the address
        after: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=300)] = 100,
    ) -> Response:  # fmt: skip
        """The newest frames of a watched gateway, decoded or refused and why; `after`: the last one that is known."""
        _require(request, actor, id)
        watch = await database.fetch_one(QUERIES["watch_of"], gateway=id)
        rows = await database.fetch(QUERIES["watched_frames"], gateway=id, after=after, limit=limit)
        return Json(
            {
                "watched": watch is not None and watch["until"] > to_datetime(clock.now_us()),
                "since": watch["since"] if watch else None,
                "items": [{"id": row["id"], **row["shown"]} for row in rows],
            }
        )

    @routes.get("/gateways/{id}/report")
    async def report(
        request: Request, database: Db, clock: Now, actor: Watching, id: Id, lang: Lang,  # noqa: A002 - the name in the address
        form: Annotated[Literal["json", "html"], Query(alias="format")] = "json",
    ) -> Response:  # fmt: skip
        """The conformance report since the watch began, for programs or for paper."""
        _require(request, actor, id)
        found = await watch_store.report(database, place.registry(), id, clock.now_us())
        headers = {"Content-Disposition": f'attachment; filename="conformance-{id}.{form}"'}
        if form == "json":
            return Json(found, headers=headers)
        say = partial(_said, place.texts, lang)
        return HTMLResponse(report_page.page(found, say, lang), headers=headers)


def _said(texts: Texts, lang: str, key: str, **values: object) -> str:
    return texts(key, lang, **values)


def _require(request: Request, actor: Actor, gateway: str) -> None:
    request.app.state.policy.require(actor, "gateway.watch", Scope(gateway=gateway))
