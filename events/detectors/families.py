"""The families: how each makes its signal out of readings. What follows from the signal is `Hold`'s."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from events.detectors import NOTHING, Findings, Floats, Ints, Times, merged
from events.detectors.bonds import Bonds
from events.detectors.columns import NEVER, Columns, Spec
from events.detectors.hold import STATE, Bools, Hold, Phase
from events.detectors.watches import Watches
from events.guards import Guards, Others
from events.usual import Usual

#: Some rows of columns, or all, without a copy.
Some = NDArray[np.intp] | slice
ALL = slice(None)


def rounds(points: Ints) -> Iterator[Some]:
    """Rows of a column sorted by point, such that no point comes twice in one round and time keeps its order."""
    n = len(points)
    if n == 0:
        return
    begins = points[1:] != points[:-1]
    if begins.all():
        yield ALL
        return
    starts = np.flatnonzero(np.concatenate(([True], begins)))
    lengths = np.diff(np.append(starts, n))
    rank = np.arange(n) - np.repeat(starts, lengths)
    order = np.argsort(rank, kind="stable")
    ends = np.cumsum(np.bincount(rank))
    start = 0
    for end in ends.tolist():
        yield order[start:end]
        start = end


def dense(w: Ints) -> Ints | slice:
    """The same ascending watches as a slice when none between them is left out: no copies of their columns."""
    n = len(w)
    return slice(int(w[0]), int(w[-1]) + 1) if n and w[-1] - w[0] == n - 1 else w


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What watches may ask for beside their own readings."""

    guards: Guards
    usual: Usual
    others: Others
    #: Which of some watches belong together.
    bonds: Callable[[Watches], Bonds]


class Family:
    """What all families have: watches, state in columns, rounds for readings of one point in one call."""

    name: str
    #: What the signal remembers, beside the state of the decision.
    memory: Spec = {}

    def __init__(self, watches: Watches, around: Surroundings) -> None:
        self.watches = watches
        self.columns = Columns(len(watches), {**STATE, **self.memory})
        self.hold = Hold(watches, self.columns, around.guards.city, around.guards)
        self._around = around

    def observe(self, points: Ints, time_us: Times, value: Floats) -> Findings:
        """See `Detector.observe`."""
        watched = self.watches.count[points] > 0
        if not watched.all():
            if not watched.any():
                return NOTHING
            points, time_us, value = points[watched], time_us[watched], value[watched]
        return merged(list(self._rounds(points, time_us, value)))

    def _rounds(self, points: Ints, time_us: Times, value: Floats) -> Iterator[Findings]:
        for rows in rounds(points):
            here, at_us, said = points[rows], time_us[rows], value[rows]
            if (self.watches.count[here] == 1).all():
                yield self._sample(self.watches.first[here], at_us, said)
            else:
                where, w = self.watches.spread(here)
                yield self._sample(w, at_us[where], said[where])

    @abstractmethod
    def _sample(self, w: Ints, time_us: Times, value: Floats) -> Findings:
        """One reading of each of distinct watches."""

    def _compared(self, w: Ints, time_us: Times, signal: Floats) -> tuple[Bools, Floats]:
        """Signals against what is usual or what others say, and which of them can be compared at all."""
        against = self.watches.against[w]
        known = np.ones(len(w), bool)
        if not against.any():
            return known, signal
        other = np.zeros(len(w))
        usual = (against == 1) | (against == 2)
        if usual.any():
            other[usual], sigma = self._around.usual.at(self.watches.point[w[usual]], time_us[usual])
            least = np.maximum(
                self.watches.floor[w[usual]], self.watches.floor_share[w[usual]] * np.abs(other[usual])
            )
            near = np.abs(signal[usual] - other[usual]) < self.watches.z[w[usual]] * np.fmax(sigma, least)
            calm = self.columns["phase"][w[usual]] < Phase.ON
            signal = signal.copy()
            signal[usual] = np.where(near & calm, other[usual], signal[usual])
        for row in np.flatnonzero(against > 2).tolist():
            whom = "background" if against[row] <= 4 else "neighbours"
            other[row] = self._around.others.median(whom, int(self.watches.point[w[row]]), int(time_us[row]))
        ratio = against % 2 == 0
        known = np.isfinite(other) & ~(ratio & (against > 0) & (np.abs(other) < 1e-9))
        with np.errstate(divide="ignore", invalid="ignore"):
            compared = np.where(ratio & (against > 0), signal / other, signal - other)
        return known, np.where(against > 0, compared, signal)

    def advance(self, now_us: int) -> Findings:
        return self.hold.advance(now_us)

    def state(self, points: Ints) -> NDArray[np.void]:
        return self.columns.pack(self.watches.of_points(points))

    def restore(self, records: NDArray[np.void]) -> None:
        self.columns.unpack(records)

    def forget(self, points: Ints) -> None:
        self.columns.clear(self.watches.of_points(points))


