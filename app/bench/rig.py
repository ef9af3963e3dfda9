"""What the benches of ingest and store stand on: a PostgreSQL of their own, a city of devices, a real worker."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from app.auth import secret_hash
from app.declared import ROOMS, ROOT
from app.postgres import EmbeddedPostgres
from core import db, domains, migrate
from core.clock import SystemClock
from core.db import Database
from iot import kinds, registry_store
from iot.kinds import Catalogue
from iot.registry import Registry
from iot.registry_store import DeviceRow

SECRET = "bench"  # noqa: S105 - of gateways that exist for a minute
KIND = "ws_pressure_logger"
GATEWAYS = 8

Figures = dict[str, float]
#: Tells somebody who waits what is being measured.
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one bench found; `peers` are others that did the same work in the same run."""

    figures: Figures
    peers: dict[str, Figures] = field(default_factory=dict)

    def __or__(self, other: Measured) -> Measured:
        return Measured(self.figures | other.figures, self.peers | other.peers)


def report(found: Measured) -> dict[str, object]:
    """What `cityops bench … --json` prints (DESIGN §6.3); four digits are more than a busy machine can promise."""
    return {
        "figures": rounded(found.figures),
        "peers": {name: rounded(figures) for name, figures in found.peers.items()},
        "machine": machine(),
    }


def rounded(figures: Figures) -> Figures:
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def machine() -> dict[str, object]:
    """Where it was measured, and how busy that was."""
    model = ""
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.partition(":")[2].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        model = models[0] if models else ""
    return {
        "cpu": model or platform.processor(), "cores": psutil.cpu_count(),
        "memory_gb": psutil.virtual_memory().total >> 30,
        "system": platform.platform(), "python": platform.python_version(), "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


@dataclass(slots=True)
class Rig:
    """A server, and a worker on it. `restart` is needed because killing is part of the measuring."""

    folder: Path
    postgres: EmbeddedPostgres
    registry: Registry
    port: int
    _worker: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def dsn(self) -> str:
        return self.postgres.dsn

    def start_worker(self) -> None:
        """A real worker of the product: endpoint, pipeline, engine, aggregates; returns when it listens."""
        command = [
            sys.executable,
            "-m",
            "app",
            "--config",
            str(self.folder / "config.yaml"),
            "run",
            "--role",
            "worker",
        ]
        with (self.folder / "worker.log").open("ab") as log:
            self._worker = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError((self.folder / "worker.log").read_text()[-2000:])

    def kill_worker(self) -> None:
        if self._worker is not None:
            self._worker.send_signal(signal.SIGKILL)
            self._worker.wait()
            self._worker = None

    def kill_database(self) -> None:
        """The postmaster and all its children."""
        pid = self.postgres._pid()  # noqa: SLF001 - it has no other use
        if pid is None:
            return
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for process in family:
            process.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, 10)
        self.postgres.reap()

    @property
    def worker(self) -> psutil.Process:
        assert self._worker is not None
        return psutil.Process(self._worker.pid)

    def cpu_s(self) -> float:
        """Processor time of the worker so far."""
        times = self.worker.cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        return float(self.worker.memory_info().rss) / (1 << 20)

    def spooled(self) -> bool:
        return any((self.folder / "var" / "spool").rglob("*.seg"))


@contextmanager
def rig(devices: int = 2000, *, worker: bool = True) -> Iterator[Rig]:
    """A rig that is gone afterwards, database and all."""
    with tempfile.TemporaryDirectory(prefix="cityops-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root the server runs as another user
        postgres = EmbeddedPostgres(folder / "postgres", say=lambda _text: None)
        postgres.start()
        try:
            with db.connect_sync(postgres.dsn) as connection:
                migrate.migrate(connection, migrate.find(ROOT / room for room in ROOMS))
            registry = asyncio.run(populate(postgres.dsn, devices))
            port = free_port()
            (folder / "config.yaml").write_text(
                CONFIG.format(dsn=postgres.dsn, port=port, domains=ROOT / "domains")
            )
            found = Rig(folder, postgres, registry, port)
            if worker:
                found.start_worker()
            try:
                yield found
            finally:
                found.kill_worker()
        finally:
            postgres.destroy()


CONFIG = """
paths: {{data: var, domains: {domains}}}
database: {{url: "{dsn}"}}
mqtt: {{port: {port}, receive_maximum: 65535}}
scene: off
log: {{level: warning}}
"""


def catalogue() -> Catalogue:
    return kinds.load(domains.load(ROOT / "domains"))


async def populate(dsn: str, devices: int) -> Registry:
    """Gateways gw-0 … and pressure loggers p0 …, taken by the gateways in turn."""
    known, clock = catalogue(), SystemClock()
    database = Database(dsn, 2)
    await database.open()
    async with database.transaction() as connection:
        for number in range(GATEWAYS):
            await registry_store.put_gateway(
                connection,
                f"gw-{number}",
                clock.now_us(),
                secret_hash=secret_hash(SECRET),
                provenance="simulated",
            )
        rows = [
            DeviceRow(
                f"p{n}", KIND, f"表{n}", f"Logger {n}", 121.49 + n % 100 / 5000, 31.23 + n // 100 / 5000,
                f"gw-{n % GATEWAYS}", provenance="simulated",
            )
            for n in range(devices)
        ]  # fmt: skip
        await registry_store.put_devices(connection, rows, known, clock.now_us())
    registry = await registry_store.load(database, known)
    await database.close()
    return registry


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
