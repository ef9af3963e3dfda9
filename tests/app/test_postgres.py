"""The embedded server: adopted when alive, started again when killed, closed to others."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
import time
from pathlib import Path

import psycopg

from app.postgres import EmbeddedPostgres


def select_one(server: EmbeddedPostgres) -> object:
    with psycopg.connect(server.dsn) as connection:
        return connection.execute("SELECT 1").fetchone()


def test_a_killed_postmaster_is_started_again_and_keeps_what_was_committed(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE kept (id integer)")
    for _ in range(3):
        pid = server._pid()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
        assert server.reap()
        server.start()
        with psycopg.connect(server.dsn) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_live_server_is_adopted_and_not_started_twice(server: EmbeddedPostgres) -> None:
    pid = server._pid()
    other = EmbeddedPostgres(server.home, say=lambda _: None)
    other.start()
    assert other._pid() == pid
    assert select_one(other) == (1,)


def test_a_stale_lock_file_of_a_pid_that_is_gone_is_no_obstacle(server: EmbeddedPostgres) -> None:
    server.stop()
    (server.data / "postmaster.pid").write_text("999999\n")
    server.start()
    assert select_one(server) == (1,)


def test_nobody_else_can_read_the_data_or_reach_the_server(server: EmbeddedPostgres) -> None:
    for folder in (server.home, server.data, server.sockets):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    hba = [
        line for line in (server.data / "pg_hba.conf").read_text().splitlines() if not line.startswith("#")
    ]
    assert hba == ["local all cityops peer map=cityops"]
    with psycopg.connect(server.dsn) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_the_folders_above_keep_their_modes() -> None:
    with (
        tempfile.TemporaryDirectory() as root
    ):  # pytest's own folder is changed by every other pytest that starts
        folder = Path(root) / "closed"
        folder.mkdir()
        for parent in (folder, folder.parent):
            parent.chmod(0o711)
        before = [parent.stat().st_mode for parent in folder.parents]
        made = EmbeddedPostgres(folder / "postgres", say=lambda _: None)
        made.start()
        made.destroy()
        assert [parent.stat().st_mode for parent in folder.parents] == before
