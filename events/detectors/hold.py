"""The decision that all families share: on-delay, off-delay, dead band, samples, schedule; all in event time."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from events.citytime import CityTime
from events.detectors import FINDING, NOTHING, Findings, Finds, Floats, Ints, Times, merged
from events.detectors.columns import NEVER, Columns, Spec
from events.detectors.watches import Watches
from events.guards import Guards

Bools = np.ndarray[tuple[int], np.dtype[np.bool_]]


class Phase(IntEnum):
    """IDLE → PENDING (begun, not for long enough) → ON → RETURNING (ended, not for long enough) → IDLE."""

    IDLE = 0
    PENDING = 1
    ON = 2
    RETURNING = 3  # the odd ones wait for a delay


STATE: Spec = {
    "phase": ("u1", 0, ()),
    "count": ("<i4", 0, ()),  # samples of the present run
    "onset": ("<i8", NEVER, ()),  # when the condition began
    "back": ("<i8", NEVER, ()),  # when it ended
    "last": ("<i8", NEVER, ()),
    "value": ("<f8", 0.0, ()),
    "peak": ("<f8", 0.0, ()),  # most extreme signal since the onset
}


class Hold:
    """Decides for watches whose columns it shares; `step` takes each watch at most once a call.

    A run of samples that is interrupted by more than `gap_us` begins anew: nobody knows what lay between.
    """

    def __init__(self, watches: Watches, columns: Columns, city: CityTime, guards: Guards) -> None:
        self.watches = watches
        self.columns = columns
        self.city = city
        self._guards = guards
        guarded = guards.guarded()
        self._guarded = guarded[watches.rule] if len(watches) else np.empty(0, bool)
        self._any_guard = bool(self._guarded.any())
        self._latched = np.flatnonzero(watches.latched).astype(np.int32)
        self._scheduled = bool((watches.begin >= 0).any())
        self._sleepers = bool(watches.sleeps.any())

    def step(self, w: Ints, time_us: Times, signal: Floats, since_us: Times | None = None) -> Findings:
        """One sample of each watch. `since_us` is when its evidence began, for signals that look back."""
        watches, state = self.watches, self.columns
        allowed = self._allowed(w, time_us)
        if self._sleepers and (asleep := watches.sleeps[w] & ~allowed).any():
            w, time_us, signal, allowed = w[~asleep], time_us[~asleep], signal[~asleep], allowed[~asleep]
            since_us = since_us[~asleep] if since_us is not None else None
        normal = watches.sign[w] * signal
        hit = (normal >= watches.on[w]) & allowed
        safe = (normal <= watches.off[w]) | ~allowed
        phase = state["phase"][w]
        if self._any_guard:
            self._ask(w, time_us, signal, hit, safe)
        overdue = self._overdue(w, time_us, phase)
        if len(overdue):
            early = self._complete(overdue)
            later = self.step(w, time_us, signal, since_us)
            return merged([early, later])
        awake = hit | (phase != Phase.IDLE)
        if not awake.all():
            if not awake.any():
                return NOTHING
            w, time_us, signal, hit, safe, phase = (
                column[awake] for column in (w, time_us, signal, hit, safe, phase)
            )
            normal = normal[awake]
            since_us = since_us[awake] if since_us is not None else None
        begun = time_us if since_us is None else since_us
        broken = (time_us - state["last"][w]) > watches.gap_us[w]
        was_on = phase >= Phase.ON
        run = np.where(was_on, safe, hit)
        fresh = run & ((phase == Phase.IDLE) | (phase == Phase.ON) | (broken & (phase == Phase.PENDING)))
        count = np.where(fresh, 1, np.where(run, state["count"][w] + 1, 0))
        onset = np.where(fresh & ~was_on, begun, state["onset"][w])
        back = np.where(fresh & was_on, time_us, state["back"][w])
        peak = np.where(fresh & ~was_on, normal, np.maximum(normal, state["peak"][w]))
        waited = time_us - np.where(was_on, back, onset)
        need_us = np.where(was_on, watches.off_us[w], watches.on_us[w])
        need_n = np.where(was_on, watches.off_need[w], watches.on_need[w])
        done = run & (waited >= need_us) & (count >= need_n)
        sooner = run & ~done & ~was_on & (2 * waited >= need_us) & (count >= need_n)
        for row in np.flatnonzero(sooner).tolist() if sooner.any() else ():
            done[row] = self._guards.protected(int(watches.point[w[row]]), int(time_us[row]))
        calm = np.where(was_on, Phase.ON, Phase.IDLE)
        busy = np.where(was_on, Phase.RETURNING, Phase.PENDING)
        turned = np.where(was_on, Phase.IDLE, Phase.ON)
        state["phase"][w] = np.where(done, turned, np.where(run, busy, calm))
        state["count"][w] = count
        state["onset"][w] = onset
        state["back"][w] = back
        state["last"][w] = time_us
        state["value"][w] = signal
        state["peak"][w] = peak
        if not done.any():
            return NOTHING
        return self._found(w[done], time_us[done], clear=was_on[done])

    def advance(self, now_us: int) -> Findings:
        """Complete the delays of points that speak on events only; decided at the moment the delay was over."""
        if not len(self._latched):
            return NOTHING
        w = self._latched[self.columns["phase"][self._latched] % 2 == 1]
        overdue = self._overdue(w, np.full(len(w), now_us), self.columns["phase"][w])
        return self._complete(overdue) if len(overdue) else NOTHING

    def _overdue(self, w: Ints, time_us: Times, phase: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Ints:
        """Latched watches whose delay was over by these times."""
        waiting = self.watches.latched[w] & (phase % 2 == 1)
        if not waiting.any():
            return np.empty(0, np.int32)
        w, time_us = w[waiting], time_us[waiting]
        clear = phase[waiting] == Phase.RETURNING
        enough = self.columns["count"][w] >= np.where(
            clear, self.watches.off_need[w], self.watches.on_need[w]
        )
        over = self._over(w)
        overdue: Ints = w[enough & (over <= time_us) & (clear | self._allowed(w, over))]
        return overdue

    def _over(self, w: Ints) -> Times:
        clear = self.columns["phase"][w] == Phase.RETURNING
        began = np.where(clear, self.columns["back"][w], self.columns["onset"][w])
        over: Times = began + np.where(clear, self.watches.off_us[w], self.watches.on_us[w])
        return over

    def _complete(self, w: Ints) -> Findings:
        clear = self.columns["phase"][w] == Phase.RETURNING
        over = self._over(w)
        self.columns["phase"][w] = np.where(clear, Phase.IDLE, Phase.ON)
        return self._found(w, over, clear=clear)

    def _ask(self, w: Ints, time_us: Times, signal: Floats, hit: Bools, safe: Bools) -> None:
        """Where a guard says no the condition does not hold, whatever the value."""
        asked = self._guarded[w] & (hit | (self.columns["phase"][w] != Phase.IDLE))
        for row in np.flatnonzero(asked).tolist():
            rule, point = int(self.watches.rule[w[row]]), int(self.watches.point[w[row]])
            if not self._guards.hold(rule, point, int(time_us[row]), float(signal[row])):
                hit[row], safe[row] = False, True

    def _allowed(self, w: Ints, time_us: Times) -> Bools:
        if not self._scheduled:
            return np.ones(len(w), bool)
        begin, end = self.watches.begin[w], self.watches.end[w]
        minute = self.city.minute_of_day(time_us)
        inside = (minute >= begin) & (minute < end)
        around = (minute >= begin) | (minute < end)
        return (begin < 0) | np.where(begin <= end, inside, around)

    def _found(self, w: Ints, time_us: Times, *, clear: Bools) -> Findings:
        watches, state = self.watches, self.columns
        found = np.empty(len(w), FINDING)
        found["time_us"] = time_us
        found["point"] = watches.point[w]
        found["rule"] = watches.rule[w]
        found["kind"] = np.where(clear, Finds.CLEAR, Finds.RAISE)
        found["onset_us"] = state["onset"][w]
        found["returned_us"] = np.where(clear, state["back"][w], 0)
        found["value"] = state["value"][w]
        found["limit"] = watches.sign[w] * watches.on[w]
        found["peak"] = watches.sign[w] * state["peak"][w]
        return found
