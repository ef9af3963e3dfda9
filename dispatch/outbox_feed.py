"""Sends what stands in the outbox: at least once, in order for each receiver, one in flight a receiver.

Led by `Lock.OUTBOX`. A message is marked right after it was taken; a kill between the two repeats that one message,
whose key tells the receiver so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import psycopg

from core.clock import Clock, to_datetime, to_us
from core.db import DictConnection, Lock
from core.log import logger
from core.metrics import Metrics
from dispatch import outbox, store
from dispatch.channels.channel import Away, Channel, Failed, Refused
from dispatch.led_source import connect, leads
from dispatch.messages import Message
from dispatch.outbox import Later, Park

IDLE_S = 0.2
Receiver = tuple[str, str]


@dataclass(slots=True)
class Outbox:
    """Runs in the worker. `channels` by name; a message for a channel that is not set up waits, visibly."""

    dsn: str
    channels: Mapping[str, Channel]
    clock: Clock
    rng: np.random.Generator
    metrics: Metrics = field(default_factory=Metrics)
    _in_flight: dict[Receiver, asyncio.Task[None]] = field(default_factory=dict)
    _in_a_row: dict[Receiver, int] = field(default_factory=dict)
    _marking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self) -> None:
        """For ever: wait to be the one, then send until the connection is lost."""
        while True:
            try:
                async with await connect(self.dsn) as connection:
                    if await leads(connection, Lock.OUTBOX):
                        await self._work(connection)
            except psycopg.OperationalError as away:
                logger("dispatch").warning("outbox waits for the database", error=str(away).strip())
            finally:
                for task in self._in_flight.values():
                    task.cancel()
                self._in_flight.clear()
            await asyncio.sleep(1.0)

    async def _work(self, connection: DictConnection) -> None:
        while True:
            started = await self.start_due(connection)
            lost = [task for task in self._in_flight.values() if task.done() and task.exception()]
            if lost:
                raise lost[0].exception() or AssertionError
            self._in_flight = {who: task for who, task in self._in_flight.items() if not task.done()}
            await asyncio.sleep(0.0 if started else IDLE_S if not self._in_flight else 0.005)

    async def start_due(self, connection: DictConnection) -> int:
        """Begin to send to every receiver that has something due and nothing in flight."""
        async with self._marking:
            due = await store.rows(connection, "due_messages", now=to_datetime(self.clock.now_us()))
        started = 0
        for row in due:
            who = (row["channel"], row["receiver"])
            if who not in self._in_flight or self._in_flight[who].done():
                self._in_flight[who] = asyncio.create_task(self._send(connection, row))
                started += 1
        return started

    async def drain(self, connection: DictConnection) -> None:
        """Send all that is due now; for tests."""
        while await self.start_due(connection):
            await asyncio.gather(*self._in_flight.values())

    async def _send(self, connection: DictConnection, row: store.Row) -> None:
        message = Message(
            row["key"], row["channel"], row["receiver"], row["subject"], row["subject_id"], row["payload"],
            row["provenance"],
        )  # fmt: skip
        channel = self.channels.get(message.channel)
        if channel is None:
            await self._park(connection, row, "parked", "no_channel")
        elif channel.outside and message.provenance != "real":
            await self._park(connection, row, "kept_inside", message.provenance)
        else:
            await self._try(connection, row, channel, message)

    async def _try(
        self, connection: DictConnection, row: store.Row, channel: Channel, message: Message
    ) -> None:
        who = (message.channel, message.receiver)
        try:
            await channel.send(message)
        except Refused as refused:
            await self._park(connection, row, "parked", f"refused: {refused}")
        except Failed as failed:
            count = self._in_a_row[who] = self._in_a_row.get(who, 0) + 1
            decision = outbox.after_failure(row["failures"] + 1, count, self.clock.now_us(), self.rng)
            await self._failed(connection, row, decision, str(failed), answered=True)
        except Away as away:
            count = self._in_a_row[who] = self._in_a_row.get(who, 0) + 1
            decision = outbox.after_silence(to_us(row["created_at"]), count, self.clock.now_us(), self.rng)
            await self._failed(connection, row, decision, str(away), answered=False)
        else:
            await self._delivered(connection, row, who)

    async def _delivered(self, connection: DictConnection, row: store.Row, who: Receiver) -> None:
        now = to_datetime(self.clock.now_us())
        async with self._marking:
            await store.run(connection, "delivered", id=row["id"], now=now)
            if self._in_a_row.pop(who, 0):
                await store.run(connection, "wake_receiver", channel=who[0], receiver=who[1], now=now)
        self.metrics.count("dispatch_messages_total", channel=who[0], result="delivered")

    async def _failed(
        self,
        connection: DictConnection,
        row: store.Row,
        decision: Later | Park,
        error: str,
        *,
        answered: bool,
    ) -> None:
        self.metrics.count("dispatch_messages_total", channel=row["channel"], result="failed")
        if isinstance(decision, Park):
            await self._park(connection, row, "parked", f"{decision.reason}: {error}")
            return
        async with self._marking:
            await store.run(
                connection, "try_later",
                id=row["id"], next=to_datetime(decision.next_us), error=error[:500], answered=int(answered),
            )  # fmt: skip
            await store.run(
                connection, "hold_receiver",
                id=row["id"], channel=row["channel"], receiver=row["receiver"],
                next=to_datetime(decision.others_us),
            )  # fmt: skip

    async def _park(self, connection: DictConnection, row: store.Row, state: str, error: str) -> None:
        async with self._marking:
            await store.run(
                connection, "park",
                id=row["id"], state=state, now=to_datetime(self.clock.now_us()), error=error[:500],
            )  # fmt: skip
        self.metrics.count("dispatch_messages_total", channel=row["channel"], result=state)
