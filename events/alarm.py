"""The life of an alert: the states of ISA-18.2 (IEC 62682) as one table, and `act`, the only way through it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from core.errors import Invalid, WrongState


class State(StrEnum):
    """`normal` is the end: the condition is gone and everybody who should know does."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out_of_service"


class Action(StrEnum):
    """The first block is ours, the second people's."""

    CLEAR = "clear"
    REVIVE = "revive"
    WITHDRAW = "withdraw"
    AMEND = "amend"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"
    EXPIRE = "expire"

    ACKNOWLEDGE = "acknowledge"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    OUT_OF_SERVICE = "out_of_service"
    RETURN_TO_SERVICE = "return_to_service"
    COMMENT = "comment"


#: What people may do; the rest is done by rules and detectors.
OF_PEOPLE = frozenset(
    {
        Action.ACKNOWLEDGE, Action.SHELVE, Action.UNSHELVE, Action.OUT_OF_SERVICE, Action.RETURN_TO_SERVICE,
        Action.COMMENT,
    }
)  # fmt: skip

#: Put aside: the condition may come and go, nobody is asked.
ASIDE = frozenset({State.SHELVED, State.SUPPRESSED, State.OUT_OF_SERVICE})


class Back(StrEnum):
    """Where an alert goes that is put aside no longer: to whoever must know, if it still stands."""

    IF_STANDING = "unacknowledged if it stands, else normal"


S, A = State, Action
TABLE: dict[tuple[State, Action], State | Back] = {
    (S.UNACKNOWLEDGED, A.ACKNOWLEDGE): S.ACKNOWLEDGED,
    (S.UNACKNOWLEDGED, A.CLEAR): S.RETURNED,
    (S.ACKNOWLEDGED, A.CLEAR): S.NORMAL,
    (S.RETURNED, A.ACKNOWLEDGE): S.NORMAL,
    (S.RETURNED, A.REVIVE): S.UNACKNOWLEDGED,
    (S.NORMAL, A.REVIVE): S.ACKNOWLEDGED,
    **{(state, A.REVIVE): state for state in ASIDE},
    **{(state, A.CLEAR): S.NORMAL for state in ASIDE},
    **{(state, A.WITHDRAW): S.NORMAL for state in S},
    **{(state, A.AMEND): state for state in S},
    **{(state, A.SHELVE): S.SHELVED for state in (S.UNACKNOWLEDGED, S.ACKNOWLEDGED, S.RETURNED)},
    **{(state, A.SUPPRESS): S.SUPPRESSED for state in (S.UNACKNOWLEDGED, S.ACKNOWLEDGED, S.RETURNED)},
    **{
        (state, A.OUT_OF_SERVICE): S.OUT_OF_SERVICE
        for state in S
        if state not in (S.NORMAL, S.OUT_OF_SERVICE)
    },
    (S.SHELVED, A.UNSHELVE): Back.IF_STANDING,
    (S.SHELVED, A.EXPIRE): Back.IF_STANDING,
    (S.SUPPRESSED, A.UNSUPPRESS): Back.IF_STANDING,
    (S.OUT_OF_SERVICE, A.RETURN_TO_SERVICE): Back.IF_STANDING,
    **{(state, A.COMMENT): state for state in S},
}

#: What an action must say beside its name.
NEEDS: dict[Action, tuple[str, ...]] = {
    A.SHELVE: ("until_us", "reason"),
    A.OUT_OF_SERVICE: ("reason",),
    A.COMMENT: ("text",),
}


@dataclass(frozen=True, slots=True)
class Alarm:
    """What of an alert its state machine needs. `asks` is False where nobody is asked to acknowledge."""

    state: State
    standing: bool
    asks: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """What the log keeps of an action."""

    action: str
    actor: str
    at_us: int
    before: str
    after: str
    fields: dict[str, object]


def allowed(state: State, *, people: bool = True) -> list[str]:
    """The actions that exist in a state."""
    return [action.value for (at, action) in TABLE if at is state and (not people or action in OF_PEOPLE)]


def act(alarm: Alarm, action: Action, actor: str, now_us: int, **fields: object) -> tuple[Alarm, Line]:
    """The alarm after an action and the line for its log. Raises `WrongState` and `Invalid`."""
    target = TABLE.get((alarm.state, action))
    if target is None:
        raise WrongState(alarm.state.value, allowed(alarm.state))
    for name in NEEDS.get(action, ()):
        if fields.get(name) in (None, ""):
            raise Invalid("error.field_missing", field=name)
    standing = _standing(alarm, action)
    state = _target(target, standing=standing)
    if not alarm.asks and state in (S.UNACKNOWLEDGED, S.RETURNED):
        state = S.ACKNOWLEDGED if standing else S.NORMAL
    line = Line(action.value, actor, now_us, alarm.state.value, state.value, fields)
    return replace(alarm, state=state, standing=standing), line


def _standing(alarm: Alarm, action: Action) -> bool:
    if action in (A.CLEAR, A.WITHDRAW):
        return False
    return True if action is A.REVIVE else alarm.standing


def _target(target: State | Back, *, standing: bool) -> State:
    if isinstance(target, State):
        return target
    return S.UNACKNOWLEDGED if standing else S.NORMAL


def first(*, aside: State | None, asks: bool) -> Alarm:
    """A new alert: put aside at once where its rule and point are, else waiting for somebody who must know."""
    if aside is not None:
        return Alarm(aside, standing=True, asks=asks)
    return Alarm(S.UNACKNOWLEDGED if asks else S.ACKNOWLEDGED, standing=True, asks=asks)
