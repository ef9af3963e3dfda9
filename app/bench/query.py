"""`cityops bench query`: a day of one point out of ten million readings, and the last values of 100 000 points."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import Response

from app.bench.rig import Figures, Measured, Rig, Say, catalogue, rig
from core.access import Policy
from core.actor import Actor
from core.batch import Batch
from core.clock import DAY_US, SystemClock, to_datetime
from core.db import Database, connect
from iot import api, registry_store, views
from iot.latest import Latest
from iot.partitions import ReadingsTable
from iot.registry import Registry

DEVICES = 100_000
POINTS = 1000
STORED = 10_000_000
ASKED = 30

FILL = b"""
INSERT INTO readings
SELECT device, %(channel)s, time, time, 0.3 + device %% 7 * 0.01, 0, 1
FROM unnest(%(devices)s::integer[]) AS device,
     generate_series(%(begin)s::timestamptz, %(end)s::timestamptz - make_interval(secs => %(step)s),
                     make_interval(secs => %(step)s)) AS time
"""


def run(say: Say) -> Measured:
    with rig(DEVICES, worker=False) as found:
        say("storing ten million readings")
        return Measured(asyncio.run(figures(found, say)))


async def figures(found: Rig, say: Say) -> Figures:
    database = Database(found.dsn, 4)
    await database.open()
    try:
        day_us = SystemClock().now_us() // DAY_US * DAY_US
        numbers = sorted(found.registry.by_number)[:POINTS]
        channel = next(iter(found.registry.points_of(found.registry.by_number[numbers[0]])))
        await fill(found, numbers, channel, day_us)
        say("asking for a day of one point")
        point_ms = await point_24h_ms(
            database, numbers, found.registry.channels[full(found, channel)].number, day_us
        )
        say("loading 100 000 devices, asking for their last values")
        began_s = SystemClock().monotonic_s()
        registry = await registry_store.load(database, catalogue())
        load_s = SystemClock().monotonic_s() - began_s
        return {
            "point_24h_ms": point_ms,
            "latest_100k_ms": await latest_ms(registry),
            "registry_load_100k_s": load_s,
        }
    finally:
        await database.close()


def full(found: Rig, channel: str) -> str:
    return found.registry.kind_of(next(iter(found.registry.devices.values()))).channels[channel]


async def fill(found: Rig, numbers: list[int], channel: str, day_us: int) -> None:
    """Ten million readings of one day, as many of each point."""
    async with await connect(found.dsn) as connection:
        table = ReadingsTable(DAY_US / 1e6)
        await table.prepare(connection, "off")
        await table.ensure(connection, np.array([day_us], np.int64))
        await connection.execute(
            FILL,
            {
                "channel": found.registry.channels[full(found, channel)].number, "devices": numbers,
                "begin": to_datetime(day_us), "end": to_datetime(day_us + DAY_US),
                "step": DAY_US / 1e6 / (STORED / len(numbers)),
            },
        )  # fmt: skip
        await connection.execute(b"ANALYZE readings")


async def point_24h_ms(database: Database, numbers: list[int], channel: int, day_us: int) -> float:
    """Median of one point's day in minutes, another point each time."""
    clock = SystemClock()
    took: list[float] = []
    for number in numbers[:: len(numbers) // ASKED]:
        began_s = clock.monotonic_s()
        found = await views.series(database, (number, channel), day_us, day_us + DAY_US, "1m")
        took.append(clock.monotonic_s() - began_s)
        assert len(found) == 24 * 60
    return float(np.median(took) * 1000)


async def latest_ms(registry: Registry) -> float:
    """Median of `GET /latest` of 100 000 points over a socket of this machine."""
    clock = SystemClock()
    latest = Latest(registry)
    points = np.array(
        [next(iter(registry.points_of(d).values())) for d in registry.by_number.values()], np.int32
    )
    now_us = clock.now_us()
    n = len(points)
    latest.add(
        Batch(
            registry.device_of[points], registry.channel_of[points], np.full(n, now_us), np.full(n, now_us),
            np.linspace(0, 1, n), np.zeros(n, np.uint16), np.ones(n, np.int32),
        )
    )  # fmt: skip
    async with served(registry, latest) as url, httpx.AsyncClient(timeout=60) as client:
        took: list[float] = []
        for _ in range(ASKED):
            began_s = clock.monotonic_s()
            answer = await client.get(f"{url}/api/v1/latest")
            took.append(clock.monotonic_s() - began_s)
            assert answer.content.count(b"Z") >= n
    return float(np.median(took[3:]) * 1000)


@asynccontextmanager
async def served(registry: Registry, latest: Latest) -> AsyncIterator[str]:
    """The routes of devices and readings for somebody who may read everything."""
    app = FastAPI()
    roles = frozenset({"bench"})
    app.state.policy = Policy({"reading.read": roles, "device.read": roles}, {})
    app.include_router(
        api.router(api.Sources(lambda: registry, lambda: latest, "Asia/Shanghai")), prefix="/api/v1"
    )

    @app.middleware("http")
    async def identify(request: Request, following: Callable[[Request], Awaitable[Response]]) -> Response:
        request.state.actor = Actor("bench", "Bench", roles)
        return await following(request)

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        await serving
