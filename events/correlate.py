"""Alerts, reports and entries → incidents: which facts belong together, and how sure that makes us. Pure.

Facts that anchor a type are grouped by single linkage: near, and no more than the type's lag from one to the
next. Everything else is attached to the groups that have an anchor near it at the right time. The groups of a set
of facts are the same in whatever order the facts came, so late and shuffled alerts change nothing but the moment.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from core.clock import HOUR_US, SECOND_US
from events.background import Background, at_least, in_order, together
from events.place import NOWHERE, Keys, Place, World, ask, related
from events.types import Evidence, IncidentType, Kind, matches

#: Anchors are linked over no longer a time than lets so many come by chance.
CROWD = 0.2
#: They join an open incident over no longer a time than lets so many come by chance.
JOINING = 0.2
#: The rates that this is decided by are those of so long before: what has settled, so that late facts change nothing.
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


#: Key of a place → (onset, id) of what is filed there, ascending.
Filed = dict[tuple[object, ...], list[tuple[int, str]]]


@dataclass(slots=True)
class _Type:
    """What a type needs at hand: who is evidence of what, and the facts filed by place and time."""

    decl: IncidentType
    #: Where anchors are filed, and each other kind of evidence.
    keys: Keys
    others_keys: dict[str, Keys]
    anchors: Filed = field(default_factory=dict)
    others: dict[str, Filed] = field(default_factory=lambda: defaultdict(dict))
    group_of: dict[str, Group] = field(default_factory=dict)
    attached: dict[str, set[Group]] = field(default_factory=lambda: defaultdict(set))
    evidence_of: dict[str, Evidence] = field(default_factory=dict)
    #: How long before an anchor another may have begun to belong to it, by the rates of its time.
    lag_of: dict[str, int] = field(default_factory=dict)

    @property
    def lag_us(self) -> int:
        return round(self.decl.together.lag * SECOND_US)


class Correlator:
    """The facts of the recent past and the groups they form under every declared type."""

    def __init__(
        self, types: Iterable[Kind], world: World = NOWHERE, background: Background | None = None
    ) -> None:
        self.facts: dict[str, Fact] = {}
        self.background = background or Background({})
        self._said: dict[tuple[str, str], list[str]] = {}
        self.types = {kind.key: kind.decl for kind in types}
        self.world = world
        self._types = {key: _type(decl) for key, decl in self.types.items()}
        self._roles: dict[str, list[tuple[_Type, Evidence]]] = {}

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
        for type_, evidence in self.roles(fact.what):
            if fact.id not in type_.evidence_of:
                put = self._anchor if evidence.anchor else self._attach
                touched |= put(type_, fact, evidence)
        return touched

    def place(self, incident: Standing, facts: Iterable[tuple[Fact, str]]) -> None:
        """Begin with an incident that is known already, and its facts by the key of the evidence they are."""
        type_ = self._types[incident.type]
        kinds = {evidence.key: evidence for evidence in type_.decl.evidence}
        group = Group(incident.type, incident=incident.id, pinned=incident.pinned, apart=incident.apart)
        for fact, key in facts:
            evidence = kinds.get(key)
            if evidence is None:
                continue  # the type was declared otherwise when the incident was opened
            self.facts[fact.id] = fact
            if fact.id not in type_.evidence_of:
                type_.evidence_of[fact.id] = evidence
                self._file(type_, fact, evidence)
            if evidence.anchor:
                type_.lag_of[fact.id] = self._spans_us(type_, fact)[0]
                group.anchors[fact.id] = key
                type_.group_of[fact.id] = group
            else:
                _put(type_, group, fact.id, evidence)

    def close(self, group: Group) -> None:
        """An incident is over: what belonged to it can open no other."""
        group.incident = ""
        only_here = [fact_id for fact_id in group.members if self.groups_of(fact_id) == [group]]
        for fact_id in only_here:
            self._drop(fact_id)

    def group(self, incident: str) -> Group | None:
        """The group of an incident."""
        groups = (group for type_ in self._types.values() for group in type_.group_of.values())
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
        for type_, evidence in self.roles(fact.what):
            self._unfile(type_, fact, evidence)
            type_.evidence_of.pop(fact_id, None)
            type_.lag_of.pop(fact_id, None)
            if not evidence.anchor:
                for group in type_.attached.pop(fact_id, set()):
                    del group.others[fact_id]
                    touched.add(group)
            elif fact_id in type_.group_of:
                touched |= self._regroup(type_, fact_id)
        return touched

    def forget_before(self, time_us: int) -> None:
        """Drop facts that ended before a time and belong to no incident: nothing can join them any more."""
        for fact in list(self.facts.values()):
            if fact.end_us is not None and fact.end_us < time_us:
                groups = self.groups_of(fact.id)
                if not any(group.incident for group in groups):
                    self._drop(fact.id)
        self.background.forget_before(time_us)

    def roles(self, what: str) -> list[tuple[_Type, Evidence]]:
        """The types that a fact can be evidence of, and as what; the first kind of evidence that fits counts."""
        known = self._roles.get(what)
        if known is None:
            known = []
            for type_ in self._types.values():
                fits = (e for e in type_.decl.evidence if any(matches(pattern, what) for pattern in e.rules))
                evidence = next(fits, None)
                if evidence is not None:
                    known.append((type_, evidence))
            self._roles[what] = known
        return known

    def groups_of(self, fact_id: str) -> list[Group]:
        fact = self.facts.get(fact_id)
        if fact is None:
            return []
        found: list[Group] = []
        for type_, evidence in self.roles(fact.what):
            if evidence.anchor:
                found += [type_.group_of[fact_id]] if fact_id in type_.group_of else []
            else:
                found += type_.attached.get(fact_id, set())
        return found

    # -- grouping ------------------------------------------------------------------------------------------

    def _anchor(self, type_: _Type, fact: Fact, evidence: Evidence) -> set[Group]:
        """Put an anchor into its group, joining the groups that it links; those and the one that is left."""
        group = Group(type_.decl.key, {fact.id: evidence.key})
        type_.group_of[fact.id] = group
        type_.evidence_of[fact.id] = evidence
        touched = {group}
        near = type_.decl.together.near
        for filed, sure in self._possible_links(type_, fact):
            for _, id_ in filed:
                theirs = type_.group_of[id_]
                if theirs is group or theirs.keeps_from(group):
                    continue
                if not sure and not related(
                    near, self.facts[id_].place, fact.place, self.world, fact.onset_us
                ):
                    continue
                group, loser = _larger(group, theirs)
                _merge(type_, group, loser)
                touched |= {group, loser}
        self._file(type_, fact, evidence)
        for kind in type_.decl.evidence:
            if not kind.anchor:
                self._take_waiting(type_, group, fact, kind)
        return {group for group in touched if group.anchors or group.incident}

    def _attach(self, type_: _Type, fact: Fact, evidence: Evidence) -> set[Group]:
        """Add a fact that is no anchor to every group with an anchor near it."""
        type_.evidence_of[fact.id] = evidence
        self._file(type_, fact, evidence)
        assert evidence.near is not None
        assert evidence.lag is not None
        low, high = (round(lag * SECOND_US) for lag in evidence.lag)
        touched: set[Group] = set()
        for key in ask(evidence.near, fact.place):
            for _, id_ in _between(type_.anchors.get(key, []), fact.onset_us - high, fact.onset_us - low):
                group = type_.group_of[id_]
                if group not in touched and related(
                    evidence.near, fact.place, self.facts[id_].place, self.world, fact.onset_us
                ):
                    _put(type_, group, fact.id, evidence)
                    touched.add(group)
        return touched

    def _possible_links(self, type_: _Type, fact: Fact) -> Iterator[tuple[list[tuple[int, str]], bool]]:
        """Anchors near a new one in time, and whether their place is sure to be related.

        Of two it is the later whose lag counts, so that it does not matter which of them is known first.
        An anchor of an open incident that still stands links for as long as the type's `joins_for`.
        """
        at_us = fact.onset_us
        lag_us, joins_us = self._spans_us(type_, fact)
        type_.lag_of[fact.id] = lag_us
        for key in ask(type_.decl.together.near, fact.place):
            filed = type_.anchors.get(key)
            if not filed:
                continue
            sure = key[0] != "cell"
            yield _between(filed, at_us - lag_us, at_us), sure
            later = _between(filed, at_us + 1, at_us + type_.lag_us)
            if later:
                yield [each for each in later if each[0] - at_us <= type_.lag_of[each[1]]], sure
            early = _between(filed, at_us - joins_us, at_us - lag_us - 1)
            if early:
                yield [each for each in early if self._joinable(type_, each[1], at_us)], sure

    def _joinable(self, type_: _Type, fact_id: str, at_us: int) -> bool:
        """Whether an anchor belongs to an open incident and stands at an instant."""
        if not type_.group_of[fact_id].incident:
            return False
        end_us = self.facts[fact_id].end_us
        return end_us is None or end_us >= at_us

    def _spans_us(self, type_: _Type, fact: Fact) -> tuple[int, int]:
        """The type's lag and `joins_for`, or less where anchors come by chance so often that they would link all."""
        near = type_.decl.together.near
        an_hour = sum(
            self.background.rate(what, fact.onset_us - SETTLED_US)
            * self.background.within(what, near, fact.place, self.world)
            for evidence in type_.decl.evidence
            if evidence.anchor
            for what in self._whats(type_, evidence)
        )
        lag_us, joins_us = type_.lag_us, round(type_.decl.joins_for * SECOND_US)
        if not an_hour:
            return lag_us, joins_us
        return min(lag_us, round(CROWD / an_hour * HOUR_US)), min(
            joins_us, round(JOINING / an_hour * HOUR_US)
        )

    def _take_waiting(self, type_: _Type, group: Group, anchor: Fact, evidence: Evidence) -> None:
        """Attach facts of a kind that came before their anchor did."""
        filed = type_.others[evidence.key]
        if not filed or evidence.near is None or evidence.lag is None:
            return
        low, high = (anchor.onset_us + round(lag * SECOND_US) for lag in evidence.lag)
        for key in ask(evidence.near, anchor.place):
            for onset_us, id_ in _between(filed.get(key, []), low, high):
                if id_ not in group.others and related(
                    evidence.near, self.facts[id_].place, anchor.place, self.world, onset_us
                ):
                    _put(type_, group, id_, evidence)

    def _regroup(self, type_: _Type, gone: str) -> set[Group]:
        """A group without one of its anchors: what is left is grouped anew. The largest part keeps the incident."""
        old = type_.group_of.pop(gone)
        rest = [self.facts[fact_id] for fact_id in old.anchors if fact_id != gone]
        for fact in rest:
            self._unfile(type_, fact, type_.evidence_of[fact.id])
            del type_.group_of[fact.id]
        for fact_id in old.others:
            type_.attached[fact_id].discard(old)
        old.anchors, old.others = {}, {}
        if not rest:
            return {old}
        for fact in sorted(rest, key=lambda each: (each.onset_us, each.id)):
            self._anchor(type_, fact, type_.evidence_of[fact.id])
        groups = {type_.group_of[fact.id] for fact in rest}
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

    def _file(self, type_: _Type, fact: Fact, evidence: Evidence) -> None:
        filed, keys = _home(type_, evidence)
        for key in keys.file(fact.place):
            bisect.insort(filed.setdefault(key, []), (fact.onset_us, fact.id))

    def _unfile(self, type_: _Type, fact: Fact, evidence: Evidence) -> None:
        filed, keys = _home(type_, evidence)
        for key in keys.file(fact.place):
            rows = filed.get(key, [])
            place = bisect.bisect_left(rows, (fact.onset_us, fact.id))
            if place < len(rows) and rows[place] == (fact.onset_us, fact.id):
                del rows[place]
                if not rows:
                    del filed[key]

    def opens(self, group: Group) -> bool:
        """Whether a group weighs enough to be an incident, and is no coincidence."""
        type_ = self.types[group.type]
        if self.score(group).total < type_.open:
            return False
        present = set(group.members.values())
        if any(e.anchor and e.key in present and e.weight.of(1) >= type_.open for e in type_.evidence):
            return True
        return self.chance(group) <= type_.chance

    def chance(self, group: Group) -> float:
        """How many such groups an hour would chance alone make in the whole city?

        An anchor comes somewhere; of those who could speak around it, at least as many as did follow in its time.
        """
        type_ = self._types[group.type]
        facts = self.facts
        first = min((facts[id_] for id_ in group.anchors), key=lambda fact: (fact.onset_us, fact.id))
        last_us = max(facts[id_].onset_us for id_ in group.members)
        span_us = max(facts[id_].onset_us for id_ in group.anchors) - first.onset_us
        spread_m = max(facts[id_].place.metres_to(first.place) for id_ in group.anchors)
        own: dict[str, int] = defaultdict(int)
        speakers: dict[str, set[str]] = defaultdict(set)
        for id_, key in group.members.items():
            own[facts[id_].what] += 1
            speakers[key].add(facts[id_].speaker or id_)
        chance = 0.0
        tails: list[float] = []
        for evidence in type_.decl.evidence:
            if evidence.against:
                continue
            near = evidence.near or type_.decl.together.near
            low, high = evidence.lag or (0.0, 0.0)
            hours = (
                (high - low) / 3600 + span_us / HOUR_US
                if evidence.lag
                else max(span_us, LEAST_SPAN_US) / HOUR_US
            )
            apart_m = spread_m if evidence.near else max(0.0, spread_m - near.reach_m)
            expected = 0.0
            for what in self._whats(type_, evidence):
                rate = self.background.rate(what, last_us, own[what])
                expected += (
                    rate * hours * self.background.within(what, near, first.place, self.world, apart_m)
                )
                if evidence.anchor:
                    chance += rate * self.background.everywhere(what)
            n = len(speakers[evidence.key])
            tails.append(at_least(n - (evidence.key == group.anchors[first.id]), expected))
        if type_.decl.together.front:
            others = [facts[id_] for id_ in group.anchors if id_ != first.id]
            away = [fact.place.metres_to(first.place) for fact in others]
            tails.append(in_order(away, [fact.onset_us for fact in others]))
        return LOOKS * chance * together(tails)

    def _whats(self, type_: _Type, evidence: Evidence) -> list[str]:
        """What can be said as a kind of evidence by anybody known."""
        key = (type_.decl.key, evidence.key)
        if key not in self._said:
            self._said[key] = [
                what
                for what in self.background.speakers
                if any(matches(pattern, what) for pattern in evidence.rules)
            ]
        return self._said[key]

    # -- how sure ------------------------------------------------------------------------------------------

    def score(self, group: Group) -> Score:
        """Nats of a group by its evidence; several facts of one speaker count once."""
        speakers: dict[str, set[str]] = defaultdict(set)
        for fact_id, key in group.members.items():
            fact = self.facts[fact_id]
            speakers[key].add(fact.speaker or fact.id)
        parts = {
            evidence.key: evidence.weight.of(len(speakers[evidence.key]))
            for evidence in self.types[group.type].evidence
            if evidence.key in speakers
        }
        return Score({key: weight for key, weight in parts.items() if weight})


