"""What would rules have said over readings that are stored? Alerts, incidents and what they ask of an operator.

The detectors, the correlation and the assessment are those that run live. The readings are all there and in order,
so that nothing is revised; permits, shelves and what people did are not played again. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US, MINUTE_US
from events.citytime import CityTime
from events.detectors import Floats, Ints, Times, merged
from events.engine import Engine, Model
from events.moves import plain
from events.offline import Offline
from events.place import NOWHERE, World
from events.rules import Rule, RuleSet
from iot.registry import Registry
from iot.views import Hours

#: ISA-18.2 and EEMUA 191: more alarms than this in ten minutes is a flood for one operator.
FLOOD = 10
WINDOW_US = 10 * MINUTE_US
#: An alarm that comes and goes this often within a minute chatters; one that stands for less is fleeting, for more
#: stale (ISA-18.2 leaves the numbers to the alarm philosophy; these are those of its examples).
CHATTER, CHATTER_US = 3, MINUTE_US
FLEETING_US, STALE_US = MINUTE_US, DAY_US
TOP = 10


def only(rules: RuleSet, keys: Collection[str]) -> RuleSet:
    """Some of the rules, numbered anew."""
    chosen = [rule for rule in rules if rule.key in keys]
    return RuleSet(
        tuple(Rule(number, rule.domain, rule.decl) for number, rule in enumerate(chosen)), rules.version
    )


@dataclass(frozen=True, slots=True)
class Load:
    """What rules asked of people over a span: figures of ISA-18.2 for one operator."""

    days: float
    alerts: int
    incidents: int
    #: Incidents, and alerts that ask and belong to none.
    operator_alarms: int
    busiest_10min: int
    #: Share of the ten-minute windows with more than `FLOOD` operator alarms.
    flood_share: float
    #: Share of the alerts from the `TOP` busiest sources.
    top_share: float
    chattering: int
    fleeting: int
    stale: int
    by_rule: dict[str, int]
    by_type: dict[str, int]
    by_level: dict[int, int]
    top: list[tuple[str, int]]


class Backtest:
    """One model over readings in order. `learn` what was usual, `take` the readings, then ask for the `load`."""

    def __init__(self, model: Model, registry: Registry, city: CityTime, world: World = NOWHERE) -> None:
        self.engine = Engine(model, registry, city, world)
        self.offline = Offline(self.engine)
        self._detectors = self.engine.timeline.live
        self._span: tuple[int, int] | None = None
        self.readings = 0

    def points(self) -> NDArray[np.int32]:
        """The points that some detector watches."""
        watched = [each.watches.point for each in self._detectors if len(each.watches)]
        return np.unique(np.concatenate([np.empty(0, np.int32), *watched]))

    def learn(self, hours: Hours) -> None:
        """Take what is usual from hourly sums of before."""
        self.engine.learn(self.engine.usual_points(), hours)

    def take(self, points: Ints, time_us: Times, value: Floats) -> None:
        """Readings sorted by (point, time), none older than what was taken before."""
        if not len(points):
            return
        self.readings += len(points)
        first, last = int(time_us.min()), int(time_us.max())
        self._span = (min(first, self._span[0]) if self._span else first, last)
        found = merged(detector.observe(points, time_us, value) for detector in self._detectors)
        for row in plain(found):
            self.offline.settle(row.at_us)
            self.offline.moved([row], row.at_us)
        end = merged(detector.advance(last) for detector in self._detectors)
        self.offline.moved(plain(end), last)
        self.offline.settle(last)
        self.engine.correlator.forget_before(last - 2 * 60 * MINUTE_US)

    def load(self) -> Load:
        begin, end = self._span or (0, 0)
        rows = [row for row in self.offline.alerts.values() if not row.get("withdrawn")]
        said = [each for each in self.offline.incidents.values() if not each.merged_into]
        asked = np.array(self.offline.alarms_asked(), np.int64)
        windows = np.bincount((asked - begin) // WINDOW_US, minlength=max(1, -(-(end - begin) // WINDOW_US)))
        sources = Counter(f"{row['rule']} {row['subject']}" for row in rows)
        top = sources.most_common(TOP)
        stood = [(row["returned_us"] or end) - row["raised_us"] for row in rows]
        return Load(
            days=(end - begin) / DAY_US,
            alerts=len(rows),
            incidents=len(said),
            operator_alarms=len(asked),
            busiest_10min=busiest(asked.tolist()),
            flood_share=float(np.mean(windows > FLOOD)),
            top_share=sum(n for _, n in top) / max(len(rows), 1),
            chattering=chattering((f"{row['rule']} {row['subject']}", row["raised_us"]) for row in rows),
            fleeting=sum(us < FLEETING_US for us in stood),
            stale=sum(us > STALE_US for us in stood),
            by_rule=dict(Counter(str(row["rule"]) for row in rows).most_common()),
            by_type=dict(Counter(each.type for each in said).most_common()),
            by_level=dict(sorted(Counter(int(row["level"]) for row in rows).items())),
            top=top,
        )


def busiest(times_us: list[int], window_us: int = WINDOW_US) -> int:
    """The most alarms in any ten minutes; `times_us` ascend."""
    most, first = 0, 0
    for last, at in enumerate(times_us):
        while at - times_us[first] >= window_us:
            first += 1
        most = max(most, last - first + 1)
    return most


def chattering(raised: Iterable[tuple[str, int]]) -> int:
    """How many sources rose `CHATTER` times within a minute at least once."""
    by_source: dict[str, list[int]] = {}
    for source, at_us in raised:
        by_source.setdefault(source, []).append(at_us)
    return sum(busiest(sorted(times), CHATTER_US) >= CHATTER for times in by_source.values())
