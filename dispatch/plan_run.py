"""A running plan: which tasks stand open, which are done, what follows next. Pure.

`advance` is asked whenever something changed; it gives the run as it stands then and what must be begun. What people
do goes through `act` and its table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from core.clock import SECOND_US
from core.errors import Invalid, NotFound, WrongState
from dispatch import expressions
from dispatch.expressions import Facts
from dispatch.machine import LogLine, need_reason, only, table
from dispatch.plans import PlanDecl, TaskDecl


class RunState(StrEnum):
    RUNNING = "running"
    ENDED = "ended"
    ABORTED = "aborted"


class TaskState(StrEnum):
    WAITING = "waiting"
    OPEN = "open"
    DONE = "done"
    SKIPPED = "skipped"
    UNABLE = "unable"


R, T = RunState, TaskState
SETTLED = frozenset({T.DONE, T.SKIPPED, T.UNABLE})

STEPS = table(
    (R.RUNNING, "do", None),
    (R.RUNNING, "skip", None),
    (R.RUNNING, "unable", None),
    (R.RUNNING, "set_response", None),
    (R.RUNNING, "note", None),
    (R.RUNNING, "end", R.ENDED),
    (R.RUNNING, "abort", R.ABORTED),
)
TASK_STEPS = table(
    (T.OPEN, "do", T.DONE),
    ((T.WAITING, T.OPEN), "skip", T.SKIPPED),
    (T.OPEN, "unable", T.UNABLE),
)
#: Response levels from none to the highest.
RANK = {"": 0, "IV": 1, "III": 2, "II": 3, "I": 4}


@dataclass(frozen=True, slots=True)
class TaskRun:
    """`ref` is the order, paper or command that it led to; `round` counts repetitions; `signed` departments."""

    key: str
    state: TaskState = T.WAITING
    open_us: int | None = None
    due_us: int | None = None
    done_us: int | None = None
    by: str = ""
    result: str = ""
    ref: str = ""
    round: int = 1
    signed: frozenset[str] = frozenset()

    @property
    def late(self) -> bool:
        return self.due_us is not None and self.done_us is not None and self.done_us > self.due_us


@dataclass(frozen=True, slots=True)
class PlanRun:
    """`told`: proposals and reports that were made already; `facts`: numbers that people noted."""

    id: str
    number: str
    plan: str
    incident: str
    case: str
    state: RunState
    started_us: int
    started_by: str
    provenance: str
    tasks: Mapping[str, TaskRun]
    response: str = ""
    proposed: str = ""
    ended_us: int | None = None
    facts: Mapping[str, float] = field(default_factory=dict)
    told: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Effect:
    """What must be begun now: a task, a proposal of a response level, an upgrade, a report upwards."""

    kind: str  # begin, response, upgrade, report
    key: str


def begin(plan: PlanDecl, run: PlanRun) -> PlanRun:
    """The run with all its tasks waiting."""
    return replace(run, tasks={task.key: TaskRun(task.key) for task in plan.tasks})


def advance(
    run: PlanRun, plan: PlanDecl, reached: frozenset[str], facts: Facts, now_us: int
) -> tuple[PlanRun, list[Effect]]:
    """The run after everything that follows now, and what is to be begun.

    `reached` holds milestones such as `repair.arrived`.
    """
    if run.state != R.RUNNING:
        return run, []
    effects: list[Effect] = []
    moved = True
    while moved:
        moved = False
        for task in plan.tasks:
            before = run.tasks[task.key]
            after = _step(task, before, run, reached, facts, now_us)
            if after != before:
                run = replace(run, tasks={**run.tasks, task.key: after})
                moved = True
                if after.state == T.OPEN:
                    effects.append(Effect("begin", task.key))
    run, told = _propose(run, plan, facts)
    return run, effects + told


def _step(
    task: TaskDecl, now: TaskRun, run: PlanRun, reached: frozenset[str], facts: Facts, now_us: int
) -> TaskRun:
    if now.state == T.WAITING and _may_begin(task, run, reached):
        return _opened(task, now, run, facts, now_us)
    if now.state == T.OPEN and _over(task, reached, facts):
        return replace(now, state=T.DONE, done_us=now_us, by="system:plan")
    if now.state == T.DONE and task.every is not None and now.done_us is not None:
        again = now.done_us + round(task.every * SECOND_US)
        if now_us >= again:
            return _opened(task, replace(now, round=now.round + 1), run, facts, now_us)
    return now


def _may_begin(task: TaskDecl, run: PlanRun, reached: frozenset[str]) -> bool:
    if RANK[run.response] < RANK[task.response]:
        return False
    for name in task.after:
        key, _, milestone = name.partition(".")
        before = run.tasks[key]
        if milestone:
            if name not in reached and before.state not in (T.SKIPPED, T.UNABLE):
                return False
        elif before.state not in SETTLED:
            return False
    return True


def _opened(task: TaskDecl, now: TaskRun, run: PlanRun, facts: Facts, now_us: int) -> TaskRun:
    if not expressions.holds(task.when, facts):
        return replace(now, state=T.SKIPPED, done_us=now_us, by="system:plan", result="when")
    due_us = None
    if task.limit is not None:
        from_us = run.started_us if task.from_start and now.round == 1 else now_us
        due_us = from_us + round(task.limit * SECOND_US)
    return replace(now, state=T.OPEN, open_us=now_us, due_us=due_us, done_us=None, by="", result="", ref="")


def _over(task: TaskDecl, reached: frozenset[str], facts: Facts) -> bool:
    if task.kind == "notice" or (task.kind == "watch" and not task.done):
        return True
    if task.milestone and f"{task.key}.{task.milestone}" in reached:
        return True
    return bool(task.done) and expressions.holds(task.done, facts)


def _propose(run: PlanRun, plan: PlanDecl, facts: Facts) -> tuple[PlanRun, list[Effect]]:
    """Each proposal is made once; a response level again when another was in between."""
    effects: list[Effect] = []
    wanted = max(
        (each.level for each in plan.responses if expressions.holds(each.propose_when, facts)),
        key=lambda level: RANK[level],
        default="",
    )
    lower = bool(plan.lower_when) and run.response != "" and expressions.holds(plan.lower_when, facts)
    proposed = wanted if RANK[wanted] > RANK[run.response] else "lower" if lower else ""
    if proposed and proposed != run.proposed:
        effects.append(Effect("response", proposed))
    run = replace(run, proposed=proposed)
    named = [("upgrade", each.key, each.when) for each in plan.upgrades]
    named += [("report", str(row), each.when) for row, each in enumerate(plan.reports)]
    for kind, key, when in named:
        if f"{kind}:{key}" not in run.told and expressions.holds(when, facts):
            effects.append(Effect(kind, key))
            run = replace(run, told=run.told | {f"{kind}:{key}"})
    return run, effects


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody does to a run."""

    by: str
    now_us: int
    task: str = ""
    result: str = ""
    reason: str = ""
    level: str = ""
    department: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)


