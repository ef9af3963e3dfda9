"""A scripted city (`city.yaml`) for pictures and browser tests, behind the real hub, pages and files."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import text, yamlfile
from core.access import Policy
from core.actor import Actor
from core.batch import Batch
from core.clock import MINUTE_US, SECOND_US, rfc3339
from core.db import Database
from core.http import install_errors
from dashboard import api, dash_app, pages, theme, wall
from dashboard.explore import api as explore_api
from dashboard.explore.source import Explorer
from dashboard.screens import Screens
from dashboard.stream import ACTIONS, Item
from gis import api as map_api
from gis.city import sample_city
from gis.views import CityMap
from iot.kinds import Catalogue, Channel, ChannelDecl, Kind, KindDecl
from iot.readings import Logged
from iot.registry import Device, Gateway, Registry, build

ROOT = Path(__file__).resolve().parents[2]
#: 2026-11-21 15:42:08 in Shanghai.
NOON_US = 1_795_246_928 * SECOND_US
Mood = Literal["calm", "alarm", "worst", "empty", "stale", "no_data"]
EVERYBODY = frozenset({"viewer"})
OPENED = {
    *(f"screen.{page}" for page in ("wall", "open", "responder", "explore", "console", "cockpit", "vitals")),
    "map.read",
    "vital.read",
    "reading.read",
    *("command.confirm", "permit.act", "bulletin.sign"),
}
POLICY = Policy(dict.fromkeys([*ACTIONS.values(), *OPENED], EVERYBODY), {})
WEST, SOUTH, EAST, NORTH = 121.4813, 31.2269, 121.5197, 31.2504

#: The sample city as a base map, looked at from the south-east.
BASE_MAP: Mapping[str, object] = {
    "style": "/api/v1/map/style.json?scale=3.05&pitch=45",
    "bounds": [[WEST, SOUTH], [EAST, NORTH]],
    "pitch": 45,
    "bearing": -14,
    "name": "© OpenStreetMap",
    "date": "2026-07",
}


class RunningClock:
    """The scripted afternoon, running at the pace of the machine."""

    def __init__(self, start_us: int = NOON_US) -> None:
        self._start_us = start_us
        self._since = time.monotonic()

    def now_us(self) -> int:
        return self._start_us + round((time.monotonic() - self._since) * SECOND_US)

    def monotonic_s(self) -> float:
        return time.monotonic()


def registry(devices: int = 240) -> Registry:
    """Level gauges scattered over the sample area."""
    decl = ChannelDecl(key="level", unit="m", low=-1, high=10)
    kind = KindDecl.model_validate(
        {"key": "gauge", "channels": ["level"], "period": "60s", "asset": "gauge", "formats": ["senml"]}
    )
    catalogue = Catalogue({"flood.level": decl}, {"gauge": Kind("flood", kind, {"level": "flood.level"})})
    rng = np.random.default_rng(7)
    lon, lat = rng.uniform(WEST, EAST, devices).tolist(), rng.uniform(SOUTH, NORTH, devices).tolist()
    return build(
        [Gateway(1, "gw-1", "recorded")],
        [
            Device(
                n + 1, f"d{n}", "gauge", "flood", {"zh": f"测点{n}", "en": f"Point {n}"}, lon[n], lat[n],
                "gw-1", f"d{n}", provenance="simulated" if n % 3 else "recorded",
            )
            for n in range(devices)
        ],
        [Channel(1, "flood", decl)],
        catalogue,
    )  # fmt: skip


# -- items out of city.yaml ---------------------------------------------------------------------------------


def script() -> dict[str, Any]:
    data = yamlfile.read(Path(__file__).with_name("city.yaml")).data
    assert isinstance(data, dict)
    return data


def ago(minutes: float) -> str:
    return rfc3339(NOON_US - round(minutes * MINUTE_US))


def both(words: Sequence[str]) -> dict[str, str]:
    return {"zh": words[0], "en": words[1]}


def is_alarm(mood: Mood) -> bool:
    return mood in ("alarm", "worst")


def vitals(mood: Mood) -> list[dict[str, Any]]:
    rows = [vital(dict(given), mood) for given in script()["vitals"]]
    if mood == "worst":
        for number, row in enumerate(rows[:13]):
            row |= {"level": number % 4 + 1, "state": "ok", "value": row["value"] + 8_888}
    if mood == "stale":
        for row in rows[4:8]:
            row |= {"state": "stale", "as_of": ago(17)}
        rows[0] |= {"state": "no_data", "value": None}
        rows[1] |= {"state": "low_coverage", "coverage": [6, 10]}
    if mood == "no_data":
        for row in rows:
            row |= {"state": "no_data", "value": None}
    return [] if mood == "empty" else [*rows, city_index(mood)]


def city_index(mood: Mood) -> dict[str, Any]:
    """The index: all parts whole in calm, one red part shown under a level 1 incident."""
    keys = (
        "water_supply",
        "drainage",
        "gas",
        "construction",
        "flood",
        "fire",
        "dispatch",
        "hotline",
        "system",
    )
    scores = [10.0 if is_alarm(mood) and key == "water_supply" else 100.0 for key in keys]
    parts = [
        {
            "key": key, "weight": 1 / 9, "share": 1 / 9, "score": score, "points": score / 9,
            "lost": (100 - score) / 9, "worst": "", "confidence": 1.0,
        }
        for key, score in zip(keys, scores, strict=True)
    ]  # fmt: skip
    mean, worst = sum(scores) / 9, min(scores)
    return {
        "id": "city_index", "domain": "common", "group": "index", "slot": "index", "order": 0, "unit": "", "digits": 0,
        "value": worst if is_alarm(mood) else mean, "mean": mean, "shows": "worst" if is_alarm(mood) else "mean",
        "level": 0, "state": "ok", "coverage": [9, 9], "confidence": 1.0, "made_of": parts, "as_of": ago(0),
        "trend": {"step_s": 900, "values": [mean] * 96, "low": [], "high": []}, "sub": None,
    }  # fmt: skip


def vital(given: dict[str, Any], mood: Mood) -> dict[str, Any]:
    given |= given.pop("alarm", {}) if is_alarm(mood) else given.pop("alarm", {}) and {}
    sub, mean = given.pop("sub", None), float(given.pop("mean", given["value"] or 1))
    swing = float(given.pop("swing", mean * 0.12))
    level = given.setdefault("level", 0)
    line = trend(mean, swing, abs(mean) * 0.012, given["order"], given["value"] if level else None)
    key = f"vital.{given['id']}.sub"
    return {
        "slot": "row", "digits": 0, "state": "ok", "coverage": [12, 12], "confidence": 1.0, "history_days": 28,
        "trend": line, **given, "as_of": ago(given.get("as_of", 0.1)),
        "sub": both(sub) if isinstance(sub, list) else None if sub is None else {"key": key, "params": sub},
        "limits": [{"level": int(n), "value": value} for n, value in given.get("limits", {}).items()],
        "day": day(mood) if given.get("day") else None,
    }  # fmt: skip


def trend(mean: float, swing: float, noise: float, seed: int, end: float | None) -> dict[str, object]:
    """A day in quarter hours about a usual band; `end` bends the last hour to a value."""
    hours = np.arange(96) / 4
    usual = mean + swing * np.sin((hours - 6) / 24 * 2 * math.pi + seed)
    values = usual + np.random.default_rng(seed).normal(0, noise, 96)
    if end is not None:
        values[-5:] += (end - values[-5:]) * np.array([0.1, 0.3, 0.55, 0.8, 1.0])
    width = 3 * noise + abs(swing) * 0.18
    return {
        "step_s": 900,
        "values": values.round(3).tolist(),
        "low": (usual - width).round(3).tolist(),
        "high": (usual + width).round(3).tolist(),
        "ahead_low": (usual - width).round(3).tolist()[:16],
        "ahead_high": (usual + width).round(3).tolist()[:16],
    }


def day(mood: Mood) -> dict[str, list[float]]:
    usual = np.clip(60 + 70 * np.sin((np.arange(24) - 7) / 24 * 2 * math.pi), 20, None).round()
    values = usual + 20 + (np.arange(24) * 7) % 13
    if is_alarm(mood):
        values[13:16] = (180, 205, 227)
    return {"values": values.tolist(), "low": (usual * 0.75).tolist(), "high": (usual * 1.25 + 14).tolist()}


def incidents(mood: Mood) -> list[dict[str, Any]]:
    known = script()["incidents"]
    rows = [] if mood == "empty" else [*known["calm"]]
    if is_alarm(mood):
        rows = [*known["alarm"], *rows]
    if mood == "worst":
        rows += [{**known["worst"], "id": f"w{n}", "level": 1 + n % 2} for n in range(14)]
    return [incident(dict(given)) for given in rows]


def incident(given: dict[str, Any]) -> dict[str, Any]:
    lon, lat = given.pop("at")
    minutes, open_ = given.pop("ago"), given.get("state") == "open"
    shapes = [around(lon, lat, **each) for each in given.pop("rings", [])]
    if pipe := given.pop("pipe", None):
        shapes.append(feature("pipe", "LineString", [[lon + x, lat + y] for x, y in pipe]))
    valves = given.pop("valves", {})
    shapes += [feature("valve", "Point", [lon + x, lat + y], label=name) for name, (x, y) in valves.items()]
    words = {name: both(value) for name, value in given.items() if isinstance(value, list)}
    return {
        "state": "confirmed", "opened_at": ago(minutes), "changed_at": ago(minutes), "provenance": "simulated",
        "acknowledged_at": None if open_ else ago(minutes - 1), "acknowledged_by": None if open_ else "林静",
        "lon": lon, "lat": lat, "overlay": shapes, **given, **words,
    }  # fmt: skip


def around(
    lon: float, lat: float, *, kind: str, metres: float, opacity: float = 0.3, shift: Sequence[float] = (0, 0)
) -> dict[str, Any]:
    """A circle of some metres about a place."""
    dy, dx = metres / 111_320, metres / (111_320 * math.cos(math.radians(lat)))
    angles = np.linspace(0, 2 * math.pi, 49)
    line = [[lon + shift[0] + dx * math.cos(a), lat + shift[1] + dy * math.sin(a)] for a in angles]
    return feature(kind, "Polygon", [line], opacity=opacity)


def feature(kind: str, form: str, coordinates: object, **more: object) -> dict[str, Any]:
    shape = {"type": form, "coordinates": coordinates}
    return {"type": "Feature", "properties": {"kind": kind, **more}, "geometry": shape}


def cases(mood: Mood) -> list[dict[str, Any]]:
    known = script()["cases"]
    rows = [] if mood in ("empty", "no_data") else known["alarm" if is_alarm(mood) else "calm"]
    return [
        {
            "id": row["id"], "level": row["level"], "title": both(row["title"]), "crews": row["crews"],
            "state": "handling", "created_at": ago(10), "stages": stages(row["used"], row["left"]),
        }
        for row in rows
    ]  # fmt: skip


def stages(used_s: Sequence[float], left_s: float) -> list[dict[str, object]]:
    at_s = -sum(used_s) - 30.0
    found: list[dict[str, object]] = []
    for number, stage in enumerate(("accept", "dispatch", "arrive", "handle", "check", "close")):
        state = "done" if number < len(used_s) else "current" if number == len(used_s) else "pending"
        begun = None if state == "pending" else ago(-at_s / 60)
        at_s += used_s[number] if state == "done" else 0
        ended = ago(-at_s / 60) if state == "done" else None
        due = ago(-left_s / 60) if state == "current" else None
        found.append({"stage": stage, "state": state, "from": begun, "to": ended, "due_at": due})
    return found


def crews(mood: Mood) -> list[dict[str, Any]]:
    if mood in ("empty", "no_data"):
        return []
    rng = np.random.default_rng(5)
    return [
        {
            "id": f"{kind}-{n}", "kind": kind, "name": both([f"{zh} {n} 队", f"{en} {n}"]),
            "state": "free" if n >= total - free else "busy", "heading": float(rng.uniform(0, 360)),
            "lon": float(rng.uniform(WEST + 0.004, EAST - 0.004)) if n < 3 else None,
            "lat": float(rng.uniform(SOUTH + 0.003, NORTH - 0.003)) if n < 3 else None, "position_at": ago(0),
        }
        for kind, (free, total, zh, en) in script()["crews"].items()
        for n in range(total)
    ]  # fmt: skip


def orders(mood: Mood) -> list[dict[str, Any]]:
    """Crews on their way to the worst incident."""
    states = (("water_main_repair-2", "en_route"), ("guard-1", "arrived"), ("road_repair-4", "sent"))
    return [
        {
            "id": f"o{n}", "incident": "i1", "case": "c1", "crew": crew, "state": state, "level": 1,
            "times": {state: ago(n)}, "created_at": ago(2),
        }
        for n, (crew, state) in enumerate(states if is_alarm(mood) else ())
    ]  # fmt: skip


def facts(mood: Mood) -> dict[str, object]:
    given = script()["facts"]["alarm" if is_alarm(mood) else "calm"]
    told = {"incidents_today": given["incidents_today"], "shift": both(given["shift"]), "warnings": []}
    if "response" in given:
        response, warnings = given["response"], given["warnings"]
        named = {name: both(response[name]) for name in ("name", "commander")}
        told["response"] = {**response, **named, "since": ago(response["ago"])}
        told["warnings"] = [
            {
                **each,
                "name": both(each["name"]),
                "issuer": both(each["issuer"]),
                "issued_at": ago(each["ago"]),
            }
            for each in warnings
        ]
    return told


# -- a server of it -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class Script:
    """A source of items that a test may change."""

    items: list[dict[str, Any]]

    async def all(self) -> Sequence[Item]:
        return self.items

    async def some(self, keys: Collection[str]) -> Sequence[Item]:
        return [item for item in self.items if item["id"] in keys]


@dataclass(slots=True)
class Told:
    facts: dict[str, object]

    async def now(self, now_us: int) -> Mapping[str, object]:
        return self.facts


def screens(
    mood: Mood = "alarm", devices: int = 240, base_map: Mapping[str, object] | None = None
) -> Screens:
    alerts = [{"id": f"a{n}", "device": f"d{n * 7}", "level": 1 + n % 4} for n in range(18)]
    return Screens(
        database=Database("postgresql://nowhere"),
        clock=RunningClock(),
        policy=POLICY,
        texts=words(),
        registry=registry(devices),
        sources={
            "vitals": Script(vitals(mood)),
            "incidents": Script(incidents(mood)),
            "cases": Script(cases(mood)),
            "crews": Script(crews(mood)),
            "orders": Script(orders(mood)),
            "alerts": Script(alerts if is_alarm(mood) else []),
        },
        facts=Told(facts(mood)),
        setup=wall.setup(
            wall.load(), city=both(["江州市", "Jiangzhou"]), timezone="Asia/Shanghai", base_map=base_map
        ),
    )


def words() -> text.Texts:
    homes = [ROOT / room for room in ("core", "iot", "ingest", "events", "dispatch", "dashboard", "app")]
    return text.load([*homes, *sorted((ROOT / "domains").glob("*"))])


class SignedIn:
    """Stands for the sign-in: every request comes from one actor, every answer carries the headers."""

    def __init__(self, app: ASGIApp, actor: Actor, headers: dict[str, str]) -> None:
        self.app = app
        self.actor = actor
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope.setdefault("state", {})["actor"] = self.actor

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(k.lower().encode(), v.encode()) for k, v in self.headers.items()]
            await send(message)

        await self.app(scope, receive, with_headers)


def explorer(found: Screens) -> Explorer:
    """What the analysis page asks, of the same city."""
    return Explorer(
        found.database, found.clock, found.policy, found.texts, ZoneInfo("Asia/Shanghai"),
        both(["江州市", "Jiangzhou"]), lambda: found.registry,
    )  # fmt: skip


def application(found: Screens, tiles: Path | None = None) -> FastAPI:
    """The pages of a scripted city; with a folder for tiles also its base map."""
    policy: dict[str, str] = {}
    colours = theme.load()
    app = FastAPI()
    install_errors(app, found.texts)
    app.state.policy = POLICY
    app.include_router(api.router(found), prefix="/api/v1")
    app.include_router(explore_api.router(explorer(found), found.setup), prefix="/api/v1")
    app.include_router(pages.router(found.texts))

    @app.get("/api/v1/auth/me")
    async def me() -> dict[str, str]:
        return {"id": "viewer", "name": "viewer"}

    if tiles is not None:
        themes = {"dark": colours.map_tokens("dark"), "light": colours.map_tokens("light")}
        app.include_router(map_api.router(CityMap(sample_city, tiles), themes), prefix="/api/v1")
    found.build = api.mount_files(app, colours)
    dash = dash_app.build(app, explorer(found), "zh", "CityOps", found.build)
    app.add_middleware(SignedIn, actor=Actor("viewer", "viewer", EVERYBODY), headers=policy)

    async def ready() -> None:
        await dash_app.warm(dash)
        policy["Content-Security-Policy"] = dash_app.content_security_policy(dash)

    app.state.ready = ready
    return app


def speak(found: Screens, now_us: int, silent: int = 3) -> None:
    """Every device but a few says something now."""
    numbers = np.arange(1, len(found.registry.devices) + 1 - silent)
    rng = np.random.default_rng(now_us % 1000)
    batch = Batch.of(
        device=numbers,
        channel=1,
        time_us=now_us - rng.integers(0, 2 * SECOND_US, len(numbers)),
        value=rng.normal(1, 0.2, len(numbers)),
        received_us=now_us - 400_000,
    )
    found.take([Logged(now_us, batch)])


async def live(found: Screens) -> None:
    """What `Screens.run` does, with a script instead of feeds."""
    await found.load()
    while True:
        speak(found, found.clock.now_us())
        await found.tell_status()
        found.hub.tick()
        await asyncio.sleep(0.5)


@asynccontextmanager
async def serving(app: FastAPI, port: int = 0) -> AsyncIterator[str]:
    """A real HTTP server on a free port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    if hasattr(app.state, "ready"):
        await app.state.ready()
    config = uvicorn.Config(app, port=port, log_level="warning", ws_per_message_deflate=False, lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task
