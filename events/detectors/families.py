"""The families: how each makes its signal out of readings. What follows from the signal is `Hold`'s."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from events.detectors import NOTHING, Findings, Floats, Ints, Times, merged
from events.detectors.columns import NEVER, Columns, Spec
from events.detectors.hold import STATE, Bools, Hold, Phase
from events.detectors.watches import Watches
from events.guards import Guards, Others
from events.usual import Usual


def rounds(points: Ints) -> Iterator[NDArray[np.intp]]:
    """Rows of a column sorted by point, such that no point comes twice in one round and time keeps its order."""
    n = len(points)
    if n == 0:
        return
    begins = np.flatnonzero(np.concatenate(([True], points[1:] != points[:-1])))
    if len(begins) == n:
        yield np.arange(n)
        return
    lengths = np.diff(np.append(begins, n))
    rank = np.arange(n) - np.repeat(begins, lengths)
    order = np.argsort(rank, kind="stable")
    ends = np.cumsum(np.bincount(rank))
    start = 0
    for end in ends.tolist():
        yield order[start:end]
        start = end


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What watches may ask for beside their own readings."""

    guards: Guards
    usual: Usual
    others: Others


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
        mine = np.flatnonzero(self.watches.count[points])
        if not len(mine):
            return NOTHING
        if len(mine) < len(points):
            points, time_us, value = points[mine], time_us[mine], value[mine]
        return merged(list(self._rounds(points, time_us, value)))

    def _rounds(self, points: Ints, time_us: Times, value: Floats) -> Iterator[Findings]:
        for rows in rounds(points):
            where, w = self.watches.spread(points[rows])
            at = rows[where]
            yield self._sample(w, time_us[at], value[at])

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
BUCKETS = 8


