"""The role `worker`: ingest, engine, dispatch and what keeps the store tidy, in one event loop.

Wired in reading order. A task that fails ends the process and the supervisor starts it anew; a database that is
away is no failure: every task waits for it, and the pipeline goes to the spool.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

import numpy as np

from app.auth import Auth
from app.declared import Declared
from app.doors import Assembling, Doors, for_the_eye, lasting, register_own
from app.keeper import Keeper
from app.pipes import world_of
from app.rulebook import Rulebook
from app.screens import clerk_of
from app.town import Town, map_of
from core import changes
from core.changes import Bell
from core.clock import SECOND_US, Clock, to_datetime
from core.db import AWAY, Connection, Database, connect
from core.log import logger
from core.metrics import Metrics
from core.role import Heartbeat
from dispatch.actions import Actions
from dispatch.channels.channel import Channel
from dispatch.channels.gateways import Speech, build
from dispatch.desk import Desk
from dispatch.events_source import EventIncidents
from dispatch.links import Links, load_key
from dispatch.outbox_feed import Outbox
from dispatch.readings_source import StoredReadings
from dispatch.travel import Roads
from events import store as events_store
from events.citytime import CityTime
from events.feed import Around, EngineFeed, Timing
from events.hazard_feed import HazardFeed
from gis.ground import Ground
from ingest import gateways_store
from ingest.assemble import Limits
from ingest.intake import BatchSize
from ingest.mqtt import Message
from ingest.pipeline import News, Pipeline
from ingest.spool import Spool
from ingest.tap import TappedIntake
from ingest.watch_store import Lookout
from iot import readings
from iot.aggregate import Aggregates
from iot.log import BatchFeed
from iot.partitions import ReadingsTable
from iot.readings import Logged, Store
from iot.registry import Registry

FLUSH_S = 5.0
TIDY_S = 60.0


class Worker(News):
    """Everything of the role. `run` never returns by itself."""

    def __init__(self, declared: Declared, dsn: str, run_id: str, clock: Clock) -> None:
        self.declared = declared
        self.dsn = dsn
        self.run_id = run_id
        self.clock = clock
        self.metrics = Metrics()
        self.log = logger("app")
        settings = declared.settings
        self.database = Database(dsn, 4)
        self.bell = Bell(self.database)
        self.auth = Auth(self.database, clock, settings.web.session)
        self.keeper = Keeper(self.database, declared.catalogue)
        self.rules = Rulebook(declared, self.database)
        self.table = ReadingsTable(settings.store.partition, settings.city.timezone)
        self.feeds: list[BatchFeed] = []
        self._begun = False
        self.spool = Spool(settings.data / "spool" / "worker", settings.ingest.spool_bytes)
        size = BatchSize(rows=settings.ingest.batch_rows)
        self.intake = TappedIntake(settings.ingest.queue_readings, batch=size)
        self.doors = Doors(
            settings, self.intake, clock, self.metrics, self._known, lambda: self.keeper.registry
        )
        timing = Timing(
            round(settings.engine.snapshot_every * SECOND_US),
            round(settings.engine.incident_linger * SECOND_US),
            round(settings.engine.silence_grace * SECOND_US),
        )
        self.engine = EngineFeed(
            self.database, CityTime(settings.zone), Around(clock, timing, self.metrics, self.bell)
        )
        self.town = Town(map_of(settings, self.database, clock))
        city = self.town.map
        actions = actions_of(declared, self.database, lambda: self.keeper.registry, lambda: city.city)
        self.hazards = HazardFeed(
            self.database, clock, lambda: self.keeper.registry, lambda: city.city, declared.model.types
        )
        self.desk = Desk(dsn, actions, clock, self.metrics)
        self.doors.replied = self.desk.hear
        rng = np.random.default_rng()
        self.outbox = Outbox(dsn, self._channels(), clock, rng, self.metrics)

    async def run(self) -> None:
        await self.database.open()
        async with await connect(self.dsn) as connection:
            await self.table.prepare(connection, self.declared.settings.database.timescale)
        await register_own(self.declared, self.database, self.clock.now_us())
        registry = await self.keeper.start()
        await self.rules.load()
        await self._renew()
        self.keeper.imported.append(self._renew)
        self.keeper.changed.append(lambda changed: self.engine.use(self.rules.model, changed, self.around))
        self.rules.changed.append(lambda model: self.engine.use(model, self.keeper.registry, self.around))
        aggregates = Aggregates(registry)
        pipeline = self._ingest()
        gc.collect()
        gc.freeze()  # what stays for good is not looked through again: a sixth of the cost of an alert
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pipeline.run())
                tasks.create_task(self._aggregate(aggregates))
                for name, run in self._waiting_for_the_database():
                    tasks.create_task(lasting(run, name))
                tasks.create_task(self.doors.run())
                await self.doors.open()
        finally:
            await self.doors.close()
            await pipeline.store.close()
            self.spool.close()
            await self.database.close()

    async def _renew(self) -> None:
        """The city as it is now, for the engine and for dispatch."""
        await self.town.renew()
        self.around = await asyncio.to_thread(lambda: world_of(self.town.map.city))
        self.engine.use(self.rules.model, self.keeper.registry, self.around)

    def _waiting_for_the_database(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """What stands still while the database is away; nothing of it may take the ingest with it."""
        return [
            ("registry", self.keeper.follow_registry), ("rules", self.rules.follow), ("engine", self.engine.run),
            ("desk", self.desk.run),
            ("hazards", self.hazards.run),
            ("outbox", self.outbox.run), ("vitals", self._vitals), ("tidy", self._tidy), ("bell", self.bell.run),
            ("heartbeat", self._heartbeat().beat_for_ever), ("gateways", self._gateways),
            ("watch", self._watch),
        ]  # fmt: skip

    # -- ingest --------------------------------------------------------------------------------------------

    def _ingest(self) -> Pipeline:
        """One intake behind all doors, one pipeline."""
        store = Store(self.dsn, self.table, self.run_id, "worker")
        assembling = Assembling(limits_of(self.declared), self.doors.decoders())
        first = assembling(self.keeper.registry)
        pipeline = Pipeline(self.intake, store, first, self.spool, self.clock, self.metrics, self)
        self.keeper.changed.append(lambda registry: pipeline.use(assembling(registry)))
        return pipeline

    async def _known(self, name: str, password: bytes) -> str | None:
        """The gateway of an MQTT sign-in."""
        return await self.auth.gateway_of(name, password.decode("utf-8", "replace"))

    def stored(self, logged: Logged) -> None:
        """A batch is committed: hand it to the readers of this process."""
        self.engine.offer(logged)
        for feed in self.feeds:
            feed.offer(logged)

    def refused(self, gateway: str, notice: bytes) -> None:
        """Tell a gateway what of its data was refused and why."""
        self.doors.publish(Message(f"refused/{gateway}", notice, 1))

    # -- ways out --------------------------------------------------------------------------------------------

    def _channels(self) -> dict[str, Channel]:
        settings = self.declared.settings
        out = settings.dispatch.channels
        speech = Speech(self.declared.texts, settings.city.language, links_of(self.declared))
        return build(out, speech, self.clock, self._down)

    def _down(self, topic: str, payload: bytes) -> bool:
        """Publish to a gateway; False when it is not there to hear."""
        return self.doors.publish(Message(topic, payload, 1))

    # -- what follows the log, and keeps order ----------------------------------------------------------------

    async def _aggregate(self, aggregates: Aggregates) -> None:
        """Last values and hourly sums: durable every few seconds, through restarts of the database."""
        self.keeper.changed.append(aggregates.use)
        while True:
            try:
                async with await connect(self.dsn) as connection:
                    await aggregates.load(connection)
                    feed = BatchFeed(self.dsn, aggregates.cursor)
                    self.feeds.append(feed)
                    try:
                        await self._follow(feed, aggregates, connection)
                    finally:
                        self.feeds.remove(feed)
            except AWAY as away:
                self.log.warning("aggregates wait for the database", error=str(away).strip())
                await asyncio.sleep(1.0)
                fresh = Aggregates(self.keeper.registry)
                self.keeper.changed[self.keeper.changed.index(aggregates.use)] = fresh.use
                aggregates = fresh

    async def _follow(self, feed: BatchFeed, aggregates: Aggregates, connection: Connection) -> None:
        flushed_s = self.clock.monotonic_s()
        async for group in feed.follow():
            for logged in group:
                aggregates.take(logged)
            now_s = self.clock.monotonic_s()
            if aggregates.due or now_s - flushed_s > FLUSH_S:
                await aggregates.flush(connection)
                flushed_s = now_s

    async def _vitals(self) -> None:
        """Vital signs, computed in this one place; after any loss of the database begun anew."""
        while True:
            clerk = clerk_of(
                self.declared, self.database, self.clock, lambda: self.keeper.registry, self.town
            )
            try:
                feed = await clerk.start()
                self.feeds.append(feed)
                self.keeper.changed.append(clerk.use)
                try:
                    await clerk.run(feed)
                finally:
                    self.feeds.remove(feed)
                    self.keeper.changed.remove(clerk.use)
            except AWAY as away:
                self.log.warning("vital signs wait for the database", error=str(away).strip())
                await asyncio.sleep(1.0)

    async def _tidy(self) -> None:
        """Forget what nobody needs any more, and make tomorrow's partition today."""
        settings = self.declared.settings
        while True:
            now = self.clock.now_us()
            try:
                async with await connect(self.dsn) as connection:
                    ahead = np.array([now, now + round(settings.store.partition * 2 * SECOND_US)], np.int64)
                    await self.table.ensure(connection, ahead)
                    before = to_datetime(now - round(settings.store.keep_batch_log * SECOND_US))
                    await connection.execute(readings.QUERIES["prune_batches"], {"before": before})
                    await self._forget(connection, now)
                    kept = settings.store
                    await self.table.roll_up(connection, now - round(kept.keep_readings * SECOND_US), now)
                    await self.table.pack(connection, now - round(kept.compress_after * SECOND_US))
                await changes.prune(self.database, self.clock)
            except AWAY:
                self.log.warning("tidying waits for the database")
            await asyncio.sleep(TIDY_S)

    async def _forget(self, connection: Connection, now: int) -> None:
        """What was kept long enough. A partition later than necessary, so that nobody is just writing into it."""
        kept = self.declared.settings.store
        gone = await self.table.forget(
            connection, now - round((kept.keep_readings + kept.partition) * SECOND_US)
        )
        if gone:
            self.log.info("readings_forgotten", partitions=gone)
        before = to_datetime(now - round(kept.keep_dead_letters * SECOND_US))
        await connection.execute(gateways_store.QUERIES["prune_letters"], {"before": before})
        before = to_datetime(now - round(kept.keep_readings * SECOND_US))
        await connection.execute(events_store.QUERIES["prune_versions"], {"before": before})

    async def _gateways(self) -> None:
        """Who is on line and what devices say they are: durable within a second. What is wished and asked goes out."""
        if not self._begun:  # and not when a database comes back: they are connected all the time
            await gateways_store.all_gone(self.database, self.clock.now_us())
            self._begun = True
        while True:
            await self.doors.states.flush(self.database)
            await self.doors.twins.exchange(self.database)
            await self.doors.operator.exchange(self.database, self.clock.now_us())
            await asyncio.sleep(1.0)

    async def _watch(self) -> None:
        """What watched gateways send, for the vendor page."""
        eye = Assembling(limits_of(self.declared), for_the_eye(self.declared.settings, self.clock))
        lookout = Lookout(self.intake, lambda: self.keeper.registry, eye, f"worker {self.run_id}")
        await lookout.run(self.database, self.clock)

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            self.database, self.clock, self.metrics, "worker", self.run_id, lambda: {
                "spool_bytes": self.spool.size,
                "timescale": self.table.timescale,
                "lag_s": 0.0,
                "alarms": self.doors.alarms(),
                **self.engine.detail(),
            },
        )  # fmt: skip


def actions_of(
    declared: Declared, database: Database, registry: Callable[[], Registry], city: Callable[[], Ground]
) -> Actions:
    """The services of dispatch, as the worker's desk and the web's routes use them."""
    settings = declared.settings
    return Actions(
        declared.policy, declared.plans, declared.city,
        EventIncidents(lambda lon, lat: city().describe(lon, lat)),
        StoredReadings(database, registry), Roads(city), settings.dispatch, settings.zone,
    )  # fmt: skip


def links_of(declared: Declared) -> Links | None:
    """Links to orders for crews without an account, when the settings say where we are reached."""
    settings = declared.settings
    base = settings.dispatch.channels.link_base.rstrip("/")
    return Links(base, load_key(settings.data / "order-links.key")) if base else None


def limits_of(declared: Declared) -> Limits:
    ingest = declared.settings.ingest
    return Limits(
        ingest.late_after, ingest.future_after, ingest.refuse_future, ingest.refuse_older,
        declared.settings.store.keep_readings,
    )  # fmt: skip
