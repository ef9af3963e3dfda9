"""A plan played through in its own time against a scenario: nobody is told, nothing is stored. Pure.

People take half of their limit, crews accept in a minute and need 60 % of their arrival time, agencies answer in two
minutes (`ours`): what comes out is the order of things, which limits are tight, and whether the plan reaches its close.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from core.clock import MINUTE_US, SECOND_US
from dispatch import plan_run
from dispatch.closure import SensorCondition, bounds
from dispatch.expressions import Facts, holds
from dispatch.incident import Series
from dispatch.plan_check import scenario_facts
from dispatch.plan_run import PlanRun, RunState, TaskState
from dispatch.plans import PlanDecl, Scenario, TaskDecl

STEP_US = 10 * SECOND_US
LONGEST_US = 7 * 24 * 60 * MINUTE_US
PERSON_S = 60.0
ACCEPT_S = 60.0
ANSWER_S = 120.0
WORK_S = 2400.0
#: Share of the allowed arrival time that a crew needs.
WAY = 0.6


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: seconds from the start, the task, what, and seconds left of its limit."""

    at_s: float
    task: str
    what: str
    left_s: float | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """`started` False: the scenario does not start it. `closed_s`: when its sensors had been quiet long enough."""

    plan: str
    scenario: str
    started: bool = True
    moments: tuple[Moment, ...] = ()
    late: tuple[str, ...] = ()
    closed_s: float | None = None
    stuck: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """It did what the scenario expects: reached its close, or did not start."""
        return not self.started or (self.closed_s is not None and not self.stuck)


@dataclass(slots=True)
class _Stage:
    """What goes on outside the plan: when each milestone will be reached."""

    coming: dict[str, float] = field(default_factory=dict)
    person_done: dict[str, float] = field(default_factory=dict)


def play(plan: PlanDecl, scenario: Scenario) -> Played:
    """Play a scenario to its end, or until nothing moves for a week."""
    facts = scenario_facts(plan, scenario)
    if not holds(plan.starts.propose_when, facts):
        return Played(plan.key, scenario.key, started=False)
    run = plan_run.begin(
        plan, PlanRun("dry", "dry", plan.key, "", "", RunState.RUNNING, 0, "dry", "drill", {})
    )
    stage, moments, now_us = _Stage(), [], 0
    finished_s: float | None = None
    while now_us <= LONGEST_US:
        now_s = now_us / SECOND_US
        reached = frozenset(name for name, at_s in stage.coming.items() if at_s <= now_s)
        if finished_s is None and _work_over(plan, reached):
            finished_s = now_s
            facts = _after(facts, scenario)
        before = None
        while run != before:
            before = run
            run = _moment(run, plan, stage, reached, facts, now_us)
            moments += _told(plan, before, run, now_s)
        if all(_settled(plan.task(key), task) for key, task in run.tasks.items()):
            return _closed(plan, scenario, run, moments, now_s, facts)
        now_us = _next(run, plan, stage, now_us)
    stuck = tuple(key for key, task in run.tasks.items() if not _settled(plan.task(key), task))
    return Played(plan.key, scenario.key, moments=tuple(moments), late=_late(run), stuck=stuck)


def _moment(
    run: PlanRun, plan: PlanDecl, stage: _Stage, reached: frozenset[str], facts: Facts, now_us: int
) -> PlanRun:
    """What follows at this moment, once."""
    run, effects = plan_run.advance(run, plan, reached, facts, now_us)
    for effect in effects:
        if effect.kind == "begin":
            _begin(plan.task(effect.key), stage, now_us / SECOND_US)
        elif effect.kind == "response" and effect.key != "lower":
            ask = plan_run.Ask("dry", now_us, level=effect.key, reason="dry")
            run, _ = plan_run.act(run, plan, "set_response", ask)
    return _people(run, plan, stage, now_us)


def _work_over(plan: PlanDecl, reached: frozenset[str]) -> bool:
    """All crews have finished; a plan without crews is over at once."""
    orders = [task.key for task in plan.tasks if task.kind == "order"]
    return all(f"{key}.finished" in reached for key in orders)


