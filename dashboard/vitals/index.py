"""The city's index (城市运行指数): one number made of the colours of vital signs, simple enough to recompute by head.

A vital sign scores by its colour alone. A part of the city scores the mean of its vital signs, and at most 30 more than
its worst; the index is the weighted mean of the parts. What is unknown takes its weight out and lowers the confidence.
While a level 1 incident stands its part is red, and the index is that of the worst part: no mean may calm anybody then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from core import yamlfile
from core.schema import Declared, Key
from core.yamlfile import Mistake, Mistakes
from dashboard.vitals.declare import Vital
from dashboard.vitals.evaluate import Reading

KEY = "city_index"
#: Score of a vital sign by its colour, 0 = none.
SCORES: Mapping[int, float] = {0: 100.0, 4: 85.0, 3: 65.0, 2: 40.0, 1: 10.0}
#: A part scores at most so much more than its worst vital sign.
ABOVE_WORST = 30.0


class PartDecl(Declared):
    """A part of the index: the scored vital signs of a domain, of one group where that is named."""

    key: Key
    weight: Annotated[float, Field(gt=0, le=1)]
    domain: Key
    group: str = ""

    def has(self, vital: Vital) -> bool:
        return (
            vital.domain == self.domain
            and self.group in ("", vital.decl.group)
            and vital.decl.scored
            and bool(vital.bands)
        )


@dataclass(frozen=True, slots=True)
class Part:
    """What a part says: its score (None: all of it is unknown), its share of the index, and the points it brings.

    `share` of the known parts sum to 1, `points` to the mean of the index; `lost` is what it takes from 100.
    """

    key: str
    weight: float
    score: float | None
    confidence: float
    share: float = 0.0
    worst: str = ""

    @property
    def points(self) -> float:
        return 0.0 if self.score is None else self.share * self.score

    @property
    def lost(self) -> float:
        return 0.0 if self.score is None else self.share * (100.0 - self.score)


@dataclass(frozen=True, slots=True)
class Index:
    """The index with its parts. `shown` is `mean`, or the score of the worst part while a level 1 incident stands."""

    parts: tuple[Part, ...]
    known: float
    confidence: float
    shows: Literal["mean", "worst"]

    @property
    def mean(self) -> float | None:
        return sum(part.points for part in self.parts) if self.known else None

    @property
    def worst(self) -> Part | None:
        scored = [part for part in self.parts if part.score is not None]
        return min(scored, key=lambda part: (part.score or 0.0, -part.weight), default=None)

    @property
    def shown(self) -> float | None:
        if self.shows == "mean":
            return self.mean
        return min(SCORES[1], self.worst.score or 0.0) if self.worst else SCORES[1]


def load(path: Path | None = None) -> tuple[PartDecl, ...]:
    """Read `index.yaml`. Raises `Mistakes` when weights do not sum to 1."""
    path = path or Path(__file__).with_name("index.yaml")
    parts = yamlfile.parse_list(yamlfile.read(path, path.name), PartDecl)
    total = sum(part.weight for part in parts)
    if abs(total - 1.0) > 1e-9:
        raise Mistakes([Mistake(path.name, 1, "weight", f"{total:g}", "weights must sum to 1")])
    return tuple(parts)


def index_of(
    parts: Sequence[PartDecl],
    vitals: Sequence[Vital],
    shown: Mapping[str, Reading],
    level_1: Collection[str] = (),
) -> Index:
    """The index of the vital signs as they are shown; `level_1`: domains in which an incident of level 1 stands."""
    found = [
        _part(decl, [shown.get(v.key) for v in vitals if decl.has(v)], struck=decl.domain in level_1)
        for decl in parts
    ]
    known = sum(part.weight for part in found if part.score is not None)
    shared = tuple(part if part.score is None else replace(part, share=part.weight / known) for part in found)
    total = sum(part.weight for part in found)
    confidence = sum(part.weight * part.confidence for part in found)
    return Index(shared, known / total, confidence / total, "worst" if level_1 else "mean")


def _part(decl: PartDecl, readings: Sequence[Reading | None], *, struck: bool) -> Part:
    """What had nothing to measure counts neither way; what is unknown counts against the confidence."""
    asked = [each for each in readings if each is None or each.state != "empty"]
    known = [each for each in asked if each is not None and each.state == "ok"]
    confidence = sum(each.confidence for each in known) / len(asked) if asked else 0.0
    if struck:
        return Part(decl.key, decl.weight, SCORES[1], confidence)
    if not known:
        return Part(decl.key, decl.weight, None, confidence)
    worst = min(known, key=lambda each: SCORES[each.level])
    mean = sum(SCORES[each.level] for each in known) / len(known)
    score = min(mean, SCORES[worst.level] + ABOVE_WORST)
    return Part(decl.key, decl.weight, score, confidence, worst=worst.key if worst.level else "")


def reading_of(index: Index) -> Reading:
    """The index as a row among the vital signs: n of N parts are known."""
    known = sum(part.score is not None for part in index.parts)
    state: Literal["ok", "no_data"] = "no_data" if index.shown is None else "ok"
    return Reading(KEY, index.shown, 0, state, (known, len(index.parts)), index.confidence, None)


def told(index: Index) -> dict[str, object]:
    """What a person sees who asks what the index is made of."""
    parts = [
        {
            "key": part.key, "weight": part.weight, "share": part.share, "score": part.score, "points": part.points,
            "lost": part.lost, "worst": part.worst, "confidence": part.confidence,
        }
        for part in index.parts
    ]  # fmt: skip
    return {
        "parts": None,
        "place": None,
        "figures": {},
        "shows": index.shows,
        "mean": index.mean,
        "known": index.known,
        "made_of": parts,
    }
