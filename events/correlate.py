"""Alerts, reports and entries → incidents: which facts belong together. Pure.

Facts that anchor a type are grouped by single linkage: near, and no more than the type's lag from one to the
next. Everything else is attached to the groups that have an anchor near it at the right time. The groups of a set
of facts are the same in whatever order the facts came, so late and shuffled alerts change nothing but the moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from core.clock import HOUR_US, MINUTE_US, SECOND_US
from events.background import Background
from events.chance import Chance
from events.facts import Fact, Group, Score, Standing
from events.place import NOWHERE, World, joined
from events.roles import Anchor, Cast, Other, Part, cast
from events.shelf import Spot
from events.types import Kind

#: Anchors are linked, and join an open incident, over no longer a time than lets so many come by chance.
CROWD = 0.2
#: By the rates of the minute so long before: what has settled, so that late facts change nothing.
SETTLED_US = 600 * SECOND_US


class Correlator:
    """The facts of the recent past and the groups they form under every declared type."""

    def __init__(
        self, types: Iterable[Kind], world: World = NOWHERE, background: Background | None = None
    ) -> None:
        self.facts: dict[str, Fact] = {}
        self.background = background or Background({})
        self.types = {kind.key: kind.decl for kind in types}
        self.world = world
        self._chance = Chance(self.facts, self.background, world)
        self._casts = {key: cast(decl, self.background, world) for key, decl in self.types.items()}
        self._known_roles: dict[str, list[tuple[Cast, Part]]] = {}
        self._forgot_us = 0
        self._meridian: float | None = None

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
        spot = self._spot(fact)
        for type_, part in self._roles(fact.what):
            if not type_.knows(fact.id):
                touched |= (self._anchor if part.anchor else self._attach)(type_, fact, spot, part)
        return touched

    def _spot(self, fact: Fact) -> Spot:
        if self._meridian is None:
            self._meridian = fact.place.lon
        return Spot(fact.place, self._meridian)

    def hears(self, what: str) -> bool:
        """Whether any type takes such facts for evidence."""
        return bool(self._roles(what))

    def place(self, incident: Standing, facts: Iterable[tuple[Fact, str]]) -> Group:
        """Begin with an incident that is known already, and its facts by the key of the evidence they are."""
        type_ = self._casts[incident.type]
        group = Group(incident.type, incident=incident.id, pinned=incident.pinned, apart=incident.apart)
        for fact, key in facts:
            part = type_.parts.get(key)
            if part is None:
                continue  # the type was declared otherwise when the incident was opened
            self.facts[fact.id] = fact
            if part.anchor:
                self._place_anchor(type_, fact, part, group)
            else:
                if fact.id not in type_.others:
                    type_.take_other(Other(fact.id, _speaker(fact), self._spot(fact), fact.onset_us, part))
                type_.others[fact.id].put(group)
        return group

    def _place_anchor(self, type_: Cast, fact: Fact, part: Part, group: Group) -> None:
        group.anchors[fact.id] = part.key
        group.hear(part.key, _speaker(fact))
        if fact.id not in type_.anchors:
            type_.take_anchor(Anchor(fact.id, _speaker(fact), self._spot(fact), fact.onset_us, part, group))
        type_.anchors[fact.id].group = group

    def close(self, group: Group) -> None:
        """An incident is over: what belonged to it can open no other."""
        group.incident = ""
        only_here = [fact_id for fact_id in group.members if self.groups_of(fact_id) == [group]]
        for fact_id in only_here:
            self._drop(fact_id)

    def group(self, incident: str) -> Group | None:
        """The group of an incident."""
        groups = (anchor.group for type_ in self._casts.values() for anchor in type_.anchors.values())
        return next((group for group in groups if group.incident == incident), None)

    def groups_of(self, fact_id: str) -> list[Group]:
        return [group for type_ in self._casts.values() for group in type_.groups_of(fact_id)]

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
        for type_ in self._casts.values():
            if fact_id in type_.anchors:
                touched |= self._regroup(type_, fact_id)
            elif fact_id in type_.others:
                touched |= type_.drop_other(fact_id)
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

    def _roles(self, what: str) -> list[tuple[Cast, Part]]:
        """The types that a fact can be evidence of, and as what."""
        known = self._known_roles.get(what)
        if known is None:
            fits = ((type_, type_.part_of(what)) for type_ in self._casts.values())
            known = self._known_roles[what] = [(type_, part) for type_, part in fits if part is not None]
        return known

    # -- grouping ------------------------------------------------------------------------------------------

    def _anchor(self, type_: Cast, fact: Fact, spot: Spot, part: Part) -> set[Group]:
        """Put an anchor into its group, joining the groups that it links; those and the one that is left."""
        speaker = _speaker(fact)
        group = Group(type_.key, {fact.id: part.key}, {}, {part.key: {speaker}})
        anchor = Anchor(fact.id, speaker, spot, fact.onset_us, part, group)
        touched = {group}
        for linked in self._links(type_, anchor):
            theirs = linked.group
            if theirs is not group and not theirs.keeps_from(group):
                group, loser = _larger(group, theirs)
                touched |= {group, loser}
                anchor.group = group
                type_.merge(group, loser)
        type_.take_anchor(anchor)
        for waiting in type_.waiting:
            if waiting.filed.newest_us() >= anchor.onset_us + waiting.low_us:
                self._take_waiting(anchor, waiting)
        return {group for group in touched if group.anchors or group.incident}

    def _attach(self, type_: Cast, fact: Fact, spot: Spot, part: Part) -> set[Group]:
        """Add a fact that is no anchor to every group with an anchor near it."""
        other = Other(fact.id, _speaker(fact), spot, fact.onset_us, part)
        type_.take_other(other)
        near, span_us = part.near, (fact.onset_us - part.high_us, fact.onset_us - part.low_us)

        def flows(anchor: Anchor) -> bool:
            return joined(near, spot.place, anchor.spot.place, self.world, fact.onset_us)

        for anchor in type_.filed.near(near, spot, span_us, flows if near.lines else None):
            other.put(anchor.group)
        return other.groups

    def _take_waiting(self, anchor: Anchor, part: Part) -> None:
        """Attach facts of a kind that came before their anchor did."""
        near, spot, group = part.near, anchor.spot, anchor.group
        span_us = anchor.onset_us + part.low_us, anchor.onset_us + part.high_us

        def flows(other: Other) -> bool:
            return joined(near, other.spot.place, spot.place, self.world, other.onset_us)

        for other in part.filed.near(near, spot, span_us, flows if near.lines else None):
            if other.fact not in group.others:
                other.put(group)

    def _links(self, type_: Cast, anchor: Anchor) -> list[Anchor]:
        """The anchors that a new one belongs together with.

        Of two it is the later whose lag counts, so that it does not matter which of them is known first.
        An anchor of an open incident that still stands links for as long as the type's `joins_for`.
        """
        near, at_us, filed = type_.near, anchor.onset_us, type_.filed
        anchor.lag_us, joins_us = self._spans_us(type_, anchor)

        def flows(other: Anchor) -> bool:
            return joined(near, other.spot.place, anchor.spot.place, self.world, at_us)

        def follows(other: Anchor) -> bool:
            return self._follow(type_, anchor, other, joins_us)

        span_us = at_us - max(anchor.lag_us, joins_us), at_us + type_.lag_us
        surely = joins_us <= anchor.lag_us and filed.newest_us() <= at_us
        return filed.near(
            near, anchor.spot, span_us, flows if near.lines else None, None if surely else follows
        )

    def _follow(self, type_: Cast, anchor: Anchor, other: Anchor, joins_us: int) -> bool:
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

    def _spans_us(self, type_: Cast, anchor: Anchor) -> tuple[int, int]:
        """The type's lag and `joins_for`, or less where so many anchors come by chance that they would link all."""
        settled_us = anchor.onset_us // MINUTE_US * MINUTE_US - SETTLED_US
        place, an_hour = anchor.spot.place, 0.0
        for crowd in type_.crowds:
            an_hour += crowd.nearby.around(place) * self.background.settled(crowd, settled_us)
        if not an_hour:
            return type_.lag_us, type_.joins_us
        span_us = round(CROWD / an_hour * HOUR_US)
        return min(type_.lag_us, span_us), min(type_.joins_us, span_us)

    def _regroup(self, type_: Cast, gone: str) -> set[Group]:
        """A group without one of its anchors: what is left is grouped anew. The largest part keeps the incident."""
        old = type_.drop_anchor(gone).group
        rest = [type_.drop_anchor(fact_id) for fact_id in old.anchors if fact_id != gone]
        for fact_id in old.others:
            type_.others[fact_id].groups.discard(old)
        old.anchors, old.others, old.said = {}, {}, {}
        if not rest:
            return {old}
        for anchor in sorted(rest, key=lambda each: (each.onset_us, each.fact)):
            self._anchor(type_, self.facts[anchor.fact], anchor.spot, anchor.part)
        groups = {type_.anchors[anchor.fact].group for anchor in rest}
        ordered = sorted(groups, key=lambda group: (len(group.anchors), min(group.anchors)))
        free = [group for group in ordered if not group.incident]
        if not old.incident:
            return groups
        if not free:  # all that is left belongs to other incidents now
            old.into = ordered[-1]
            return groups | {old}
        old.bequeath(free[-1])
        return groups

    # -- how sure ------------------------------------------------------------------------------------------

    def opens(self, group: Group) -> bool:
        """Whether a group weighs enough to be an incident, and is no coincidence."""
        return self._chance.opens(self._casts[group.type], group)

    def score(self, group: Group) -> Score:
        """Nats of a group by its evidence; several facts of one speaker count once."""
        parts = {
            evidence.key: evidence.weight.of(len(group.said[evidence.key]))
            for evidence in self.types[group.type].evidence
            if evidence.key in group.said
        }
        return Score({key: weight for key, weight in parts.items() if weight})


def _speaker(fact: Fact) -> str:
    return fact.speaker or fact.id


def _larger(one: Group, other: Group) -> tuple[Group, Group]:
    """(kept, taken in): one that people have taken up, else an incident, else the larger."""
    weight = [(group.pinned, bool(group.incident), len(group.anchors)) for group in (one, other)]
    return (one, other) if weight[0] > weight[1] else (other, one)
