"""A small city for the tests of this room: devices with readings, crews, a desk with a clock that we move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
from psycopg.types.json import Jsonb

from app import policy
from core import changes, domains, text
from core.access import Policy
from core.actor import Actor
from core.changes import Change
from core.clock import ManualClock, to_datetime, to_us
from core.db import Connection, Database, DictConnection
from core.db import connect as plain_connect
from core.domains import Domains
from core.settings import DispatchSettings
from dispatch import city, plans, store
from dispatch.actions import Actions
from dispatch.desk import Desk
from dispatch.events_source import EventIncidents
from dispatch.incident import Incident
from dispatch.led_source import connect
from dispatch.links import Links
from dispatch.outbox_feed import Outbox
from dispatch.readings_source import StoredReadings
from dispatch.travel import StraightLine
from iot import kinds, registry_store
from iot.partitions import ReadingsTable
from iot.registry import Registry
from iot.registry_store import DeviceRow
from tests.conftest import ROOMS, ROOT

ZONE = ZoneInfo("Asia/Shanghai")
#: Monday 2026-01-12 09:00 in Shanghai: a work day, inside work hours.
START = to_us(to_datetime(0).fromisoformat("2026-01-12T09:00:00+08:00"))
BUND = (121.49, 31.24)

OPERATOR = Actor("li", "李", frozenset({"duty_operator"}))
LEADER = Actor("wang", "王", frozenset({"shift_leader"}))
CHIEF = Actor("zhao", "赵", frozenset({"duty_leader"}))
DISPATCHER = Actor("chen", "陈", frozenset({"dispatcher"}))
ADMIN = Actor("gu", "顾", frozenset({"admin"}))
WATER = Actor("sun", "孙", frozenset({"dept_officer"}), departments=frozenset({"water_company"}))
POLICE = Actor("zhou", "周", frozenset({"dept_officer"}), departments=frozenset({"traffic_police"}))

#: Somebody with every role, for questions that are not about roles.
ALL = Actor("all", "", frozenset({
    "duty_operator", "shift_leader", "duty_leader", "dispatcher", "commander", "dept_officer", "dept_head", "collector",
}))  # fmt: skip


def crew_actor(crew: str) -> Actor:
    return Actor(f"user-{crew}", crew, frozenset({"responder"}), crew=crew)


PEOPLE = {actor.id: actor for actor in (OPERATOR, LEADER, CHIEF, DISPATCHER, WATER, POLICE, ALL, ADMIN)} | {
    f"user-{crew}": crew_actor(crew) for crew in ("near", "far")
}
LINKS = Links("https://city.example", b"k" * 32)


def as_(actor: str, **more: str) -> dict[str, str]:
    """Headers with which one of `PEOPLE` asks."""
    return {"x-test-actor": actor, **more}


def crew_row(id_: str, *, lon: float = BUND[0], lat: float = BUND[1], **more: object) -> dict[str, object]:
    return {
        "id": id_, "name_zh": id_, "name_en": id_, "department": "water_company", "kind": "water",
        "skills": ["water_main_repair"], "equipment": ["excavator", "pump"], "members": 4,
        "depot_lon": lon, "depot_lat": lat, "provenance": "simulated", **more,
    }  # fmt: skip


BURST = Incident(
    id="inc-1", number="SJ-20260112-0001", type="water_burst", domain="water_supply", state="confirmed",
    level=2, priority=2, sure=True, life=False, provenance="simulated", lon=BUND[0], lat=BUND[1],
    place="中山东一路", area="waitan", title={"key": "incident.water_burst.name", "params": {}},
    code="event/0501", lead="water_company", assisting=("traffic_police",), plan="water_burst",
    points=(("P1", "pressure"), ("P2", "pressure")),
)  # fmt: skip


#: Rows as the engine writes them, as far as this room looks at them.
INCIDENT = b"""
INSERT INTO incidents (id, number, type, domain, class, state, level, priority, score, sure, started_at, opened_at, lon,
    lat, area, provenance, case_code, plan, lead, assisting, rule_version, changed_at)
