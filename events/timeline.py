"""Event time: readings that come late by less than the watermark take part as if they had come in order.

Two states of all detectors are kept. The *settled* one has taken, in order, everything up to the horizon (the
newest receipt minus the watermark), behind which nothing can come any more. The *live* one has also taken what
came since. When a reading is older than what its point has already said, the point's live state is put back to
the settled one and the readings since are taken again in order; what that changes is a revision.

Snapshots hold the settled state. After a restart the batches that reach beyond its horizon are taken again, and
the live state is what it was. Everything here depends on the batches and their order alone, never on the clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.batch import DOUBTFUL, Batch, Quality
from core.clock import MINUTE_US, SECOND_US
from events.detectors import NOTHING, Detector, Findings, Floats, Ints, Times, merged
from events.detectors.bonds import Together
from events.detectors.columns import NEVER
from iot.registry import Registry

WATERMARK_US = 10 * MINUTE_US
_NOBODY: Ints = np.empty(0, np.int32)
#: The horizon moves in steps: one pass over what has settled costs less than many.
STEP_US = 5 * SECOND_US
#: So many unsettled readings are held at most; beyond that the horizon follows more closely, which is counted.
HELD_ROWS = 8_000_000


@dataclass(frozen=True, slots=True)
class Rows:
    """Readings that may be decided on: parallel columns, sorted by (point, time)."""

    point: Ints
    time_us: Times
    value: Floats

    def __len__(self) -> int:
        return len(self.point)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Rows:
        return Rows(self.point[rows], self.time_us[rows], self.value[rows])


def in_order(point: Ints, time_us: Times, value: Floats) -> Rows:
    """Sort by (point, time); of several at one instant (only those from the future) the last counts."""
    order = np.lexsort((time_us, point))
    point, time_us, value = point[order], time_us[order], value[order]
    same = (point[1:] == point[:-1]) & (time_us[1:] == time_us[:-1])
    if same.any():
        last = np.append(~same, True)
        point, time_us, value = point[last], time_us[last], value[last]
    return Rows(point, time_us, value)


class Held:
    """Readings that have not settled, in blocks that double in size: appending and searching stay cheap."""

    def __init__(self) -> None:
        self._blocks: list[Rows] = []
        self.rows = 0

    def add(self, rows: Rows) -> None:
        self.rows += len(rows)
        self._blocks.append(rows)
        while len(self._blocks) > 1 and len(self._blocks[-2]) <= 2 * len(self._blocks[-1]):
            last = self._blocks.pop()
            self._blocks[-1] = _concatenated([self._blocks[-1], last])

    def of(self, chosen: NDArray[np.bool_]) -> Rows:
        """All readings of the points that are True, in order."""
        return _sorted([rows.take(chosen[rows.point]) for rows in self._blocks])

    def release(self, horizon_us: int) -> Rows:
        """Take out, in order, what is not newer than the horizon."""
        ripe: list[Rows] = []
        rest: list[Rows] = []
        for rows in self._blocks:
            old = rows.time_us <= horizon_us
            if not old.any():
                rest.append(rows)
                continue
            ripe.append(rows.take(old))
            if not old.all():
                rest.append(rows.take(~old))
        self._blocks = rest
        released = _sorted(ripe)
        self.rows = sum(len(rows) for rows in rest)
        return released


def _concatenated(parts: list[Rows]) -> Rows:
    return Rows(
        np.concatenate([np.empty(0, np.int32), *(rows.point for rows in parts)]),
        np.concatenate([np.empty(0, np.int64), *(rows.time_us for rows in parts)]),
        np.concatenate([np.empty(0, np.float64), *(rows.value for rows in parts)]),
    )


def _sorted(parts: list[Rows]) -> Rows:
    together = _concatenated(parts)
    return in_order(together.point, together.time_us, together.value)


@dataclass(frozen=True, slots=True)
class Revision:
    """What late readings changed: all that some points said since the horizon, before and after."""

    before: Findings
    after: Findings


@dataclass(frozen=True, slots=True)
class Taken:
    """What a batch led to. `too_late` came behind the horizon: it is proof for back-dated incidents only."""

    findings: Findings = field(default_factory=lambda: NOTHING)
    revisions: list[Revision] = field(default_factory=list)
    too_late: Rows | None = None


class Timeline:
    """The detectors of one rule set on one registry, live and settled."""

    def __init__(
        self,
        live: list[Detector],
        settled: list[Detector],
        registry: Registry,
        together: Together | None = None,
        watermark_us: int = WATERMARK_US,
    ) -> None:
        """`together`: which points must be taken again with which; without it each alone."""
        self.registry = registry
        self.live = live
        self.settled = settled
        self.watermark_us = watermark_us
        self.head_us = NEVER
        self.horizon_us = NEVER
        together = together or Together.of(np.arange(registry.size, dtype=np.int32))
        self._clock, self._fate, self._wait_us = together.clock, together.fate, together.wait_us
        self._newest = np.full(registry.size, NEVER, np.int64)  # of clocks
        self._newest_of_fate = np.full(registry.size, NEVER, np.int64)
        self._touched = np.zeros(registry.size, bool)
        self._recent = Held()
        self._said: list[Findings] = []
        self._unsettled: deque[tuple[int, int]] = deque()
        self.cursor = 0

    @property
    def held(self) -> int:
        """Readings that have not settled."""
        return self._recent.rows

    @property
    def replay_from(self) -> int:
        """The last batch that has settled whole: who restores the settled state takes all batches after it."""
        return self._unsettled[0][0] - 1 if self._unsettled else self.cursor

    def take(self, number: int, batch: Batch) -> Taken:
        """Decide on a batch. Batches come in the order of their numbers, each once."""
        self.cursor = number
        if not len(batch):
            return Taken()
        rows, too_late = self._admit(batch)
        if len(rows):
            self._unsettled.append((number, int(rows.time_us.max())))
            self._recent.add(rows)
        fate = self._fate[rows.point]
        late = rows.time_us <= self._newest[self._clock[rows.point]]
        late |= rows.time_us + self._wait_us[fate] < self._newest_of_fate[fate]
        behind = np.zeros(self.registry.size, bool)
        behind[fate[late]] = True
        again = np.flatnonzero(behind[self._fate]).astype(np.int32) if late.any() else _NOBODY
        fresh = rows.take(~behind[fate]) if len(again) else rows
        findings = merged(detector.observe(fresh.point, fresh.time_us, fresh.value) for detector in self.live)
        self._hear(rows)
        revisions = [self._again(again)] if len(again) else []
        self.head_us = max(self.head_us, int(batch.received_us.max()))
        findings = merged([findings, _advance(self.live, self.head_us)])
        self._note(findings)
        self._settle(self.head_us - self.watermark_us)
        return Taken(findings, [r for r in revisions if not _equal(r.before, r.after)], too_late)

    def _hear(self, rows: Rows) -> None:
        np.maximum.at(self._newest, self._clock[rows.point], rows.time_us)
        np.maximum.at(self._newest_of_fate, self._fate[rows.point], rows.time_us)

    def advance(self, now_us: int) -> Findings:
        """Let time pass without readings, for points that speak on events only."""
        found = _advance(self.live, now_us)
        self._note(found)
        return found

    def _note(self, findings: Findings) -> None:
        """Remember what was said. A reading older than a decision of its point is late for it."""
        if len(findings):
            self._said.append(findings)
            np.maximum.at(self._newest, self._clock[findings["point"]], findings["time_us"])

    def _admit(self, batch: Batch) -> tuple[Rows, Rows | None]:
        """The rows to decide on, and those that came too late for it."""
        known = self.registry.point(batch.device, batch.channel)
        sure = (known >= 0) & ((batch.quality & np.uint16(DOUBTFUL)) == 0)
        time_us = batch.ordered_us
        late = sure & (((batch.quality & np.uint16(Quality.LATE)) != 0) | (time_us <= self.horizon_us))
        good = sure & ~late
        rows = in_order(known[good], time_us[good], batch.value[good])
        if not late.any():
            return rows, None
        return rows, in_order(known[late], time_us[late], batch.value[late])

    def _again(self, points: Ints) -> Revision:
        """Take everything since the horizon again, in order, for points that heard something late."""
        chosen = np.zeros(self.registry.size, bool)
        chosen[points] = True
        before = merged(found[chosen[found["point"]]] for found in self._said)
        self._said = [rest for found in self._said if len(rest := found[~chosen[found["point"]]])]
        rows = self._recent.of(chosen)
        for live, settled in zip(self.live, self.settled, strict=True):
            live.restore(settled.state(points))
        after = merged(detector.observe(rows.point, rows.time_us, rows.value) for detector in self.live)
        after = merged([after, _advance(self.live, self.head_us)])
        self._note(after)
        return Revision(before, after)

    def _settle(self, horizon_us: int) -> None:
        """Move the settled state to a horizon, in whole steps."""
        held = self.held
        if held > HELD_ROWS:
            horizon_us = max(horizon_us, self.head_us - self.watermark_us * HELD_ROWS // held)
        horizon_us = horizon_us // STEP_US * STEP_US
        if horizon_us <= self.horizon_us:
            return
        self.horizon_us = horizon_us
        rows = self._recent.release(horizon_us)
        if len(rows):
            for detector in self.settled:
                detector.observe(rows.point, rows.time_us, rows.value)
            self._touched[rows.point] = True
        for detector in self.settled:
            self._touched[detector.advance(horizon_us)["point"]] = True
        self._said = [rest for found in self._said if len(rest := found[found["time_us"] > horizon_us])]
        while self._unsettled and self._unsettled[0][1] <= horizon_us:
            self._unsettled.popleft()

    def adopt(self, other: Timeline, states: list[NDArray[np.void]]) -> Findings:
        """Go on where another timeline of the same points stands, with other rules; what they now find."""
        self.restore(states, other.horizon_us, other.head_us, other.cursor)
        self._unsettled = deque(other._unsettled)
        self._recent = other._recent
        rows = self._recent.of(np.ones(self.registry.size, bool))
        found = merged(detector.observe(rows.point, rows.time_us, rows.value) for detector in self.live)
        found = merged([found, _advance(self.live, self.head_us)])
        self._hear(rows)
        self._note(found)
        self._touched[:] = True
        return found

    # -- snapshots ------------------------------------------------------------------------------------------

    def touched(self) -> Ints:
        """Points whose settled state changed since the last call, with those that share it."""
        fate = np.zeros(len(self._touched), bool)
        fate[self._fate[self._touched]] = True
        points = np.flatnonzero(fate[self._fate]).astype(np.int32)
        self._touched[:] = False
        return points

    def restore(self, states: list[NDArray[np.void]], horizon_us: int, head_us: int, cursor: int) -> None:
        """Begin from a settled state: records of `Detector.state`, one array a detector."""
        for live, settled, records in zip(self.live, self.settled, states, strict=True):
            settled.restore(records)
            live.restore(records)
        self.horizon_us, self.head_us, self.cursor = horizon_us, head_us, cursor
        self._newest[:] = self._newest_of_fate[:] = horizon_us


def _advance(detectors: list[Detector], now_us: int) -> Findings:
    return merged(detector.advance(now_us) for detector in detectors)


def _equal(one: Findings, other: Findings) -> bool:
    return len(one) == len(other) and bool((one == other).all())
