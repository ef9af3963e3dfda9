"""The screens' part of the web process: live topics kept up to date from committed news, and what pages are told.

Reads only. `Screens.run` follows `core.changes` and the batch log; whatever fails is read again, so a screen is at
worst old, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import psycopg
from numpy.typing import NDArray

from core.access import Policy
from core.batch import Batch
from core.changes import Feed
from core.clock import SECOND_US, Clock, rfc3339
from core.db import Database, connect
from core.errors import Unavailable
from core.log import logger
from core.text import Texts
from dashboard import walls
from dashboard.feed import TICK_S, Hub
from dashboard.points import PointTable
from dashboard.stream import Item, Nouns, Points
from dashboard.vitals.declare import FRESH_PERIODS
from dashboard.vitals.inputs import period_s
from dashboard.vitals.show import VitalSource
from iot.aggregate import Aggregates
from iot.health import NEVER, Health
from iot.log import BatchFeed
from iot.readings import Logged
from iot.registry import Registry

LOG = logger("dashboard")
STATUS_S = 1.0
RENEW_S = 60.0
#: Fields that are sent again only when they changed.
SLOW = {"vitals": frozenset({"trend", "day", "limits", "target", "made_of"})}


class Source(Protocol):
    """Where the items of a topic come from: a room's `views.py`, made JSON. Times are RFC 3339, words text keys."""

    async def all(self) -> Sequence[Item]:
        """Everything that a screen shows of this topic now."""

    async def some(self, keys: Collection[str]) -> Sequence[Item]:
        """Those of these ids that `all` would hold."""


class Facts(Protocol):
    """What the topic `status` says beside what the screens know themselves: posture, shift, counts of today."""

    async def now(self, now_us: int) -> Mapping[str, object]: ...


