"""Devices that speak: when a point reports, what it reports, and the frames in which its gateway sends it.

Everything here is a function of (from, to] on a clock that somebody else moves: 1× on the wire, any speed in a
scored run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US, MINUTE_US
from iot.codecs import senml
from simulators import streams
from simulators.dialects import Speaker
from simulators.scada import EdgeNode
from simulators.streams import Floats, Rows
from simulators.tape import Tape

#: Who was alarmed reports as usual when nothing has moved for so long.
CALM_AGAIN_US = 10 * MINUTE_US
#: A pack of a gateway holds at most this many readings.
PACK = 500


class Sample(NamedTuple):
    """One reading as a device says it, in the channel's own unit."""

    device: str
    channel: str
    time_us: int
    value: float


class Wire(NamedTuple):
    """One message of a gateway."""

    gateway: str
    topic: str
    payload: bytes


class Emitter(Protocol):
    """Whatever speaks."""

    def emit(self, from_us: int, to_us: int) -> list[Sample]:
        """All that is said in (from, to], in no particular order."""


class Reader(Protocol):
    """What points of a fleet measure: parallel rows → values at a time, NaN where a device says nothing."""

    def __call__(self, rows: Rows, now_us: int) -> Floats: ...


@dataclass(frozen=True, slots=True)
class Point:
    """One channel of one device. It reports every `period_us`, and at once when it moved by `deadband` since.

    `alarm_us` > 0: after such a move it reports this often, until nothing has moved for a while.
    """

    device: str
    channel: str
    period_us: int
    deadband: float = np.inf
    alarm_us: int = 0


class Fleet:
    """Points that share a reader. A device's points report together, each device at a phase of its own."""

    def __init__(self, points: Sequence[Point], read: Reader, *, seed: int = 0) -> None:
        self.points = list(points)
        self._read = read
        self._period = np.array([point.period_us for point in points], np.int64)
        phase = [streams.key_of(seed, point.device) % point.period_us for point in points]
        self._phase = np.array(phase, np.int64)
        alarm = [point.alarm_us or point.period_us for point in points]
        self._alarm = np.minimum(np.array(alarm, np.int64), self._period)
        self._alarmed_us = np.zeros(len(points), np.int64)  # until when
        self._deadband = np.array([point.deadband for point in points])
        self._watched = np.flatnonzero(np.isfinite(self._deadband))
        self._said = np.full(len(points), np.nan)

    def emit(self, from_us: int, to_us: int) -> list[Sample]:
        """Due reports at their due times, with the values of `to`; then what moved beyond its dead band."""
        period = np.where(self._alarmed_us > to_us, self._alarm, self._period)
        last_due = to_us - (to_us - self._phase) % period
        due = np.flatnonzero(last_due > from_us)
        said = self._say(due, last_due[due], to_us)
        if len(self._watched):
            value = self._read(self._watched, to_us)
            fresh = np.isnan(self._said[self._watched])
            self._said[self._watched[fresh]] = value[fresh]  # what history has said already
            moved = np.abs(value - self._said[self._watched]) >= self._deadband[self._watched]
            rows = self._watched[moved]
            if len(rows):
                self._alarmed_us[rows] = to_us + CALM_AGAIN_US
                said += self._say(rows, np.full(len(rows), to_us, np.int64), to_us)
        return said

    def hurry(self, devices: str, period_us: int) -> None:
        """Devices (id, or a beginning that ends in *) report so often; 0: as they were made."""
        for row, point in enumerate(self.points):
            if fnmatchcase(point.device, devices):
                self._period[row] = min(period_us or point.period_us, point.period_us)

    def _say(self, rows: Rows, times: NDArray[np.int64], now_us: int) -> list[Sample]:
        if not len(rows):
            return []
        value = self._read(rows, now_us)
        self._said[rows] = value
        spoken = np.isfinite(value)
        return [
            Sample(self.points[row].device, self.points[row].channel, time, reading)
            for row, time, reading in zip(
                rows[spoken].tolist(), times[spoken].tolist(), value[spoken].tolist(), strict=True
            )
        ]


class Tapes:
    """Recorded devices that go on where history ended."""

    def __init__(self, placed: Sequence[Placed], offset_us: int) -> None:
        self._placed = placed
        self._offset_us = offset_us
        self._soon: list[Sample] = []
        self._until_us: int | None = None

    def emit(self, from_us: int, to_us: int) -> list[Sample]:
        """What was recorded in (from, to]. Reads ahead, so that a tick costs next to nothing."""
        if self._until_us is None or to_us > self._until_us:
            self._soon = self._read_ahead(from_us, to_us + DAY_US // 24)
            self._until_us = to_us + DAY_US // 24
        said = [sample for sample in self._soon if from_us < sample.time_us <= to_us]
        self._soon = [sample for sample in self._soon if sample.time_us > to_us]
        return said

    def _read_ahead(self, from_us: int, until_us: int) -> list[Sample]:
        return [
            Sample(placed.device, placed.channel, time, value)
            for placed in self._placed
            for time, value in placed.between(from_us + 1, until_us + 1, self._offset_us)
        ]


@dataclass(frozen=True, slots=True)
class Placed:
    """A recorded series that stands in for a point of the sample city."""

    device: str
    channel: str
    tape: Tape
    recorded: str
    recorded_channel: str

    def between(self, from_us: int, to_us: int, offset_us: int) -> Iterable[tuple[int, float]]:
        times, values = self.tape.between(self.recorded, self.recorded_channel, from_us, to_us, offset_us)
        return zip(times.tolist(), values.tolist(), strict=True)


def packs(
    samples: Iterable[Sample],
    gateway_of: Mapping[str, str],
    speakers: Mapping[str, Speaker] = MappingProxyType({}),
    nodes: Mapping[str, EdgeNode] = MappingProxyType({}),
) -> list[Wire]:
    """SenML packs of every gateway that has something to say, oldest reading first; then who speaks otherwise.

    A frame of a field protocol has the protocol as its gateway and `protocol/station` as its topic. What an edge node
    says is not yet in its sequence.
    """
    by_gateway: dict[str, list[Sample]] = defaultdict(list)
    by_device: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.device in speakers or gateway_of[sample.device] in nodes:
            by_device[sample.device].append(sample)
        else:
            by_gateway[gateway_of[sample.device]].append(sample)
    frames: list[Wire] = []
    for gateway, said in sorted(by_gateway.items()):
        said.sort(key=lambda sample: sample.time_us)
        for start in range(0, len(said), PACK):
            pack = ((f"{s.device}/{s.channel}", "", s.time_us, s.value) for s in said[start : start + PACK])
            frames.append(Wire(gateway, f"telemetry/{gateway}", senml.encode(pack)))
    for device, said in sorted(by_device.items()):
        said.sort(key=lambda sample: sample.time_us)
        readings = [(sample.channel, sample.time_us, sample.value) for sample in said]
        gateway = gateway_of[device]
        if gateway in nodes:
            frames.append(Wire(gateway, *nodes[gateway].data(device, readings)))
        else:
            topic = f"{gateway}/{speakers[device].station}"
            frames += [Wire(gateway, topic, frame) for frame in speakers[device].frames(readings)]
    return frames
