"""The real worker, all of it, under gateways that keep what is not acknowledged: killed, and without a database."""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.bench import ingest
from app.bench.rig import GATEWAYS, Rig, rig

pytestmark = pytest.mark.long


def test_five_kills_during_a_replay_lose_nothing_and_double_nothing() -> None:
    """Three of the five hit between COPY and COMMIT."""
    with rig(GATEWAYS * 50) as found:
        done = asyncio.run(ingest.kills(found, workers=5, databases=0, messages=4000))
    assert (done["kill_lost"], done["kill_doubled"]) == (0, 0)
    assert done["kill_acknowledged"] == GATEWAYS * 4000
    assert done["kill_connections"] >= GATEWAYS * 6


def test_a_worker_outlives_an_outage_longer_than_its_pools_are_patient() -> None:
    """Found by the bench: after 10 s without a database the registry's follower took the whole worker with it."""
    with rig(GATEWAYS * 50) as found:
        before = found.worker.pid
        done = asyncio.run(ingest.outage(found, 25.0))
        assert found.worker.is_running()
        assert found.worker.pid == before
    assert done["outage_lost"] == 0
    assert done["outage_rss_mb"] < 300


def test_a_worker_that_starts_without_a_database_opens_no_door_and_says_why() -> None:
    """A gateway is refused by the machine, not told anything by us; the worker begins when the database is there."""
    with rig(GATEWAYS) as found, ThreadPoolExecutor(1) as beside:
        found.kill_worker()
        found.kill_database()
        starting = beside.submit(found.start_worker)
        wait_for_words(found, "waiting for the database")
        time.sleep(2)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", found.port), 1)
        assert not starting.done()
        found.postgres.start()
        starting.result()


def wait_for_words(found: Rig, words: str) -> None:
    end_s = time.monotonic() + 60
    while words not in (found.folder / "worker.log").read_text():
        assert time.monotonic() < end_s, f"never said: {words}"
        time.sleep(0.1)
