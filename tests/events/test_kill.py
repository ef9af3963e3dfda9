"""E-01: `kill -9` of the engine under load. Nothing missing, nothing invented, nothing twice."""

from __future__ import annotations

import asyncio
import signal
import sys

import numpy as np
import pytest

from core import db
from core.batch import Batch
from core.clock import SECOND_US
from events.detectors.build import build
from events.engine import Model
from events.moves import moves
from events.timeline import Timeline
from iot.registry import Registry
from tests.conftest import ROOT
from tests.events.conftest import City, append
from tests.events.test_timeline import Ledger
from tests.events.world import CITY, NOON_US

POINTS = [f"ws_pressure_logger-{n}" for n in range(1, 9)]


def traces(city: City, steps: int, seed: int) -> list[Batch]:
    """Three writers' worth of batches in the order of the log: pressures that wander across the limits."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(0.1, 0.3, len(POINTS))
    devices = [city.registry.devices[name] for name in POINTS]
    channel = city.registry.channel(devices[0], "pressure")
    assert channel is not None
    found = []
    for step in range(steps):
        level = np.clip(level + rng.normal(0, 0.03, len(POINTS)), 0.0, 0.4)
        time_us = NOON_US + step * 20 * SECOND_US
        late = rng.uniform(0, 240, len(POINTS)) * SECOND_US
        for writer in range(3):
            mine = np.arange(writer, len(POINTS), 3)
            found.append(
                Batch.of(
                    device=[devices[n].number for n in mine], channel=channel.number,
                    time_us=[time_us] * len(mine), value=level[mine], gateway=1,
                    received_us=time_us + late[mine].astype(np.int64),
                )
            )  # fmt: skip
    found.sort(key=lambda batch: int(batch.received_us.max()))
    return found


def oracle(model: Model, registry: Registry, batches: list[Batch]) -> set[tuple[str, str, int]]:
    """(rule, subject, onset) of all alerts, found offline in one go."""
    line = Timeline(build(model.rules, registry, CITY), build(model.rules, registry, CITY), registry)
    ledger = Ledger()
    for number, batch in enumerate(batches, 1):
        ledger.take(moves(line.take(number, batch)))
    named = set()
    for rule, point, onset_us in ledger.alerts:
        device = registry.by_number[int(registry.device_of[point])].id
        channel = registry.channel_by_number[int(registry.channel_of[point])].name
        named.add((model.rules.rules[rule].key, f"{device}/{channel}", onset_us))
    return named


async def kills(city: City, dsn: str, steps: int, times: int, seed: int) -> None:
    """Feed a log while the engine is killed at random moments; compare what is stored with the oracle."""
    batches = traces(city, steps, seed)
    wanted = oracle(city.model, city.registry, batches)
    assert len(wanted) > steps / 8
    rng = np.random.default_rng(seed + 1)

    async def write() -> None:
        async with await db.connect(dsn) as connection:
            for batch in batches:
                await append(connection, batch, int(batch.received_us.max()))
                await asyncio.sleep(0.001)

    async def kill() -> None:
        for _ in range(times):
            engine = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.events.engine_process", dsn, cwd=ROOT
            )
            await asyncio.sleep(float(rng.uniform(1.2, 2.2)))
            engine.send_signal(signal.SIGKILL)
            await engine.wait()

    await asyncio.gather(write(), kill())
    last = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.events.engine_process", dsn, cwd=ROOT
    )
    try:
        await until_taken(city, len(batches))
    finally:
        last.send_signal(signal.SIGKILL)
        await last.wait()
    stored = await city.database.fetch(
        b"SELECT rule, subject, (extract(epoch FROM onset) * 1000000)::bigint AS onset, count(*) AS n"
        b" FROM alerts WHERE NOT withdrawn AND rule LIKE 'ws.%%' GROUP BY 1, 2, 3"
    )
    found = {(row["rule"], row["subject"], int(row["onset"])): row["n"] for row in stored}
    assert set(found) - wanted == set(), "spurious"
    assert wanted - set(found) == set(), "missing"
    assert set(found.values()) == {1}, "doubled"
    await incidents_are_whole(city)


async def until_taken(city: City, batches: int) -> None:
    async with asyncio.timeout(300):
        while True:
            row = await city.database.fetch_one(b"SELECT cursor FROM engine_cursor")
            if row and row["cursor"] >= batches:
                return
            await asyncio.sleep(0.1)


#: What must be empty, whatever moment an engine was killed at.
BROKEN = {
    "an alert counts twice in an incident": b"""
        SELECT incident, fact FROM incident_evidence WHERE left_at IS NULL GROUP BY 1, 2 HAVING count(*) > 1""",
    "an alert is evidence of two live incidents of one type": b"""
        SELECT e.fact, i.type FROM incident_evidence e JOIN incidents i ON i.id = e.incident
        WHERE e.left_at IS NULL AND i.state IN ('open', 'confirmed') GROUP BY 1, 2 HAVING count(*) > 1""",
    "an incident was opened twice, or never": b"""
        SELECT i.id FROM incidents i LEFT JOIN incident_log l ON l.incident = i.id AND l.action = 'open'
        GROUP BY 1 HAVING count(l.id) <> 1""",
    "an alert was raised twice, or never": b"""
        SELECT a.id FROM alerts a LEFT JOIN alert_log l ON l.alert = a.id AND l.action = 'raise'
        GROUP BY 1 HAVING count(l.id) <> 1""",
    "a live incident rests on nothing": b"""
        SELECT id FROM incidents i WHERE state IN ('open', 'confirmed') AND NOT EXISTS (
            SELECT FROM incident_evidence e JOIN alerts a ON a.id = e.fact
            WHERE e.incident = i.id AND e.left_at IS NULL AND NOT a.withdrawn)""",
    "a number is missing": b"""
        SELECT n.day FROM incident_numbers n WHERE n.last <> (SELECT count(*) FROM incidents)""",
}


async def incidents_are_whole(city: City) -> None:
    for what, query in BROKEN.items():
        assert await city.database.fetch(query) == [], what
    (row,) = await city.database.fetch(b"SELECT count(*) AS n FROM incidents")
    assert row["n"] > 0


async def test_three_kills_under_load_lose_and_invent_nothing(city: City, dsn: str) -> None:
    await kills(city, dsn, steps=160, times=3, seed=7)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_twenty_five_kills_under_load_lose_and_invent_nothing(city: City, dsn: str) -> None:
    await kills(city, dsn, steps=2500, times=25, seed=11)
