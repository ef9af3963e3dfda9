"""What people and our own rules do to cases and orders: one transaction, one lock, one policy question, one log line.

`Actions.act_on_case` and `act_on_order` are what the edge calls. Steps that follow by rule (an accepted order is an
accepted case, a finished one is a report of completion) happen in the same transaction, each with its own log line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Protocol, TypeVar
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError

from core import changes
from core.access import Policy, Scope
from core.actor import Actor, system
from core.changes import Change
from core.clock import SECOND_US, to_datetime
from core.db import DictConnection
from core.errors import Invalid, NotAllowed, SensorsDisagree, WrongState
from core.schema import Declared
from dispatch import cases, closure, due, notices, orders, recommend, store, views
from dispatch.cases import Ask, Case, CaseAction, CaseState, Source
from dispatch.city import City
from dispatch.closure import Objection
from dispatch.crews import Crew
from dispatch.incident import Incident
from dispatch.joints_source import Incidents, Readings
from dispatch.limits import Limit
from dispatch.machine import OF_THE_CLOCK, LogLine
from dispatch.orders import DONE, LIVE, Order, OrderAction, OrderState
from dispatch.plans import CrewNeed, Plan, Plans
from dispatch.recommend import Candidate, Need, Way, told
from dispatch.travel import Blocked, Impassable, Obstacle, Travel
from dispatch.work import Work
from gis import hazard, hazard_store

DESK = system("desk")
SENSORS = system("sensors")
#: Why a crew was recalled that went to another case: the desk looks for a new one, as after no other recall.
REASSIGNED = "reassigned"
#: What is left to do when the sensors of a case object, by its state.
INSTEAD: Mapping[CaseState, list[str]] = {
    CaseState.HANDLING: [CaseAction.APPLY],
    CaseState.FED_BACK: [CaseAction.CHECK, CaseAction.FORCE_CLOSE],
    CaseState.CHECKING: [CaseAction.CHECK, CaseAction.FORCE_CLOSE],
}
#: Readings this far before the work ended are looked at too, for "since when".
LOOK_BACK_US = 600 * SECOND_US


class Rules(Protocol):
    """The settings that bound what happens by rule; `core.settings.DispatchSettings` has them."""

    @property
    def auto(self) -> bool: ...
    @property
    def auto_per_hour(self) -> int: ...
    @property
    def observation_at_most(self) -> float: ...
    @property
    def accept_within(self) -> float: ...
    @property
    def position_max_age(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a case's own sensors say. `watched` 0: none of them is named by the plan, a collector must look.

    `standing`: points that no condition judges and whose own alert still stands. They do not refuse who reports the
    work as finished, for an alert may take its time to end, but nothing closes over them.
    """

    objections: tuple[Objection, ...] = ()
    waiting: tuple[str, ...] = ()
    watched: int = 0
    standing: tuple[Objection, ...] = ()

    @property
    def against_closing(self) -> tuple[Objection, ...]:
        return (*self.objections, *self.standing)


class CaseFields(Declared):
    """What an action on a case may carry; each uses its own part of it."""

    reason: Annotated[str, Field(max_length=2000)] = ""
    result: str = ""
    kind: str = ""
    amount: Annotated[float, Field(ge=0, le=1000)] = 0.0
    granted: bool | None = None
    application: int = 0
    department: str = ""
    lead: str = ""
    assisting: Annotated[list[str], Field(max_length=20)] = []
    code: str = ""
    limit: Limit | None = None
    satisfied: bool | None = None
    overrule: Annotated[str, Field(max_length=2000)] = ""


class OrderFields(Declared):
    """What an action on an order may carry."""

    reason: Annotated[str, Field(max_length=2000)] = ""
    overrule: Annotated[str, Field(max_length=2000)] = ""


@dataclass(frozen=True, slots=True)
class NewReport:
    """A report that somebody enters: where, what, from whom. WGS 84 degrees."""

    source: Source
    code: str
    title: str
    lon: float
    lat: float
    place: str = ""
    area: str = ""
    priority: int = 3
    level: int = 4
    domain: str = ""
    incident: str = ""
    provenance: str = "real"


