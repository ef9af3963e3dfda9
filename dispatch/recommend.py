"""Which crew to send: a pure ranking with reasons, and with shortfalls for those that cannot go.

Everything is reckoned in seconds: travel time plus what other drawbacks are worth. The weights are `ours`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from core.clock import HOUR_US
from dispatch.crews import Crew

REST_AFTER_S = 12 * 3600.0

Told = Mapping[str, object]


def told(key: str, **params: object) -> Told:
    """A text key with its parameters, rendered where somebody reads it."""
    return {"key": f"dispatch.why.{key}", "params": params}


@lru_cache(maxsize=1024)
def _told_all(key: str, name: str, values: frozenset[str]) -> Told:
    """The same sentence for many crews, made once: a ranking of 500 says it 500 times."""
    return told(key, **{name: sorted(values)})


@lru_cache(maxsize=1024)
def _told_one(key: str, name: str, value: str | int) -> Told:
    return told(key, **{name: value})


RESTED = told("rested")
FROM_DEPOT = told("from_depot")


@dataclass(frozen=True, slots=True)
class Weights:
    """What a drawback is worth in seconds of travel (`ours`)."""

    other_department_s: float = 300.0
    missing_equipment_s: float = 600.0
    few_members_s: float = 300.0
    per_order_this_duty_s: float = 45.0
    unknown_position_s: float = 120.0
    long_duty_s: float = 300.0
    coverage_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Need:
    """What a task asks for. `department` is preferred, not required, unless `only_department`."""

    skills: frozenset[str]
    equipment: frozenset[str] = frozenset()
    members: int = 1
    arrive_s: float | None = None
    department: str = ""
    only_department: bool = False
    provenance: str = "real"
    exclude: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Way:
    """How a crew would get there: `travel_s` None when no road leads there; `network` False when only estimated."""

    travel_s: float | None
    network: bool = False
    position_age_s: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A crew with its cost. `barred`: why it cannot go at all; `shortfalls`: what speaks against it."""

    crew: str
    cost_s: float
    travel_s: float | None
    reasons: tuple[Told, ...] = ()
    shortfalls: tuple[Told, ...] = ()
    barred: tuple[Told, ...] = ()

    @property
    def able(self) -> bool:
        return not self.barred


@dataclass(slots=True)
class _Judged:
    cost_s: float = 0.0
    reasons: list[Told] = field(default_factory=list)
    shortfalls: list[Told] = field(default_factory=list)
    barred: list[Told] = field(default_factory=list)

    def forbid(self, key: str, **params: object) -> None:
        self.barred.append(told(key, **params))

    def charge(self, cost_s: float, key: str, **params: object) -> None:
        self.cost_s += cost_s
        self.shortfalls.append(told(key, **params))


def rank(
    need: Need,
    crews: Iterable[Crew],
    ways: Mapping[str, Way],
    now_us: int,
    *,
    loss: Mapping[str, float] | None = None,
    weights: Weights = Weights(),
) -> list[Candidate]:
    """Crews, the able ones first, each group by cost. A crew without any of the skills is left out.

    `ways` by crew id; `loss` is what sending a crew takes from the coverage, in seconds.
    """
    found = [
        judge(need, crew, ways.get(crew.id, Way(None)), now_us, (loss or {}).get(crew.id, 0.0), weights)
        for crew in crews
        if need.skills & crew.skills and may_serve(crew.provenance, need.provenance)
    ]
    return sorted(found, key=lambda each: (not each.able, each.cost_s, each.crew))


def may_serve(crew: str, incident: str) -> bool:
    """Nobody real is sent to what is not; a drill stays among crews of drills."""
    if "drill" in (crew, incident):
        return crew == incident
    return crew != "real" or incident == "real"


