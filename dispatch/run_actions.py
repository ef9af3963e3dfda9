"""Plans at work: shown before they start, started, carried on by what happens, ended by people.

`carry_on` is called by the desk whenever something may have moved; it performs what `plan_run.advance` says, in one
transaction: orders, requests, bulletins, commands and notices are begun with the step that begins them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.access import Scope
from core.actor import Actor
from core.clock import SECOND_US, to_datetime
from core.db import DictConnection
from core.errors import Invalid, NotAllowed, NotFound, WrongState
from core.metrics import Metrics
from dispatch import cases, notices, paper_store, plan_run, run_store, store
from dispatch.actions import DESK, Actions, case_of_incident
from dispatch.cases import Ask, Case, CaseAction, CaseState
from dispatch.commands import Command
from dispatch.expressions import Facts, holds
from dispatch.incident import Incident
from dispatch.machine import LogLine
from dispatch.notices import About
from dispatch.orders import Order
from dispatch.paper_actions import NewPaper, PaperActions
from dispatch.papers import Paper, PaperKind
from dispatch.plan_run import Effect, PlanRun, RunState
from dispatch.plans import Plan, PlanDecl, TaskDecl
from dispatch.sending import HANDLE, Sending
from dispatch.work import Work

#: Devices that a task commands stand this near to the incident.
COMMAND_NEAR_M = 400.0
LOOK_BACK_US = 600 * SECOND_US


@dataclass(frozen=True, slots=True)
class Happening:
    """What a run is about: its incident or, in a drill and for reports of people, only a case or a place."""

    incident: Incident | None
    case: Case | None
    provenance: str
    level: int

    @property
    def place(self) -> tuple[float, float] | None:
        what = self.incident or self.case
        return (what.lon, what.lat) if what else None


@dataclass(frozen=True, slots=True)
class PlanRuns:
    actions: Actions
    papers: PaperActions
    sending: Sending

    @staticmethod
    def of(actions: Actions, metrics: Metrics) -> PlanRuns:
        return PlanRuns(actions, PaperActions(actions), Sending(actions, metrics))

    # -- before it starts -----------------------------------------------------------------------------------

    async def preview(
        self, connection: DictConnection, key: str, incident_id: str, now_us: int
    ) -> dict[str, Any]:
        """What the plan would do now: tasks in order with their limits, who would do them, which crews would go."""
        plan = self._plan(key).decl
        work = Work(connection, now_us)
        incident = await self.actions.incidents.get(connection, incident_id)
        if incident is None:
            raise NotFound
        case = await self._case_of(work, incident, plan)
        facts = await self.facts(work, Happening(incident, None, incident.provenance, incident.level), {})
        duty = await store.rows(connection, "on_duty", now=to_datetime(now_us), role=None)
        persons = {row["role"]: row["name"] for row in reversed(duty)}
        tasks = []
        for task in plan.tasks:
            crew = None
            if task.kind == "order":
                ranked = await self.actions.rank(work, case, HANDLE if task.crew is None else task.key)
                crew = ranked[0] if ranked and ranked[0].able else None
            tasks.append(
                {
                    "key": task.key, "name": told_task(plan, task), "role": task.role, "kind": task.kind,
                    "who": persons.get(task.role), "limit_s": task.limit, "from_start": task.from_start,
                    "after": task.after, "to": task.to, "response": task.response,
                    "skipped": not holds(task.when, facts), "crew": crew.crew if crew else None,
                    "travel_s": crew.travel_s if crew else None,
                    "shortage": task.kind == "order" and crew is None,
                }
            )  # fmt: skip
        return {"plan": key, "name": told_plan(key), "incident": incident.id, "tasks": tasks}

    # -- started, acted on, ended -----------------------------------------------------------------------------

    async def start(
        self, connection: DictConnection, key: str, incident_id: str, actor: Actor, now_us: int
    ) -> PlanRun:
        """Start a plan for an incident. Raises `NotAllowed` for a role that the plan does not name, `WrongState`
        when it runs already.
        """
        work = Work(connection, now_us)
        plan = self._plan(key)
        if actor.id != DESK.id and not actor.roles & {*plan.decl.starts.by}:
            raise NotAllowed(
                "dispatch.error.may_not_start", action="plan.start", roles=", ".join(plan.decl.starts.by)
            )
        incident = await self.actions.incidents.get(connection, incident_id)
        if incident is None:
            raise NotFound
        case = None if plan.decl.parent else await self._open_case(work, incident, plan, actor)
        run = await self.begin(work, plan.decl, incident, case, actor.id)
        await work.publish()
        return run

    async def begin(
        self, work: Work, plan: PlanDecl, incident: Incident | None, case: Case | None, by: str
    ) -> PlanRun:
        """A run of a plan, with its first tasks begun. Raises `WrongState` when it runs already."""
        about = incident.id if incident else case.id if case else ""
        run = plan_run.begin(
            plan,
            PlanRun(
                id=store.natural_id("run", plan.key, about, work.now_us),
                number=await store.take_number(work.connection, "YA", work.now_us, self.actions.zone),
                plan=plan.key,
                incident=incident.id if incident else "",
                case=case.id if case else "",
                state=RunState.RUNNING,
                started_us=work.now_us,
                started_by=by,
                provenance=incident.provenance if incident else case.provenance if case else "real",
                tasks={},
            ),
        )
        line = LogLine(work.now_us, by, "start", "", run.state, "", {"plan": plan.key})
        if not await run_store.insert_run(work, run, line):
            raise WrongState("running", [], "dispatch.error.plan_runs", plan=plan.key)
        if case and case.plan != plan.key:
            await store.run(work.connection, "set_plan", id=case.id, plan=plan.key)
        return await self.carry_on(work, run.id)

    async def act(
        self, connection: DictConnection, id_: str, action: str, actor: Actor, ask: plan_run.Ask
    ) -> PlanRun:
        """Do, skip, cannot; note numbers; set the response level; end or abort. Raises as the tables do."""
        self.actions.require(actor, f"plan.{action}", Scope())
        work = Work(connection, ask.now_us)
        before = await run_store.lock_run(work, id_)
        plan = self._plan(before.plan).decl
        department = ask.department or next(iter(sorted(actor.departments)), "")
        after, line = plan_run.act(before, plan, action, replace(ask, department=department))
        await run_store.save_run(work, before, after, plan, line)
        if after.state == RunState.RUNNING:
            after = await self.carry_on(work, id_)
        await work.publish()
        return after

    # -- carried on -------------------------------------------------------------------------------------------

    async def carry_on(self, work: Work, id_: str) -> PlanRun:
        """Everything that follows now. A run whose case is over ends."""
        before = await run_store.lock_run(work, id_)
        if before.state != RunState.RUNNING:
            return before
        plan = self._plan(before.plan).decl
        what = await self._happening(work, before)
        orders = (
            await store.orders_by(work.connection, "orders_of_case", ids=[before.case]) if before.case else []
        )
        papers = [
            paper_store.paper_of(row)
            for row in await store.rows(work.connection, "papers_of_run", run=before.id)
        ]
        reached = milestones(plan, orders, papers) | await self._commands_done(work, before)
        facts = await self.facts(work, what, before.facts)
        run, effects = plan_run.advance(before, plan, reached, facts, work.now_us)
        await run_store.save_run(work, before, run, plan)
        for effect in effects:
            await self._perform(work, run, plan, what, effect)
        return await self._ended_with_case(work, run, plan, what)

    async def clock(self, work: Work, id_: str, kind: str) -> None:
        """A deadline of a run has come: a task is late, or is to be repeated."""
        run = await run_store.lock_run(work, id_)
        what, key, _ = kind.split(":")
        plan = self._plan(run.plan).decl
        if run.state != RunState.RUNNING:
            return
        if what == "task":
            happening = await self._happening(work, run)
            about = About("run", run.id, happening.level, run.provenance)
            await notices.tell(
                work, f"{run.id}:{kind}", "role:shift_leader", "task_late", about,
                number=run.number, task=told_task(plan, plan.task(key)), role=plan.task(key).role,
            )  # fmt: skip
        else:
            await self.carry_on(work, id_)

    async def facts(self, work: Work, what: Happening, noted: Mapping[str, float]) -> Facts:
        """What conditions may see now."""
        incident = what.incident
        low: dict[str, float] = {}
        high: dict[str, float] = {}
        seen: dict[str, object] = {"level": what.level, "priority": what.level, "score": 0.0, "life": False}
        known: dict[str, float] = {}
        if incident:
            seen = {
                "type": incident.type, "level": incident.level, "priority": incident.priority,
                "score": incident.score, "life": incident.life, "state": incident.state,
            }  # fmt: skip
            known = dict(incident.facts)
            points = await self.actions.readings.series(
                incident.points, work.now_us - LOOK_BACK_US, work.now_us
            )
            for series in points:
                if series.samples:
                    value = series.samples[-1].value
                    low[series.channel] = min(low.get(series.channel, value), value)
                    high[series.channel] = max(high.get(series.channel, value), value)
        elif what.case:
            seen |= {"priority": what.case.priority, "type": what.case.incident_type, "state": "open"}
        warnings = await store.rows(
            work.connection, "in_force", kind=PaperKind.WARNING, now=to_datetime(work.now_us)
        )
        if warnings:
            known["warning_level"] = float(warnings[0]["level"])
        counts = await store.rows(work.connection, "open_cases_by_type")
        return Facts(
            seen, {**known, **noted}, low, high, {row["incident_type"]: float(row["n"]) for row in counts}
        )

    # -- effects ------------------------------------------------------------------------------------------------

    async def _perform(
        self, work: Work, run: PlanRun, plan: PlanDecl, what: Happening, effect: Effect
    ) -> None:
        about = About("run", run.id, what.level, run.provenance)
        if effect.kind == "response":
            await notices.tell(
                work, f"{run.id}:response:{effect.key}:{run.response}", "role:commander", "response_proposed", about,
                number=run.number, level=effect.key, present=run.response,
            )  # fmt: skip
        elif effect.kind == "upgrade":
            await notices.tell(
                work, f"{run.id}:upgrade:{effect.key}", "role:shift_leader", "upgrade_proposed", about,
                number=run.number, why=effect.key,
            )  # fmt: skip
        elif effect.kind == "report":
            await self._report_up(work, run, plan, what, int(effect.key))
        else:
            await self._begin_task(work, run, plan, what, plan.task(effect.key))

    async def _begin_task(
        self, work: Work, run: PlanRun, plan: PlanDecl, what: Happening, task: TaskDecl
    ) -> None:
        now = run.tasks[task.key]
        if task.kind == "order" and what.case and self.actions.rules.auto:
            await self.sending.somebody(work, what.case, HANDLE if task.crew is None else task.key)
        elif task.kind == "request":
            await self.papers.make(work, self._request(run, plan, what, task, now.due_us), DESK.id)
        elif task.kind == "bulletin":
            await self._bulletin(work, run, plan, what, task.key, "first_text", task.limit or 3600.0, None)
        elif task.kind == "command":
            await self._command(work, run, what, task)
        about = About("run", run.id, what.level, run.provenance)
        await notices.tell(
            work, f"{run.id}:{task.key}:{now.round}", f"role:{task.role}", "plan_task", about,
            number=run.number, task=told_task(plan, task),
        )  # fmt: skip

    def _request(
        self, run: PlanRun, plan: PlanDecl, what: Happening, task: TaskDecl, due_us: int | None
    ) -> NewPaper:
        place = what.place or (None, None)
        return NewPaper(
            PaperKind.REQUEST, told_task(plan, task), (f"department:{task.to}",), level=what.level,
            provenance=run.provenance, incident=run.incident, case=run.case, run=run.id, task=task.key,
            lon=place[0], lat=place[1], due_us=due_us, key=f"{run.id}:{run.tasks[task.key].round}",
        )  # fmt: skip

    async def _report_up(self, work: Work, run: PlanRun, plan: PlanDecl, what: Happening, row: int) -> None:
        """首报 by telephone and in writing; 续报 follow when the written one was sent."""
        rule = plan.reports[row]
        await self._bulletin(work, run, plan, what, f"report-{row}-call", "first_call", rule.call, None)
        await self._bulletin(work, run, plan, what, f"report-{row}-text", "first_text", rule.text, rule.next)

    async def _bulletin(  # noqa: PLR0913, PLR0917 - what, when and of what
        self, work: Work, run: PlanRun, plan: PlanDecl, what: Happening, task: str, sort: str, in_s: float,
        next_s: float | None,
    ) -> None:  # fmt: skip
        title = {"key": f"dispatch.bulletin.{sort}", "params": {"plan": told_plan(plan.key)}}
        facts: dict[str, object] = {"sort": sort, "no": 1, **({"next_s": next_s} if next_s else {})}
        await self.papers.make(
            work,
            NewPaper(
                PaperKind.BULLETIN, title, ("role:info_officer",),
                level=what.level, provenance=run.provenance, incident=run.incident, case=run.case, run=run.id,
                task=task, due_us=work.now_us + round(in_s * SECOND_US), facts=facts, key=f"{run.id}:{task}",
            ),
            DESK.id,
        )  # fmt: skip

    async def _command(self, work: Work, run: PlanRun, what: Happening, task: TaskDecl) -> None:
        """Propose to set every device of the kind near the incident; a second person confirms."""
        assert task.command is not None
        if what.place is None:
            return
        wanted = task.command
        for device in self.actions.readings.near(wanted.kind, *what.place, COMMAND_NEAR_M):
            new = Command(
                "", "", device, wanted.channel, wanted.value, "proposed", f"{run.plan}/{task.key}", DESK.id,
                work.now_us, run.provenance, incident=run.incident, run=run.id, task=task.key,
            )  # fmt: skip
            await self.papers.propose(work, new, DESK.id)

    # -- what a run is about ------------------------------------------------------------------------------------

    def _plan(self, key: str) -> Plan:
        plan = self.actions.plans.get(key)
        if plan is None:
            raise Invalid("dispatch.error.unknown_plan", field="plan", plan=key)
        return plan

    async def _happening(self, work: Work, run: PlanRun) -> Happening:
        incident = await self.actions.incidents.get(work.connection, run.incident) if run.incident else None
        case = await store.lock_case(work.connection, run.case) if run.case else None
        level = incident.level if incident else case.level if case else 4
        return Happening(incident, case, run.provenance, level)

    async def _case_of(self, work: Work, incident: Incident, plan: PlanDecl) -> Case:
        """The incident's case, or the one that would be opened; nothing is stored."""
        found = await store.cases_by(work.connection, "cases_of_incident", incident=incident.id)
        limit = plan.limit or self.actions.city.limit_of(incident.code)
        case = next((each for each in found if each.state in cases.OPEN), None)
        case = case or case_of_incident(incident, self.actions.plans.get(plan.key), limit, "", work.now_us)
        return replace(case, plan=plan.key)

    async def _open_case(self, work: Work, incident: Incident, plan: Plan, actor: Actor) -> Case:
        """The incident's open case, or a new one that whoever starts the plan registers."""
        found = await store.cases_by(work.connection, "cases_of_incident", incident=incident.id)
        for each in found:
            if each.state in cases.OPEN:
                return each
        limit = plan.decl.limit or self.actions.city.limit_of(incident.code)
        number = await store.take_number(work.connection, "AJ", work.now_us, self.actions.zone)
        case = case_of_incident(incident, plan, limit, number, work.now_us)
        await self.actions.open_case(work, case, actor.id)
        return await self.actions.step_case(work, case, CaseAction.REGISTER, Ask(actor.id, work.now_us))

    async def _commands_done(self, work: Work, run: PlanRun) -> frozenset[str]:
        found = await store.rows(work.connection, "commands_of_run", run=run.id)
        return frozenset(f"{row['task']}.done" for row in found if row["state"] == "done")

    async def _ended_with_case(self, work: Work, run: PlanRun, plan: PlanDecl, what: Happening) -> PlanRun:
        over = what.case is not None and what.case.state in (
            CaseState.CLOSED,
            CaseState.VOID,
            CaseState.REFUSED,
        )
        if not over:
            return run
        ask = plan_run.Ask(DESK.id, work.now_us, reason="case_over")
        ended, line = plan_run.act(run, plan, "end", ask)
        await run_store.save_run(work, run, ended, plan, line)
        return ended


