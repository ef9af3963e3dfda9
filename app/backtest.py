"""Rules over stored readings: those in force, and changed ones beside them, before anybody is bound by them."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from app.pipes import Pipes
from core import domains
from core.batch import DOUBTFUL
from core.clock import DAY_US, HOUR_US, SystemClock
from core.db import Database
from core.errors import Invalid
from events.backtest import Backtest, only
from events.citytime import CityTime
from events.edited import document
from events.engine import Model, load_model
from events.load import Load
from events.place import World
from events.usual import KNOWN_US
from gis.city import sample_city
from iot import kinds, registry_store
from iot.registry import Registry
from iot.views import hours_of_many, recent_of_many

#: So many readings are taken at once, about, if every point speaks once a minute.
ROWS_AT_ONCE = 3_000_000
POINTS_AT_ONCE = 500
Tell = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Span:
    """From inclusive, to exclusive, µs."""

    begin_us: int
    end_us: int


def chosen(model: Model, patterns: Sequence[str]) -> Model:
    """The rules whose keys fit one of some patterns (`all`, `dr.*`, a key). Raises `Invalid`."""
    keys = {
        rule.key
        for rule in model.rules
        if any(pattern == "all" or fnmatch.fnmatchcase(rule.key, pattern) for pattern in patterns)
    }
    if not keys:
        raise Invalid("error.no_rule", field="rule", rule=", ".join(patterns))
    return replace(model, rules=only(model.rules, keys))


async def run(
    database: Database,
    model: Model,
    registry: Registry,
    span: Span,
    *,
    city: CityTime,
    world: World,
    tell: Tell,
) -> tuple[Load, int]:
    """What a model would have said over a span of the stored readings, and how many readings that were."""
    test = Backtest(model, registry, city, world)
    points = test.points()
    step_us = max(HOUR_US, min(DAY_US, ROWS_AT_ONCE // max(len(points), 1) * 60_000_000 // HOUR_US * HOUR_US))
    learned_us = -DAY_US
    for begin_us in range(span.begin_us, span.end_us, step_us):
        if begin_us - learned_us >= DAY_US:
            await _learn(database, test, registry, begin_us)
            learned_us = begin_us
        found = await recent_of_many(
            database, registry.device_of[points], registry.channel_of[points], begin_us,
            min(begin_us + step_us, span.end_us),
        )  # fmt: skip
        sound = (found.quality & DOUBTFUL) == 0
        numbers = registry.point(found.device[sound], found.channel[sound])
        order = np.lexsort((found.time_us[sound], numbers))
        test.take(numbers[order], found.time_us[sound][order], found.value[sound][order])
        tell(min(1.0, (begin_us + step_us - span.begin_us) / (span.end_us - span.begin_us)))
    return test.load(), test.readings


async def _learn(database: Database, test: Backtest, registry: Registry, until_us: int) -> None:
    """Usual values as they were known at an instant."""
    points = test.engine.usual_points()
    for start in range(0, len(points), POINTS_AT_ONCE):
        some = points[start : start + POINTS_AT_ONCE]
        hours = await hours_of_many(
            database, registry.device_of[some], registry.channel_of[some], until_us - KNOWN_US, until_us
        )
        test.engine.learn(some, hours)


@dataclass(frozen=True, slots=True)
class Trial:
    """An edited rule to be tried beside the rules in force; plain values, so that another process can do it."""

    dsn: str
    folder: Path
    zone: str
    rules: tuple[str, ...]
    in_force: tuple[tuple[str, str], ...]
    changed: tuple[tuple[str, str], ...]
    span: Span
    patience_s: float


def trial(wanted: Trial) -> tuple[Load, Load]:
    """What the rules in force and the changed ones would have said. Raises `Invalid` when it takes too long."""
    return asyncio.run(_trial(wanted))


async def _trial(wanted: Trial) -> tuple[Load, Load]:
    found = domains.load(wanted.folder)
    catalogue = kinds.load(found)
    clock = SystemClock()
    end_s = clock.monotonic_s() + wanted.patience_s

    def tell(_share: float) -> None:
        if clock.monotonic_s() > end_s:
            raise Invalid("error.trial_long", field="days")

    database = Database(wanted.dsn, 1)
    await database.open()
    try:
        registry = await registry_store.load(database, catalogue)
        city, world = CityTime(ZoneInfo(wanted.zone)), World(Pipes(sample_city()))
        loads = []
        for texts in (wanted.in_force, wanted.changed):
            edited = [document(key, text) for key, text in texts]
            model = chosen(load_model(found, catalogue, None, edited), wanted.rules)
            load, _ = await run(database, model, registry, wanted.span, city=city, world=world, tell=tell)
            loads.append(load)
        return loads[0], loads[1]
    finally:
        await database.close()
