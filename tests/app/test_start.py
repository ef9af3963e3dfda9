"""A start whose database is not there, or goes away meanwhile: it waits, says so, and goes on."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from app import place
from app.cli import run
from app.postgres import EmbeddedPostgres
from app.supervise import DATABASE_AWAY, Supervisor


async def test_a_role_waits_for_its_database_and_says_why(server: EmbeddedPostgres) -> None:
    await asyncio.to_thread(server.stop)
    told: list[str] = []
    waiting = asyncio.create_task(place.reached(server.dsn, told.append))
    await asyncio.sleep(1.2)
    assert not waiting.done()
    assert len(told) == 1, "once is enough for ten seconds"
    assert "waiting for the database since 0 s: " in told[0]
    await asyncio.to_thread(server.start)
    await asyncio.wait_for(waiting, 30)


def test_a_start_that_lost_its_database_is_begun_again(tmp_path: Path) -> None:
    mark = tmp_path / "tried"
    code = (
        f"import pathlib, sys; mark = pathlib.Path({str(mark)!r})\n"
        f"if not mark.exists(): mark.touch(); sys.exit({DATABASE_AWAY})\n"
        'print(\'{"run": "r1", "links": {}}\')'
    )
    had: list[bool] = []
    assert run.prepare([sys.executable, "-c", code], lambda: had.append(True)) == ("r1", {})
    assert had == [True, True]  # before each of the two tries


def test_any_other_failure_of_the_start_is_final() -> None:
    with pytest.raises(SystemExit) as ended:
        run.prepare([sys.executable, "-c", "import sys; sys.exit(3)"], lambda: None)
    assert ended.value.code == 3


def test_a_server_that_cannot_be_started_does_not_end_the_supervisor(
    server: EmbeddedPostgres, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor = Supervisor([], server)
    server.stop()
    server.sockets.rmdir()
    server.sockets.symlink_to(tmp_path)
    try:
        supervisor.tick()
        assert "belongs to somebody else" in capsys.readouterr().err
        supervisor.tick()
        assert not capsys.readouterr().err, "it is not tried again at once"
    finally:
        server.sockets.unlink()
    supervisor._database_s = time.monotonic()
    supervisor.tick()
    assert server.alive()
