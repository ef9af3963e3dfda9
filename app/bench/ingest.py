"""`cityops bench ingest`: a real worker at full speed, its delays, and what it loses when it is killed (nothing).

One run gives all figures, so that their ratios mean something on a busy machine too.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial

import psycopg

from app.bench.gateway import Gateway, before_commit
from app.bench.load import Plan
from app.bench.rig import GATEWAYS, SECRET, Figures, Measured, Rig, Say, free_port, rig
from app.declared import ROOT
from core.clock import SystemClock
from iot.codecs import senml

SINGLES = 600_000
BATCHES = 30_000
PER_MESSAGE = 50
PACED_MESSAGES = 50_000
PACED_RATE = 5000.0
PEER_MESSAGES = 20_000
OUTAGE_S = 120.0
KILLS = 10
DATABASE_KILLS = 5
#: Rows, and readings that differ in device or time, by gateway.
KEPT = b"""
SELECT d.gateway, count(*), count(DISTINCT (r.device, r.time)) FROM readings r
JOIN devices d ON d.number = r.device GROUP BY 1
"""
DEVICES = 2000


def run(say: Say) -> Measured:
    """All figures of ingest. Some six minutes, of which two are the outage."""
    figures: Figures = {}
    with rig(DEVICES) as found:
        say("full speed, one reading a message")
        figures |= full_speed(found, Plan(found.port, SINGLES, devices=DEVICES), "single")
    with rig(DEVICES) as found:
        say("full speed, fifty readings a message")
        figures |= full_speed(
            found, Plan(found.port, BATCHES, PER_MESSAGE, window=100, devices=DEVICES), "batch50"
        )
        say("acknowledgements at 5 000 messages a second")
        paced = publish(
            Plan(found.port, PACED_MESSAGES, rate=PACED_RATE, devices=DEVICES, until_us=later_us())
        )
        figures |= {"ack_p50_ms": paced["p50_ms"], "ack_p99_ms": paced["p99_ms"]}
        say("the usual script")
        peers = peer(found)
    if peers:
        ratio = peers["paho_executemany"]["cpu_s_per_million"] / figures["cpu_s_per_million_single"]
        figures["cpu_ratio_executemany_single"] = ratio
    with rig(DEVICES) as found:
        say(f"{OUTAGE_S:.0f} s without a database at 5 000 messages a second")
        figures |= asyncio.run(outage(found, OUTAGE_S))
    with rig(DEVICES) as found:
        say("killing worker and database")
        figures |= asyncio.run(kills(found))
    return Measured(figures, peers)


def later_us() -> int:
    return SystemClock().now_us()


def publish(plan: Plan) -> Figures:
    """A fleet in a process of its own; what it saw."""
    return go(ready(plan))


def ready(plan: Plan) -> subprocess.Popen[str]:
    """A fleet that has made its frames and waits."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.bench.load", json.dumps(asdict(plan))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    return process


def go(process: subprocess.Popen[str]) -> Figures:
    """Let a fleet send; what it saw."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    found: Figures = json.loads(process.stdout.readline())
    process.wait()
    return found


def full_speed(found: Rig, plan: Plan, name: str) -> Figures:
    """Rate, processor time of the worker, and that nothing is missing."""
    found.settle()
    fleet = ready(replace(plan, until_us=later_us()))
    before = found.cpu_s()
    seen = go(fleet)
    lost = seen["readings"] - count(found.dsn)
    time.sleep(2)  # the engine finishes what it was given; that belongs to it
    cpu_s = found.cpu_s() - before
    if lost:
        raise RuntimeError(f"{lost:.0f} readings are missing")
    rate = {
        "single": ("qos1_single_msg_s", seen["messages_s"]),
        "batch50": ("qos1_batch50_readings_s", seen["readings"] / seen["seconds"]),
    }
    key, value = rate[name]
    return {
        key: value,
        f"cpu_s_per_million_{name}": cpu_s / seen["readings"] * 1e6,
        f"rss_mb_{name}": found.rss_mb(),
    }


def count(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM readings").fetchone()
    assert row is not None
    return int(row[0])


def peer(found: Rig) -> dict[str, Figures]:
    """Paho and executemany on the same machine and database, behind the broker of the development tools."""
    try:
        import iotcore
    except ImportError:
        return {}  # it is no part of the product
    port = free_port()
    with iotcore.Broker(port=port, listen="127.0.0.1"):
        script = subprocess.Popen(
            [sys.executable, "-m", "app.bench.peer", str(port), found.dsn, str(PEER_MESSAGES)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        assert script.stdin is not None
        assert script.stdout is not None
        script.stdout.readline()
        script.stdin.write("go\n")
        script.stdin.flush()
        publish(Plan(port, PEER_MESSAGES, connections=1, window=50, devices=DEVICES, until_us=later_us()))
        seen = json.loads(script.stdout.readline())
        script.wait()
    per_million = seen["cpu_s"] / seen["readings"] * 1e6
    return {
        "paho_executemany": {
            "readings_s": seen["readings"] / seen["seconds"],
            "cpu_s_per_million": per_million,
        }
    }


# -- losing nothing ------------------------------------------------------------------------------------------------


def fleet(found: Rig, total: int, rate: float, window: int = 2000) -> list[Gateway]:
    """Gateways that each speak for their part of the city's devices in turn, in the time that it takes them."""
    base_us, step_us = later_us(), round(1e6 / rate)
    devices = len(found.registry.devices) // GATEWAYS

    def payload(gateway: int) -> Callable[[int], bytes]:
        return lambda n: senml.encode(
            [(f"p{n % devices * GATEWAYS + gateway}/pressure", "", base_us + n * step_us, 0.3)]
        )

    return [
        Gateway(found.port, f"gw-{g}", payload(g), total, rate, window, secret=SECRET)
        for g in range(GATEWAYS)
    ]


