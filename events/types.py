"""What the domains declare in `incidents.yaml`: incident types, their evidence, relations, lags and weights."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from core.domains import Declaration, Domains
from core.schema import Declared, Key, Span, span_s
from core.text import Texts
from core.yamlfile import Mistake, Mistakes
from events.expressions import PRIORITY, mistake
from events.rules import Class, RuleSet

#: What evidence can be beside an alert of a rule; the part after the dot names which.
OTHER_FACTS = ("report", "incident", "permit", "operator")


def signed_span_s(value: object) -> float:
    """Seconds of a span that may lie before: `-10m`, `15m`, `0s`."""
    if isinstance(value, str) and value.startswith("-"):
        return -span_s(value[1:])
    return span_s(value)


SignedSpan = Annotated[float, BeforeValidator(signed_span_s)]
Sameness = Literal["device", "asset", "zone", "area", "city"]


class Near(Declared):
    """How two places may belong together; one that holds suffices."""

    same: tuple[Sameness, ...] = ()
    #: Metres as the crow flies.
    within_m: Annotated[float, Field(ge=0, le=50_000)] = 0.0
    #: Metres along the pipes, when both are on one network.
    along_m: Annotated[float, Field(ge=0, le=50_000)] = 0.0
    #: The evidence lies upstream (downstream) of the anchor, at most so many metres of pipe away.
    upstream_m: Annotated[float, Field(ge=0, le=50_000)] = 0.0
    downstream_m: Annotated[float, Field(ge=0, le=50_000)] = 0.0
    #: One lies downwind of the other, within so many metres.
    downwind_m: Annotated[float, Field(ge=0, le=50_000)] = 0.0

    @model_validator(mode="after")
    def _some(self) -> Near:
        if not (self.same or self.reach_m):
            raise ValueError("needs one of same, within_m, along_m, upstream_m, downstream_m, downwind_m")
        return self

    @functools.cached_property
    def reach_m(self) -> float:
        """No two places further apart than this are related by distance."""
        return max(self.within_m, self.along_m, self.upstream_m, self.downstream_m, self.downwind_m)

    @functools.cached_property
    def lines(self) -> bool:
        """Whether pipes or wind may join two places that are not near by metres."""
        return self.reach_m > self.within_m


class Weight(Declared):
    """In nats: `first` for the first `points` distinct points together, `each` for every further one, at most `cap`."""

    points: Annotated[int, Field(ge=1)] = 1
    first: float
    each: float = 0.0
    cap: float | None = None

    def of(self, n: int) -> float:
        if n < self.points:
            return 0.0
        total = self.first + (n - self.points) * self.each
        if self.cap is None:
            return total
        return min(total, self.cap) if self.first >= 0 else max(total, self.cap)


class Evidence(Declared):
    """One kind of evidence. Anchors make an incident; the others add to one that has an anchor near.

    `near` and `lag` are for the others: where they lie from an anchor, and when, seen from it.
    """

    key: Key
    rules: Annotated[list[str], Field(min_length=1)]
    anchor: bool = False
    near: Near | None = None
    lag: tuple[SignedSpan, SignedSpan] | None = None
    weight: Weight

    @model_validator(mode="after")
    def _sound(self) -> Evidence:
        if self.anchor and (self.near or self.lag):
            raise ValueError("is an anchor: how anchors belong together stands in `together`")
        if not self.anchor and not (self.near and self.lag):
            raise ValueError("needs near and lag, or anchor: true")
        if self.lag and self.lag[0] > self.lag[1]:
            raise ValueError("lag must be [earliest, latest]")
        if self.anchor and self.weight.first < 0:
            raise ValueError("an anchor cannot speak against what it anchors")
        return self

    @property
    def against(self) -> bool:
        return self.weight.first < 0


class Together(Declared):
    """How anchors belong together: near, and no more than `lag` from one to the next."""

    near: Near
    lag: Span
    #: What lies further from the first, any way or up the flow, comes later: an order that fits speaks against chance.
    front: Literal["away", "upstream"] | None = None


class Raised(Declared):
    """A priority and when it is proposed: CEL over `level`, `score`, `points`, `evidence`, `params`."""

    priority: Annotated[int, Field(ge=1, le=4)]
    when: str


class Endangers(Declared):
    """The surface that the map shows of an incident, and from what it is made.

    `flood`: the streets around it, by the deepest `channel` (in cm) that its alerts' devices say now. `plume`: what
    lies downwind within `reach_m`, as the weather stations' wind blows. `isolated`: what the valves of `network`
    around its asset leave without supply, once the incident is sure.
    """

    kind: Literal["flood", "plume", "isolated"]
    channel: str = "depth"
    network: str = "water_supply"
    reach_m: Annotated[float, Field(gt=0, le=5000)] = 300.0


class Affects(Declared):
    """Something that is told of the map around an incident's cause.

    `cut`: what the valves of `network` around it leave without supply. `district`: the homes of its zone. `roads`: the
    underpass or roads `within_m`. `buildings`: how many. `key_users`: the names of those with these `uses`.
    """

    kind: Literal["cut", "district", "roads", "buildings", "key_users"]
    within_m: Annotated[float, Field(gt=0, le=5000)] = 100.0
    network: str = "water_supply"
    uses: tuple[str, ...] = ("hospital", "school", "kindergarten")


class IncidentType(Declared):
    """Something that can happen in the city. Its texts are `incident.<key>.*`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    key: Key
    klass: Class = Field(alias="class", default="field")
    #: Scores at which it is opened, and from which it is held for certain enough to act on.
    open: float = 4.0
    sure: float = 7.0
    together: Together
    evidence: Annotated[list[Evidence], Field(min_length=1)]
    #: Where the cause lies among the anchors: where they are strongest and earliest; or, too, at the lowest or highest
    #: of those that one flow joins (a blockage backs water up, a discharge runs down), or furthest up the wind.
    #: Or at the pipe of its supply district whose break would make pressures fall as they did: the peaks of the rules
    #: in `falls` say by how much.
    cause: Literal["strongest", "lowest", "highest", "upwind", "hydraulic"] = "strongest"
    falls: list[str] = []
    #: An anchor that begins so much later than the first counts half as much when the cause is located.
    later_half: Span = 300.0
    priority: Annotated[int, Field(ge=1, le=4)] = 3
    raises: list[Raised] = []
    #: Such groups that chance alone would make, per hour in the whole city (where more anchors come than 60 an hour:
    #: per 60 of them), are put up with before it is opened. Evidence that opens the type by itself is believed whatever
    #: chance says.
    chance: Annotated[float, Field(gt=0)] = 0.02
    #: New evidence near a member that still stands joins for so long after the incident began.
    joins_for: Span = 6 * 3600.0
    #: Incidents of these types, near as `together` says, become children of this one while both are open.
    children: list[Key] = []
    case_code: str = ""
    plan: str = ""
    lead: Key
    assisting: list[Key] = []
    #: What it endangers, where the map can show that.
    endangers: Endangers | None = None
    #: What its explanation says that it affects, in this order.
    affects: tuple[Affects, ...] = ()
    source: Literal["S", "S?", "P", "city", "ours"] = "ours"

    @model_validator(mode="after")
    def _sound(self) -> IncidentType:
        keys = [evidence.key for evidence in self.evidence]
        doubled = {key for key in keys if keys.count(key) > 1}
        if doubled:
            raise ValueError(f"evidence {', '.join(sorted(doubled))} stands here twice")
        if not any(evidence.anchor for evidence in self.evidence):
            raise ValueError("no evidence is an anchor: nothing could ever open it")
        if (self.cause == "hydraulic") != bool(self.falls):
            raise ValueError("`cause: hydraulic` and `falls` go together")
        if self.sure < self.open:
            raise ValueError("`sure` must not lie below `open`")
        return self


