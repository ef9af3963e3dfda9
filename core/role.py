"""A role's heartbeat: once a second it says that it lives and how it is. `status` and `/metrics` read it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from core.clock import Clock, to_datetime
from core.db import AWAY, Database
from core.metrics import Metrics
from core.sql import Queries

QUERIES = Queries.of(__file__)
BEAT_S = 1.0
#: A role that was silent this long is down.
DOWN_AFTER_S = 5.0


@dataclass(slots=True)
class Heartbeat:
    """Says `detail()` and the metrics of this process under its role's name."""

    database: Database
    clock: Clock
    metrics: Metrics
    role: str
    run: str
    detail: Callable[[], dict[str, object]]
    instance: str = "1"

    async def beat_for_ever(self) -> None:
        since = to_datetime(self.clock.now_us())
        while True:
            try:
                await self.database.execute(
                    QUERIES["beat"],
                    role=self.role, instance=self.instance, run=self.run, pid=os.getpid(), since=since,
                    now=to_datetime(self.clock.now_us()),
                    detail=Jsonb({**self.detail(), "metrics": self.metrics.snapshot()}),
                )  # fmt: skip
            except AWAY:
                pass  # the database is away: the writer and the status page say so
            await asyncio.sleep(BEAT_S)