class Threshold(Family):
    """The value itself. Most readings lie where no watch of their point could move, and cost one comparison."""

    name = "threshold"

    def __init__(self, watches: Watches, around: Surroundings) -> None:
        super().__init__(watches, around)
        n = len(watches.count)
        self._low = np.full(n, -np.inf)
        self._high = np.full(n, np.inf)
        self._busy = np.zeros(n, bool)
        up = watches.sign > 0
        np.minimum.at(self._high, watches.point[up], watches.on[up])
        np.maximum.at(self._low, watches.point[~up], -watches.on[~up])

    def observe(self, points: Ints, time_us: Times, value: Floats) -> Findings:
        moving = (value >= self._high[points]) | (value <= self._low[points]) | self._busy[points]
        if not moving.any():
            return NOTHING
        interesting = np.zeros(len(self._busy), bool)
        interesting[points[moving]] = True
        rows = np.flatnonzero(interesting[points])
        found = merged(list(self._rounds(points[rows], time_us[rows], value[rows])))
        self._note_busy(np.flatnonzero(interesting).astype(np.int32))
        return found

    def _sample(self, w: Ints, time_us: Times, value: Floats) -> Findings:
        return self.hold.step(w, time_us, value)

    def advance(self, now_us: int) -> Findings:
        found = self.hold.advance(now_us)
        if len(found):
            self._note_busy(np.unique(found["point"]).astype(np.int32))
        return found

    def restore(self, records: NDArray[np.void]) -> None:
        super().restore(records)
        self._note_busy(np.unique(self.watches.point[records["watch"]]))

    def forget(self, points: Ints) -> None:
        super().forget(points)
        self._busy[points] = False

    def _note_busy(self, points: Ints) -> None:
        """A point is busy while any of its watches is not idle."""
        where, w = self.watches.spread(points)
        busy = np.bincount(where, self.columns["phase"][w] != Phase.IDLE, minlength=len(points))
        self._busy[points] = busy > 0


class Compared(Family):
    """The value against what is usual at this hour or what others say."""

    name = "compared"

    def _sample(self, w: Ints, time_us: Times, value: Floats) -> Findings:
        known, signal = self._compared(w, time_us, value)
        return self.hold.step(w[known], time_us[known], signal[known])


#: A sliding window is kept in this many buckets: what it covers is exact to one of them.
LOG_BUCKETS = 3
BUCKETS = 1 << LOG_BUCKETS


