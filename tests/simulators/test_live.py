"""The role on a real wire: frames arrive, the play is kept, and an order seen over HTTP ends what it was sent for."""

from __future__ import annotations

import asyncio
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from core.clock import SECOND_US, SystemClock
from simulators import live, stage
from simulators.live import Live
from simulators.orders_feed import OrdersFeed
from simulators.publish import Broker
from simulators.scene import Scene
from tests.simulators import small_city, wires

ZONE = ZoneInfo("Asia/Shanghai")


@contextmanager
def web(orders: list[dict[str, object]]) -> Iterator[tuple[str, list[str]]]:
    """The two routes of the product's HTTP API that the simulator uses; its address, and what was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(200, {"access_token": "t-1", "token_type": "bearer"})

        def do_GET(self) -> None:
            good = self.headers["Authorization"] == "Bearer t-1"
            self._answer(200 if good else 401, {"items": orders, "next": None})

        def _answer(self, code: int, body: object) -> None:
            asked.append(f"{self.command} {self.path} {code}")
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base names it so
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


async def play_until(role: Live, done: Callable[[], bool], seconds: float = 20) -> None:
    task = asyncio.create_task(role.run())
    try:
        for _ in range(round(seconds / 0.1)):
            await asyncio.sleep(0.1)
            if task.done():
                task.result()
            if done():
                return
        raise AssertionError(f"not within {seconds} s")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_gateways_publish_and_the_play_is_kept(tmp_path: Path) -> None:
    with wires.broker() as port, wires.listening(port, "telemetry/#", "status/#") as heard:
        scene = Scene(small_city.places(), ZONE)
        role = Live(scene, Broker("127.0.0.1", port), tmp_path, SystemClock())
        await play_until(role, lambda: sum(topic == "telemetry/gw-sim-water" for topic, _ in heard) >= 4)
    online = {topic for topic, payload in heard if topic.startswith("status/") and b"online" in payload}
    assert online == {f"status/{gateway.id}" for gateway in scene.gateways()}
    kept = live.load(tmp_path)
    assert kept is not None
    assert kept.acts == {}
    assert SystemClock().now_us() - kept.said_until_us < 5 * SECOND_US


async def test_an_order_on_site_ends_the_burst_and_the_truth_is_logged_beside_the_wire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "HANDLED_US", SECOND_US)
    monkeypatch.setattr(live, "ASK_EVERY_S", 0.3)
    clock = SystemClock()
    begun = stage.fresh(clock.now_us() - 35 * SECOND_US)
    begun.said_until_us = clock.now_us() - SECOND_US
    live._keep(tmp_path, begun)
    scene = Scene(small_city.places(), ZONE)
    spot = scene.places.burst
    order: dict[str, object] = {"id": "o-1", "state": "handling", "lon": spot.lon, "lat": spot.lat, "more": 1}
    far: dict[str, object] = {"id": "o-2", "state": "sent", "lon": 0.0, "lat": 0.0}
    with wires.broker() as port, wires.listening(port, "#") as heard, web([order, far]) as (url, asked):
        orders = OrdersFeed(url, "simulator", "secret")
        role = Live(scene, Broker("127.0.0.1", port), tmp_path, clock, orders)
        truth = tmp_path / live.TRUTH
        await play_until(role, lambda: truth.exists() and b'"what":"end"' in truth.read_bytes())
    assert asked[:2] == ["POST /api/v1/auth/token 200", "GET /api/v1/orders?limit=200 200"]
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    assert [(line["what"], line["cause"]) for line in lines] == [("begin", "burst"), ("end", "burst")]
    assert lines[1]["detail"] == {"by": "o-1"}
    assert b"truth" not in b"".join(payload for _, payload in heard)
    assert b"h6_6" not in b"".join(payload for _, payload in heard), (
        "the broken pipe is no secret of the wire"
    )


def test_orders_of_a_web_that_is_away_are_none() -> None:
    assert OrdersFeed("http://127.0.0.1:9", "simulator", "x").visits(1) == []


def test_an_expired_token_is_renewed() -> None:
    with web([{"id": "o", "state": "handling", "lon": 1.0, "lat": 2.0}]) as (url, asked):
        feed = OrdersFeed(url, "simulator", "x", "stale")
        assert [visit.since_us for visit in feed.visits(5)] == [5]
        assert [visit.since_us for visit in feed.visits(9)] == [5]
    assert [line.split()[-1] for line in asked] == ["401", "200", "200", "200"]


def test_a_scene_file_that_cannot_be_read_means_a_new_play(tmp_path: Path) -> None:
    (tmp_path / live.SCENE).write_bytes(b"{")
    assert live.load(tmp_path) is None
    live.begin(tmp_path, 7)
    assert live.load(tmp_path) == stage.fresh(7)
