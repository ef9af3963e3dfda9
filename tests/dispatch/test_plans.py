"""Plans: declared soundly, played against their drills, run on real cases, practised without touching anybody."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import domains, text
from core.errors import Invalid, NotAllowed, NotFound, WrongState
from core.metrics import Metrics
from core.text import Texts
from dispatch import dry_run, plan_check, plan_run, store
from dispatch.drills import Drills, NewDrill
from dispatch.expressions import Facts
from dispatch.papers import Change, PaperKind
from dispatch.plan_check import Known
from dispatch.plan_run import Ask, PlanRun, RunState, TaskState
from dispatch.plans import PlanDecl, Scenario, load
from dispatch.run_actions import PlanRuns
from dispatch.work import Work
from tests.conftest import ROOT
from tests.dispatch.test_chain import NEAR, only_case, sent
from tests.dispatch.world import (
    BURST,
    CHIEF,
    DISPATCHER,
    LEADER,
    OPERATOR,
    POLICE,
    START,
    World,
    crew_actor,
    crew_row,
    declared,
)

SHIPPED = declared().plans
DRILLS = [
    pytest.param(plan.decl, drill, id=f"{plan.key}-{drill.key}")
    for plan in SHIPPED.by_key.values()
    for drill in plan.decl.drills
]
TEN = {
    "water_burst", "gas_leak", "sewer_overflow", "underpass_flood", "storm_waterlogging", "site_dust", "night_noise",
    "building_fire", "road_collapse_risk", "cover_open",
}  # fmt: skip


# -- declared -----------------------------------------------------------------------------------------------


def test_all_shipped_plans_pass_the_check_with_every_word_written(words: Texts) -> None:
    assert plan_check.check(declared().domains, Known(), words) == []
    assert set(SHIPPED.by_key) >= TEN


@pytest.mark.parametrize(("plan", "drill"), DRILLS)
def test_each_plan_dry_runs_its_drills_to_the_close_and_its_twins_do_not_start_it(
    plan: PlanDecl, drill: Scenario
) -> None:
    played = dry_run.play(plan, drill)
    assert played.started is drill.starts
    assert played.good, played.stuck
    if played.started:
        begun = {moment.task for moment in played.moments}
        assert begun == {task.key for task in plan.tasks if task.key in begun}
        assert played.closed_s is not None


BROKEN = {
    "after: [nobody]": "no task nobody",
    "after: [a.landed]": "never reaches landed",
    "after: [b]": "waits for itself",
    "when: 'incident.level >='": "is not CEL",
    "limit: 1m, from_start: true": "predecessors may take until T+5 min",
}


@pytest.mark.parametrize(("more", "reason"), BROKEN.items(), ids=list(BROKEN.values()))
def test_a_plan_that_cannot_work_is_named_with_file_line_and_reason(
    more: str, reason: str, tmp_path: Path
) -> None:
    home = tmp_path / "domains" / "one"
    home.mkdir(parents=True)
    (home / "domain.yaml").write_text("key: one\norder: 1\nicon: x\n")
    second = (
        f"{{key: b, role: r, kind: call, after: [a], {more}}}"
        if not more.startswith("after")
        else (f"{{key: b, role: r, kind: call, {more}}}")
    )
    (home / "plans.yaml").write_text(
        "- key: p\n  incidents: [i]\n  tasks:\n"
        "    - {key: a, role: r, kind: order, limit: 5m, from_start: true}\n"
        f"    - {second}\n  drills: [{{key: d, score: 9.0}}]\n"
    )
    (found,) = plan_check.check(domains.load(tmp_path / "domains"), Known())
    assert reason in found.reason
    assert (found.file, found.line) == ("domains/one/plans.yaml", 5)


def test_a_shortage_of_crews_is_named_before_the_day() -> None:
    from tests.dispatch.test_recommend import PLAIN

    found = plan_check.check(declared().domains, Known(crews=[PLAIN]))
    assert any("no crew has water_main_repair" in mistake.reason for mistake in found)


def test_an_unknown_name_makes_a_condition_false_not_wrong() -> None:
    from dispatch.expressions import holds

    assert not holds("facts.households >= 10.0", Facts())
    assert holds("facts.households >= 10.0", Facts(facts={"households": 11.0}))


# -- the pure run -------------------------------------------------------------------------------------------

FLOOD = SHIPPED.by_key["underpass_flood"].decl
STORM = SHIPPED.by_key["storm_waterlogging"].decl


def begun(plan: PlanDecl) -> PlanRun:
    return plan_run.begin(
        plan, PlanRun("r", "YA-1", plan.key, "i", "c", RunState.RUNNING, 0, "x", "real", {})
    )


def do(run: PlanRun, plan: PlanDecl, action: str, **more: object) -> PlanRun:
    return plan_run.act(run, plan, action, Ask("x", 1, **more))[0]  # type: ignore[arg-type]  # fields by name


def test_a_task_that_two_departments_sign_is_done_when_both_have() -> None:
    run = begun(FLOOD)
    facts = Facts(high={"depth": 2.0})
    for task in ("look", "close_barrier", "station", "clean"):
        run, _ = plan_run.advance(run, FLOOD, frozenset({"pumps.finished", "pumps.accepted"}), facts, 1)
        run = do(run, FLOOD, "do", task=task)
    run, _ = plan_run.advance(run, FLOOD, frozenset({"pumps.finished"}), facts, 1)
    with pytest.raises(Invalid):
        do(run, FLOOD, "do", task="reopen", department="street_office")
    run = do(run, FLOOD, "do", task="reopen", department="traffic_police")
    assert run.tasks["reopen"].state == TaskState.OPEN
    run = do(run, FLOOD, "do", task="reopen", department="road_maintenance")
    assert run.tasks["reopen"].state == TaskState.DONE


def test_response_levels_are_proposed_by_the_system_and_set_by_people() -> None:
    run = begun(STORM)
    run, effects = plan_run.advance(run, STORM, frozenset(), Facts(facts={"warning_level": 3.0}), 1)
    assert [(e.kind, e.key) for e in effects] == [("response", "III")]
    assert run.response == ""
    assert all(task.state == TaskState.WAITING for task in run.tasks.values())
    again, none = plan_run.advance(run, STORM, frozenset(), Facts(facts={"warning_level": 3.0}), 2)
    assert none == []
    with pytest.raises(Invalid):
        do(again, STORM, "set_response", level="III")
    run = do(again, STORM, "set_response", level="III", reason="yellow warning")
    run, effects = plan_run.advance(run, STORM, frozenset(), Facts(facts={"warning_level": 3.0}), 3)
    assert {e.key for e in effects} == {
        "desks", "dead_sensors", "leader_in_hall", "stand_by", "call_streets", "page_for_leader",
    }  # fmt: skip
    run, effects = plan_run.advance(
        run, STORM, frozenset(), Facts(high={"rain_1h": 0.0}, n={"underpass_flood": 0.0}), 4
    )
    assert ("response", "lower") in [(e.kind, e.key) for e in effects]


@settings(max_examples=150)
@given(
    st.sampled_from([p.decl for p in SHIPPED.by_key.values()]),
    st.lists(
        st.tuples(st.sampled_from(["do", "skip", "unable", "advance"]), st.integers(0, 30)), max_size=40
    ),
)
def test_a_run_opens_a_task_only_after_what_comes_before_it(
    plan: PlanDecl, walk: list[tuple[str, int]]
) -> None:
    run = begun(plan)
    for n, (action, row) in enumerate(walk):
        if action == "advance" or not plan.tasks:
            run, _ = plan_run.advance(run, plan, frozenset(), Facts(), n)
            continue
        task = plan.tasks[row % len(plan.tasks)].key
        before = run.tasks[task].state
        try:
            run = do(run, plan, action, task=task, reason="why", department="x")
        except (WrongState, Invalid):
            assert (before, action) not in plan_run.TASK_STEPS or plan.task(task).signed_by
    for task_decl in plan.tasks:
        if run.tasks[task_decl.key].state in (TaskState.OPEN, TaskState.DONE):
            for name in task_decl.after:
                key, _, milestone = name.partition(".")
                assert milestone == "" or run.tasks[key].state in plan_run.SETTLED
                assert run.tasks[key].state in plan_run.SETTLED


def test_a_task_that_does_not_exist_is_not_found() -> None:
    with pytest.raises(NotFound):
        do(begun(FLOOD), FLOOD, "do", task="fly")


# -- on real cases ------------------------------------------------------------------------------------------

GUARD = crew_row("guard", skills=["guard", "general"], department="urban_management", equipment=[])


def runs_of(city: World) -> PlanRuns:
    return PlanRuns.of(city.actions, Metrics())


async def run_of(city: World) -> PlanRun:
    from dispatch.run_store import run_of as read

    (row,) = await city.database.fetch(
        store.QUERIES["list_runs"], state=None, incident=None, before=None, before_id=None, limit=9
    )
    return read(row)


async def act(city: World, action: str, actor: object = OPERATOR, **more: object) -> PlanRun:
    run = await run_of(city)
    async with city.database.transaction() as connection:
        ask = Ask(actor.id, city.clock.now_us(), **more)  # type: ignore[attr-defined, arg-type]
        return await runs_of(city).act(connection, run.id, action, actor, ask)  # type: ignore[arg-type]


async def started(city: World) -> PlanRun:
    await city.crews(GUARD)
    await sent(city)
    async with city.database.transaction() as connection:
        return await runs_of(city).start(connection, "water_burst", BURST.id, LEADER, city.clock.now_us())


async def test_a_plan_shows_what_it_would_do_before_it_does_anything(city: World) -> None:
    await city.crews(NEAR, GUARD)
    await city.news(BURST)
    async with city.database.transaction() as connection:
        shown = await runs_of(city).preview(connection, "water_burst", BURST.id, city.clock.now_us())
    by_key = {task["key"]: task for task in shown["tasks"]}
    assert (by_key["repair"]["crew"], by_key["guard"]["crew"]) == ("near", "guard")
    assert by_key["tankers"]["skipped"]
    assert await city.database.fetch(b"SELECT 1 FROM plan_runs") == []
    assert await city.database.fetch(b"SELECT 1 FROM orders") == []


async def test_a_started_plan_begins_its_tasks_as_others_are_done_and_uses_the_order_that_is_out(
    city: World,
) -> None:
    run = await started(city)
    assert run.tasks["verify"].state == TaskState.OPEN
    assert run.tasks["confirm"].state == TaskState.WAITING
    await act(city, "do", task="verify", result="pressure fell")
    run = await act(city, "do", LEADER, task="confirm")
    assert run.tasks["traffic"].state == TaskState.OPEN
    (request,) = await city.database.fetch(b"SELECT * FROM papers")
    assert (request["kind"], request["receivers"], request["state"]) == (
        "request", ["department:traffic_police"], "sent",
    )  # fmt: skip
    orders = (await only_case(city))["orders"]
    assert {o["task"]: o["crew"] for o in orders} == {"handle": "near", "guard": "guard"}
    async with city.database.transaction() as connection:
        main = next(o["id"] for o in orders if o["task"] == "handle")
        await city.actions.act_on_order(connection, main, "accept", crew_actor("near"), city.clock.now_us())
        await runs_of(city).papers.act(
            connection, PaperKind.REQUEST, request["id"], "receive", POLICE, city.clock.now_us(), Change()
        )
    await city.tick()
    run = await run_of(city)
    assert run.tasks["repair"].state == TaskState.DONE
    assert run.tasks["traffic"].state == TaskState.DONE


async def test_a_late_task_is_told_once_and_a_repeated_one_comes_again(city: World) -> None:
    await started(city)
    await city.tick(3, seconds=200)
    found = await city.database.fetch(
        store.QUERIES["read_inbox"], receivers=["role:shift_leader"], before=None, limit=50
    )
    late = [row for row in found if row["message"]["key"].endswith("task_late")]
    assert len({row["message"]["params"]["task"]["key"] for row in late}) == len(late) > 0
    await act(city, "do", task="verify")
    await act(city, "do", LEADER, task="confirm")
    assert (await run_of(city)).tasks["follow_up"].round == 1
    await city.tick(1, seconds=1801)
    assert (await run_of(city)).tasks["follow_up"].round == 2


async def test_a_plan_runs_once_for_an_incident_and_only_for_those_who_may_start_it(city: World) -> None:
    await started(city)
    async with city.database.transaction() as connection:
        with pytest.raises(WrongState):
            await runs_of(city).start(connection, "water_burst", BURST.id, LEADER, city.clock.now_us())
    async with city.database.transaction() as connection:
        with pytest.raises(NotAllowed):
            await runs_of(city).start(connection, "water_burst", BURST.id, OPERATOR, city.clock.now_us())


async def test_reports_upwards_are_due_when_people_note_what_makes_them_due_and_go_on_until_the_end(
    city: World,
) -> None:
    await started(city)
    await act(city, "note", facts={"households": 12_000.0, "outage_h": 5.0})
    papers = {
        row["facts"]["sort"]: row
        for row in await city.database.fetch(b"SELECT * FROM papers WHERE kind = 'bulletin'")
    }
    assert set(papers) == {"first_call", "first_text"}
    service, now = runs_of(city).papers, city.clock.now_us()
    assert papers["first_text"]["due_at"].timestamp() == pytest.approx(now / 1e6 + 3600)
    async with city.database.transaction() as connection:
        first = papers["first_text"]["id"]
        for action, change in (
            ("draft", Change(text="1.2 万户停水")),
            ("sign", Change()),
            ("send", Change()),
        ):
            await service.act(connection, PaperKind.BULLETIN, first, action, CHIEF, now, change)
    (following,) = await city.database.fetch(b"SELECT * FROM papers WHERE supersedes <> ''")
    assert following["facts"]["sort"] == "follow_up"
    assert following["due_at"].timestamp() == pytest.approx(now / 1e6 + 4 * 3600)


async def test_an_incident_s_own_start_plan_action_starts_it(city: World) -> None:
    from core import changes
    from core.changes import Change as News

    await sent(city)
    async with city.database.transaction() as connection:
        body: dict[str, object] = {"action": "start_plan", "plan": "water_burst", "by": "people"}
        await changes.append(connection, [News("incidents", BURST.id, body)], city.clock.now_us())
    await city.tick()
    assert (await run_of(city)).state == RunState.RUNNING


# -- drills -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(TEN))
async def test_a_drill_marks_everything_it_touches_and_reaches_nobody(city: World, key: str) -> None:
    await city.crews(NEAR, GUARD, crew_row("all", skills=ALL_SKILLS, equipment=ALL_EQUIPMENT))
    async with city.database.transaction() as connection:
        for receiver in (
            "role:dispatcher",
            "role:commander",
            "role:duty_operator",
            "crew:near",
            "department:fire_brigade",
        ):
            await store.run(
                connection, "put_contact", receiver=receiver, channel="sms", address="+8613800000000", level=4
            )
    plan = city.actions.plans.by_key[key].decl
    drills, start = Drills(runs_of(city)), city.clock.now_us()
    scenario = next(each for each in plan.drills if each.starts)
    async with city.database.transaction() as connection:
        run = await drills.start(
            connection, NewDrill(key, 121.49, 31.24, scenario.key, lead="water_company"), LEADER, start
        )
    for level in ("IV", "I"):
        if plan.responses:
            await act(city, "set_response", CHIEF, level=level, reason="drill")
    for _ in range(40):
        await city.tick(1, seconds=30)
        run = await run_of(city)
        open_tasks = [t for t in run.tasks.values() if t.state == TaskState.OPEN]
        for task in open_tasks:
            for department in plan.task(task.key).signed_by or [""]:
                await act(city, "do", LEADER, task=task.key, department=department)
        step_taken = False
        for row in await city.database.fetch(b"SELECT id, state, crew FROM orders"):
            step = {"sent": "accept", "accepted": "arrive", "arrived": "finish"}.get(row["state"])
            if step:
                step_taken = True
                async with city.database.transaction() as connection:
                    await city.actions.act_on_order(
                        connection, row["id"], step, DISPATCHER, city.clock.now_us()
                    )
        if not open_tasks and not step_taken:
            break
    async with city.database.transaction() as connection:
        run = await drills.end(connection, run.id, LEADER, city.clock.now_us(), "over")
    assert run.state == RunState.ENDED
    await untouched(city)


ALL_SKILLS = ["water_main_repair", "gas_repair", "sewer_cleaning", "road_repair", "manhole_cover", "pumping", "guard",
              "cordon", "dust_enforcement", "noise_enforcement"]  # fmt: skip
ALL_EQUIPMENT = ["excavator", "pump", "gas_detector", "jetting_truck", "ground_radar", "barrier", "pump_truck",
                 "camera", "sound_level_meter"]  # fmt: skip


async def untouched(city: World) -> None:
    """Everything is marked; nothing went out; no real inbox and no real crew knows of it."""
    for table in (b"cases", b"orders", b"papers", b"commands", b"plan_runs"):
        rows = await city.database.fetch(b"SELECT DISTINCT provenance FROM " + table)
        assert {row["provenance"] for row in rows} <= {"drill"}, table
    assert await city.database.fetch(b"SELECT 1 FROM outbox WHERE state <> 'kept_inside'") == []
    inboxes = await city.database.fetch(b"SELECT DISTINCT receiver FROM inbox")
    assert all(row["receiver"].startswith("drill:") for row in inboxes)
    assert inboxes
    used = await city.database.fetch(
        b"SELECT DISTINCT c.provenance FROM orders o JOIN crews c ON c.id = o.crew"
    )
    assert {row["provenance"] for row in used} <= {"drill"}
    async with city.database.transaction() as connection:
        from dispatch import views

        kpis = await views.kpis(connection, START, city.actions.zone, ["real", "simulated", "recorded"])
        assert (kpis["accepted_today"], kpis["open"]) == (0, 0)
        assert Work(connection, START).news == []


# -- the guide ----------------------------------------------------------------------------------------------


def test_the_plan_of_the_guide_is_sound_and_plays_as_its_drills_say(tmp_path: Path) -> None:
    home = tmp_path / "domains" / "one"
    (home / "text").mkdir(parents=True)
    (home / "domain.yaml").write_text("key: one\norder: 1\nicon: x\n")
    guide = (ROOT / "docs" / "guide" / "plans.md").read_text()
    for name, block in re.findall(r"```yaml (\S+)\n(.*?)```", guide, re.DOTALL):
        (home / name).write_text(block)
    found = domains.load(tmp_path / "domains")
    known = Known(roles=frozenset({"duty_operator", "dispatcher", "shift_leader", "system", "crew"}))
    assert plan_check.check(found, known, text.load([home])) == []
    (plan,) = load(found).by_key.values()
    played = [dry_run.play(plan.decl, drill) for drill in plan.decl.drills]
    assert [(each.started, each.good) for each in played] == [(True, True), (False, True)]
