"""A rule over recorded series that belong to no device: a score and the standing alert of each row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.errors import Invalid
from events.citytime import CityTime
from events.detectors import Findings, Floats, Ints, Times
from events.detectors.bonds import nothing_bound
from events.detectors.build import RECIPES
from events.detectors.families import Family, Surroundings, Threshold
from events.detectors.hold import Bools, Hold, Phase
from events.detectors.memory import Memory
from events.detectors.watches import compile_points, compile_watches
from events.guards import Guards, Others
from events.rules import TIME_DRIVEN, Rule, RuleDecl, RuleSet
from events.usual import Usual
from iot.kinds import Catalogue, Channel, ChannelDecl, Kind, KindDecl
from iot.registry import Device, Registry, build

KIND, CHANNEL = "recorded", "value"
#: A recorded series has no period of its own: a gap in it begins no delay anew.
PERIOD = "30d"
#: How steeply the score rises from `off` (0.02) to `on` (0.5), and where it is 0 or 1 to the last digit written.
STEEP, SATURATED = 4.0, 30.0


def novelty() -> RuleDecl:
    """What is asked when no rule is named. The limit is ours (docs/BENCHMARKS.md, NAB)."""
    return RuleDecl.model_validate(
        {
            "key": "novelty", "kinds": [KIND], "class": "info", "level": 4, "channel": CHANNEL, "unit": "score",
            "detector": "novelty", "on": {"at_least": 3.5}, "off": {"below": 1, "min_samples": 100},
            "source": {"ref": "docs/BENCHMARKS.md", "mark": "ours"}, "seen_within": "60m", "act_within": "24h",
            "owner": {"lead": "operator"},
        }
    )  # fmt: skip


class Recorded:
    """Many series at once, row by row; what is said of a row rests on this series' rows up to it alone."""

    def __init__(self, decl: RuleDecl, count: int, city: CityTime, params: Mapping[str, float]) -> None:
        """Raises `Invalid` for a rule that one series cannot answer, or that lacks a parameter."""
        rules = RuleSet((Rule(0, KIND, _alone(decl)),), KIND)
        registry = _registry(count, params)
        memory = Memory(compile_points([], registry.size))
        usual = Usual.nothing(registry.size, city)
        guards = Guards(rules, registry, city, memory, usual)
        around = Surroundings(guards, usual, Others(registry, memory), nothing_bound)
        self._families: list[Family] = []
        for recipe in RECIPES:
            watches = compile_watches(rules, registry, recipe.takes, recipe.extra)
            family = recipe.make(watches, around)
            if len(watches) and isinstance(family, Family):
                family.hold = Heard(family, city, guards)
                self._families.append(family)
        if not self._families:
            raise Invalid("error.rule_lacks_numbers", field="rule", rule=decl.key)
        self._count = count

    def row(self, series: Ints, time_us: Times, value: Floats) -> tuple[Floats, Bools]:
        """One row of each of some distinct series, in ascending order: score 0..1, whether the alert stands."""
        score, stands = np.zeros(self._count), np.zeros(self._count, bool)
        for family in self._families:
            watches, heard = family.watches, family.hold
            assert isinstance(heard, Heard)
            if isinstance(family, Threshold):  # which does not ask about readings that could change nothing
                where, w = watches.spread(series)
                heard.signal[w] = value[where]
            family.observe(series, time_us, value)
            np.maximum.at(score, watches.point, heard.score())
            np.logical_or.at(stands, watches.point, family.columns["phase"] >= Phase.ON)
        return score[series], stands[series]


class Heard(Hold):
    """Decides as ever, and remembers the last signal of each watch."""

    def __init__(self, family: Family, city: CityTime, guards: Guards) -> None:
        super().__init__(family.watches, family.columns, city, guards)
        self.signal = np.full(len(family.watches), np.nan)

    def step(self, w: Ints, time_us: Times, signal: Floats, since_us: Times | None = None) -> Findings:
        self.signal[w] = signal
        return super().step(w, time_us, signal, since_us)

    def score(self) -> Floats:
        """0.5 at `on`, 0.02 at `off`; 0 where nothing was heard yet."""
        watches = self.watches
        dead_band = np.maximum(watches.on - watches.off, 1e-12)
        beyond = STEEP * (watches.sign * self.signal - watches.on) / dead_band
        found: Floats = 1.0 / (1.0 + np.exp(-np.clip(beyond, -SATURATED, SATURATED)))
        return np.where(np.isnan(found), 0.0, found)


def _alone(decl: RuleDecl) -> RuleDecl:
    """A rule as it watches the one column of a recorded series."""
    channels = {part.channel for part in decl.parts}
    asks = decl.guard or decl.armed_by or any(part.against or part.group for part in decl.parts)
    if asks or len(channels) > 1 or decl.detector in TIME_DRIVEN:
        raise Invalid("error.rule_needs_more", field="rule", rule=decl.key)
    own = {"channel": CHANNEL, "share": 1e-9}  # windows speak with as many samples as there are
    return decl.model_copy(
        update={
            **own,
            "kinds": [KIND],
            "enabled": True,
            "any": [part.model_copy(update=own) for part in decl.any],
        }
    )


def _registry(count: int, params: Mapping[str, float]) -> Registry:
    """A device a series; the number of the point is that of the series."""
    channel = ChannelDecl(key=CHANNEL, unit="1", low=-1e100, high=1e100)
    kind = KindDecl.model_validate(
        {"key": KIND, "channels": [CHANNEL], "period": PERIOD, "asset": KIND, "formats": ["senml"]}
    )
    full = f"{KIND}.{CHANNEL}"
    catalogue = Catalogue({full: channel}, {KIND: Kind(KIND, kind, {CHANNEL: full})})
    devices = [
        Device(number, str(number), KIND, KIND, {}, 0.0, 0.0, "", str(number), params=params)
        for number in range(count)
    ]
    return build([], devices, [Channel(1, KIND, channel)], catalogue)
