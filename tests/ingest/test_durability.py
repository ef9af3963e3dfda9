"""kill -9 at bad moments: no acknowledged reading is missing, none is stored twice.

That these tests notice a broken house is shown by `test_broken_on_purpose`.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest

from app.bench.gateway import Gateway, before_commit
from app.postgres import EmbeddedPostgres
from core import db, migrate
from core.clock import SECOND_US
from core.db import Database
from iot.codecs import senml
from tests.conftest import ROOMS, ROOT
from tests.ingest.brokers import free_port
from tests.ingest.house import until
from tests.iot.sample import NOW_US, stored_registry

#: A machine that is busy with other things needs a while to start a process.
PATIENCE_S = 300.0


class Worker:
    """The worker process, which can be killed and started again."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.port = free_port()
        self._command = [
            sys.executable,
            "-m",
            "tests.ingest.worker",
            dsn,
            str(folder),
            str(self.port),
        ]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    @property
    def rss_mb(self) -> float:
        return float(psutil.Process(self._process.pid).memory_info().rss) / (1 << 20)


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


@dataclass(frozen=True)
class Outcome:
    """What is wrong: acknowledged readings that are missing, readings that are there twice, in table and log."""

    lost: int
    doubled: int
    logged_apart: int = 0

    @property
    def sound(self) -> bool:
        return not (self.lost or self.doubled or self.logged_apart)


