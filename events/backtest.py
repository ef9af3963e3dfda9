"""What would rules have said over readings that are stored? Alerts, incidents and what they ask of an operator.

The detectors, the correlation and the assessment are those that run live. The readings are all there and in order,
so that nothing is revised; permits, shelves and what people did are not played again. Pure.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from core.clock import MINUTE_US
from events.citytime import CityTime
from events.detectors import Floats, Ints, Times, merged
from events.engine import Engine, Model
from events.load import Load, Stood, load_of
from events.moves import plain
from events.offline import Offline
from events.place import NOWHERE, World
from events.rules import Rule, RuleSet
from iot.registry import Registry
from iot.views import Hours


def only(rules: RuleSet, keys: Collection[str]) -> RuleSet:
    """Some of the rules, numbered anew."""
    chosen = [rule for rule in rules if rule.key in keys]
    return RuleSet(
        tuple(Rule(number, rule.domain, rule.decl) for number, rule in enumerate(chosen)), rules.version
    )


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
        alerts = [
            Stood(
                row["rule"], f"{row['rule']} {row['subject']}", row["level"], row["raised_us"],
                row["returned_us"] or None,
            )
            for row in self.offline.alerts.values() if not row.get("withdrawn")
        ]  # fmt: skip
        types = [each.type for each in self.offline.incidents.values() if not each.merged_into]
        return load_of(self._span or (0, 0), alerts, types, self.offline.alarms_asked())
