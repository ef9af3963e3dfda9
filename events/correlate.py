"""Alerts, reports and entries → incidents: which facts belong together, and how sure that makes us. Pure.

Facts that anchor a type are grouped by single linkage: near, and no more than the type's lag from one to the
next. Everything else is attached to the groups that have an anchor near it at the right time. The groups of a set
of facts are the same in whatever order the facts came, so late and shuffled alerts change nothing but the moment.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from core.clock import HOUR_US, MINUTE_US, SECOND_US
from events.background import Background, Crowd, at_least, in_order, together
from events.place import NOWHERE, Place, World, joined
from events.shelf import Shelf, Spot
from events.types import Evidence, IncidentType, Kind, Near, matches

#: Anchors are linked over no longer a time than lets so many come by chance.
CROWD = 0.2
#: They join an open incident over no longer a time than lets so many come by chance.
JOINING = 0.2
#: They are those of so long before: what has settled, so that late facts change nothing.
SETTLED_US = 600 * SECOND_US
#: Chance is asked again with every fact that joins: that many times as likely to say yes once.
LOOKS = 4
#: Anchors nearer in time than this are taken for this far apart.
LEAST_SPAN_US = 60 * SECOND_US


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that may be evidence. `what`: a rule's key, `report.<kind>`, `incident.<type>`, `permit.<kind>`."""

    id: str
    what: str
    place: Place
    onset_us: int
    #: When it ended; None while it stands.
    end_us: int | None = None
    #: Who says it: weights count distinct speakers.
    speaker: str = ""
    level: int = 4
    provenance: str = "real"
    #: What it says, for explanations: the value that counted, the limit it passed, the most extreme since.
    value: float = 0.0
    limit: float = 0.0
    peak: float = 0.0
    channel: str = ""


@dataclass(slots=True, eq=False)
class Group:
    """Facts that belong together under one type, by the key of the evidence that each is."""

    type: str
    anchors: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    #: The incident that it has become, empty before.
    incident: str = ""
    #: People have taken it up: it may take others in, but is taken in by none of itself.
    pinned: bool = False
    #: Incidents that people have said are something else.
    apart: frozenset[str] = frozenset()
    #: The group that took it in.
    into: Group | None = None

    @property
    def members(self) -> dict[str, str]:
        return {**self.anchors, **self.others}

    def keeps_from(self, other: Group) -> bool:
        """True when the two are never joined by ourselves."""
        both = bool(self.incident and other.incident)
        return both and (
            (self.pinned and other.pinned) or other.incident in self.apart or self.incident in other.apart
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """An incident that is known already."""

    id: str
    type: str
    pinned: bool = False
    apart: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Score:
    """Nats for and against, by evidence key; what is zero is left out."""

    parts: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values())


@dataclass(slots=True, eq=False)
class _Kind:
    """A kind of evidence of a type at hand: its numbers in µs, who could say it, and what was said."""

    decl: Evidence
    key: str
    anchor: bool
    #: Where it lies from an anchor, or an anchor from another.
    near: Near
    low_us: int
    high_us: int
    crowds: list[Crowd]
    #: Nats of one who says it.
    alone: float
    filed: Shelf[_Other] = field(default_factory=Shelf)


@dataclass(slots=True, eq=False)
class _Role:
    """A fact as one kind of evidence of one type."""

    fact: str
    spot: Spot
    onset_us: int
    kind: _Kind


@dataclass(slots=True, eq=False)
class _Anchor(_Role):
    """It is in one group."""

    group: Group
    #: How long before it another may have begun to belong to it, by the rates of its time; below 0 while unknown.
    lag_us: int = -1


@dataclass(slots=True, eq=False)
class _Other(_Role):
    """It is in the groups that have an anchor near."""

    groups: set[Group] = field(default_factory=set)


