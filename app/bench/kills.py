"""`kill -9` of the engine under load: what is stored in the end, against what the log says offline in one go."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
from psycopg.types.json import Jsonb

from app.bench.engine_process import CITY
from app.bench.rig import Figures
from app.declared import ROOT
from core import db
from core.batch import Batch
from core.clock import SECOND_US, to_datetime
from core.db import Connection, Database, Lock
from events.detectors.build import build, fates
from events.engine import Model
from events.moves import Does, Move, moves
from events.timeline import Timeline
from iot.readings import QUERIES, Logged
from iot.registry import Registry

#: 2026-11-23 04:00 UTC, a Monday noon in Shanghai.
NOON_US = 1_795_406_400_000_000
Named = tuple[str, str, int]


class Ledger:
    """What the moves make of alerts, as the store would keep it: (rule, point, onset) → when it ended."""

    def __init__(self) -> None:
        self.alerts: dict[tuple[int, int, int], int | None] = {}
        self.refused: list[Move] = []

    def take(self, found: list[Move]) -> None:
        for move in found:
            key = (move.rule, move.point, move.onset_us)
            if move.does is Does.RAISE:
                self.alerts.setdefault(key, None)
            elif key not in self.alerts:
                self.refused.append(move)
            elif move.does is Does.CLEAR:
                self.alerts[key] = move.returned_us
            elif move.does is Does.REVIVE:
                self.alerts[key] = None
            elif move.does is Does.WITHDRAW:
                del self.alerts[key]
            else:
                self.alerts[move.rule, move.point, move.to_us] = self.alerts.pop(key)


def traces(registry: Registry, points: Sequence[str], steps: int, seed: int) -> list[Batch]:
    """Three writers' worth of batches in the order of the log: pressures that wander across the limits."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(0.1, 0.3, len(points))
    devices = [registry.devices[name] for name in points]
    channel = registry.channel(devices[0], "pressure")
    assert channel is not None
    found = []
    for step in range(steps):
        level = np.clip(level + rng.normal(0, 0.03, len(points)), 0.0, 0.4)
        time_us = NOON_US + step * 20 * SECOND_US
        late = rng.uniform(0, 240, len(points)) * SECOND_US
        for writer in range(3):
            mine = np.arange(writer, len(points), 3)
            found.append(
                Batch.of(
                    device=[devices[n].number for n in mine], channel=channel.number,
                    time_us=[time_us] * len(mine), value=level[mine], gateway=1,
                    received_us=time_us + late[mine].astype(np.int64),
                )
            )  # fmt: skip
    found.sort(key=lambda batch: int(batch.received_us.max()))
    return found


def oracle(model: Model, registry: Registry, batches: Sequence[Batch]) -> set[Named]:
    """(rule, subject, onset) of all alerts, found offline in one go."""
    live, settled = (build(model.rules, registry, CITY) for _ in range(2))
    line = Timeline(live, settled, registry, fates(model.rules, registry, live))
    ledger = Ledger()
    for number, batch in enumerate(batches, 1):
        ledger.take(moves(line.take(number, batch)))
    named = set()
    for rule, point, onset_us in ledger.alerts:
        device = registry.by_number[int(registry.device_of[point])].id
        channel = registry.channel_by_number[int(registry.channel_of[point])].name
        named.add((model.rules.rules[rule].key, f"{device}/{channel}", onset_us))
    return named


async def append(connection: Connection, batch: Batch, now_us: int, *, history: bool = False) -> Logged:
    """Put a batch into the log as an ingest transaction does."""
    values = {
        "run": "test", "instance": "test", "lane": "test", "mark": 0,
        "stored": len(batch), "duplicates": 0, "conflicts": 0, "refused": Jsonb({}),
        "lock": int(Lock.BATCH_LOG), "at": to_datetime(now_us), "history": history, "payload": batch.to_bytes(),
    }  # fmt: skip
    async with connection.transaction():
        row = await (await connection.execute(QUERIES["keep_batch"], values)).fetchone()
    assert row is not None
    return Logged(int(row[0]), batch, history, int(row[1]))


@asynccontextmanager
async def engine(dsn: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """An engine in a process of its own; killed in the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.bench.engine_process", dsn, cwd=ROOT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def until_taken(database: Database, batches: int, patience_s: float = 300.0) -> None:
    """Until what the last batch led to is stored."""
    async with asyncio.timeout(patience_s):
        while True:
            row = await database.fetch_one(b"SELECT cursor FROM engine_cursor")
            if row and row["cursor"] >= batches:
                return
            await asyncio.sleep(0.05)


async def kills(
    database: Database, model: Model, registry: Registry, *, steps: int, times: int, seed: int, pause_s: float
) -> Figures:
    """Feed the log of an empty city while its engine is killed at random moments.

    The pressure loggers of the registry speak; `kill_alerts` is how many alerts there are to lose.
    """
    points = [name for name, device in registry.devices.items() if device.kind == "ws_pressure_logger"]
    batches = traces(registry, points, steps, seed)
    wanted = oracle(model, registry, batches)
    rng = np.random.default_rng(seed + 1)

    async def write() -> None:
        async with await db.connect(database.dsn) as connection:
            for batch in batches:
                await append(connection, batch, int(batch.received_us.max()))
                await asyncio.sleep(pause_s)

    async def kill() -> None:
        for _ in range(times):
            async with engine(database.dsn):
                await asyncio.sleep(float(rng.uniform(1.2, 2.2)))

    await asyncio.gather(write(), kill())
    async with engine(database.dsn):
        await until_taken(database, len(batches))
    stored = await database.fetch(
        b"SELECT rule, subject, (extract(epoch FROM onset) * 1000000)::bigint AS onset, count(*) AS n"
        b" FROM alerts WHERE NOT withdrawn AND rule LIKE 'ws.%%' GROUP BY 1, 2, 3"
    )
    found = {(row["rule"], row["subject"], int(row["onset"])): int(row["n"]) for row in stored}
    return {
        "kill_missing": float(len(wanted - set(found))), "kill_spurious": float(len(set(found) - wanted)),
        "kill_doubled": float(sum(n - 1 for n in found.values())), "kill_alerts": float(len(wanted)),
        "kill_times": float(times),
    }  # fmt: skip
