"""Reads what the analysis page shows: series of points from roll-ups, and the hours of all points of a quantity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
from numpy.typing import NDArray

from core.access import Policy, Scope
from core.actor import Actor
from core.clock import DAY_US, HOUR_US, SECOND_US, Clock
from core.db import Database
from core.text import Texts
from dashboard.explore.view import View, bucket_of
from iot.kinds import Channel
from iot.registry import Device, Registry
from iot.views import Series, hours_of_many, series, steps_of_many

ACTION = "reading.read"
#: What one map over time reads at most; a longer time of many points begins later.
MOST_HOURS = 400_000
#: Steps of the slider.
MOST_STEPS = 96
#: Steps shorter than an hour are made of readings: the shortest that the slider holds, while no more are to be read.
FINE_S = (60, 120, 300, 600, 900, 1800)
MOST_READINGS = 100_000
#: In whole hours the map shows at least so much.
LEAST_US = 6 * HOUR_US
FOUND = 40


@dataclass(frozen=True, slots=True)
class Point:
    """A channel of a device, with what it is called."""

    key: str
    device: Device
    channel: Channel
    name: str
    quantity: str

    @property
    def label(self) -> str:
        return f"{self.name} · {self.quantity}"


@dataclass(frozen=True, slots=True)
class Line:
    """A point over a time."""

    point: Point
    series: Series


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """All points of a quantity over time: mean values [step, device], NaN where there was none."""

    step_us: int
    time_us: NDArray[np.int64]
    devices: list[Device]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Explorer:
    """Everything the page asks; what an actor may not see is as if it were not there."""

    database: Database
    clock: Clock
    policy: Policy
    texts: Texts
    zone: tzinfo
    city: dict[str, str]
    registry: Callable[[], Registry]

    def point(self, actor: Actor, key: str, language: str) -> Point | None:
        """The point `device/channel`, if there is one that the actor may see."""
        id_, _, name = key.rpartition("/")
        registry = self.registry()
        device = registry.devices.get(id_)
        if device is None or not self.may_see(actor, device):
            return None
        channel = registry.channel(device, name)
        return None if channel is None else self._point(device, name, channel, language)

    def _point(self, device: Device, name: str, channel: Channel, language: str) -> Point:
        title = f"channel.{channel.full_name}.name"
        quantity = self.texts(title, language) if self.texts.has(title) else name
        called = device.name.get(language) or device.name.get("zh") or device.id
        return Point(f"{device.id}/{name}", device, channel, called, quantity)

    def may_see(self, actor: Actor, device: Device) -> bool:
        return self.policy.permits(actor, ACTION, Scope(area=device.area))

    def points(self, actor: Actor, sought: str, language: str) -> list[Point]:
        """The first points whose names hold all the words sought."""
        words = sought.lower().split()
        found = []
        for point in self._all(actor, language):
            known = f"{point.key} {point.label} {' '.join(point.device.name.values())} {point.device.asset}".lower()
            if all(word in known for word in words):
                found.append(point)
            if len(found) == FOUND:
                break
        return found

    def _all(self, actor: Actor, language: str) -> Iterator[Point]:
        registry = self.registry()
        for device in registry.devices.values():
            if not self.may_see(actor, device):
                continue
            for name, full in registry.kind_of(device).channels.items():
                yield self._point(device, name, registry.channels[full], language)

    async def lines(self, actor: Actor, view: View, language: str) -> list[Line]:
        """The points of a view over its time, each from the roll-up that its span asks for."""
        begin_us, end_us = view.between_us(self.clock.now_us())
        bucket = bucket_of(begin_us, end_us)
        found = []
        for key in view.points:
            point = self.point(actor, key, language)
            if point is not None:
                numbers = (point.device.number, point.channel.number)
                read = await series(self.database, numbers, begin_us, end_us, bucket, zone=str(self.zone))
                found.append(Line(point, read))
        return found

    def quantities(self, actor: Actor) -> dict[str, int]:
        """Full names of channels with how many points there are of each, the most first."""
        registry = self.registry()
        counted: dict[str, int] = {}
        for device in registry.devices.values():
            if self.may_see(actor, device):
                for full in registry.kind_of(device).channels.values():
                    counted[full] = counted.get(full, 0) + 1
        return dict(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))

    async def frames(self, actor: Actor, full: str, begin_us: int, end_us: int) -> Frames:
        """A quantity everywhere over time: in minutes while that is quick, else in whole hours."""
        registry = self.registry()
        devices = [
            device
            for device in registry.devices.values()
            if self.may_see(actor, device) and full in registry.kind_of(device).channels.values()
        ]
        numbers = np.array([device.number for device in devices], np.int32)
        points = numbers, np.full(len(numbers), registry.channels[full].number, np.int16)
        longest_us = max(DAY_US, MOST_HOURS // max(len(devices), 1) * HOUR_US)
        span_us = min(max(end_us - begin_us, LEAST_US), longest_us)
        first, last = (end_us - span_us) // HOUR_US, -(-end_us // HOUR_US)
        hours = await hours_of_many(self.database, *points, first * HOUR_US, last * HOUR_US)
        step_s = fine_step(end_us - begin_us, int(hours.n[hours.time_us >= begin_us - HOUR_US].sum()))
        if step_s is None:
            means = hours.device, hours.time_us // HOUR_US, hours.value, hours.n
            return stepped(means, devices, (first, last), HOUR_US)
        unit_us = step_s * SECOND_US
        first, last = begin_us // unit_us, -(-end_us // unit_us)
        read = await steps_of_many(self.database, *points, first * unit_us, last * unit_us, step_s)
        return stepped(
            (read.device, read.time_us // unit_us, read.value, read.n), devices, (first, last), unit_us
        )


def fine_step(span_us: int, readings: int) -> int | None:
    """The length in s of the steps of a span that holds so many readings; None where only hours are quick enough."""
    fits = (step for step in FINE_S if span_us / (step * SECOND_US) < MOST_STEPS)
    return next(fits, None) if readings <= MOST_READINGS else None


def stepped(
    means: tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64], NDArray[np.int32]],
    devices: list[Device], between: tuple[int, int], unit_us: int,
) -> Frames:  # fmt: skip
    """Means of (device, number of the unit, mean, how many) as a table of at most `MOST_STEPS` steps."""
    device, unit, mean, n = means
    first, last = between
    width = max(1, -(-(last - first) // MOST_STEPS))
    steps = max(1, -(-(last - first) // width))
    numbers = np.array([each.number for each in devices], np.int32)
    order = np.argsort(numbers)
    column = order[np.searchsorted(numbers[order], device)] if len(numbers) else device
    total, count = np.zeros((steps, len(devices))), np.zeros((steps, len(devices)))
    at = ((unit - first) // width, column)
    np.add.at(total, at, mean * n)
    np.add.at(count, at, n)
    values = np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
    return Frames(width * unit_us, (first + np.arange(steps) * width) * unit_us, devices, values)
