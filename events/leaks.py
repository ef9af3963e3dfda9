"""Leaks found and placed day by day, each beside those that are known already. Pure.

What a day says (`events.leak_field`) is taken for the sum of leaks, each a pipe and a course: there from before,
begun on a day, or growing over some. Every day whatever is not announced yet is sought anew, the course that explains
most first, until nothing explains more than noise would; an announced leak that is mended is sought as its end. What
a known leak explains is believed only within a share of it, so that a large one leaves no ghosts beside it. A leak is
announced when it has been sought out at one place for some days and is large enough to be worth a crew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from events.leak_field import Field

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

#: A leak within this reach of another's place is taken for the same; a crew searches as far.
REACH_M = 300.0
#: Twice the gain in log-likelihood from which something is more than noise, and from which it is beyond doubt.
GAIN, PLAIN_GAIN = 60.0, 300.0
#: How far what a leak looks like is believed: of a coordinate's own part, and of the mean part.
OWN_ERROR, MEAN_ERROR = 0.25, 0.1
#: Flows (m³/h) at which the looks of the next larger size are taken.
SIZES_M3H = (0.0, 6.5, 17.0, np.inf)
#: Days in which a leak must be sought out at one place before it is announced: beyond doubt, and else.
DAYS_PLAIN, DAYS_FAINT = 3, 5
#: What is worth a crew: this flow, this share of what is known to leak, this much of the chance within reach.
WORTH_M3H, WORTH_SHARE, WORTH_CHANCE = 2.5, 0.03, 0.6
#: Nothing that was there from before is announced, and no noise is known, in fewer days.
LEARNING_DAYS = 60
#: The end of a leak is weighed anew for so many days, and takes at least this share of it away.
SETTLING_DAYS, END_SHARE = 6, 0.6
#: Days after its announcement on which a leak's place is weighed anew, within this distance; its course every so often.
AGAIN_DAYS, AGAIN_M, COURSE_DAYS = (1, 3, 7, 14, 30, 60, 120), 800.0, 3
#: No more events than these are sought in one day.
AT_ONCE = 8
SHORTLIST = 5
NEVER = 1 << 30


@dataclass(frozen=True, slots=True)
class Course:
    """How a leak comes: from day `since` in full, or growing from then over `grows` days; `since` None: from before."""

    since: int | None
    grows: int = 0
    end: int = NEVER

    def of(self, n: int) -> Floats:
        """Its share of the full size on each of n days."""
        day = np.arange(n)
        if self.since is None:
            share = np.ones(n)
        elif self.grows:
            share = np.clip((day - self.since + 0.5) / self.grows, 0.0, 1.0)
        else:
            share = (day >= self.since).astype(np.float64)
        return share * (day < self.end)

    def unsure(self, n: int) -> Floats:
        """0 on the days in the middle of which it began or ended, 1 on the others."""
        weight = np.ones(n)
        if self.since is not None and not self.grows:
            weight[max(self.since - 1, 0) : self.since + 1] = 0.0
        if self.end <= n:
            weight[max(self.end - 1, 0) : self.end + 1] = 0.0
        return weight


@dataclass(slots=True, eq=False)
class Leak:
    """A leak as it is thought of now: `look` is its row among all sizes of all pipes, `place` the pipe to dig at."""

    look: int
    place: int
    course: Course
    flow_m3h: float
    #: The posterior chance that it lies within reach of `place`, and twice its gain in log-likelihood.
    chance: float
    gain: float
    #: On how many days running it has been sought out here; the day it was announced.
    days: int = 1
    announced: int | None = None

    def now_m3h(self, n: int) -> float:
        return float(self.flow_m3h * self.course.of(n)[-1]) if n else 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """An announcement."""

    pipe: str
    flow_m3h: float
    chance: float
    since: int | None


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Days under the leaks that are thought of: what they leave, and which courses they make doubtful.

    rest (n, r): what they do not explain. weight (n,). basis (n, k): the lasting course and theirs. doubt (r, k, k):
    what of it each coordinate leaves open.
    """

    rest: Floats
    weight: Floats
    basis: Floats
    doubt: Floats

    def across(self, courses: Floats, values: Floats) -> Floats:
        """(p, r): the product of each course with each coordinate's values, less what is open."""
        open_part = np.einsum(
            "pk,rkl,lr->pr", courses.T @ self.basis, self.doubt, self.basis.T @ values, optimize=True
        )
        found: Floats = courses.T @ values - open_part
        return found

    def power(self, courses: Floats) -> Floats:
        """(p, r): the product of each course with itself."""
        onto = courses.T @ self.basis
        found: Floats = (courses**2).sum(axis=0)[:, None] - np.einsum(
            "pk,rkl,pl->pr", onto, self.doubt, onto, optimize=True
        )
        return found