def act(run: PlanRun, plan: PlanDecl, action: str, ask: Ask) -> tuple[PlanRun, LogLine]:
    """The run after the action, and its log line. Raises `WrongState`, `NotFound`, `Invalid`."""
    target = RunState(only(STEPS, run.state, action))
    reason = (
        need_reason(ask.reason)
        if action in ("skip", "unable", "end", "abort", "set_response")
        else ask.reason
    )
    detail: dict[str, object] = {}
    if action in ("do", "skip", "unable"):
        run = _task_acted(run, plan, action, ask)
        detail = {"task": ask.task, "result": ask.result}
    elif action == "set_response":
        if ask.level not in RANK:
            raise Invalid("dispatch.error.bad_response", field="level", value=ask.level)
        detail = {"from": run.response, "to": ask.level}
        run = replace(run, response=ask.level, proposed="")
    elif action == "note":
        if not ask.facts:
            raise Invalid("dispatch.error.facts_needed", field="facts")
        detail = dict(ask.facts)
        run = replace(run, facts={**run.facts, **ask.facts})
    ended = ask.now_us if target != R.RUNNING else None
    line = LogLine(ask.now_us, ask.by, action, run.state, target, reason.strip(), detail)
    return replace(run, state=target, ended_us=ended), line


def _task_acted(run: PlanRun, plan: PlanDecl, action: str, ask: Ask) -> PlanRun:
    """A task that several departments sign is done when the last of them has."""
    task = run.tasks.get(ask.task)
    if task is None:
        raise NotFound
    wanted = {*plan.task(ask.task).signed_by}
    if action == "do" and wanted and task.state == T.OPEN:
        if ask.department not in wanted:
            raise Invalid("dispatch.error.not_a_signatory", field="department", department=ask.department)
        task = replace(task, signed=task.signed | {ask.department})
        if task.signed != wanted:
            return replace(run, tasks={**run.tasks, ask.task: task})
    try:
        state = TaskState(only(TASK_STEPS, task.state, action))
    except WrongState as wrong:
        raise WrongState(wrong.state, wrong.allowed, "dispatch.error.task_state", task=ask.task) from None
    done = replace(task, state=state, done_us=ask.now_us, by=ask.by, result=ask.result or ask.reason)
    return replace(run, tasks={**run.tasks, ask.task: done})


def deadlines(run: PlanRun, plan: PlanDecl) -> Mapping[str, int]:
    """When tasks are late, and when repeated ones come again."""
    found: dict[str, int] = {}
    if run.state != R.RUNNING:
        return found
    for task in plan.tasks:
        now = run.tasks[task.key]
        if now.state == T.OPEN and now.due_us is not None:
            found[f"task:{task.key}:{now.round}"] = now.due_us
        elif now.state == T.DONE and task.every is not None and now.done_us is not None:
            found[f"again:{task.key}:{now.round}"] = now.done_us + round(task.every * SECOND_US)
    return found
