"""The real worker, all of it, under gateways that keep what is not acknowledged: killed, and without a database."""

from __future__ import annotations

import asyncio

import pytest

from app.bench import ingest
from app.bench.rig import GATEWAYS, rig

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
