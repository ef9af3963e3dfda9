"""The outside world for the tests of channels: an HTTP receiver and a mail server on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Receiver:
    """Takes POSTs. `status` is what it answers; `effects` are the distinct keys that it acted upon."""

    port: int = 0
    status: int = 200
    delay_s: float = 0.0
    posts: list[tuple[str, dict[str, str], dict[str, object]]] = field(default_factory=list)
    effects: set[str] = field(default_factory=set)
    repeats: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            await asyncio.sleep(self.delay_s)
            if self.status == 200:
                self.take(lines[0], headers, body)
            writer.write(
                f"HTTP/1.1 {self.status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            )
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the sender was killed
        finally:
            writer.close()

    async def until(self, posts: int, effects: int) -> None:
        """So many posts came, or so many effects happened."""
        while len(self.posts) < posts and len(self.effects) < effects:
            self.came.clear()
            await self.came.wait()

    def take(self, line: str, headers: dict[str, str], body: bytes) -> None:
        key = headers.get("idempotency-key", "")
        self.repeats += key in self.effects
        self.effects.add(key)
        self.posts.append((line, headers, json.loads(body) | {"raw": body.decode()}))
        self.came.set()


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


@dataclass(slots=True)
class Mailbox:
    port: int = 0
    letters: list[str] = field(default_factory=list)
    refuse: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """As much of SMTP as a sender needs."""
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line[:4].upper()
            if word == "DATA":
                writer.write(b"354 go\r\n")
                self.letters.append((await reader.readuntil(b"\r\n.\r\n")).decode())
                writer.write(b"250 taken\r\n")
            elif word == "RCPT" and self.refuse:
                writer.write(b"550 nobody\r\n")
            elif word == "QUIT":
                break
            else:
                writer.write(b"250 ok\r\n")
        writer.close()


@asynccontextmanager
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    server = await asyncio.start_server(box.serve, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box
