"""The one place where vital signs are computed: a task of the worker. Every 10 s, from newest values and windows.

It follows the batch log, asks the rooms for their records, evaluates, stores rows and history, and says so on topic
`vitals`. At its start it recomputes the history that is missing from stored readings.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Protocol

import numpy as np
import psycopg

from core.batch import Batch
from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Clock
from core.db import Database, connect
from core.errors import Unavailable
from core.log import logger
from dashboard.points import PointTable
from dashboard.vitals import index, replay, store
from dashboard.vitals.declare import Vital
from dashboard.vitals.evaluate import Held, Reading, evaluate
from dashboard.vitals.flow import Flow
from dashboard.vitals.index import PartDecl
from dashboard.vitals.inputs import Collector, Rows, Selection
from dashboard.vitals.past import Past
from dashboard.vitals.store import Usuals
from dashboard.vitals.usual import LOOK_BACK_DAYS, Local, learn, usual_at
from dashboard.vitals.window import QUARTER_US, Windows
from dashboard.vitals.words import Figure, Points, Records, Why, Words
from iot import log
from iot.aggregate import Aggregates
from iot.log import BatchFeed
from iot.readings import Logged
from iot.registry import Registry

LOG = logger("dashboard")
TURN_S = 10.0
LEARN_EVERY_US = HOUR_US
KEEP_US = 400 * DAY_US
#: Kept in quarters on the first day; older history comes by the hour.
QUARTERS_US = 26 * HOUR_US
#: A value that could not be computed again is shown as stale for so long, then there is none.
STALE_FOR_US = DAY_US
#: So long after a start a colour follows its value at once: nobody had been heard in the first moments.
SETTLE_US = 2 * MINUTE_US
NAMED_EXCLUDED = 50
NAMED_RECORDS = 20
#: Readings that wait for a turn at most: of fewer each costs more, more of them leave the processor's cache.
WAITING_ROWS = 8_000


class Rooms(Protocol):
    """What the other rooms give: records by topic with `at_us` and `level`, and figures by name."""

    async def records(self, now_us: int) -> Rows: ...

    async def figures(self, now_us: int) -> Mapping[str, float | None]: ...


@dataclass(slots=True)
class Clerk:
    """Computes all vitals of one installation. `start`, then `run`: `take` every batch, `turn` every `TURN_S`."""

    vitals: Sequence[Vital]
    database: Database
    clock: Clock
    local: Local
    past: Past
    rooms: Rooms
    registry: Registry
    parts: Sequence[PartDecl] = ()
    usuals: Usuals = field(default_factory=dict)
    table: PointTable = field(init=False)
    collector: Collector = field(init=False)
    windows: Windows = field(default_factory=Windows)
    flow: Flow = field(init=False)
    shown: dict[str, Reading] = field(default_factory=dict)
    _waiting: list[Logged] = field(default_factory=list)
    _waiting_rows: int = 0
    _held: dict[str, Held] = field(default_factory=dict)
    _words: Words = field(default_factory=Words)
    _learned_us: int = 0
    _warm_to: int = 0
    _cold: bool = True
    _started_us: int = 0
    #: The newest quarter of each vital's history before we began.
    _known: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.table = PointTable(self.registry)
        self.flow = Flow(self.registry, self.clock.now_us())
        self.collector = Collector(self.vitals, self.registry)
        self.windows.make(self.collector.windowed(), self.registry.size)

    async def start(self) -> BatchFeed:
        """Warm table and windows and say what is now; the feed to follow from here."""
        now_us = self._started_us = self.clock.now_us()
        aggregates = Aggregates(self.registry)
        async with await connect(self.database.dsn) as connection:
            await aggregates.load(connection)
        self.table.add(aggregates.latest.batch())
        await self._warm(now_us)
        self._known = await store.ends(self.database)
        await self.turn()
        await store.forget(
            self.database, [index.KEY, *(vital.key for vital in self.vitals)], now_us - KEEP_US
        )
        return BatchFeed(self.database.dsn, aggregates.cursor)

    def use(self, registry: Registry) -> None:
        """Take a newer registry; windows are warmed anew in the next turn."""
        self.registry = registry
        self.table.use(registry)
        self.flow.use(registry)
        self.collector = Collector(self.vitals, registry)
        self.windows.make(self.collector.windowed(), registry.size)
        self._cold = True

    def take(self, logged: Logged) -> None:
        """A batch of readings, in order. It waits for the next turn, or for more: large batches cost less a reading."""
        if not logged.history:
            self.flow.take(logged.batch, self.clock.now_us())
        self._waiting.append(logged)
        self._waiting_rows += len(logged.batch)
        if self._waiting_rows > WAITING_ROWS and not self._cold:
            self._take_waiting()

    def _take_waiting(self) -> None:
        """Put what waits into table and windows. Back-filled history is not what is now."""
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        for (history, seen), group in groupby(waiting, lambda each: (each.history, each.id <= self._warm_to)):
            batch = Batch.concat(logged.batch for logged in group)
            points = self.registry.point(batch.device, batch.channel)
            self.table.add(batch, points)
            if not history:
                self.windows.add(batch, points, seen=seen)

    async def run(self, batches: BatchFeed) -> None:
        """Follow the log and compute, until cancelled. `batches` is what `start` gave."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(batches))
            tasks.create_task(_for_ever(self.turn, TURN_S))
            tasks.create_task(self.recall())

    async def _follow(self, batches: BatchFeed) -> None:
        async for group in batches.follow():
            for logged in group:
                self.take(logged)

    async def turn(self) -> None:
        """Compute every vital once and store what came out."""
        now_us = self.clock.now_us()
        if self._cold:
            await self._warm(now_us)
        self._take_waiting()
        if now_us - self._learned_us > LEARN_EVERY_US:
            await self._learn(now_us)
        records = await self.rooms.records(now_us)
        figures = {**await self.rooms.figures(now_us), **self.flow.figures(now_us)}
        readings = [self._compute(vital, records, figures, now_us) for vital in self.vitals]
        if self.parts:
            level_1 = {
                str(each["domain"])
                for each in records.get("incidents", ())
                if each["standing"] and each["level"] == 1
            }
            made = index.index_of(self.parts, self.vitals, self.shown, level_1)
            readings.append((index.reading_of(made), index.told(made)))
        await store.put(self.database, readings, now_us)

    def _compute(
        self, vital: Vital, records: Rows, figures: Mapping[str, float | None], now_us: int
    ) -> tuple[Reading, dict[str, object]]:
        inputs = self.collector.inputs(
            vital, self.table, self.windows, records, figures, now_us, self.local.midnight_us(now_us)
        )
        self._words.use(inputs, now_us, self.local.offset_us(now_us))
        usual = usual_at(self.usuals.get(vital.key, {}), self.local, now_us)
        reading = evaluate(vital, self._words, usual)
        held = self._held.setdefault(vital.key, Held())
        if now_us - self._started_us < SETTLE_US:
            held.level = 0  # what the first readings after a start seem to say holds no colour
        level = held.show(reading.level, now_us) if reading.state == "ok" else 0
        reading = self._or_stale(replace(reading, level=level), now_us)
        self.shown[vital.key] = reading
        return reading, self._detail(reading, inputs)

    def _or_stale(self, reading: Reading, now_us: int) -> Reading:
        """Where there is no value now but was one not long ago, that one, called stale."""
        before = self.shown.get(reading.key)
        if reading.value is not None or before is None or before.value is None or before.as_of_us is None:
            return reading
        if now_us - before.as_of_us > STALE_FOR_US:
            return reading
        return replace(
            before, state="stale", level=0, coverage=reading.coverage, confidence=reading.confidence
        )

    def _detail(self, reading: Reading, inputs: Mapping[str, object]) -> dict[str, object]:
        """What a person sees who asks how the value came about."""
        device = self.registry.by_number.get(reading.place) if reading.place is not None else None
        return {
            "z": round(reading.z, 2),
            "figures": dict(reading.figures),
            "parts": list(reading.parts) if reading.parts else None,
            "place": {**device.name, "area": device.area} if device else None,
            "device": device.id if device else None,
            "inputs": {name: self._told(each) for name, each in inputs.items() if isinstance(each, Points)},
            "records": {name: _listed(each) for name, each in inputs.items() if isinstance(each, Records)},
            "given": {name: _finite(each.value) for name, each in inputs.items() if isinstance(each, Figure)},
        }

    def _told(self, points: Points) -> dict[str, object]:
        out = np.flatnonzero(~points.taking_part)
        n, total = points.coverage
        return {
            "n": n,
            "total": total,
            "excluded": [
                {
                    "device": self.registry.by_number[int(points.device[row])].id,
                    "why": Why(int(points.why[row])).name.lower(),
                }
                for row in out[:NAMED_EXCLUDED]
            ],
        }

    # -- what was before --------------------------------------------------------------------------------------

    async def _warm(self, now_us: int) -> None:
        """Put the readings of the longest window into the windows, each input its own."""
        for key, selection in self.collector.selections.items():
            if selection.decl.window and len(selection):
                since = now_us - round(selection.decl.window * SECOND_US) - QUARTER_US
                if selection.decl.step >= HOUR_US / SECOND_US:
                    since = await self._warm_hours(key, selection, since, now_us // HOUR_US * HOUR_US)
                batch = await self.past.recent(selection.device, selection.channel, since, now_us + 1)
                points = self.registry.point(batch.device, batch.channel)
                self.windows.add_to(key, batch, points)
        async with await connect(self.database.dsn) as connection:
            self._warm_to = await log.newest(connection)
        self._cold = False

    async def _warm_hours(self, key: tuple[str, str], selection: Selection, from_us: int, to_us: int) -> int:
        """Put the hours of a long window into it, each as one sample at its end; where raw readings go on."""
        hours = await self.past.hours(selection.device, selection.channel, from_us, to_us)
        moment = hours.time_us + HOUR_US - 1
        batch = Batch.of(device=hours.device, channel=hours.channel, time_us=moment, value=hours.value)
        self.windows.add_to(key, batch, self.registry.point(batch.device, batch.channel))
        return to_us

    async def recall(self) -> None:
        """Recompute the history that was missing when we started and learn what is usual from it: the wall's first."""
        for first in (True, False):
            await self._fill(
                [each for each in self.vitals if (each.decl.slot != "console") is first], self._started_us
            )
            await self._learn(self._started_us)

    async def _fill(self, vitals: Sequence[Vital], now_us: int) -> None:
        """Recompute the quarters of the last day and the hours before, as far as they were missing at our start."""
        day_us = (now_us - QUARTERS_US) // HOUR_US * HOUR_US
        first_us = day_us - LOOK_BACK_DAYS * DAY_US
        for vital in vitals:
            if not replay.recomputable(vital) or not vital.points:
                continue
            since = self._known.get(vital.key, first_us)
            if since < day_us:
                await self._fill_hours(vital, max(first_us, since // HOUR_US * HOUR_US), day_us)
            await self._fill_quarters(vital, max(day_us, since), now_us // QUARTER_US * QUARTER_US)

    def _selections(self, vital: Vital) -> dict[str, Selection]:
        return {name: self.collector.selections[vital.key, name] for name in vital.points}

    async def _fill_hours(self, vital: Vital, from_us: int, to_us: int) -> None:
        chosen = self._selections(vital)
        if from_us >= to_us or not all(len(each) for each in chosen.values()):
            return
        matrices = {}
        for name, each in chosen.items():
            hours = await self.past.hours(each.device, each.channel, from_us, to_us)
            matrices[name] = replay.by_hour(each, hours, from_us, to_us)
        found = replay.values(vital, chosen, matrices, from_us, HOUR_US, self.local, self._words)
        await store.fill(self.database, vital.key, *found)

    async def _fill_quarters(self, vital: Vital, from_us: int, to_us: int) -> None:
        chosen = self._selections(vital)
        if from_us >= to_us or not all(len(each) for each in chosen.values()):
            return
        matrices = {}
        for name, each in chosen.items():
            batch = await self.past.recent(each.device, each.channel, from_us, to_us)
            matrices[name] = replay.by_quarter(each, batch, from_us, to_us)
        found = replay.values(vital, chosen, matrices, from_us, QUARTER_US, self.local, self._words)
        await store.fill(self.database, vital.key, *found)

    async def _learn(self, now_us: int) -> None:
        """Learn what is usual from the last `LOOK_BACK_DAYS`."""
        since = now_us - LOOK_BACK_DAYS * DAY_US
        history = await store.history(self.database, since, now_us // HOUR_US * HOUR_US)
        self.usuals = {key: learn(each.at_us, each.value, self.local) for key, each in history.items()}
        await store.put_usual(self.database, self.usuals)
        self._learned_us = now_us


def _listed(records: Records) -> dict[str, object]:
    """How many records there are, and the newest of them by what people call them."""
    newest = sorted(records.items, key=lambda item: -int(item["at_us"]))[:NAMED_RECORDS]
    return {
        "n": len(records.items),
        "newest": [
            {
                "number": next(
                    (str(item[name]) for name in ("number", "key", "kind", "id") if item.get(name)), ""
                ),
                "title": item.get("name") or item.get("title"),
                "at_us": int(item["at_us"]),
            }
            for item in newest
        ],
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


async def _for_ever(do: Callable[[], Awaitable[None]], every_s: float) -> None:
    """Do something every so often; a database that is away is waited for."""
    while True:
        try:
            await do()
        except (psycopg.OperationalError, Unavailable):
            LOG.warning("vitals_wait_for_database")
        await asyncio.sleep(every_s)