async def outage(found: Rig, seconds: float) -> Figures:
    """The database is killed for a while under load."""
    rate = PACED_RATE / GATEWAYS
    gateways = fleet(found, int(rate * (seconds + 15)), rate, 4000)
    running = asyncio.gather(*(gateway.run() for gateway in gateways))
    await asyncio.sleep(10)
    before_mb = found.rss_mb()
    await asyncio.to_thread(found.kill_database)
    await asyncio.sleep(seconds)
    grown_mb = found.rss_mb() - before_mb
    await asyncio.to_thread(found.postgres.start)
    began_s = time.monotonic()
    await until(lambda: not found.spooled())
    drained_s = time.monotonic() - began_s
    await asyncio.wait_for(running, 300)
    lost, _ = await compare(found, gateways)
    return {"outage_lost": lost, "outage_drain_s": drained_s, "outage_rss_mb": grown_mb}


async def kills(
    found: Rig, workers: int = KILLS, databases: int = DATABASE_KILLS, messages: int = 6000
) -> Figures:
    """Kill -9 of the worker (every other time while a batch lies before its COMMIT), then of PostgreSQL, the last two
    times of both.
    """
    gateways = fleet(found, messages, 125)
    running = asyncio.gather(*(gateway.run() for gateway in gateways))
    for kill in range(workers):
        await until(partial(connected, gateways, kill + 1))
        await asyncio.sleep(0.3)
        if kill % 2:
            found.kill_worker()
        else:
            async with before_commit(found.dsn):
                found.kill_worker()
        await asyncio.to_thread(found.start_worker)
    for kill in range(databases):
        await asyncio.sleep(1.5)
        both = kill >= databases - 2
        await asyncio.to_thread(found.kill_database)
        if both:
            found.kill_worker()
        await asyncio.to_thread(found.postgres.start)
        if both:
            await asyncio.to_thread(found.start_worker)
    await asyncio.wait_for(running, 300)
    await until(lambda: not found.spooled())
    lost, doubled = await compare(found, gateways)
    return {
        "kill_lost": lost, "kill_doubled": doubled, "kill_worker_times": workers, "kill_database_times": databases,
        "kill_acknowledged": sum(len(gateway.acknowledged) for gateway in gateways),
        "kill_connections": sum(gateway.connections for gateway in gateways),
    }  # fmt: skip


async def until(what: Callable[[], bool], patience_s: float = 300.0) -> None:
    async with asyncio.timeout(patience_s):
        while not what():  # noqa: ASYNC110 - other processes have no event to wait for
            await asyncio.sleep(0.05)


def connected(gateways: list[Gateway], times: int) -> bool:
    return all(gateway.connections >= times for gateway in gateways)


async def compare(found: Rig, gateways: list[Gateway]) -> tuple[int, int]:
    """Acknowledged readings that are missing, and readings that stand there twice."""
    async with await psycopg.AsyncConnection.connect(found.dsn) as connection:
        rows = await (await connection.execute(KEPT)).fetchall()
    kept = {str(gateway): (int(stored), int(known)) for gateway, stored, known in rows}
    lost = doubled = 0
    for gateway in gateways:
        stored, known = kept.get(gateway.name, (0, 0))
        lost += max(0, len(gateway.acknowledged) - known)
        doubled += stored - known
    return lost, doubled