@dataclass(frozen=True, slots=True)
class Actions:
    """The services of this room; made once in `app.wiring`."""

    policy: Policy
    plans: Plans
    city: City
    incidents: Incidents
    readings: Readings
    travel: Travel
    rules: Rules
    zone: ZoneInfo

    # -- what the edge calls --------------------------------------------------------------------------------

    async def act_on_case(
        self, connection: DictConnection, id_: str, action: str, actor: Actor, now_us: int, **fields: object
    ) -> views.Shown:
        """Do an action to a case with the fields of `CaseFields`; the case as the API shows it.

        Raises `NotFound`, `NotAllowed`, `WrongState` with the allowed actions, `Invalid`, `SensorsDisagree`.
        """
        asked = checked(CaseFields, fields)
        work = Work(connection, now_us)
        case = await store.lock_case(connection, id_)
        department = asked.department or own_department(actor, case)
        self.require(actor, f"case.{_known(action, CaseAction)}", Scope(case.area, department))
        ask = self._ask(asked, actor, department, now_us)
        if action == CaseAction.REGISTER:
            await self._require_no_twin(work, case, asked.reason)
        if action == CaseAction.DECIDE and case.pending:
            row = self.city.require_approver(case, case.pending, actor)
            ask = replace(ask, approvals_needed=row.reviewers)
        if (case.state, action) in cases.STEPS and closes(action, ask):
            ask = await self._verified(work, case, ask, actor, asked.overrule)
        if (case.state, action) in cases.STEPS and action == CaseAction.FORCE_CLOSE:
            ask = await self._in_spite(work, case, ask)
        if case.state == CaseState.HANDLING and action == CaseAction.FEED_BACK and case.part(department).lead:
            ask = await self._completed(work, case, ask, actor, asked.overrule)
        await self.step_case(work, case, action, ask)
        await work.publish()
        return await views.case(connection, id_, now_us)

    async def similar(self, work: Work, case: Case) -> list[views.Shown]:
        """Cases about the same thing: same code, near and young."""
        rule = self.city.rules.near_duplicate
        since = to_datetime(work.now_us - round(rule.within * SECOND_US))
        return await store.rows(
            work.connection, "similar_cases", id=case.id, code=case.code, lon=case.lon, lat=case.lat,
            since=since, within_m=rule.within_m, drill=case.drill,
        )  # fmt: skip

    async def _require_no_twin(self, work: Work, case: Case, reason: str) -> None:
        """Who registers a second case about the same thing says why. Raises `Invalid` that names the first."""
        twins = [row for row in await self.similar(work, case) if row["state"] in cases.OPEN]
        if twins and not reason:
            numbers = ", ".join(row["number"] for row in twins[:3])
            raise Invalid("dispatch.error.near_duplicate", field="reason", numbers=numbers)

    def _ask(self, asked: CaseFields, actor: Actor, department: str, now_us: int) -> Ask:
        limit = asked.limit
        if asked.code and limit is None:
            limit = self.city.limit_of(self.city.known(asked.code))
        return Ask(
            actor.id, now_us, asked.reason, asked.result, asked.kind, asked.amount, asked.granted,
            asked.application, department, asked.lead, tuple(asked.assisting), asked.code, limit, asked.satisfied,
        )  # fmt: skip

    async def act_on_order(
        self, connection: DictConnection, id_: str, action: str, actor: Actor, now_us: int, **fields: object
    ) -> views.Shown:
        """Do an action to an order with the fields of `OrderFields`; the order as the API shows it.

        A crew acts on its own orders only. Raises as `act_on_case`.
        """
        asked = checked(OrderFields, fields)
        work = Work(connection, now_us)
        case = await store.lock_case(connection, (await store.find_order(connection, id_)).case)
        order = await store.lock_order(connection, id_)
        scope = Scope(case.area, order.department, order.crew)
        self.require(actor, f"order.{_known(action, OrderAction)}", scope)
        reason = asked.reason
        if action == OrderAction.FINISH:
            reason = await self._agreed(work, case, order, actor, asked.overrule)
        await self.step_order(work, order, action, actor.id, reason)
        await work.publish()
        return await views.order(connection, order.id, now_us)

    async def report(
        self, connection: DictConnection, report: NewReport, actor: Actor, now_us: int, key: str = ""
    ) -> views.Shown:
        """Enter a report. `key` (of the sender) makes a repeat the same case."""
        self.require(actor, "case.create", Scope(report.area))
        work = Work(connection, now_us)
        limit = self.city.limit_of(self.city.known(report.code))
        case = Case(
            id=store.natural_id("case", report.source, key or f"{actor.id}:{now_us}:{report}", report.code),
            number=await store.take_number(connection, "AJ", now_us, self.zone),
            code=report.code,
            source=report.source,
            state=CaseState.REPORTED,
            incident=report.incident,
            incident_type="",
            domain=report.domain,
            title={"text": report.title},
            priority=report.priority,
            level=report.level,
            provenance=report.provenance,
            lon=report.lon,
            lat=report.lat,
            place=report.place,
            area=report.area,
            limit=limit,
            reported_us=now_us,
            since_us=now_us,
            drill=report.provenance == "drill",
            times_us={"reported": now_us},
        )
        await self.open_case(work, case, actor.id)
        await work.publish()
        return await views.case(connection, case.id, now_us)

    async def order_crew(
        self, connection: DictConnection, case_id: str, crew: str, actor: Actor, now_us: int, *, send: bool
    ) -> views.Shown:
        """A person proposes, or sends, a crew to a case. A crew that cannot go is refused with its shortfalls."""
        work = Work(connection, now_us)
        case = await store.lock_case(connection, case_id)
        self.require(actor, "order.create", Scope(case.area, case.lead_department))
        ranked = await self.rank(work, case)
        chosen = next((each for each in ranked if each.crew == crew), None)
        if chosen is None or not chosen.able:
            why = list(chosen.barred) if chosen else [told("skills_missing", skills=[])]
            raise Invalid("dispatch.error.crew_cannot_go", field="crew", crew=crew, why=why)
        await self._drop_proposal(work, case, actor)
        order = await self.propose(work, case, chosen, actor.id)
        if send:
            order = await self.step_order(work, order, OrderAction.SEND, actor.id)
        await work.publish()
        return await views.order(connection, order.id, now_us)

    async def _drop_proposal(self, work: Work, case: Case, actor: Actor) -> None:
        """An order that nobody sent yet makes room for the one that a person wants."""
        for order in await store.orders_by(work.connection, "orders_of_case", ids=[case.id]):
            if order.state == OrderState.PROPOSED and order.task == "handle":
                await self.step_order(work, order, OrderAction.RECALL, actor.id, "replaced")

    async def recommend(
        self, connection: DictConnection, case_id: str, actor: Actor, now_us: int
    ) -> list[Candidate]:
        """Crews for a case, ranked, with reasons and shortfalls."""
        case = await store.find_case(connection, case_id)
        self.require(actor, "case.read", Scope(case.area, own_department(actor, case)))
        return await self.rank(Work(connection, now_us), case)

    async def move_crew(
        self,
        connection: DictConnection,
        crew: str,
        actor: Actor,
        place: tuple[float, float],
        at_us: int,
        now_us: int,
    ) -> None:
        """A crew's own position; an older one than known changes nothing."""
        self.require(actor, "crew.position", Scope(crew=crew))
        moved = await store.run(
            connection, "move_crew",
            id=crew, lon=place[0], lat=place[1], at=to_datetime(min(at_us, now_us)), now=to_datetime(now_us),
        )  # fmt: skip
        if moved:
            await changes.append(connection, [Change("crews", crew)], now_us)

    async def hold(
        self, connection: DictConnection, actor: Actor, now_us: int, *, on: bool, reason: str
    ) -> None:
        """The *hold all* switch: while it is on no order leaves by rule."""
        self.require(actor, "dispatch.hold")
        await store.run(
            connection, "set_switch",
            name="hold_all", on=on, by=actor.id, now=to_datetime(now_us), reason=reason,
        )  # fmt: skip
        await changes.append(connection, [Change("orders", "hold_all", {"on": on})], now_us)

    async def stock(
        self, connection: DictConnection, material: str, change: float, case: str, reason: str, actor: Actor,
        now_us: int,
    ) -> views.Shown:  # fmt: skip
        """Take from stock (negative) or bring back. Raises `WrongState` when there is not enough."""
        self.require(actor, "material.write")
        now = to_datetime(now_us)
        left = await store.row(connection, "take_material", id=material, change=change, now=now)
        if left is None:
            raise WrongState("short", [], "dispatch.error.not_enough", material=material)
        await store.run(
            connection, "log_material",
            id=material, now=now, by=actor.id, change=change, case_id=case, reason=reason,
        )  # fmt: skip
        return left

    def require(self, actor: Actor, action: str, scope: Scope = Scope()) -> None:  # noqa: B008 - frozen
        """Our own rules may; everybody else asks the policy. Raises `NotAllowed`."""
        if actor.id.startswith("system:") and actor.roles == {"system"}:
            return
        self.policy.require(actor, action, scope)

    # -- steps, each with its consequences ------------------------------------------------------------------

    async def open_case(self, work: Work, case: Case, by: str) -> bool:
        """Store a new case; False when it exists already."""
        line = LogLine(work.now_us, by, "report", "", case.state, "", {"source": case.source})
        made = await store.insert_case(work.connection, case, line)
        if made:
            twins = [row["id"] for row in await self.similar(work, case)]
            if twins:
                await store.run(work.connection, "set_similar", id=case.id, similar=twins)
            await self._set_case_deadlines(work, case)
            work.news.append(Change("cases", case.id, {"state": case.state}))
            if case.incident:
                await self.incidents.case_opened(work.connection, case.incident, case.id, DESK, work.now_us)
        return made

    async def step_case(self, work: Work, case: Case, action: str, ask: Ask) -> Case:
        """One step of a case and what follows from it by rule."""
        after, line = cases.act(case, action, ask, self.city.calendar)
        await store.save_case(work.connection, case, after, line, self.city)
        await self._set_case_deadlines(work, after)
        work.news.append(Change("cases", case.id, {"state": after.state}))
        return await self._after_case(work, case, after, action)

    async def _after_case(self, work: Work, before: Case, case: Case, action: str) -> Case:
        """What follows by rule.

        Completion asks for the check; what ends or goes back calls its crews back; a closed case may end its incident.
        """
        if action == CaseAction.FEED_BACK and case.state == CaseState.FED_BACK and self._sensors(case):
            return await self.step_case(work, case, CaseAction.CHECK, Ask(SENSORS.id, work.now_us))
        withdrawn = case.state in (
            CaseState.VOID,
            CaseState.CLOSED,
            CaseState.REGISTERED,
            CaseState.SUSPENDED,
        )
        if withdrawn and before.state != case.state:
            await self._recall_all(work, case, action)
        if case.incident and case.state not in cases.OPEN and before.state in cases.OPEN:
            by = SENSORS if case.state == CaseState.CLOSED else DESK
            await self.incidents.case_closed(work.connection, case.incident, case.id, by, work.now_us)
        return case

    async def step_order(self, work: Work, order: Order, action: str, by: str, reason: str = "") -> Order:
        """One step of an order and what follows from it by rule."""
        after, line = orders.act(order, action, by, work.now_us, reason)
        await store.save_order(work.connection, after, line)
        await store.set_deadlines(
            work.connection, "order", order.id, due.of_order(after, self.rules.accept_within)
        )
        work.news += [
            Change("orders", order.id, {"state": after.state}),
            Change("cases", order.case),
            Change("crews", order.crew),
        ]
        if action == OrderAction.SEND:
            await self._tell_crew(work, after, "order_sent")
        elif action == OrderAction.RECALL and order.state in LIVE:
            await self._tell_crew(work, after, "order_recalled")
        elif action == OrderAction.ACCEPT:
            await self._case_accepted(work, after, by)
        elif action == OrderAction.FINISH:
            await self._case_fed_back(work, after, by)
        return after

    async def _case_accepted(self, work: Work, order: Order, by: str) -> None:
        """A crew that accepted speaks for its department."""
        case = await store.lock_case(work.connection, order.case)
        part = next(
            (p for p in case.parts if p.department == order.department and p.accepted_us is None), None
        )
        if part and case.state in cases.WITH_DEPARTMENT:
            await self.step_case(
                work, case, CaseAction.ACCEPT, Ask(by, work.now_us, department=part.department)
            )

    async def _case_fed_back(self, work: Work, order: Order, by: str) -> None:
        """The last crew that finished reports completion for the lead department."""
        case = await store.lock_case(work.connection, order.case)
        others = await store.orders_by(work.connection, "orders_of_case", ids=[case.id])
        busy = any(o.state in LIVE for o in others if is_main(o))
        if (
            busy
            or not is_main(order)
            or case.state != CaseState.HANDLING
            or case.pending
            or not case.lead
            or not case.lead.open
        ):
            return
        detail = {"order": order.number, **({"overruled": order.overruled} if order.overruled else {})}
        ask = Ask(by, work.now_us, department=case.lead_department, detail=detail)
        await self.step_case(work, case, CaseAction.FEED_BACK, ask)

    async def _recall_all(self, work: Work, case: Case, why: str) -> None:
        for order in await store.orders_by(work.connection, "orders_of_case", ids=[case.id]):
            if order.state not in DONE:
                await self.step_order(work, order, OrderAction.RECALL, DESK.id, f"case {why}")

    async def _tell_crew(self, work: Work, order: Order, message: str) -> None:
        await notices.tell(
            work, f"{order.id}:{message}", f"crew:{order.crew}", message, notices.of_order(order),
            number=order.number, place=order.place,
        )  # fmt: skip

    async def _set_case_deadlines(self, work: Work, case: Case) -> None:
        await store.set_deadlines(
            work.connection, "case", case.id, due.of_case(case, self.city, self._observe_s(case))
        )

    # -- crews ----------------------------------------------------------------------------------------------

    async def rank(
        self, work: Work, case: Case, task: str = "handle", exclude: frozenset[str] = frozenset()
    ) -> list[Candidate]:
        """Crews for a task of a case as they are now, ranked."""
        on_list = await store.crews(work.connection, provenance=case.provenance)
        return self.judge(work, case, self.need(case, task, exclude), on_list, await self.blocked(work))

    def judge(
        self, work: Work, case: Case, need: Need, on_list: Sequence[Crew], blocked: Sequence[Obstacle]
    ) -> list[Candidate]:
        """These crews for a case, ranked, with the time that each needs on roads that are not blocked."""
        found = [crew for crew in on_list if crew.skills & need.skills]
        spots = [crew.whereabouts(work.now_us, self.rules.position_max_age) for crew in found]
        seconds = self.travel.seconds([place for place, _ in spots], (case.lon, case.lat), blocked)
        ways = {
            crew.id: Way(travel_s, self.travel.network, age_s)
            for crew, (_, age_s), travel_s in zip(found, spots, seconds, strict=True)
        }
        return recommend.rank(need, found, ways, work.now_us)

    async def blocked(self, work: Work) -> list[Obstacle]:
        """What keeps roads from being driven now: the hazards on the map, and around open cases whose incident has
        none what their plan says: a hole in the road, a cordon.
        """
        hazards = await hazard_store.now(work.connection, work.now_us)
        drawn = {each.incident for each in hazards if each.incident}
        widths = {plan.key: plan.decl.blocks_m for plan in self.plans.by_key.values() if plan.decl.blocks_m}
        found = await store.rows(work.connection, "places_of_plans", plans=list(widths))
        around = [
            Blocked(row["lon"], row["lat"], widths[row["plan"]])
            for row in found
            if row["incident"] not in drawn
        ]
        roads = hazard.impassable(hazards)
        return [*around, Impassable(roads)] if roads else [*around]

    def need(self, case: Case, task: str = "handle", exclude: frozenset[str] = frozenset()) -> Need:
        """What the case's plan asks of a crew; without a plan any crew that can do general work."""
        wanted = self.crew_need(case, task)
        return Need(
            skills=frozenset(wanted.skills) if wanted else frozenset({"general"}),
            equipment=frozenset(wanted.equipment) if wanted else frozenset(),
            members=wanted.members if wanted else 1,
            arrive_s=wanted.arrive if wanted else None,
            department=case.lead_department if task == "handle" else "",
            provenance=case.provenance,
            exclude=exclude,
        )

    async def propose(
        self, work: Work, case: Case, chosen: Candidate, by: str, task: str = "handle"
    ) -> Order:
        """A proposed order for a crew. The database refuses a second live one for the same task."""
        before = await store.orders_by(work.connection, "orders_of_case", ids=[case.id])
        attempt = 1 + sum(1 for order in before if order.task == task)
        wanted = self.crew_need(case, task)
        crew = (await store.crews(work.connection, chosen.crew, None))[0]
        order = Order(
            id=store.natural_id("order", case.id, task, attempt),
            number=await store.take_number(work.connection, "GD", work.now_us, self.zone),
            case=case.id,
            incident=case.incident,
            crew=chosen.crew,
            department=(case.lead_department if task == "handle" else "") or crew.department,
            task=task,
            attempt=attempt,
            state=OrderState.PROPOSED,
            priority=case.priority,
            level=case.level,
            provenance=case.provenance,
            lon=case.lon,
            lat=case.lat,
            place=case.place,
            created_us=work.now_us,
            proposed_by=by,
            arrive_by_us=work.now_us + round(wanted.arrive * SECOND_US) if wanted else None,
            travel_s=chosen.travel_s,
            why=(*chosen.reasons, *chosen.shortfalls),
            times_us={"proposed": work.now_us},
        )
        line = LogLine(work.now_us, by, "propose", "", order.state, "", {"crew": order.crew})
        await store.insert_order(work.connection, order, line)
        work.news += [Change("orders", order.id, {"state": order.state}), Change("cases", case.id)]
        return order

    def plan(self, case: Case) -> Plan | None:
        return self.plans.get(case.plan)

    def plan_of(self, incident: Incident) -> Plan | None:
        """The plan that the incident's type names, else the one that names the type."""
        return self.plans.get(incident.plan) or self.plans.for_incident(incident.type)

    def crew_need(self, case: Case, task: str = "handle") -> CrewNeed | None:
        """What the plan asks of the crew of a task; support is asked for like the case's own crew."""
        plan = self.plan(case)
        if plan is None:
            return None
        own = next((each.crew for each in plan.decl.tasks if each.key == task), None)
        return own or plan.decl.crew

    # -- sensors --------------------------------------------------------------------------------------------

    def _sensors(self, case: Case) -> bool:
        plan = self.plan(case)
        return bool(case.incident and plan and plan.decl.close.sensors)

    def _observe_s(self, case: Case) -> float | None:
        plan = self.plan(case)
        if plan is None or not self._sensors(case):
            return None
        return min(plan.decl.close.observe, self.rules.observation_at_most)

    async def listen(self, work: Work, case: Case, from_us: int | None = None) -> Verdict:
        """What the case's own sensors say now, or have said since a moment."""
        plan = self.plan(case)
        incident = await self.incidents.get(work.connection, case.incident) if case.incident else None
        if incident is None:
            return Verdict()
        since_us = work.now_us if from_us is None else from_us
        points = await self.readings.series(incident.points, since_us - LOOK_BACK_US, work.now_us)
        conditions = plan.decl.close.sensors if plan else []
        standing = tuple(closure.unjudged(conditions, points, incident.standing))
        watched = len({(s.device, s.channel) for s, _, _ in closure.watched(conditions, points)})
        if from_us is None:
            found = closure.objections(conditions, points, work.now_us)
            return Verdict(tuple(found), (), watched, standing)
        return Verdict(
            tuple(closure.objections_within(conditions, points, from_us, work.now_us)),
            tuple(closure.not_yet_heard(conditions, points, from_us)),
            watched,
            standing,
        )

    async def _agreed(self, work: Work, case: Case, order: Order, actor: Actor, overrule: str) -> str:
        """The reason with which somebody overruled the sensors, empty when they agree. Raises `SensorsDisagree`."""
        if order.state not in orders.ON_SITE or not is_main(order):
            return ""
        verdict = await self.listen(work, case)
        if not verdict.objections:
            return ""
        if not overrule:
            shown = [each.shown() for each in verdict.objections]
            raise SensorsDisagree(order.state, [OrderAction.REQUEST_SUPPORT, OrderAction.RECALL], shown)
        self.require(actor, "order.overrule", Scope(case.area, order.department, order.crew))
        return overrule

    async def _verified(self, work: Work, case: Case, ask: Ask, actor: Actor, overrule: str) -> Ask:
        """The same question before a case passes its check or closes."""
        verdict = await self.listen(work, case)
        return self._heard(case, ask, actor, overrule, verdict.against_closing)

    async def _in_spite(self, work: Work, case: Case, ask: Ask) -> Ask:
        """The ask of who closes by force, with what the sensors say against it: it closes, and its log keeps that."""
        found = (await self.listen(work, case)).against_closing
        return (
            replace(ask, detail={**ask.detail, "objections": [each.shown() for each in found]})
            if found
            else ask
        )

    async def _completed(self, work: Work, case: Case, ask: Ask, actor: Actor, overrule: str) -> Ask:
        """The same question when a department reports completion itself, without an order of ours that finished."""
        verdict = await self.listen(work, case)
        return self._heard(case, ask, actor, overrule, verdict.objections)

    def _heard(self, case: Case, ask: Ask, actor: Actor, overrule: str, found: Sequence[Objection]) -> Ask:
        """The ask, with who overruled the sensors and why. Raises `SensorsDisagree`, `NotAllowed`."""
        if not found or case.overruled:
            return ask
        if not overrule:
            raise SensorsDisagree(case.state, INSTEAD[case.state], [each.shown() for each in found])
        self.require(actor, "case.overrule", Scope(case.area, case.lead_department))
        return replace(ask, detail={**ask.detail, "overruled": overrule, "objections": len(found)})


