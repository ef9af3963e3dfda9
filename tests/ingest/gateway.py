"""A gateway that keeps what is not acknowledged and sends it again, as a good one does; it knows what it was told."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ingest import mqtt
from ingest.mqtt import Kind, Message, Packet
from tests.ingest.wire import Client


@dataclass
class Gateway:
    """Publishes payload(n) for n = 0 … total-1 at `rate` a second, at most `window` unacknowledged.

    `twice`: every message goes out once more at QoS 0, as if it were resent.
    """

    port: int
    name: str
    payload: Callable[[int], bytes]
    total: int
    rate: float = 2000.0
    window: int = 500
    twice: bool = False
    acknowledged: set[int] = field(default_factory=set)
    connections: int = 0

    async def run(self) -> None:
        """Until all is acknowledged, through any number of lost connections."""
        self.waiting: dict[int, int] = {}  # packet identifier → n
        self.next = 0
        while len(self.acknowledged) < self.total:
            try:
                await self._once()
            except (OSError, ConnectionError, TimeoutError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.05)

    async def _once(self) -> None:
        client = Client(self.port, self.name)
        try:
            answer = await asyncio.wait_for(client.connect(client_id=self.name), 5)
            if answer.body[1]:
                raise ConnectionError("turned away")
            self.connections += 1
            again, self.waiting = list(self.waiting.values()), {}
            for n in again:
                self._send(client, n, dup=True)
            sender = asyncio.create_task(self._send_all(client))
            try:
                await self._listen(client)
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
        finally:
            if hasattr(client, "writer"):
                await client.close()

    def _send(self, client: Client, n: int, *, dup: bool = False) -> None:
        number = n % 65_535 + 1
        self.waiting[number] = n
        message = Message(f"telemetry/{self.name}", self.payload(n), 1)
        client.writer.write(mqtt.publish(message, version=mqtt.V311, number=number, dup=dup))
        if self.twice:
            client.writer.write(mqtt.publish(replace(message, qos=0), version=mqtt.V311))

    async def _send_all(self, client: Client) -> None:
        loop = asyncio.get_running_loop()
        began, first = loop.time(), self.next
        while self.next < self.total:
            due = first + int((loop.time() - began) * self.rate) + 1
            while self.next < min(due, self.total) and len(self.waiting) < self.window:
                self._send(client, self.next)
                self.next += 1
            await client.writer.drain()
            await asyncio.sleep(0.005)

    async def _listen(self, client: Client) -> None:
        while len(self.acknowledged) < self.total:
            item = await client.next(20.0)
            if isinstance(item, Packet) and item.kind == Kind.PUBACK:
                [number] = struct.unpack(">H", item.body[:2])
                self.acknowledged.add(self.waiting.pop(number))
