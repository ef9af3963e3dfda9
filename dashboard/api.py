"""HTTP and WebSocket of the screens: words, set-up of the wall, devices for the map, the live stream, files."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect

from core.actor import NOBODY, Actor
from core.errors import CityOpsError, NotAllowed, NotFound, NotSignedIn
from core.http import Allow, Json, Open
from dashboard import theme
from dashboard.screens import Screens
from dashboard.stream import Message

HERE = Path(__file__).parent
#: WebSocket close codes: ask for a sign-in, and do not try again.
NOT_SIGNED_IN, NOT_ALLOWED, BAD_MESSAGE = 4401, 4403, 4400


def router(screens: Screens) -> APIRouter:
    """The routes under `/api/v1`."""
    routes = APIRouter()

    @routes.get("/texts/{language}", dependencies=[Depends(Open("words stand in the pages anyway"))])
    async def texts(language: str) -> Response:
        if language not in ("zh", "en"):
            raise NotFound
        return Json(dict(screens.texts.all(language)), headers={"Cache-Control": "no-cache"})

    @routes.get("/wall")
    async def wall(_: Annotated[Actor, Depends(Allow("screen.wall"))]) -> Response:
        """What the wall must know before it draws: the city, its time zone, the base map."""
        return Json(screens.setup)

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

    return routes


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


class Fresh(StaticFiles):
    """Files that a browser asks for again each time, and gets only when they changed (ETag)."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 - handed on as it came
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def mount_files(app: FastAPI, colours: theme.Theme) -> None:
    """Serve `/static`: our modules and styles, the browser libraries, and the style sheet made from the theme."""
    mimetypes.add_type("text/javascript", ".mjs")
    mimetypes.add_type("font/woff2", ".woff2")
    sheet = theme.css(colours)

    @app.get("/assets/theme.css", include_in_schema=False, dependencies=[Depends(Open("a style sheet"))])
    async def theme_css() -> Response:
        return Response(sheet, media_type="text/css", headers={"Cache-Control": "no-cache"})

    app.mount("/vendor", Fresh(directory=HERE / "vendor"), name="vendor")
    app.mount("/assets", Fresh(directory=HERE / "assets"), name="files")
