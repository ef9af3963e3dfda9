"""The desk that never sleeps: opens cases by rule, sends crews, fires deadlines, closes what is quiet.

One of it in the whole city: it is led by `Lock.TIMERS` and writes through the very connection that holds the lock.
Each thing it does is one transaction that also moves its cursor or takes its deadline: after a kill it goes on
where it stood, and nothing happens twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from traceback import format_exception

import orjson
import psycopg

from core.changes import Change
from core.clock import SECOND_US, Clock, to_datetime, to_us
from core.db import DictConnection, Lock
from core.errors import NotFound, WrongState
from core.log import logger
from core.metrics import Metrics
from dispatch import changes_source, commands, due, notices, paper_store, store, triage
from dispatch.actions import DESK, SENSORS, Actions, case_of_incident
from dispatch.cases import OPEN, WITH_DEPARTMENT, Ask, Case, CaseAction, CaseState, Source
from dispatch.expressions import holds
from dispatch.incident import Incident
from dispatch.led_source import connect, leads
from dispatch.orders import LIVE, Order, OrderAction, OrderState
from dispatch.plans import Plan
from dispatch.recommend import best
from dispatch.run_actions import Happening, PlanRuns, told_plan
from dispatch.sending import HANDLE, Sending
from dispatch.triage import Decision, Why
from dispatch.work import Work

TICK_S = 0.25
WATCH_S = 2.0
RETRY_US = 30 * SECOND_US
READER = "desk"
#: What people ask for at an incident, and we do.
ASKED = ("start_plan", "open_case")
GROUP = 200
#: What failed is tried again after this time.
AGAIN_US = 60 * SECOND_US


@dataclass(slots=True)
class Desk:
    """Runs in the worker. `tick` is one round of it and returns how much it did; tests call it with their own clock."""

    dsn: str
    actions: Actions
    clock: Clock
    metrics: Metrics = field(default_factory=Metrics)
    sending: Sending = field(init=False)
    runs: PlanRuns = field(init=False)
    _watched_s: float = 0.0
    _heard: deque[tuple[str, bytes]] = field(default_factory=lambda: deque(maxlen=1000))

    def __post_init__(self) -> None:
        self.runs = PlanRuns.of(self.actions, self.metrics)
        self.sending = self.runs.sending

    async def run(self) -> None:
        """For ever: wait to be the one, then work until the connection is lost."""
        while True:
            try:
                async with await connect(self.dsn) as connection:
                    if await leads(connection, Lock.TIMERS):
                        await self._work(connection)
            except psycopg.OperationalError as away:
                logger("dispatch").warning("desk waits for the database", error=str(away).strip())
            await asyncio.sleep(1.0)

    async def _work(self, connection: DictConnection) -> None:
        await self.start(connection)
        while True:
            if not await self.tick(connection):
                await asyncio.sleep(TICK_S)

    async def start(self, connection: DictConnection) -> None:
        """Take up what was left: a desk that never ran looks at every open incident once."""
        if await changes_source.cursor(connection, READER) is not None:
            return
        newest = await changes_source.newest(connection)
        for incident in await self.actions.incidents.open(connection):
            async with connection.transaction():
                work = self._begin(connection)
                await self._incident(work, incident)
                await work.publish()
        await changes_source.move(connection, READER, newest)

    async def tick(self, connection: DictConnection) -> int:
        """One round: news, deadlines, observations. The number of things done."""
        await self._replies(connection)
        news = await self._news(connection)
        done = news + await self._deadlines(connection)
        now_s = self.clock.monotonic_s()
        late = now_s - self._watched_s >= WATCH_S
        if late:
            self._watched_s = now_s
            done += await self._observe(connection)
            await self._shifts(connection)
        if late or news:
            await self._plans(connection)
        return done

    def hear(self, gateway: str, payload: bytes) -> None:
        """A gateway answered a command (`command/<gateway>/reply`). Called from the ingest's side; never waits."""
        self._heard.append((gateway, payload))

    async def _replies(self, connection: DictConnection) -> None:
        """What gateways answered. An answer that belongs to nothing, or comes too late, changes nothing."""
        while self._heard:
            gateway, payload = self._heard.popleft()
            try:
                reply = orjson.loads(payload)
                async with connection.transaction():
                    work = self._begin(connection)
                    good = str(reply.get("status", "ok")) == "ok"
                    await self.runs.papers.answered(work, str(reply["id"]), reply, good=good)
                    await work.publish()
            except (orjson.JSONDecodeError, KeyError, AttributeError, NotFound, WrongState) as strange:
                self.metrics.count("dispatch_strange_replies_total")
                logger("dispatch").info(
                    "a reply fits no command", gateway=gateway, why=type(strange).__name__
                )

    async def _plans(self, connection: DictConnection) -> None:
        """Carry every running plan on, each in its own transaction."""
        for row in await store.rows(connection, "running_runs"):
            await self._safely(connection, "plan", row["id"], partial(self._carry_on, row["id"]))

    async def _carry_on(self, run: str, work: Work) -> None:
        await self.runs.carry_on(work, run)

    async def _shifts(self, connection: DictConnection) -> None:
        """Crews go on and off duty as their shifts say; who is out stays on duty until back."""
        now = to_datetime(self.clock.now_us())
        for row in await store.rows(connection, "due_shifts", now=now):
            wanted = "on" if row["wanted"] or row["busy"] else "off"
            if row["duty"] != wanted and row["duty"] != "rest":
                async with connection.transaction():
                    work = self._begin(connection)
                    await store.run(connection, "set_duty", id=row["id"], duty=wanted, now=now)
                    work.news.append(Change("crews", row["id"]))
                    await work.publish()

    def _begin(self, connection: DictConnection) -> Work:
        return Work(connection, self.clock.now_us())

    # -- news -----------------------------------------------------------------------------------------------

    async def _news(self, connection: DictConnection) -> int:
        """Every incident, case and order that changed, once each, in one transaction a piece of news."""
        found = await changes_source.after(connection, READER, GROUP)
        last = {(change.topic, change.key): change.id for change in found}
        for change in found:
            asked = change.topic == "incidents" and change.body.get("action") in ASKED
            if last[change.topic, change.key] != change.id and not asked:
                continue
            if not await self._safely(
                connection, "news", change.key, partial(self._hear_of, change, asked=asked)
            ):
                await self._again(connection, change)
        return len(found)

    async def _hear_of(self, change: Change, work: Work, *, asked: bool) -> None:
        if asked:
            await self._asked(work, change)
        if change.topic == "incidents":
            await self._incident(work, change.key)
        elif change.topic in ("cases", "orders"):
            await self._tend_changed(work, change.topic, change.key)
        await work.publish()
        await changes_source.move(work.connection, READER, change.id)

    async def _again(self, connection: DictConnection, change: Change) -> None:
        """News that failed is not lost: the incident or case is looked at again in a while."""
        async with connection.transaction():
            work = self._begin(connection)
            due = to_datetime(work.now_us + AGAIN_US)
            subject = {"incidents": "incident", "cases": "retry"}.get(change.topic)
            if subject:
                kind = "again" if subject == "incident" else HANDLE
                await store.run(
                    connection, "set_deadline", subject=subject, id=change.key, kind=kind, due=due
                )
            await changes_source.move(connection, READER, change.id)

    async def _safely(
        self, connection: DictConnection, what: str, key: str, do: Callable[[Work], Awaitable[None]]
    ) -> bool:
        """One thing in one transaction. What fails is undone, logged and counted, and holds up nobody else."""
        try:
            async with connection.transaction():
                work = self._begin(connection)
                await do(work)
                await work.publish()
        except psycopg.OperationalError:
            raise  # the database is away: everything waits
        except Exception as failed:  # noqa: BLE001 - the desk goes on, whatever one case does to it
            self.metrics.count("dispatch_failures_total", what=what)
            why = "".join(format_exception(failed))
            logger("dispatch").error("the desk could not do this", what=what, key=key, why=why)
            return False
        return True

    async def _asked(self, work: Work, change: Change) -> None:
        """A person asked for a plan, or for a case, at the incident itself."""
        incident = await self.actions.incidents.get(work.connection, change.key)
        if incident is None:
            return
        key = str(change.body.get("plan", ""))
        if change.body["action"] == "start_plan" and self.actions.plans.get(key):
            await self._start_plan(work, incident, key)
        elif change.body["action"] == "open_case" and incident.state in ("open", "confirmed"):
            code = str(change.body.get("code", "")) or incident.code
            lead = str(change.body.get("lead", "")) or incident.lead
            if code in self.actions.city.codes:
                await self._open(work, replace(incident, code=code, lead=lead), Decision(Why.ASKED))

    async def _start_plan(self, work: Work, incident: Incident, key: str) -> None:
        """Start it unless it runs already, which is no mistake of anybody."""
        plan = self.actions.plans.get(key)
        if plan is None or await self._runs(work, incident, key):
            return
        case = None
        if not plan.decl.parent:
            found = await store.cases_by(work.connection, "cases_of_incident", incident=incident.id)
            case = next((each for each in found if each.state in OPEN), None)
            case = case or await self._open(work, incident, Decision(Why.ASKED))
        if case or plan.decl.parent:
            await self.runs.begin(work, plan.decl, incident, case, DESK.id)

    async def _incident(self, work: Work, incident_id: str) -> None:
        incident = await self.actions.incidents.get(work.connection, incident_id)
        if incident is None:
            return
        await store.set_deadlines(
            work.connection,
            "incident",
            incident.id,
            due.of_incident(incident, self.actions.city, work.now_us),
        )
        plan = self.actions.plan_of(incident)
        decision = triage.may_open_case(incident, plan, auto=self.actions.rules.auto)
        self.metrics.count("dispatch_triage_total", why=decision.why)
        if decision.go:
            await self._open(work, incident, decision)
        elif decision.why in (Why.NO_CODE, Why.PARENT) and plan is not None:
            await self._propose_plan(work, incident, None, plan)
        elif incident.state in ("dismissed", "merged"):
            await self._drop(work, incident)

    async def _open(self, work: Work, incident: Incident, decision: Decision) -> Case | None:
        """Report, verify and register in the name of the rule, then dispatch. A second time nothing happens."""
        siblings = await store.cases_by(work.connection, "cases_of_incident", incident=incident.id)
        if siblings:
            return None
        number = await store.take_number(work.connection, "AJ", work.now_us, self.actions.zone)
        limit = self.actions.city.limit_of(incident.code)
        plan = self.actions.plan_of(incident)
        case = case_of_incident(incident, plan, limit, number, work.now_us)
        if not await self.actions.open_case(work, case, DESK.id):
            return None
        ask = Ask(DESK.id, work.now_us, result="exists", detail={"why": decision.why})
        case = await self.actions.step_case(work, case, CaseAction.VERIFY, ask)
        case = await self.actions.step_case(work, case, CaseAction.REGISTER, Ask(DESK.id, work.now_us))
        case = await self._tend(work, case)
        if plan is not None and decision.why != Why.ASKED:
            await self._propose_plan(work, incident, case, plan)
        return case

    async def _propose_plan(self, work: Work, incident: Incident, case: Case | None, plan: Plan) -> None:
        """Where life is in danger the plan starts by rule; otherwise whoever may start it is told, once."""
        if await self._runs(work, incident, plan.key):
            return
        facts = await self.runs.facts(
            work, Happening(incident, case, incident.provenance, incident.level), {}
        )
        if not holds(plan.decl.starts.propose_when, facts):
            return
        if plan.decl.life and self.actions.rules.auto:
            await self.runs.begin(work, plan.decl, incident, case, DESK.id)
            return
        about = notices.About("incident", incident.id, incident.level, incident.provenance)
        await notices.tell(
            work, f"{incident.id}:plan:{plan.key}", f"role:{plan.decl.starts.by[0]}", "plan_proposed", about,
            number=incident.number, plan=told_plan(plan.key),
        )  # fmt: skip

    async def _runs(self, work: Work, incident: Incident, key: str) -> bool:
        """This plan runs for this incident, or ran."""
        found = await store.rows(
            work.connection,
            "list_runs",
            state=None,
            incident=incident.id,
            before=None,
            before_id=None,
            limit=99,
        )
        return any(row["plan"] == key for row in found)

    async def _drop(self, work: Work, incident: Incident) -> None:
        """The incident was none, or became part of another: what our own rules opened for it ends."""
        for case in await store.cases_by(work.connection, "cases_of_incident", incident=incident.id):
            if case.dispatchers - {DESK.id} or case.state not in (CaseState.REGISTERED, *WITH_DEPARTMENT):
                continue
            ask = Ask(DESK.id, work.now_us, reason=f"incident {incident.state}")
            await self.actions.step_case(work, case, CaseAction.VOID, ask)

    async def _tend_changed(self, work: Work, topic: str, key: str) -> None:
        found = await store.row(work.connection, "find_case" if topic == "cases" else "find_order", id=key)
        if found is not None:
            case_id = found["id"] if topic == "cases" else found["case_id"]
            await self._tend(work, await store.lock_case(work.connection, case_id))

    # -- a case gets its department and its crew ------------------------------------------------------------

    async def _tend(self, work: Work, case: Case) -> Case:
        """Whatever the case needs next by rule; the case after it."""
        if not self.actions.rules.auto or case.source != Source.IOT:
            return case
        if case.state == CaseState.REGISTERED:
            case = await (self._give_to_fallback(work, case) if case.returns else self._dispatch(work, case))
        if case.state in WITH_DEPARTMENT and case.lead and case.lead.open:
            await self.sending.somebody(work, case)
            for order in await store.orders_by(work.connection, "orders_of_case", ids=[case.id]):
                if order.support and order.state in LIVE:
                    await self.sending.somebody(work, case, f"support-{order.number}")
        return case

    async def _give_to_fallback(self, work: Work, case: Case) -> Case:
        """兜底: what its department gave back goes to the unit that the duty list names for that; once."""
        duty = await store.row(work.connection, "find_duty", code=case.code, area=case.area)
        fallback = duty["fallback"] if duty else ""
        if not fallback or case.returns > 1 or fallback == case.lead_department:
            return case
        ask = Ask(DESK.id, work.now_us, lead=fallback, detail={"by": "fallback"})
        return await self.actions.step_case(work, case, CaseAction.DISPATCH, ask)

    async def _dispatch(self, work: Work, case: Case) -> Case:
        """To the department that the duty list names for this code here, else to the incident type's own."""
        duty = await store.row(work.connection, "find_duty", code=case.code, area=case.area)
        incident = await self.actions.incidents.get(work.connection, case.incident)
        lead = duty["lead"] if duty else incident.lead if incident else ""
        if not lead:
            await notices.tell(
                work, f"{case.id}:no_department", "role:dispatcher", "no_department",
                notices.of_case(case), number=case.number, code=case.code,
            )  # fmt: skip
            return case
        assisting = duty["assisting"] if duty else incident.assisting if incident else ()
        detail = {"by": "duty_list" if duty else "incident_type"}
        ask = Ask(DESK.id, work.now_us, lead=lead, assisting=tuple(assisting), detail=detail)
        return await self.actions.step_case(work, case, CaseAction.DISPATCH, ask)

    # -- deadlines ------------------------------------------------------------------------------------------

    async def _deadlines(self, connection: DictConnection) -> int:
        """Fire what has come, the earliest first, each in the transaction of its effect: exactly once."""
        fired = 0
        while fired < GROUP:
            now_us = self.clock.now_us()
            next_ = await store.row(connection, "next_due", now=to_datetime(now_us))
            if next_ is None:
                return fired
            if not await self._safely(
                connection, "deadline", next_["subject_id"], partial(self._take, next_)
            ):
                later = to_datetime(now_us + AGAIN_US)
                await store.run(connection, "postpone_deadline", **name_of(next_), due=later)
            fired += 1
            drift_s = (now_us - to_us(next_["due_at"])) / SECOND_US
            self.metrics.set("dispatch_deadline_drift_seconds", drift_s)
            self.metrics.count("dispatch_deadlines_total", kind=next_["kind"].split(":")[0])
        return fired

    async def _take(self, next_: store.Row, work: Work) -> None:
        """Take a deadline for good and do what it asks for; one that was moved meanwhile does nothing."""
        now = to_datetime(work.now_us)
        if await store.run(work.connection, "take_due", **name_of(next_), now=now):
            await self._fire(work, next_["subject"], next_["subject_id"], next_["kind"])

    async def _fire(self, work: Work, subject: str, subject_id: str, kind: str) -> None:
        if subject == "retry":
            case = await store.lock_case(work.connection, subject_id)
            if case.state in WITH_DEPARTMENT and case.lead and case.lead.open:
                await self.sending.somebody(work, case, kind)
        elif subject == "order":
            order = await store.find_order(work.connection, subject_id)
            case = await store.lock_case(work.connection, order.case)
            await self._order_late(work, case, await store.lock_order(work.connection, order.id), kind)
        elif subject == "run":
            await self.runs.clock(work, subject_id, kind)
        elif subject == "paper":
            found = await store.row(work.connection, "lock_paper", id=subject_id)
            if found:
                await self.runs.papers.clock(work, paper_store.paper_of(found), kind)
        elif subject == "command":
            command = await paper_store.lock_command(work, subject_id)
            if (command.state, "expire") in commands.STEPS:
                await self.runs.papers.step_command(work, command, "expire", DESK.id)
        elif subject == "incident" and kind == "again":
            await self._incident(work, subject_id)
        elif subject == "incident":
            await self._unacknowledged(work, subject_id, kind)
        elif kind == "observe":
            await self._judge(work, await store.lock_case(work.connection, subject_id), final=True)
        else:
            await notices.case_late(
                work, await store.lock_case(work.connection, subject_id), kind, self.actions.city
            )

    async def _unacknowledged(self, work: Work, incident_id: str, kind: str) -> None:
        """An important incident that nobody acknowledged pages one after the other."""
        incident = await self.actions.incidents.get(work.connection, incident_id)
        if incident is None or incident.acknowledged or incident.state not in ("open", "confirmed"):
            return
        receiver = kind.partition(":")[2].partition("@")[0]
        about = notices.About("incident", incident.id, incident.level, incident.provenance)
        await notices.tell(
            work, f"{incident.id}:{kind}", receiver, "incident_unacknowledged", about,
            number=incident.number, title=incident.title, place=incident.place,
        )  # fmt: skip

    async def _order_late(self, work: Work, case: Case, order: Order, kind: str) -> None:
        """Nobody answers: remind, page the duty officer, then send the next crew when there is one."""
        if kind == "arrive":
            await notices.order_late(work, order, "order_not_arrived", "role:dispatcher")
            return
        if order.state != OrderState.SENT:
            return
        await notices.order_late(work, order, "order_not_accepted", f"crew:{order.crew}", kind)
        await notices.order_late(work, order, "order_not_accepted", "role:duty_operator", kind)
        if kind == "accept_again":
            await notices.order_late(work, order, "order_not_accepted", "role:shift_leader", kind)
            if best(await self.actions.rank(work, case, order.task, frozenset({order.crew}))):
                await self.actions.step_order(work, order, OrderAction.EXPIRE, DESK.id)

    # -- observation ----------------------------------------------------------------------------------------

    async def _observe(self, connection: DictConnection) -> int:
        """Cases under observation: an objection is acted on at once, not at the end."""
        done = 0
        for row in await store.rows(connection, "checking_cases"):
            done += await self._safely(connection, "observation", row["id"], partial(self._look, row["id"]))
        return done

    async def _look(self, case: str, work: Work) -> None:
        await self._judge(work, await store.lock_case(work.connection, case), final=False)

    async def _judge(self, work: Work, case: Case, *, final: bool) -> bool:
        """Objection: rework. Quiet to the end: closed with 传感器复核通过. Not heard from all: wait on."""
        if case.state != CaseState.CHECKING or case.checked == "pass":
            return False
        fed_back_us = case.lead.finished_us if case.lead and case.lead.finished_us else case.since_us
        verdict = await self.actions.listen(work, case, fed_back_us)
        if verdict.objections and not case.overruled:
            shown = [each.shown() for each in verdict.objections]
            ask = Ask(
                SENSORS.id,
                work.now_us,
                reason="sensors_disagree",
                result="fail",
                detail={"objections": shown},
            )
            case = await self.actions.step_case(work, case, CaseAction.CHECK, ask)
            await self._tend(work, case)
            return True
        if not final:
            return False
        if verdict.watched == 0 and not case.overruled:
            await notices.tell(
                work, f"{case.id}:collector:{case.since_us}", "role:collector", "check_on_site",
                notices.of_case(case), number=case.number,
            )  # fmt: skip
            return True
        if (verdict.waiting or verdict.standing) and not case.overruled:
            await store.run(
                work.connection, "set_deadline",
                subject="case", id=case.id, kind="observe", due=to_datetime(work.now_us + 5 * SECOND_US),
            )  # fmt: skip
            return True
        passed = Ask(SENSORS.id, work.now_us, result="pass", reason="sensors_agree")
        case = await self.actions.step_case(work, case, CaseAction.CHECK, passed)
        await self.actions.step_case(work, case, CaseAction.CLOSE, replace(passed, result=""))
        return True


def name_of(deadline: store.Row) -> dict[str, str]:
    """What identifies a deadline."""
    return {"subject": deadline["subject"], "id": deadline["subject_id"], "kind": deadline["kind"]}