class Sliding(Family):
    """How far the value rose above its lowest or fell below its highest over a sliding window.

    With a latch the extreme that a rise or fall began from is kept while the condition stands, so that it ends
    when the value comes back and not when the window has moved on; after the latch the new level is the normal.
    A fall is a rise of the value's negative. The extremes of this window of the clock and the one before cover the
    sliding one: where not even they are far enough away, nothing can have begun, and no bucket is looked at.
    """

    name = "sliding"
    memory: Spec = {
        "bucket": ("<i8", 0, ()),
        "low": ("<f8", np.inf, (BUCKETS,)),
        "lowest": ("<f8", np.inf, ()),
        "lowest_before": ("<f8", np.inf, ()),
        "reference": ("<f8", 0.0, ()),
    }
    RISE, FALL = 1.0, -1.0

    def __init__(self, watches: Watches, around: Surroundings) -> None:
        super().__init__(watches, around)
        self._span_us = np.maximum(watches.window_us // BUCKETS, 1)
        self._way = watches.extra[:, 0].copy()
        #: What counts upwards can be passed over below this change.
        self._least = np.where(watches.sign > 0, watches.on, -np.inf)

    def _sample(self, w: Ints, time_us: Times, value: Floats) -> Findings:
        state, rows = self.columns, dense(w)
        bucket = time_us // self._span_us[rows]
        value = value * self._way[rows]
        lowest = self._keep(w, rows, bucket, value)
        maybe = (value - lowest >= self._least[rows]) | (state["phase"][rows] != Phase.IDLE)
        if not maybe.any():
            return NOTHING
        w, time_us, value = w[maybe], time_us[maybe], value[maybe]
        latched = (state["phase"][w] != Phase.IDLE) & (
            time_us - state["onset"][w] <= self.watches.latch_us[w]
        )
        reference = np.where(latched, state["reference"][w], state["low"][w].min(axis=1))
        state["reference"][w] = reference
        return self.hold.step(w, time_us, value - reference)

    def _keep(self, w: Ints, rows: Ints | slice, bucket: Times, value: Floats) -> Floats:
        """Note values in their buckets, and empty those that left the window; no higher than the lowest of it."""
        state = self.columns
        before = state["bucket"][rows]
        ahead = bucket - before
        low, first = state["low"].reshape(-1), w.astype(np.int64) << LOG_BUCKETS
        for step in range(1, BUCKETS):
            passed = ahead > step
            if not passed.any():
                break
            low[first[passed] + ((bucket[passed] - step) & (BUCKETS - 1))] = np.inf
        slot = first + (bucket & (BUCKETS - 1))
        again = ahead == 0
        low[slot] = np.where(again, np.minimum(low[slot], value), value) if again.any() else value
        lowest, lowest_before = state["lowest"][rows], state["lowest_before"][rows]
        turns = (bucket >> LOG_BUCKETS) - (before >> LOG_BUCKETS)
        if turns.any():
            lowest_before = np.where(turns == 0, lowest_before, np.where(turns == 1, lowest, np.inf))
            lowest = np.where(turns == 0, lowest, np.inf)
            state["lowest_before"][rows] = lowest_before
        lowest = np.minimum(lowest, value)
        state["lowest"][rows], state["bucket"][rows] = lowest, bucket
        covered: Floats = np.minimum(lowest, lowest_before)
        return covered


class Totals(Family):
    """How much, or how often something, over a sliding window."""

    name = "totals"
    memory: Spec = {"bucket": ("<i8", 0, ()), "sum": ("<f8", 0.0, (BUCKETS,))}

    def _sample(self, w: Ints, time_us: Times, value: Floats) -> Findings:
        state, sum_ = self.columns, self.columns["sum"]
        limit, sign = self.watches.extra[w, 1], self.watches.extra[w, 2]
        amount = np.where(sign == 0, value, np.where(sign > 0, value, -value) >= limit)
        bucket = time_us // np.maximum(self.watches.window_us[w] // BUCKETS, 1)
        ahead = bucket - state["bucket"][w]
        for step in range(BUCKETS):
            passed = ahead > step
            if not passed.any():
                break
            sum_[w[passed], (bucket[passed] - step) % BUCKETS] = 0.0
        state["bucket"][w] = bucket
        sum_[w, bucket % BUCKETS] += amount
        return self.hold.step(w, time_us, sum_[w].sum(axis=1))


class Tumbling(Family):
    """Over windows of the clock (…:00, …:20, …:40): mean, energy mean of sound levels, highest, lowest, total.

    A window speaks when the first reading after it arrives, if it held enough samples; its time is that of
    its last reading, so that schedules see the hour it belongs to.
    """

    name = "tumbling"
    memory: Spec = {
        "window": ("<i8", NEVER, ()),
        "amount": ("<f8", 0.0, ()),
        "samples": ("<i4", 0, ()),
        "at": ("<i8", NEVER, ()),
    }
    MEAN, LEQ, HIGHEST, TOTAL, LOWEST = 0.0, 1.0, 2.0, 3.0, 4.0

    def __init__(self, watches: Watches, around: Surroundings) -> None:
        super().__init__(watches, around)
        mode = watches.extra[:, 0]
        self._is_leq, self._is_lowest = mode == self.LEQ, mode == self.LOWEST
        self._is_extreme = self._is_lowest | (mode == self.HIGHEST)
        self._plain = not (self._is_leq | self._is_extreme).any()

    def _sample(self, w: Ints, time_us: Times, value: Floats) -> Findings:
        state, rows = self.columns, dense(w)
        window = time_us // self.watches.window_us[rows]
        new = state["window"][rows] != window
        found = NOTHING
        if new.any():
            begun = w[new]
            closed = begun[state["window"][begun] != NEVER]
            found = self._close(closed) if len(closed) else NOTHING
            state["window"][begun] = window[new]
            state["amount"][begun] = np.where(self._is_extreme[begun], -np.inf, 0.0)
            state["samples"][begun] = 0
        state["amount"][rows] = self._with(rows, state["amount"][rows], value)
        state["samples"][rows] += 1
        state["at"][rows] = time_us
        return found

    def _with(self, rows: Ints | slice, amount: Floats, value: Floats) -> Floats:
        """What a window has come to with another value: energies and sums, or the highest (of the negative) so far."""
        if self._plain:
            return amount + value
        with np.errstate(over="ignore"):  # energies are only kept where they are meant
            value = np.where(self._is_leq[rows], 10.0 ** (np.minimum(value, 300.0) / 10.0), value)
        value = np.where(self._is_lowest[rows], -value, value)
        extreme, total = np.maximum(amount, value), amount + value
        return np.where(self._is_extreme[rows], extreme, total).astype(np.float64, copy=False)

    def _close(self, w: Ints) -> Findings:
        watches, state = self.watches, self.columns
        expected = watches.window_us[w] / np.maximum(watches.period_us[w], 1)
        enough = state["samples"][w] >= np.maximum(watches.extra[w, 1] * expected, 1.0) - 1e-9
        w = w[enough]
        mode, amount = watches.extra[w, 0], state["amount"][w]
        mean = amount / state["samples"][w]
        with np.errstate(divide="ignore", invalid="ignore"):
            leq = 10.0 * np.log10(mean)
        signal = np.select(
            [mode == self.LEQ, mode == self.LOWEST, (mode == self.HIGHEST) | (mode == self.TOTAL)],
            [leq, -amount, amount],
            mean,
        )
        time_us, begun = state["at"][w], state["window"][w] * watches.window_us[w]
        known, signal = self._compared(w, time_us, signal)
        return self.hold.step(w[known], time_us[known], signal[known], begun[known])


class Stuck(Family):
    """Equal values in a row, as far as that is surprising for this point: digital and slow ones never surprise.

    The share of readings that differ from the one before is learned; a run counts while a run that long had
    less than one chance in 4 000. Zeros are no run: a pipe without flow, a street without water.
    """

    name = "stuck"
    memory: Spec = {
        "previous": ("<f8", np.nan, ()),
        "changes": ("<f8", 0.0, ()),
        "run": ("<i4", 1, ()),
        "began": ("<i8", NEVER, ()),
    }
    LEARN = 1 / 200
    SURPRISE = np.log(4000.0)

    def _sample(self, w: Ints, time_us: Times, value: Floats) -> Findings:
        state, rows = self.columns, dense(w)
        previous = state["previous"][rows]
        same = (value == previous) & (value != 0.0)
        run = np.where(same, state["run"][rows] + 1, 1)
        # what is learned stands still during a long run, or a stuck sensor would teach that it is one
        learns = (run <= self.watches.on[rows]) & ~np.isnan(previous)
        share = state["changes"][rows]
        state["changes"][rows] = share + learns * (self.LEARN * (~same - share))
        state["previous"][rows], state["run"][rows] = value, run
        state["began"][rows] = np.where(same, state["began"][rows], time_us) if same.any() else time_us
        awake = same | (state["phase"][rows] != Phase.IDLE)
        if not awake.any():
            return NOTHING
        w, run = w[awake], run[awake]
        surprise = -np.log1p(-np.minimum(state["changes"][w], 1 - 1e-9)) * run
        signal = np.where(surprise >= self.SURPRISE, run, 1).astype(np.float64)
        return self.hold.step(w, time_us[awake], signal, state["began"][w])


class Drift(Family):
    """Two-sided CUSUM (Page 1954) of what strays from a slowly learned mean, in the point's own sigmas.

    Mean and variance are exponentially weighted and learn from clipped residuals, so that a drift is found before
    it is learned, and ends when the point is back or the new level has become the usual one. Nothing is said
    before `WARM` readings are known. It is dated at the reading after which the sum never came back to zero.
    """

    name = "drift"
    memory: Spec = {
        "n": ("<i4", 0, ()),
        "mean": ("<f8", 0.0, ()),
        "variance": ("<f8", 0.0, ()),
        "up": ("<f8", 0.0, ()),
        "down": ("<f8", 0.0, ()),
        "since": ("<i8", NEVER, ()),
    }
    WARM, LEARN = 100, 2000
    #: Sigmas that are no drift, and more than which a single reading never counts.
    SLACK, CLIP = 0.5, 4.0

    def _sample(self, w: Ints, time_us: Times, value: Floats) -> Findings:
        watches, state = self.watches, self.columns
        n, mean = state["n"][w], state["mean"][w]
        sigma = np.maximum(np.sqrt(state["variance"][w]), np.maximum(watches.floor[w], 1e-12))
        warm = n >= self.WARM
        away = value - mean
        z = np.where(warm, np.clip(away / sigma, -self.CLIP, self.CLIP), 0.0)
        most = 2 * np.abs(watches.on[w])
        up = np.clip(state["up"][w] + z - self.SLACK, 0.0, most)
        down = np.clip(state["down"][w] - z - self.SLACK, 0.0, most)
        signal = np.maximum(up, down)
        calm = (np.maximum(state["up"][w], state["down"][w]) == 0.0) | (state["since"][w] == NEVER)
        since = np.where(calm, time_us, state["since"][w])
        learned = np.where(warm, np.clip(away, -self.CLIP * sigma, self.CLIP * sigma), away)
        share = 1.0 / np.minimum(n + 1.0, self.LEARN)
        state["mean"][w] = mean + share * learned
        state["variance"][w] = (1.0 - share) * (state["variance"][w] + share * learned**2)
        state["n"][w] = np.minimum(n + 1, self.LEARN)
        state["up"][w], state["down"][w], state["since"][w] = up, down, since
        return self.hold.step(w, time_us, signal, since)
