"""Which family makes which detector's signal; one list, read aloud."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from events.citytime import CityTime
from events.detectors import Detector
from events.detectors.families import Sliding, Stuck, Threshold, Tumbling
from events.detectors.watches import Watches, compile_watches, threshold
from events.rules import Part, RuleSet
from iot.registry import Registry

Make = Callable[[Watches, CityTime], Detector]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A family, the detectors of `rules.yaml` that it serves, and what it needs beside the common columns."""

    make: Make
    detectors: frozenset[str]
    extra: Callable[[Part], tuple[float, float, float]]


def _nothing(_: Part) -> tuple[float, float, float]:
    return 0.0, 0.0, 0.0


def _sliding(part: Part) -> tuple[float, float, float]:
    if part.each is None:
        return (Sliding.RISE if part.detector == "rise" else Sliding.FALL), 0.0, 0.0
    sign = 1.0 if part.each.upward else -1.0
    limit = threshold(part.each, {})
    assert limit is not None
    return Sliding.COUNT, sign * limit, sign


_TUMBLING = {"mean": Tumbling.MEAN, "leq": Tumbling.LEQ, "highest": Tumbling.HIGHEST, "total": Tumbling.TOTAL}


def _tumbling(part: Part) -> tuple[float, float, float]:
    return _TUMBLING[part.detector], part.share, 0.0


RECIPES = (
    Recipe(Threshold, frozenset({"threshold"}), _nothing),
    Recipe(Sliding, frozenset({"rise", "fall", "count"}), _sliding),
    Recipe(Tumbling, frozenset(_TUMBLING), _tumbling),
    Recipe(Stuck, frozenset({"stuck"}), _nothing),
)


def build(rules: RuleSet, registry: Registry, city: CityTime) -> list[Detector]:
    """The detectors that these rules need on these devices; a family without watches is left out."""
    compiled = (
        (recipe, compile_watches(rules, registry, recipe.detectors, recipe.extra)) for recipe in RECIPES
    )
    return [recipe.make(watches, city) for recipe, watches in compiled if len(watches)]
