"""The analysis page's questions to fifty million readings: part of `cityops bench wall`."""

from __future__ import annotations

import asyncio
from zoneinfo import ZoneInfo

import numpy as np

from app import policy
from app.bench.rig import Figures, Rig, Say, catalogue
from core.actor import Actor
from core.clock import DAY_US, HOUR_US, ManualClock, SystemClock, to_datetime
from core.db import Database, connect
from core.text import Texts
from dashboard.explore.figure import Paper, figure
from dashboard.explore.source import Explorer
from dashboard.explore.view import View
from dashboard.theme import load as load_theme
from iot import registry_store
from iot.partitions import ReadingsTable

#: 500 points that spoke once a minute for 70 days.
POINTS, DAYS = 500, 70
SEED = 8
ASKED = 60
READER = Actor("bench", "bench", frozenset({"viewer"}))
QUESTIONS = ((2 * HOUR_US, 2), (DAY_US, 1), (DAY_US, 4), (7 * DAY_US, 4), (30 * DAY_US, 4), (69 * DAY_US, 8))
#: In the order in which a city writes: all points of a minute, then the next minute.
FILL = b"""
INSERT INTO readings (device, channel, time, received, value, quality, gateway)
SELECT device, %(channel)s, at, at, 0.3 + device %% 7 * 0.01 + extract(epoch FROM at)::bigint / 60 %% 90 * 0.001, 0, 1
FROM generate_series(%(begin)s::timestamptz, %(end)s::timestamptz - interval '1 minute', interval '1 minute') AS at,
     unnest(%(devices)s::integer[]) AS device
"""
ROLL_UP = b"""
INSERT INTO readings_1h (device, channel, bucket, n, total, low, high)
SELECT device, channel, date_bin('1 hour', time, 'epoch'), count(*), sum(value), min(value), max(value)
FROM readings WHERE time >= %(begin)s AND time < %(end)s GROUP BY 1, 2, 3
"""


def measure(found: Rig, say: Say) -> Figures:
    """95th percentile of what the page asks the server for, in ms; `explore_readings` is how many were stored."""
    return asyncio.run(_measure(found, say))


async def _measure(found: Rig, say: Say) -> Figures:
    database = Database(found.dsn, 4)
    await database.open()
    try:
        end_us = SystemClock().now_us() // DAY_US * DAY_US
        numbers = sorted(found.registry.by_number)[:POINTS]
        await fill(found, numbers, end_us, say)
        say(f"asking {ASKED} questions")
        took = await ask(database, numbers, end_us)
        stored = await database.fetch_one(b"SELECT sum(n)::bigint AS n FROM readings_1h")
        assert stored is not None
        return {
            "explore_50m_p95_ms": float(np.percentile(took, 95)), "explore_median_ms": float(np.median(took)),
            "explore_readings": float(stored["n"]),
        }  # fmt: skip
    finally:
        await database.close()


async def fill(found: Rig, numbers: list[int], end_us: int, say: Say) -> None:
    device = found.registry.by_number[numbers[0]]
    channel = next(iter(found.registry.kind_of(device).channels.values()))
    async with await connect(found.dsn) as connection:
        table = ReadingsTable(DAY_US / 1e6)
        await table.prepare(connection, "off")
        await connection.execute(b"SET synchronous_commit = off")
        for day in range(DAYS):
            if day % 10 == 0:
                say(f"storing readings: day {day} of {DAYS}")
            begin_us = end_us - (DAYS - day) * DAY_US
            await table.ensure(connection, np.array([begin_us], np.int64))
            span = {"begin": to_datetime(begin_us), "end": to_datetime(begin_us + DAY_US)}
            number = found.registry.channels[channel].number
            await connection.execute(FILL, {**span, "channel": number, "devices": numbers})
            await connection.execute(ROLL_UP, span)
            await connection.commit()
        await connection.execute(b"ANALYZE readings_1h")
        await connection.commit()


async def ask(database: Database, numbers: list[int], end_us: int) -> list[float]:
    """Every question with other points and another end, and the map over a day: from address to figure."""
    registry = await registry_store.load(database, catalogue())
    clock, rng, theme, zone = (
        SystemClock(),
        np.random.default_rng(SEED),
        load_theme(),
        ZoneInfo("Asia/Shanghai"),
    )
    explorer = Explorer(
        database,
        ManualClock(end_us),
        policy.load()[0],
        Texts({"zh": {}, "en": {}}),
        zone,
        {},
        lambda: registry,
    )
    keys = [f"{registry.by_number[number].id}/pressure" for number in numbers]
    full = next(iter(registry.kind_of(registry.by_number[numbers[0]]).channels.values()))
    took = []
    for turn in range(ASKED):
        span_us, count = QUESTIONS[turn % len(QUESTIONS)]
        last_us = end_us - int(rng.integers(0, DAYS * DAY_US - span_us))
        view = View(tuple(rng.choice(keys, count, replace=False))).fixed(last_us - span_us, last_us)
        began_s = clock.monotonic_s()
        if turn % 10 == 9:
            values = (await explorer.frames(READER, full, last_us - DAY_US, last_us)).values
            assert np.isfinite(values[:, : len(numbers)]).mean() > 0.9
        else:
            lines = await explorer.lines(READER, view, "zh")
            paper = Paper(last_us - span_us, last_us, zone, theme, {"empty": "", "doubtful": ""}, "")
            assert len(figure(lines, paper)["data"]) >= count
        took.append((clock.monotonic_s() - began_s) * 1000)
    return took
