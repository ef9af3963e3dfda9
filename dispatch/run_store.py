"""Running plans at rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from psycopg.types.json import Jsonb

from core.changes import Change
from core.clock import to_datetime, to_us
from core.errors import NotFound
from dispatch import plan_run, store
from dispatch.machine import LogLine
from dispatch.plan_run import PlanRun, RunState, TaskRun, TaskState
from dispatch.plans import PlanDecl
from dispatch.store import Row, us, when
from dispatch.work import Work


def run_of(found: Row) -> PlanRun:
    return PlanRun(
        id=found["id"],
        number=found["number"],
        plan=found["plan"],
        incident=found["incident"],
        case=found["case_id"],
        state=RunState(found["state"]),
        started_us=to_us(found["started_at"]),
        started_by=found["started_by"],
        provenance=found["provenance"],
        tasks={key: _task(key, value) for key, value in found["tasks"].items()},
        response=found["response"],
        proposed=found["proposed"],
        ended_us=us(found["ended_at"]),
        facts=found["facts"],
        told=frozenset(found["told"]),
    )


def _task(key: str, found: Mapping[str, Any]) -> TaskRun:
    return TaskRun(
        key,
        TaskState(found["state"]),
        found["open_us"],
        found["due_us"],
        found["done_us"],
        found["by"],
        found["result"],
        found["ref"],
        found["round"],
        frozenset(found["signed"]),
    )


def _tasks(run: PlanRun) -> Jsonb:
    return Jsonb({key: {**asdict(task), "signed": sorted(task.signed)} for key, task in run.tasks.items()})


async def lock_run(work: Work, id_: str) -> PlanRun:
    """Raises `NotFound`."""
    found = await store.row(work.connection, "lock_run", id=id_)
    if found is None:
        raise NotFound
    return run_of(found)


async def insert_run(work: Work, run: PlanRun, line: LogLine) -> bool:
    """False when this plan runs for this incident already."""
    made = await store.row(
        work.connection, "insert_run",
        id=run.id, number=run.number, plan=run.plan, incident=run.incident, case_id=run.case,
        provenance=run.provenance, by=run.started_by, now=to_datetime(run.started_us), tasks=_tasks(run),
    )  # fmt: skip
    if made is not None:
        await store.log(work.connection, "log_run", run.id, line)
        work.news.append(Change("plan_runs", run.id, {"state": run.state}))
    return made is not None


async def save_run(
    work: Work, before: PlanRun, run: PlanRun, plan: PlanDecl, line: LogLine | None = None
) -> None:
    """Store what changed, with the deadlines of its tasks; nothing when nothing did."""
    if run == before and line is None:
        return
    await store.run(
        work.connection, "update_run",
        id=run.id, state=run.state, response=run.response, proposed=run.proposed, ended_at=when(run.ended_us),
        facts=Jsonb(run.facts), told=sorted(run.told), tasks=_tasks(run), now=to_datetime(work.now_us),
    )  # fmt: skip
    await store.set_deadlines(work.connection, "run", run.id, plan_run.deadlines(run, plan))
    for key, task in run.tasks.items():
        if task != before.tasks.get(key):
            detail = {"task": key, "round": task.round, "result": task.result}
            step = LogLine(
                work.now_us, task.by or "system:plan", "task", before.tasks[key].state, task.state, "", detail
            )
            await store.log(work.connection, "log_run", run.id, step)
    if line is not None:
        await store.log(work.connection, "log_run", run.id, line)
    work.news.append(Change("plan_runs", run.id, {"state": run.state}))
