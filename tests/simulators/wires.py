"""What tests of the wire share: a broker from the wheel, somebody who listens at it, a cable that can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import paho.mqtt.client as mqtt
from iotcore import Broker as WheelBroker
from paho.mqtt.enums import CallbackAPIVersion


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def broker() -> Iterator[int]:
    """The port of a running broker."""
    with WheelBroker(port=free_port(), listen="127.0.0.1") as running:
        yield running.port


@contextlib.contextmanager
def listening(port: int, *topics: str) -> Iterator[list[tuple[str, bytes]]]:
    """(topic, payload) of everything that arrives at a broker."""
    heard: list[tuple[str, bytes]] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="listener")
    client.on_message = lambda _c, _u, message: heard.append((message.topic, bytes(message.payload)))
    ready = threading.Event()
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.subscribe([(topic, 1) for topic in topics])
    assert ready.wait(5)
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


class Cable:
    """A TCP proxy that can be cut: what is on it is lost, and nobody gets through until it is mended."""

    def __init__(self, target: int) -> None:
        self.far_port = target
        self._pairs: list[socket.socket] = []
        self._whole = threading.Event()
        self._whole.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if not self._whole.is_set():
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.far_port))
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
