"""A fleet of gateways at full speed, as a process of its own: `python -m app.bench.load JSON`.

Frames are made before the clock runs, so that nearly all processor time is left to what is measured. Prints `ready`,
waits for a line, publishes at QoS 1, prints one JSON object when everything is acknowledged.
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass, field

from ingest import mqtt
from ingest.mqtt import Kind, Message

#: From one reading of a device to its next.
STEP_S = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """`total` messages of `per_message` readings over `connections`, at most `window` unacknowledged on each.

    `rate` messages a second altogether, 0 = as fast as they are taken. The readings end at `until_us`.
    """

    port: int
    total: int
    per_message: int = 1
    connections: int = 8
    window: int = 500
    rate: float = 0.0
    devices: int = 2000
    until_us: int = 0
    secret: str = "bench"  # noqa: S105 - of gateways that exist for a minute


def payloads(plan: Plan, gateway: int) -> list[bytes]:
    """The packs of one gateway, in order of time: pressure of its devices, or pressure and battery in packs."""
    count = plan.total // plan.connections
    mine = [f"p{n}" for n in range(gateway, plan.devices, plan.connections)]
    rounds = count * plan.per_message // len(mine) + 1
    first_s = plan.until_us / 1e6 - rounds * STEP_S
    packs: list[bytes] = []
    at = 0
    for _ in range(count):
        records: list[bytes] = []
        for _ in range(plan.per_message):
            name, ago_s = mine[at % len(mine)].encode(), at // len(mine) * STEP_S
            if plan.per_message == 1:
                text = b'{"n":"%s/pressure","u":"MPa","t":%.1f,"v":0.%d}' % (
                    name,
                    first_s + ago_s,
                    300 + at % 37,
                )
            else:
                base = b"" if records else b'"bt":%.1f,"bu":"MPa",' % first_s
                text = b'{%s"n":"%s/pressure","t":%.1f,"v":0.%d}' % (base, name, ago_s, 300 + at % 37)
            records.append(text)
            at += 1
        packs.append(b"[" + b",".join(records) + b"]")
    return packs


@dataclass(slots=True)
class Line:
    """One gateway's connection."""

    sock: socket.socket
    frames: list[bytes]
    sent: int = 0
    acknowledged: int = 0
    out: bytes = b""
    odd: int = 0
    stamps: deque[tuple[int, float]] = field(default_factory=deque)

    def fill(self, plan: Plan, began_s: float, now_s: float) -> None:
        """Put what may be sent now into the pipe; in strides, as a busy gateway does."""
        room = min(plan.window - (self.sent - self.acknowledged), len(self.frames) - self.sent)
        if plan.rate:
            room = min(room, int((now_s - began_s) * plan.rate / plan.connections) - self.sent)
        elif room < plan.window // 4 and self.sent + room < len(self.frames):
            return
        if room > 0:
            self.out += b"".join(self.frames[self.sent : self.sent + room])
            self.sent += room
            self.stamps.append((self.sent, now_s))

    def push(self) -> None:
        if self.out:
            try:
                self.out = self.out[self.sock.send(self.out) :]
            except BlockingIOError:
                pass  # the other side rests: that is back-pressure

    def pull(self, delays: list[float]) -> None:
        """Count acknowledgements, which have four bytes each."""
        size = len(self.sock.recv(1 << 18)) + self.odd
        if size == self.odd:
            raise ConnectionError("the endpoint hung up")
        self.acknowledged += size // 4
        self.odd = size % 4
        now_s = time.perf_counter()
        while self.stamps and self.stamps[0][0] <= self.acknowledged:
            delays.append(now_s - self.stamps.popleft()[1])


def dial(plan: Plan, gateway: int) -> Line:
    packs = payloads(plan, gateway)
    frames = [
        mqtt.publish(Message(f"telemetry/gw-{gateway}", pack, 1), version=mqtt.V311, number=n % 65_535 + 1)
        for n, pack in enumerate(packs)
    ]
    sock = socket.create_connection(("127.0.0.1", plan.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = f"gw-{gateway}"
    body = (
        mqtt.text("MQTT")
        + struct.pack(">BBH", mqtt.V311, 0xC2, 600)
        + mqtt.text(name) * 2
        + mqtt.text(plan.secret)
    )
    sock.sendall(mqtt.packet(Kind.CONNECT, 0, body))
    if sock.recv(4)[3]:
        raise ConnectionError("turned away")
    sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return Line(sock, frames)


def run(plan: Plan) -> dict[str, float]:
    lines = [dial(plan, gateway) for gateway in range(plan.connections)]
    selector = selectors.DefaultSelector()
    for line in lines:
        selector.register(line.sock, selectors.EVENT_READ, line)
    print("ready", flush=True)  # noqa: T201 - the answer to who started us
    sys.stdin.readline()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    delays: list[float] = []
    while any(line.acknowledged < len(line.frames) for line in lines):
        now_s = time.perf_counter()
        for line in lines:
            line.fill(plan, began_s, now_s)
            line.push()
        rest_s = 0.001 if plan.rate or any(line.out for line in lines) else 0.5
        for key, _ in selector.select(rest_s):
            key.data.pull(delays)
    took_s = time.perf_counter() - began_s
    delays.sort()
    count = sum(len(line.frames) for line in lines)
    return {
        "messages": count, "seconds": took_s, "messages_s": count / took_s, "readings": count * plan.per_message,
        "p50_ms": delays[len(delays) // 2] * 1e3, "p99_ms": delays[int(len(delays) * 0.99)] * 1e3,
        "cpu_s": time.process_time() - cpu_s,
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(run(Plan(**json.loads(sys.argv[1])))), flush=True)  # noqa: T201 - the answer