@dataclass(eq=False)
class _Type:
    """What a type needs at hand: who is evidence of what, and the facts by name, and filed by place and time."""

    decl: IncidentType
    kinds: dict[str, _Kind]
    lag_us: int
    joins_us: int
    filed: Shelf[_Anchor] = field(default_factory=Shelf)
    anchors: dict[str, _Anchor] = field(default_factory=dict)
    others: dict[str, _Other] = field(default_factory=dict)
    #: Kinds of which something was said, beside those of anchors.
    waiting: set[_Kind] = field(default_factory=set)

    @functools.cached_property
    def anchoring(self) -> list[_Kind]:
        return [kind for kind in self.kinds.values() if kind.anchor]

    @functools.cached_property
    def crowds(self) -> list[Crowd]:
        """Who can say what anchors it."""
        return [crowd for kind in self.anchoring for crowd in kind.crowds]

    def knows(self, fact_id: str) -> bool:
        return fact_id in self.anchors or fact_id in self.others

    def groups_of(self, fact_id: str) -> set[Group]:
        anchor, other = self.anchors.get(fact_id), self.others.get(fact_id)
        return {anchor.group} if anchor else set(other.groups) if other else set()

    # -- facts in and out ------------------------------------------------------------------------------------

    def take_anchor(self, anchor: _Anchor) -> None:
        self.anchors[anchor.fact] = anchor
        self.filed.put(anchor)

    def take_other(self, other: _Other) -> None:
        self.others[other.fact] = other
        self.waiting.add(other.kind)
        other.kind.filed.put(other)

    def drop_anchor(self, fact_id: str) -> _Anchor:
        anchor = self.anchors.pop(fact_id)
        self.filed.take_out(anchor)
        return anchor

    def drop_other(self, fact_id: str) -> _Other:
        other = self.others.pop(fact_id)
        other.kind.filed.take_out(other)
        return other


@dataclass(frozen=True, slots=True)
class _Followers:
    """So many spoke after an anchor, within so many hours, of crowds that speak at their rates by chance."""

    n: int
    hours: float
    told: list[tuple[Crowd, float]]
    apart_m: float

    def tail(self, place: Place, *, exact: bool) -> float:
        """How likely chance alone is to let so many speak around a place; or, known at once, no more than it."""
        if exact:
            expected = sum([rate * crowd.around(place, self.apart_m) for crowd, rate in self.told])
        else:
            expected = sum([rate * crowd.named(place) for crowd, rate in self.told])
        return at_least(self.n, self.hours * expected)


