"""The live path to browsers: one `Hub` a process encodes each piece of news once and hands it to all who see it.

Protocol (DESIGN §6.2): the client says `{"subscribe": [topics]}`; per topic it gets a `snapshot`, then `delta`s with
`seq`. It asks for a snapshot again with `{"snapshot": [topics]}` when it saw a gap. Each client has a queue of its
own; when it is full all of it is dropped and fresh snapshots follow, so a slow wall is late, never wrong, and holds
up nobody. `status` comes at least once a second: a client that hears nothing for 5 s knows that it is cut off.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from core.access import Policy
from core.actor import Actor
from core.errors import Invalid
from core.log import logger
from dashboard.stream import ACTIONS, Message, Stream, View, view_of

#: Messages that wait for one client; more than a few seconds of news.
QUEUE = 64
#: A client that takes nothing for so long is let go; it will come back.
SEND_TIMEOUT_S = 15.0
#: Ten updates a second at most: more than an eye follows, and what walls draw.
TICK_S = 0.1
LOG = logger("dashboard")


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    """What a client may say."""

    subscribe: list[str] = []
    snapshot: list[str] = []


class Socket(Protocol):
    """The part of a WebSocket that we use; `receive` gives None when the other side has left."""

    async def send(self, message: Message) -> None: ...
    async def receive(self) -> str | bytes | None: ...


@dataclass(eq=False, slots=True)
class Client:
    """One browser: what it follows, with whose rights, and what waits for it."""

    views: dict[str, View] = field(default_factory=dict)
    lost: dict[str, None] = field(default_factory=dict)
    queue: deque[tuple[str, Message]] = field(default_factory=deque)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    dropped: int = 0

    def follow(self, topics: Mapping[str, View]) -> None:
        """Follow these topics from a fresh snapshot on."""
        self.views.update(topics)
        self.again(topics)

    def again(self, topics: Iterable[str]) -> None:
        """Forget what waits for these topics: a snapshot will say it all."""
        for topic in topics:
            if topic in self.views:
                self.lost[topic] = None
        self.queue = deque(entry for entry in self.queue if entry[0] not in self.lost)
        self.wake.set()

    def offer(self, topic: str, message: Message) -> None:
        if topic in self.lost:
            return
        if len(self.queue) >= QUEUE:
            self.dropped += len(self.queue) + 1
            self.again([*{waiting for waiting, _ in self.queue}, topic])
            return
        self.queue.append((topic, message))
        self.wake.set()


class Hub:
    """Topics and clients. `tick` makes news of what changed; `serve` talks to one client until it leaves."""

    def __init__(self, policy: Policy, streams: Mapping[str, Stream]) -> None:
        self._policy = policy
        self._streams = dict(streams)
        self._clients: set[Client] = set()
        self.sent = 0

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def dropped(self) -> int:
        return sum(client.dropped for client in self._clients)

    def tick(self) -> None:
        """Encode what is new once for each view and hand it out. Never waits."""
        for topic, stream in self._streams.items():
            encode = stream.delta()
            if encode is None:
                continue
            encoded: dict[View, Message] = {}
            for client in self._clients:
                view = client.views.get(topic)
                if view is None:
                    continue
                if view not in encoded:
                    encoded[view] = encode(view)
                client.offer(topic, encoded[view])
                self.sent += 1

    async def run(self, tick_s: float = TICK_S) -> None:
        while True:
            self.tick()
            await asyncio.sleep(tick_s)

    def views(self, actor: Actor, topics: Sequence[str]) -> dict[str, View]:
        """The topics with the bounds of this actor. Raises `Invalid`, `NotAllowed`, `NotSignedIn`."""
        unknown = [topic for topic in topics if topic not in self._streams]
        if unknown:
            raise Invalid("error.unknown_topic", field="subscribe", topic=unknown[0])
        for topic in topics:
            if not self._policy.may_ask(actor, ACTIONS[topic]):
                self._policy.require(actor, ACTIONS[topic])
        return {topic: view_of(self._policy, actor, ACTIONS[topic]) for topic in topics}

    async def serve(self, socket: Socket, actor: Actor) -> None:
        """Talk to one client until it leaves. Raises what `views` raises when it asks for what it may not."""
        async with self._joined() as client:
            sender = asyncio.create_task(self._send(socket, client))
            listener = asyncio.create_task(self._listen(socket, client, actor))
            done, waiting = await asyncio.wait({sender, listener}, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            for task in done:
                task.result()

    @asynccontextmanager
    async def _joined(self) -> AsyncIterator[Client]:
        client = Client()
        self._clients.add(client)
        try:
            yield client
        finally:
            self._clients.discard(client)

    async def _listen(self, socket: Socket, client: Client, actor: Actor) -> None:
        while (said := await socket.receive()) is not None:
            try:
                ask = msgspec.json.decode(said, type=Ask)
            except msgspec.DecodeError:
                raise Invalid("error.bad_message", field="message") from None
            client.follow(self.views(actor, ask.subscribe))
            client.again(ask.snapshot)

    async def _send(self, socket: Socket, client: Client) -> None:
        while True:
            await client.wake.wait()
            client.wake.clear()
            while client.lost or client.queue:
                if client.lost:
                    topic = next(iter(client.lost))
                    message = self._streams[topic].snapshot(client.views[topic])
                    del client.lost[topic]
                else:
                    topic, message = client.queue.popleft()
                try:
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await socket.send(message)
                except TimeoutError:
                    LOG.warning("client_too_slow", topic=topic)
                    return


Clients = Callable[[], int]