@dataclass(frozen=True, slots=True)
class Kind:
    """An incident type of a domain."""

    domain: str
    decl: IncidentType

    @property
    def key(self) -> str:
        return self.decl.key


_FACT = re.compile(r"^[a-z0-9_.]+\*?$")


def load(domains: Domains, rules: RuleSet, texts: Texts | None = None) -> dict[str, Kind]:
    """The incident types of all domains, by key. Raises `Mistakes`."""
    declared = domains.section("incidents", IncidentType)
    wrong: list[Mistake] = []
    known: dict[str, Kind] = {}
    for found in declared:
        if found.item.key in known:
            wrong.append(found.mistake(f"type {found.item.key} is declared twice", "key"))
        known[found.item.key] = Kind(found.domain, found.item)
    for found in declared:
        wrong += _check_evidence(found, rules, known)
        wrong += _check_children(found, known)
        wrong += [
            found.mistake(f"no rule {name} is declared", "falls", index)
            for index, name in enumerate(found.item.falls)
            if all(rule.key != name for rule in rules)
        ]
        wrong += [
            found.mistake(told, "raises", index, "when")
            for index, raised in enumerate(found.item.raises)
            if (told := mistake(raised.when, PRIORITY))
        ]
        if texts is not None:
            wrong += _check_texts(found, texts)
    if wrong:
        raise Mistakes(wrong)
    return known


def matches(pattern: str, what: str) -> bool:
    """`ws.pressure.*` takes every rule whose key begins so."""
    return what.startswith(pattern[:-1]) if pattern.endswith("*") else what == pattern


def _check_evidence(
    found: Declaration[IncidentType], rules: RuleSet, known: dict[str, Kind]
) -> Iterator[Mistake]:
    for index, evidence in enumerate(found.item.evidence):
        for place, pattern in enumerate(evidence.rules):
            where = ("evidence", index, "rules", place)
            head, _, tail = pattern.partition(".")
            if not _FACT.fullmatch(pattern):
                yield found.mistake("must be the key of a rule, or end in .*", *where)
            elif head == "incident" and tail not in known:
                yield found.mistake(f"no incident type {tail} is declared", *where)
            elif head not in OTHER_FACTS and not any(matches(pattern, rule.key) for rule in rules):
                yield found.mistake(f"no rule {pattern} is declared", *where)


def _check_children(found: Declaration[IncidentType], known: dict[str, Kind]) -> Iterator[Mistake]:
    for index, child in enumerate(found.item.children):
        if child not in known:
            yield found.mistake(f"no incident type {child} is declared", "children", index)
        elif found.item.key in _descendants(child, known, set()):
            yield found.mistake(f"{child} is a parent of {found.item.key} too: a cycle", "children", index)


def _descendants(key: str, known: dict[str, Kind], seen: set[str]) -> set[str]:
    if key in seen or key not in known:
        return seen
    seen.add(key)
    for child in known[key].decl.children:
        _descendants(child, known, seen)
    return seen


def _check_texts(found: Declaration[IncidentType], texts: Texts) -> Iterator[Mistake]:
    wanted = ["name", "next", *(f"evidence.{evidence.key}" for evidence in found.item.evidence)]
    for part in wanted:
        for language in ("zh", "en"):
            key = f"incident.{found.item.key}.{part}"
            if not texts.has(key, language):
                yield found.mistake(f"has no text {key} in {language}.yaml", "key")