class Finder:
    """Give it all days so far, once a day, in coordinates of the field (`days @ field.whiten.T`)."""

    def __init__(self, field: Field) -> None:
        self.leaks: list[Leak] = []
        self._field = field
        self._pipes = len(field.pipes)
        self._looks = field.looks.reshape(-1, field.looks.shape[2])
        self._power = self._looks**2
        sizes = range(len(field.looks))
        self._from = np.repeat([SIZES_M3H[size] for size in sizes], self._pipes)
        self._to = np.repeat([SIZES_M3H[size + 1] * 1.2 for size in sizes], self._pipes)
        self._near = field.apart_m <= REACH_M
        self._worth = self._near * (1 - field.apart_m / (2 * REACH_M))

    def day(self, said: Floats) -> list[Found]:
        """The leaks to announce after these days (n, r)."""
        n = len(said)
        if n < LEARNING_DAYS:
            return []
        yesterday = [leak for leak in self.leaks if leak.announced is None]
        self.leaks = [leak for leak in self.leaks if leak.announced is not None]
        self._reopen(n)
        self._fit(said)
        self._seek(said, yesterday)
        self._again(said)
        ripe = [leak for leak in self.leaks if self._ripe(leak, n)]
        for leak in ripe:
            leak.announced = n
        since = [leak.course.since for leak in ripe]
        return [
            Found(self._field.pipes[leak.place], leak.now_m3h(n), leak.chance, begun)
            for leak, begun in zip(ripe, since, strict=True)
        ]

    # -- a day's work ----------------------------------------------------------------------------------------

    def _reopen(self, n: int) -> None:
        """An end that is young is weighed anew."""
        for leak in self.leaks:
            if n - leak.course.end < SETTLING_DAYS:
                leak.course = replace(leak.course, end=NEVER)

    def _seek(self, said: Floats, yesterday: list[Leak]) -> None:
        for _ in range(AT_ONCE):
            ended, end, gain = self._best_end(said)
            leak = self._place(said, self.leaks, _courses(len(said)))
            best = leak.gain if leak else 0.0
            if max(gain, best) < GAIN:
                break
            if ended is not None and gain > best:
                ended.course = replace(ended.course, end=end)
            elif leak is not None:
                leak.days += self._known_days(leak, yesterday)
                self.leaks.append(leak)
            self._fit(said)

    def _known_days(self, leak: Leak, yesterday: list[Leak]) -> int:
        """The days of the one that was sought out here yesterday, which serves once."""
        near = [old for old in yesterday if self._near[old.place, leak.place]]
        if not near:
            return 0
        longest = max(near, key=lambda old: old.days)
        yesterday.remove(longest)
        return longest.days

    def _again(self, said: Floats) -> None:
        """Weigh the places and courses of announced leaks anew, while nothing has just begun."""
        n = len(said)
        if any(
            leak.announced is None and n - (leak.course.since or 0) < DAYS_PLAIN + 1 for leak in self.leaks
        ):
            return
        for leak in self.leaks:
            if leak.announced is None or leak.course.end < n:
                continue
            others = [each for each in self.leaks if each is not leak]
            age = n - leak.announced
            if age in AGAIN_DAYS:
                fresh = self._place(
                    said, others, _near_courses(leak.course, age, n), self._around(leak, AGAIN_M)
                )
            elif age % COURSE_DAYS == 0:
                fresh = self._place(said, others, _near_courses(leak.course, age, n), self._around(leak, 0.0))
            else:
                continue
            if fresh is not None:
                leak.look, leak.course, leak.flow_m3h = fresh.look, fresh.course, fresh.flow_m3h
        self._fit(said)
        self.leaks = [leak for leak in self.leaks if leak.announced is not None or leak.flow_m3h > 0]

    def _around(self, leak: Leak, metres: float) -> Rows:
        """The looks of the pipes within a distance of a leak's, its own among them."""
        pipes = np.flatnonzero(self._field.apart_m[leak.look % self._pipes] <= metres)
        return np.concatenate([pipes + size * self._pipes for size in range(len(self._field.looks))])

    def _ripe(self, leak: Leak, n: int) -> bool:
        if leak.announced is not None:
            return False
        now = leak.now_m3h(n)
        known = sum(each.now_m3h(n) for each in self.leaks if each.announced is not None)
        worth = now > WORTH_M3H and now > WORTH_SHARE * known and leak.chance > WORTH_CHANCE
        return worth and leak.days >= (DAYS_PLAIN if leak.gain > PLAIN_GAIN else DAYS_FAINT)

    # -- what explains most ----------------------------------------------------------------------------------

    def _seen(self, said: Floats, leaks: list[Leak], course: Course | None = None) -> _Seen:
        """The days beside some leaks; those in which a `course` began are left out too."""
        n, r = said.shape
        weight = np.ones(n)
        for each in (*(leak.course for leak in leaks), *([course] if course else [])):
            weight *= each.unsure(n)
        shares = [leak.course.of(n) for leak in leaks]
        basis = np.column_stack([np.ones(n), *shares]) * weight[:, None]
        size = np.empty((r, len(leaks) + 1))
        size[:, 0] = np.sqrt(self._field.lasting)
        rest = said * weight[:, None]
        for column, leak in enumerate(leaks, 1):
            power = self._power[leak.look]
            size[:, column] = leak.flow_m3h * np.sqrt(OWN_ERROR**2 * power + MEAN_ERROR**2 * power.mean())
            rest -= np.outer(basis[:, column], leak.flow_m3h * self._looks[leak.look])
        inside = np.eye(len(leaks) + 1) + size[:, :, None] * (basis.T @ basis) * size[:, None, :]
        return _Seen(rest, weight, basis, size[:, :, None] * np.linalg.inv(inside) * size[:, None, :])

    def _fit(self, said: Floats) -> None:
        """The flows of all leaks together, none of them negative."""
        for _ in range(2 if self.leaks else 0):
            seen = self._seen(said, self.leaks)
            shares = seen.basis[:, 1:]
            looks = self._looks[[leak.look for leak in self.leaks]]
            onto = shares.T @ seen.basis
            common = np.einsum("pk,rkl,ql->pqr", onto, seen.doubt, onto, optimize=True)
            normal = np.einsum("pr,qr,pqr->pq", looks, looks, (shares.T @ shares)[:, :, None] - common)
            right = (looks * seen.across(shares, said * seen.weight[:, None])).sum(axis=1)
            root = np.linalg.cholesky(normal + (1e-6 * np.trace(normal) + 1e-9) * np.eye(len(normal)))
            flows, _rest = nnls(root.T, np.linalg.solve(root, right))
            for leak, flow in zip(self.leaks, flows, strict=True):
                leak.flow_m3h = float(flow)

    def _gains(
        self, seen: _Seen, courses: list[Course], rows: Rows, *, any_size: bool = False
    ) -> tuple[Floats, Floats]:
        """(courses, rows) each: what a leak would explain, and its flow. Looks out of their size explain nothing."""
        shares = np.column_stack([course.of(len(seen.rest)) for course in courses]) * seen.weight[:, None]
        product = seen.across(shares, seen.rest) @ self._looks[rows].T
        power = np.maximum(seen.power(shares) @ self._power[rows].T, 1e-9)
        flow = product / power
        fits = flow > 0 if any_size else (flow > self._from[rows]) & (flow < self._to[rows])
        return np.where(fits, product**2 / power, 0.0), flow

    def _place(
        self, said: Floats, others: list[Leak], courses: list[Course], only: Rows | None = None
    ) -> Leak | None:
        """The leak that explains most beside others. `only` are the looks that it may have."""
        seen = self._seen(said, others)
        rows = np.arange(len(self._looks)) if only is None else only
        if only is None:  # a leak of any size is sought by the looks of the smallest first
            gain, _flow = self._gains(seen, courses, rows[: self._pipes], any_size=True)
            best = gain.max(axis=1)
            if best.max() < GAIN:
                return None
            courses = [courses[row] for row in np.argsort(-best)[:SHORTLIST]]
        course = courses[int(self._gains(seen, courses, rows)[0].max(axis=1).argmax())]
        if course.since is not None and course.since < len(said) - 1:
            seen = self._seen(said, others, course)
        gain, flow = self._gains(seen, [course], rows)
        rows, flow, most = rows[gain[0] > 0], flow[0, gain[0] > 0], float(gain.max())
        if not len(rows):
            return None
        chance, look, size = self._chances(seen, course, rows, flow)
        place = int((self._worth @ chance).argmax())
        return Leak(look, place, course, size, float(self._near[place] @ chance), most)

    def _chances(self, seen: _Seen, course: Course, rows: Rows, flow: Floats) -> tuple[Floats, int, float]:
        """The posterior of each pipe, what a leak looks like being believed only so far; the best look and its flow."""
        share = course.of(len(seen.rest))[:, None] * seen.weight[:, None]
        product, power = seen.across(share, seen.rest)[0], np.maximum(seen.power(share)[0], 1e-9)
        expected = self._looks[rows] * power
        for _ in range(2):
            shown = expected * flow[:, None]
            noise = power + (OWN_ERROR * shown) ** 2
            flow = np.maximum((expected * product / noise).sum(axis=1), 1e-6) / np.maximum(
                (expected**2 / noise).sum(axis=1), 1e-9
            )
        shown = expected * flow[:, None]
        noise = power + (OWN_ERROR * shown) ** 2 + MEAN_ERROR**2 * (shown**2).mean(axis=1, keepdims=True)
        off = (product - shown) ** 2 / noise
        log = -0.5 * (off + np.log(noise)).sum(axis=1)
        best = int(log.argmax())
        log /= max(1.0, float(off[best].mean()))  # what even the best leaves over is not believed either
        chance = np.bincount(rows % self._pipes, np.exp(log - log[best]), self._pipes)
        return chance / chance.sum(), int(rows[best]), float(flow[best])

    def _best_end(self, said: Floats) -> tuple[Leak | None, int, float]:
        """The announced leak that most likely ended, the day, and what its end explains."""
        n = len(said)
        best: tuple[Leak | None, int, float] = (None, NEVER, 0.0)
        running = [
            leak for leak in self.leaks if leak.announced and leak.course.end > n and leak.flow_m3h > 0
        ]
        seen = self._seen(said, self.leaks) if running else None
        for leak in running:
            ends = range(max((leak.course.since or 0) + 3, n - 8, 1), n)
            if seen is None or not ends:
                continue
            over = np.column_stack([np.arange(n) >= end for end in ends])
            shares = over * (leak.course.of(n) * seen.weight)[:, None]
            product = -seen.across(shares, seen.rest) @ self._looks[leak.look]
            power = np.maximum(seen.power(shares) @ self._power[leak.look], 1e-9)
            gone = product / power > END_SHARE * leak.flow_m3h
            gains = np.where(gone, 2 * leak.flow_m3h * product - leak.flow_m3h**2 * power, 0.0)
            row = int(gains.argmax())
            if gains[row] > best[2]:
                best = (leak, ends[row], float(gains[row]))
        return best


def _courses(n: int) -> list[Course]:
    """What may have happened by day n: every late day, and thinned out earlier."""
    late = [*range(max(1, n - 12), n), *range(max(1, n - 40), max(1, n - 12), 4)]
    growing = [Course(since, grows) for grows in (30, 80) for since in range(max(-100, n - 100), n - 3, 6)]
    return [Course(None), *(Course(since) for since in late), *growing]


def _near_courses(course: Course, age: int, n: int) -> list[Course]:
    """Courses like one; what grows is known badly while it is young."""
    if course.since is None:
        return [course, Course(-29, 30)]
    if not course.grows:
        moved = [course.since + by for by in (-2, -1, 0, 1, 2)]
        return [Course(since) for since in moved if 0 < since < n]
    if age < 40:
        shifts, spans = (-20, -10, -5, -2, 0, 2, 5), [30, 45, 60, 80, 100]
    else:
        shifts, spans = (-4, -2, -1, 0, 1, 2, 4), [course.grows + by for by in (-10, -5, 0, 5, 10)]
    return [
        Course(course.since + by, grows)
        for by in shifts
        for grows in spans
        if grows > 5 and course.since + by < n
    ]
