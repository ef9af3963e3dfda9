"""The life of an incident: states and actions as one table, and `act`, the only way through it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from core.errors import Invalid, WrongState
from events.alarm import Line


class State(StrEnum):
    OPEN = "open"
    CONFIRMED = "confirmed"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"
    MERGED = "merged"


class Action(StrEnum):
    """The first block is ours and the dispatch's, the second people's (DESIGN §6.2)."""

    GROW = "grow"
    SHRINK = "shrink"
    REVISE = "revise"
    CLEAR = "clear"
    RECUR = "recur"
    CASE_OPENED = "case_opened"
    CASE_CLOSED = "case_closed"
    WITHDRAW = "withdraw"

    ACKNOWLEDGE = "acknowledge"
    CONFIRM = "confirm"
    SET_PRIORITY = "set_priority"
    SET_GRADE = "set_grade"
    DISMISS = "dismiss"
    MERGE = "merge"
    SPLIT = "split"
    START_PLAN = "start_plan"
    OPEN_CASE = "open_case"
    RESOLVE = "resolve"
    REOPEN = "reopen"
    COMMENT = "comment"


S, A = State, Action
LIVE = (S.OPEN, S.CONFIRMED)
OF_ENGINE = frozenset(
    {A.GROW, A.SHRINK, A.REVISE, A.CLEAR, A.RECUR, A.CASE_OPENED, A.CASE_CLOSED, A.WITHDRAW}
)
OF_PEOPLE = frozenset(A) - OF_ENGINE

TABLE: dict[tuple[State, Action], State] = {
    **{
        (state, action): state
        for state in LIVE
        for action in (
            A.GROW, A.SHRINK, A.REVISE, A.CLEAR, A.RECUR, A.ACKNOWLEDGE, A.SET_PRIORITY, A.SET_GRADE,
            A.SPLIT, A.START_PLAN, A.OPEN_CASE,
        )
    },
    (S.OPEN, A.CONFIRM): S.CONFIRMED,
    (S.OPEN, A.WITHDRAW): S.DISMISSED,
    **{(state, A.DISMISS): S.DISMISSED for state in LIVE},
    **{(state, A.MERGE): S.MERGED for state in LIVE},
    **{(state, A.RESOLVE): S.RESOLVED for state in LIVE},
    **{(state, A.REOPEN): S.OPEN for state in (S.RESOLVED, S.DISMISSED)},
    **{(state, A.CASE_OPENED): state for state in S},
    **{(state, A.CASE_CLOSED): state for state in S},
    **{(state, A.COMMENT): state for state in S},
    (S.RESOLVED, A.SET_GRADE): S.RESOLVED,
    **{(state, action): state for state in (S.RESOLVED, S.DISMISSED, S.MERGED) for action in (A.REVISE,)},
}  # fmt: skip

NEEDS: dict[Action, tuple[str, ...]] = {
    A.SET_PRIORITY: ("priority", "reason"),
    A.SET_GRADE: ("grade", "criterion"),
    A.DISMISS: ("reason",),
    A.MERGE: ("into",),
    A.SPLIT: ("alerts",),
    A.START_PLAN: ("plan",),
    A.OPEN_CASE: ("lead",),
    A.REOPEN: ("reason",),
    A.COMMENT: ("text",),
    A.CASE_OPENED: ("case",),
    A.CASE_CLOSED: ("case",),
}
PRIORITIES = (1, 2, 3, 4)
#: Set by people, after the criteria of the plan that applies; never derived from levels. "" = 未定级.
GRADES = ("", "I", "II", "III", "IV")


@dataclass(frozen=True, slots=True)
class Life:
    """What of an incident its state machine needs."""

    state: State
    acknowledged_us: int | None = None
    acknowledged_by: str = ""
    priority: int = 4
    priority_by: str = ""
    grade: str = ""
    cases: frozenset[str] = frozenset()


def allowed(state: State, *, people: bool = True) -> list[str]:
    return [action.value for (at, action) in TABLE if at is state and (not people or action in OF_PEOPLE)]


def act(life: Life, action: Action, actor: str, now_us: int, **fields: object) -> tuple[Life, Line]:
    """The incident after an action and the line for its log. Raises `WrongState` and `Invalid`."""
    target = TABLE.get((life.state, action))
    if target is None or (action is A.ACKNOWLEDGE and life.acknowledged_us is not None):
        raise WrongState(life.state.value, [name for name in allowed(life.state) if name != action])
    _check(action, fields)
    changed = replace(life, state=target)
    if action in (A.ACKNOWLEDGE, A.CONFIRM) and life.acknowledged_us is None:
        changed = replace(changed, acknowledged_us=now_us, acknowledged_by=actor)
    elif action is A.SET_PRIORITY:
        changed = replace(changed, priority=int(str(fields["priority"])), priority_by=actor)
    elif action is A.SET_GRADE:
        changed = replace(changed, grade=str(fields["grade"]))
    elif action is A.CASE_OPENED:
        changed = replace(changed, cases=life.cases | {str(fields["case"])})
    elif action is A.CASE_CLOSED:
        changed = replace(changed, cases=life.cases - {str(fields["case"])})
    return changed, Line(action.value, actor, now_us, life.state.value, target.value, fields)


def _check(action: Action, fields: dict[str, object]) -> None:
    for name in NEEDS.get(action, ()):
        if fields.get(name) in (None, []) or (fields.get(name) == "" and name != "grade"):
            raise Invalid("error.field_missing", field=name)
    if action is A.SET_PRIORITY and fields["priority"] not in PRIORITIES:
        raise Invalid("error.bad_priority", field="priority")
    if action is A.SET_GRADE and fields["grade"] not in GRADES:
        raise Invalid("error.bad_grade", field="grade")
