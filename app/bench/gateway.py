"""A gateway as a good one is: it keeps what is not acknowledged, sends it again, and knows what it was told.

Used where the worker and the database are killed: what it was told is compared with what is stored.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import psycopg

from ingest import mqtt
from ingest.mqtt import Kind, Message, Packet, Slicer

#: Is anybody waiting for the log?
WAITING = b"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'batch_log'::regclass"
PATIENCE_S = 20.0
RETRY_S = 0.05


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
    secret: str = "secret"  # noqa: S105 - of a gateway that exists for a minute
    acknowledged: set[int] = field(default_factory=set)
    connections: int = 0

    async def run(self) -> None:
        """Until all is acknowledged, through any number of lost connections."""
        self._waiting: dict[int, int] = {}  # packet identifier → n
        self._next = 0
        while len(self.acknowledged) < self.total:
            try:
                await self._once()
            except (OSError, TimeoutError):
                await asyncio.sleep(RETRY_S)

    async def _once(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(connect_packet(self.name, self.secret))
            answer = await asyncio.wait_for(reader.readexactly(4), PATIENCE_S)
            if answer[3]:
                raise ConnectionError("turned away")
            self.connections += 1
            again, self._waiting = list(self._waiting.values()), {}
            for n in again:
                self._send(writer, n, dup=True)
            sender = asyncio.create_task(self._send_all(writer))
            try:
                await self._listen(reader)
            finally:
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
        except asyncio.IncompleteReadError:
            raise ConnectionError("hung up") from None
        finally:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    def _send(self, writer: asyncio.StreamWriter, n: int, *, dup: bool = False) -> None:
        number = n % 65_535 + 1
        self._waiting[number] = n
        message = Message(f"telemetry/{self.name}", self.payload(n), 1)
        writer.write(mqtt.publish(message, version=mqtt.V311, number=number, dup=dup))
        if self.twice:
            writer.write(mqtt.publish(replace(message, qos=0), version=mqtt.V311))

    async def _send_all(self, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        began, first = loop.time(), self._next
        while self._next < self.total and not writer.is_closing():
            due = first + int((loop.time() - began) * self.rate) + 1
            while (
                self._next < min(due, self.total)
                and len(self._waiting) < self.window
                and not writer.is_closing()
            ):
                self._send(writer, self._next)
                self._next += 1
            await writer.drain()
            await asyncio.sleep(0.005)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        slicer = Slicer()
        while len(self.acknowledged) < self.total:
            data = await asyncio.wait_for(reader.read(1 << 16), PATIENCE_S)
            if not data:
                raise ConnectionError("hung up")
            for item in slicer.feed(data):
                if isinstance(item, Packet) and item.kind == Kind.PUBACK:
                    [number] = struct.unpack(">H", item.body[:2])
                    self.acknowledged.add(self._waiting.pop(number))


@asynccontextmanager
async def before_commit(dsn: str, patience_s: float = 10.0) -> AsyncIterator[None]:
    """Inside, a batch lies between its COPY and its COMMIT: the log that it must be entered in is held.

    When nobody comes to store within the patience there is nothing to be hit, and the block runs all the same.
    """
    async with await psycopg.AsyncConnection.connect(dsn) as blocker:
        await blocker.execute(b"LOCK TABLE batch_log IN EXCLUSIVE MODE")
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as watch:
            loop = asyncio.get_running_loop()
            end_s = loop.time() + patience_s
            while loop.time() < end_s:
                row = await (await watch.execute(WAITING)).fetchone()
                if row is not None and row[0]:
                    break
                await asyncio.sleep(0.02)
        yield


def connect_packet(name: str, secret: str) -> bytes:
    """CONNECT of 3.1.1 with a clean session: what is not acknowledged, we ourselves remember."""
    head = mqtt.text("MQTT") + struct.pack(">BBH", mqtt.V311, 0xC2, 60)
    return mqtt.packet(Kind.CONNECT, 0, head + mqtt.text(name) * 2 + mqtt.text(secret))
