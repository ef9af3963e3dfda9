"""Which family makes which detector's signal; one list, read aloud."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from events.citytime import CityTime
from events.detectors import Detector, Ints
from events.detectors.bonds import Downstream, Together, bonds, no_pipes
from events.detectors.families import (
    Compared,
    Drift,
    Sliding,
    Stuck,
    Surroundings,
    Threshold,
    Totals,
    Tumbling,
)
from events.detectors.groups import Apart, Balance, Grouped
from events.detectors.memory import Memory
from events.detectors.novelty import Novelty
from events.detectors.watches import Watches, compile_points, compile_watches, first_at, threshold
from events.guards import BACKGROUND, RAIN, Guards, Others, Switches, nothing_switched
from events.rules import Part, RuleSet
from events.usual import Usual
from iot.registry import Registry

Make = Callable[[Watches, Surroundings], Detector]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A family, the parts of rules that it serves, and what it needs beside the common columns."""

    make: Make
    takes: Callable[[Part], bool]
    extra: Callable[[Part], tuple[float, float, float]]


def _nothing(_: Part) -> tuple[float, float, float]:
    return 0.0, 0.0, 0.0


def _sliding(part: Part) -> tuple[float, float, float]:
    return (Sliding.RISE if part.detector == "rise" else Sliding.FALL), 0.0, 0.0


def _totals(part: Part) -> tuple[float, float, float]:
    if part.each is None:
        return 0.0, 0.0, 0.0
    sign = 1.0 if part.each.upward else -1.0
    limit = threshold(part.each, {})
    assert limit is not None
    return 0.0, first_at(sign * limit, strict=part.each.strict), sign


_TUMBLING = {
    "mean": Tumbling.MEAN, "leq": Tumbling.LEQ, "highest": Tumbling.HIGHEST, "total": Tumbling.TOTAL,
    "lowest": Tumbling.LOWEST,
}  # fmt: skip


def _tumbling(part: Part) -> tuple[float, float, float]:
    return _TUMBLING[part.detector], part.share, 0.0


RECIPES = (
    Recipe(Threshold, lambda part: part.detector == "threshold" and not part.against, _nothing),
    Recipe(Compared, lambda part: part.detector == "threshold" and bool(part.against), _nothing),
    Recipe(Sliding, lambda part: part.detector in ("rise", "fall"), _sliding),
    Recipe(Totals, lambda part: part.detector in ("count", "sum"), _totals),
    Recipe(Tumbling, lambda part: part.detector in _TUMBLING, _tumbling),
    Recipe(Stuck, lambda part: part.detector == "stuck", _nothing),
    Recipe(Drift, lambda part: part.detector == "drift", _nothing),
    Recipe(Novelty, lambda part: part.detector == "novelty", _nothing),
    Recipe(Balance, lambda part: part.detector == "balance", _nothing),
    Recipe(Apart, lambda part: part.detector == "apart", _nothing),
)


def build(
    rules: RuleSet,
    registry: Registry,
    city: CityTime,
    usual: Usual | None = None,
    switches: Switches = nothing_switched,
    downstream: Downstream = no_pipes,
) -> list[Detector]:
    """The detectors that these rules need on these devices, in the order in which they observe.

    A family without watches is left out. Memory comes first: what others ask for is remembered before they do.
    """
    usual = usual or Usual.nothing(registry.size, city)
    memory = Memory(remembered(rules, registry))
    guards = Guards(rules, registry, city, memory, usual, switches)
    around = Surroundings(
        guards, usual, Others(registry, memory), lambda watches: bonds(watches, rules, registry, downstream)
    )
    compiled = ((recipe, compile_watches(rules, registry, recipe.takes, recipe.extra)) for recipe in RECIPES)
    families = [recipe.make(watches, around) for recipe, watches in compiled if len(watches)]
    return [memory, *families] if len(memory.watches) else families


def fates(rules: RuleSet, registry: Registry, detectors: Iterable[Detector]) -> Together:
    """What is taken again with what, when something comes late."""
    found = Together.of(clocks(rules, registry))
    for detector in detectors:
        if isinstance(detector, Grouped):
            found = found.joined(detector.watches, detector.bonds)
    return found


def clocks(rules: RuleSet, registry: Registry) -> Ints:
    """Points of one clock: those of a device with a guard are taken again together, so that all is seen in order."""
    found = np.arange(registry.size, dtype=np.int32)
    kinds = {kind for rule in rules if rule.decl.enabled and rule.decl.guard for kind in rule.decl.kinds}
    for device in registry.devices.values():
        if device.kind in kinds:
            points = list(registry.points_of(device).values())
            found[points] = min(points)
    return found


def remembered(rules: RuleSet, registry: Registry) -> Watches:
    """One watch for each point that guards and comparisons may ask for."""
    asking = [
        rule
        for rule in rules
        if rule.decl.enabled and (rule.decl.guard or any(part.rain for part in rule.decl.parts))
    ]
    comparing = [
        rule for rule in rules for part in rule.decl.parts if part.against in ("background", "neighbours")
    ]
    kinds = {kind for rule in (*asking, *comparing) for kind in rule.decl.kinds}
    channels = {part.channel for rule in comparing for part in rule.decl.parts}
    wanted: list[int] = []
    if not kinds:
        return compile_points(wanted, registry.size)
    assets = {device.asset for device in registry.devices.values() if device.kind in kinds and device.asset}
    for device in registry.devices.values():
        points = registry.points_of(device)
        if device.kind in kinds or device.asset in assets:
            wanted += points.values()
        elif any(name in points for name in RAIN):
            wanted += [points[name] for name in RAIN if name in points]
        elif device.kind.endswith(BACKGROUND):
            wanted += [point for name, point in points.items() if name in channels]
    return compile_points(sorted(set(wanted)), registry.size)
