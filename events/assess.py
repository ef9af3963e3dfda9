"""A group of facts → what an incident says: level, priority, place, causes, and an explanation from the evidence."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import cel

from core.clock import SECOND_US
from events.correlate import Correlator
from events.facts import Fact, Group
from events.place import Heard, World, downwind
from events.rules import RuleSet
from events.sentence import Ref, sentence
from events.types import Evidence, IncidentType
from iot.registry import Device, Registry

#: The worst provenance of the evidence is the incident's.
PROVENANCES = ("real", "recorded", "simulated", "drill")
#: Readings shown before the first evidence began.
BEFORE_US = 15 * 60 * SECOND_US
CANDIDATES = 5
#: A place is so much less likely to be the cause for each that lies between it and the cause.
CARRIED = 0.3
#: What a place weighs that no plume comes from, of one that it surely comes from; from when on a plume is a reason.
UNTRACED, LIKELY = 0.05, 0.5
#: So many of the strongest places are compared with one another.
COMPARED = 30


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the evidence says at this moment."""

    score: float
    parts: Mapping[str, float]
    sure: bool
    level: int
    priority: int
    provenance: str
    started_us: int
    lon: float
    lat: float
    zone: str
    area: str
    asset: str
    standing: bool
    ended_us: int | None
    causes: list[dict[str, object]] = field(default_factory=list)
    explanation: dict[str, object] = field(default_factory=dict)


