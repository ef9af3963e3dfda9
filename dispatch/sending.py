"""A crew for every task that needs one: ranked, proposed, sent when nothing holds it back, tried again when nobody can.

One place for the desk and for running plans. A task is the case's own (`handle`), a second crew that was asked for
(`support-…`), or one of its plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.clock import HOUR_US, SECOND_US, to_datetime
from core.metrics import Metrics
from dispatch import notices, orders, store, triage
from dispatch.actions import DESK, REASSIGNED, Actions, nobody
from dispatch.cases import Case
from dispatch.orders import Order, OrderAction, OrderState
from dispatch.recommend import Candidate, best
from dispatch.triage import Decision
from dispatch.work import Work

RETRY_US = 30 * SECOND_US
HANDLE = "handle"
#: From this level on neighbours are asked when nobody here can go.
AID_LEVEL = 2


@dataclass(frozen=True, slots=True)
class Sending:
    actions: Actions
    metrics: Metrics

    async def somebody(self, work: Work, case: Case, task: str = HANDLE) -> None:
        """The nearest capable crew, unless one is on it, a person took it in hand, or no crew is needed."""
        every = await store.orders_by(work.connection, "orders_of_case", ids=[case.id])
        before = [order for order in every if order.task == task]
        ours = next((o for o in before if o.state == OrderState.PROPOSED and o.proposed_by == DESK.id), None)
        if ours:
            await self._send(work, ours)
            return
        if self.actions.crew_need(case, task) is None or any(o.state not in orders.DONE for o in before):
            return
        if before and before[-1].state == OrderState.RECALLED and not await reassigned(work, before[-1]):
            return
        declined = frozenset(o.crew for o in every if o.state in (OrderState.REFUSED, OrderState.EXPIRED))
        ranked = await self.actions.rank(work, case, task, declined)
        chosen = same_again(ranked, before) or best(ranked)
        if chosen is None:
            await self._short(work, case, task, ranked)
        else:
            await self._send(work, await self.actions.propose(work, case, chosen, DESK.id, task))

    async def _send(self, work: Work, order: Order) -> None:
        """Send it, unless all is held or the hour is full: then a person is told, and it is tried again."""
        decision = await self._may_send(work)
        self.metrics.count("dispatch_orders_total", why=decision.why)
        if decision.go:
            await self.actions.step_order(work, order, OrderAction.SEND, DESK.id)
            return
        await notices.tell(
            work, f"{order.id}:{decision.why}", "role:dispatcher", "order_waits", notices.of_order(order),
            number=order.number, why=decision.why,
        )  # fmt: skip
        await self._retry(work, order.case, order.task)

    async def _short(self, work: Work, case: Case, task: str, ranked: list[Candidate]) -> None:
        """力量缺口: the dispatcher is told once why, neighbours are named, and it is tried again soon."""
        await notices.tell(
            work, f"{case.id}:{task}:nobody", "role:dispatcher", "no_crew", notices.of_case(case),
            number=case.number, why=nobody(ranked),
        )  # fmt: skip
        if case.level <= AID_LEVEL:
            need = self.actions.need(case, task)
            aid = await store.rows(work.connection, "aid_with", skills=sorted(need.skills))
            if aid:
                names = {"zh": aid[0]["name_zh"], "en": aid[0]["name_en"]}
                await notices.tell(
                    work, f"{case.id}:{task}:aid", "role:shift_leader", "mutual_aid", notices.of_case(case),
                    number=case.number, who=names, phone=aid[0]["phone"], minutes=round(aid[0]["reach_s"] / 60),
                )  # fmt: skip
        await self._retry(work, case.id, task)

    async def _retry(self, work: Work, case_id: str, task: str) -> None:
        due = to_datetime(work.now_us + RETRY_US)
        await store.run(work.connection, "set_deadline", subject="retry", id=case_id, kind=task, due=due)

    async def _may_send(self, work: Work) -> Decision:
        rules = self.actions.rules
        sent = await store.row(
            work.connection, "automatic_orders_since", by=DESK.id, since_us=work.now_us - HOUR_US
        )
        held = await store.is_on(work.connection, "hold_all")
        return triage.may_send(sent["n"] if sent else 0, rules.auto_per_hour, held=held, auto=rules.auto)


async def reassigned(work: Work, order: Order) -> bool:
    """Its crew was needed elsewhere; nobody decided that none shall go."""
    log = await store.rows(work.connection, "order_log", id=order.id)
    return bool(log) and log[-1]["reason"] == REASSIGNED


def same_again(ranked: list[Candidate], before: list[Order]) -> Candidate | None:
    """Rework goes to the crew that did it, when it can."""
    last = next((o.crew for o in reversed(before) if o.state == OrderState.FINISHED), None)
    return next((each for each in ranked if each.able and each.crew == last), None)