def _after(facts: Facts, scenario: Scenario) -> Facts:
    """The world as it is once the work is done."""
    changed = {**scenario.after}
    return replace(
        facts,
        low={**facts.low, **changed},
        high={**facts.high, **changed},
        facts={**facts.facts, **changed},
    )


def _begin(task: TaskDecl, stage: _Stage, now_s: float) -> None:
    if task.kind == "order":
        arrive_s = WAY * (task.crew.arrive if task.crew else 1800.0)
        times = {
            "sent": 0.0,
            "accepted": ACCEPT_S,
            "arrived": ACCEPT_S + arrive_s,
            "finished": ACCEPT_S + arrive_s + WORK_S,
        }
        stage.coming |= {f"{task.key}.{name}": now_s + at_s for name, at_s in times.items()}
    elif task.kind == "request":
        names = ("sent", "received", "under_way", "arrived", "reported")
        stage.coming |= {f"{task.key}.{name}": now_s + ANSWER_S * n for n, name in enumerate(names)}
    elif not task.done or task.kind in ("call", "check", "confirm", "bulletin", "command"):
        stage.person_done[task.key] = now_s + (0.5 * task.limit if task.limit else PERSON_S)


def _people(run: PlanRun, plan: PlanDecl, stage: _Stage, now_us: int) -> PlanRun:
    for key, task in run.tasks.items():
        if task.state == TaskState.OPEN and stage.person_done.get(key, float("inf")) <= now_us / SECOND_US:
            for department in plan.task(key).signed_by or [""]:
                ask = plan_run.Ask("dry", now_us, task=key, result="dry", department=department)
                run, _ = plan_run.act(run, plan, "do", ask)
            del stage.person_done[key]
    return run


def _settled(task: TaskDecl, now: plan_run.TaskRun) -> bool:
    return now.state in plan_run.SETTLED or (task.response != "" and now.state == TaskState.WAITING)


def _told(plan: PlanDecl, before: PlanRun, run: PlanRun, now_s: float) -> list[Moment]:
    found = []
    for task in plan.tasks:
        was, now = before.tasks[task.key], run.tasks[task.key]
        if now.state != was.state or now.round != was.round:
            left = None if now.due_us is None else now.due_us / SECOND_US - now_s
            found.append(Moment(now_s, task.key, now.state, left))
    return found


def _next(run: PlanRun, plan: PlanDecl, stage: _Stage, now_us: int) -> int:
    """The next moment at which something can happen, at most some seconds later than it must."""
    now_s = now_us / SECOND_US
    times = [at for at in (*stage.coming.values(), *stage.person_done.values()) if at > now_s]
    times += [at / SECOND_US for at in plan_run.deadlines(run, plan).values() if at > now_us]
    return max(now_us + STEP_US, round(min(times) * SECOND_US)) if times else LONGEST_US + 1


def _late(run: PlanRun) -> tuple[str, ...]:
    return tuple(key for key, task in run.tasks.items() if task.late)


def _closed(
    plan: PlanDecl, scenario: Scenario, run: PlanRun, moments: list[Moment], now_s: float, facts: Facts
) -> Played:
    """The case closes when its sensors have been quiet for their time."""
    objecting = tuple(c.channel for c in plan.close.sensors if _objects(c, facts))
    closed_s = None if objecting else now_s + plan.close.observe
    late = _late(run)
    return Played(
        plan.key, scenario.key, moments=tuple(moments), late=late, closed_s=closed_s, stuck=objecting
    )


def _objects(condition: SensorCondition, facts: Facts) -> bool:
    """A channel that the scenario names must be inside the condition; the usual value is taken as 0 deviation."""
    limit = bounds(condition, Series("", {}, "", condition.channel, "", {}, 0.0, (), None))
    if limit is None:
        return False
    values: list[float] = [v[condition.channel] for v in (facts.low, facts.high) if condition.channel in v]
    return any(limit.broken_by(value) for value in values)


def table(played: Played) -> list[Mapping[str, object]]:
    """The moments as rows for a person."""
    return [
        {"at": f"T+{m.at_s / 60:.1f}", "task": m.task, "state": m.what, "left_s": m.left_s}
        for m in played.moments
    ]