def judge(need: Need, crew: Crew, way: Way, now_us: int, loss_s: float, weights: Weights) -> Candidate:
    """One crew for one need."""
    judged = _Judged()
    _may_go(need, crew, judged)
    _is_fit(need, crew, judged, weights)
    _gets_there(need, way, judged, weights)
    _is_rested(crew, now_us, judged, weights)
    if loss_s > 0:
        judged.charge(weights.coverage_s * loss_s, "coverage", seconds=round(loss_s))
    cost = judged.cost_s + (way.travel_s if way.travel_s is not None else 0.0)
    return Candidate(
        crew.id, cost, way.travel_s, tuple(judged.reasons), tuple(judged.shortfalls), tuple(judged.barred)
    )


def _may_go(need: Need, crew: Crew, judged: _Judged) -> None:
    if crew.duty == "off":
        judged.forbid("off_duty")
    elif crew.duty == "rest":
        judged.forbid("resting")
    if crew.order:
        judged.forbid("busy", order=crew.order)
    if crew.id in need.exclude:
        judged.forbid("declined")


def _is_fit(need: Need, crew: Crew, judged: _Judged, weights: Weights) -> None:
    missing = need.skills - crew.skills
    if missing:
        judged.barred.append(_told_all("skills_missing", "skills", missing))
    else:
        judged.reasons.append(_told_all("skills", "skills", need.skills))
    lacking = need.equipment - crew.equipment
    if lacking:
        judged.cost_s += weights.missing_equipment_s * len(lacking)
        judged.shortfalls.append(_told_all("equipment_missing", "equipment", lacking))
    elif need.equipment:
        judged.reasons.append(_told_all("equipment", "equipment", need.equipment))
    if crew.members < need.members:
        judged.charge(weights.few_members_s, "few_members", members=crew.members, wanted=need.members)
    if need.department and crew.department != need.department:
        if need.only_department:
            judged.forbid("other_department", department=crew.department)
        else:
            judged.cost_s += weights.other_department_s
            judged.shortfalls.append(_told_one("other_department", "department", crew.department))
    elif need.department:
        judged.reasons.append(_told_one("own_department", "department", crew.department))


def _gets_there(need: Need, way: Way, judged: _Judged, weights: Weights) -> None:
    if way.travel_s is None:
        judged.forbid("no_way")
        return
    key = "travel" if way.network else "travel_estimated"
    judged.reasons.append(_told_one(key, "minutes", max(1, round(way.travel_s / 60))))
    if need.arrive_s is not None and way.travel_s > need.arrive_s:
        judged.shortfalls.append(_told_one("too_far", "minutes", round(need.arrive_s / 60)))
    if way.position_age_s is None:
        judged.cost_s += weights.unknown_position_s
        judged.shortfalls.append(FROM_DEPOT)
    else:
        judged.reasons.append(_told_one("position", "seconds", round(way.position_age_s)))


def _is_rested(crew: Crew, now_us: int, judged: _Judged, weights: Weights) -> None:
    if crew.orders_this_duty:
        judged.charge(weights.per_order_this_duty_s * crew.orders_this_duty, "load", n=crew.orders_this_duty)
    hours = (now_us - crew.duty_since_us) / HOUR_US
    if hours * 3600 > REST_AFTER_S:
        judged.charge(weights.long_duty_s, "long_duty", hours=round(hours))
    elif not crew.orders_this_duty:
        judged.reasons.append(RESTED)


def best(candidates: Sequence[Candidate]) -> Candidate | None:
    """The first who can go."""
    return candidates[0] if candidates and candidates[0].able else None


@dataclass(frozen=True, slots=True)
class Shortage:
    """Why nobody goes: how many crews fail for which reason, the most frequent first."""

    reasons: tuple[tuple[str, int], ...]


def shortage(candidates: Sequence[Candidate]) -> Shortage:
    counts: dict[str, int] = {}
    for candidate in candidates:
        for each in candidate.barred:
            counts[str(each["key"])] = counts.get(str(each["key"]), 0) + 1
    return Shortage(tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))))
