"""The live path over a real WebSocket: snapshot, deltas in order, slow clients, rights."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from dashboard.feed import QUEUE, Client, Hub
from dashboard.points import SNAPSHOT, read_frame
from dashboard.screens import Screens
from dashboard.stream import EVERYTHING, Message, Nouns
from tests.dashboard import scripted
from tests.dashboard.scripted import POLICY


@pytest.fixture
async def city() -> AsyncIterator[tuple[Screens, str]]:
    screens = scripted.screens("calm", devices=30)
    await screens.load()
    async with scripted.serving(scripted.application(screens)) as url:
        yield screens, url.replace("http", "ws") + "/api/v1/stream"


async def told(socket: ClientConnection) -> dict[str, Any]:
    message = await asyncio.wait_for(socket.recv(), 5)
    assert isinstance(message, str)
    found: dict[str, Any] = orjson.loads(message)
    return found


async def subscribe(socket: ClientConnection, *topics: str) -> None:
    await socket.send(orjson.dumps({"subscribe": topics}))


async def test_a_subscriber_gets_a_snapshot_then_deltas_in_order(city: tuple[Screens, str]) -> None:
    screens, url = city
    async with connect(url) as socket:
        await subscribe(socket, "incidents")
        first = await told(socket)
        assert (first["type"], first["topic"], len(first["items"])) == ("snapshot", "incidents", 3)
        for number in range(3):
            screens.nouns["incidents"].put([{"id": "new", "level": 1, "n": number}])
            screens.hub.tick()
        deltas = [await told(socket) for _ in range(3)]
        assert [delta["seq"] for delta in deltas] == [first["seq"] + n for n in (1, 2, 3)]
        assert deltas[-1]["items"][0]["n"] == 2


async def test_points_come_as_binary_frames(city: tuple[Screens, str]) -> None:
    screens, url = city
    async with connect(url) as socket:
        await subscribe(socket, "points")
        first = await socket.recv()
        assert isinstance(first, bytes)
        assert read_frame(first).kind == SNAPSHOT
        scripted.speak(screens, screens.clock.now_us(), silent=0)
        screens.hub.tick()
        frame = await socket.recv()
        assert isinstance(frame, bytes)
        assert len(read_frame(frame).device) == 30


async def test_who_saw_a_gap_asks_for_a_snapshot_and_goes_on_from_there(city: tuple[Screens, str]) -> None:
    screens, url = city
    async with connect(url) as socket:
        await subscribe(socket, "incidents")
        await told(socket)
        screens.nouns["incidents"].put([{"id": "new"}])
        screens.hub.tick()
        await told(socket)
        await socket.send(orjson.dumps({"snapshot": ["incidents"]}))
        again = await told(socket)
        assert (again["type"], len(again["items"])) == ("snapshot", 4)
        screens.nouns["incidents"].remove(["new"])
        screens.hub.tick()
        assert (await told(socket))["seq"] == again["seq"] + 1


async def test_an_unknown_topic_or_message_ends_the_connection_with_a_code(city: tuple[Screens, str]) -> None:
    for message in (b'{"subscribe": ["nothing"]}', b"{", b'{"shout": 1}'):
        async with connect(city[1]) as socket:
            await socket.send(message)
            with pytest.raises(ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 5)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4400


async def test_a_page_of_another_origin_cannot_open_the_stream(city: tuple[Screens, str]) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        await connect(city[1], origin=Origin("http://evil.example"))


class Slow:
    """A socket whose other side takes nothing until it is told to."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.got: list[dict[str, Any]] = []

    async def send(self, message: Message) -> None:
        await self.open.wait()
        self.got.append(orjson.loads(message))

    async def receive(self) -> str | bytes | None:
        await asyncio.Event().wait()
        return None


async def test_a_slow_client_loses_the_queue_and_gets_a_snapshot_and_holds_up_nobody() -> None:
    nouns = Nouns("incidents", POLICY)
    hub = Hub(POLICY, {"incidents": nouns})
    slow, quick = Slow(), Slow()
    quick.open.set()
    clients = [Client(), Client()]
    hub._clients |= set(clients)
    tasks = [asyncio.create_task(hub._send(s, c)) for s, c in zip((slow, quick), clients, strict=True)]
    for client in clients:
        client.follow({"incidents": EVERYTHING})
    await asyncio.sleep(0.01)
    for number in range(QUEUE * 3):
        nouns.put([{"id": "a", "n": number}])
        hub.tick()
        await asyncio.sleep(0)
    assert len(clients[0].queue) <= QUEUE
    slow.open.set()
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    assert [message["seq"] for message in quick.got] == list(range(QUEUE * 3 + 1))
    assert clients[0].dropped > 0
    assert slow.got[-1]["items"] == quick.got[-1]["items"]
    seqs = [message["seq"] for message in slow.got]
    after = next(i for i, message in enumerate(slow.got) if i and message["type"] == "snapshot")
    assert seqs[after:] == list(range(seqs[after], seqs[after] + len(seqs) - after)), (
        "no gap after the snapshot"
    )


async def test_nothing_is_encoded_twice_for_equal_rights() -> None:
    nouns = Nouns("incidents", POLICY)
    hub = Hub(POLICY, {"incidents": nouns})
    clients = [Client() for _ in range(3)]
    hub._clients |= set(clients)
    for client in clients:
        client.views = {"incidents": EVERYTHING}
    nouns.put([{"id": "a"}])
    hub.tick()
    assert len({id(client.queue[0][1]) for client in clients}) == 1
