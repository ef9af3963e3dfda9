"""Novelty: how surprising a reading is after all that its own point has said, without a limit set by anybody."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from events.detectors import Findings, Floats, Ints, Times
from events.detectors.columns import Spec
from events.detectors.families import Family

#: Readings that means are taken over, and that give the histograms their first range.
SPAN = 48
#: One more is kept, for the change that led to the first.
RING = SPAN + 1
#: What is counted: the reading, its change, the mean of the last readings, the mean of their changes.
VIEWS, WEIGHTS = 4, np.array([1.0, 0.7, 0.5, 0.3])
CELLS = 128
#: Room on each side of the first range, as a share of it; a range is never smaller than this share of its values.
ROOM, LEAST_SHARE, LEAST = 0.5, 1e-3, 1e-9
#: What a histogram forgets with each reading, and how many readings an empty cell is worth.
FORGETS, EMPTY = 5e-4, 1e-3
#: A reading counts a half in its cell and a quarter in each cell beside it.
BESIDE, SHARES = np.array([0, 1, 2]), np.array([0.25, 0.5, 0.25])
#: Newer readings weigh more instead of older ones less; after so many the weight begins anew at 1.
REBASE = 20_000
#: A point is judged when so many readings are known,
WARM = 100
#: by its own mean and sigma of surprise: how fast they follow, the most sigmas that teach, the least sigma in nats.
PACE, CLIP, LEAST_SIGMA = 0.005, 3.0, 0.3
#: What a nat of surprise and what a sigma of the point's own surprise count.
NAT, SIGMA = 0.65 / 3, 0.35
#: After a peak lower ones are mute: for so many readings at least, for a share of all known ones, at most for so many.
MUTE, MUTE_SHARE, MOST_MUTE = 100, 0.03, 500
#: Larger magnitudes are taken for this one, so that spans stay numbers.
HUGE = 1e100
#: Readings taken at once: what they touch fits into a processor's cache.
AT_ONCE = 4096


class Novelty(Family):
    """Four decayed histograms a point; the signal is 0 for what is usual, around 4 for what asks for a look.

    Surprise is the weighted sum of -ln p. What is surprising by habit is measured by the point's own mean and sigma.
    While a higher peak is recent the signal is 0: an event speaks once, and again only when it gets worse.
    A range doubles when a reading lies outside, so nobody has to know it. 2.7 kB a point.
    """

    name = "novelty"
    memory: Spec = {
        "n": ("<i8", 0, ()),
        "ring": ("<f8", 0.0, (RING,)),
        "sums": ("<f8", 0.0, (2,)),
        "low": ("<f8", 0.0, (VIEWS,)),
        "width": ("<f8", 1.0, (VIEWS,)),
        "cells": ("<f4", 0.0, (VIEWS, CELLS + 2)),  # an edge on each side, never read
        "mean": ("<f8", 0.0, ()),
        "variance": ("<f8", 0.0, ()),
        "top": ("<f8", 0.0, ()),
        "top_n": ("<i8", 0, ()),
    }

    def _sample(self, w: Ints, time_us: Times, value: Floats) -> Findings:
        value = np.clip(value, -HUGE, HUGE)
        parts = [slice(begin, begin + AT_ONCE) for begin in range(0, len(w), AT_ONCE)]
        return self.hold.step(
            w, time_us, np.concatenate([self._signal(w[part], value[part]) for part in parts])
        )

    def _signal(self, w: Ints, value: Floats) -> Floats:
        """The signal of a reading of each of distinct watches, which learn it."""
        state = self.columns
        n = state["n"][w] + 1
        state["n"][w] = n
        signal = np.zeros(len(w))
        known = n > SPAN
        if not known.all():
            young, age = w[~known], n[~known]
            state["ring"][young, age] = value[~known]
            self._begin(young[age == SPAN])
        if known.any():
            w, n, value = w[known], n[known], value[known]
            signal[known] = self._judge(w, n, self._surprise(w, n, self._views(w, n, value)))
        return signal

    def _begin(self, w: Ints) -> None:
        """The first readings are known: they give the ranges, and are counted."""
        state = self.columns
        state["ring"][w, 0] = state["ring"][w, 1]
        ring = state["ring"][w]
        state["sums"][w] = _sums(ring)
        values, changes = ring[:, 1:], np.diff(ring, axis=1)
        so_far = np.arange(1.0, RING)
        means = np.cumsum(values, axis=1) / so_far, np.cumsum(np.abs(changes), axis=1) / so_far
        views = np.stack([values, changes, *means], axis=2)
        low, high = views.min(axis=1), views.max(axis=1)
        least = np.maximum(LEAST_SHARE * np.maximum(np.abs(low), np.abs(high)), LEAST)
        width = np.maximum(high - low, least)
        state["low"][w], state["width"][w] = low - ROOM * width, (1 + 2 * ROOM) * width
        for place in range(SPAN):
            self._count(self._cell(w, views[:, place]), np.ones(len(w)))

    def _views(self, w: Ints, n: Times, value: Floats) -> Floats:
        """(rows, VIEWS) of what is counted; the reading takes the oldest one's place in the ring."""
        ring, sums = self.columns["ring"], self.columns["sums"]
        slot = n % RING
        oldest, leaving = ring[w, slot], ring[w, (n + 1) % RING]
        change = value - ring[w, slot - 1]
        ring[w, slot] = value
        told = sums[w] + np.stack([value - leaving, np.abs(change) - np.abs(leaving - oldest)], axis=1)
        around = slot == 0
        if around.any():  # from the readings themselves, so that no rounding stays
            told[around] = _sums(np.roll(ring[w[around]], -1, axis=1))
        sums[w] = told
        return np.concatenate([value[:, None], change[:, None], told / SPAN], axis=1)

    def _surprise(self, w: Ints, n: Times, views: Floats) -> Floats:
        """The weighted sum of -ln p of each row's views, which are counted after that."""
        cells = self.columns["cells"]
        self._widen(w, views)
        age = (n - SPAN) % REBASE
        if (old := age == 0).any():
            cells[w[old]] *= np.float32(math.exp(-FORGETS * REBASE))
        weight = np.exp(FORGETS * age)
        found = self._cell(w, views)
        seen = cells.reshape(-1)[found + 1] / weight[:, None]
        known = -np.expm1(-FORGETS * (n - 1)) / FORGETS
        p = (seen + EMPTY) / (known + EMPTY * CELLS)[:, None]
        self._count(found, weight)
        surprise: Floats = -(np.log(p * CELLS) * WEIGHTS).sum(axis=1)
        return surprise

    def _cell(self, w: Ints, views: Floats) -> NDArray[np.intp]:
        """Where in the flat array of cells the cell before each view's own stands."""
        state = self.columns
        inside = (views - state["low"][w]) / state["width"][w] * CELLS
        own: NDArray[np.intp] = np.clip(inside, 0, CELLS - 1).astype(np.intp)
        return own + (w[:, None] * VIEWS + np.arange(VIEWS)) * (CELLS + 2)

    def _count(self, found: NDArray[np.intp], weight: Floats) -> None:
        flat = self.columns["cells"].reshape(-1)
        flat[found[:, :, None] + BESIDE] += (weight[:, None, None] * SHARES).astype(np.float32)

    def _widen(self, w: Ints, views: Floats) -> None:
        """Double the ranges towards what lies outside, until nothing does."""
        state = self.columns
        low, width = state["low"][w], state["width"][w]
        row, view = np.nonzero((views < low) | (views >= low + width))
        while len(row):
            which, value = w[row], views[row, view]
            self._double(which, view, upward=value >= state["low"][which, view])
            low, width = state["low"][which, view], state["width"][which, view]
            still = (value < low) | (value >= low + width)
            row, view = row[still], view[still]

    def _double(self, which: Ints, view: NDArray[np.intp], upward: NDArray[np.bool_]) -> None:
        """Twice the range of distinct histograms; what was counted moves into one half of the cells."""
        state = self.columns
        width = state["width"][which, view]
        state["low"][which, view] -= np.where(upward, 0.0, width)
        state["width"][which, view] = 2 * width
        cells = state["cells"][which, view]
        half = np.where(upward, 1, 1 + CELLS // 2)[:, None] + np.arange(CELLS // 2)
        moved = np.zeros_like(cells)
        np.put_along_axis(moved, half, cells[:, 1:-1:2] + cells[:, 2:-1:2], axis=1)
        state["cells"][which, view] = moved

    def _judge(self, w: Ints, n: Times, surprise: Floats) -> Floats:
        """The signal: surprise by itself and by the point's habit, mute behind a recent peak."""
        state = self.columns
        mean, variance = state["mean"][w], state["variance"][w]
        sigma = np.sqrt(variance) + LEAST_SIGMA
        away = surprise - mean
        raw = np.where(n > WARM, NAT * surprise + SIGMA * away / sigma, 0.0)
        learned = np.where(n > WARM, np.minimum(away, CLIP * sigma), away)
        pace = np.maximum(PACE, 1.0 / (n - SPAN))
        state["mean"][w] = mean + pace * learned
        state["variance"][w] = (1 - pace) * (variance + pace * learned**2)
        top, top_n = state["top"][w], state["top_n"][w]
        mute = (raw <= top) & (n - top_n <= np.clip(MUTE_SHARE * n, MUTE, MOST_MUTE))
        state["top"][w] = np.where(mute, top, raw)
        state["top_n"][w] = np.where(mute, top_n, n)
        return np.where(mute, 0.0, np.maximum(raw, 0.0))


def _sums(ring: Floats) -> Floats:
    """(rows, 2) of readings in order: the sum of all but the first, the sum of the changes' sizes."""
    return np.stack([ring[:, 1:].sum(axis=1), np.abs(np.diff(ring, axis=1)).sum(axis=1)], axis=1)
