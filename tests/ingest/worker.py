"""A worker process of the ingest side alone, for tests that kill it: arguments DSN, FOLDER, PORT and perhaps a mutant.

A mutant is the code broken on purpose; the tests must notice (see test_mutants).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from core.db import Database
from core.sql import Queries
from ingest.assemble import Assembled, Assembler
from ingest.endpoint import EndpointLimits
from iot import readings, registry_store
from iot.codecs.frame import Parcel
from tests.ingest.house import House
from tests.iot.sample import catalogue


def early_ack() -> None:
    """Acknowledges what was read, before it is committed."""
    honest = Assembler.assemble

    def hasty(self: Assembler, parcels: list[Parcel]) -> Assembled:
        assembled = honest(self, parcels)
        for number, parcel in enumerate(parcels):
            parcel.receipt.settle(assembled.accepted[number], ())
            parcel.receipt = Silent()
        return assembled

    Assembler.assemble = hasty  # type: ignore[assignment,method-assign] # a mutant


class Silent:
    def settle(self, accepted: int, refused: object) -> None: ...


def no_unique_key() -> None:
    """Stores whatever comes; the test has dropped the key from the table."""
    queries = dict(readings.QUERIES._texts)
    queries["insert_from_stage"] = queries["insert_from_stage"].replace(
        b"ON CONFLICT (device, channel, time) DO NOTHING", b""
    )
    readings.QUERIES = Queries(queries, "mutant")


MUTANTS: Mapping[str, Callable[[], None]] = {"early_ack": early_ack, "no_unique_key": no_unique_key}


async def main(dsn: str, folder: str, port: int) -> None:
    database = Database(dsn, size=2)
    await database.open()
    registry = await registry_store.load(database, catalogue())
    await database.close()
    house = House(dsn, registry, Path(folder), endpoint_limits=EndpointLimits(), port=port)
    async with house:
        await house.running


if __name__ == "__main__":
    for mutant in sys.argv[4:]:
        MUTANTS[mutant]()
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
