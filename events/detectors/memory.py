"""What devices said last, as of any instant of the readings at hand: for guards and for comparing with others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from events.detectors import NOTHING, Findings, Floats, Ints, Times
from events.detectors.columns import NEVER, Columns
from events.detectors.watches import Watches


class Memory:
    """A detector that finds nothing and remembers values. It observes before the others do."""

    name = "memory"

    def __init__(self, watches: Watches) -> None:
        self.watches = watches
        self.columns = Columns(
            len(watches), {"at": ("<i8", NEVER, ()), "value": ("<f8", np.nan, ()), "wet": ("<i8", NEVER, ())}
        )
        self._watch_of = np.full(len(watches.count), -1, np.int32)
        self._watch_of[watches.point] = np.arange(len(watches))
        self._rows: tuple[Ints, Times, Floats] = (np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0))

    def observe(self, points: Ints, time_us: Times, value: Floats) -> Findings:
        """Remember; what was at hand before becomes the past."""
        self._settle()
        mine = self._watch_of[points] >= 0
        self._rows = (points[mine], time_us[mine], value[mine])
        return NOTHING

    def _settle(self) -> None:
        """The readings at hand become the state: the last of each point, and when it was last above zero."""
        points, time_us, value = self._rows
        if not len(points):
            return
        w = self._watch_of[points]
        last = np.append(points[1:] != points[:-1], True)
        self.columns["at"][w[last]] = time_us[last]
        self.columns["value"][w[last]] = value[last]
        np.maximum.at(self.columns["wet"], w, np.where(value > 0, time_us, NEVER))
        self._rows = (points[:0], time_us[:0], value[:0])

    def asof(self, point: int, time_us: int) -> tuple[int, float] | None:
        """(when, value) of the newest reading of a point at or before an instant."""
        points, times, values = self._rows
        begin, end = np.searchsorted(points, [point, point + 1])
        place = int(np.searchsorted(times[begin:end], time_us, side="right"))
        if place:
            return int(times[begin + place - 1]), float(values[begin + place - 1])
        w = int(self._watch_of[point])
        if w < 0 or self.columns["at"][w] == NEVER or self.columns["at"][w] > time_us:
            return None
        return int(self.columns["at"][w]), float(self.columns["value"][w])

    def last(self, point: int) -> tuple[int, float] | None:
        """(when, value) of the newest reading of a point."""
        points, times, values = self._rows
        end = int(np.searchsorted(points, point, side="right"))
        if end and points[end - 1] == point:
            return int(times[end - 1]), float(values[end - 1])
        w = int(self._watch_of[point])
        if w < 0 or self.columns["at"][w] == NEVER:
            return None
        return int(self.columns["at"][w]), float(self.columns["value"][w])

    def last_wet(self, point: int, time_us: int) -> int | None:
        """When a point last said more than zero, at or before an instant; None when it never did."""
        points, times, values = self._rows
        begin, end = np.searchsorted(points, [point, point + 1])
        wet = times[begin:end][(values[begin:end] > 0) & (times[begin:end] <= time_us)]
        if len(wet):
            return int(wet[-1])
        w = int(self._watch_of[point])
        return None if w < 0 or self.columns["wet"][w] == NEVER else int(self.columns["wet"][w])

    def advance(self, _: int) -> Findings:
        return NOTHING

    def state(self, points: Ints) -> NDArray[np.void]:
        self._settle()
        return self.columns.pack(self.watches.of_points(points))

    def restore(self, records: NDArray[np.void]) -> None:
        self._settle()
        self.columns.unpack(records)

    def forget(self, points: Ints) -> None:
        self._settle()
        self.columns.clear(self.watches.of_points(points))
