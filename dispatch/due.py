"""Which deadlines a case or an order has as it stands. Pure; the store keeps them, the desk fires them.

Kinds of a case: `register`, `verify`, `dispatch`, `check`, `observe`, and `handle:<share>:<department>`.
Kinds of an order: `accept`, `accept_again`, `arrive`.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.clock import SECOND_US
from dispatch.cases import Case, CaseState
from dispatch.city import City
from dispatch.incident import Incident
from dispatch.limits import Limit
from dispatch.orders import Order, OrderState


def of_case(case: Case, city: City, observe_s: float | None) -> Mapping[str, int]:
    """`observe_s`: how long the sensors must stay quiet; None when a collector checks instead."""
    stages = city.rules.stages

    def after(limit: Limit) -> int:
        return city.calendar.due_us(case.since_us, limit)

    match case.state:
        case CaseState.REPORTED:
            return {"register": after(stages.register_)}
        case CaseState.VERIFYING:
            return (
                {"register": after(stages.register_)} if case.verified else {"verify": after(stages.verify)}
            )
        case CaseState.REGISTERED:
            return {"dispatch": after(stages.dispatch)}
        case CaseState.DISPATCHED | CaseState.HANDLING:
            return _handling(case, city)
        case CaseState.FED_BACK:
            return {"check": after(stages.check)}
        case CaseState.CHECKING if observe_s is not None and case.checked != "pass":
            return {"observe": case.since_us + round(observe_s * SECOND_US)}
        case CaseState.CHECKING:
            return {"check": after(stages.check)}
        case _:
            return {}


def _handling(case: Case, city: City) -> dict[str, int]:
    """Every open clock is told at each share of the city's escalation."""
    return {
        f"handle:{step.share:g}:{part.department}": part.clock.share_us(city.calendar, step.share)
        for part in case.parts
        if part.open
        for step in city.rules.escalation
    }


def of_order(order: Order, accept_within_s: float) -> Mapping[str, int]:
    """Accept in time, again, and arrive in time."""
    if order.state == OrderState.SENT:
        sent, span = order.times_us["sent"], round(accept_within_s * SECOND_US)
        return {"accept": sent + span, "accept_again": sent + 2 * span}
    if order.state in (OrderState.ACCEPTED, OrderState.EN_ROUTE) and order.arrive_by_us is not None:
        return {"arrive": order.arrive_by_us}
    return {}


def of_incident(incident: Incident, city: City, seen_us: int) -> Mapping[str, int]:
    """Whom an incident pages while nobody acknowledges it: `ack:<receiver>@<seconds>`, from its opening on."""
    if incident.acknowledged or incident.state not in ("open", "confirmed"):
        return {}
    since = incident.opened_us or seen_us
    return {
        f"ack:{page.to}@{page.after:g}": since + round(page.after * SECOND_US)
        for page in city.rules.unacknowledged
        if page.level == incident.level
    }
