"""What a type needs at hand: who can be evidence of what, and facts as evidence, filed by place and time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from core.clock import SECOND_US
from events.background import Background, Crowd
from events.facts import Group
from events.place import World
from events.shelf import Shelf, Spot
from events.types import Evidence, IncidentType, Near, matches

#: Weights of so few speakers are looked up.
FEW = 8


@dataclass(slots=True, eq=False)
class Part:
    """A kind of evidence of a type: its numbers in µs, who could say it, and what was said beside anchors."""

    decl: Evidence
    #: Where it lies from an anchor, or an anchor from another.
    near: Near
    low_us: int
    high_us: int
    crowds: list[Crowd]
    #: Nats of none, of one who says it, of two …
    nats: list[float]
    filed: Shelf[Other] = field(default_factory=Shelf)
    key: str = ""
    anchor: bool = False

    def __post_init__(self) -> None:
        self.key, self.anchor = self.decl.key, self.decl.anchor

    def weight(self, n: int) -> float:
        """Nats of n who say it."""
        return self.nats[n] if n < FEW else self.decl.weight.of(n)


@dataclass(slots=True, eq=False)
class Role:
    """A fact as one kind of evidence of one type."""

    fact: str
    speaker: str
    spot: Spot
    onset_us: int
    part: Part


@dataclass(slots=True, eq=False)
class Anchor(Role):
    """It is in one group."""

    group: Group
    #: How long before it another may have begun to belong to it, by the rates of its time; below 0 while unknown.
    lag_us: int = -1


@dataclass(slots=True, eq=False)
class Other(Role):
    """It is in the groups that have an anchor near."""

    groups: set[Group] = field(default_factory=set)
    #: It belongs to no one group.
    group: ClassVar[None] = None

    def put(self, group: Group) -> None:
        key = self.part.key
        group.others[self.fact] = key
        group.hear(key, self.speaker)
        self.groups.add(group)


@dataclass(eq=False)
class Cast:
    """A type with its kinds of evidence, and the facts that play them, by name and filed by place and time."""

    decl: IncidentType
    parts: dict[str, Part]
    lag_us: int
    joins_us: int
    filed: Shelf[Anchor] = field(default_factory=Shelf)
    anchors: dict[str, Anchor] = field(default_factory=dict)
    others: dict[str, Other] = field(default_factory=dict)
    #: Parts of which something was said, beside those of anchors.
    waiting: list[Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = self.decl.key
        self.near = self.decl.together.near
        self.anchoring = [part for part in self.parts.values() if part.anchor]
        #: Who can say what anchors it.
        self.crowds = [crowd for part in self.anchoring for crowd in part.crowds]

    def part_of(self, what: str) -> Part | None:
        """The first kind of evidence that a fact can be."""
        fits = (part for part in self.parts.values() if any(matches(rule, what) for rule in part.decl.rules))
        return next(fits, None)

    def knows(self, fact_id: str) -> bool:
        return fact_id in self.anchors or fact_id in self.others

    def groups_of(self, fact_id: str) -> set[Group]:
        anchor, other = self.anchors.get(fact_id), self.others.get(fact_id)
        return {anchor.group} if anchor else set(other.groups) if other else set()

    # -- facts in and out ------------------------------------------------------------------------------------

    def take_anchor(self, anchor: Anchor) -> None:
        self.anchors[anchor.fact] = anchor
        self.filed.put(anchor)

    def take_other(self, other: Other) -> None:
        part = other.part
        self.others[other.fact] = other
        if part not in self.waiting:
            self.waiting.append(part)
        part.filed.put(other)

    def drop_anchor(self, fact_id: str) -> Anchor:
        anchor = self.anchors.pop(fact_id)
        self.filed.take_out(anchor)
        return anchor

    def drop_other(self, fact_id: str) -> set[Group]:
        """One that is no anchor is evidence no more; the groups that it was in."""
        other = self.others.pop(fact_id)
        other.part.filed.take_out(other)
        for group in other.groups:
            del group.others[fact_id]
            mine = [self.others[each] for each in group.others if self.others[each].part is other.part]
            group.said[other.part.key] = {each.speaker for each in mine}
        return other.groups

    def merge(self, kept: Group, loser: Group) -> None:
        for fact_id in loser.anchors:
            if fact_id in self.anchors:  # the one that joins them is not there yet
                self.anchors[fact_id].group = kept
        for fact_id in loser.others:
            groups = self.others[fact_id].groups
            groups.discard(loser)
            groups.add(kept)
        kept.take_in(loser)


def cast(decl: IncidentType, background: Background, world: World) -> Cast:
    """A type with nothing in it yet."""
    parts = {evidence.key: _part(decl, evidence, background, world) for evidence in decl.evidence}
    return Cast(decl, parts, round(decl.together.lag * SECOND_US), round(decl.joins_for * SECOND_US))


def _part(decl: IncidentType, evidence: Evidence, background: Background, world: World) -> Part:
    near = evidence.near or decl.together.near
    low_s, high_s = evidence.lag or (0.0, 0.0)
    askers = [what for each in decl.evidence if each.anchor for what in _said(each, background)]
    return Part(
        evidence, near, round(low_s * SECOND_US), round(high_s * SECOND_US),
        background.crowds(_said(evidence, background), near, world, askers),
        [evidence.weight.of(n) for n in range(FEW)],
    )  # fmt: skip


def _said(evidence: Evidence, background: Background) -> list[str]:
    """What somebody known can say that is such evidence."""
    return [what for what in background.speakers if any(matches(pattern, what) for pattern in evidence.rules)]
