"""A worker process of the ingest side alone, for tests that kill it: arguments DSN, FOLDER and PORT."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from core.db import Database
from ingest.endpoint import EndpointLimits
from iot import registry_store
from tests.ingest.house import House
from tests.iot.sample import catalogue


async def main(dsn: str, folder: str, port: int) -> None:
    database = Database(dsn, size=2)
    await database.open()
    registry = await registry_store.load(database, catalogue())
    await database.close()
    house = House(dsn, registry, Path(folder), endpoint_limits=EndpointLimits(), port=port)
    async with house:
        await house.running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
