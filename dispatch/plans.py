"""Plans (处置方案; 应急预案 where an authority approved one): what a domain declares in `plans.yaml`.

A plan says for which incidents it is, how long handling may take, which crew it needs, what its tasks are and when
its sensors agree that it is over; code and departments of the case come from the incident type and the duty list.
Everything that a person reads stands in the domain's texts under `plan.<key>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

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


class Start(Declared):
    """Who may start the plan, and when it proposes itself (CEL, see `expressions.py`)."""

    by: Annotated[list[Role], Field(min_length=1)] = ["shift_leader"]
    propose_when: str = "incident.score >= 7.0"


TaskKind = Literal["call", "check", "confirm", "order", "request", "notice", "bulletin", "command", "watch"]

#: What an order or request must have reached for its task to be done, and what other tasks may wait for.
MILESTONES = {
    "order": ("sent", "accepted", "arrived", "finished"),
    "request": ("sent", "received", "under_way", "arrived", "reported"),
}
DONE_AT = {"order": "accepted", "request": "received"}


class Command(Declared):
    """What a task sets on the centre's own sign, barrier or siren near the incident; two people confirm it."""

    kind: Key
    channel: Key
    value: float


class TaskDecl(Declared):
    """One task. Its words stand in the domain's texts under `plan.<plan>.task.<key>`.

    `limit` runs from when its predecessors are done, with `from_start` from the start of the plan (T+n).
    `after` names tasks, or milestones such as `repair.arrived`. `when` skips it, `done` ends it by itself (CEL).
    """

    key: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    role: Role
    kind: TaskKind
    limit: Span | None = None
    from_start: bool = False
    after: list[str] = []
    when: str = ""
    done: str = ""
    to: Key = ""
    until: str = ""
    crew: CrewNeed | None = None
    items: list[Key] = []
    #: Departments that must all sign before it is done: the joint reopening of an underpass.
    signed_by: list[Key] = []
    command: Command | None = None
    every: Span | None = None
    #: It begins when the response level is this one or a higher one.
    response: Literal["", "I", "II", "III", "IV"] = ""

    @model_validator(mode="after")
    def _sound(self) -> TaskDecl:
        if self.kind == "request" and not self.to:
            raise ValueError("a request needs `to`, the agency that is asked")
        if (self.kind == "command") != (self.command is not None):
            raise ValueError("`command` belongs to a task of kind command, and to no other")
        if self.until and self.until not in MILESTONES.get(self.kind, ()):
            raise ValueError(f"`until` must be one of {', '.join(MILESTONES.get(self.kind, ())) or '(none)'}")
        if self.kind == "watch" and not self.done and not self.every:
            raise ValueError("a watch needs `done`, or `every`")
        return self

    @property
    def milestone(self) -> str:
        """What must be reached for it to be done, empty where a person or a condition says so."""
        return self.until or DONE_AT.get(self.kind, "")


class Response(Declared):
    """A response level (Ⅰ–Ⅳ) that the plan proposes when its condition holds; people start, raise and lower it."""

    level: Literal["I", "II", "III", "IV"]
    propose_when: str


class Upgrade(Declared):
    """When the plan proposes more than itself: another priority, or a plan of the government."""

    when: str
    priority: Annotated[int | None, Field(ge=1, le=4)] = None
    key: Key


class ReportUp(Declared):
    """信息报送 that this plan makes due: first call and first text after, then a continued one every `next`."""

    when: str
    call: Span
    text: Span
    next: Span


class Scenario(Declared):
    """A drill, or a twin that must not start the plan. `facts`, `low` and `high` as they are at the beginning;
    `after` as they are once the work is done.
    """

    key: Key
    starts: bool = True
    score: float
    level: Annotated[int, Field(ge=1, le=4)] = 2
    priority: Annotated[int, Field(ge=1, le=4)] = 2
    facts: dict[str, float] = {}
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    n: dict[str, float] = {}
    after: dict[str, float] = {}


class PlanDecl(Declared):
    key: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
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
    tasks: list[TaskDecl] = []
    responses: list[Response] = []
    lower_when: str = ""
    upgrades: list[Upgrade] = []
    reports: list[ReportUp] = []
    drills: list[Scenario] = []

    def task(self, key: str) -> TaskDecl:
        return next(task for task in self.tasks if task.key == key)


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