VALUES (%(id)s, %(number)s, %(type)s, %(domain)s, %(class_)s, %(state)s, %(level)s, %(priority)s, 8, %(sure)s, %(now)s,
    %(now)s, %(lon)s, %(lat)s, %(area)s, %(provenance)s, %(code)s, %(plan)s, %(lead)s, %(assisting)s, 'test', %(now)s)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, class = excluded.class, sure = excluded.sure"""
ALERT = b"""
INSERT INTO alerts (id, rule, rule_version, domain, class, level, subject, device, channel, state, standing, asks,
    onset, raised_at, recorded_at, value, limit_value, peak, lon, lat, provenance, incident, changed_at)
VALUES (%(incident)s || %(device)s, 'test', '1', 'd', 'field', 2, %(device)s || '/' || %(channel)s, %(device)s,
    %(channel)s, 'unacknowledged', true, false, %(now)s, %(now)s, %(now)s, 0, 0, 0, 0, 0, 'simulated', %(incident)s,
    %(now)s)
ON CONFLICT DO NOTHING"""
EVIDENCE = b"""
INSERT INTO incident_evidence (incident, fact, evidence, what, joined_at)
VALUES (%(incident)s, %(incident)s || %(device)s, 'test', 'test', %(now)s) ON CONFLICT DO NOTHING"""


#: Everything but the devices. The template has no rows; deleting from the few tables that got some takes
#: milliseconds where a new database takes a fifth of a second.
FORGET = b"""
DO $$ DECLARE each regclass; used boolean; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR each IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
                WHERE schemaname = 'public' AND tablename NOT IN
                      ('schema_migrations', 'gateways', 'channels', 'devices')
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s)', each) INTO used;
        IF used THEN EXECUTE format('DELETE FROM %s', each); END IF;
    END LOOP;
