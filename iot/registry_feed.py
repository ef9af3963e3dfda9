"""Keeps a process's registry snapshot up to date: a change of a device counts without a restart."""

from __future__ import annotations

from collections.abc import Callable

from core.changes import Feed
from core.db import Database
from core.log import logger
from iot import registry_store
from iot.kinds import Catalogue
from iot.registry import Registry

TOPIC = "registry"


class RegistryFeed:
    """`registry` is the newest snapshot; whoever asked by `when_changed` is told of each new one, in that order."""

    def __init__(self, database: Database, catalogue: Catalogue, registry: Registry) -> None:
        self.registry = registry
        self._database = database
        self._catalogue = catalogue
        self._told: list[Callable[[Registry], None]] = []

    def when_changed(self, call: Callable[[Registry], None]) -> None:
        self._told.append(call)

    async def run(self) -> None:
        """Follow the news for ever. It begins with a look, for what changed before it listened."""
        feed = Feed(self._database)
        await feed.start()
        await self.reload()
        async for news in feed.follow():
            if any(change.topic == TOPIC for change in news):
                await self.reload()

    async def reload(self) -> None:
        self.registry = await registry_store.load(self._database, self._catalogue, self.registry)
        logger("iot").info("registry_loaded", devices=len(self.registry.devices))
        for call in self._told:
            call(self.registry)
