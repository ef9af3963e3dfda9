"""The stage bar of a case: 受理 派遣 到场 处置 核查 结案, each with its time used or left. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dispatch.cases import Case, CaseState
from dispatch.limits import Light
from dispatch.orders import Order

STAGES = ("accept", "dispatch", "arrive", "handle", "check", "close")


@dataclass(frozen=True, slots=True)
class Stage:
    """`from_us` when it began, `to_us` when it ended, `due_us` when it must have ended; None = not known."""

    key: str
    state: Literal["done", "current", "late", "pending"]
    from_us: int | None
    to_us: int | None
    due_us: int | None


def stages(case: Case, orders: Sequence[Order], due: Mapping[str, int], now_us: int) -> list[Stage]:
    """Six stages in order. `due` holds the case's deadlines by kind (`register`, `dispatch`, `check`, `observe`)."""
    marks = _marks(case, orders)
    limits = _limits(case, orders, due)
    shown: list[Stage] = []
    current_seen = False
    for index, key in enumerate(STAGES):
        began = case.reported_us if index == 0 else marks[STAGES[index - 1]]
        ended = marks[key]
        limit = limits.get(key)
        if ended is not None:
            shown.append(Stage(key, "done", began, ended, limit))
        elif not current_seen and case.state not in (CaseState.REFUSED, CaseState.VOID):
            current_seen = True
            late = limit is not None and now_us > limit
            shown.append(Stage(key, "late" if late else "current", began, None, limit))
        else:
            shown.append(Stage(key, "pending", None, None, limit))
    return shown


def _marks(case: Case, orders: Sequence[Order]) -> dict[str, int | None]:
    """When each stage ended. After rework the later stages are open again."""
    times = case.times_us
    sent = [order.times_us["sent"] for order in orders if "sent" in order.times_us]
    arrived = [order.times_us["arrived"] for order in orders if "arrived" in order.times_us]
    beyond = case.state in (CaseState.FED_BACK, CaseState.CHECKING, CaseState.CLOSED)
    fed_back = max(
        (part.finished_us for part in case.parts if part.finished_us), default=times.get("fed_back")
    )
    closed = times.get("closed")
    marks = {
        "accept": times.get("registered"),
        "dispatch": min(sent, default=times.get("dispatched")),
        "arrive": min(arrived, default=None),
        "handle": fed_back if beyond else None,
        "check": closed,
        "close": closed,
    }
    return _monotone(marks)


def _monotone(marks: dict[str, int | None]) -> dict[str, int | None]:
    """A stage that was skipped ended when the next one did."""
    later: int | None = None
    for key in reversed(STAGES):
        if marks[key] is None:
            marks[key] = later
        later = marks[key]
    return marks


def _limits(case: Case, orders: Sequence[Order], due: Mapping[str, int]) -> dict[str, int]:
    limits = {"accept": due.get("register"), "dispatch": due.get("dispatch")}
    limits["arrive"] = next((order.arrive_by_us for order in orders if order.arrive_by_us), None)
    limits["handle"] = case.lead.due_us if case.lead else None
    limits["check"] = due.get("observe", due.get("check"))
    return {key: value for key, value in limits.items() if value is not None}


def light(case: Case, now_us: int) -> Light:
    """The traffic light of the lead's clock; green before there is one."""
    part = case.lead
    if part is None:
        return Light.GREEN
    until = now_us if part.clock.stopped_us is None else part.clock.stopped_us
    if part.late or until > part.due_us:
        return Light.RED
    return Light.YELLOW if until >= part.yellow_us else Light.GREEN
