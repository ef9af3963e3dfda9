"""`plan check`: whether a plan can work, before the day on which it must. Pure.

A chain of tasks without beginning or end, a limit shorter than what must happen before it, a condition that is not
CEL, a crew that nobody has, a word that nobody wrote: each is named with the file and line of its task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from core.domains import Declaration, Domains
from core.text import LANGUAGES, Texts
from core.yamlfile import Mistake
from dispatch import expressions
from dispatch.crews import Crew
from dispatch.plans import MILESTONES, CrewNeed, PlanDecl, Scenario, TaskDecl

Declared = Declaration[PlanDecl]


@dataclass(frozen=True, slots=True)
class Known:
    """What a plan may refer to. An empty set is not checked: nobody told us."""

    roles: frozenset[str] = frozenset()
    departments: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    incidents: frozenset[str] = frozenset()
    crews: Sequence[Crew] = ()
    on_duty: Mapping[str, str] = field(default_factory=dict)


def check(domains: Domains, known: Known, texts: Texts | None = None) -> list[Mistake]:
    """Every mistake of every plan."""
    return [
        mistake for declared in domains.section("plans", PlanDecl) for mistake in _all(declared, known, texts)
    ]


def _all(declared: Declared, known: Known, texts: Texts | None) -> Iterator[Mistake]:
    yield from _graph(declared)
    yield from _limits(declared)
    yield from _expressions(declared)
    yield from _references(declared, known)
    yield from _words(declared, texts)
    yield from _drills(declared)


def _graph(declared: Declared) -> Iterator[Mistake]:
    """Predecessors exist, milestones fit, no task waits for itself."""
    plan = declared.item
    tasks = {task.key: task for task in plan.tasks}
    if len(tasks) < len(plan.tasks):
        yield declared.mistake("has a task key twice", "tasks")
    for row, task in enumerate(plan.tasks):
        for place, name in enumerate(task.after):
            key, _, milestone = name.partition(".")
            if key not in tasks:
                yield declared.mistake(f"no task {key} in this plan", "tasks", row, "after", place)
            elif milestone and milestone not in MILESTONES.get(tasks[key].kind, ()):
                yield declared.mistake(f"{key} never reaches {milestone}", "tasks", row, "after", place)
        if task.key in _before(task.key, tasks):
            yield declared.mistake("waits for itself", "tasks", row, "after")


def _before(key: str, tasks: Mapping[str, TaskDecl]) -> set[str]:
    """All tasks that must come before."""
    found: set[str] = set()
    todo = [key]
    while todo:
        for name in tasks[todo.pop()].after:
            before = name.partition(".")[0]
            if before in tasks and before not in found:
                found.add(before)
                todo.append(before)
    return found


def _limits(declared: Declared) -> Iterator[Mistake]:
    """A limit that counts from the start must leave time for what comes before it."""
    plan = declared.item
    tasks = {task.key: task for task in plan.tasks}
    for row, task in enumerate(plan.tasks):
        if not task.from_start or task.limit is None:
            continue
        least = max(
            (_earliest_s(name.partition(".")[0], tasks, frozenset()) for name in task.after), default=0.0
        )
        if least > task.limit:
            yield declared.mistake(
                f"T+{task.limit / 60:g} min, but its predecessors may take until T+{least / 60:g} min",
                "tasks", row, "limit",
            )  # fmt: skip


def _earliest_s(key: str, tasks: Mapping[str, TaskDecl], seen: frozenset[str]) -> float:
    """By when a task is done if everybody uses the whole limit; tasks without a limit take no time."""
    if key not in tasks or key in seen:
        return 0.0
    task = tasks[key]
    if task.from_start:
        return task.limit or 0.0
    before = [_earliest_s(name.partition(".")[0], tasks, seen | {key}) for name in task.after]
    return max(before, default=0.0) + (task.limit or 0.0)


def _expressions(declared: Declared) -> Iterator[Mistake]:
    plan = declared.item
    named: list[tuple[str, tuple[str | int, ...]]] = [
        (plan.starts.propose_when, ("starts", "propose_when")),
        (plan.lower_when, ("lower_when",)),
    ]
    for row, task in enumerate(plan.tasks):
        named += [(task.when, ("tasks", row, "when")), (task.done, ("tasks", row, "done"))]
    named += [
        (each.propose_when, ("responses", row, "propose_when")) for row, each in enumerate(plan.responses)
    ]
    named += [(each.when, ("upgrades", row, "when")) for row, each in enumerate(plan.upgrades)]
    named += [(each.when, ("reports", row, "when")) for row, each in enumerate(plan.reports)]
    for text, path in named:
        reason = expressions.mistake(text) if text else None
        if reason:
            yield declared.mistake(f"is not CEL: {reason}", *path)


def _references(declared: Declared, known: Known) -> Iterator[Mistake]:
    """Roles, departments, channels, incident types and skills that somebody has."""
    plan = declared.item
    for row, type_ in enumerate(plan.incidents):
        if known.incidents and type_ not in known.incidents:
            yield declared.mistake(f"no incident type {type_} is declared", "incidents", row)
    for row, condition in enumerate(plan.close.sensors):
        if known.channels and condition.channel not in known.channels:
            yield declared.mistake(
                f"no channel {condition.channel} is declared", "close", "sensors", row, "channel"
            )
    yield from _shortage(declared, plan.crew, known, "crew")
    for row, task in enumerate(plan.tasks):
        if known.roles and task.role not in known.roles:
            yield declared.mistake(f"nobody can have the role {task.role}", "tasks", row, "role")
        if (
            known.on_duty
            and task.role in known.roles
            and task.role not in known.on_duty
            and task.role != "system"
        ):
            yield declared.mistake(f"nobody on duty has the role {task.role}", "tasks", row, "role")
        if known.departments and task.to and task.to not in known.departments:
            yield declared.mistake(f"no department {task.to} is known", "tasks", row, "to")
        for place, department in enumerate(task.signed_by):
            if known.departments and department not in known.departments:
                yield declared.mistake(
                    f"no department {department} is known", "tasks", row, "signed_by", place
                )
        yield from _shortage(declared, task.crew, known, "tasks", row, "crew")


def _shortage(declared: Declared, need: CrewNeed | None, known: Known, *path: str | int) -> Iterator[Mistake]:
    """力量缺口: no crew has what an order asks for."""
    if need is None or not known.crews:
        return
    if not any({*need.skills} <= crew.skills for crew in known.crews):
        yield declared.mistake(f"no crew has {', '.join(need.skills)}", *path, "skills")
    elif not any({*need.skills} <= c.skills and {*need.equipment} <= c.equipment for c in known.crews):
        yield declared.mistake(
            f"no crew with these skills has {', '.join(need.equipment)}", *path, "equipment"
        )


def _words(declared: Declared, texts: Texts | None) -> Iterator[Mistake]:
    if texts is None:
        return
    plan = declared.item
    wanted = [("key", f"plan.{plan.key}.name")]
    for row, task in enumerate(plan.tasks):
        wanted.append((f"tasks.{row}.key", f"plan.{plan.key}.task.{task.key}"))
    for path, key in wanted:
        where = [int(part) if part.isdigit() else part for part in path.split(".")]
        for language in LANGUAGES:
            if not texts.has(key, language):
                yield declared.mistake(f"has no text {key} in {language}.yaml", *where)


def _drills(declared: Declared) -> Iterator[Mistake]:
    """Each plan has a scenario to be practised with, and the scenarios decide as they say."""
    plan = declared.item
    if plan.tasks and not any(drill.starts for drill in plan.drills):
        yield declared.mistake("has no drill: nobody ever saw it work", "key")
    for row, drill in enumerate(plan.drills):
        starts = expressions.holds(plan.starts.propose_when, scenario_facts(plan, drill))
        if starts != drill.starts:
            word = "starts" if starts else "does not start"
            yield declared.mistake(f"{word} the plan, against what it says", "drills", row, "starts")


def scenario_facts(plan: PlanDecl, drill: Scenario) -> expressions.Facts:
    """What a condition sees at the beginning of a scenario."""
    incident = {
        "type": plan.incidents[0], "level": drill.level, "priority": drill.priority, "score": drill.score,
        "life": plan.life, "state": "open",
    }  # fmt: skip
    return expressions.Facts(incident, drill.facts, drill.low, drill.high, drill.n)
