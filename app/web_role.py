"""The role `web`: HTTP, WebSocket, pages, and a pipeline of its own for readings that come over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import uvicorn
from fastapi import FastAPI

from app.declared import Declared
from app.doors import Assembling, decoders_of, for_the_eye, lasting, mappers_of
from app.keeper import Follower, Keeper
from app.screens import screens_of, setup_of
from app.town import Town, map_of
from app.web import Parts, build
from app.worker import limits_of
from core.clock import Clock
from core.db import Database, connect
from core.errors import Unavailable
from core.log import logger
from core.metrics import Metrics
from core.role import Heartbeat
from dashboard.device_layer import DeviceLayer
from dashboard.screens import Screens
from gis.hazard_store import HazardLayer
from gis.views import LiveLayer
from ingest.pipeline import Pipeline
from ingest.spool import Spool
from ingest.tap import TappedIntake
from ingest.watch_store import Lookout
from iot.partitions import ReadingsTable
from iot.readings import Store


class Web:
    """Everything of the role. `run` never returns by itself."""

    def __init__(self, declared: Declared, dsn: str, run_id: str, clock: Clock) -> None:
        self.declared = declared
        self.dsn = dsn
        self.run_id = run_id
        self.clock = clock
        self.metrics = Metrics()
        settings = declared.settings
        self.database = Database(dsn, settings.database.pool)
        self.keeper = Keeper(self.database, declared.catalogue)
        self.follower = Follower(dsn, self.keeper)
        self.intake = TappedIntake(settings.ingest.queue_readings)
        self.spool = Spool(settings.data / "spool" / "web", settings.ingest.spool_bytes)

    async def open(self) -> FastAPI:
        """Connect, and make the application; `run` serves it and keeps it fresh."""
        await self.database.open()
        await self.keeper.start()
        await self.follower.start()
        self.pipeline = await self._pipeline()
        layers: dict[str, LiveLayer] = {"hazards": HazardLayer(self.database, self.clock)}
        town = Town(map_of(self.declared.settings, self.database, self.clock, layers))
        await town.renew()
        self.screens = screens_of(self.declared, self.database, self.clock, self.keeper.registry, town)
        layers["devices"] = DeviceLayer(self.screens.points.table)
        self.keeper.changed.append(self.screens.use)

        async def renew() -> None:
            await town.renew()
            self.screens.setup = setup_of(self.declared, town)

        self.keeper.imported.append(renew)
        return await build(
            Parts(
                self.declared, self.database, self.clock, self.keeper, self.follower, self.intake, town,
                self.screens,
            )
        )  # fmt: skip

    async def close(self) -> None:
        await self.pipeline.store.close()
        self.spool.close()
        await self.database.close()

    async def run(self) -> None:
        server = Server(self._config(await self.open()))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.pipeline.run())
                tasks.create_task(lasting(self.keeper.follow_registry, "registry"))
                tasks.create_task(lasting(self._watch, "watch"))
                tasks.create_task(self.follower.follow())
                tasks.create_task(self._heartbeat().beat_for_ever())
                tasks.create_task(self._screens(self.screens))
                tasks.create_task(server.serve_until_cancelled())
        finally:
            await self.close()

    async def _screens(self, screens: Screens) -> None:
        """The live topics; after any loss of the database read anew, and said so on every screen meanwhile."""
        while True:
            try:
                await screens.run()
            except* (psycopg.OperationalError, Unavailable) as away:
                logger("app").warning("screens wait for the database", error=str(away.exceptions[0]).strip())
            await asyncio.sleep(1.0)

    async def _watch(self) -> None:
        """What watched gateways post."""
        eye = Assembling(limits_of(self.declared), for_the_eye(self.declared.settings, self.clock))
        lookout = Lookout(self.intake, lambda: self.keeper.registry, eye, f"web {self.run_id}")
        await lookout.run(self.database, self.clock)

    async def _pipeline(self) -> Pipeline:
        """Readings by HTTP are stored by this process itself: 202 means the same as a PUBACK."""
        settings = self.declared.settings
        assembling = Assembling(limits_of(self.declared), decoders_of(mappers_of(settings)))
        table = ReadingsTable(settings.store.partition, settings.city.timezone)
        async with await connect(self.dsn) as connection:
            await table.prepare(connection, settings.database.timescale)
        store = Store(self.dsn, table, self.run_id, "web")
        first = assembling(self.keeper.registry)
        pipeline = Pipeline(self.intake, store, first, self.spool, self.clock, self.metrics)
        self.keeper.changed.append(lambda registry: pipeline.use(assembling(registry)))
        return pipeline

    def _config(self, app: object) -> uvicorn.Config:
        web = self.declared.settings.web
        return uvicorn.Config(
            app, host=web.bind, port=web.port, log_level="warning", access_log=False,  # type: ignore[arg-type]
            lifespan="on", ws_per_message_deflate=False, ws_max_size=64 << 10, server_header=False,
            timeout_graceful_shutdown=3,
        )  # fmt: skip

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            self.database, self.clock, self.metrics, "web", self.run_id,
            lambda: {"spool_bytes": self.spool.size, "lag_s": 0.0},
        )  # fmt: skip


class Server(uvicorn.Server):
    """Signals are the role's affair, not the server's; a cancelled server says goodbye to its clients first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve_until_cancelled(self) -> None:
        serving = asyncio.create_task(self.serve())
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self.should_exit = True
            await serving
            raise
