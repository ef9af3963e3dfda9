"""What some points said over the last hours, in steps: for tracing where the air brought something from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.clock import MINUTE_US
from events.detectors import NOTHING, Findings, Floats, Ints, Times
from events.detectors.columns import NEVER, Columns
from events.detectors.watches import Watches

STEP_US = 15 * MINUTE_US
STEPS = 24


class Trail:
    """A detector that finds nothing and remembers means of 15 minutes, six hours back; of some, what came last."""

    name = "trail"

    def __init__(self, watches: Watches, turning: NDArray[np.bool_]) -> None:
        """`turning` (watches): angles, of which no mean is taken."""
        self.watches = watches
        self.columns = Columns(
            len(watches),
            {"newest": ("<i8", NEVER, ()), "sum": ("<f8", 0.0, (STEPS,)), "n": ("<i4", 0, (STEPS,))},
        )
        self._turning = turning
        self._watch_of = np.full(len(watches.count), -1, np.int32)
        self._watch_of[watches.point] = np.arange(len(watches))

    def observe(self, points: Ints, time_us: Times, value: Floats) -> Findings:
        """Add to the steps that the readings lie in."""
        mine = np.flatnonzero(self._watch_of[points] >= 0)
        if not len(mine):
            return NOTHING
        w, step, value = self._watch_of[points[mine]], time_us[mine] // STEP_US, value[mine]
        last = np.append(w[1:] != w[:-1], True)
        self._slide(w[last], step[last])
        recent = step > self.columns["newest"][w] - STEPS
        w, slot, value = w[recent], step[recent] % STEPS, value[recent]
        turning = self._turning[w]
        np.add.at(self.columns["sum"], (w[~turning], slot[~turning]), value[~turning])
        np.add.at(self.columns["n"], (w[~turning], slot[~turning]), 1)
        self.columns["sum"][w[turning], slot[turning]] = value[turning]
        self.columns["n"][w[turning], slot[turning]] = 1
        return NOTHING

    def _slide(self, w: Ints, step: Times) -> None:
        """Empty the steps that begin anew."""
        newest = self.columns["newest"]
        behind = np.minimum(step - np.maximum(newest[w], step - STEPS), STEPS)
        for back in range(int(behind.max())):
            stale = behind > back
            self.columns["sum"][w[stale], (step[stale] - back) % STEPS] = 0.0
            self.columns["n"][w[stale], (step[stale] - back) % STEPS] = 0
        newest[w] = step

    def newest(self, points: Ints) -> int:
        """The newest step that any of these points spoke in; NEVER where none did."""
        return int(self.columns["newest"][self._watch_of[points]].max(initial=NEVER))

    def steps(self, points: Ints, end: int) -> Floats:
        """(STEPS, points) means of the steps up to `end`; NaN where nothing was said."""
        w = self._watch_of[points]
        newest = self.columns["newest"][w]
        steps = np.arange(end - STEPS + 1, end + 1)[:, None]
        n = np.where((steps <= newest) & (steps > newest - STEPS), self.columns["n"][w, steps % STEPS], 0)
        return np.where(n > 0, self.columns["sum"][w, steps % STEPS] / np.maximum(n, 1), np.nan)

    def advance(self, _: int) -> Findings:
        return NOTHING

    def state(self, points: Ints) -> NDArray[np.void]:
        return self.columns.pack(self.watches.of_points(points))

    def restore(self, records: NDArray[np.void]) -> None:
        self.columns.unpack(records)

    def forget(self, points: Ints) -> None:
        self.columns.clear(self.watches.of_points(points))
