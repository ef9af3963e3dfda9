"""`cityops simulate load`: gateways and devices for it, the load, and whether the store holds what was promised."""

from __future__ import annotations

import asyncio
import secrets

from app import declared, place
from app.auth import secret_hash
from app.score.product import cpu_s
from core.clock import MINUTE_US, SystemClock, to_datetime
from core.db import Database
from core.settings import Settings
from core.sql import Queries
from iot import registry_store
from iot.registry_store import DeviceRow
from simulators import load_publish
from simulators.load_publish import Plan
from simulators.publish import Broker

QUERIES = Queries.of(__file__)
KIND = "ws_pressure_logger"
#: The running worker takes the new registry within this time.
SETTLE_S = 3.0

__all__ = ["Plan", "run"]


async def run(settings: Settings, plan: Plan) -> dict[str, float]:
    """Register, publish, count. `lost` are readings that were acknowledged and are not in the store."""
    clock = SystemClock()
    database = Database(place.dsn(settings), 2)
    await database.open()
    try:
        known = {
            load_publish.gateway_id(number): secrets.token_urlsafe(12) for number in range(plan.gateways)
        }
        await _register(database, settings, plan, known, clock.now_us())
        await asyncio.sleep(SETTLE_S)
        host = settings.mqtt.host if settings.mqtt.mode == "external" else settings.mqtt.bind
        broker = Broker("127.0.0.1" if host == "0.0.0.0" else host, settings.mqtt.port, known)  # noqa: S104 - read
        begun_us = clock.now_us() - MINUTE_US
        spent = cpu_s()
        tallies, seconds = await asyncio.to_thread(load_publish.publish, plan, broker, begun_us)
        spent = cpu_s() - spent
        row = await database.fetch_one(
            QUERIES["count_load"], begin=to_datetime(begun_us), end=to_datetime(begun_us + 3600 * 10**6)
        )
    finally:
        await database.close()
    sent = sum(tally.sent for tally in tallies) * plan.pack
    acknowledged = sum(tally.acknowledged for tally in tallies) * plan.pack
    stored = int(row["stored"]) if row else 0
    return {
        "readings_sent": sent, "readings_acknowledged": acknowledged, "readings_stored": stored,
        "lost": max(0, acknowledged - stored), "seconds": round(seconds, 2),
        "readings_per_s": round(acknowledged / seconds, 1),
        "devices": plan.devices_each * plan.gateways, "cores": round(spent / seconds, 3),
        "slowest_ack_s": round(max(tally.slowest_s for tally in tallies), 3),
    }  # fmt: skip


async def _register(
    database: Database, settings: Settings, plan: Plan, known: dict[str, str], now_us: int
) -> None:
    found = declared.load(settings.home / "config.yaml")
    rows = [
        DeviceRow(
            load_publish.device_id(number, each), KIND, "负荷测试", "Load test", 121.5, 31.23, gateway,
            provenance="simulated",
        )
        for number, gateway in enumerate(known)
        for each in range(plan.devices_each)
    ]  # fmt: skip
    async with database.transaction() as connection:
        for gateway, secret in known.items():
            await registry_store.put_gateway(
                connection, gateway, now_us, secret_hash=secret_hash(secret), provenance="simulated"
            )
        await registry_store.put_devices(connection, rows, found.catalogue, now_us)
