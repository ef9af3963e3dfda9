"""Sums over the last minutes or hours of event time, kept while readings pass: "now" never asks the hypertable. Pure.

A window of 10 minutes at 12:07:30 holds the minutes 11:58 … 12:07, the last of them not yet full: whoever recomputes
it from raw readings takes those minutes whole.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from core.batch import DOUBTFUL, Batch
from core.clock import HOUR_US, MINUTE_US, SECOND_US
from dashboard.vitals.declare import PointsDecl

#: Windows longer than an hour are kept in quarters of an hour.
QUARTER_US = 15 * MINUTE_US
#: What a slot keeps of its samples where that is no sum, and what stands there before the first.
KEPT: Mapping[str, tuple[np.ufunc, float]] = {"low": (np.minimum, np.inf), "high": (np.maximum, -np.inf)}


class Ring:
    """The slots of one input's window for its points; columns stand in the order of `points` (dense numbers)."""

    def __init__(self, decl: PointsDecl, points: NDArray[np.int32], size: int) -> None:
        window_us = round(decl.window * SECOND_US)
        self._decl = decl
        step_us = round(decl.step * SECOND_US)
        self.slot_us = step_us or (MINUTE_US if window_us <= HOUR_US else QUARTER_US)
        self._slots = max(1, window_us // self.slot_us) + (
            1 if step_us else 0
        )  # and the step that still runs
        self._column = np.full(size + 1, -1, np.int32)  # the last stands for points of others and for -1
        self._column[points] = np.arange(len(points), dtype=np.int32)
        shape = (self._slots, len(points))
        self._epoch = np.full(self._slots, -1, np.int64)
        self._n = np.zeros(shape, np.int64)
        self._kept, self._nothing = KEPT.get(decl.reduce, (np.add, 0.0))
        self._of = np.full(shape, self._nothing)
        self._newest = np.full(len(points), -1, np.int64)

    def add(self, points: NDArray[np.int32], time_us: NDArray[np.int64], value: NDArray[np.float64]) -> None:
        """Take readings that are in no doubt; those older than the window are left out."""
        column = self._columns_of(points)
        rows = column >= 0
        if not rows.any():
            return
        if not rows.all():
            column, time_us, value = column[rows], time_us[rows], value[rows]
        epoch = time_us // self.slot_us
        first, last = int(epoch.min()), int(epoch.max())
        for late in [first] if first == last else np.unique(epoch).tolist():
            self._turn(late)
        slot = epoch % self._slots
        held = self._epoch[slot] == epoch
        if not held.all():
            slot, column, time_us, value = slot[held], column[held], time_us[held], value[held]
        where = (
            slot * self._n.shape[1] + column
        )  # one flat index: numpy's `at` is several times quicker with it
        np.add.at(self._n.reshape(-1), where, 1)
        self._kept.at(self._of.reshape(-1), where, self._term(value))
        np.maximum.at(self._newest, column, time_us)

    def newest(self, points: NDArray[np.int32]) -> NDArray[np.int64]:
        """The newest event time that the window knows of each of these dense points, -1 where none."""
        newest = np.append(self._newest, -1)  # the last one stands for points of others
        return np.asarray(newest[self._columns_of(points)])

    def _columns_of(self, points: NDArray[np.int32]) -> NDArray[np.int32]:
        """The columns of dense points, -1 where they are not this window's."""
        return self._column[np.minimum(points, len(self._column) - 1)]

    def _term(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """What of a sample is summed: noise as energy, a share as yes or no."""
        if self._decl.reduce == "leq":
            return np.asarray(10.0 ** (value / 10.0))
        if self._decl.within is not None:
            low, high = self._decl.within
            return ((value >= low) & (value <= high)).astype(np.float64)
        return value

    def _turn(self, epoch: int) -> None:
        slot = epoch % self._slots
        if self._epoch[slot] < epoch:
            self._epoch[slot] = epoch
            self._n[slot] = 0
            self._of[slot] = self._nothing

    def values(self, now_us: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
        """(value, number of samples, newest time µs) of every point over the window that ends now."""
        now = now_us // self.slot_us
        live = (self._epoch > now - self._slots) & (self._epoch <= now)
        n = self._n[live].sum(axis=0)
        kept = self._kept.reduce(self._of[live], axis=0, initial=self._nothing)
        return self._reduced(kept, n), n, self._newest

    def steps(self, now_us: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
        """(begins µs, values [steps × points], newest time µs) of the whole steps before now; NaN without a sample."""
        epoch = np.arange(now_us // self.slot_us - self._slots + 1, now_us // self.slot_us)
        slot = epoch % self._slots
        n = np.where((self._epoch[slot] == epoch)[:, None], self._n[slot], 0)
        return epoch * self.slot_us, np.where(n > 0, self._reduced(self._of[slot], n), np.nan), self._newest

    def _reduced(self, kept: NDArray[np.float64], n: NDArray[np.int64]) -> NDArray[np.float64]:
        """What slots kept of `n` samples as the declaration wants it."""
        if self._decl.reduce in ("low", "high", "total"):
            return np.asarray(kept)
        mean = kept / np.maximum(n, 1)
        if self._decl.reduce == "leq":
            return np.asarray(10.0 * np.log10(np.maximum(mean, 1e-12)))
        return np.asarray(mean)


class Windows:
    """The rings of all windowed inputs, by (vital, input)."""

    def __init__(self) -> None:
        self._rings: dict[tuple[str, str], Ring] = {}

    def make(self, wanted: Mapping[tuple[str, str], tuple[PointsDecl, NDArray[np.int32]]], size: int) -> None:
        """Rings for these inputs, all empty."""
        self._rings = {key: Ring(decl, points, size) for key, (decl, points) in wanted.items()}

    def __getitem__(self, key: tuple[str, str]) -> Ring:
        return self._rings[key]

    def add(self, batch: Batch, points: NDArray[np.int32], *, seen: bool = False) -> None:
        """Take a batch; `points` are the dense numbers of its rows.

        `seen`: what is not newer than a window knows of its point was in it when it was warmed, and is left out.
        """
        points, moment, value = sound(batch, points)
        for ring in self._rings.values():
            if seen:
                new = moment > ring.newest(points)
                ring.add(points[new], moment[new], value[new])
            else:
                ring.add(points, moment, value)

    def add_to(self, key: tuple[str, str], batch: Batch, points: NDArray[np.int32]) -> None:
        """Take a batch into one window."""
        self._rings[key].add(*sound(batch, points))


def sound(
    batch: Batch, points: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:
    """Points, moments and values of the readings that are in no doubt."""
    moment = batch.ordered_us
    keep = (batch.quality & np.uint16(DOUBTFUL)) == 0
    if keep.all():
        return points, moment, batch.value
    return points[keep], moment[keep], batch.value[keep]
