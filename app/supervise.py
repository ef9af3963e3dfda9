"""The main job: PostgreSQL, then every role as a child process that is started again when it dies.

The roles hold one end of a pipe; when the supervisor goes, even by `kill -9`, they see it close and stop.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from app.postgres import EmbeddedPostgres, PostgresError
from core.errors import CityOpsError
from core.settings import Settings

#: Waits before a role that died is started again, in seconds; it begins anew after a minute of life.
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STOP_PATIENCE_S = 10.0
PORT_PATIENCE_S = 12.0
#: A server that cannot be started is tried again after this; meanwhile the roles go on, and the worker spools.
DATABASE_RETRY_S = 10.0
#: How the role `prepare` ends when the database went away: it may be done again (EX_TEMPFAIL of sysexits).
DATABASE_AWAY = 75


class PortTaken(CityOpsError):
    key = "start.port_taken"


class AlreadyRunning(CityOpsError):
    key = "start.already_running"


@contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Only one supervisor a data folder. The lock goes with the process, however it ends."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(pid=lock.read().strip(), data=data) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def port_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def check_ports(settings: Settings) -> None:
    """Raises `PortTaken` naming the key to change. Roles of a supervisor that was killed get time to go."""
    end = time.monotonic() + PORT_PATIENCE_S
    for key, host, port in settings.listening:
        while not port_free(host, port):
            if time.monotonic() > end:
                raise PortTaken(key=key, port=port)
            time.sleep(0.1)


@dataclass(slots=True)
class Role:
    """A child process and what is known of its lives."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    deaths: int = 0
    next_s: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """Runs roles until it is told to stop."""

    roles: list[Role]
    postgres: EmbeddedPostgres | None
    _stopping: bool = False
    _database_s: float = 0.0  # when the database may be started again
    _pipe: tuple[int, int] = field(default_factory=os.pipe)

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        try:
            while not self._stopping:
                self.tick()
                time.sleep(0.1)
        finally:
            self._stop_all()

    def tick(self) -> None:
        """One look at everything: start what is not running and due."""
        now = time.monotonic()
        if self.postgres is not None and now >= self._database_s and self.postgres.reap():
            self._revive(self.postgres)
        for role in self.roles:
            if role.process is not None and role.process.poll() is not None:
                self._mourn(role, now)
            if role.process is None and now >= role.next_s:
                self._start(role, now)

    def _revive(self, postgres: EmbeddedPostgres) -> None:
        tell("PostgreSQL died: starting it again")
        try:
            postgres.start()
        except PostgresError as failed:
            tell(
                f"PostgreSQL cannot be started, next try in {DATABASE_RETRY_S:g} s: {failed.params['reason']}"
            )
            self._database_s = time.monotonic() + DATABASE_RETRY_S

    def _start(self, role: Role, now: float) -> None:
        role.process = subprocess.Popen(
            [*role.command, "--parent", str(self._pipe[0])],
            pass_fds=[self._pipe[0]],
            stdin=subprocess.DEVNULL,
        )
        role.started_s = now

    def _mourn(self, role: Role, now: float) -> None:
        assert role.process is not None
        code = role.process.returncode
        role.process = None
        role.deaths = 0 if now - role.started_s > 60 else role.deaths + 1
        wait = BACKOFF_S[min(role.deaths, len(BACKOFF_S) - 1)]
        role.next_s = now + wait
        tell(
            f"{role.name} ended ({'signal ' + str(-code) if code < 0 else code}); starting it again in {wait:g} s"
        )

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _stop_all(self) -> None:
        running = [role.process for role in self.roles if role.process is not None]
        for process in running:
            process.terminate()
        end = time.monotonic() + STOP_PATIENCE_S
        for process in running:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.postgres is not None:
            self.postgres.stop()


def tell(text: str) -> None:
    """A line for who looks at the terminal."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - the terminal is the audience
