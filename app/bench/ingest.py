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

from app.bench.gateway import Gateway
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
    with rig(8) as found:
        say(f"{OUTAGE_S:.0f} s without a database at 5 000 messages a second")
        figures |= asyncio.run(outage(found, OUTAGE_S))
    with rig(8) as found:
        say("killing worker and database")
        figures |= asyncio.run(kills(found))
    return Measured(figures, peers)


def later_us() -> int:
    return SystemClock().now_us()


def publish(plan: Plan) -> Figures:
    """A fleet in a process of its own; what it saw."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.bench.load", json.dumps(asdict(plan))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    process.stdin.write("go\n")
    process.stdin.flush()
    found: Figures = json.loads(process.stdout.readline())
    process.wait()
    return found


def full_speed(found: Rig, plan: Plan, name: str) -> Figures:
    """Rate, processor time of the worker, and that nothing is missing."""
    plan = replace(plan, until_us=later_us())
    before = found.cpu_s()
    seen = publish(plan)
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
    base_us = later_us()

    def payload(gateway: int) -> Callable[[int], bytes]:
        return lambda n: senml.encode([(f"p{gateway}/pressure", "", base_us + n * 1000, 0.3)])

    return [
        Gateway(found.port, f"gw-{g}", payload(g), total, rate, window, secret=SECRET)
        for g in range(GATEWAYS)
    ]


async def outage(found: Rig, seconds: float) -> Figures:
    """The database is killed for a while under load."""
    rate = PACED_RATE / GATEWAYS
    gateways = fleet(found, int(rate * (seconds + 15)), rate, 4000)
    running = asyncio.gather(*(gateway.run() for gateway in gateways))
    await asyncio.sleep(5)
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


async def kills(found: Rig) -> Figures:
    """Kill -9 of the worker ten times (every other while a batch lies before its COMMIT), of PostgreSQL five times,
    twice of both.
    """
    gateways = fleet(found, 6000, 125)
    running = asyncio.gather(*(gateway.run() for gateway in gateways))
    for kill in range(KILLS):
        await until(partial(connected, gateways, kill + 1))
        await asyncio.sleep(0.3)
        if kill % 2:
            found.kill_worker()
        else:
            await aimed(found)
        await asyncio.to_thread(found.start_worker)
    for kill in range(DATABASE_KILLS):
        await asyncio.sleep(1.5)
        both = kill >= DATABASE_KILLS - 2
        await asyncio.to_thread(found.kill_database)
        if both:
            found.kill_worker()
        await asyncio.to_thread(found.postgres.start)
        if both:
            await asyncio.to_thread(found.start_worker)
    await asyncio.wait_for(running, 300)
    await until(lambda: not found.spooled())
    lost, doubled = await compare(found, gateways)
    return {"kill_lost": lost, "kill_doubled": doubled}


async def until(what: Callable[[], bool], patience_s: float = 300.0) -> None:
    async with asyncio.timeout(patience_s):
        while not what():  # noqa: ASYNC110 - other processes have no event to wait for
            await asyncio.sleep(0.05)


def connected(gateways: list[Gateway], times: int) -> bool:
    return all(gateway.connections >= times for gateway in gateways)


async def aimed(found: Rig) -> None:
    """Kill the worker between COPY and COMMIT: the log that a batch must be entered in is held."""
    async with await psycopg.AsyncConnection.connect(found.dsn) as blocker:
        await blocker.execute(b"LOCK TABLE batch_log IN EXCLUSIVE MODE")
        await asyncio.sleep(0.3)
        found.kill_worker()


async def compare(found: Rig, gateways: list[Gateway]) -> tuple[int, int]:
    """Acknowledged readings that are missing, and readings that stand there twice."""
    async with await psycopg.AsyncConnection.connect(found.dsn) as connection:
        rows = await (
            await connection.execute(b"SELECT device, time, count(*) FROM readings GROUP BY 1, 2")
        ).fetchall()
        kept = await (
            await connection.execute(
                b"SELECT d.id, count(DISTINCT r.time) FROM readings r JOIN devices d ON d.number = r.device GROUP BY 1"
            )
        ).fetchall()
    doubled = sum(int(row[2]) - 1 for row in rows)
    stored = {str(name): int(n) for name, n in kept}
    lost = sum(
        max(0, len(gateway.acknowledged) - stored.get(f"p{g}", 0)) for g, gateway in enumerate(gateways)
    )
    return lost, doubled