END $$"""


class Hands(ManualClock):
    """A clock whose hands may also be put back."""

    def restart(self) -> None:
        ManualClock.__init__(self, START)


@dataclass(slots=True)
class World:
    database: Database
    clock: Hands
    actions: Actions
    desk: Desk
    outbox: Outbox
    registry: Registry
    led: DictConnection
    plain: Connection
    table: ReadingsTable

    async def forget(self) -> None:
        """Nothing has happened yet, and nobody works here but the devices."""
        await self.plain.execute(FORGET)
        self.clock.restart()
        self.desk = Desk(self.database.dsn, self.actions, self.clock)
        self.outbox = Outbox(self.database.dsn, {}, self.clock, np.random.default_rng(1))
        await self.desk.start(self.led)

    async def tick(self, times: int = 1, seconds: float = 0.0) -> None:
        """Let the desk and the outbox work."""
        for _ in range(times):
            self.clock.advance(seconds)
            while await self.desk.tick(self.led):
                pass
            await self.outbox.drain(self.led)

    async def news(self, incident: Incident) -> None:
        """An incident is as this says, and everybody hears of it."""
        now = to_datetime(self.clock.now_us())
        async with self.database.transaction() as connection:
            await connection.execute(INCIDENT, {**asdict(incident), "now": now, "assisting": Jsonb(incident.assisting),
                                                "class_": "life" if incident.life else "field"})  # fmt: skip
            for device, channel in incident.points:
                row = {"incident": incident.id, "device": device, "channel": channel, "now": now}
                await connection.execute(ALERT, row)
                await connection.execute(EVIDENCE, row)
            await changes.append(connection, [Change("incidents", incident.id)], self.clock.now_us())

    async def cases_told(self, incident: str) -> list[str]:
        """The open cases that the incident knows of."""
        row = await self.database.fetch_one(b"SELECT cases FROM incidents WHERE id = %(id)s", id=incident)
        assert row is not None
        return list(row["cases"])

    async def crews(self, *rows: dict[str, object]) -> None:
        async with self.database.transaction() as connection:
            await store.put_crews(connection, rows, self.clock.now_us())

    async def say(self, device: str, channel: str, *values: float, every_s: float = 60.0) -> None:
        """Readings of a point, the last one now."""
        there = self.registry.devices[device]
        found = self.registry.channel(there, channel)
        assert found is not None
        times = self.clock.now_us() - np.arange(len(values) - 1, -1, -1, dtype=np.int64) * round(
            every_s * 1e6
        )
        await self.table.ensure(self.plain, times)
        for value, at in zip(values, times.tolist(), strict=True):
            row = [there.number, found.number, to_datetime(at), to_datetime(at), value]
            await self.plain.execute(
                b"INSERT INTO readings (device, channel, time, received, value, quality, gateway)"
                b" VALUES (%s, %s, %s, %s, %s, 0, 1) ON CONFLICT DO NOTHING",
                row,
            )
            await self.plain.execute(
                b"INSERT INTO latest (device, channel, time, received, value, quality, gateway)"
                b" VALUES (%s, %s, %s, %s, %s, 0, 1) ON CONFLICT (device, channel) DO UPDATE"
                b" SET time = excluded.time, value = excluded.value WHERE latest.time <= excluded.time",
                row,
            )

    async def usual(self, device: str, channel: str, value: float) -> None:
        """What this hour's mean was in the last four weeks."""
        found = self.registry.channel(self.registry.devices[device], channel)
        assert found is not None
        async with self.database.transaction() as connection:
            for week in range(1, 5):
                for hour in range(-1, 26):
                    at = self.clock.now_us() - week * 604_800_000_000 + hour * 3_600_000_000
                    await connection.execute(
                        b"INSERT INTO readings_1h (device, channel, bucket, n, total, low, high)"
                        b" VALUES (%s, %s, %s, 1, %s, %s, %s) ON CONFLICT DO NOTHING",
                        [
                            self.registry.devices[device].number, found.number,
                            to_datetime(at // 3_600_000_000 * 3_600_000_000), value, value, value,
                        ],
                    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Declared:
    """What ships, read once for all tests: it is never changed."""

    domains: Domains
    catalogue: kinds.Catalogue
    plans: plans.Plans
    city: city.City
    policy: Policy
    words: text.Texts


@cache
def declared() -> Declared:
    found = domains.load(ROOT / "domains")
    words = text.load([*(ROOT / room for room in ROOMS), *(found.folder / info.key for info in found)])
    return Declared(
        found, kinds.load(found), plans.load(found), city.load(ZONE), policy.load()[0], words
    )  # fmt: skip


async def devices(database: Database, now_us: int) -> Registry:
    catalogue = declared().catalogue
    async with database.transaction() as connection:
        await registry_store.put_gateway(connection, "gw", now_us, provenance="simulated")
        rows = [
            DeviceRow(id_, kind, id_, id_, *BUND, "gw", provenance="simulated")
            for id_, kind in (
                ("P1", "ws_pressure_logger"),
                ("P2", "ws_pressure_logger"),
                ("D1", "fl_underpass"),
            )
        ]
        await registry_store.put_devices(connection, rows, catalogue, now_us)
    return await registry_store.load(database, catalogue)


@asynccontextmanager
async def world(database: Database, **settings: object) -> AsyncIterator[World]:
    clock = Hands(START)
    registry = await devices(database, START)
    actions = Actions(
        policy=declared().policy,
        plans=declared().plans,
        city=declared().city,
        incidents=EventIncidents(lambda lon, lat: ("中山东一路", "Zhongshan East 1st Road")),
        readings=StoredReadings(database, lambda: registry),
        travel=StraightLine(),
        rules=replace_settings(settings),
        zone=ZONE,
    )
    desk = Desk(database.dsn, actions, clock)
    outbox = Outbox(database.dsn, {}, clock, np.random.default_rng(1))
    async with await connect(database.dsn) as led, await plain_connect(database.dsn) as writing:
        table = ReadingsTable(86_400.0)
        await table.prepare(writing, "off")
        await desk.start(led)
        yield World(database, clock, actions, desk, outbox, registry, led, writing, table)


def replace_settings(settings: dict[str, object]) -> DispatchSettings:
    return DispatchSettings(observation_at_most="60s", accept_within="2m", **settings)


def other(n: int, *, lon: float = BUND[0], state: str = "confirmed") -> Incident:
    """Another burst somewhere else."""
    return replace(BURST, id=f"inc-{n}", number=f"SJ-20260112-{n:04d}", lon=lon, state=state)
