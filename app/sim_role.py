"""The role `sim`: the demonstration scene on the wire. It knows the product only by MQTT and HTTP."""

from __future__ import annotations

import asyncio

from app.declared import Declared
from app.demo import demo_of
from app.place import reachable
from app.prepare import FOLDER
from app.seed import Seed
from app.supervise import tell
from core.clock import Clock
from core.db import Database
from core.metrics import Metrics
from core.role import Heartbeat
from simulators.live import Live
from simulators.orders_feed import OrdersFeed
from simulators.publish import Broker


async def play(declared: Declared, dsn: str, run: str, clock: Clock) -> None:
    """Play until cancelled. The database carries nothing but the heartbeat."""
    settings = declared.settings
    demo = await asyncio.to_thread(demo_of, settings)
    assert demo is not None, "a scene that is off has no role"
    database = Database(dsn, 2)
    await database.open()
    seed = Seed(declared, database, clock, tell)
    known = await seed.credentials(demo)
    await seed.scene(demo)
    url = f"http://{reachable(settings.web.bind)}:{settings.web.port}"
    orders = OrdersFeed(url, "simulator", known.users["simulator"])
    mqtt = settings.mqtt
    broker = Broker(mqtt.host if mqtt.mode == "external" else reachable(mqtt.bind), mqtt.port, known.gateways)
    doors = {name: (reachable(settings.tcp.bind), port) for name, port in settings.tcp.ports.items()}
    live = Live(demo.scene, broker, settings.data / FOLDER, clock, orders, doors)
    beat = Heartbeat(database, clock, Metrics(), "sim", run, live.detail)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(live.run())
            tasks.create_task(beat.beat_for_ever())
    finally:
        await database.close()
