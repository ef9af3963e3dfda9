"""Load on the wire: many gateways publish SenML with QoS 1, and count what was acknowledged.

Shapes: `constant`; `burst`, everything in the first tenth of the time; `reconnect-storm`, all gateways lose their
connection in the middle for some seconds and come back at once with what they kept.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from core.clock import SECOND_US, SystemClock
from simulators.publish import Broker

AWAY_S = 3
PATIENCE_S = 60.0
CHANNEL = "pressure"
#: Load is real work against a real endpoint: its durations are those of the machine.
CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Plan:
    """rate: readings a second over all gateways; pack: readings a message; devices: of all gateways together."""

    rate: float
    gateways: int
    seconds: float
    shape: str
    pack: int
    devices: int = 0

    @property
    def devices_each(self) -> int:
        """Of one gateway: at least as many as a message has readings, each of another device."""
        return max(self.pack, -(-self.devices // self.gateways))

    @property
    def messages(self) -> int:
        """Of one gateway."""
        return max(1, round(self.rate * self.seconds / self.gateways / self.pack))

    def due_s(self, message: int) -> float:
        """When a message of a gateway is sent."""
        span = self.seconds * (0.1 if self.shape == "burst" else 1.0)
        return span * message / self.messages


@dataclass(slots=True)
class Tally:
    """What one gateway sent and what was acknowledged, messages; and the slowest acknowledgement."""

    sent: int = 0
    acknowledged: int = 0
    slowest_s: float = 0.0
    _at: dict[int, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def out(self, mid: int) -> None:
        with self._lock:
            self.sent += 1
            self._at[mid] = CLOCK.monotonic_s()

    def back(self, mid: int) -> None:
        with self._lock:
            begun = self._at.pop(mid, None)
            self.acknowledged += 1
            if begun is not None:
                self.slowest_s = max(self.slowest_s, CLOCK.monotonic_s() - begun)


def gateway_id(number: int) -> str:
    return f"load-{number}"


def device_id(gateway: int, number: int) -> str:
    return f"load-{gateway}-{number}"


def publish(plan: Plan, broker: Broker, begun_us: int) -> tuple[list[Tally], float]:
    """Run it and wait for the acknowledgements; tallies, and seconds from the first message to the last answer.

    Reading k of gateway g is of device `load-g-(k mod devices)` at `begun_us` + k ms: no key comes twice.
    """
    tallies = [Tally() for _ in range(plan.gateways)]
    ready = threading.Barrier(plan.gateways + 1)
    threads = [
        threading.Thread(target=_gateway, args=(plan, broker, number, tally, begun_us, ready))
        for number, tally in enumerate(tallies)
    ]
    for thread in threads:
        thread.start()
    ready.wait(2 * PATIENCE_S)
    started = CLOCK.monotonic_s()
    for thread in threads:
        thread.join()
    return tallies, CLOCK.monotonic_s() - started


def _gateway(
    plan: Plan, broker: Broker, number: int, tally: Tally, begun_us: int, ready: threading.Barrier
) -> None:
    name = gateway_id(number)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)
    client.username_pw_set(name, broker.secrets.get(name, ""))
    client.max_queued_messages_set(0)
    client.max_inflight_messages_set(1000)
    client.reconnect_delay_set(AWAY_S, AWAY_S)

    def answered(
        _client: mqtt.Client, _told: object, mid: int, _code: ReasonCode, _more: Properties | None
    ) -> None:
        tally.back(mid)

    client.on_publish = answered
    client.connect(broker.host, broker.port)
    client.loop_start()
    end = CLOCK.monotonic_s() + PATIENCE_S
    while not client.is_connected() and CLOCK.monotonic_s() < end:
        _pause(0.02)  # the product may still be taking the new gateways in
    ready.wait(2 * PATIENCE_S)
    begun = CLOCK.monotonic_s()
    for message in range(plan.messages):
        _wait(begun + plan.due_s(message))
        if plan.shape == "reconnect-storm" and message == plan.messages // 2:
            _cut(client)
        topic = f"telemetry/{name}"
        sent = client.publish(topic, pack(plan, number, message, begun_us), qos=1)
        tally.out(sent.mid)
    end = CLOCK.monotonic_s() + PATIENCE_S
    while tally.acknowledged < tally.sent and CLOCK.monotonic_s() < end:
        _pause(0.01)
    client.disconnect()
    client.loop_stop()


def _cut(client: mqtt.Client) -> None:
    """Pull the plug: no good-bye. The client comes back by itself and sends again what nobody acknowledged."""
    wire = client.socket()
    if isinstance(wire, socket.socket):
        wire.shutdown(socket.SHUT_RDWR)


def _wait(until: float) -> None:
    left = until - CLOCK.monotonic_s()
    if left > 0:
        _pause(left)


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def pack(plan: Plan, gateway: int, message: int, begun_us: int) -> bytes:
    """One SenML pack; every reading has a time and a device of its own, device after device."""
    first = message * plan.pack
    records: Sequence[dict[str, object]] = [
        {
            "n": f"{device_id(gateway, number % plan.devices_each)}/{CHANNEL}",
            "t": (begun_us + number * 1000) / SECOND_US,
            "v": 0.3 + 0.001 * (number % 50),
        }
        for number in range(first, first + plan.pack)
    ]
    return msgspec.json.encode(records)