class Assessor:
    """Knows rules and devices, so that evidence has names and units."""

    def __init__(self, rules: RuleSet, registry: Registry) -> None:
        self._rules = rules.by_key
        self._registry = registry
        self._conditions: dict[str, cel.Program] = {}

    def assess(self, correlator: Correlator, group: Group) -> Assessment:
        type_ = correlator.types[group.type]
        facts = {fact_id: correlator.facts[fact_id] for fact_id in group.members}
        score = correlator.score(group)
        anchors = [facts[fact_id] for fact_id in group.anchors]
        level = min(fact.level for fact in anchors)
        causes = self._causes(type_, anchors, correlator.world)
        best = _at_cause(anchors[0] if not causes else facts[str(causes[0]["fact"])], causes)
        lon, lat = best.place.lon, best.place.lat
        if type_.cause != "hydraulic":
            lon, lat = _centre(anchors, {str(c["fact"]): float(str(c["probability"])) for c in causes})
        ends = [fact.end_us for fact in anchors]
        standing = any(end is None for end in ends)
        return Assessment(
            score=score.total,
            parts=score.parts,
            sure=score.total >= type_.sure,
            level=level,
            priority=self._priority(type_, group, facts, score.total, level),
            provenance=max((fact.provenance for fact in facts.values()), key=PROVENANCES.index),
            started_us=min(fact.onset_us for fact in anchors),
            lon=lon,
            lat=lat,
            zone=best.place.zone,
            area=best.place.area,
            asset=best.place.asset,
            standing=standing,
            ended_us=None if standing else max(end for end in ends if end is not None),
            causes=causes,
            explanation=self._explain(type_, group, facts, score.parts, causes)
            | {"affects": _affected(type_, best, correlator.world)},
        )

    # -- level and priority --------------------------------------------------------------------------------

    def _priority(
        self, type_: IncidentType, group: Group, facts: Mapping[str, Fact], score: float, level: int
    ) -> int:
        """The most urgent of the declared priorities whose condition holds."""
        points: dict[str, float] = defaultdict(float)
        for fact_id, key in group.members.items():
            points[key] += 1.0
            points[facts[fact_id].what] += 1.0
        devices = [self._registry.devices.get(fact.place.device) for fact in facts.values()]
        names = {
            "level": float(level),
            "score": score,
            "points": {evidence.key: points[evidence.key] for evidence in type_.evidence},
            "rules": {fact.what: points[fact.what] for fact in facts.values()},
            "peak": {fact.what: fact.peak for fact in facts.values()},
            "params": {name: float(value) for name, value in _params(devices).items()},
        }
        return min(
            [type_.priority, *(raised.priority for raised in type_.raises if self._holds(raised.when, names))]
        )

    def _holds(self, condition: str, names: dict[str, object]) -> bool:
        program = self._conditions.get(condition)
        if program is None:
            program = self._conditions[condition] = cel.compile(condition)
        try:
            return program.execute(names) is True
        except (KeyError, RuntimeError, TypeError, ValueError):
            return False  # it asks for something that nobody here has

    # -- causes --------------------------------------------------------------------------------------------

    def _causes(self, type_: IncidentType, anchors: list[Fact], world: World) -> list[dict[str, object]]:
        """Candidate places: where the evidence is strongest and earliest, and what carried it came from."""
        if pipes := self._pipes(type_, anchors, world):
            return pipes
        first = min(fact.onset_us for fact in anchors)
        weights = {fact.id: _strength(fact, first, type_.later_half) for fact in anchors}
        carried = _carried(type_.cause, anchors, weights, world)
        traced = _traced(type_.cause, max(anchors, key=lambda fact: (weights[fact.id], fact.id)), world)
        for fact in anchors:
            told = traced.get(fact.place.asset)
            weights[fact.id] *= CARRIED ** carried[fact.id] if told is None else UNTRACED + told
        total = sum(weights.values())
        by_place: dict[str, tuple[float, Fact]] = {}
        for fact in anchors:
            key = fact.place.asset or fact.place.device or fact.id
            weight, best = by_place.get(key, (0.0, fact))
            strongest = best if weights[best.id] >= weights[fact.id] else fact
            by_place[key] = (weight + weights[fact.id], strongest)
        ranked = sorted(by_place.values(), key=lambda each: (-each[0], each[1].id))[:CANDIDATES]
        return [
            {
                "fact": fact.id, "asset": fact.place.asset, "device": fact.place.device,
                "name": self._name(fact), "lon": fact.place.lon, "lat": fact.place.lat,
                "probability": round(weight / total, 3),
                "why": sentence(_why(type_.cause, carried, traced, fact), [_ref(fact)]),
            }
            for weight, fact in ranked
        ]  # fmt: skip

    def _pipes(self, type_: IncidentType, anchors: list[Fact], world: World) -> list[dict[str, object]]:
        """The pipes whose break would make pressures fall as they did; none where nothing tells."""
        fallen = sorted(
            (fact for fact in anchors if fact.what in type_.falls), key=lambda fact: (fact.onset_us, fact.id)
        )
        if world.breaks is None or not fallen:
            return []
        first = fallen[0]
        until_us = first.onset_us + round(type_.later_half * SECOND_US)
        together = [f for f in fallen if f.onset_us <= until_us and f.place.zone == first.place.zone]
        pipes = world.breaks(first.place.zone, self._heard(together))
        return [
            {
                "fact": first.id, "asset": pipe.asset, "device": "", "name": pipe.name,
                "lon": pipe.lon, "lat": pipe.lat, "probability": round(pipe.chance, 3),
                "why": sentence("explain.cause.hydraulic", [_ref(fact) for fact in together]),
            }
            for pipe in pipes
        ]  # fmt: skip

    def _heard(self, fallen: list[Fact]) -> Heard:
        """What the loggers of a district say: those that raised the alert by how much, the others that they did not."""
        first = fallen[0]
        fell = {fact.place.asset: abs(fact.peak) for fact in fallen}
        rule = self._rules.get(first.what)
        kinds = rule.decl.kinds if rule is not None else ()
        others = {
            device.asset
            for device in self._registry.devices.values()
            if device.kind in kinds and device.zone == first.place.zone and device.asset not in fell
        }
        return Heard(fell, dict.fromkeys(sorted(others), abs(first.limit)))

    def _name(self, fact: Fact) -> dict[str, str]:
        device = self._registry.devices.get(fact.place.device)
        return dict(device.name) if device else {"zh": fact.place.device, "en": fact.place.device}

    # -- explanation ---------------------------------------------------------------------------------------

    def _explain(
        self,
        type_: IncidentType,
        group: Group,
        facts: Mapping[str, Fact],
        parts: Mapping[str, float],
        causes: list[dict[str, object]],
    ) -> dict[str, object]:
        first = min((facts[fact_id] for fact_id in group.anchors), key=lambda fact: (fact.onset_us, fact.id))
        why = [
            self._say_evidence(type_, evidence, group, facts, parts.get(evidence.key, 0.0))
            for evidence in type_.evidence
            if evidence.key in group.members.values()
        ]
        against = [told for told, evidence in why if evidence.against]
        return {
            "what": sentence("explain.what", type={"text": f"incident.{type_.key}.name"}),
            "where": sentence(
                "explain.where.near", name=causes[0]["name"] if causes else self._name(first),
                area=first.place.area or {"text": "explain.unknown_area"},
            ),
            "since": sentence("explain.since", [_ref(first)], time={"time_us": first.onset_us}),
            "why": [told for told, evidence in why if not evidence.against],
            "against": against or [sentence("explain.against.none")],
            "affects": [],
            "next": [sentence(f"incident.{type_.key}.next")],
        }  # fmt: skip

    def _say_evidence(
        self,
        type_: IncidentType,
        evidence: Evidence,
        group: Group,
        facts: Mapping[str, Fact],
        weight: float,
    ) -> tuple[dict[str, object], Evidence]:
        members = [facts[fact_id] for fact_id, key in group.members.items() if key == evidence.key]
        strongest = max(members, key=lambda fact: (_excess(fact), fact.id))
        shown = {
            "evidence": {"text": f"incident.{type_.key}.evidence.{evidence.key}"},
            "n": len({fact.speaker or fact.id for fact in members}),
            "weight": round(weight, 1),
            "name": self._name(strongest),
        }
        refs = [_ref(fact) for fact in sorted(members, key=lambda fact: fact.onset_us)]
        rule = self._rules.get(strongest.what)
        if rule is None:
            return sentence("explain.why.told", refs, **shown), evidence
        unit, digits = self._unit(strongest)
        numbers = {
            "rule": {"text": f"rule.{rule.key}.name"},
            "peak": {"number": strongest.peak, "unit": unit, "digits": digits},
            "limit": {"number": strongest.limit, "unit": unit, "digits": digits},
        }
        return sentence("explain.why.measured", refs, **shown, **numbers), evidence

    def _unit(self, fact: Fact) -> tuple[str, int]:
        """Unit and useful digits of what a rule compares at a device."""
        rule = self._rules[fact.what]
        part = next((part for part in rule.decl.parts if part.channel == fact.channel), rule.decl.parts[0])
        device = self._registry.devices.get(fact.place.device)
        channel = self._registry.channel(device, fact.channel) if device and fact.channel else None
        digits = max(0, -math.floor(math.log10(channel.decl.resolution))) if channel else 2
        return part.unit, digits


