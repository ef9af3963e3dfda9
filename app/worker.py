"""The role `worker`: ingest, engine, dispatch and what keeps the store tidy, in one event loop.

Wired in reading order. A task that fails ends the process and the supervisor starts it anew; a database that is
away is no failure: every task waits for it, and the pipeline goes to the spool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import psycopg

from app.auth import Auth
from app.declared import Declared
from app.keeper import Keeper
from app.pipes import Pipes
from app.screens import clerk_of
from core import changes
from core.changes import Bell
from core.clock import SECOND_US, Clock, to_datetime
from core.db import Connection, Database, connect
from core.errors import Unavailable
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
from events.citytime import CityTime
from events.feed import Around, EngineFeed, Timing
from events.place import World
from gis.city import City, sample_city
from gis.views import CityMap
from ingest.assemble import Assembler, Limits
from ingest.broker import BrokerLink, BrokerSettings
from ingest.endpoint import Endpoint, EndpointLimits
from ingest.intake import BatchSize, Intake
from ingest.mqtt import Message
from ingest.pipeline import News, Pipeline
from ingest.spool import Spool
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
        self.table = ReadingsTable(settings.store.partition)
        self.feeds: list[BatchFeed] = []
        self.endpoint: Endpoint | None = None
        self.link: BrokerLink | None = None
        self.spool = Spool(settings.data / "spool" / "worker", settings.ingest.spool_bytes)
        timing = Timing(
            round(settings.engine.snapshot_every * SECOND_US),
            round(settings.engine.incident_linger * SECOND_US),
            round(settings.engine.silence_grace * SECOND_US),
        )
        self.engine = EngineFeed(
            self.database, CityTime(settings.zone), Around(clock, timing, self.metrics, self.bell)
        )
        self.city = city = CityMap(sample_city, settings.data / "tiles")
        actions = actions_of(declared, self.database, lambda: self.keeper.registry, lambda: city.city)
        self.desk = Desk(dsn, actions, clock, self.metrics)
        rng = np.random.default_rng()
        self.outbox = Outbox(dsn, self._channels(), clock, rng, self.metrics)

    async def run(self) -> None:
        await self.database.open()
        async with await connect(self.dsn) as connection:
            await self.table.prepare(connection, self.declared.settings.database.timescale)
        registry = await self.keeper.start()
        around = World(Pipes(await asyncio.to_thread(lambda: self.city.city)))
        self.engine.use(self.declared.model, registry, around)
        self.keeper.changed.append(lambda changed: self.engine.use(self.declared.model, changed, around))
        aggregates = Aggregates(registry)
        pipeline = self._ingest()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pipeline.run())
                tasks.create_task(self.keeper.follow_registry())
                tasks.create_task(self._aggregate(aggregates))
                tasks.create_task(self.engine.run())
                tasks.create_task(self.desk.run())
                tasks.create_task(self.outbox.run())
                tasks.create_task(self._vitals())
                tasks.create_task(self._tidy())
                tasks.create_task(self.bell.run())
                tasks.create_task(self._heartbeat().beat_for_ever())
                if self.link is not None:
                    tasks.create_task(self.link.run())
                if self.endpoint is not None:
                    mqtt = self.declared.settings.mqtt
                    await self.endpoint.start(mqtt.bind, mqtt.port)
        finally:
            if self.endpoint is not None:
                await self.endpoint.stop()
            await pipeline.store.close()
            self.spool.close()
            await self.database.close()

    # -- ingest --------------------------------------------------------------------------------------------

    def _ingest(self) -> Pipeline:
        """Where readings come in: our own endpoint or a broker, one intake, one pipeline."""
        settings = self.declared.settings
        intake = Intake(
            settings.ingest.queue_readings,
            batch=BatchSize(frames=settings.ingest.batch_rows, rows=settings.ingest.batch_rows),
        )
        if settings.mqtt.mode == "external":
            self.link = BrokerLink(broker_settings(self.declared), intake, self.clock, self.metrics)
        else:
            limits = EndpointLimits(
                packet_bytes=settings.mqtt.max_packet_bytes, in_flight=settings.mqtt.receive_maximum
            )
            self.endpoint = Endpoint(intake, self._known, self.clock, self.metrics, limits=limits)
        store = Store(self.dsn, self.table, self.run_id, "worker")
        limits_of_time = limits_of(self.declared)
        assembler = Assembler(self.keeper.registry, limits_of_time)
        pipeline = Pipeline(intake, store, assembler, self.spool, self.clock, self.metrics, self)
        self.keeper.changed.append(lambda registry: pipeline.use(Assembler(registry, limits_of_time)))
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
        message = Message(f"refused/{gateway}", notice, 1)
        if self.endpoint is not None:
            self.endpoint.publish(message)
        elif self.link is not None:
            self.link.publish(message)

    def reply(self, gateway: str, payload: bytes, at_us: int) -> None:  # noqa: ARG002
        """A gateway answered a command of ours."""
        self.desk.hear(gateway, payload)

    # -- ways out --------------------------------------------------------------------------------------------

    def _channels(self) -> dict[str, Channel]:
        settings = self.declared.settings
        out = settings.dispatch.channels
        speech = Speech(self.declared.texts, settings.city.language, links_of(self.declared))
        return build(out, speech, self.clock, self._down)

    def _down(self, topic: str, payload: bytes) -> bool:
        """Publish to a gateway; False when it is not there to hear."""
        message = Message(topic, payload, 1)
        if self.endpoint is not None:
            return self.endpoint.publish(message) > 0
        return self.link is not None and self.link.publish(message)

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
            except psycopg.OperationalError as away:
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
            clerk = clerk_of(self.declared, self.database, self.clock, self.keeper.registry)
            try:
                feed = await clerk.start()
                self.feeds.append(feed)
                self.keeper.changed.append(clerk.use)
                try:
                    await clerk.run(feed)
                finally:
                    self.feeds.remove(feed)
                    self.keeper.changed.remove(clerk.use)
            except (psycopg.OperationalError, Unavailable) as away:
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
                await changes.prune(self.database, self.clock)
            except psycopg.OperationalError:
                self.log.warning("tidying waits for the database")
            await asyncio.sleep(TIDY_S)

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            self.database, self.clock, self.metrics, "worker", self.run_id, lambda: {
                "spool_bytes": self.spool.size,
                "timescale": self.table.timescale,
                "lag_s": 0.0,
                **self.engine.detail(),
            },
        )  # fmt: skip


def actions_of(
    declared: Declared, database: Database, registry: Callable[[], Registry], city: Callable[[], City]
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
    return Limits(ingest.late_after, ingest.future_after, ingest.refuse_future, ingest.refuse_older)


def broker_settings(declared: Declared) -> BrokerSettings:
    mqtt = declared.settings.mqtt
    return BrokerSettings(
        mqtt.host, mqtt.port, mqtt.client_id, mqtt.username, mqtt.password.get_secret_value(),
        receive_maximum=mqtt.receive_maximum, packet_bytes=mqtt.max_packet_bytes,
    )  # fmt: skip
