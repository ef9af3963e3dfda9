"""Drills (演练): a plan practised with everything it makes marked as drill, and nobody real reached.

What a drill makes takes its provenance from the drill's case: orders, papers, commands, notices. Shadows of the crews
on duty take part, inboxes begin with `drill:`, and the outbox keeps inside what is not real.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.actor import Actor
from core.clock import to_datetime
from core.db import DictConnection
from core.errors import Invalid
from dispatch import plan_run, run_store, store
from dispatch.cases import Ask, Case, CaseAction, CaseState, Source
from dispatch.plan_run import PlanRun
from dispatch.run_actions import PlanRuns
from dispatch.work import Work

DRILL = "drill"


@dataclass(frozen=True, slots=True)
class NewDrill:
    """Which plan, with which of its scenarios, where (WGS 84). `lead`: the department that the case goes to."""

    plan: str
    lon: float
    lat: float
    scenario: str = ""
    code: str = "event/0595"
    lead: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Drills:
    runs: PlanRuns

    async def start(self, connection: DictConnection, new: NewDrill, actor: Actor, now_us: int) -> PlanRun:
        """Begin a drill. Raises `NotAllowed`, `Invalid` for an unknown plan or scenario."""
        actions = self.runs.actions
        actions.require(actor, "plan.drill")
        plan = actions.plans.get(new.plan)
        if plan is None:
            raise Invalid("dispatch.error.unknown_plan", field="plan", plan=new.plan)
        scenario = next((each for each in plan.decl.drills if each.key == new.scenario), None)
        if new.scenario and scenario is None:
            raise Invalid("dispatch.error.unknown_scenario", field="scenario", scenario=new.scenario)
        work = Work(connection, now_us)
        case = await self._case(work, new, actor, scenario.level if scenario else 2)
        await store.run(work.connection, "copy_crews_for_drill", prefix=prefix(case), now=to_datetime(now_us))
        case = await self._dispatched(work, case, new, actor)
        run = await self.runs.begin(work, plan.decl, None, case, actor.id)
        if scenario and scenario.facts:
            ask = plan_run.Ask(actor.id, now_us, facts=scenario.facts)
            noted, line = plan_run.act(run, plan.decl, "note", ask)
            await run_store.save_run(work, run, noted, plan.decl, line)
            run = await self.runs.carry_on(work, run.id)
        await work.publish()
        return run

    async def end(
        self, connection: DictConnection, id_: str, actor: Actor, now_us: int, reason: str
    ) -> PlanRun:
        """End a drill: its run, its case and its crews. Raises `Invalid` for what is none."""
        self.runs.actions.require(actor, "plan.drill")
        work = Work(connection, now_us)
        before = await run_store.lock_run(work, id_)
        plan = self.runs.actions.plans.get(before.plan)
        if before.provenance != DRILL or plan is None:
            raise Invalid("dispatch.error.no_drill", field="id")
        run, line = plan_run.act(before, plan.decl, "end", plan_run.Ask(actor.id, now_us, reason=reason))
        await run_store.save_run(work, before, run, plan.decl, line)
        if run.case:
            case = await store.lock_case(connection, run.case)
            if case.state in (
                CaseState.REGISTERED,
                CaseState.DISPATCHED,
                CaseState.HANDLING,
                CaseState.SUSPENDED,
            ):
                await self.runs.actions.step_case(
                    work, case, CaseAction.VOID, Ask(actor.id, now_us, reason=reason)
                )
            await store.run(connection, "end_drill_crews", prefix=prefix(case), now=to_datetime(now_us))
        await work.publish()
        return run

    async def _case(self, work: Work, new: NewDrill, actor: Actor, level: int) -> Case:
        actions = self.runs.actions
        case = Case(
            id=store.natural_id("case", DRILL, new.plan, actor.id, work.now_us),
            number=await store.take_number(work.connection, "YL", work.now_us, actions.zone),
            code=actions.city.known(new.code),
            source=Source.OPERATOR,
            state=CaseState.REPORTED,
            incident="",
            incident_type="",
            domain="",
            title={"key": f"plan.{new.plan}.name", "params": {}},
            priority=level,
            level=level,
            provenance=DRILL,
            lon=new.lon,
            lat=new.lat,
            place=new.place,
            area="",
            limit=actions.city.limit_of(new.code),
            reported_us=work.now_us,
            since_us=work.now_us,
            drill=True,
            plan=new.plan,
            times_us={"reported": work.now_us},
        )
        await actions.open_case(work, case, actor.id)
        return case

    async def _dispatched(self, work: Work, case: Case, new: NewDrill, actor: Actor) -> Case:
        case = await self.runs.actions.step_case(work, case, CaseAction.REGISTER, Ask(actor.id, work.now_us))
        ask = Ask(actor.id, work.now_us, lead=new.lead or "drill_department")
        return await self.runs.actions.step_case(work, case, CaseAction.DISPATCH, ask)


def prefix(case: Case) -> str:
    """Of the ids of a drill's crews."""
    return f"{DRILL}:{case.number}:"
