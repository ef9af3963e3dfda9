"""The engine at work: leads, follows the batch log, writes what follows from it, and lets time pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psycopg

from core.batch import Batch
from core.changes import Bell, Feed
from core.clock import HOUR_US, SECOND_US, Clock
from core.db import Connection, Database, Lock, connect, lead, pulse
from core.errors import Unavailable
from core.log import logger
from core.metrics import Metrics
from events import store
from events.citytime import CityTime
from events.engine import Engine, Model
from events.incident_writer import Stale
from events.moves import Move
from events.news import News
from events.permits import Permits
from events.place import NOWHERE, World
from events.silence import Heard, Silence
from events.usual import KNOWN_US
from events.writer import Writer
from iot import log
from iot.aggregate import load_latest
from iot.log import BatchFeed
from iot.readings import Logged
from iot.registry import Registry
from iot.views import hours_of_many

TICK_US = SECOND_US
RETRY_S = 1.0
#: A full snapshot after so many deltas: a restart then reads a bounded number of them.
DELTAS = 60
#: Usual values are taken anew so often, and of so many points by one query.
LEARN_EVERY_US = HOUR_US
POINTS_AT_ONCE = 500
#: How often a transaction is tried again because people changed what it rests on.
ATTEMPTS = 5


@dataclass(slots=True)
class Timing:
    """In µs: how often state is kept, and how long an incident outlives its evidence."""

    snapshot_every_us: int = 10 * SECOND_US
    linger_us: int = 600 * SECOND_US
    #: After our own start nobody is silent for so long.
    grace_us: int = 120 * SECOND_US


@dataclass(frozen=True, slots=True)
class Around:
    """What an engine needs of its process."""

    clock: Clock
    timing: Timing
    metrics: Metrics
    bell: Bell | None = None


class EngineFeed:
    """One engine of a process. `use` gives it declarations and registry, `offer` fresh batches, `run` its life."""

    def __init__(self, database: Database, city: CityTime, around: Around) -> None:
        self._database = database
        self._city = city
        self._around = around
        self._wanted: tuple[Model, Registry, World] | None = None
        self._new = False
        self._ready = asyncio.Event()
        self._feed: BatchFeed | None = None
        self._life: _Life | None = None
        self.leading = False

    def use(self, model: Model, registry: Registry, world: World = NOWHERE) -> None:
        """Decide by these from the next batch on."""
        self._wanted = (model, registry, world)
        self._new = True
        self._ready.set()

    def offer(self, logged: Logged) -> None:
        """A batch that this process has just committed."""
        if self._feed is not None:
            self._feed.offer(logged)

    @property
    def lag_rows(self) -> int:
        return self._feed.lag_rows if self._feed else 0

    def detail(self) -> dict[str, object]:
        """For the heartbeat: whether this process leads, and how far it has come."""
        return {
            "engine": "leading" if self.leading else "standing by",
            "engine_cursor": self._life.cursor if self._life else 0,
            "engine_lag_rows": self.lag_rows,
        }

    async def run(self) -> None:
        """Lead when nobody else does, for ever; after any loss of the database begin again from what is stored."""
        await self._ready.wait()
        while True:
            try:
                async with await connect(self._database.dsn) as connection:
                    if await lead(connection, Lock.ENGINE):
                        self.leading = True
                        await self._lead(connection)
            except (psycopg.OperationalError, Unavailable) as away:
                logger("events").warning("engine lost its database", reason=str(away))
            except Exception:  # noqa: BLE001 - see below
                # ingest lives in the same process and must not die of a fault of ours; the next try begins from
                # what is stored, and the counter is an alarm of its own
                self._around.metrics.count("engine_failures_total")
                logger("events").exception("engine failed")
            finally:
                self.leading = False
                self._feed = self._life = None
            await asyncio.sleep(RETRY_S)

    async def _lead(self, connection: Connection) -> None:
        alive = asyncio.create_task(pulse(connection))
        try:
            life = await self.begin(connection)
            assert self._feed is not None
            async for group in self._feed.follow():
                if self._new and self._wanted is not None:
                    self._new = False
                    await life.succeed(*self._wanted)
                await life.step(group)
        finally:
            alive.cancel()

    async def begin(self, connection: Connection) -> _Life:
        """Restore the settled state, take the batches since again without telling anybody, and follow."""
        assert self._wanted is not None
        model, registry, world = self._wanted
        self._new = False
        permits = Permits()
        # in a thread, here and below: with many devices it takes seconds, and a leader must not be silent for so long
        engine = await asyncio.to_thread(Engine, model, registry, self._city, world, permits)
        kept = await store.snapshots(connection)
        for snapshot in kept:
            await asyncio.to_thread(engine.restore, snapshot)
        cursor = await store.cursor(connection) or 0
        replayed = await replay(connection, engine, kept[-1].replay_from if kept else 0, cursor)
        if not kept:
            await store.rows(connection, "hold_batches", cursor=0)
        news = Feed(self._database)
        await news.start()
        latest = await load_latest(connection)
        life = _Life(Writer(connection, engine, permits), self._database, news, self._around, cursor, latest)
        await life.writer.load(self._around.clock.now_us())
        self._life = life
        self._feed = BatchFeed(self._database.dsn, cursor)
        logger("events").info("engine leads", cursor=cursor, replayed=replayed)
        return life


async def replay(connection: Connection, engine: Engine, after: int, until: int) -> int:
    """Take batches again up to the stored cursor: their outcome is stored already. The number of readings."""
    rows = 0
    while after < until and (group := await log.after(connection, after)):
        for logged in group:
            if logged.id <= until:
                await asyncio.to_thread(engine.take, logged)
                rows += len(logged.batch)
        after = group[-1].id
    return rows


class _Life:
    """A leader's life: from taking the lead to losing it."""

    def __init__(
        self, writer: Writer, database: Database, news: Feed, around: Around, cursor: int, latest: Batch
    ) -> None:
        self.writer = writer
        self._database = database
        self.cursor = cursor
        self._news = news
        self._around = around
        self._deltas = DELTAS
        self._ticked_us = self._learned_us = 0
        self._kept_us = self._began_us = around.clock.now_us()
        self._heard = Heard(self.engine.registry)
        self._heard.note(latest)
        self._silence = self._judge()

    @property
    def engine(self) -> Engine:
        return self.writer.engine

    def _judge(self) -> Silence:
        return Silence(
            self.engine.model.rules, self.engine.registry, self._began_us + self._around.timing.grace_us
        )

    async def step(self, group: Sequence[Logged]) -> None:
        """Take a group of batches, then what the time asks for."""
        moves: list[Move] = []
        for logged in group:
            # in a thread: deciding again on much that came late takes long, and the loop is also the ingest's
            found, _ = await asyncio.to_thread(self.engine.take, logged)
            moves += found
            self.cursor = logged.id
            if not logged.history:
                self._heard.note(logged.batch)
        if moves:
            await self._write(lambda writer, now_us: writer.apply(moves, self.cursor, now_us))
        now_us = self._around.clock.now_us()
        if now_us - self._ticked_us >= TICK_US:
            self._ticked_us = now_us
            await self._tick(now_us)

    async def succeed(self, model: Model, registry: Registry, world: World) -> None:
        """Other declarations or another registry: a new engine goes on where the old one stands."""
        engine = await asyncio.to_thread(
            Engine, model, registry, self.engine.city, world, self.writer.permits
        )
        moves = await asyncio.to_thread(engine.succeed, self.engine)
        self.writer = Writer(self.writer.connection, engine, self.writer.permits)
        await self.writer.load(self._around.clock.now_us())
        await self._write(lambda writer, now_us: writer.apply(moves, self.cursor, now_us))
        await self.learn()
        self._heard = Heard(registry, self._heard)
        self._silence = self._judge()
        self._deltas = DELTAS

    async def _tick(self, now_us: int) -> None:
        """Once a second: what people did, delays of points that speak on events, silence, what is over, snapshot."""
        await self._hear_people()
        moves = self.engine.advance(now_us)
        linger_us = self._around.timing.linger_us
        await self._write(
            lambda writer, at_us: writer.tick(
                moves,
                lambda standing: self._silence.judge(self._heard, standing, at_us),
                linger_us,
                self.cursor,
                at_us,
            )
        )
        if now_us - self._learned_us >= LEARN_EVERY_US:
            await self.learn()
        if now_us - self._kept_us >= self._around.timing.snapshot_every_us:
            await self._keep(now_us)

    async def learn(self) -> None:
        """Take usual values anew from the hours that are stored, some points at a time."""
        points = self.engine.usual_points()
        until_us = self._around.clock.now_us() // HOUR_US * HOUR_US
        for start in range(0, len(points), POINTS_AT_ONCE):
            some = points[start : start + POINTS_AT_ONCE]
            registry = self.engine.registry
            hours = await hours_of_many(
                self._database,
                registry.device_of[some],
                registry.channel_of[some],
                until_us - KNOWN_US,
                until_us,
            )
            self.engine.learn(some, hours)
        self._learned_us = self._around.clock.now_us()

    async def _hear_people(self) -> None:
        told = await self._news.read()
        by_people = [c for c in told if c.topic == "reports" or c.body.get("by") == "people"]
        if by_people:
            incidents = {change.key for change in by_people if change.topic == "incidents"}
            await self._write(lambda writer, now_us: writer.refresh(incidents, now_us))

    async def _keep(self, now_us: int) -> None:
        if self.engine.timeline.head_us < 0:
            return
        full = self._deltas >= DELTAS
        await store.put_snapshot(self.writer.connection, self.engine.snapshot(full=full), now_us)
        self._deltas = 0 if full else self._deltas + 1
        self._kept_us = now_us

    async def _write(self, do: Callable[[Writer, int], Awaitable[News]]) -> None:
        """One transaction, again from what is stored when people were quicker."""
        for _ in range(ATTEMPTS):
            try:
                news = await do(self.writer, self._around.clock.now_us())
            except Stale:
                await self.writer.load(self._around.clock.now_us())
                continue
            self._around.metrics.count("alerts_total", news.alerts)
            self._around.metrics.count("incidents_total", news.incidents)
            if news.changes and self._around.bell is not None:
                self._around.bell.ring()
            return
        raise psycopg.OperationalError("incidents change faster than they can be read")
