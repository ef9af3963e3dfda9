"""Where readings lie: a hypertable when TimescaleDB is there, else range partitions made ahead by us."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from psycopg import errors, sql

from core.clock import SECOND_US, to_datetime, to_us
from core.db import Connection
from core.errors import CityOpsError
from core.sql import Queries

QUERIES = Queries.of(__file__)


class NoTimescale(CityOpsError):
    """`database.timescale: require`, and the server does not offer it."""

    key = "error.no_timescale"


@dataclass(slots=True)
class ReadingsTable:
    """The table `readings` of one database. `known` are the partitions that certainly exist."""

    span_s: float
    timescale: bool = False
    known: set[int] = field(default_factory=set)

    async def prepare(self, connection: Connection, timescale: str) -> None:
        """Create the table when it is missing. `timescale` is auto, require or off. Raises `NoTimescale`."""
        self.timescale = await self._extension(connection, timescale)
        kind = await (await connection.execute(QUERIES["readings_kind"])).fetchone()
        if kind is None and self.timescale:
            async with connection.transaction():
                await connection.execute(QUERIES["create_readings_hypertable"])
                await connection.execute(QUERIES["make_hypertable"], {"chunk_s": self.span_s})
        elif kind is None:
            await connection.execute(QUERIES["create_readings"])
        elif kind[0] == "p":
            self.timescale = False  # the table was made without the extension and stays what it is

    async def _extension(self, connection: Connection, wanted: str) -> bool:
        if wanted == "off":
            return False
        found = await (await connection.execute(QUERIES["find_timescale"])).fetchone()
        if found is None and await (await connection.execute(QUERIES["timescale_available"])).fetchone():
            await connection.execute(b"CREATE EXTENSION IF NOT EXISTS timescaledb")
            found = await (await connection.execute(QUERIES["find_timescale"])).fetchone()
        if found is None and wanted == "require":
            raise NoTimescale
        return found is not None

    async def ensure(self, connection: Connection, time_us: NDArray[np.int64]) -> None:
        """Make the partitions that these times need. Cheap when they are known."""
        if self.timescale:
            return
        span_us = round(self.span_s * SECOND_US)
        for start in np.unique(time_us // span_us).tolist():
            if start not in self.known:
                await self._make(connection, self._partition(start * span_us, span_us))
                self.known.add(start)

    async def forget(self, connection: Connection, before_us: int) -> list[str]:
        """Drop what ended before this moment; the names of what is gone.

        A reader that holds a partition is waited for but briefly, since writers would queue behind us: the next
        call does it.
        """
        if self.timescale:
            rows = await connection.execute(QUERIES["drop_chunks"], {"before": to_datetime(before_us)})
            return [str(row[0]) for row in await rows.fetchall()]
        gone: list[str] = []
        for name, ends in await (await connection.execute(QUERIES["partitions"])).fetchall():
            if to_us(ends) > before_us:
                break
            try:
                async with connection.transaction():
                    await connection.execute(b"SET LOCAL lock_timeout = '500ms'")
                    await connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
            except errors.LockNotAvailable:
                break
            gone.append(name)
            self.known.discard((to_us(ends) - 1) // round(self.span_s * SECOND_US))
        return gone

    @staticmethod
    async def _make(connection: Connection, partition: sql.Composed) -> None:
        """Make a partition unless it is there; IF NOT EXISTS does not cover another worker that makes it just now."""
        for attempt in range(5):
            try:
                await connection.execute(partition)
            except (errors.DuplicateTable, errors.UniqueViolation, errors.DeadlockDetected):
                if attempt == 4:
                    raise
                await asyncio.sleep(0.05)
            else:
                return

    @staticmethod
    def _partition(start_us: int, span_us: int) -> sql.Composed:
        begins, ends = to_datetime(start_us), to_datetime(start_us + span_us)
        name = f"readings_{begins:%Y%m%d_%H%M%S}" if span_us % 86_400_000_000 else f"readings_{begins:%Y%m%d}"
        return sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} PARTITION OF readings FOR VALUES FROM ({}) TO ({})"
        ).format(sql.Identifier(name), sql.Literal(begins), sql.Literal(ends))
