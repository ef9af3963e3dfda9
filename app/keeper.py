"""The snapshots that a process keeps up to date: the registry, and what every point said last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from core.changes import Feed
from core.db import AWAY, Database, connect
from iot import registry_store
from iot.aggregate import Aggregates
from iot.health import Health
from iot.kinds import Catalogue
from iot.log import BatchFeed
from iot.registry import Registry

Taken = Callable[[Registry], None]


@dataclass(slots=True)
class Keeper:
    """`start`, then run `follow_registry` for ever; whoever holds a snapshot subscribes to `changed`."""

    database: Database
    catalogue: Catalogue
    changed: list[Taken] = field(default_factory=list)
    #: Awaited when layers of the map were imported or taken away.
    imported: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    _registry: Registry | None = None
    _feed: Feed | None = None

    @property
    def registry(self) -> Registry:
        assert self._registry is not None, "start() comes first"
        return self._registry

    async def start(self) -> Registry:
        self._feed = Feed(self.database)
        await self._feed.start()
        self._registry = await registry_store.load(self.database, self.catalogue)
        return self._registry

    async def follow_registry(self) -> None:
        """Load the registry anew when somebody changed it, and tell who holds a snapshot of it; of the map likewise."""
        assert self._feed is not None
        news = layers = False
        async for group in self._feed.follow():
            layers = layers or any(change.topic == "assets" for change in group)
            if layers:
                layers = not await self._renewed()
            news = news or any(change.topic == "registry" for change in group)
            if not news:
                continue
            try:
                self._registry = await registry_store.load(self.database, self.catalogue, self.registry)
            except AWAY:
                continue  # the next group, empty or not, is less than a second away
            news = False
            for take in self.changed:
                take(self._registry)

    async def _renewed(self) -> bool:
        """Whether everybody who holds the map's assets has them anew."""
        try:
            for renew in self.imported:
                await renew()
        except AWAY:
            return False
        return True


@dataclass(slots=True)
class Follower:
    """A web process's view of the readings: last values and signs of life, from the batch log."""

    dsn: str
    keeper: Keeper
    aggregates: Aggregates = field(init=False)
    health: Health = field(init=False)
    feed: BatchFeed = field(init=False)

    async def start(self) -> None:
        self.aggregates = Aggregates(self.keeper.registry)
        self.health = Health(self.keeper.registry)
        async with await connect(self.dsn) as connection:
            await self.aggregates.load(connection)
        self.health.take(self.aggregates.latest.batch())
        self.feed = BatchFeed(self.dsn, self.aggregates.cursor)
        self.keeper.changed += [self.aggregates.use, self.health.use]

    async def follow(self) -> None:
        """Take every batch; only the last values are kept, hours are the worker's affair."""
        async for group in self.feed.follow():
            for logged in group:
                self.aggregates.latest.add(logged.batch)
                self.health.take(logged.batch)
