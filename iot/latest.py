"""The newest reading of every point, in memory, as columns by dense point number. Rebuilt at start from its table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.batch import Batch
from iot.registry import Registry

NEVER = np.iinfo(np.int64).min


class Latest:
    """What each point said last. A reading from the future counts as of its receipt (`Batch.ordered_us`)."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.moment_us = np.empty(0, np.int64)
        self._time_us = np.empty(0, np.int64)
        self._received_us = np.empty(0, np.int64)
        self._value = np.empty(0, np.float64)
        self._quality = np.empty(0, np.uint16)
        self._gateway = np.empty(0, np.int32)
        self.use(registry)

    def use(self, registry: Registry) -> None:
        """Take a later snapshot of the same registry; known points keep what they said."""
        self.registry = registry
        more = registry.size - len(self.moment_us)
        self.moment_us = np.append(self.moment_us, np.full(more, NEVER, np.int64))
        for name in ("_time_us", "_received_us", "_value", "_quality", "_gateway"):
            column = getattr(self, name)
            setattr(self, name, np.append(column, np.zeros(more, column.dtype)))

    def add(self, batch: Batch, points: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
        """Take what is newer; the points that it changed, each once.

        `points`: the dense numbers of the batch's rows, for whoever has looked them up already.
        """
        if points is None:
            points = self.registry.point(batch.device, batch.channel)
        moment = batch.ordered_us
        rows = newest_of_each(points, moment)
        rows = rows[points[rows] >= 0]
        rows = rows[moment[rows] >= self.moment_us[points[rows]]]
        at = points[rows]
        self.moment_us[at] = moment[rows]
        self._time_us[at] = batch.time_us[rows]
        self._received_us[at] = batch.received_us[rows]
        self._value[at] = batch.value[rows]
        self._quality[at] = batch.quality[rows]
        self._gateway[at] = batch.gateway[rows]
        return at

    def has(self, points: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Which of these points have ever said something?"""
        said: NDArray[np.bool_] = self.moment_us[points] != NEVER
        return said

    def known(self) -> NDArray[np.int32]:
        """All points that have ever said something."""
        return np.flatnonzero(self.moment_us != NEVER).astype(np.int32)

    def batch(self, points: NDArray[np.integer] | None = None) -> Batch:
        """The last readings of these points (all known ones when none are named), in their order."""
        at = self.known() if points is None else points[self.has(points)]
        return Batch(
            self.registry.device_of[at],
            self.registry.channel_of[at],
            self._time_us[at],
            self._received_us[at],
            self._value[at],
            self._quality[at],
            self._gateway[at],
        )

    def __len__(self) -> int:
        return int(np.count_nonzero(self.moment_us != NEVER))


def newest_of_each(points: NDArray[np.int32], moment_us: NDArray[np.int64]) -> NDArray[np.intp]:
    """The row of each point's newest reading, the last of equals; by point.

    What is committed comes in the order of its points and their times mostly: then nothing is sorted.
    """
    same = points[1:] == points[:-1]
    if ((points[1:] > points[:-1]) | (same & (moment_us[1:] >= moment_us[:-1]))).all():
        return np.flatnonzero(np.append(~same, len(points) > 0)[: len(points)])
    order = np.lexsort((moment_us, points))
    ordered = points[order]
    newest: NDArray[np.intp] = order[np.append(ordered[1:] != ordered[:-1], True)]
    return newest
