"""Order (处置工单): one task of a case for one crew. The state table of DESIGN §6.2 and its pure `act()`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from dispatch.machine import LogLine, need_reason, only, table


class OrderState(StrEnum):
    PROPOSED = "proposed"
    SENT = "sent"
    ACCEPTED = "accepted"
    EN_ROUTE = "en_route"
    ARRIVED = "arrived"
    HANDLING = "handling"
    FINISHED = "finished"
    REFUSED = "refused"
    RECALLED = "recalled"
    EXPIRED = "expired"


class OrderAction(StrEnum):
    SEND = "send"
    ACCEPT = "accept"
    REFUSE = "refuse"
    DEPART = "depart"
    ARRIVE = "arrive"
    HANDLE = "handle"
    FINISH = "finish"
    RECALL = "recall"
    REQUEST_SUPPORT = "request_support"
    EXPIRE = "expire"


S, A = OrderState, OrderAction

#: The crew is bound by it: it counts as load, and no second crew is sent for the same task.
LIVE = frozenset({S.SENT, S.ACCEPTED, S.EN_ROUTE, S.ARRIVED, S.HANDLING})
#: Nothing follows any more.
DONE = frozenset({S.FINISHED, S.REFUSED, S.RECALLED, S.EXPIRED})
ON_SITE = (S.ARRIVED, S.HANDLING)

#: `arrive` without `depart` is allowed: a crew in the rain presses one button, not three.
STEPS = table(
    (S.PROPOSED, A.SEND, S.SENT),
    (S.PROPOSED, A.RECALL, S.RECALLED),
    (S.PROPOSED, A.EXPIRE, S.EXPIRED),
    (S.SENT, A.ACCEPT, S.ACCEPTED),
    (S.SENT, A.REFUSE, S.REFUSED),
    (S.SENT, A.RECALL, S.RECALLED),
    (S.SENT, A.EXPIRE, S.EXPIRED),
    (S.ACCEPTED, A.DEPART, S.EN_ROUTE),
    ((S.ACCEPTED, S.EN_ROUTE), A.ARRIVE, S.ARRIVED),
    ((S.ACCEPTED, S.EN_ROUTE), A.REFUSE, S.REFUSED),
    (S.ARRIVED, A.HANDLE, S.HANDLING),
    (ON_SITE, A.FINISH, S.FINISHED),
    ((S.ACCEPTED, S.EN_ROUTE, *ON_SITE), A.RECALL, S.RECALLED),
    ((S.ACCEPTED, S.EN_ROUTE, *ON_SITE), A.REQUEST_SUPPORT, None),
)

#: Actions that say no to somebody and therefore say why.
WITH_REASON = frozenset({A.REFUSE, A.RECALL})


@dataclass(frozen=True, slots=True)
class Order:
    """`times_us` holds the first moment of each state; `why` are the reasons for this crew as text keys."""

    id: str
    number: str
    case: str
    incident: str
    crew: str
    department: str
    task: str
    attempt: int
    state: OrderState
    priority: int
    level: int
    provenance: str
    lon: float
    lat: float
    place: str
    created_us: int
    proposed_by: str
    arrive_by_us: int | None = None
    travel_s: float | None = None
    why: tuple[Mapping[str, object], ...] = ()
    times_us: Mapping[str, int] = field(default_factory=dict)
    support: bool = False
    overruled: str = ""


def act(order: Order, action: str, by: str, now_us: int, reason: str = "") -> tuple[Order, LogLine]:
    """The order after the action, and its log line. Raises `WrongState`; `Invalid` when a reason is missing."""
    target = OrderState(only(STEPS, order.state, action))
    if action in WITH_REASON:
        reason = need_reason(reason)
    times = {**order.times_us}
    if target != order.state:
        times.setdefault(target.value, now_us)
    after = replace(
        order,
        state=target,
        times_us=times,
        support=order.support or action == A.REQUEST_SUPPORT,
        overruled=reason if action == A.FINISH and reason else order.overruled,
    )
    return after, LogLine(now_us, by, action, order.state, target, reason)
