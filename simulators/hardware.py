"""What lies between the truth and the wire: sensors that fail, clocks that err, networks that lose and gather.

Each fault has a label (device, kind, from, to) for scoring. Readings are changed after the physics and before the
gateway packs them; frames are held, doubled and dumped between the gateway and the product.

| kind | what happens | size |
|---|---|---|
| stuck | the digits of the beginning for ever | – |
| bias, spoof | a step; another value altogether | in the channel's unit |
| drift | a slope | in the channel's unit a day |
| spikes | single samples off, one in fifty | in the channel's unit |
| humid | optical dust heads read too high in damp air, by the device's own hygrometer | – |
| dropout | Gilbert–Elliott loss | – |
| silent | nothing at all | – |
| duplicate | everything twice | – |
| clock | ahead | seconds; 0: eight hours, UTC taken for local time |
| epoch | a clock that began at 1970 | – |
| late | arrives after a log-normal time, P99 five times the median | median in seconds |
| battery | an empty battery: one report of so many is sent | how many |
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType

import numpy as np

from core.clock import DAY_US, HOUR_US, SECOND_US
from iot.codecs.sparkplug import Topic
from simulators.fleet import Sample, Wire
from simulators.physics.plume import optical_excess
from simulators.scada import EdgeNode
from simulators.scenario import Fault, GatewayOut

#: Gilbert–Elliott: chance to fall into the bad state and to come back, each reading; bad readings are lost.
FALL, RISE = 0.02, 0.10
#: Standard deviation of the logarithm of a latency whose P99 is five times its median (NB-IoT: 2 s and 10 s).
LATE_SPREAD = math.log(5) / 2.326
OPTICAL = ("tsp", "pm10", "pm25")
CST_US = 8 * HOUR_US


@dataclass(frozen=True, slots=True)
class Label:
    """A fault as the truth knows it. `to_us` 0: to the end."""

    cause: int
    device: str
    kind: str
    from_us: int
    to_us: int


@dataclass(slots=True)
class _Broken:
    fault: Fault
    cause: int
    since_us: int
    held: dict[str, float] = field(default_factory=dict)
    lost: bool = False
    count: int = 0


class Hardware:
    """Faults of devices, applied to what they say."""

    def __init__(self, devices: Sequence[str], seed: int) -> None:
        self._devices = list(devices)
        self._rng = np.random.default_rng([9, seed])
        self._broken: dict[str, list[_Broken]] = {}
        self.labels: list[Label] = []
        self._sent = 0
        self._under_way: list[tuple[int, int, Sample]] = []  # when it arrives, in which order it was sent

    def begin(self, fault: Fault, cause: int, now_us: int) -> list[str]:
        """Break the devices that the fault names; their ids."""
        chosen = [device for device in self._devices if fnmatchcase(device, fault.devices)][: fault.count]
        for device in chosen:
            self._broken.setdefault(device, []).append(_Broken(fault, cause, now_us))
            self.labels.append(Label(cause, device, fault.kind, now_us, 0))
        return chosen

    def end(self, cause: int, now_us: int) -> None:
        for device, broken in list(self._broken.items()):
            self._broken[device] = [each for each in broken if each.cause != cause]
        self.labels = [
            replace(label, to_us=now_us) if label.cause == cause and not label.to_us else label
            for label in self.labels
        ]

    def apply(self, samples: Iterable[Sample], now_us: int) -> list[Sample]:
        """What arrives of what devices say, given what is wrong with them."""
        samples = list(samples)
        damp = {sample.device: sample.value for sample in samples if sample.channel == "humidity"}
        said: list[Sample] = []
        while self._under_way and self._under_way[0][0] <= now_us:
            said.append(heapq.heappop(self._under_way)[2])
        for sample in samples:
            broken = self._broken.get(sample.device)
            if not broken:
                said.append(sample)
                continue
            told: Sample | None = sample
            for each in broken:
                told = self._through(told, each, damp.get(sample.device, 0.0)) if told is not None else None
            if told is not None:
                said.append(told)
                if any(each.fault.kind == "duplicate" for each in broken):
                    said.append(told)
        return said

    def _through(self, sample: Sample, broken: _Broken, damp: float) -> Sample | None:
        size, kind = broken.fault.size, broken.fault.kind
        if kind == "stuck":
            return sample._replace(value=broken.held.setdefault(sample.channel, sample.value))
        if kind in ("bias", "spoof"):
            return sample._replace(value=size if kind == "spoof" else sample.value + size)
        if kind == "drift":
            return sample._replace(value=sample.value + size * (sample.time_us - broken.since_us) / DAY_US)
        if kind == "spikes":
            hit = self._rng.random() < 0.02
            return (
                sample._replace(value=sample.value + float(self._rng.choice((-size, size))))
                if hit
                else sample
            )
        if kind == "clock":
            return sample._replace(time_us=sample.time_us + (round(size * SECOND_US) or CST_US))
        if kind == "epoch":
            return sample._replace(time_us=sample.time_us - broken.since_us)
        if kind == "humid":
            factor = float(optical_excess(np.array([damp]))[0]) if sample.channel in OPTICAL else 1.0
            return sample._replace(value=sample.value * factor)
        if kind == "battery":
            broken.count += 1
            return sample if broken.count % max(round(size), 1) == 0 else None
        if kind == "late":
            after_s = size * math.exp(LATE_SPREAD * self._rng.standard_normal())
            self._sent += 1
            heapq.heappush(self._under_way, (sample.time_us + round(after_s * SECOND_US), self._sent, sample))
            return None
        if kind == "dropout":
            broken.lost = self._rng.random() < (1 - RISE if broken.lost else FALL)
            return None if broken.lost else sample
        return None if kind == "silent" else sample


@dataclass(slots=True)
class _Line:
    """One gateway's way to the product."""

    held: deque[Wire] = field(default_factory=deque)
    down: bool = False
    dump_per_s: float = 30.0