def milestones(plan: PlanDecl, orders: Sequence[Order], papers: Sequence[Paper]) -> frozenset[str]:
    """What the orders and requests of a run have reached, by task."""
    reached: set[str] = set()
    main = [task.key for task in plan.tasks if task.kind == "order" and task.crew is None]
    for order in orders:
        for key in main if order.task == HANDLE else [order.task]:
            reached |= {f"{key}.{state}" for state in order.times_us}
    for paper in papers:
        if paper.task:
            reached |= {f"{paper.task}.{state}" for state in paper.times_us}
    return frozenset(reached)


def told_plan(key: str) -> Mapping[str, object]:
    return {"key": f"plan.{key}.name", "params": {}}


def told_task(plan: PlanDecl, task: TaskDecl) -> Mapping[str, object]:
    return {"key": f"plan.{plan.key}.task.{task.key}", "params": {}}


def shown(run: PlanRun, plan: PlanDecl | None) -> dict[str, object]:
    """As the API shows it."""
    named = {task.key: task for task in plan.tasks} if plan else {}
    return {
        "id": run.id, "number": run.number, "plan": run.plan, "name": told_plan(run.plan), "incident": run.incident,
        "case": run.case, "state": run.state, "response": run.response, "proposed": run.proposed,
        "provenance": run.provenance, "started_by": run.started_by, "started_at": to_datetime(run.started_us),
        "ended_at": store.when(run.ended_us), "facts": dict(run.facts),
        "tasks": [
            {
                "key": key, "state": task.state, "round": task.round, "by": task.by, "result": task.result,
                "open_at": store.when(task.open_us), "due_at": store.when(task.due_us),
                "done_at": store.when(task.done_us), "late": task.late, "signed": sorted(task.signed),
                **(
                    {"name": told_task(plan, named[key]), "role": named[key].role, "kind": named[key].kind,
                     "to": named[key].to, "items": named[key].items, "signed_by": named[key].signed_by}
                    if plan and key in named else {}
                ),
            }
            for key, task in run.tasks.items()
        ],
    }  # fmt: skip
