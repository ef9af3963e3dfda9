"""The role `sim`: the demonstration scene on the wire. It knows the product only by MQTT and HTTP."""

from __future__ import annotations

from app import credentials
from app.declared import Declared
from app.demo import scene_of
from core.clock import Clock
from core.db import Database
from core.metrics import Metrics
from core.role import Heartbeat
from simulators.live import Live
from simulators.orders_feed import OrdersFeed
from simulators.publish import Broker

FOLDER = "scene"


async def play(declared: Declared, dsn: str, run: str, clock: Clock) -> None:
    """Play until cancelled. The database carries nothing but the heartbeat."""
    import asyncio

    settings = declared.settings
    known = credentials.load(settings.data)
    scene = scene_of(settings)
    assert scene is not None, "a scene that is off has no role"
    host = "127.0.0.1" if settings.web.bind in ("0.0.0.0", "::") else settings.web.bind  # noqa: S104 - read, not bound
    mqtt_host = settings.mqtt.host if settings.mqtt.mode == "external" else settings.mqtt.bind
    orders = OrdersFeed(f"http://{host}:{settings.web.port}", "simulator", known.users["simulator"])
    broker = Broker(
        "127.0.0.1" if mqtt_host == "0.0.0.0" else mqtt_host,
        settings.mqtt.port,
        known.gateways,
    )
    live = Live(scene, broker, settings.data / FOLDER, clock, orders)
    database = Database(dsn, 2)
    await database.open()
    beat = Heartbeat(database, clock, Metrics(), "sim", run, live.detail)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(live.run())
            tasks.create_task(beat.beat_for_ever())
    finally:
        await database.close()