async def outcome(dsn: str, gateways: list[Gateway]) -> Outcome:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        rows = await (
            await connection.execute(
                b"SELECT d.id, extract(epoch FROM r.time)::bigint, count(*) "
                b"FROM readings r JOIN devices d ON d.number = r.device GROUP BY 1, 2"
            )
        ).fetchall()
        logged = await (
            await connection.execute(b"SELECT coalesce(sum(rows), 0)::bigint FROM batch_log")
        ).fetchone()
    assert logged is not None
    stored = {(name, time - NOW_US // SECOND_US): count for name, time, count in rows}
    acknowledged = {(f"d{g}", n) for g, gateway in enumerate(gateways) for n in gateway.acknowledged}
    total = sum(stored.values())
    return Outcome(len(acknowledged - stored.keys()), total - len(stored), int(logged[0]) - total)


def connected(gateways: list[Gateway], times: int) -> bool:
    return all(gateway.connections >= times for gateway in gateways)


async def kill_workers(
    dsn: str,
    folder: Path,
    kills: int,
    *,
    total: int = 1500,
    rate: float = 250,
    twice: bool = False,
) -> Outcome:
    with worker_of(dsn, folder) as worker:
        gateways = [
            Gateway(worker.port, f"gw-{g}", payload_of(g), total, rate=rate, twice=twice) for g in range(4)
        ]
        running = asyncio.gather(*(gateway.run() for gateway in gateways))
        for kill in range(kills):
            await until(partial(connected, gateways, kill + 1), PATIENCE_S)
            await asyncio.sleep(0.4)
            if kill % 2:
                worker.kill()
            else:
                async with before_commit(dsn):
                    worker.kill()
            worker.start()
        await asyncio.wait_for(running, PATIENCE_S)
        assert min(gateway.connections for gateway in gateways) > kills
        return await outcome(dsn, gateways)


async def test_killed_workers_lose_nothing_that_they_acknowledged(
    dsn: str, database: Database, tmp_path: Path
) -> None:
    await stored_registry(database, 4, 4)
    assert (await kill_workers(dsn, tmp_path, 4, total=800, twice=True)).sound


@pytest.mark.long
async def test_ten_kills_at_two_thousand_a_second(dsn: str, database: Database, tmp_path: Path) -> None:
    await stored_registry(database, 4, 4)
    assert (await kill_workers(dsn, tmp_path, 10, total=10_000, rate=500)).sound


# -- PostgreSQL --------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A PostgreSQL of its own, to be killed."""

    postgres: EmbeddedPostgres

    @property
    def dsn(self) -> str:
        return self.postgres.dsn

    def kill(self) -> None:
        """The postmaster and all its children, at once."""
        pid = self.postgres._pid()
        assert pid is not None
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for process in family:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, 10)
        self.postgres.reap()

    def start(self) -> None:
        self.postgres.start()


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cityops-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # as root the server runs as another user
        yield Path(folder)


@pytest.fixture
async def server(home: Path) -> AsyncIterator[Server]:
    postgres = EmbeddedPostgres(home / "postgres", say=lambda _text: None)
    await asyncio.to_thread(postgres.start)
    with db.connect_sync(postgres.dsn) as connection:
        migrate.migrate(connection, migrate.find(ROOT / room for room in ROOMS))
    database = Database(postgres.dsn)
    await database.open()
    await stored_registry(database, 4, 4)
    await database.close()
    try:
        yield Server(postgres)
    finally:
        postgres.destroy()


async def kill_servers(
    server: Server, folder: Path, kills: int, *, both: bool, total: int, rate: float
) -> Outcome:
    with worker_of(server.dsn, folder) as worker:
        gateways = [Gateway(worker.port, f"gw-{g}", payload_of(g), total, rate=rate) for g in range(4)]
        running = asyncio.gather(*(gateway.run() for gateway in gateways))
        for _ in range(kills):
            await asyncio.sleep(1.5)
            await asyncio.to_thread(server.kill)
            if both:
                worker.kill()
            await asyncio.sleep(0.5)
            if both:
                worker.start()
            await asyncio.to_thread(server.start)
        await asyncio.wait_for(running, PATIENCE_S)
        await drained(server.dsn, gateways)
        return await outcome(server.dsn, gateways)


async def drained(dsn: str, gateways: list[Gateway]) -> None:
    """Until the spool has given the table everything."""
    expected = sum(len(gateway.acknowledged) for gateway in gateways)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            async with await psycopg.AsyncConnection.connect(dsn) as connection:
                row = await (await connection.execute(b"SELECT count(*) FROM readings")).fetchone()
            if row is not None and row[0] >= expected:
                return
            await asyncio.sleep(0.2)


async def test_a_killed_database_loses_nothing_that_was_acknowledged(server: Server, tmp_path: Path) -> None:
    assert (await kill_servers(server, tmp_path / "spool", 1, both=False, total=800, rate=250)).sound


async def test_worker_and_database_killed_together_lose_nothing(server: Server, tmp_path: Path) -> None:
    assert (await kill_servers(server, tmp_path / "spool", 1, both=True, total=800, rate=250)).sound


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("both", [False, True])
async def test_five_killed_databases_at_two_thousand_a_second(
    server: Server,
    tmp_path: Path,
    both: bool,  # noqa: FBT001 - pytest gives it
) -> None:
    assert (await kill_servers(server, tmp_path / "spool", 5, both=both, total=8000, rate=500)).sound


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_two_minutes_without_a_database_at_five_thousand_a_second(
    server: Server, tmp_path: Path
) -> None:
    """R-04: lost 0, RSS growth ≤ 300 MB, drained ≤ 60 s after the return."""
    with worker_of(server.dsn, tmp_path / "spool") as worker:
        gateways = [
            Gateway(worker.port, f"gw-{g}", payload_of(g), 170_000, rate=1250, window=4000) for g in range(4)
        ]
        running = asyncio.gather(*(gateway.run() for gateway in gateways))
        await asyncio.sleep(5)
        before_mb = worker.rss_mb
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(120)
        grown_mb = worker.rss_mb - before_mb
        await asyncio.to_thread(server.start)
        await until(lambda: not list((tmp_path / "spool").rglob("*.seg")), 60)
        await asyncio.wait_for(running, PATIENCE_S)
        await drained(server.dsn, gateways)
        assert grown_mb < 300
        assert (await outcome(server.dsn, gateways)).sound
