"""What dispatch shows to rooms above: cases, orders and crews as the API, the wall and the feed give them.

Reads only. Every function works inside the caller's transaction. Times are datetimes in UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np

from core.clock import MINUTE_US, to_datetime, to_us
from core.db import DictConnection
from core.people_store import named
from dispatch import stages, store
from dispatch.cases import Case, Part, actions_in
from dispatch.crews import Crew
from dispatch.machine import allowed
from dispatch.orders import STEPS as ORDER_STEPS
from dispatch.orders import Order
from dispatch.store import when

Shown = dict[str, Any]
#: A closed case stays on screens this long.
LINGER_US = MINUTE_US
MANY = 2000


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list asks for; None = whatever. `departments` and `areas` bound what the actor may see."""

    state: list[str] | None = None
    domain: str | None = None
    level: list[int] | None = None
    provenance: str | None = None
    incident: str | None = None
    case: str | None = None
    crew: str | None = None
    departments: list[str] | None = None
    areas: list[str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    bbox: tuple[float, float, float, float] | None = None
    before: tuple[str, str] | None = None
    limit: int = 100


# -- cases --------------------------------------------------------------------------------------------------


async def cases(connection: DictConnection, asked: Filter, now_us: int) -> list[Shown]:
    """Newest first, at most `asked.limit`."""
    west, south, east, north = asked.bbox or (None, None, None, None)
    found = await store.cases_by(
        connection, "list_cases",
        **_common(asked), domain=asked.domain, incident=asked.incident, areas=asked.areas,
        west=west, south=south, east=east, north=north,
    )  # fmt: skip
    return await show_cases(connection, found, now_us)


async def case(connection: DictConnection, id_: str, now_us: int) -> Shown:
    """One case with its log, orders and applications. Raises `NotFound`."""
    found = await store.find_case(connection, id_)
    shown = (await show_cases(connection, [found], now_us))[0]
    log = await named(connection, await store.rows(connection, "case_log", id=found.id), "by")
    orders = await store.orders_by(connection, "orders_of_case", ids=[found.id])
    return {**shown, "log": log, "orders": [show_order(order, now_us) for order in orders]}


async def open_cases(
    connection: DictConnection, now_us: int, ids: Collection[str] | None = None
) -> list[Shown]:
    """The snapshot of topic `cases`: what stands, and what ended within the last minute; of these ids when given."""
    found = await store.cases_by(
        connection, "open_cases", changed_after=to_datetime(now_us - LINGER_US), limit=MANY, ids=_some(ids)
    )
    return await show_cases(connection, found, now_us)


async def cases_of_incident(connection: DictConnection, incident: str, now_us: int) -> list[Shown]:
    return await show_cases(
        connection, await store.cases_by(connection, "cases_of_incident", incident=incident), now_us
    )


async def show_cases(connection: DictConnection, found: Sequence[Case], now_us: int) -> list[Shown]:
    """Cases as everybody sees them, with their stage bar."""
    ids = [each.id for each in found]
    orders: dict[str, list[Order]] = {id_: [] for id_ in ids}
    for order in await store.orders_by(connection, "orders_of_case", ids=ids):
        orders[order.case].append(order)
    due: dict[str, dict[str, int]] = {id_: {} for id_ in ids}
    for row in await store.rows(connection, "deadlines_of_many", subject="case", ids=ids):
        due[row["subject_id"]][row["kind"]] = to_us(row["due_at"])
    return [show_case(each, orders[each.id], due[each.id], now_us) for each in found]


def show_case(case: Case, orders: Sequence[Order], due: Mapping[str, int], now_us: int) -> Shown:
    lead = case.lead
    return {
        "id": case.id,
        "number": case.number,
        "code": case.code,
        "source": case.source,
        "state": case.state,
        "allowed": actions_in(case),
        "incident": case.incident,
        "type": case.incident_type,
        "domain": case.domain,
        "title": case.title,
        "priority": case.priority,
        "level": case.level,
        "provenance": case.provenance,
        "drill": case.drill,
        "plan": case.plan,
        "lon": case.lon,
        "lat": case.lat,
        "place": case.place,
        "area": case.area,
        "lead": case.lead_department,
        "assisting": [part.department for part in case.parts if not part.lead],
        "parts": [_part(part, now_us) for part in case.parts],
        "applications": [
            {
                "id": a.id, "kind": a.kind, "department": a.department, "by": a.by, "at": to_datetime(a.at_us),
                "reason": a.reason, "amount": a.amount, "granted": a.granted, "approvals": list(a.approvals),
                "decided_at": when(a.decided_us), "answer": a.answer,
            }
            for a in case.applications
        ],
        "created_at": to_datetime(case.reported_us),
        "due_at": when(lead.due_us) if lead else None,
        "light": stages.light(case, now_us),
        "stages": [
            {
                "stage": s.key, "state": s.state, "from": when(s.from_us), "to": when(s.to_us),
                "due_at": when(s.due_us),
            }
            for s in stages.stages(case, orders, due, now_us)
        ],
        "times": {state: to_datetime(moment) for state, moment in case.times_us.items()},
        "crews": [order.crew for order in orders if order.state not in ("refused", "recalled", "expired")],
        "verified": case.verified,
        "checked": case.checked,
        "claimed_by": case.claimed_by,
        "returns": case.returns,
        "reworks": case.reworks,
        "extensions": case.extensions,
        "suspensions": case.suspensions,
        "supervised": case.supervised,
        "forced": case.forced,
        "exempt": case.exempt,
        "satisfied": case.satisfied,
        "overruled": case.overruled,
    }  # fmt: skip


def _part(part: Part, now_us: int) -> Shown:
    until = now_us if part.clock.stopped_us is None else part.clock.stopped_us
    return {
        "department": part.department,
        "lead": part.lead,
        "attempt": part.attempt,
        "accepted_at": when(part.accepted_us),
        "finished_at": when(part.finished_us),
        "stopped_at": when(part.clock.stopped_us),
        "due_at": to_datetime(part.due_us),
        "late": part.late or until > part.due_us,
    }


# -- orders -------------------------------------------------------------------------------------------------


async def orders(connection: DictConnection, asked: Filter, now_us: int) -> list[Shown]:
    """Newest first, at most `asked.limit`."""
    found = await store.orders_by(
        connection, "list_orders", **_common(asked), crew=asked.crew, case_id=asked.case
    )
    return [show_order(order, now_us) for order in found]


async def order(connection: DictConnection, id_: str, now_us: int) -> Shown:
    """One order with its log and what the crew must know of its case. Raises `NotFound`."""
    found = await store.find_order(connection, id_)
    case_ = await store.find_case(connection, found.case)
    return {
        **show_order(found, now_us),
        "log": await named(connection, await store.rows(connection, "order_log", id=found.id), "by"),
        "title": case_.title,
        "code": case_.code,
        "domain": case_.domain,
        "plan": case_.plan,
        "case_number": case_.number,
        "case_state": case_.state,
    }


async def open_orders(
    connection: DictConnection, now_us: int, ids: Collection[str] | None = None
) -> list[Shown]:
    """The snapshot of topic `orders`: live and proposed ones, and what ended within the last minute."""
    found = await store.orders_by(
        connection, "open_orders", changed_after=to_datetime(now_us - LINGER_US), limit=MANY, ids=_some(ids)
    )
    return [show_order(order, now_us) for order in found]


def show_order(order: Order, now_us: int) -> Shown:
    arrived = order.times_us.get("arrived")
    until = now_us if arrived is None else arrived
    return {
        "id": order.id,
        "number": order.number,
        "case": order.case,
        "incident": order.incident,
        "crew": order.crew,
        "department": order.department,
        "task": order.task,
        "attempt": order.attempt,
        "state": order.state,
        "allowed": allowed(ORDER_STEPS, order.state),
        "priority": order.priority,
        "level": order.level,
        "provenance": order.provenance,
        "lon": order.lon,
        "lat": order.lat,
        "place": order.place,
        "created_at": to_datetime(order.created_us),
        "arrive_by": when(order.arrive_by_us),
        "late": order.arrive_by_us is not None and until > order.arrive_by_us,
        "travel_s": order.travel_s,
        "why": list(order.why),
        "times": {state: to_datetime(moment) for state, moment in order.times_us.items()},
        "support": order.support,
        "overruled": order.overruled,
    }


# -- crews --------------------------------------------------------------------------------------------------


#: Response levels as numbers.
ROMAN = {"I": 1, "II": 2, "III": 3, "IV": 4}


async def crews(connection: DictConnection, crew: str | None = None) -> list[Shown]:
    """All crews, or the one that is named, with what binds them."""
    return [show_crew(each) for each in await store.crews(connection, crew)]


def show_crew(crew: Crew) -> Shown:
    lon, lat = crew.position or crew.depot
    return {
        "id": crew.id,
        "name": crew.name,
        "department": crew.department,
        "kind": crew.kind,
        "skills": sorted(crew.skills),
        "equipment": sorted(crew.equipment),
        "members": crew.members,
        "area": crew.area,
        "state": "busy" if crew.order else "free" if crew.duty == "on" else crew.duty,
        "duty": crew.duty,
        "duty_since": to_datetime(crew.duty_since_us),
        "lon": lon,
        "lat": lat,
        "position_at": when(crew.position_us),
        "depot": crew.depot,
        "order": crew.order,
        "order_state": crew.order_state,
        "case": crew.case,
        "provenance": crew.provenance,
    }


async def forces(connection: DictConnection) -> list[Shown]:
    """应急力量: free, busy and all crews on duty of each kind."""
    return await store.rows(connection, "forces")


async def departments(connection: DictConnection) -> dict[str, Shown]:
    """Departments by id with their names in both languages."""
    found = await store.rows(connection, "all_departments")
    return {
        each["id"]: {
            "name": {"zh": each["name_zh"], "en": each["name_en"]},
            "kind": each["kind"],
            "phone": each["phone"],
        }
        for each in found
    }


# -- numbers ------------------------------------------------------------------------------------------------


async def kpis(
    connection: DictConnection, now_us: int, zone: ZoneInfo, provenances: Sequence[str] = ("real",)
) -> Shown:
    """The KPI strip of the wall, for the city's today. A rate is None while its denominator is 0.

    `accepted_today` 今日受理, `open` 在办, `in_time` 按期处置率 with numerator and denominator (`handled_in_time` of
    `should_be_handled`: handled today, or due today and not handled), `arrive_p90_s` 到场用时 P90 of `arrivals`.
    """
    midnight = to_datetime(now_us).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    found = await store.row(
        connection, "kpis", since=midnight, now=to_datetime(now_us), provenances=list(provenances)
    )
    assert found is not None
    arrivals = [float(each) for each in found.pop("arrivals_s") or []]
    should = found["should_be_handled"]
    return {
        **found,
        "in_time": found["handled_in_time"] / should if should else None,
        "arrivals": len(arrivals),
        "arrive_p90_s": float(np.percentile(arrivals, 90)) if arrivals else None,
    }


#: An order, directive or report that has not left after this long is undelivered.
UNDELIVERED_US = MINUTE_US
Lately = Literal["arrivals_since", "checked_since", "dispatched_since", "verified_since", "hotline_since"]


async def lately(connection: DictConnection, what: Lately, since: datetime) -> list[Shown]:
    """Records since a moment: arrivals, checks, dispatches, findings of collectors, calls of citizens."""
    return await store.rows(connection, what, since=since)


async def undelivered(connection: DictConnection, now_us: int, provenances: Sequence[str]) -> int:
    """How many messages did not leave in time."""
    found = await store.one(
        connection, "undelivered", before=to_datetime(now_us - UNDELIVERED_US), provenances=list(provenances)
    )
    return int(found["n"])


async def seats(connection: DictConnection, now_us: int) -> int:
    """How many operators the roster has on duty; at least the one who looks."""
    return max(1, len(await store.rows(connection, "on_duty", now=to_datetime(now_us), role="duty_operator")))


def _some(ids: Collection[str] | None) -> list[str] | None:
    return None if ids is None else sorted(ids)


def _common(asked: Filter) -> dict[str, object]:
    before, before_id = asked.before or (None, None)
    return {
        "state": asked.state,
        "level": asked.level,
        "provenance": asked.provenance,
        "departments": asked.departments,
        "from": asked.since,
        "to": asked.until,
        "before": before,
        "before_id": before_id,
        "limit": asked.limit,
    }


async def posture(connection: DictConnection, now_us: int) -> Shown:
    """Which response level we are in, which warnings of an authority hold, who leads: for the top of every screen."""
    now = to_datetime(now_us)
    runs = await store.rows(connection, "response_in_force")
    papers = await store.rows(connection, "in_force", kind="warning", now=now)
    duties = {
        each["role"]: each["name"]
        for each in reversed(await store.rows(connection, "on_duty", now=now, role=None))
    }

    def who(role: str) -> Shown | None:
        return {"zh": duties[role], "en": duties[role]} if role in duties else None

    response = None
    if runs:
        run = runs[0]
        response = {
            "level": ROMAN[run["response"]], "name": {"key": f"plan.{run['plan']}.name", "params": {}},
            "since": run["started_at"], "commander": who("commander"), "provenance": run["provenance"],
        }  # fmt: skip
    warnings = [
        {
            "level": each["level"], "name": each["title"], "issuer": each["issuer"],
            "issued_at": each["from_at"] or each["created_at"],
        }
        for each in papers
    ]  # fmt: skip
    return {"response": response, "warnings": warnings, "shift": who("shift_leader")}
