"""The HTTP factory: one FastAPI application with every room's routes, the Dash pages and the WebSocket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from app import auth_api, rules_api, status
from app.auth import Auth, new_secret
from app.declared import Declared
from app.doors import Assembling, for_the_eye
from app.identify import Identify, SafeHeaders
from app.keeper import Follower, Keeper
from app.rulebook import Rulebook
from app.screens import views_of
from app.town import Town
from app.worker import actions_of, limits_of, links_of
from core.actor import Actor
from core.clock import Clock
from core.db import Database
from core.errors import NotFound, Unavailable
from core.http import Allow, Db, Json, Now, Open, install_errors
from core.settings import Settings
from dashboard import api as dashboard_api
from dashboard import dash_app, pages, theme
from dashboard.api import mount_files
from dashboard.explore import api as explore_api
from dashboard.explore.source import Explorer
from dashboard.screens import Screens
from dispatch import api as dispatch_api
from events import api as events_api
from gis import api as gis_api
from ingest import gateways_api, operations_api, vendor_api
from ingest import http as telemetry
from ingest.assemble import Assembled
from ingest.intake import Intake
from iot import api as iot_api
from iot import care_api
from iot.codecs.frame import Parcel


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is made of."""

    declared: Declared
    database: Database
    clock: Clock
    keeper: Keeper
    follower: Follower
    intake: Intake
    town: Town
    screens: Screens

    @property
    def explorer(self) -> Explorer:
        """What the analysis page asks."""
        declared = self.declared
        city = {"zh": declared.settings.city.name_zh, "en": declared.settings.city.name_en}
        return Explorer(
            self.database, self.clock, declared.policy, declared.texts, declared.settings.zone, city,
            lambda: self.keeper.registry,
        )  # fmt: skip


async def build(parts: Parts) -> FastAPI:
    """The application of a process whose parts are open."""
    declared = parts.declared
    auth = Auth(parts.database, parts.clock, declared.settings.web.session)
    app = FastAPI(
        title="CityOps 一网统管", version="1", docs_url=None, redoc_url=None, openapi_url=None,
        default_response_class=Json,
    )  # fmt: skip
    app.state.policy = declared.policy
    app.state.database = parts.database
    app.state.clock = parts.clock
    install_errors(app, declared.texts)
    app.include_router(auth_api.router(auth, declared.texts))
    add_status(app)
    files = add_rooms(app, parts)
    parts.screens.build = files
    add_api_end(app)
    city = declared.settings.city
    screens = dash_app.build(app, parts.explorer, city.language, city.name_zh, files)
    app.add_middleware(
        Identify, auth=auth, policy=declared.policy, paths=declared.paths,
        origins=frozenset(declared.settings.web.allowed_origins),
    )  # fmt: skip
    csp: dict[str, str] = {}
    app.add_middleware(SafeHeaders, csp=csp)
    await dash_app.warm(screens)
    csp["Content-Security-Policy"] = dash_app.content_security_policy(screens)
    return app


def add_rooms(app: FastAPI, parts: Parts) -> str:
    """Every room's routes under /api/v1, and the files of the screens, whose version it gives."""
    declared, follower = parts.declared, parts.follower
    colours = theme.load()
    sources = iot_api.Sources(
        lambda: parts.keeper.registry, lambda: follower.aggregates.latest, declared.settings.city.timezone
    )
    for router in (
        iot_api.router(sources),
        care_api.router(sources),
        operations_api.router(lambda: parts.keeper.registry),
        telemetry.router(parts.intake, declared.texts, declared.settings.ingest.pushes),
        gateways_api.router(
            gateways_api.Known(
                lambda: parts.keeper.registry,
                lambda: follower.health,
                new_secret,
                lambda parcel: on_trial(parts, parcel),
            ),
            telemetry.Desk(parts.intake, declared.texts),
        ),
        vendor_api.router(
            vendor_api.Place(lambda: parts.keeper.registry, declared.texts, ports_of(declared.settings))
        ),
        gis_api.router(
            parts.town.map, {"dark": colours.map_tokens("dark"), "light": colours.map_tokens("light")}
        ),
    ):
        app.include_router(router, prefix="/api/v1")
    views = views_of(declared, parts.database, parts.town.areas)
    app.include_router(events_api.router(views))
    app.include_router(dashboard_api.router(parts.screens), prefix="/api/v1")
    app.include_router(rules_api.router(Rulebook(declared, parts.database)), prefix="/api/v1")
    app.include_router(explore_api.router(parts.explorer, parts.screens.setup), prefix="/api/v1")
    app.include_router(pages.router(declared.texts, declared.settings.city.language))
    version = mount_files(app, colours)
    actions = actions_of(declared, parts.database, lambda: parts.keeper.registry, lambda: parts.town.map.city)
    app.include_router(dispatch_api.router(actions, declared.texts, links_of(declared)))
    return version


def on_trial(parts: Parts, parcel: Parcel) -> Assembled:
    """A frame as the pipeline would read it, if it were the first that comes."""
    decoders = for_the_eye(parts.declared.settings, parts.clock)
    return Assembling(limits_of(parts.declared), decoders)(parts.keeper.registry).assemble([parcel])


def ports_of(settings: Settings) -> dict[str, int]:
    """Where gateways knock."""
    return {
        "mqtt": settings.mqtt.port,
        "mqtt_tls": settings.mqtt.tls_port,
        "http": settings.web.port,
        **settings.tcp.ports,
    }


def add_status(app: FastAPI) -> None:
    """Health, readiness, status, metrics, the OpenAPI document and the way in."""

    @app.get("/api/v1/health", dependencies=[Depends(Open("liveness for supervisors"))], tags=["status"])
    async def health() -> Response:
        return Json({"status": "ok"})

    @app.get("/api/v1/ready", dependencies=[Depends(Open("readiness for load balancers"))], tags=["status"])
    async def ready(database: Db, clock: Now) -> Response:
        """503 until the database answers and the worker lives."""
        found = await status.gather(database, clock.now_us())
        if not found["roles"].get("worker", {}).get("up"):
            raise Unavailable
        return Json({"status": "ready"})

    @app.get("/api/v1/status", tags=["status"])
    async def whole(database: Db, clock: Now, _: Annotated[Actor, Depends(Allow("status.read"))]) -> Response:
        return Json(await status.gather(database, clock.now_us()))

    @app.get("/api/v1/metrics", tags=["status"])
    async def metrics(database: Db, _: Annotated[Actor, Depends(Allow("metrics.read"))]) -> Response:
        return PlainTextResponse(await status.metrics(database), media_type="text/plain; version=0.0.4")

    @app.get("/api/v1/openapi.json", include_in_schema=False)
    async def openapi(_: Annotated[Actor, Depends(Allow("screen.open"))]) -> Response:
        return Json(app.openapi())

    @app.get("/", include_in_schema=False, dependencies=[Depends(Open("leads to the first page"))])
    async def first() -> Response:
        return RedirectResponse("/wall", 303)


def add_api_end(app: FastAPI) -> None:
    """An unknown address under /api is an honest 404; without this the Dash pages would answer it."""

    @app.api_route(
        "/api/{rest:path}",
        methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        include_in_schema=False,
        dependencies=[Depends(Open("says that there is nothing"))],
    )
    async def nothing(rest: str) -> Response:
        raise NotFound(path=rest)