class Sliding(Family):
    """Over a sliding window: how far the value rose above its lowest or fell below its highest, how often, how much.

    With a latch the extreme that a rise or fall began from is kept while the condition stands, so that it ends
    when the value comes back and not when the window has moved on; after the latch the new level is the normal.
    """

    name = "sliding"
    memory: Spec = {
        "bucket": ("<i8", NEVER, ()),
        "low": ("<f8", np.inf, (BUCKETS,)),
        "high": ("<f8", -np.inf, (BUCKETS,)),
        "n": ("<i4", 0, (BUCKETS,)),
        "sum": ("<f8", 0.0, (BUCKETS,)),
        "reference": ("<f8", 0.0, ()),
    }
    RISE, FALL, COUNT, SUM = 0.0, 1.0, 2.0, 3.0

    def _sample(self, w: Ints, time_us: Times, value: Floats) -> Findings:
        watches, state = self.watches, self.columns
        span = np.maximum(watches.window_us[w] // BUCKETS, 1)
        bucket = time_us // span
        self._slide(w, bucket)
        slot = (bucket % BUCKETS).astype(np.intp)
        mode = watches.extra[w, 0]
        counted = np.where(watches.extra[w, 2] > 0, value, -value) >= watches.extra[w, 1]
        low, high, n = state["low"], state["high"], state["n"]
        low[w, slot] = np.minimum(low[w, slot], value)
        high[w, slot] = np.maximum(high[w, slot], value)
        n[w, slot] += counted
        state["sum"][w, slot] += value
        latched = (state["phase"][w] != Phase.IDLE) & (time_us - state["onset"][w] <= watches.latch_us[w])
        extreme = np.where(mode == self.RISE, low[w].min(axis=1), high[w].max(axis=1))
        reference = np.where(latched, state["reference"][w], extreme)
        state["reference"][w] = reference
        change = np.where(mode == self.RISE, value - reference, reference - value)
        signal = np.select(
            [mode == self.COUNT, mode == self.SUM], [n[w].sum(axis=1), state["sum"][w].sum(axis=1)], change
        )
        return self.hold.step(w, time_us, signal.astype(np.float64))

    def _slide(self, w: Ints, bucket: Times) -> None:
        """Empty the buckets that left the window since each watch's last reading."""
        state = self.columns
        behind = bucket - np.where(state["bucket"][w] == NEVER, bucket - BUCKETS, state["bucket"][w])
        for step in range(1, BUCKETS + 1):
            stale = behind >= step
            if not stale.any():
                break
            slot = ((bucket[stale] - step + 1) % BUCKETS).astype(np.intp)
            which = w[stale]
            state["low"][which, slot] = np.inf
            state["high"][which, slot] = -np.inf
            state["n"][which, slot] = 0
            state["sum"][which, slot] = 0.0
        state["bucket"][w] = bucket


class Tumbling(Family):
    """Over windows of the clock (…:00, …:20, …:40): mean, energy mean of sound levels, highest, lowest, total.

    A window speaks when the first reading after it arrives, if it held enough samples; its time is that of
    its last reading, so that schedules see the hour it belongs to.
    """

    name = "tumbling"
    memory: Spec = {
        "window": ("<i8", NEVER, ()),
        "sum": ("<f8", 0.0, ()),
        "top": ("<f8", -np.inf, ()),
        "bottom": ("<f8", np.inf, ()),
        "samples": ("<i4", 0, ()),
        "at": ("<i8", NEVER, ()),
    }
    MEAN, LEQ, HIGHEST, TOTAL, LOWEST = 0.0, 1.0, 2.0, 3.0, 4.0

    def _sample(self, w: Ints, time_us: Times, value: Floats) -> Findings:
        watches, state = self.watches, self.columns
        window = time_us // watches.window_us[w]
        closed = (state["window"][w] != window) & (state["window"][w] != NEVER)
        found = self._close(w[closed]) if closed.any() else NOTHING
        new = state["window"][w] != window
        mode = watches.extra[w, 0]
        with np.errstate(over="ignore"):  # energies are only kept where they are meant
            amount = np.where(mode == self.LEQ, 10.0 ** (np.minimum(value, 300.0) / 10.0), value)
        state["sum"][w] = np.where(new, 0.0, state["sum"][w]) + amount
        state["top"][w] = np.maximum(np.where(new, -np.inf, state["top"][w]), value)
        state["bottom"][w] = np.minimum(np.where(new, np.inf, state["bottom"][w]), value)
        state["samples"][w] = np.where(new, 0, state["samples"][w]) + 1
        state["window"][w] = window
        state["at"][w] = time_us
        return found

    def _close(self, w: Ints) -> Findings:
        watches, state = self.watches, self.columns
        expected = watches.window_us[w] / np.maximum(watches.period_us[w], 1)
        enough = state["samples"][w] >= np.maximum(watches.extra[w, 1] * expected, 1.0) - 1e-9
        w = w[enough]
        mode, n = watches.extra[w, 0], state["samples"][w]
        mean = state["sum"][w] / n
        with np.errstate(divide="ignore", invalid="ignore"):
            leq = 10.0 * np.log10(mean)
        signal = np.select(
            [mode == self.LEQ, mode == self.HIGHEST, mode == self.TOTAL, mode == self.LOWEST],
            [leq, state["top"][w], state["sum"][w], state["bottom"][w]],
            mean,
        )
        time_us, begun = state["at"][w], state["window"][w] * watches.window_us[w]
        known, signal = self._compared(w, time_us, signal)
        return self.hold.step(w[known], time_us[known], signal[known], begun[known])


class Stuck(Family):
    """Equal values in a row, as far as that is surprising for this point: digital and slow ones never surprise.

    The share of readings that differ from the one before is learned; a run counts while a run that long had
    less than one chance in 4 000.
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
        state = self.columns
        known = ~np.isnan(state["previous"][w])
        same = value == state["previous"][w]
        run = np.where(same, state["run"][w] + 1, 1)
        # what is learned stands still during a long run, or a stuck sensor would teach that it is one
        learns = known & (run <= self.watches.on[w])
        share = state["changes"][w]
        share = np.where(learns, share + self.LEARN * (~same - share), share)
        state["changes"][w] = share
        state["began"][w] = np.where(same, state["began"][w], time_us)
        state["previous"][w] = value
        state["run"][w] = run
        surprise = -np.log1p(-np.minimum(share, 1 - 1e-9)) * run
        signal = np.where(surprise >= self.SURPRISE, run, 1).astype(np.float64)
        return self.hold.step(w, time_us, signal, state["began"][w])


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
