"""Plans (处置方案; 应急预案 where an authority approved one): what a domain declares in `plans.yaml`.

A plan says for which incidents it is, how long handling may take, which crew it needs, what its tasks are and when
its sensors agree that it is over; code and departments of the case come from the incident type and the duty list.
Everything that a person reads stands in the domain's texts under `plan.<key>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from core.domains import Declaration, Domains
from core.schema import Declared, Key, Span
from core.yamlfile import Mistake, Mistakes
from dispatch.closure import SensorCondition
from dispatch.limits import Limit

Role = Key


class CrewNeed(Declared):
    """What a crew must have. `arrive`: wanted on site within this time of sending."""

    skills: Annotated[list[Key], Field(min_length=1)]
    equipment: list[Key] = []
    members: Annotated[int, Field(ge=1)] = 1
    arrive: Span


class Close(Declared):
    """When the sensors agree. Without `sensors` a collector checks with a photo."""

    sensors: list[SensorCondition] = []
    observe: Span = 0.0
    #: Roles that must sign together before it may close: joint reopening of an underpass.
    signatures: list[Role] = []


class Start(Declared):
    """Who may start the plan, and when it proposes itself. `auto`: orders may go before a person decided."""

    by: Annotated[list[Role], Field(min_length=1)] = ["shift_leader"]
    propose_when: str = "score >= 7.0"


class PlanDecl(Declared):
    key: Key
    incidents: Annotated[list[Key], Field(min_length=1)]
    kind: Literal["scheme", "approved"] = "scheme"
    life: bool = False
    #: For incidents that only posture belongs to: no case and no order of their own.
    parent: bool = False
    starts: Start = Start()
    #: The handling limit where it is not the first one of the case code in the city's list.
    limit: Limit | None = None
    #: Roads this near are closed to others while its case is in hand: flooded, sunk, cordoned off.
    blocks_m: Annotated[float, Field(ge=0, le=1000)] = 0.0
    crew: CrewNeed | None = None
    close: Close = Close()


@dataclass(frozen=True, slots=True)
class Plan:
    """A declared plan and the domain that it comes from."""

    domain: str
    decl: PlanDecl

    @property
    def key(self) -> str:
        return self.decl.key


@dataclass(frozen=True, slots=True)
class Plans:
    """All plans, by key and by the incident type that they are for."""

    by_key: Mapping[str, Plan]
    by_incident: Mapping[str, Plan]

    def for_incident(self, type_: str) -> Plan | None:
        return self.by_incident.get(type_)

    def get(self, key: str) -> Plan | None:
        return self.by_key.get(key)


NO_PLANS = Plans({}, {})


def load(domains: Domains) -> Plans:
    """The plans of all domains. Raises `Mistakes`: a key or an incident type that two plans claim."""
    by_key: dict[str, Plan] = {}
    by_incident: dict[str, Plan] = {}
    wrong: list[Mistake] = []
    for declared in domains.section("plans", PlanDecl):
        plan = Plan(declared.domain, declared.item)
        wrong += _claims(declared, plan, by_key, by_incident)
    if wrong:
        raise Mistakes(wrong)
    return Plans(by_key, by_incident)


def _claims(
    declared: Declaration[PlanDecl], plan: Plan, by_key: dict[str, Plan], by_incident: dict[str, Plan]
) -> list[Mistake]:
    wrong: list[Mistake] = []
    if by_key.setdefault(plan.key, plan) is not plan:
        wrong.append(declared.mistake("stands in another plan already", "key"))
    for index, type_ in enumerate(plan.decl.incidents):
        other = by_incident.setdefault(type_, plan)
        if other is not plan:
            wrong.append(declared.mistake(f"is claimed by plan {other.key} already", "incidents", index))
    return wrong
