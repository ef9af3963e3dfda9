"""A scripted city for pictures and browser tests: fixed items behind the real hub, pages and files. Never in the product."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI

from core import text
from core.access import Policy
from core.actor import Actor
from core.batch import Batch
from core.clock import HOUR_US, MINUTE_US, SECOND_US, rfc3339
from core.db import Database
from core.http import install_errors
from dashboard import api, dash_app, theme
from dashboard.screens import Screens
from dashboard.stream import ACTIONS, Item
from iot.kinds import Catalogue, Channel, ChannelDecl, Kind, KindDecl
from iot.readings import Logged
from iot.registry import Device, Gateway, Registry, build

ROOT = Path(__file__).resolve().parents[2]
#: 2026-11-21 15:42:08 in Shanghai.
NOON_US = 1_795_246_928 * SECOND_US
EVERYBODY = frozenset({"viewer"})
ACTIONS_OF_ALL = {*ACTIONS.values(), "screen.wall", "screen.open", "map.read", "vital.read"}
POLICY = Policy({action: EVERYBODY for action in ACTIONS_OF_ALL}, {})
WEST, SOUTH, EAST, NORTH = 121.4813, 31.2269, 121.5197, 31.2504


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
    """Level gauges in the sample area on a jittered grid."""
    decl = ChannelDecl(key="level", unit="m", low=-1, high=10)
    kind = Kind(
        "flood",
        KindDecl(key="gauge", channels=["level"], period="60s", asset="gauge", formats=["senml"]),
        {"level": "flood.level"},
    )
    catalogue = Catalogue({"flood.level": decl}, {"gauge": kind})
    rng = np.random.default_rng(7)
    lon, lat = rng.uniform(WEST, EAST, devices), rng.uniform(SOUTH, NORTH, devices)
    return build(
        [Gateway(1, "gw-1", "recorded")],
        [
            Device(
                n + 1, f"d{n}", "gauge", "flood", {"zh": f"测点{n}", "en": f"Point {n}"}, float(lon[n]),
                float(lat[n]), "gw-1", f"d{n}", provenance="simulated" if n % 3 else "recorded",
            )
            for n in range(devices)
        ],
        [Channel(1, "flood", decl)],
        catalogue,
    )  # fmt: skip


@dataclass(slots=True)
class Script:
    """A source of items that a test may change; `keys` of changed ones are handed to the hub by `put`."""

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


def ago(minutes: float, base_us: int = NOON_US) -> str:
    return rfc3339(base_us - round(minutes * MINUTE_US))


def both(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def trend(mean: float, swing: float, noise: float, seed: int, end: float | None = None) -> dict[str, object]:
    """A day in quarter hours about a usual band; `end` bends the last hour to a value."""
    rng = np.random.default_rng(seed)
    hours = np.arange(96) / 4
    usual = mean + swing * np.sin((hours - 6) / 24 * 2 * math.pi + seed)
    values = usual + rng.normal(0, noise, 96)
    if end is not None:
        values[-5:] += (end - values[-5:]) * np.array([0.1, 0.3, 0.55, 0.8, 1.0])
    width = 3 * noise + abs(swing) * 0.18
    return {
        "step_s": 900,
        "values": [round(float(v), 3) for v in values],
        "low": [round(float(v), 3) for v in usual - width],
        "high": [round(float(v), 3) for v in usual + width],
    }


def vital(
    key: str, group: str, order: int, value: float | None, unit: str, *, digits: int = 0, level: int = 0,
    state: str = "ok", swing: float | None = None, slot: str = "row", seed: int = 0, **more: object,
) -> dict[str, Any]:  # fmt: skip
    mean = value if value else 1.0
    base = float(str(more.pop("mean", mean)))
    line = trend(
        base,
        swing if swing is not None else base * 0.12,
        abs(base) * 0.012,
        seed or order,
        value if level else None,
    )
    return {
        "id": key, "group": group, "order": order, "slot": slot, "unit": unit, "digits": digits, "value": value,
        "level": level, "state": state, "as_of": ago(0.1), "coverage": [12, 12], "history_days": 28, "trend": line,
        **more,
    }  # fmt: skip


def told(key: str, **params: str) -> dict[str, object]:
    return {"key": f"vital.{key}.sub", "params": params}


def vitals(mood: str) -> list[dict[str, Any]]:
    alarm = mood == "alarm"
    low = [
        round(float(v)) for v in np.clip(60 + 70 * np.sin((np.arange(24) - 7) / 24 * 2 * math.pi), 20, None)
    ]
    values = [v + 20 + (h * 7) % 13 for h, v in enumerate(low)]
    if alarm:
        values[13:16] = [180, 205, 227]
    rows = [
        vital("ws_pressure_min", "lifeline", 10, 0.18 if alarm else 0.39, "MPa", digits=2, level=1 if alarm else 0,
              mean=0.38, sub=both("滨江路 3 号压力点", "Binjiang Rd gauge 3"), swing=0.03,
              limits=[{"level": 4, "value": 0.2}, {"level": 3, "value": 0.14}]),
        vital("ws_supply_flow", "lifeline", 20, 1.24, "10⁴ m³/h", digits=2),
        vital("gas_worst_lel", "lifeline", 30, 0.6, "%LEL", digits=1, sub=both("延安东路阀井", "Yan'an E Rd pit")),
        vital("gas_gate_pressure", "lifeline", 40, 0.382, "MPa", digits=3, swing=0.004, sub=both("浦东门站", "Pudong gate")),
        vital("dr_pump_ready", "lifeline", 50, 24, "台", parts=[9, 24], sub=told("dr_pump_ready", on="9", percent="100")),
        vital("fl_rain_1h_max", "flood", 110, 46.2 if alarm else 0, "mm", digits=1, level=3 if alarm else 0, mean=0.4, swing=0.3,
              sub=both("人民广场雨量站", "People's Square gauge")),
        vital("fl_depth_max", "flood", 120, 27 if alarm else 0, "cm", level=2 if alarm else 0, mean=1.0,
              sub=both("延安东路下穿", "Yan'an E underpass"), swing=0.4,
              limits=[{"level": 4, "value": 5}, {"level": 3, "value": 15}, {"level": 2, "value": 25}, {"level": 1, "value": 40}]),
        vital("fl_river_margin", "flood", 130, 1.64, "m", digits=2, sub=both("黄浦公园站", "Huangpu Park gauge")),
        vital("fire_pending", "site", 210, 0, "起", mean=0.3, swing=0.2, history_days=3),
        vital("fire_water_ok_rate", "site", 220, 100.0, "%", digits=1, swing=0.3, sub=told("fire_water_ok_rate", all="48", bad="0")),
        vital("con_dust_sites", "site", 230, 3 if alarm else 0, "个", level=3 if alarm else 0, parts=[3 if alarm else 0, 42],
              mean=1, swing=0.5, sub=told("con_dust_sites", n="42")),
        vital("dis_unsigned", "people", 310, 2 if alarm else 0, "条", level=1 if alarm else 0, mean=0.4,
              sub=told("dis_unsigned", oldest_min="9.7" if alarm else "0")),
        vital("dis_overdue", "people", 320, 7, "件", state="stale" if alarm else "ok", mean=6, as_of=ago(6), sub=told("dis_overdue")),
        vital("dis_received", "people", 1, 3482 if alarm else 1946, "件", slot="kpi"),
        vital("dis_open", "people", 2, 8 if alarm else 3, "件", slot="kpi", sub=told("dis_open", overdue="1" if alarm else "0")),
        vital("dis_handle_ontime", "people", 3, 96.4, "%", digits=1, slot="kpi", sub=told("dis_handle_ontime")),
        vital("dis_arrival_p90", "people", 4, 8.6, "min", digits=1, slot="kpi", sub=told("dis_arrival_p90")),
        vital("dis_crew_free", "people", 5, 113, "支", slot="kpi", parts=[113, 223], sub=told("dis_crew_free", share="51")),
        vital("we_temperature", "weather", 10, 24.6 if alarm else 18.2, "°C", digits=1, slot="weather"),
        vital("we_rain", "weather", 20, 31.8 if alarm else 0, "mm", digits=1, slot="weather"),
        vital("we_wind", "weather", 30, 14 if alarm else 3, "m/s", slot="weather"),
    ]  # fmt: skip
    rows[1]["day"] = {"values": values, "low": [v * 0.75 for v in low], "high": [v * 1.25 + 14 for v in low]}
    if mood == "worst":
        for number, row in enumerate(rows[:13]):
            row["level"], row["state"] = number % 4 + 1, "ok"
    if mood == "stale":
        for row in rows[4:8]:
            row["state"], row["as_of"] = "stale", ago(17)
        rows[0]["state"], rows[0]["value"] = "no_data", None
        rows[1]["state"], rows[1]["coverage"] = "low_coverage", [6, 10]
        rows[8]["state"] = "estimated"
    if mood == "no_data":
        for row in rows:
            row["state"], row["value"] = "no_data", None
    return rows


def ring(lon: float, lat: float, metres: float, n: int = 48) -> list[list[float]]:
    dy, dx = metres / 111_320, metres / (111_320 * math.cos(math.radians(lat)))
    return [[lon + dx * math.cos(a), lat + dy * math.sin(a)] for a in np.linspace(0, 2 * math.pi, n + 1)]


def feature(kind: str, form: str, coordinates: object, **more: object) -> dict[str, Any]:
    return {
        "type": "Feature", "properties": {"kind": kind, **more}, "geometry": {"type": form, "coordinates": coordinates}
    }  # fmt: skip


def incident(
    key: str, level: int, zh: str, en: str, place: dict[str, str], source: dict[str, str], minutes: float, lon: float,
    lat: float, *, acknowledged: bool = True, state: str = "confirmed", **more: object,
) -> dict[str, Any]:  # fmt: skip
    return {
        "id": key, "level": level, "state": state, "title": both(zh, en), "place": place, "source": source,
        "opened_at": ago(minutes), "changed_at": ago(minutes), "acknowledged_at": ago(minutes - 1) if acknowledged else None,
        "acknowledged_by": "林静" if acknowledged else None, "lon": lon, "lat": lat, "provenance": "simulated", **more,
    }  # fmt: skip


def incidents(mood: str) -> list[dict[str, Any]]:
    auto = both("压力监测自动发现", "auto-detected")
    calm = [
        incident("i4", 4, "井盖松动", "Loose manhole cover", both("黄浦区 北京东路", "Huangpu, Beijing E Rd"), both("巡查", "patrol"), 21.6, 121.4872, 31.2401),
        incident("i5", 4, "噪声投诉", "Noise complaint", both("浦东新区 银城路", "Pudong, Yincheng Rd"), both("12345", "12345"), 33.1, 121.5061, 31.2361),
        incident("i6", 4, "路灯不亮 3 盏", "3 street lights out", both("虹口区 东大名路", "Hongkou, E Daming Rd"), both("12345", "12345"), 14, 121.4995, 31.2478),
    ]  # fmt: skip
    if mood in ("calm", "stale", "no_data"):
        return calm
    if mood == "empty":
        return []
    lon, lat = 121.5012, 31.2378
    alarm = [
        incident("i1", 1, "DN800 供水主管爆管", "DN800 water main burst", both("浦东新区 陆家嘴环路 / 富城路", "Lujiazui Ring Rd / Fucheng Rd"), auto,
                 2.2, lon, lat, acknowledged=False, state="open", short=both("爆管", "Burst"),
                 found=both("15:39:54 压力 3 站同降 0.21 MPa", "15:39:54 3 gauges down 0.21 MPa"),
                 impact=both("居民 18,400 户 · 医院 1 · 学校 3", "Homes 18,400 · hospital 1 · schools 3"),
                 advice=both("关阀 V-2107、V-2111 隔离，派抢修队、送水车", "Close V-2107, V-2111; repair crew, water trucks"),
                 overlay=[
                     feature("ring", "Polygon", [ring(lon, lat, 260)]),
                     feature("pipe", "LineString", [[lon - 0.0024, lat + 0.0006], [lon, lat], [lon + 0.0018, lat + 0.0012], [lon + 0.0027, lat - 0.0006]]),
                     feature("valve", "Point", [lon - 0.0024, lat + 0.0006], label="V-2107"),
                     feature("valve", "Point", [lon + 0.0027, lat - 0.0006], label="V-2111"),
                 ]),
        incident("i2", 2, "延安东路下穿积水 27 cm", "Yan'an E Rd underpass 27 cm", both("黄浦区", "Huangpu"), both("积水监测 + 视频复核", "sensor + video"),
                 9.7, 121.4903, 31.2331, acknowledged=False, state="open", short=both("积水 27 cm", "Water 27 cm"),
                 overlay=[feature("flood", "Polygon", [ring(121.4903, 31.2331, 130)], opacity=0.34), feature("flood", "Polygon", [ring(121.4880, 31.2352, 80)], opacity=0.24)]),
        incident("i3", 2, "可燃气体超限", "Combustible gas over limit", both("虹口区 大名路", "Hongkou, Daming Rd"), both("井下监测", "well sensors"),
                 18.4, 121.4932, 31.2468, short=both("可燃气体", "Gas"),
                 overlay=[feature("plume", "Polygon", [ring(121.4945, 31.2462, r)], opacity=o) for r, o in ((260, 0.1), (160, 0.16), (80, 0.26))]),
        incident("i7", 3, "夜间施工噪声超标", "Night noise over limit", both("浦东新区 花园石桥路", "Pudong, Huayuan Shiqiao Rd"), both("工地监测", "site sensors"), 31.8, 121.5098, 31.2345),
        incident("i8", 3, "行道树倒伏压占车道", "Fallen tree blocks lane", both("黄浦区 中山东一路", "Huangpu, Zhongshan E 1st Rd"), both("12345", "12345"), 44.2, 121.4868, 31.2365),
    ]  # fmt: skip
    if mood == "worst":
        for number in range(14):
            alarm.append(incident(f"w{number}", 1 + number % 2, "轨道交通车站周边地下空间可燃气体浓度持续超过报警限值并扩散",
                                  "Combustible gas in underground spaces around the metro station stays over the limit and spreads",
                                  both("浦东新区 陆家嘴街道 世纪大道与银城中路交叉口西北侧", "North-west corner of Century Avenue and Yincheng Middle Road"),
                                  both("井下监测 + 12345 + 视频复核", "well sensors + hotline + video"), 62 + number, 121.49 + number / 1000, 31.24,
                                  acknowledged=False, state="open"))  # fmt: skip
    return alarm + calm


STAGES = ("accept", "dispatch", "arrive", "handle", "check", "close")


def cases(mood: str) -> list[dict[str, Any]]:
    if mood in ("empty", "no_data"):
        return []

    def case(
        key: str, level: int, zh: str, en: str, crews: list[str], *used_s: float, left_s: float = 0
    ) -> dict[str, Any]:
        at = -sum(used_s) - 30
        stages = []
        for number, stage in enumerate(STAGES):
            done, now = number < len(used_s), number == len(used_s)
            took = used_s[number] if done else 0
            stages.append({
                "stage": stage, "state": "done" if done else "current" if now else "pending",
                "from": ago(-at / 60) if done or now else None, "to": ago(-(at + took) / 60) if done else None,
                "due_at": ago(-left_s / 60) if now else None,
            })  # fmt: skip
            at += took
        return {"id": key, "level": level, "title": both(zh, en), "crews": crews, "stages": stages, "state": "handling",
                "created_at": ago(10), "incident": "i1"}  # fmt: skip

    if mood in ("calm", "stale"):
        return [
            case("c1", 4, "井盖松动", "Loose manhole cover", ["road_repair-30"], 40, 150, 370, left_s=820),
            case("c2", 4, "路灯不亮", "Street lights", ["general-30"], 25, 185, left_s=530),
        ]
    return [
        case(
            "c1",
            1,
            "供水主管爆管",
            "Water main burst",
            ["water_main_repair-2", "guard-1"],
            20,
            65,
            left_s=190,
        ),
        case(
            "c2",
            2,
            "延安东路下穿积水",
            "Underpass flooding",
            ["pumping-3", "pumping-5"],
            35,
            130,
            left_s=-105,
        ),
        case("c3", 2, "可燃气体超限", "Gas over limit", ["gas_repair-12"], 15, 90, 440, left_s=1260),
    ]


def crews(mood: str) -> list[dict[str, Any]]:
    if mood in ("empty", "no_data"):
        return []
    rng = np.random.default_rng(5)
    found = []
    kinds = (
        ("water_main_repair", 6, 15),
        ("pumping", 3, 24),
        ("gas_repair", 11, 20),
        ("road_repair", 23, 38),
        ("guard", 52, 80),
        ("general", 18, 46),
    )
    words = {"water_main_repair": both("供水抢修", "Water"), "pumping": both("排水泵车", "Pumps"), "gas_repair": both("燃气抢修", "Gas"),
             "road_repair": both("市政养护", "Roads"), "guard": both("看护", "Guard"), "general": both("综合应急", "General")}  # fmt: skip
    for kind, free, total in kinds:
        for n in range(total):
            placed = n < 3
            found.append({
                "id": f"{kind}-{n}", "kind": kind, "name": both(f"{words[kind]['zh']} {n} 队", f"{words[kind]['en']} {n}"),
                "state": "free" if n >= total - free else "busy",
                "lon": float(rng.uniform(WEST + 0.004, EAST - 0.004)) if placed else None, "lat": float(rng.uniform(SOUTH + 0.003, NORTH - 0.003)) if placed else None,
                "heading": float(rng.uniform(0, 360)), "position_at": ago(0.1),
            })  # fmt: skip
    return found


def facts(mood: str) -> dict[str, object]:
    told: dict[str, object] = {
        "closed_today": 3266 if mood != "calm" else 1904,
        "shift": both("林静", "Lin Jing"),
        "warnings": [],
    }
    if mood in ("alarm", "worst"):
        told["response"] = {
            "level": 2,
            "name": both("防汛应急响应", "flood response"),
            "since": ago(122),
            "commander": "周明远",
        }
        told["warnings"] = [
            {
                "level": 2,
                "name": both("暴雨橙色预警", "Rainstorm orange"),
                "issuer": both("市气象台", "Met office"),
                "issued_at": ago(142),
            }
        ]
    return told


def screens(mood: str = "alarm", devices: int = 240, base_map: Mapping[str, object] | None = None) -> Screens:
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
            "alerts": Script(
                [{"id": f"a{n}", "device": f"d{n * 7}", "level": 1 + n % 4} for n in range(18)]
                if mood == "alarm"
                else []
            ),
        },
        facts=Told(facts(mood)),
        setup={"city": both("江州市", "Jiangzhou"), "timezone": "Asia/Shanghai", "map": base_map},
    )


def words() -> text.Texts:
    homes = [ROOT / room for room in ("core", "iot", "events", "dispatch", "dashboard", "app")]
    return text.load([*homes, *sorted((ROOT / "domains").glob("*"))])


class EverybodyLooks:
    """Stands for the sign-in: every request comes from one viewer."""

    def __init__(self, app: Any, headers: dict[str, str]) -> None:
        self.app = app
        self.headers = headers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            scope.setdefault("state", {})["actor"] = Actor("viewer", "viewer", EVERYBODY)

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [(k.lower().encode(), v.encode()) for k, v in self.headers.items()]
            await send(message)

        await self.app(scope, receive, with_headers)


def application(found: Screens) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await dash_app.warm(dash)
        policy["Content-Security-Policy"] = dash_app.content_security_policy(dash)
        yield

    policy: dict[str, str] = {}
    app = FastAPI(lifespan=lifespan)
    install_errors(app, found.texts)
    app.state.policy = POLICY
    app.include_router(api.router(found), prefix="/api/v1")
    api.mount_files(app, theme.load())
    dash = dash_app.build(app, found.texts, "zh", "CityOps")
    app.add_middleware(EverybodyLooks, headers=policy)
    return app


def speak(found: Screens, now_us: int, silent: int = 3) -> None:
    """Every device but a few says something now."""
    numbers = np.arange(1, len(found.registry.devices) + 1 - silent)
    rng = np.random.default_rng(now_us % 1000)
    batch = Batch.of(device=numbers, channel=1, time_us=now_us - rng.integers(0, 2 * SECOND_US, len(numbers)),
                     value=rng.normal(1, 0.2, len(numbers)), received_us=now_us - 400_000)  # fmt: skip
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
async def serving(app: Any, port: int = 0) -> AsyncIterator[str]:
    """A real HTTP server on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
        port = probe.getsockname()[1]
    config = uvicorn.Config(app, port=port, log_level="warning", ws_per_message_deflate=False, lifespan="on")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


HOUR = HOUR_US
