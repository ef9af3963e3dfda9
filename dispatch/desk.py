"""The desk that never sleeps: opens cases by rule, sends crews, fires deadlines, closes what is quiet.

One of it in the whole city: it is led by `Lock.TIMERS` and writes through the very connection that holds the lock.
Each thing it does is one transaction that also moves its cursor or takes its deadline: after a kill it goes on
where it stood, and nothing happens twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from core.clock import SECOND_US, Clock, to_datetime, to_us
from core.db import OPTIONS, DictConnection, Lock
from core.log import logger
from core.metrics import Metrics
from dispatch import changes_source, notices, store, triage
from dispatch.actions import DESK, SENSORS, Actions, case_of_incident
from dispatch.cases import WITH_DEPARTMENT, Ask, Case, CaseAction, CaseState, Source
from dispatch.incident import Incident
from dispatch.orders import LIVE, Order, OrderAction, OrderState
from dispatch.recommend import best
from dispatch.sending import Sending
from dispatch.triage import Decision
from dispatch.work import Work

TICK_S = 0.25
WATCH_S = 2.0
RETRY_US = 30 * SECOND_US
READER = "desk"
GROUP = 200


@dataclass(slots=True)
class Desk:
    """Runs in the worker. `tick` is one round of it and returns how much it did; tests call it with their own clock."""

    dsn: str
    actions: Actions
    clock: Clock
    metrics: Metrics = field(default_factory=Metrics)
    sending: Sending = field(init=False)
    _watched_s: float = 0.0

    def __post_init__(self) -> None:
        self.sending = Sending(self.actions, self.metrics)

    async def run(self) -> None:
        """For ever: wait to be the one, then work until the connection is lost."""
        while True:
            try:
                async with await connect(self.dsn) as connection:
                    if await self._leads(connection):
                        await self._work(connection)
            except psycopg.OperationalError as away:
                logger("dispatch").warning("desk waits for the database", error=str(away).strip())
            await asyncio.sleep(1.0)

    async def _leads(self, connection: DictConnection) -> bool:
        row = await (
            await connection.execute(b"SELECT pg_try_advisory_lock(%s) AS won", [int(Lock.TIMERS)])
        ).fetchone()
        return bool(row and row["won"])

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
        done = await self._news(connection) + await self._deadlines(connection)
        now_s = self.clock.monotonic_s()
        if now_s - self._watched_s >= WATCH_S:
            self._watched_s = now_s
            done += await self._observe(connection)
        return done

    def _begin(self, connection: DictConnection) -> Work:
        return Work(connection, self.clock.now_us())

    # -- news -----------------------------------------------------------------------------------------------

    async def _news(self, connection: DictConnection) -> int:
        """Every incident, case and order that changed, once each, in one transaction a piece of news."""
        found = await changes_source.after(connection, READER, GROUP)
        last = {(change.topic, change.key): change.id for change in found}
        for change in found:
            if last[change.topic, change.key] != change.id:
                continue
            async with connection.transaction():
                work = self._begin(connection)
                if change.topic == "incidents":
                    await self._incident(work, change.key)
                elif change.topic in ("cases", "orders"):
                    await self._tend_changed(work, change.topic, change.key)
                await work.publish()
                await changes_source.move(connection, READER, change.id)
        return len(found)

    async def _incident(self, work: Work, incident_id: str) -> None:
        incident = await self.actions.incidents.get(work.connection, incident_id)
        if incident is None:
            return
        plan = self.actions.plan_of(incident)
        decision = triage.may_open_case(incident, plan, auto=self.actions.rules.auto)
        self.metrics.count("dispatch_triage_total", why=decision.why)
        if decision.go:
            await self._open(work, incident, decision)
        elif incident.state in ("dismissed", "merged"):
            await self._drop(work, incident)

    async def _open(self, work: Work, incident: Incident, decision: Decision) -> None:
        """Report, verify and register in the name of the rule, then dispatch. A second time nothing happens."""
        siblings = await store.cases_by(work.connection, "cases_of_incident", incident=incident.id)
        if siblings:
            return
        number = await store.take_number(work.connection, "AJ", work.now_us, self.actions.zone)
        limit = self.actions.city.limit_of(incident.code)
        case = case_of_incident(incident, self.actions.plan_of(incident), limit, number, work.now_us)
        if not await self.actions.open_case(work, case, DESK.id):
            return
        ask = Ask(DESK.id, work.now_us, result="exists", detail={"why": decision.why})
        case = await self.actions.step_case(work, case, CaseAction.VERIFY, ask)
        case = await self.actions.step_case(work, case, CaseAction.REGISTER, Ask(DESK.id, work.now_us))
        await self._tend(work, case)

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

    async def _tend(self, work: Work, case: Case) -> None:
        """Whatever the case needs next by rule."""
        if not self.actions.rules.auto or case.source != Source.IOT:
            return
        if case.state == CaseState.REGISTERED and not case.returns:
            case = await self._dispatch(work, case)
        if case.state in WITH_DEPARTMENT and case.lead and case.lead.open:
            await self.sending.somebody(work, case)
            for order in await store.orders_by(work.connection, "orders_of_case", ids=[case.id]):
                if order.support and order.state in LIVE:
                    await self.sending.somebody(work, case, f"support-{order.number}")

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
            async with connection.transaction():
                work = self._begin(connection)
                taken = await store.row(connection, "take_due", now=to_datetime(work.now_us))
                if taken is None:
                    return fired
                await self._fire(work, taken["subject"], taken["subject_id"], taken["kind"])
                await work.publish()
            fired += 1
            drift_s = (work.now_us - to_us(taken["due_at"])) / SECOND_US
            self.metrics.set("dispatch_deadline_drift_seconds", drift_s)
            self.metrics.count("dispatch_deadlines_total", kind=taken["kind"].split(":")[0])
        return fired

    async def _fire(self, work: Work, subject: str, subject_id: str, kind: str) -> None:
        if subject == "retry":
            case = await store.lock_case(work.connection, subject_id)
            if case.state in WITH_DEPARTMENT and case.lead and case.lead.open:
                await self.sending.somebody(work, case, kind)
        elif subject == "order":
            order = await store.find_order(work.connection, subject_id)
            case = await store.lock_case(work.connection, order.case)
            await self._order_late(work, case, await store.lock_order(work.connection, order.id), kind)
        elif kind == "observe":
            await self._judge(work, await store.lock_case(work.connection, subject_id), final=True)
        else:
            await notices.case_late(
                work, await store.lock_case(work.connection, subject_id), kind, self.actions.city
            )

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
            async with connection.transaction():
                work = self._begin(connection)
                case = await store.lock_case(connection, row["id"])
                done += await self._judge(work, case, final=False)
                await work.publish()
        return done

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
        if verdict.waiting and not case.overruled:
            await store.run(
                work.connection, "set_deadline",
                subject="case", id=case.id, kind="observe", due=to_datetime(work.now_us + 5 * SECOND_US),
            )  # fmt: skip
            return True
        passed = Ask(SENSORS.id, work.now_us, result="pass", reason="sensors_agree")
        case = await self.actions.step_case(work, case, CaseAction.CHECK, passed)
        await self.actions.step_case(work, case, CaseAction.CLOSE, replace(passed, result=""))
        return True


async def connect(dsn: str) -> DictConnection:
    """A connection of its own whose rows are dicts; transactions are explicit."""
    return await AsyncConnection.connect(dsn, autocommit=True, options=OPTIONS, row_factory=dict_row)
