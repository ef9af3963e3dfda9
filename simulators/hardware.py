"""What lies between the truth and the wire: sensors that fail, clocks that err, networks that lose and gather.

Each fault has a label (device, kind, from, to) for scoring. Readings are changed after the physics and before the
gateway packs them; frames are held, doubled and dumped between the gateway and the product.

| kind | what happens | size |
|---|---|---|
| stuck | the digits of the beginning for ever | – |
| bias, spoof | a step; another value altogether | in the channel's unit |
| drift | a slope | in the channel's unit a day |
| spikes | single samples off, one in fifty | in the channel's unit |
| noisy | normal noise upon what is measured | its standard deviation, in the channel's unit |
| clip | the end of the measuring range | the highest value that it can say |
| humid | optical dust heads read too high in damp air, by the device's own hygrometer | – |
| dropout | Gilbert–Elliott loss | – |
| silent | nothing at all; of a whole area: its base station is out | – |
| duplicate | said again 1 to 30 s later | share of the readings; 0: all |
| clock | ahead | seconds; 0: eight hours, UTC taken for local time |
| clock_drift | off by a normal offset of 2 s, and going wrong | parts in a million; 0: 20 |
| epoch | a clock that began at 1970 | – |
| late | arrives after a log-normal time, P99 five times the median | median in seconds |
| battery | an empty battery: one report of so many is sent | how many |
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import islice
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
#: Clocks of field devices: standard deviation of their offset, and how they go wrong.
CLOCK_S, DRIFT_PPM = 2.0, 20.0
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
    offset_us: int = 0
    held: dict[str, float] = field(default_factory=dict)
    lost: bool = False
    count: int = 0


class Hardware:
    """Faults of devices, applied to what they say."""

    def __init__(self, devices: Mapping[str, Collection[str]], seed: int) -> None:
        """`devices`: the zone and the street of each."""
        self._devices = dict(devices)
        self._rng = np.random.default_rng([9, seed])
        self._broken: dict[str, list[_Broken]] = {}
        self.labels: list[Label] = []
        self._sent = 0
        self._under_way: list[tuple[int, int, Sample]] = []  # when it arrives, in which order it was sent

    def begin(self, fault: Fault, cause: int, now_us: int) -> list[str]:
        """Break the devices that the fault names; their ids."""
        found = (
            device
            for device, where in self._devices.items()
            if fnmatchcase(device, fault.devices) and (not fault.area or fault.area in where)
        )
        chosen = list(islice(found, fault.count))
        for device in chosen:
            offset_us = (
                round(self._rng.normal(0.0, CLOCK_S) * SECOND_US) if fault.kind == "clock_drift" else 0
            )
            self._broken.setdefault(device, []).append(_Broken(fault, cause, now_us, offset_us))
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
        return said

    def _later(self, sample: Sample, after_s: float) -> None:
        self._sent += 1
        heapq.heappush(self._under_way, (sample.time_us + round(after_s * SECOND_US), self._sent, sample))

    def _through(self, sample: Sample, broken: _Broken, damp: float) -> Sample | None:
        time_us = sample.time_us + self._clock_error_us(sample.time_us, broken)
        told = sample._replace(value=self._value(sample, broken, damp), time_us=time_us)
        return told if self._arrives(told, broken) else None

    def _value(self, sample: Sample, broken: _Broken, damp: float) -> float:
        """What the sensor shows."""
        size, value = broken.fault.size, sample.value
        match broken.fault.kind:
            case "stuck":
                return broken.held.setdefault(sample.channel, value)
            case "bias":
                return value + size
            case "spoof":
                return size
            case "drift":
                return value + size * (sample.time_us - broken.since_us) / DAY_US
            case "spikes" if self._rng.random() < 0.02:
                return value + float(self._rng.choice((-size, size)))
            case "noisy":
                return value + size * float(self._rng.standard_normal())
            case "clip":
                return min(value, size)
            case "humid" if sample.channel in OPTICAL:
                return value * float(optical_excess(np.array([damp]))[0])
        return value

    @staticmethod
    def _clock_error_us(time_us: int, broken: _Broken) -> int:
        size = broken.fault.size
        match broken.fault.kind:
            case "clock":
                return round(size * SECOND_US) or CST_US
            case "clock_drift":
                return broken.offset_us + round((time_us - broken.since_us) * (size or DRIFT_PPM) / 1e6)
            case "epoch":
                return -broken.since_us
        return 0

    def _arrives(self, sample: Sample, broken: _Broken) -> bool:
        """Does it go out now?"""
        size = broken.fault.size
        match broken.fault.kind:
            case "silent":
                return False
            case "battery":
                broken.count += 1
                return broken.count % max(round(size), 1) == 0
            case "dropout":
                broken.lost = self._rng.random() < (1 - RISE if broken.lost else FALL)
                return not broken.lost
            case "late":
                self._later(sample, size * math.exp(LATE_SPREAD * self._rng.standard_normal()))
                return False
            case "duplicate" if self._rng.random() < (size or 1.0):
                self._later(sample, self._rng.uniform(1.0, 30.0))
        return True


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
