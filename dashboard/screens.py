"""The screens' part of the web process: live topics kept up to date from committed news, and what pages are told.

Reads only. `Screens.run` follows `core.changes` and the batch log; whatever fails is read again, so a screen is at
worst old, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import psycopg

from core.access import Policy
from core.changes import Feed
from core.clock import SECOND_US, Clock, rfc3339
from core.db import Database
from core.errors import Unavailable
from core.log import logger
from core.text import Texts
from dashboard.feed import Hub
from dashboard.points import PointTable
from dashboard.stream import Item, Nouns, Points
from iot.latest import NEVER
from iot.log import BatchFeed
from iot.readings import Logged
from iot.registry import Registry

LOG = logger("dashboard")
STATUS_S = 1.0
#: Fields that are sent again only when they changed.
SLOW = {"vitals": frozenset({"trend", "day", "limits"})}


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
    reload_registry: Callable[[], object] | None = None
    nouns: dict[str, Nouns] = field(init=False)
    points: Points = field(init=False)
    status: Nouns = field(init=False)
    hub: Hub = field(init=False)
    _delay_s: float | None = None
    _heard_us: int = 0
    _away: bool = False

    def __post_init__(self) -> None:
        self.nouns = {
            topic: Nouns(topic, self.policy, SLOW.get(topic, frozenset())) for topic in self.sources
        }
        self.points = Points(PointTable(self.registry), self.policy, self.clock.now_us)
        self.status = Nouns("status", self.policy)
        self.hub = Hub(self.policy, {**self.nouns, "points": self.points, "status": self.status})

    async def run(self, feed: Feed, batches: BatchFeed) -> None:
        """Follow the news until cancelled. The feeds' cursors must stand before what `load` reads."""
        await self.load()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.hub.run())
            tasks.create_task(self._follow_changes(feed))
            tasks.create_task(self._follow_readings(batches))
            tasks.create_task(self._tell_status())

    async def load(self) -> None:
        """Read all topics as they stand."""
        for topic, source in self.sources.items():
            self.nouns[topic].replace(await source.all())
        self._colour()

    async def _follow_changes(self, feed: Feed) -> None:
        waiting: dict[str, set[str]] = {topic: set() for topic in self.sources}
        async for changes in feed.follow():
            for change in changes:
                if change.topic in waiting:
                    waiting[change.topic].add(change.key)
            for topic, keys in waiting.items():
                if keys and await self._refresh(topic, keys):
                    waiting[topic] = set()

    async def _refresh(self, topic: str, keys: set[str]) -> bool:
        """Read these items again; False when the database was away and they must be read once more."""
        try:
            items = await self.sources[topic].some(keys)
        except (psycopg.OperationalError, Unavailable):
            self._away = True
            return False
        self._away = False
        self.nouns[topic].put(items)
        self.nouns[topic].remove(keys - {str(item["id"]) for item in items})
        if topic == "alerts":
            self._colour()
        return True

    async def _follow_readings(self, batches: BatchFeed) -> None:
        async for group in batches.follow():
            self.take(group)

    def take(self, group: Sequence[Logged]) -> None:
        """Batches of readings, as they come from the log."""
        for logged in group:
            self.points.table.add(logged.batch)
            if len(logged.batch) and not logged.history:
                self._heard_us = int(logged.batch.received_us.max())
                self._delay_s = max(0.0, (self.clock.now_us() - self._heard_us) / SECOND_US)

    def use(self, registry: Registry) -> None:
        """Take a newer registry."""
        self.registry = registry
        self.points.table.use(registry)
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

    def _silent(self, now_us: int) -> np.ndarray:
        """Numbers of the devices that were silent for longer than their kind allows, or never heard."""
        devices = list(self.registry.devices.values())
        numbers = np.array([device.number for device in devices], np.int32)
        allowed = np.array([self.registry.kind_of(device).decl.silent_after_s for device in devices])
        if not len(numbers):
            return numbers
        newest = self.points.table.newest(numbers)
        late = (newest == NEVER) | (now_us - newest > allowed * SECOND_US)
        return np.asarray(numbers[late])

    def _stale(self, silent: np.ndarray) -> list[object]:
        """What to name in the foot: gateways all of whose devices are silent, then single devices."""
        numbers = set(silent.tolist())
        by_gateway: dict[str, list[int]] = {}
        for device in self.registry.devices.values():
            by_gateway.setdefault(device.gateway, []).append(device.number)
        dead = {gateway for gateway, members in by_gateway.items() if numbers.issuperset(members)}
        named: list[object] = [{"zh": gateway, "en": gateway} for gateway in sorted(dead)]
        single = [self.registry.by_number[number] for number in sorted(numbers)]
        return named + [dict(device.name) for device in single if device.gateway not in dead]

    def _colour(self, silent: np.ndarray | None = None) -> None:
        """Give every point the level of its device's worst standing alert."""
        levels: dict[int, int] = {}
        alerts = self.nouns.get("alerts")
        for alert in alerts.items.values() if alerts else ():
            device = self.registry.devices.get(str(alert.get("device")))
            level = alert.get("level")
            if device is not None and isinstance(level, int) and alert.get("standing", True):
                levels[device.number] = min(level, levels.get(device.number, 9))
        self.points.table.set_levels(levels, self._silent(self.clock.now_us()) if silent is None else silent)
