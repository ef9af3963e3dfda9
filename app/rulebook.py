"""The rules in force: as their files say, and as the city has edited them. What is wrong never replaces what runs.

Files of `domains/` are looked at every few seconds: a changed set is taken without a restart, or refused whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from app import declared
from app.declared import Declared
from core.changes import Feed
from core.db import AWAY, Database
from core.log import logger
from core.yamlfile import Mistakes
from events import edited_store
from events.engine import Model, load_model

#: Files are looked at so often.
LOOK_S = 5.0
Stamp = frozenset[tuple[str, int, int]]


def stamp(folder: Path) -> Stamp:
    """Changes with every file of a folder that is written, made or taken away."""
    states = ((str(path), path.stat()) for path in folder.rglob("*.yaml"))
    return frozenset((path, state.st_mtime_ns, state.st_size) for path, state in states)


@dataclass(slots=True)
class Rulebook:
    """`load` once, then run `follow` for ever; whoever decides by the rules subscribes to `changed`."""

    declared: Declared
    database: Database
    changed: list[Callable[[Model], None]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    model: Model = field(init=False)
    _stamp: Stamp = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.declared.model
        self._stamp = stamp(self.declared.domains.folder)

    async def load(self) -> None:
        """Read files and edited rules; the model stays the same object while none of them changed."""
        again = await asyncio.to_thread(self.reread)
        texts = await edited_store.current(self.database)
        if again or texts != self.texts:
            self.texts, self.model = texts, self.with_texts(texts)

    def reread(self) -> bool:
        """Take changed files; False when none has changed, or the set that they make is refused."""
        now = stamp(self.declared.domains.folder)
        if now == self._stamp:
            return False
        self._stamp = now
        try:
            self.declared = declared.reread(self.declared)
        except Mistakes as wrong:
            logger("app").error("changed_files_refused", mistakes=str(wrong))
            return False
        return True

    def with_texts(self, texts: dict[str, str]) -> Model:
        """The shipped rules under edited ones; a set that does not hold together leaves the shipped ones."""
        try:
            return self.checked(texts)
        except Mistakes as wrong:
            logger("app").error("edited_rules_broken", mistakes=str(wrong))
            return self.declared.model

    def checked(self, texts: dict[str, str]) -> Model:
        """The same, but raises `Mistakes`."""
        found = self.declared
        return load_model(found.domains, found.catalogue, found.texts, edited_store.documents(texts))

    async def follow(self) -> None:
        feed = Feed(self.database)
        await feed.start()
        news, looked_s, clock = True, 0.0, asyncio.get_running_loop().time
        async for group in feed.follow():
            news = news or any(change.topic == edited_store.TOPIC for change in group)
            if not news and clock() - looked_s < LOOK_S:
                continue
            looked_s = clock()
            before = self.model
            try:
                await self.load()
            except AWAY:
                continue  # the next group, empty or not, is less than a second away
            news = False
            if self.model is not before:
                for take in self.changed:
                    take(self.model)
