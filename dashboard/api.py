"""HTTP and WebSocket of the screens: words, set-up of the wall, devices for the map, the live stream, files."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from fastapi import Path as PathParam
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from core.actor import NOBODY, Actor
from core.db import DictConnection
from core.errors import CityOpsError, NotAllowed, NotFound, NotSignedIn
from core.http import Allow, IdempotencyKey, Json, Now, Open, act
from dashboard import files, theme, walls
from dashboard.screens import Screens
from dashboard.stream import Message

HERE = Path(__file__).parent
#: WebSocket close codes: ask for a sign-in, and do not try again.
NOT_SIGNED_IN, NOT_ALLOWED, BAD_MESSAGE = 4401, 4403, 4400


WallName = Annotated[str, PathParam(pattern=r"^[a-z0-9_-]{1,40}$")]


class WallView(BaseModel):
    """What a wall shall show; 0 minutes lets it go."""

    model_config = ConfigDict(extra="forbid")

    scene: Annotated[str, Field(max_length=40)] = ""
    incident: Annotated[str, Field(max_length=80)] = ""
    minutes: float = 10


class WallMute(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=200)] = ""
    minutes: float = 10


def router(screens: Screens) -> APIRouter:
    """The routes under `/api/v1`."""
    routes = APIRouter()
    _setup_routes(routes, screens)
    _vital_routes(routes, screens)
    _wall_routes(routes)
    _stream_route(routes, screens)
    return routes


def _setup_routes(routes: APIRouter, screens: Screens) -> None:
    @routes.get("/texts/{language}", dependencies=[Depends(Open("words stand in the pages anyway"))])
    async def texts(language: str) -> Response:
        if language not in ("zh", "en"):
            raise NotFound
        return Json(dict(screens.texts.all(language)), headers={"Cache-Control": "no-cache"})

    @routes.get("/wall")
    async def wall(_: Annotated[Actor, Depends(Allow("screen.wall"))]) -> Response:
        """What the wall must know before it draws: the city, its time zone, the base map."""
        return Json(screens.setup)

    @routes.get("/console")
    async def console(actor: Annotated[Actor, Depends(Allow("screen.console"))]) -> Response:
        """What the console must know before it draws: what the wall is told, and what this person may do."""
        policy = screens.policy
        may = sorted(action for action in {*policy.allowed, *policy.own} if policy.may_ask(actor, action))
        return Json({**screens.setup, "may": may})

    @routes.get("/map/devices")
    async def devices(_: Annotated[Actor, Depends(Allow("map.read"))]) -> Response:
        """All devices as columns for the map; `id` is the number that frames of points carry."""
        found = list(screens.points.table.registry.devices.values())
        return Json(
            {
                "id": [device.number for device in found],
                "device": [device.id for device in found],
                "lon": [device.lon for device in found],
                "lat": [device.lat for device in found],
                "kind": [device.kind for device in found],
            }
        )


def _vital_routes(routes: APIRouter, screens: Screens) -> None:
    @routes.get("/vitals")
    async def vitals(_: Annotated[Actor, Depends(Allow("vital.read"))]) -> Response:
        """Every vital sign as it stands, with trace, usual band and coverage."""
        return Json({"items": list(await screens.sources["vitals"].all()), "next": None})

    @routes.get("/vitals/weekday")
    async def weekday(_: Annotated[Actor, Depends(Allow("vital.read"))]) -> Response:
        """Compared vital signs: the hours of today and of the same weekday before."""
        return Json({"items": await screens.vitals.weekday() if screens.vitals else [], "next": None})

    @routes.get("/vitals/{key}")
    async def vital(key: str, _: Annotated[Actor, Depends(Allow("vital.read"))]) -> Response:
        """One vital sign: formula, bands, source, inputs with what was left out and why, and its history."""
        if screens.vitals is None:
            raise NotFound
        return Json(await screens.vitals.one(key, screens.points.table))


def _wall_routes(routes: APIRouter) -> None:
    @routes.put("/walls/{name}")
    async def direct_wall(
        request: Request, name: WallName, asked: WallView, actor: Annotated[Actor, Depends(Allow("wall.direct"))],
        now: Now, key: IdempotencyKey = None,
    ) -> Response:  # fmt: skip
        """Let a wall show a scene or an incident for some minutes."""

        async def do(connection: DictConnection) -> object:
            return await walls.direct(connection, name, actor, now.now_us(), **asked.model_dump())

        return await act(request, actor, do, key, asked.model_dump())

    @routes.put("/walls/{name}/mute")
    async def mute_wall(
        request: Request, name: WallName, asked: WallMute, actor: Annotated[Actor, Depends(Allow("wall.direct"))],
        now: Now, key: IdempotencyKey = None,
    ) -> Response:  # fmt: skip
        """Silence a wall with a reason, for ten minutes at most."""

        async def do(connection: DictConnection) -> object:
            return await walls.mute(connection, name, actor, now.now_us(), **asked.model_dump())

        return await act(request, actor, do, key, asked.model_dump())


def _stream_route(routes: APIRouter, screens: Screens) -> None:
    @routes.websocket("/stream")
    async def stream(websocket: WebSocket) -> None:
        if not same_origin(websocket, screens.allowed_origins):
            await websocket.close(NOT_ALLOWED)
            return
        await websocket.accept()
        actor: Actor = getattr(websocket.state, "actor", NOBODY)
        try:
            await screens.hub.serve(Starlette(websocket), actor)
        except NotSignedIn:
            await websocket.close(NOT_SIGNED_IN)
        except NotAllowed:
            await websocket.close(NOT_ALLOWED)
        except CityOpsError:
            await websocket.close(BAD_MESSAGE)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the other side has left while we were sending


def same_origin(websocket: WebSocket, allowed: list[str]) -> bool:
    """A page of another origin must not open our stream with a person's cookie; programs send no Origin."""
    origin = websocket.headers.get("origin")
    return origin is None or origin in allowed or urlsplit(origin).netloc == websocket.headers.get("host")


class Starlette:
    """`dashboard.feed.Socket` over a Starlette WebSocket."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def send(self, message: Message) -> None:
        if isinstance(message, bytes):
            await self._websocket.send_bytes(message)
        else:
            await self._websocket.send_text(message)

    async def receive(self) -> str | bytes | None:
        said = await self._websocket.receive()
        if said["type"] == "websocket.disconnect":
            return None
        found: str | bytes = said.get("text") or said.get("bytes") or b""
        return found


def mount_files(app: FastAPI, colours: theme.Theme) -> str:
    """Serve our modules and styles, the browser libraries, and the style sheet made from the theme.

    Gives their version: below `/assets/<version>` stands the same as below `/assets`, to be kept for good.
    """
    mimetypes.add_type("text/javascript", ".mjs")
    mimetypes.add_type("font/woff2", ".woff2")
    sheet = theme.css(colours)
    version = files.version(sheet)
    for base, keeping in ((f"/assets/{version}", files.KEEP), ("/assets", files.ASK_EACH_TIME)):
        app.mount(f"{base}/vendor", files.Files(HERE / "vendor", keeping))
        app.mount(base, files.Files(HERE / "assets", keeping, sheet))
    return version