def _type(decl: IncidentType) -> _Type:
    nears = {evidence.key: evidence.near for evidence in decl.evidence if evidence.near}
    return _Type(
        decl,
        Keys.of(decl.together.near, *nears.values()),
        {key: Keys.of(near) for key, near in nears.items()},
    )


def _home(type_: _Type, evidence: Evidence) -> tuple[Filed, Keys]:
    """Where facts of a kind of evidence are filed, and under which keys."""
    if evidence.anchor:
        return type_.anchors, type_.keys
    return type_.others[evidence.key], type_.others_keys[evidence.key]


def _between(filed: list[tuple[int, str]], from_us: int, to_us: int) -> list[tuple[int, str]]:
    """What is filed with an onset in [from, to]."""
    return filed[bisect.bisect_left(filed, (from_us, "")) : bisect.bisect_left(filed, (to_us + 1, ""))]


def _larger(one: Group, other: Group) -> tuple[Group, Group]:
    """(kept, taken in): one that people have taken up, else an incident, else the larger."""
    weight = [(group.pinned, bool(group.incident), len(group.anchors)) for group in (one, other)]
    return (one, other) if weight[0] > weight[1] else (other, one)


def _merge(type_: _Type, kept: Group, loser: Group) -> None:
    for fact_id in loser.anchors:
        type_.group_of[fact_id] = kept
    for fact_id in loser.others:
        type_.attached[fact_id].discard(loser)
        type_.attached[fact_id].add(kept)
    kept.anchors.update(loser.anchors)
    kept.others.update(loser.others)
    kept.apart |= loser.apart
    loser.anchors, loser.others, loser.into = {}, {}, kept


def _put(type_: _Type, group: Group, fact_id: str, evidence: Evidence) -> None:
    group.others[fact_id] = evidence.key
    type_.attached[fact_id].add(group)
