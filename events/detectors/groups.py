"""Families of several points: what comes in against what goes out and is usual, and one against those like it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from events.detectors import NOTHING, Findings, Floats, Ints, Times, merged
from events.detectors.bonds import Bonds
from events.detectors.columns import NEVER, Spec
from events.detectors.families import ALL, Family, Surroundings
from events.detectors.hold import Bools, Phase
from events.detectors.watches import Watches

#: Rows of memberships.
Rows = NDArray[np.intp]


class Grouped(Family):
    """Means of the points of a group over windows of the clock.

    A window closes with the first reading of the group (of its unit, where groups share points) that is newer than its
    end by the group's `wait`; until then readings may come in any order of points. Of a point that was silent in a
    window nobody knows.
    """

    memory: Spec = {
        "window": ("<i8", NEVER, (2,)),  # of the two that may be open: their number, sum and count
        "sum": ("<f8", 0.0, (2,)),
        "n": ("<i4", 0, (2,)),
        "newest": (
            "<i8",
            NEVER,
            (),
        ),  # of a unit, at its lead: the newest window, and the last that was closed
        "closed": ("<i8", NEVER, ()),
    }

    def __init__(self, watches: Watches, around: Surroundings) -> None:
        super().__init__(watches, around)
        self.bonds: Bonds = around.bonds(watches)

    def observe(self, points: Ints, time_us: Times, value: Floats) -> Findings:
        """See `Detector.observe`."""
        rows, w = self.watches.spread(points)
        mine = self.bonds.unit_of[w] >= 0
        rows, w = rows[mine], w[mine]
        return merged(list(self._windows(w, time_us[rows], value[rows]))) if len(w) else NOTHING

    def _windows(self, w: Ints, time_us: Times, value: Floats) -> Iterator[Findings]:
        """Take the readings window by window; what closes before each."""
        number = time_us // self.watches.window_us[w]
        first, last = int(number.min()), int(number.max())
        for each in (first,) if first == last else np.unique(number).tolist():
            rows = ALL if first == last else np.flatnonzero(number == each)
            mine, unit = w[rows], self.bonds.unit_of[w[rows]]
            for back in (1, 0):
                yield from self._close(unit, time_us[rows], back)
            self.columns["newest"][self.bonds.lead[unit]] = each
            self._add(mine, each, value[rows])

    def _add(self, w: Ints, number: int, value: Floats) -> None:
        state, slot = self.columns, number & 1
        new = w[state["window"][w, slot] != number]
        state["window"][new, slot], state["sum"][new, slot], state["n"][new, slot] = number, 0.0, 0
        if (w[1:] > w[:-1]).all():  # one reading of each: much the quickest
            state["sum"][w, slot] += value
            state["n"][w, slot] += 1
        else:
            np.add.at(state["sum"][:, slot], w, value)
            np.add.at(state["n"][:, slot], w, 1)

    def _close(self, unit: Ints, time_us: Times, back: int) -> Iterator[Findings]:
        """Close the newest window of units, or the one before, where these readings are new enough."""
        bonds, state = self.bonds, self.columns
        newest, closed = state["newest"][bonds.lead], state["closed"][bonds.lead]
        number = newest - back
        over_us = (number + 1) * self.watches.window_us[bonds.lead] + bonds.wait_us
        waits = (newest != NEVER) & (closed < number) & (over_us <= time_us.max())
        if not waits.any():
            return
        due = waits[unit] & (time_us >= over_us[unit])
        if due.any():
            units, row = np.unique(unit[due], return_inverse=True)
            at_us = np.full(len(units), np.iinfo(np.int64).max)
            np.minimum.at(at_us, row, time_us[due])
            state["closed"][bonds.lead[units]] = number[units]
            yield self._closed(units, number[units], at_us)

    def _closed(self, units: NDArray[np.integer], number: Times, at_us: Times) -> Findings:
        """What the groups of some units say of a window that is over."""
        bonds, state = self.bonds, self.columns
        rows = bonds.of_units(units)
        w = bonds.watch[rows]
        place = np.searchsorted(units, bonds.unit_of[w])
        number, slot = number[place], number[place] & 1
        spoke = state["window"][w, slot] == number
        mean = np.full(len(w), np.nan)
        np.divide(state["sum"][w, slot], state["n"][w, slot], out=mean, where=spoke)
        window_us = self.watches.window_us[w]
        usual, sigma = self._around.usual.at(self.watches.point[w], number * window_us + window_us // 2)
        usual = np.where(self.watches.against[w] > 0, usual, 0.0)
        speaker, signal = self._signal(rows, mean, usual, sigma, at_us[place])
        known = np.isfinite(signal)
        speaker, signal = speaker[known], signal[known]
        place = np.searchsorted(units, bonds.unit_of[speaker])
        began_us = state["closed"][bonds.lead[units[place]]] * self.watches.window_us[speaker]
        return self.hold.step(speaker, at_us[place], signal, began_us)

    @abstractmethod
    def _signal(
        self, rows: Rows, mean: Floats, usual: Floats, sigma: Floats, at_us: Times
    ) -> tuple[Ints, Floats]:
        """Who speaks, and the signals of these memberships, NaN where nobody knows."""

    def _beyond(self, speaker: Ints, away: Floats, sigma: Floats, least: Floats) -> Bools:
        """Whether something lies so many sigmas away as the rule asks; what has begun need not any more."""
        sigma = np.fmax(sigma, np.maximum(self.watches.floor[speaker], least))
        far = np.abs(away) >= self.watches.z[speaker] * np.where(self.watches.z[speaker] > 0, sigma, 0.0)
        calm = self.columns["phase"][speaker] < Phase.ON
        return far | ~calm


class Balance(Grouped):
    """What comes into a group less what goes out, less (or as a share of) what is usual and what rain brings."""

    name = "balance"

    def __init__(self, watches: Watches, around: Surroundings) -> None:
        super().__init__(watches, around)
        #: Of watches: what a millimetre brings to the group that they speak for.
        self._runoff = np.array(
            [
                around.guards.runoff(*w)
                for w in zip(
                    watches.rule.tolist(), watches.part.tolist(), watches.point.tolist(), strict=True
                )
            ],
            np.float64,
        )

    def _rained(self, speaker: Ints, at_us: Times) -> Floats:
        """What the rain of the last hour brings to each group."""
        found = self._runoff[speaker]
        for row in np.flatnonzero(found).tolist():
            found[row] *= self._around.guards.rain_1h(int(self.watches.point[speaker[row]]), int(at_us[row]))
        return found

    def _signal(
        self, rows: Rows, mean: Floats, usual: Floats, sigma: Floats, at_us: Times
    ) -> tuple[Ints, Floats]:
        watches, bonds = self.watches, self.bonds
        begins = np.flatnonzero(np.diff(bonds.group[rows], prepend=-1))
        sign, speaker = bonds.sign[rows], bonds.speaker[bonds.group[rows[begins]]]
        total, expected = np.add.reduceat(sign * mean, begins), np.add.reduceat(sign * usual, begins)
        expected += self._rained(speaker, at_us[begins])
        away = total - expected
        spread, size = np.add.reduceat(sigma, begins), np.add.reduceat(np.abs(usual), begins)
        beyond = self._beyond(speaker, away, spread, watches.floor_share[speaker] * size)
        ratio = watches.against[speaker] == RATIO
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(expected > 0, total / expected, np.nan)
        calm = np.where(ratio, 1.0, 0.0)
        signal: Floats = np.where(beyond, np.where(ratio, share, away), calm)
        return speaker, np.where(np.isfinite(total + expected), signal, np.nan)


#: `Watches.against` of the usual by ratio.
RATIO = 2


class Apart(Grouped):
    """Each point of a group less the median of the others, of what they say or of how it strays from their usual."""

    name = "apart"
    #: So many others must be known.
    LEAST = 3

    def _signal(
        self, rows: Rows, mean: Floats, usual: Floats, sigma: Floats, at_us: Times
    ) -> tuple[Ints, Floats]:
        del at_us
        w, away = self.bonds.watch[rows], mean - usual
        signal = away - _others(self.bonds.group[rows], away, self.LEAST)
        beyond = self._beyond(w, signal, sigma, self.watches.floor_share[w] * np.abs(usual))
        return w, np.where(beyond | np.isnan(signal), signal, 0.0)


def _others(group: Ints, value: Floats, least: int) -> Floats:
    """The median of the others of a group beside each member; NaN where fewer than `least` are known.

    Members of a group stand together.
    """
    n = len(group)
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    segment = np.searchsorted(begins, np.arange(n), side="right") - 1
    order = np.lexsort((value, segment))  # what is not known last
    ranked, rank = value[order], np.empty(n, np.int64)
    rank[order] = np.arange(n)
    begin = begins[segment]
    others = np.add.reduceat(np.isfinite(value), begins)[segment] - np.isfinite(value)

    def other(place: Ints) -> Floats:
        at = begin + place
        found: Floats = ranked[np.minimum(at + (at >= rank), n - 1)]
        return found

    median = (other((others - 1) // 2) + other(others // 2)) / 2
    return np.where(others >= least, median, np.nan)