class Network:
    """Frames on their way: at once, or held while a gateway is cut off and dumped, oldest first, among live ones.

    An edge node of Sparkplug B dies with its line, and is born again before it says anything more.
    """

    def __init__(self, nodes: Mapping[str, EdgeNode] = MappingProxyType({})) -> None:
        self._lines: dict[str, _Line] = {}
        self._nodes = nodes
        self._to_bear = set(nodes)
        self._dead: list[str] = []

    def begin(self, outage: GatewayOut) -> None:
        line = self._lines.setdefault(outage.gateway, _Line())
        line.down, line.dump_per_s = True, outage.dump_per_s
        if outage.gateway in self._nodes:
            self._dead.append(outage.gateway)

    def end(self, gateway: str) -> None:
        self._lines[gateway].down = False
        if gateway in self._nodes:
            self._nodes[gateway].bd_seq += 1
            self._to_bear.add(gateway)

    def hear(self, commands: Iterable[tuple[str, bytes]]) -> None:
        """What the product tells edge nodes, as (topic, payload)."""
        for topic, payload in commands:
            node = Topic.of(topic).node
            if node in self._nodes and self._nodes[node].asked(payload):
                self._to_bear.add(node)

    def carry(self, wires: Iterable[Wire], now_us: int, dt_s: float) -> list[Wire]:
        """What arrives now of what was sent now and before."""
        arrived = self._lives(now_us)
        for wire in wires:
            line = self._lines.get(wire.gateway)
            if line is not None and line.down:
                line.held.append(wire)
            else:
                arrived.append(self._out(wire))
        for line in self._lines.values():
            if not line.down:
                many = min(len(line.held), max(1, round(line.dump_per_s * dt_s)))
                arrived += [self._out(line.held.popleft(), historical=True) for _ in range(many)]
        return arrived

    def _lives(self, now_us: int) -> list[Wire]:
        """Deaths and births that are due."""
        found = [Wire(node, *self._nodes[node].death()) for node in self._dead]
        self._dead.clear()
        for name in sorted(self._to_bear):
            if name not in self._lines or not self._lines[name].down:
                found += [Wire(name, *frame) for frame in self._nodes[name].births(now_us)]
                self._to_bear.discard(name)
        return found

    def _out(self, wire: Wire, *, historical: bool = False) -> Wire:
        node = self._nodes.get(wire.gateway)
        return wire if node is None else wire._replace(payload=node.sent(wire.payload, historical=historical))

    @property
    def held(self) -> int:
        return sum(len(line.held) for line in self._lines.values())
