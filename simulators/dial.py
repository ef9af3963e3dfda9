"""A field device on the real wire: it dials the product over TCP, sends a frame, and keeps it until it is answered.

As its protocol has it, one frame is under way at a time; without an answer it is sent again on a new connection.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from iot.codecs.frame import MalformedError
from simulators import dialects
from simulators.outbox_store import Outbox

ANSWER_S, AGAIN_S = 15.0, 2.0
IDLE_S = 0.2


class Station:
    """One connection of one station. `submit` keeps a frame; `start` and `stop` in the loop that runs it."""

    def __init__(self, protocol: str, id_: str, host: str, port: int, outbox: Outbox) -> None:
        self.protocol = protocol
        self.id = id_
        self.outbox = outbox
        self.counts: Counter[str] = Counter()
        self.connected = False
        self._host, self._port = host, port
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Frames that nobody has answered."""
        return len(self.outbox)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def submit(self, topic: str, payload: bytes) -> int:
        self.counts["submitted"] += 1
        return self.outbox.put(topic, payload)

    def turn(self) -> None:
        """Sending is the task's business."""

    def stop(self) -> None:
        """What is not answered stays in the outbox."""
        if self._task is not None:
            self._task.cancel()
        self.outbox.close()

    async def _run(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection(self._host, self._port)
            except OSError:
                await asyncio.sleep(AGAIN_S)
                continue
            self.connected = True
            try:
                await self._converse(reader, writer)
            except (OSError, TimeoutError, EOFError):
                self.counts["reconnected"] += 1
            finally:
                self.connected = False
                writer.close()
            await asyncio.sleep(AGAIN_S)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = dialects.FRAMERS[self.protocol]()
        while True:
            waiting = self.outbox.after(0, 1)
            if not waiting:
                await asyncio.sleep(IDLE_S)
                continue
            ((sequence, _, frame),) = waiting
            writer.write(frame)
            await writer.drain()
            wanted = dialects.key_of(self.protocol, frame)
            async with asyncio.timeout(ANSWER_S):
                while True:
                    data = await reader.read(4096)
                    if not data:
                        raise EOFError
                    if any(self._key(answer) == wanted for answer in framer.feed(data)):
                        break
            self.outbox.acknowledged([sequence])
            self.counts["acknowledged"] += 1

    def _key(self, answer: bytes) -> str:
        try:
            return dialects.key_of(self.protocol, answer)
        except MalformedError:
            return ""