def closes(action: str, ask: Ask) -> bool:
    """A case is closed, or passes the check that allows it."""
    return action == CaseAction.CLOSE or (action == CaseAction.CHECK and ask.result == "pass")


def is_main(order: Order) -> bool:
    """The order that handles the case, or supports who does; guards and others only help."""
    return order.task == "handle" or order.task.startswith("support-")


FieldsT = TypeVar("FieldsT", bound=Declared)


def checked(model: type[FieldsT], fields: Mapping[str, object]) -> FieldsT:
    """The fields of an action. Raises `Invalid` that names the first wrong one."""
    try:
        return model.model_validate(fields)
    except ValidationError as wrong:
        where = ".".join(str(part) for part in wrong.errors()[0]["loc"])
        raise Invalid(field=where) from None


def own_department(actor: Actor, case: Case) -> str:
    """The department for which an actor speaks: its own one that is a party, else the lead."""
    if not actor.departments:
        return case.lead_department
    mine = [part.department for part in case.parts if part.department in actor.departments]
    if not mine:
        raise NotAllowed(
            "dispatch.error.not_a_party", action="case", department=", ".join(sorted(actor.departments))
        )
    return mine[0]


def _known(action: str, actions: type[CaseAction | OrderAction]) -> str:
    """The action itself. Raises `Invalid` for a word that is none; `expire` is the clock's, not a person's."""
    if action not in set(actions) or action in OF_THE_CLOCK:
        raise Invalid("dispatch.error.unknown_action", field="action", action=action)
    return action


def case_of_incident(incident: Incident, plan: Plan | None, limit: Limit, number: str, now_us: int) -> Case:
    """The case that our rules open for an incident, as reported by our own sensors."""
    return Case(
        id=store.natural_id("case", incident.id, incident.code),
        number=number,
        code=incident.code,
        source=Source.IOT,
        state=CaseState.REPORTED,
        incident=incident.id,
        incident_type=incident.type,
        domain=incident.domain,
        title=incident.title,
        priority=incident.priority,
        level=incident.level,
        provenance=incident.provenance,
        lon=incident.lon,
        lat=incident.lat,
        place=incident.place,
        area=incident.area,
        limit=plan.decl.limit if plan and plan.decl.limit else limit,
        reported_us=now_us,
        since_us=now_us,
        drill=incident.provenance == "drill",
        plan=plan.key if plan else "",
        times_us={"reported": now_us},
    )


def nobody(candidates: list[Candidate]) -> Mapping[str, object]:
    """Why no crew goes, as a text with its most frequent reasons."""
    reasons = recommend.shortage(candidates).reasons[:3]
    return told("nobody", reasons=[{"key": key, "n": n} for key, n in reasons])
