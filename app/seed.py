"""The first start: credentials, and the demonstration scene with its history. Every step may be repeated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from app.auth import QUERIES, Auth, secret_hash
from app.credentials import Credentials, ensure
from app.declared import Declared
from app.demo import Demo
from core.batch import Batch
from core.clock import Clock
from core.db import Database, connect
from dispatch import store as dispatch_store
from gis import sample
from gis.city import sample_city
from gis.store import Layer, seed_city
from iot import log, registry_store
from iot.aggregate import Aggregates
from iot.partitions import ReadingsTable
from iot.readings import Mark, Store
from iot.registry import Registry
from simulators.scene import Scene

#: Users of a first start: roles, and the name that people see.
USERS: dict[str, tuple[list[str], str]] = {
    "operator": (["duty_operator", "dispatcher"], "值班员"),
    "leader": (["shift_leader", "duty_leader"], "值班长"),
    "viewer": (["viewer"], "大屏"),
    "responder": (["responder"], "处置人员"),
    "department": (["dept_officer", "dept_head"], "供水企业"),
    "simulator": (["simulator"], "模拟器"),
    "admin": (["admin"], "系统管理员"),
}
#: Whose cases the user `department` handles.
OWN_DEPARTMENT = "water_company"
#: A gateway for whoever wants to try one at once.
TRIAL_GATEWAY = "gateway-1"
ROWS_AT_ONCE = 200_000


@dataclass(slots=True)
class Seed:
    """Makes a database ready to run on. `say` tells who waits what is being done."""

    declared: Declared
    database: Database
    clock: Clock
    say: Callable[[str], None]

    async def credentials(self, demo: Demo | None) -> Credentials:
        """Users, gateways and their secrets; the file is written before the database knows them."""
        rows = demo.scene.gateways() if demo else []
        found, _, _ = ensure(
            self.declared.settings.data, list(USERS), [TRIAL_GATEWAY, *(row.id for row in rows)]
        )
        auth = Auth(self.database, self.clock, self.declared.settings.web.session)
        known = {row["id"] for row in await self.database.fetch(QUERIES["list_users"])}
        crew = demo.responder() if demo else ""
        for user, (roles, name) in USERS.items():
            if user not in known:
                own = crew if user == "responder" else ""
                desks = [OWN_DEPARTMENT] if user == "department" else []
                await auth.put_user(user, name, found.users[user], roles, crew=own, departments=desks)
        now_us = self.clock.now_us()
        provenance = {row.id: row.provenance for row in rows}
        async with self.database.transaction() as connection:
            for gateway, secret in found.gateways.items():
                await registry_store.put_gateway(
                    connection, gateway, now_us,
                    secret_hash=secret_hash(secret), provenance=provenance.get(gateway, "real"),
                )  # fmt: skip
        return found

    async def map(self) -> None:
        """The sample city's assets, so that lists, searches and OGC clients find what the map draws."""
        layer = Layer(sample.LAYER, "OpenStreetMap", licence=sample.ATTRIBUTION, fingerprint="1")
        assets = await asyncio.to_thread(lambda: list(sample_city().assets.values()))
        await seed_city(self.database, assets, layer, self.clock.now_us())

    async def scene(self, demo: Demo) -> None:
        """Devices, crews and departments of the scene."""
        now_us = self.clock.now_us()
        async with self.database.transaction() as connection:
            await registry_store.put_devices(connection, demo.scene.rows(), self.declared.catalogue, now_us)
            await dispatch_store.put_departments(connection, demo.scene.departments(), now_us)
            await dispatch_store.put_crews(connection, demo.scene.crews(), now_us)
            await dispatch_store.put_duty_list(connection, demo.scene.duties(), now_us)

    async def history(self, scene: Scene, now_us: int) -> int:
        """Back-fill what the scene's devices said before now; the number of readings."""
        settings = self.declared.settings
        async with await connect(self.database.dsn) as connection:
            table = ReadingsTable(settings.store.partition, settings.city.timezone)
            await table.prepare(connection, settings.database.timescale)
        self.say("back-filling the history of the scene")
        registry = await registry_store.load(self.database, self.declared.catalogue)
        store = Store(self.database.dsn, table, "seed", "seed")
        await store.connect()
        store.use(registry)
        stored = 0
        try:
            for number, batch in enumerate(batches(scene, registry, now_us)):
                done = await store.commit(batch, [], now_us, Mark("seed", number + 1), history=True)
                stored += len(done.logged.batch) if done.logged else 0
        finally:
            await store.close()
        await self._roll_up(registry)
        return stored

    async def _roll_up(self, registry: Registry) -> None:
        """Hours of the history before anything runs: what is usual is learned from them at the first start."""
        aggregates = Aggregates(registry)
        async with await connect(self.database.dsn) as connection:
            await aggregates.load(connection)
            while group := await log.after(connection, aggregates.cursor):
                for logged in group:
                    aggregates.take(logged)
                await aggregates.flush(connection)


def batches(scene: Scene, registry: Registry, now_us: int) -> Iterator[Batch]:
    """The scene's history in batches of some `ROWS_AT_ONCE` rows."""
    parts: list[Batch] = []
    rows = 0
    for name, channel_name, times, values in scene.history(now_us):
        device = registry.devices[name]
        channel = registry.channel(device, channel_name)
        if channel is None or not len(times):
            continue
        parts.append(
            Batch.of(
                device=device.number, channel=channel.number, time_us=times, received_us=np.int64(now_us),
                value=values, gateway=registry.gateways[device.gateway].number,
            )
        )  # fmt: skip
        rows += len(times)
        if rows >= ROWS_AT_ONCE:
            yield Batch.concat(parts)
            parts, rows = [], 0
    if parts:
        yield Batch.concat(parts)
