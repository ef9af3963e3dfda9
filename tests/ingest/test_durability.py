"""kill -9 at bad moments: no acknowledged reading is missing, none is stored twice."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from core.clock import SECOND_US
from core.db import Database
from iot.codecs import senml
from tests.conftest import ROOT
from tests.ingest.gateway import Gateway
from tests.iot.sample import NOW_US, stored_registry


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Worker:
    """The worker process, which can be killed and started again."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.port = free_port()
        self._command = [sys.executable, "-m", "tests.ingest.worker", dsn, str(folder), str(self.port)]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


@contextmanager
def worker_of(dsn: str, folder: Path) -> Iterator[Worker]:
    worker = Worker(dsn, folder)
    try:
        yield worker
    finally:
        worker.kill()


def payload_of(gateway: int) -> Callable[[int], bytes]:
    def payload(n: int) -> bytes:
        return senml.encode([(f"d{gateway}/pressure", "", NOW_US + n * SECOND_US, float(n % 1000))])

    return payload


async def test_killed_workers_lose_nothing_that_they_acknowledged(
    dsn: str, database: Database, tmp_path: Path
) -> None:
    await stored_registry(database, 4, 4)
    with worker_of(dsn, tmp_path) as worker:
        gateways = [Gateway(worker.port, f"gw-{g}", payload_of(g), 1500, rate=250) for g in range(4)]
        running = asyncio.gather(*(gateway.run() for gateway in gateways))
        for kill in range(5):
            await asyncio.sleep(1.0)
            if kill % 2:
                worker.kill()
            else:
                await aimed(dsn, worker)
            worker.start()
        await asyncio.wait_for(running, 60)
        await check(database, gateways)
    assert min(gateway.connections for gateway in gateways) >= 4


async def aimed(dsn: str, worker: Worker) -> None:
    """Kill while a batch is surely between COPY and COMMIT: the log it must be entered in is held."""
    async with await psycopg.AsyncConnection.connect(dsn) as blocker:
        await blocker.execute(b"LOCK TABLE batch_log IN EXCLUSIVE MODE")
        await asyncio.sleep(0.3)
        worker.kill()


async def check(database: Database, gateways: list[Gateway]) -> None:
    """Every acknowledged reading is in the table, and in the log, exactly once."""
    rows = await database.fetch(
        b"SELECT d.id, extract(epoch FROM r.time)::bigint AS t, count(*) AS n "
        b"FROM readings r JOIN devices d ON d.number = r.device GROUP BY 1, 2"
    )
    stored = {(row["id"], row["t"] - NOW_US // SECOND_US): row["n"] for row in rows}
    lost = {(f"d{g}", n) for g, gateway in enumerate(gateways) for n in gateway.acknowledged} - stored.keys()
    assert not lost, f"{len(lost)} acknowledged readings are missing"
    assert set(stored.values()) == {1}, "stored twice"
    logged = await database.fetch_one(b"SELECT sum(rows)::bigint AS n FROM batch_log")
    assert logged == {"n": len(stored)}
