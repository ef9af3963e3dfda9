"""Watches over gateways, between processes: who is watched, what was seen and counted since, the report of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from core.clock import MINUTE_US, Clock, rfc3339, to_datetime, to_us
from core.db import Database
from core.errors import NotFound
from ingest.assemble import Assembler
from ingest.conformance import Counts, judged
from ingest.gateways_store import QUERIES
from ingest.tap import TappedIntake, Watch, looked_at
from iot.registry import Registry

LOOK_S = 1.0
#: Frames of a gateway that are kept for the eye.
KEPT_FRAMES = 300
#: After so many frames others may have the loop.
BREATH = 20


@dataclass(slots=True)
class Lookout:
    """One process's part: `look` once a second finds who is watched, and writes what came of them."""

    intake: TappedIntake
    registry: Callable[[], Registry]
    assembling: Callable[[Registry], Assembler]
    instance: str
    _assembler: Assembler | None = None

    async def run(self, database: Database, clock: Clock) -> None:
        """For ever."""
        while True:
            await self.look(database, clock.now_us())
            await asyncio.sleep(LOOK_S)

    async def look(self, database: Database, now_us: int) -> None:
        rows = await database.fetch(QUERIES["watches"], now=to_datetime(now_us))
        self.intake.watch({row["gateway"]: to_us(row["since"]) for row in rows})
        for watch in list(self.intake.watches.values()):
            if watch.changed:
                await self._write(database, watch)

    async def _write(self, database: Database, watch: Watch) -> None:
        frames = []
        assembler = self._current()
        for number, outcome in enumerate(watch.taken()):
            if number % BREATH == 0:
                await asyncio.sleep(0)
            shown = looked_at(watch, outcome, assembler)
            at = to_datetime(outcome.at_us)
            frames.append({"gateway": watch.gateway, "at": at, "shown": Jsonb(shown)})
        gateway = {"gateway": watch.gateway}
        counts = {
            "instance": self.instance, "since": to_datetime(watch.since_us), "counts": Jsonb(watch.counts.shown())
        }  # fmt: skip
        async with database.transaction() as connection:
            async with connection.cursor() as cursor:
                await cursor.executemany(QUERIES["add_watched_frame"], frames[-KEPT_FRAMES:])
            await connection.execute(QUERIES["prune_watched_frames"], gateway | {"keep": KEPT_FRAMES})
            await connection.execute(QUERIES["put_watch_counts"], gateway | counts)

    def _current(self) -> Assembler:
        """One of our own: the pipeline's may have decoders with a memory, which must not hear a frame twice."""
        registry = self.registry()
        if self._assembler is None or self._assembler.registry is not registry:
            self._assembler = self.assembling(registry)
        return self._assembler


async def begin(database: Database, gateway: str, by: str, now_us: int, minutes: int) -> None:
    """Watch a gateway anew. Raises `NotFound`."""
    until = now_us + minutes * MINUTE_US
    async with database.transaction() as connection:
        values = {"gateway": gateway, "by": by, "now": to_datetime(now_us), "until": to_datetime(until)}
        if await (await connection.execute(QUERIES["begin_watch"], values)).fetchone() is None:
            raise NotFound("error.no_gateway_of_that_name", gateway=gateway)
        await connection.execute(QUERIES["forget_watched"], {"gateway": gateway})


async def report(database: Database, registry: Registry, gateway: str, now_us: int) -> dict[str, object]:
    """What a watched gateway did since its watch began, and what of it is passed. Raises `NotFound` without a watch."""
    watch = await database.fetch_one(QUERIES["watch_of"], gateway=gateway)
    if watch is None:
        raise NotFound("error.not_watched", gateway=gateway)
    rows = await database.fetch(QUERIES["watch_counts"], gateway=gateway, since=watch["since"])
    counts = Counts.added(row["counts"] for row in rows)
    registered = sorted(device.id for device in registry.devices_of(gateway))
    shown = counts.shown()
    first_us, last_us = counts.first_us, counts.last_us
    del shown["first_us"], shown["last_us"]
    return {
        "gateway": gateway, "since": rfc3339(to_us(watch["since"])), "until": rfc3339(to_us(watch["until"])),
        "made_at": rfc3339(now_us), **shown,
        "first_at": rfc3339(first_us) if first_us else None, "last_at": rfc3339(last_us) if last_us else None,
        "silent_devices": [name for name in registered if name not in counts.devices],
        "checks": [
            {"check": check.key, "verdict": check.verdict.value, **check.found} for check in judged(counts, registered)
        ],
    }  # fmt: skip
