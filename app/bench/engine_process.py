"""An engine in a process of its own, for benches and tests that kill it: `python -m app.bench.engine_process DSN`."""

from __future__ import annotations

import asyncio
import sys
from zoneinfo import ZoneInfo

from app.declared import ROOMS, ROOT
from core import domains, log, text
from core.changes import Bell
from core.clock import SystemClock
from core.db import Database
from core.metrics import Metrics
from events.citytime import CityTime
from events.engine import load_model
from events.feed import Around, EngineFeed, Timing
from iot import kinds, registry_store

CITY = CityTime(ZoneInfo("Asia/Shanghai"))


async def main(dsn: str) -> None:
    shipped = domains.load(ROOT / "domains")
    catalogue = kinds.load(shipped)
    texts = text.load([*(ROOT / room for room in ROOMS), *(shipped.folder / info.key for info in shipped)])
    database = Database(dsn)
    await database.open()
    feed = EngineFeed(
        database, CITY, Around(SystemClock(), Timing(snapshot_every_us=300_000), Metrics(), Bell(database))
    )
    feed.use(load_model(shipped, catalogue, texts), await registry_store.load(database, catalogue))
    await feed.run()


if __name__ == "__main__":
    log.configure("engine", "warning", "console")
    asyncio.run(main(sys.argv[1]))