class Correlator:
    """The facts of the recent past and the groups they form under every declared type."""

    def __init__(
        self, types: Iterable[Kind], world: World = NOWHERE, background: Background | None = None
    ) -> None:
        self.facts: dict[str, Fact] = {}
        self.background = background or Background({})
        self.types = {kind.key: kind.decl for kind in types}
        self.world = world
        self._types = {key: self._type(decl) for key, decl in self.types.items()}
        self._kinds: dict[str, list[tuple[_Type, _Kind]]] = {}
        self._forgot_us = 0

    def _type(self, decl: IncidentType) -> _Type:
        """A type with nothing in it yet."""
        kinds = {evidence.key: self._kind(decl, evidence) for evidence in decl.evidence}
        return _Type(decl, kinds, round(decl.together.lag * SECOND_US), round(decl.joins_for * SECOND_US))

    def _kind(self, decl: IncidentType, evidence: Evidence) -> _Kind:
        near = evidence.near or decl.together.near
        low_s, high_s = evidence.lag or (0.0, 0.0)
        said = [
            what
            for what in self.background.speakers
            if any(matches(pattern, what) for pattern in evidence.rules)
        ]
        return _Kind(
            evidence, evidence.key, evidence.anchor, near, round(low_s * SECOND_US), round(high_s * SECOND_US),
            self.background.crowds(said, near, self.world), evidence.weight.of(1),
        )  # fmt: skip

    # -- facts come, change and go -------------------------------------------------------------------------

    def add(self, fact: Fact) -> set[Group]:
        """Take a fact; the groups that it is in now. One that is known already is taken anew."""
        touched = self.remove(fact.id) if fact.id in self.facts else set()
        return touched | self.enter(fact)

    def enter(self, fact: Fact) -> set[Group]:
        """Group a fact under every type under which it is not grouped yet."""
        self.facts[fact.id] = fact
        self.background.note(fact.what, fact.id, fact.onset_us)
        touched: set[Group] = set()
        spot = Spot(fact.place)
        for type_, kind in self._roles(fact.what):
            if not type_.knows(fact.id):
                put = self._anchor if kind.anchor else self._attach
                touched |= put(type_, fact, spot, kind)
        return touched

    def place(self, incident: Standing, facts: Iterable[tuple[Fact, str]]) -> None:
        """Begin with an incident that is known already, and its facts by the key of the evidence they are."""
        type_ = self._types[incident.type]
        group = Group(incident.type, incident=incident.id, pinned=incident.pinned, apart=incident.apart)
        for fact, key in facts:
            kind = type_.kinds.get(key)
            if kind is None:
                continue  # the type was declared otherwise when the incident was opened
            self.facts[fact.id] = fact
            spot = Spot(fact.place)
            if kind.anchor:
                group.anchors[fact.id] = key
                if fact.id not in type_.anchors:
                    type_.take_anchor(_Anchor(fact.id, spot, fact.onset_us, kind, group))
                type_.anchors[fact.id].group = group
            else:
                if fact.id not in type_.others:
                    type_.take_other(_Other(fact.id, spot, fact.onset_us, kind))
                _put(group, type_.others[fact.id])

    def close(self, group: Group) -> None:
        """An incident is over: what belonged to it can open no other."""
        group.incident = ""
        only_here = [fact_id for fact_id in group.members if self.groups_of(fact_id) == [group]]
        for fact_id in only_here:
            self._drop(fact_id)

    def group(self, incident: str) -> Group | None:
        """The group of an incident."""
        groups = (anchor.group for type_ in self._types.values() for anchor in type_.anchors.values())
        return next((group for group in groups if group.incident == incident), None)

    def end(self, fact_id: str, end_us: int | None) -> set[Group]:
        """A fact has ended (None: stands after all); the groups that it is in."""
        fact = self.facts.get(fact_id)
        if fact is None:
            return set()
        self.facts[fact_id] = replace(fact, end_us=end_us)
        return set(self.groups_of(fact_id))

    def remove(self, fact_id: str) -> set[Group]:
        """Take a fact back; what is left of its groups, which may have fallen apart."""
        fact = self.facts.get(fact_id)
        if fact is not None:
            self.background.forget(fact.what, fact.id, fact.onset_us)
        return self._drop(fact_id)

    def _drop(self, fact_id: str) -> set[Group]:
        """Group a fact no more; that it came is still known to the background."""
        fact = self.facts.pop(fact_id, None)
        if fact is None:
            return set()
        touched: set[Group] = set()
        for type_ in self._types.values():
            if fact_id in type_.anchors:
                touched |= self._regroup(type_, fact_id)
            elif fact_id in type_.others:
                groups = type_.drop_other(fact_id).groups
                for group in groups:
                    del group.others[fact_id]
                touched |= groups
        return touched

    def forget_before(self, time_us: int) -> None:
        """Drop facts that ended before a time and belong to no incident: nothing can join them any more.

        Looks at all facts, so at most once a minute.
        """
        if time_us < self._forgot_us + MINUTE_US:
            return
        self._forgot_us = time_us
        for fact in list(self.facts.values()):
            if fact.end_us is not None and fact.end_us < time_us:
                groups = self.groups_of(fact.id)
                if not any(group.incident for group in groups):
                    self._drop(fact.id)
        self.background.forget_before(time_us)

    def _roles(self, what: str) -> list[tuple[_Type, _Kind]]:
        """The types that a fact can be evidence of, and as what; the first kind of evidence that fits counts."""
        known = self._kinds.get(what)
        if known is None:
            known = self._kinds[what] = []
            for type_ in self._types.values():
                fits = (
                    kind
                    for kind in type_.kinds.values()
                    if any(matches(rule, what) for rule in kind.decl.rules)
                )
                kind = next(fits, None)
                if kind is not None:
                    known.append((type_, kind))
        return known

    def groups_of(self, fact_id: str) -> list[Group]:
        return [group for type_ in self._types.values() for group in type_.groups_of(fact_id)]

    # -- grouping ------------------------------------------------------------------------------------------

    def _anchor(self, type_: _Type, fact: Fact, spot: Spot, kind: _Kind) -> set[Group]:
        """Put an anchor into its group, joining the groups that it links; those and the one that is left."""
        group = Group(type_.decl.key, {fact.id: kind.key})
        anchor = _Anchor(fact.id, spot, fact.onset_us, kind, group)
        touched = {group}
        for linked in self._links(type_, anchor):
            theirs = linked.group
            if theirs is not group and not theirs.keeps_from(group):
                group, loser = _larger(group, theirs)
                touched |= {group, loser}
                anchor.group = group
                _merge(type_, group, loser)
        type_.take_anchor(anchor)
        for waiting in type_.waiting:
            self._take_waiting(anchor, waiting)
        return {group for group in touched if group.anchors or group.incident}

    def _attach(self, type_: _Type, fact: Fact, spot: Spot, kind: _Kind) -> set[Group]:
        """Add a fact that is no anchor to every group with an anchor near it."""
        other = _Other(fact.id, spot, fact.onset_us, kind)
        type_.take_other(other)
        near, from_us, to_us = kind.near, fact.onset_us - kind.high_us, fact.onset_us - kind.low_us

        def flows(anchor: _Anchor) -> bool:
            return joined(near, spot.place, anchor.spot.place, self.world, fact.onset_us)

        for anchor in type_.filed.near(near, spot, from_us, to_us, flows if near.lines else None):
            _put(anchor.group, other)
        return set(other.groups)

    def _take_waiting(self, anchor: _Anchor, kind: _Kind) -> None:
        """Attach facts of a kind that came before their anchor did."""
        near, spot = kind.near, anchor.spot
        from_us, to_us = anchor.onset_us + kind.low_us, anchor.onset_us + kind.high_us

        def flows(other: _Other) -> bool:
            return joined(near, other.spot.place, spot.place, self.world, other.onset_us)

        for other in kind.filed.near(near, spot, from_us, to_us, flows if near.lines else None):
            _put(anchor.group, other)

    def _links(self, type_: _Type, anchor: _Anchor) -> Iterator[_Anchor]:
        """The anchors that a new one belongs together with.

        Of two it is the later whose lag counts, so that it does not matter which of them is known first.
        An anchor of an open incident that still stands links for as long as the type's `joins_for`.
        """
        near, at_us = type_.decl.together.near, anchor.onset_us
        anchor.lag_us, joins_us = self._spans_us(type_, anchor)

        def follows(other: _Anchor) -> bool:
            return other.group is not anchor.group and self._follow(type_, anchor, other, joins_us)

        def flows(other: _Anchor) -> bool:
            return follows(other) and joined(near, other.spot.place, anchor.spot.place, self.world, at_us)

        from_us, to_us = at_us - max(anchor.lag_us, joins_us), at_us + type_.lag_us
        found = type_.filed.near(near, anchor.spot, from_us, to_us, flows if near.lines else None)
        return (other for other in found if follows(other))

    def _follow(self, type_: _Type, anchor: _Anchor, other: _Anchor, joins_us: int) -> bool:
        """Whether one of two anchors near each other came soon enough after the other."""
        later_us = anchor.onset_us - other.onset_us
        if later_us < 0:
            if other.lag_us < 0:
                other.lag_us, _ = self._spans_us(type_, other)
            return -later_us <= other.lag_us
        if later_us <= anchor.lag_us:
            return True
        if later_us > joins_us or not other.group.incident:
            return False
        end_us = self.facts[other.fact].end_us
        return end_us is None or end_us >= anchor.onset_us

    def _spans_us(self, type_: _Type, anchor: _Anchor) -> tuple[int, int]:
        """The type's lag and `joins_for`, or less where so many anchors come by chance that they would link all."""
        an_hour = sum(
            [
                crowd.around(anchor.spot.place) * self.background.rates(crowd, anchor.onset_us - SETTLED_US)
                for crowd in type_.crowds
            ]
        )
        if not an_hour:
            return type_.lag_us, type_.joins_us
        return (
            min(type_.lag_us, round(CROWD / an_hour * HOUR_US)),
            min(type_.joins_us, round(JOINING / an_hour * HOUR_US)),
        )

    def _regroup(self, type_: _Type, gone: str) -> set[Group]:
        """A group without one of its anchors: what is left is grouped anew. The largest part keeps the incident."""
        old = type_.drop_anchor(gone).group
        rest = [type_.drop_anchor(fact_id) for fact_id in old.anchors if fact_id != gone]
        for fact_id in old.others:
            type_.others[fact_id].groups.discard(old)
        old.anchors, old.others = {}, {}
        if not rest:
            return {old}
        for anchor in sorted(rest, key=lambda each: (each.onset_us, each.fact)):
            self._anchor(type_, self.facts[anchor.fact], anchor.spot, anchor.kind)
        groups = {type_.anchors[anchor.fact].group for anchor in rest}
        ordered = sorted(groups, key=lambda group: (len(group.anchors), min(group.anchors)))
        free = [group for group in ordered if not group.incident]
        if not old.incident:
            return groups
        if not free:  # all that is left belongs to other incidents now
            old.into = ordered[-1]
            return groups | {old}
        heir = free[-1]
        heir.incident, heir.pinned, heir.apart = old.incident, old.pinned, old.apart
        old.incident, old.into = "", heir  # what was merged into the old one goes with its incident
        return groups

    def opens(self, group: Group) -> bool:
        """Whether a group weighs enough to be an incident, and is no coincidence."""
        type_ = self._types[group.type]
        enough = type_.decl.open
        if len(group.anchors) == 1 and not group.others:  # most are alone: they open what one is enough for
            (key,) = group.anchors.values()
            return type_.kinds[key].alone >= enough
        speakers = self._speakers(group)
        if sum([type_.kinds[key].decl.weight.of(len(said)) for key, said in speakers.items()]) < enough:
            return False
        if any(kind.alone >= enough and kind.key in speakers for kind in type_.anchoring):
            return True
        return self._chance(type_, group, speakers, type_.decl.chance) <= type_.decl.chance

    def chance(self, group: Group) -> float:
        """How many such groups an hour would chance alone make in the whole city?

        An anchor comes somewhere; of those who could speak around it, at least as many as did follow in its time.
        """
        return self._chance(self._types[group.type], group, self._speakers(group), math.inf)

    def _chance(self, type_: _Type, group: Group, speakers: dict[str, set[str]], most: float) -> float:
        """The chance; no more than it when it is more than `most`: then nobody need count who lies around."""
        facts, rates = self.facts, self.background.rates
        anchors = [facts[id_] for id_ in group.anchors]
        first = anchors[0] if len(anchors) == 1 else min(anchors, key=lambda fact: (fact.onset_us, fact.id))
        away_m = [fact.place.metres_to(first.place) for fact in anchors if fact is not first]
        span_us = max([fact.onset_us for fact in anchors]) - first.onset_us
        own, last_us = self._own(group)
        often, tails = 0.0, []
        followers: list[_Followers] = []
        for kind in type_.anchoring:
            told = [(crowd, rates(crowd, last_us, own)) for crowd in kind.crowds]
            often += sum([rate * crowd.points for crowd, rate in told])
            n = len(speakers.get(kind.key, ())) - (kind.key == group.anchors[first.id])
            if n > 0:
                apart_m = max(0.0, max(away_m) - kind.near.reach_m)
                followers.append(_Followers(n, max(span_us, LEAST_SPAN_US) / HOUR_US, told, apart_m))
        for key, said in speakers.items():
            kind = type_.kinds[key]
            if not kind.anchor and not kind.decl.against:
                told = [(crowd, rates(crowd, last_us, own)) for crowd in kind.crowds]
                hours = (kind.high_us - kind.low_us + span_us) / HOUR_US
                followers.append(_Followers(len(said), hours, told, max(away_m, default=0.0)))
        if type_.decl.together.front:
            later = [fact.onset_us for fact in anchors if fact is not first]
            tails.append(in_order(away_m, later))
        for exact in (False, True):
            more = [each.tail(first.place, exact=exact) for each in followers]
            chance = LOOKS * often * together([*tails, *more])
            if chance > most:
                break
        return chance

    def _own(self, group: Group) -> tuple[Counter[str], int]:
        """How many facts of each kind are the group's own, and when the last of them began."""
        members = [self.facts[id_] for id_ in (*group.anchors, *group.others)]
        return Counter([fact.what for fact in members]), max([fact.onset_us for fact in members])

    # -- how sure ------------------------------------------------------------------------------------------

    def score(self, group: Group) -> Score:
        """Nats of a group by its evidence; several facts of one speaker count once."""
        speakers, type_ = self._speakers(group), self.types[group.type]
        parts = {
            evidence.key: evidence.weight.of(len(speakers[evidence.key]))
            for evidence in type_.evidence
            if evidence.key in speakers
        }
        return Score({key: weight for key, weight in parts.items() if weight})

    def _speakers(self, group: Group) -> dict[str, set[str]]:
        """Who speaks as each kind of evidence."""
        facts = self.facts
        found: dict[str, set[str]] = {}
        for members in (group.anchors, group.others):
            for fact_id, key in members.items():
                speaker = facts[fact_id].speaker or fact_id
                if key in found:
                    found[key].add(speaker)
                else:
                    found[key] = {speaker}
        return found


def _larger(one: Group, other: Group) -> tuple[Group, Group]:
    """(kept, taken in): one that people have taken up, else an incident, else the larger."""
    weight = [(group.pinned, bool(group.incident), len(group.anchors)) for group in (one, other)]
    return (one, other) if weight[0] > weight[1] else (other, one)


def _merge(type_: _Type, kept: Group, loser: Group) -> None:
    for fact_id in loser.anchors:
        if fact_id in type_.anchors:  # the one that joins them is not there yet
            type_.anchors[fact_id].group = kept
    for fact_id in loser.others:
        groups = type_.others[fact_id].groups
        groups.discard(loser)
        groups.add(kept)
    kept.anchors.update(loser.anchors)
    kept.others.update(loser.others)
    kept.apart |= loser.apart
    loser.anchors, loser.others, loser.into = {}, {}, kept


def _put(group: Group, other: _Other) -> None:
    group.others[other.fact] = other.kind.key
    other.groups.add(group)
