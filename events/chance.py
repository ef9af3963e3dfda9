"""Is a group an incident, or could chance alone have brought its facts together? Pure.

An anchor comes somewhere; of those who could speak around it, at least as many as did follow in its time. How likely
that is for each kind of evidence is combined into how many such groups an hour the whole city makes for no reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from core.clock import HOUR_US, SECOND_US
from events.background import Background, Crowd, at_least, in_order, together
from events.facts import Fact, Group
from events.place import Place, World
from events.roles import Cast, Part

#: Chance is asked again with every fact that joins: that many times as likely to say yes once.
LOOKS = 4
#: So many anchors an hour are a storm: of many more alarms a person puts up with more that are none.
STORM = 60.0
#: Anchors nearer in time than this are taken for this far apart.
LEAST_SPAN_US = 60 * SECOND_US
#: Chance is asked with all anchors, and without so many of the first but one.
LEADING = 3


@dataclass(frozen=True, slots=True)
class Followers:
    """So many spoke after an anchor, within so many hours, of crowds that speak at their rates by chance."""

    n: int
    hours: float
    told: list[tuple[Crowd, float]]
    #: How far from the anchor they may have spoken, beyond what is near it.
    apart_m: float

    def tail(self, place: Place, *, apart: bool) -> float:
        """How likely chance alone is to let so many speak around a place; it is more where they may lie apart."""
        expected = 0.0
        for crowd, rate in self.told:
            expected += rate * crowd.nearby.around(place, self.apart_m if apart else 0.0)
        return at_least(self.n, self.hours * expected)


@dataclass(frozen=True, slots=True)
class Sample:
    """A group as chance is asked about it: some of its anchors in order of time, all of what was attached to it."""

    cast: Cast
    group: Group
    anchors: list[Fact]
    #: How many facts of each kind are the group's own, and when the last of them began.
    own: Mapping[str, int]
    last_us: int

    def followers(self, part: Part) -> int:
        """How many said a part after the first."""
        if len(self.anchors) == 1:
            return 0
        keys = self.group.anchors
        who = {fact.speaker or fact.id for fact in self.anchors if keys[fact.id] == part.key}
        return len(who) - (keys[self.anchors[0].id] == part.key)


@dataclass(frozen=True, slots=True)
class Chance:
    """What is asked of groups, by what is known of the rates of facts."""

    facts: Mapping[str, Fact]
    background: Background
    world: World

    def opens(self, cast: Cast, group: Group) -> bool:
        """Whether a group weighs enough to be an incident, and is no coincidence."""
        decl, parts, said = cast.decl, cast.parts, group.said
        weight = 0.0
        for key, who in said.items():
            weight += parts[key].weight(len(who))
        if weight < decl.open:
            return False
        if any(part.anchor and part.nats[1] >= decl.open for part in map(parts.__getitem__, said)):
            return True
        return self.of(cast, group, decl.chance) <= decl.chance

    def of(self, cast: Cast, group: Group, most: float = math.inf) -> float:
        """How many such groups an hour, or per `STORM` anchors, would chance alone make in the whole city?

        The first anchors may be there by chance themselves, so it is asked without them too; each look counts. No more
        than that is said when it is more than `most`: then nobody need count who lies around.
        """
        anchors = sorted([self.facts[id_] for id_ in group.anchors], key=_begun)
        own, last_us = self._own(group)
        looks = range(max(1, min(LEADING, len(anchors) - 2)))
        samples = [Sample(cast, group, anchors[skipped:], own, last_us) for skipped in looks]
        return min([(skipped + 1) * self._of(sample, most) for skipped, sample in enumerate(samples)])

    def _of(self, sample: Sample, most: float) -> float:
        first, *later = sample.anchors
        away_m = [fact.place.metres_to(first.place) for fact in later]
        often, followers = self._followers(sample, max(away_m, default=0.0))
        tails = [each.tail(first.place, apart=False) for each in followers]
        order = self._order(sample.cast, first, later, away_m)
        looks = LOOKS * min(often, STORM)
        chance = looks * together(tails + order)
        if chance > most or not later:
            return chance
        return looks * together([each.tail(first.place, apart=True) for each in followers] + order)

    def _order(self, cast: Cast, first: Fact, later: list[Fact], away_m: list[float]) -> list[float]:
        """How likely chance alone is to let them speak so well in the order in which a front would reach them."""
        front = cast.decl.together.front
        if front is None or not later:
            return []
        later_us = [fact.onset_us for fact in later]
        if front == "away":
            return [in_order(away_m, later_us)]
        flow = self.world.flow
        upstream_m = [
            metres if flow and flow.downstream_m(fact.place.asset, first.place.asset) is not None else -metres
            for fact, metres in zip(later, away_m, strict=True)
        ]
        # the first belongs to the order too: by chance it lies anywhere among the others
        return [in_order([0.0, *upstream_m], [first.onset_us, *later_us])]

    def _followers(self, sample: Sample, furthest_m: float) -> tuple[float, list[Followers]]:
        """How often an hour somebody anchors such a group somewhere, and who else spoke in it."""
        first, cast, own, last_us = sample.anchors[0], sample.cast, sample.own, sample.last_us
        span_us = sample.anchors[-1].onset_us - first.onset_us
        often, found = 0.0, []
        for part in cast.anchoring:
            told = self._told(part, last_us, own)
            for crowd, rate in told:
                often += rate * crowd.points
            if n := sample.followers(part):
                hours = max(span_us, LEAST_SPAN_US) / HOUR_US
                found.append(Followers(n, hours, told, max(0.0, furthest_m - part.near.reach_m)))
        for key, who in sample.group.said.items():
            part = cast.parts[key]
            if who and not part.anchor and not part.decl.against:
                hours = (part.high_us - part.low_us + span_us) / HOUR_US
                found.append(Followers(len(who), hours, self._told(part, last_us, own), furthest_m))
        return often, found

    def _told(self, part: Part, last_us: int, own: Mapping[str, int]) -> list[tuple[Crowd, float]]:
        rates = self.background.rates
        return [(crowd, rates(crowd, last_us, own)) for crowd in part.crowds]

    def _own(self, group: Group) -> tuple[Mapping[str, int], int]:
        """How many facts of each kind are the group's own, and when the last of them began."""
        facts, found, last_us = self.facts, dict[str, int](), 0
        for members in (group.anchors, group.others):
            for id_ in members:
                fact = facts[id_]
                found[fact.what] = found.get(fact.what, 0) + 1
                last_us = max(last_us, fact.onset_us)
        return found, last_us


def _begun(fact: Fact) -> tuple[int, str]:
    return fact.onset_us, fact.id