@dataclass(slots=True)
class Screens:
    """Everything that pages and the stream need; made once, run in the web process."""

    database: Database
    clock: Clock
    policy: Policy
    texts: Texts
    registry: Registry
    sources: Mapping[str, Source]
    facts: Facts
    setup: Mapping[str, object]
    allowed_origins: list[str] = field(default_factory=list)
    #: The version of our files: pages load anew when it changes.
    build: str = ""
    #: What tells one vital sign in full.
    vitals: VitalSource | None = None
    #: `live`, or `drill` or `replay` of a process that plays something else.
    mode: str = "live"
    nouns: dict[str, Nouns] = field(init=False)
    points: Points = field(init=False)
    health: Health = field(init=False)
    status: Nouns = field(init=False)
    hub: Hub = field(init=False)
    _delay_s: float | None = None
    _heard_us: int = 0
    _away: bool = False
    _broken: set[str] = field(default_factory=set)
    #: What is read later must be put later, or an old state would overwrite a new one.
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.nouns = {
            topic: Nouns(topic, self.policy, SLOW.get(topic, frozenset())) for topic in self.sources
        }
        self.health = Health(self.registry)
        self.points = Points(PointTable(self.registry), self.policy, self.clock.now_us)
        self.status = Nouns("status", self.policy)
        self.hub = Hub(self.policy, {**self.nouns, "points": self.points, "status": self.status})

    async def run(self) -> None:
        """Read everything, then follow the news until cancelled. Cursors are taken before what they follow is read."""
        feed = Feed(self.database)
        await feed.start()
        aggregates = Aggregates(self.registry)
        async with await connect(self.database.dsn) as connection:
            await aggregates.load(connection)
        self._heard(aggregates.latest.batch())
        batches = BatchFeed(self.database.dsn, aggregates.cursor, TICK_S)
        await self.load()
        await self._refresh_walls()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.hub.run())
            tasks.create_task(self._follow_changes(feed))
            tasks.create_task(self._follow_readings(batches))
            tasks.create_task(self._tell_status())
            tasks.create_task(self._renew())

    async def load(self) -> None:
        """Read all topics as they stand."""
        for topic, source in self.sources.items():
            async with self._reading:
                await self._read(topic, source)
        self._colour()

    async def _read(self, topic: str, source: Source) -> None:
        """All of a topic; one that cannot be read is named as broken, and the others go on."""
        try:
            self.nouns[topic].replace(await source.all())
            self._broken.discard(topic)
        except (psycopg.OperationalError, Unavailable):
            raise
        except (psycopg.Error, LookupError, ValueError, TypeError) as fault:
            LOG.exception("topic_broken", topic=topic, fault=repr(fault))
            self._broken.add(topic)

    def _heard(self, batch: Batch) -> None:
        self.points.table.add(batch)
        self.health.take(batch)

    async def _renew(self) -> None:
        """Read all topics again now and then: what has ended leaves, and whatever was missed is mended."""
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self.load()
            except (psycopg.OperationalError, Unavailable):
                self._away = True

    async def _follow_changes(self, feed: Feed) -> None:
        waiting: dict[str, set[str]] = {topic: set() for topic in (*self.sources, walls.TOPIC)}
        async for changes in feed.follow():
            for change in changes:
                if change.topic in waiting:
                    waiting[change.topic].add(change.key)
            for topic, keys in waiting.items():
                if keys and await self._refresh(topic, keys):
                    waiting[topic] = set()

    async def _refresh(self, topic: str, keys: set[str]) -> bool:
        """Read these items again; False when the database was away and they must be read once more."""
        if topic == walls.TOPIC:
            return await self._refresh_walls()
        try:
            async with self._reading:
                items = await self.sources[topic].some(keys)
                self.nouns[topic].put(items)
                self.nouns[topic].remove(keys - {str(item["id"]) for item in items})
        except (psycopg.OperationalError, Unavailable):
            self._away = True
            return False
        self._away = False
        if topic == "alerts":
            self._colour()
        return True

    async def _refresh_walls(self) -> bool:
        try:
            self.status.put(await walls.all_walls(self.database))
        except (psycopg.OperationalError, Unavailable):
            return False
        return True

    async def _follow_readings(self, batches: BatchFeed) -> None:
        async for group in batches.follow():
            self.take(group)

    def take(self, group: Sequence[Logged]) -> None:
        """Batches of readings, as they come from the log."""
        for logged in group:
            self._heard(logged.batch)
            if len(logged.batch) and not logged.history:
                self._heard_us = int(logged.batch.received_us.max())
                self._delay_s = max(0.0, (self.clock.now_us() - self._heard_us) / SECOND_US)

    def use(self, registry: Registry) -> None:
        """Take a newer registry."""
        self.registry = registry
        self.points.table.use(registry)
        self.health.use(registry)
        self._colour()

    async def _tell_status(self) -> None:
        while True:
            await self.tell_status()
            await asyncio.sleep(STATUS_S)

    async def tell_status(self) -> None:
        """Say how old and how whole the picture is; this is also the heart-beat of the stream."""
        now_us = self.clock.now_us()
        silent = self._silent(now_us)
        self._colour(silent)
        total = len(self.registry.devices)
        told: dict[str, object] = {
            "id": "now",
            "at": rfc3339(now_us),
            "delay_s": self._age_s(now_us),
            "sensors": {"online": total - len(silent), "total": total},
            "stale": self._stale(silent),
            "provenance": sorted({device.provenance for device in self.registry.devices.values()} - {"real"}),
            "database": "here",
            "broken": sorted(self._broken),
            "shelved": sum(alert.get("state") == "shelved" for alert in self._alerts()),
            "build": self.build,
            "mode": self.mode,
        }
        try:
            told |= await self.facts.now(now_us)
            self._away = False
        except (psycopg.OperationalError, Unavailable):
            self._away = True
        if self._away:
            told["database"] = "away"
        self.status.put([told])

    def _age_s(self, now_us: int) -> float | None:
        """How late readings are: of the last batch, or how long there was none."""
        if self._delay_s is None:
            return None
        idle = (now_us - self._heard_us) / SECOND_US
        return round(idle if idle > 10 else self._delay_s, 1)

    def _silent(self, now_us: int) -> NDArray[np.int32]:
        """Numbers of the devices that were silent for longer than three of their periods, or never heard."""
        devices = list(self.registry.devices.values())
        numbers = np.array([device.number for device in devices], np.int32)
        allowed = np.array([period_s(device, self.registry) for device in devices]) * FRESH_PERIODS
        heard = self.health.device_us[numbers]
        late = (heard == NEVER) | (now_us - heard > allowed * SECOND_US)
        return np.asarray(numbers[late])

    def _stale(self, silent: NDArray[np.int32]) -> list[object]:
        """What to name in the foot: gateways all of whose devices are silent, then single devices."""
        numbers = set(silent.tolist())
        by_gateway: dict[str, list[int]] = {}
        for device in self.registry.devices.values():
            by_gateway.setdefault(device.gateway, []).append(device.number)
        dead = {gateway for gateway, members in by_gateway.items() if numbers.issuperset(members)}
        named: list[object] = [{"zh": gateway, "en": gateway} for gateway in sorted(dead)]
        single = [self.registry.by_number[number] for number in sorted(numbers)]
        return named + [dict(device.name) for device in single if device.gateway not in dead]

    def _alerts(self) -> Collection[Item]:
        return self.nouns["alerts"].items.values() if "alerts" in self.nouns else ()

    def _colour(self, silent: NDArray[np.int32] | None = None) -> None:
        """Give every point the level of its device's worst standing alert."""
        levels: dict[int, int] = {}
        for alert in self._alerts():
            device = self.registry.devices.get(str(alert.get("device")))
            level = alert.get("level")
            if device is not None and isinstance(level, int) and alert.get("standing", True):
                levels[device.number] = min(level, levels.get(device.number, 9))
        self.points.table.set_levels(levels, self._silent(self.clock.now_us()) if silent is None else silent)