def _affected(type_: IncidentType, best: Fact, world: World) -> list[dict[str, object]]:
    """What the map knows to lie where the cause most likely is."""
    return world.affected(type_.affects, best.place) if world.affected is not None else []


def _at_cause(fact: Fact, causes: list[dict[str, object]]) -> Fact:
    """The fact as if it spoke from where the first cause lies."""
    if not causes:
        return fact
    cause = causes[0]
    lon, lat = float(str(cause["lon"])), float(str(cause["lat"]))
    return replace(fact, place=replace(fact.place, asset=str(cause["asset"]), lon=lon, lat=lat))


def _ref(fact: Fact) -> Ref:
    return Ref(fact.place.device, fact.channel, fact.onset_us - BEFORE_US, fact.end_us or 0)


def _excess(fact: Fact) -> float:
    """How far beyond its limit, in units of the limit."""
    return abs(fact.peak - fact.limit) / max(abs(fact.limit), 1e-9)


def _strength(fact: Fact, first_us: int, half_s: float) -> float:
    """Stronger and earlier evidence lies nearer to the cause; so many seconds later counts half."""
    later_s = (fact.onset_us - first_us) / SECOND_US
    return float((0.05 + min(_excess(fact), 10.0)) * 0.5 ** (later_s / half_s))


def _carried(cause: str, anchors: list[Fact], weights: Mapping[str, float], world: World) -> dict[str, int]:
    """How many places among the strongest each anchor lies behind, as seen from where the cause would be."""
    places = {fact.place.asset: fact for fact in sorted(anchors, key=lambda each: weights[each.id])}
    strongest = [fact for asset, fact in places.items() if asset][-COMPARED:]
    return {
        fact.id: sum(_behind(cause, fact, other, world) for other in strongest if other is not fact)
        for fact in anchors
    }


def _behind(cause: str, fact: Fact, other: Fact, world: World) -> bool:
    """Whether what one place says was carried there from the other."""
    one, two = fact.place, other.place
    if not one.asset or one.asset == two.asset:
        return False
    if cause == "upwind":
        there, here = (downwind(a, b, world.wind, other.onset_us) for a, b in ((two, one), (one, two)))
        return there and not here
    if cause == "strongest" or world.flow is None:
        return False
    lower, upper = (two, one) if cause == "lowest" else (one, two)
    return world.flow.downstream_m(upper.asset, lower.asset) is not None


def _traced(cause: str, strongest: Fact, world: World) -> Mapping[str, float]:
    """The chance of assets to be where the air brought it from; empty where no one is likely to be."""
    if cause != "upwind" or world.trace is None:
        return {}
    found = world.trace(strongest.channel, strongest.place)
    return found if max(found.values(), default=0.0) > LIKELY else {}


def _why(cause: str, carried: Mapping[str, int], traced: Mapping[str, float], fact: Fact) -> str:
    """The reason that is given: the plume where it is likely, the direction only where it told places apart."""
    if traced.get(fact.place.asset, 0.0) > LIKELY:
        return "explain.cause.traced"
    told = not carried[fact.id] and any(carried.values())
    return f"explain.cause.{cause}" if told else "explain.cause.strongest"


def _centre(anchors: list[Fact], weight: Mapping[str, float]) -> tuple[float, float]:
    shares = [weight.get(fact.id, 1e-6) for fact in anchors]
    total = sum(shares)
    return (
        sum(share * fact.place.lon for share, fact in zip(shares, anchors, strict=True)) / total,
        sum(share * fact.place.lat for share, fact in zip(shares, anchors, strict=True)) / total,
    )


def _params(devices: list[Device | None]) -> dict[str, float]:
    """The numbers that the devices of the evidence bring; of several the largest."""
    found: dict[str, float] = {}
    for device in devices:
        for name, value in (device.params if device else {}).items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found[name] = max(found.get(name, float(value)), float(value))
    return found
