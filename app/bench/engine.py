"""`cityops bench engine`: what a reading, an alert and a kill of the engine cost, and what a flood asks of a person."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Sequence
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from app.bench.kills import kills
from app.bench.rig import Figures, Measured, Rig, Say, rig
from app.declared import ROOT
from app.score import storm
from app.score.product import cpu_s, registry_of
from core import domains
from core.batch import Batch
from core.clock import DAY_US, MINUTE_US, SECOND_US, SystemClock
from core.db import Database
from events.background import Background, Speakers
from events.backtest import Backtest
from events.citytime import CityTime
from events.correlate import Correlator
from events.detectors import Detector
from events.detectors.build import build
from events.detectors.groups import Grouped
from events.engine import Engine, Model, load_model
from events.facts import Fact
from events.load import busiest
from events.place import Place
from events.rules import Rule, RuleDecl, RuleSet
from events.usual import BINS, Usual
from iot import kinds
from iot.kinds import Catalogue
from iot.readings import Logged
from iot.registry import Registry
from iot.registry_store import DeviceRow
from simulators import storms

CITY = CityTime(ZoneInfo("Asia/Shanghai"))
#: 2026-11-23 04:00 UTC, a Monday noon in Shanghai.
NOON_US = 1_795_406_400_000_000
POINTS = 100_000
#: Rounds of a reading from every point, of which the first ones only fill what is empty.
ROUNDS, BEGINNING = 13, 3
#: The back-test of the issue: sensors, days, and how often each speaks.
SENSORS, DAYS, EVERY_US = 1000, 90, 5 * MINUTE_US


def run(say: Say) -> Measured:
    """With the declarations as they are shipped, in memory but for the kills; takes some minutes."""
    shipped = domains.load(ROOT / "domains")
    catalogue = kinds.load(shipped)
    model = load_model(shipped, catalogue)
    say("detectors")
    found = detectors(model, catalogue) | tier2(catalogue)
    say("correlation")
    found |= correlation(model)
    say("a flood with life-safety alarms in it")
    found |= flood(model)
    say("back-test")
    found |= backtest(model, catalogue)
    say(f"killing an engine {KILLS} times")
    with rig(LOGGERS, worker=False) as server:
        return Measured(found | asyncio.run(killed(server, model)))


# -- detection -------------------------------------------------------------------------------------------------


def loggers(n: int) -> list[DeviceRow]:
    """Pressure loggers on a grid, 64 to a district."""
    return [
        DeviceRow(
            f"p{k}", "ws_pressure_logger", f"p{k}", f"p{k}", 121.0 + (k % 320) * 0.002, 31.0 + (k // 320) * 0.002,
            f"gw-{k % 50}", zone=f"DMA-{k // 64}", asset=f"node-{k}", params={"period_s": 60},
        )
        for k in range(n)
    ]  # fmt: skip


def pressures(registry: Registry) -> NDArray[np.int32]:
    found = [registry.points_of(device)["pressure"] for device in registry.devices.values()]
    return np.sort(np.array(found, np.int32))


def detectors(model: Model, catalogue: Catalogue) -> Figures:
    """CPU of every rule that watches pressure, a reading; and of the whole engine with its two states."""
    registry = registry_of(loggers(POINTS), catalogue)
    rng = np.random.default_rng(1)
    points = pressures(registry)
    tracemalloc.start()
    detectors = build(model.rules, registry, CITY)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    batches = [
        (np.full(len(points), NOON_US + step * MINUTE_US), 0.3 + rng.normal(0, 0.002, len(points)))
        for step in range(ROUNDS)
    ]
    by_family = {f"{each.name}_ns": observed_ns(each, points, batches) for each in detectors}
    engine = Engine(model, registry, CITY)
    began = cpu_s()
    for number, (time_us, value) in enumerate(batches, 1):
        engine.take(Logged(number, batch_of(registry, points, time_us, value)))
    took = cpu_s() - began
    return {
        **by_family,
        # what compares a point with its group is no part of it: it closes windows of all loggers at once
        "tier01_ns": sum(by_family[f"{each.name}_ns"] for each in detectors if not isinstance(each, Grouped)),
        "bytes_per_point": used / len(points),
        "engine_ns": took * 1e9 / (ROUNDS * len(points)),
        "engine_readings_per_core_s": ROUNDS * len(points) / took,
    }


Said = tuple[NDArray[np.int64], NDArray[np.float64]]


def observed_ns(detector: Detector, points: NDArray[np.int32], batches: Sequence[Said]) -> float:
    """CPU of a detector a reading, after some readings to begin with."""
    took = 0.0
    for number, (time_us, value) in enumerate(batches):
        began = cpu_s()
        detector.observe(points, time_us, value)
        took += cpu_s() - began if number >= BEGINNING else 0.0
    return took * 1e9 / ((len(batches) - BEGINNING) * len(points))


def tier2(catalogue: Catalogue) -> Figures:
    """CPU of a reading by what learns: residual of the usual hour of the week, CUSUM, novelty; and their sum."""
    registry = registry_of(loggers(POINTS // 10), catalogue)
    points = pressures(registry)
    known = (registry.size, BINS)
    usual = Usual(CITY, np.arange(registry.size, dtype=np.int32), np.full(known, 0.3), np.full(known, 0.002))
    learned = [
        _learning(unit="MPa", against="usual", z=4, on={"above": 0.05}, off={"at_most": 0.03}),
        _learning(unit="sigma", detector="drift", on={"at_least": 12}, off={"at_most": 1}),
        _learning(
            unit="score", detector="novelty", on={"at_least": 3.5}, off={"below": 1, "min_samples": 100}
        ),
    ]
    rules = RuleSet(tuple(Rule(n, "water_supply", decl) for n, decl in enumerate(learned)), "bench")
    rng = np.random.default_rng(1)
    batches = [
        (np.full(len(points), NOON_US + step * MINUTE_US), 0.3 + rng.normal(0, 0.002, len(points)))
        for step in range(120)
    ]
    found = {
        f"{each.name}_ns": observed_ns(each, points, batches) for each in build(rules, registry, CITY, usual)
    }
    return {**found, "tier2_ns": sum(found.values())}


def _learning(**detector: object) -> RuleDecl:
    return RuleDecl.model_validate(
        {
            "key": "bench", "kinds": ["ws_pressure_logger"], "class": "field", "level": 3, "channel": "pressure",
            "source": {"ref": "bench", "mark": "ours"}, "seen_within": "10m", "act_within": "30m",
            "owner": {"lead": "nobody"}, **detector,
        }
    )  # fmt: skip


def batch_of(
    registry: Registry, points: NDArray[np.int32], time_us: NDArray[np.int64], value: NDArray[np.float64]
) -> Batch:
    return Batch.of(
        device=registry.device_of[points], channel=registry.channel_of[points], time_us=time_us, value=value,
        gateway=1, received_us=time_us,
    )  # fmt: skip


# -- correlation -----------------------------------------------------------------------------------------------


def correlation(model: Model) -> Figures:
    """CPU of an alert in storm-25 nights, and the time from alert to incident when 1 000 come a second.

    The night is played twice: an engine that runs knows who is where. What lasts is frozen, as in the worker.
    """
    quiet, _ = played(model, 300)
    spent, took = played(model, 1500)
    return {
        "correlate_us_per_alert": spent,
        "correlate_us_per_alert_300": quiet,
        "correlate_p99_us": float(np.percentile(took, 99) * 1e6),
        "alert_to_incident_p95_s": queued_p95_s(took, 1000.0),
    }


def played(model: Model, rate: int) -> tuple[float, NDArray[np.float64]]:
    """CPU in µs an alert of a night, and how long each took."""
    night = storms.make(1, rate)
    told, known = storm.facts(night), storm.speakers(night)
    gc.collect()
    gc.freeze()
    clock = SystemClock()
    took = np.empty(len(told))
    for _ in range(2):
        correlator = storm.correlator(night, model.types, known)
        spent = cpu_s()
        for row, fact in enumerate(told):
            began = clock.monotonic_s()
            decide(correlator, fact)
            took[row] = clock.monotonic_s() - began
        spent = cpu_s() - spent
    gc.unfreeze()
    return spent * 1e6 / len(told), took


def queued_p95_s(took_s: NDArray[np.float64], per_s: float) -> float:
    """95th percentile of waiting and service when alerts arrive evenly at a rate and are served one by one."""
    free = 0.0
    delay = np.empty(len(took_s))
    for row, service in enumerate(took_s.tolist()):
        arrives = row / per_s
        free = max(free, arrives) + service
        delay[row] = free - arrives
    return float(np.percentile(delay, 95))


# -- a flood ---------------------------------------------------------------------------------------------------

CAUSES, FLOOD_ALERTS, FIRES = 5, 10_000, 20


def flood(model: Model) -> Figures:
    """10 000 alerts of five bursts within a minute, and 20 fires: how much is asked of a person, and how soon.

    Operator alarms are incidents and alerts of none (DESIGN §6.2), beside the fires, which are always shown alone.
    """
    rng = np.random.default_rng(1)
    fires = [_fact(rng, f"fire-{n}", "fire.alarm", n, f"B-{n}") for n in range(FIRES)]
    drops = [
        _fact(rng, f"drop-{n}", "ws.pressure.drop", n % CAUSES, f"node-{n}") for n in range(FLOOD_ALERTS)
    ]
    said = {
        "ws.pressure.drop": Speakers(f.place for f in drops),
        "fire.alarm": Speakers(f.place for f in fires),
    }
    correlator = Correlator(model.types.values(), background=Background(said))
    asked: dict[str, int] = {}
    shown_s: list[float] = []
    clock, free_s = SystemClock(), 0.0
    for fact in sorted([*fires, *drops], key=lambda each: (each.onset_us, each.id)):
        began, arrives_s = clock.monotonic_s(), (fact.onset_us - NOON_US) / SECOND_US
        opened = decide(correlator, fact)
        free_s = max(free_s, arrives_s) + clock.monotonic_s() - began
        if fact.what == "fire.alarm":
            shown_s.append(free_s - arrives_s)
        asked |= dict.fromkeys(opened, fact.onset_us)
    grouped = {drop.id for drop in drops if any(group.incident for group in correlator.groups_of(drop.id))}
    alone = [drop.onset_us for drop in drops if drop.id not in grouped]
    bursts = [at for name, at in asked.items() if name.startswith("water_burst")]
    return {
        "flood_operator_alarms_10min": float(busiest(sorted([*alone, *bursts]))),
        "flood_life_safety_p100_s": max(shown_s),
        "flood_grouped_share": len(grouped) / FLOOD_ALERTS,
    }


def _fact(rng: np.random.Generator, name: str, what: str, cause: int, asset: str) -> Fact:
    """Something within a minute, within some 800 m of the place of its cause."""
    away = rng.normal(0, 0.004, 2)
    place = Place(121.0 + cause * 0.08 + away[0], 31.2 + away[1], name, asset, f"DMA-{what}-{cause}")
    return Fact(name, what, place, NOON_US + round(rng.uniform(0, 60) * SECOND_US), speaker=name, level=2)


def decide(correlator: Correlator, fact: Fact) -> list[str]:
    """What the engine does with an alert; the incidents that it opens."""
    opened = []
    for group in correlator.add(fact):
        if group.into is None and group.anchors and not group.incident and correlator.opens(group):
            group.incident = f"{group.type}/{fact.id}"
            opened.append(group.incident)
    return opened


# -- kills ------------------------------------------------------------------------------------------------------

KILLS, LOGGERS, STEPS, PAUSE_S = 25, 8, 1200, 0.012


async def killed(server: Rig, model: Model) -> Figures:
    """An engine in a process of its own is killed while batches come."""
    database = Database(server.dsn, 2)
    await database.open()
    try:
        return await kills(
            database, model, server.registry, steps=STEPS, times=KILLS, seed=11, pause_s=PAUSE_S
        )
    finally:
        await database.close()


# -- back-test -------------------------------------------------------------------------------------------------


def backtest(model: Model, catalogue: Catalogue) -> Figures:
    """Every rule of pressure loggers over 1 000 of them and 90 days, a reading every five minutes, in memory."""
    registry = registry_of(loggers(SENSORS), catalogue)
    test = Backtest(model, registry, CITY)
    rng = np.random.default_rng(2)
    points = pressures(registry)
    took = 0.0
    for day in range(DAYS):
        time_us = NOON_US + day * DAY_US + np.arange(DAY_US // EVERY_US, dtype=np.int64) * EVERY_US
        value = 0.3 + rng.normal(0, 0.01, (len(points), len(time_us)))
        began = cpu_s()
        test.take(np.repeat(points, len(time_us)), np.tile(time_us, len(points)), value.ravel())
        took += cpu_s() - began
    return {
        "backtest_1000x90d_s": took,
        "backtest_readings": float(test.readings),
        "backtest_alerts": float(test.load().alerts),
    }
