"""The rules in force: as they ship, and as the city has edited them. Edited rules that are wrong never stop a start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.declared import Declared
from core.changes import Feed
from core.db import AWAY, Database
from core.log import logger
from core.yamlfile import Mistakes
from events import edited_store
from events.engine import Model, load_model


@dataclass(slots=True)
class Rulebook:
    """`load` once, then run `follow` for ever; whoever decides by the rules subscribes to `changed`."""

    declared: Declared
    database: Database
    changed: list[Callable[[Model], None]] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    model: Model = field(init=False)

    def __post_init__(self) -> None:
        self.model = self.declared.model

    async def load(self) -> None:
        """Read the edited rules; the model stays the same object while none of them changed."""
        texts = await edited_store.current(self.database)
        if texts != self.texts:
            self.texts, self.model = texts, self.with_texts(texts)

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
        news = True
        async for group in feed.follow():
            news = news or any(change.topic == edited_store.TOPIC for change in group)
            if not news:
                continue
            before = self.model.rules.version
            try:
                await self.load()
            except AWAY:
                continue  # the next group, empty or not, is less than a second away
            news = False
            if self.model.rules.version != before:
                for take in self.changed:
                    take(self.model)
