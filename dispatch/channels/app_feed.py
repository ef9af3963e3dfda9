"""The product itself: a message becomes a line of the receiver's inbox, which the app shows and the feed announces."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from core import changes
from core.changes import Change
from core.clock import Clock, to_datetime
from core.db import Database
from dispatch import store
from dispatch.messages import Message


class App:
    """Delivers inside the house; the inbox's unique key makes the effect happen once."""

    name = "app"
    outside = False

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def send(self, message: Message) -> None:
        now_us = self._clock.now_us()
        async with self._database.transaction() as connection:
            made = await store.row(
                connection, "put_inbox",
                key=message.key, now=to_datetime(now_us), receiver=message.receiver,
                message=Jsonb(message.payload["message"]), subject=message.subject,
                subject_id=message.subject_id, level=message.payload.get("level", 4),
            )  # fmt: skip
            if made:
                await changes.append(connection, [Change("inbox", message.receiver)], now_us)
