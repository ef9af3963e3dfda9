"""Routes of plans: shown before they start, started, acted on, practised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.responses import Response

from core.actor import Actor
from core.clock import to_datetime
from core.db import DictConnection
from core.http import Allow, IdempotencyKey, page
from core.metrics import Metrics
from core.people_store import named
from dispatch import plan_run, run_store, store
from dispatch.actions import Actions
from dispatch.drills import Drills, NewDrill
from dispatch.dry_run import play
from dispatch.edge_api import At, Body, Latitude, Longitude, Page, Word
from dispatch.plan_run import PlanRun
from dispatch.run_actions import PlanRuns, shown

Reader = Annotated[Actor, Depends(Allow("plan.read"))]


class StartPlan(Body):
    incident: Word


class RunAct(Body):
    action: Word
    task: Word = ""
    result: Annotated[str, Field(max_length=2000)] = ""
    reason: Annotated[str, Field(max_length=2000)] = ""
    level: Word = ""
    department: Word = ""
    facts: dict[Word, float] = {}


class StartDrill(Body):
    plan: Word
    lon: Longitude
    lat: Latitude
    scenario: Word = ""
    code: Word = "event/0595"
    lead: Word = ""
    place: Word = ""


class EndDrill(Body):
    reason: Annotated[str, Field(min_length=1, max_length=400)]


def add_plan_routes(routes: APIRouter, actions: Actions) -> None:
    runs = PlanRuns.of(actions, Metrics())

    def as_shown(run: PlanRun) -> dict[str, object]:
        plan = actions.plans.get(run.plan)
        return shown(run, plan.decl if plan else None)

    _add_plans(routes, actions, runs, as_shown)
    _add_runs(routes, runs, as_shown)
    _add_drills(routes, Drills(runs), as_shown)


AsShown = Callable[[PlanRun], dict[str, object]]


def _add_plans(routes: APIRouter, actions: Actions, runs: PlanRuns, as_shown: AsShown) -> None:
    @routes.get("/plans")
    async def list_plans(at: At, _: Reader) -> Response:
        items = [
            {
                "domain": plan.domain,
                "name": {"key": f"plan.{plan.key}.name", "params": {}},
                **plan.decl.model_dump(exclude={"tasks"}),
                "tasks": [
                    {**task.model_dump(), "name": {"key": f"plan.{plan.key}.task.{task.key}", "params": {}}}
                    for task in plan.decl.tasks
                ],
            }
            for plan in actions.plans.by_key.values()
        ]
        return at.json({"items": items, "next": None})

    @routes.post("/plans/{key}/preview")
    async def preview(key: str, at: At, body: StartPlan, _: Reader) -> Response:
        async with at.database.transaction() as connection:
            return at.json(await runs.preview(connection, key, body.incident, at.now_us))

    @routes.get("/plans/{key}/dry-run")
    async def dry_run(key: str, at: At, _: Reader) -> Response:
        plan = actions.plans.get(key)
        played = [play(plan.decl, drill) for drill in plan.decl.drills] if plan else []
        items = [
            {
                "scenario": each.scenario, "started": each.started, "good": each.good, "closed_s": each.closed_s,
                "late": list(each.late), "stuck": list(each.stuck),
                "moments": [
                    {"at_s": m.at_s, "task": m.task, "state": m.what, "left_s": m.left_s} for m in each.moments
                ],
            }
            for each in played
        ]  # fmt: skip
        return at.json({"items": items, "next": None})

    @routes.post("/plans/{key}/start")
    async def start(
        key: str, at: At, body: StartPlan, actor: Annotated[Actor, Depends(Allow("plan.start"))],
        idempotency: IdempotencyKey = None,
    ) -> Response:  # fmt: skip
        async def do(connection: DictConnection) -> object:
            return as_shown(await runs.start(connection, key, body.incident, actor, at.now_us))

        return await at.act(actor, idempotency, body, do)


def _add_runs(routes: APIRouter, runs: PlanRuns, as_shown: AsShown) -> None:
    @routes.get("/plan-runs")
    async def list_runs(at: At, asked: Annotated[Page, Query()], _: Reader) -> Response:
        filter_ = asked.filter(Actor("", "", frozenset()))
        before, before_id = filter_.before or (None, None)
        async with at.database.transaction() as connection:
            rows = await store.rows(
                connection, "list_runs", state=filter_.state, incident=asked.incident, before=before,
                before_id=before_id, limit=filter_.limit,
            )  # fmt: skip
        found = [as_shown(run_store.run_of(row)) for row in rows]
        return at.json(page(found, asked.limit, lambda run: (run["started_at"], run["id"])))

    @routes.get("/plan-runs/{id_}")
    async def get_run(id_: str, at: At, _: Reader) -> Response:
        async with at.database.transaction() as connection:
            row = await store.one(connection, "find_run", id=id_)
            log = await named(connection, await store.rows(connection, "run_log", id=row["id"]), "by")
        return at.json({**as_shown(run_store.run_of(row)), "log": log})

    @routes.post("/plan-runs/{id_}/actions")
    async def act_on_run(
        id_: str, at: At, body: RunAct, actor: Annotated[Actor, Depends(Allow("plan.do"))],
        idempotency: IdempotencyKey = None,
    ) -> Response:  # fmt: skip
        async def do(connection: DictConnection) -> object:
            fields = body.model_dump(exclude={"action"})
            ask = plan_run.Ask(actor.id, at.now_us, **fields)
            return as_shown(await runs.act(connection, id_, body.action, actor, ask))

        return await at.act(actor, idempotency, body, do)


def _add_drills(routes: APIRouter, drills: Drills, as_shown: AsShown) -> None:
    @routes.post("/drills")
    async def start_drill(
        at: At, body: StartDrill, actor: Annotated[Actor, Depends(Allow("plan.drill"))],
        idempotency: IdempotencyKey = None,
    ) -> Response:  # fmt: skip
        async def do(connection: DictConnection) -> object:
            return as_shown(await drills.start(connection, NewDrill(**body.model_dump()), actor, at.now_us))

        return await at.act(actor, idempotency, body, do)

    @routes.post("/drills/{id_}/end")
    async def end_drill(
        id_: str, at: At, body: EndDrill, actor: Annotated[Actor, Depends(Allow("plan.drill"))]
    ) -> Response:
        async with at.database.transaction() as connection:
            return at.json(as_shown(await drills.end(connection, id_, actor, at.now_us, body.reason)))

    @routes.get("/roster/now")
    async def on_duty(at: At, _: Annotated[Actor, Depends(Allow("roster.read"))]) -> Response:
        """Who has which duty now, the first of the call-out chain first."""
        async with at.database.transaction() as connection:
            found = await store.rows(connection, "on_duty", now=to_datetime(at.now_us), role=None)
        return at.json({"items": found, "next": None})
