"""A gateway loses nothing: over broken connections, over its own death, in order."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from iotcore import Broker as WheelBroker
from paho.mqtt.enums import CallbackAPIVersion

from simulators.outbox_store import Outbox
from simulators.publish import Broker, MqttGateway


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cable:
    """A TCP proxy that can be cut: what is on it is lost, and nobody gets through until it is mended."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._pairs: list[socket.socket] = []
        self._whole = threading.Event()
        self._whole.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self._whole.is_set():
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._target))
                self._pairs += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(4096):
                other.sendall(data)
        other.close()

    def cut(self) -> None:
        self._whole.clear()
        for end in self._pairs:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._pairs.clear()

    def mend(self) -> None:
        self._whole.set()

    def close(self) -> None:
        self.cut()
        self._listener.close()


@pytest.fixture
def broker() -> Iterator[int]:
    with WheelBroker(port=free_port(), listen="127.0.0.1") as running:
        yield running.port


@pytest.fixture
def cable(broker: int) -> Iterator[Cable]:
    laid = Cable(broker)
    yield laid
    laid.close()


@pytest.fixture
def heard(broker: int) -> Iterator[list[bytes]]:
    """Payloads of `telemetry/#` as somebody at the broker hears them."""
    payloads: list[bytes] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="listener")
    client.on_message = lambda _c, _u, message: payloads.append(bytes(message.payload))
    ready = threading.Event()
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", broker)
    client.loop_start()
    client.subscribe("telemetry/#", qos=1)
    assert ready.wait(5)
    yield payloads
    client.disconnect()
    client.loop_stop()


def wait_until(done: Callable[[], bool], gateway: MqttGateway, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        gateway.turn()
        if done():
            return
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {gateway.waiting} frames wait, {gateway.counts}")


def test_nothing_is_lost_over_a_cable_that_is_cut_again_and_again(
    cable: Cable, heard: list[bytes], tmp_path: Path
) -> None:
    gateway = MqttGateway("gw-1", Broker("127.0.0.1", cable.port), Outbox(tmp_path / "gw-1.sqlite"))
    gateway.start()
    sent = []
    for turn in range(1500):
        sent.append(f"frame {turn}".encode())
        gateway.submit("telemetry/gw-1", sent[-1])
        gateway.turn()
        if turn in (300, 700, 1100):
            cable.cut()
        if turn in (400, 900, 1200):
            cable.mend()
            wait_until(lambda: gateway.connected, gateway)
        time.sleep(0.0005)
    wait_until(lambda: gateway.waiting == 0, gateway)
    gateway.stop()
    first_heard = list(dict.fromkeys(heard))
    assert set(first_heard) == set(sent)
    assert gateway.counts["acknowledged"] == len(sent)


def test_what_was_not_acknowledged_outlives_the_gateway(
    cable: Cable, heard: list[bytes], tmp_path: Path
) -> None:
    cable.cut()
    first = MqttGateway("gw-1", Broker("127.0.0.1", cable.port), Outbox(tmp_path / "o.sqlite"))
    first.start()
    for turn in range(20):
        first.submit("telemetry/gw-1", f"before {turn}".encode())
        first.turn()
    first.stop()
    cable.mend()
    second = MqttGateway("gw-1", Broker("127.0.0.1", cable.port), Outbox(tmp_path / "o.sqlite"))
    assert second.outbox.boot == first.outbox.boot + 1
    second.start()
    second.submit("telemetry/gw-1", b"after")
    wait_until(lambda: second.waiting == 0 and len(heard) >= 21, second)
    second.stop()
    assert heard == [*(f"before {turn}".encode() for turn in range(20)), b"after"]


def test_a_full_memory_loses_its_oldest_frames_and_says_so() -> None:
    outbox = Outbox(limit=3)
    numbers = [outbox.put("t", f"{n}".encode()) for n in range(5)]
    assert [payload for _, _, payload in outbox.after(0)] == [b"2", b"3", b"4"]
    assert outbox.lost == 2
    outbox.acknowledged(numbers[:4])
    assert len(outbox) == 1
    assert outbox.put("t", b"x") > max(numbers)
