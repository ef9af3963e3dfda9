"""Where readings lie: a hypertable when TimescaleDB is there, else range partitions made ahead by us.

TimescaleDB sums minutes, hours and days by itself, and packs what is old; when it does so is said here, not by jobs
of its own: `config.yaml` is asked every time. On partitions `iot.aggregate` keeps the hours.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from psycopg import errors, sql

from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, to_datetime, to_us
from core.db import Connection, Lock
from core.errors import CityOpsError
from core.sql import Queries

QUERIES = Queries.of(__file__)
#: Continuous aggregates, each on top of the one before, and how long their buckets are.
ROLL_UPS = {"readings_1m": MINUTE_US, "readings_1h": HOUR_US, "readings_1d": DAY_US}
#: Writers queue behind whoever waits for a lock on what others read; the next call tries again.
BRIEFLY = b"SET LOCAL lock_timeout = '500ms'"


class NoTimescale(CityOpsError):
    """`database.timescale: require`, and the server does not offer it."""

    key = "error.no_timescale"


@dataclass(slots=True)
class ReadingsTable:
    """The table `readings` of one database. `known` are the partitions that certainly exist.

    span_s   of one partition or chunk
    zone     whose days are summed (TimescaleDB)
    """

    span_s: float
    zone: str = "UTC"
    timescale: bool = False
    known: set[int] = field(default_factory=set)

    async def prepare(self, connection: Connection, timescale: str) -> None:
        """Create the table when it is missing, else learn how it lies, whatever is wished now.

        `timescale` is auto, require or off. Raises `NoTimescale`.
        """
        async with connection.transaction():
            await connection.execute(b"SELECT pg_advisory_xact_lock(%s)", [int(Lock.MIGRATE)])
            extension = await self._extension(connection, timescale)
            kind = await (await connection.execute(QUERIES["readings_kind"])).fetchone()
            self.timescale = extension if kind is None else kind[0] == "r"
            if kind is None and extension:
                await connection.execute(QUERIES["create_hypertable"])
                await connection.execute(QUERIES["make_hypertable"], {"chunk_s": self.span_s})
                for name in ("pack_readings", "create_minutes", "drop_hours", "create_hours"):
                    await connection.execute(QUERIES[name])
            elif kind is None:
                await connection.execute(QUERIES["create_readings"])
            if self.timescale:
                await self._days(connection)

    async def _days(self, connection: Connection) -> None:
        """Sum the days of our zone: once, and again when the city's zone is another one now."""
        found = await connection.execute(QUERIES["days_of_zone"], {"zone": self.zone})
        if await found.fetchone() is None:
            await connection.execute(QUERIES["drop_days"])
            days = sql.SQL(QUERIES["create_days"].decode())
            await connection.execute(days.format(zone=sql.Literal(self.zone)))

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
        if len(time_us) and int(time_us.min()) // span_us == int(time_us.max()) // span_us:
            time_us = time_us[:1]  # the usual case
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
            return [
                name
                for table in ("readings", "readings_1m")
                for name in await self._briefly(
                    connection, "drop_chunks", table=table, before=to_datetime(before_us)
                )
            ]
        gone: list[str] = []
        for name, ends in await (await connection.execute(QUERIES["partitions"])).fetchall():
            if to_us(ends) > before_us:
                break
            try:
                async with connection.transaction():
                    await connection.execute(BRIEFLY)
                    await connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
            except errors.LockNotAvailable:
                break
            gone.append(name)
            self.known.discard((to_us(ends) - 1) // round(self.span_s * SECOND_US))
        return gone

    async def roll_up(self, connection: Connection, begin_us: int, now_us: int) -> None:
        """Sum again the minutes, hours and days since `begin_us` that closed or changed since the last call.

        Nothing to do on partitions. `begin_us` must be later than what `forget` dropped, or its sums are lost too.
        """
        for view, bucket_us in ROLL_UPS.items() if self.timescale else ():
            await connection.execute(
                QUERIES["refresh"],
                {"view": view, "begin": to_datetime(begin_us), "end": to_datetime(now_us - bucket_us)},
            )

    async def pack(self, connection: Connection, before_us: int) -> None:
        """Compress the chunks that ended before this moment, and again those that got late rows since."""
        if not self.timescale:
            return
        rows = await connection.execute(QUERIES["closed_chunks"], {"before": to_datetime(before_us)})
        for (chunk,) in await rows.fetchall():
            await self._briefly(connection, "compress_chunk", chunk=chunk)

    @staticmethod
    async def _briefly(connection: Connection, query: str, **params: object) -> list[str]:
        """The names that a query gives; none when somebody holds what it needs."""
        try:
            async with connection.transaction():
                await connection.execute(BRIEFLY)
                rows = await connection.execute(QUERIES[query], params)
                return [str(row[0]) for row in await rows.fetchall()]
        except errors.LockNotAvailable:
            return []

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
