"""The life of an alert and of an incident: the tables, and the only way through them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid, WrongState
from events import alarm, incident
from events.alarm import OF_PEOPLE, TABLE, Action, Alarm, State, act, allowed, first

FIELDS = {"until_us": 10, "reason": "检修", "text": "x"}


def go(alert: Alarm, action: Action) -> Alarm:
    return act(alert, action, "u1", 5, **FIELDS)[0]


def test_an_alert_that_nobody_saw_waits_for_somebody_after_it_has_ended() -> None:
    alert = go(first(aside=None, asks=True), Action.CLEAR)
    assert alert == Alarm(State.RETURNED, standing=False)
    assert go(alert, Action.ACKNOWLEDGE).state is State.NORMAL


def test_an_alert_that_was_seen_ends_with_its_condition() -> None:
    alert = go(go(first(aside=None, asks=True), Action.ACKNOWLEDGE), Action.CLEAR)
    assert alert == Alarm(State.NORMAL, standing=False)


def test_an_alert_that_asks_nobody_never_waits() -> None:
    alert = first(aside=None, asks=False)
    assert alert.state is State.ACKNOWLEDGED
    assert go(alert, Action.CLEAR).state is State.NORMAL


@pytest.mark.parametrize(
    ("aside", "back"),
    [
        (Action.SHELVE, Action.UNSHELVE), (Action.SHELVE, Action.EXPIRE), (Action.SUPPRESS, Action.UNSUPPRESS),
        (Action.OUT_OF_SERVICE, Action.RETURN_TO_SERVICE),
    ],
)  # fmt: skip
def test_what_was_put_aside_comes_back_if_it_stands(aside: Action, back: Action) -> None:
    put = go(first(aside=None, asks=True), aside)
    assert put.state in alarm.ASIDE
    assert go(put, back).state is State.UNACKNOWLEDGED
    assert go(put, Action.CLEAR).state is State.NORMAL


def test_an_action_that_does_not_exist_in_a_state_is_refused_with_those_that_do() -> None:
    with pytest.raises(WrongState) as refused:
        go(Alarm(State.NORMAL, standing=False), Action.ACKNOWLEDGE)
    assert refused.value.allowed == ["comment"]


def test_shelving_needs_a_reason_and_an_end() -> None:
    for missing in ("reason", "until_us"):
        given_fields = {name: value for name, value in FIELDS.items() if name != missing}
        with pytest.raises(Invalid) as refused:
            act(first(aside=None, asks=True), Action.SHELVE, "u1", 5, **given_fields)
        assert refused.value.field == missing


@given(st.lists(st.sampled_from(Action), max_size=30))
def test_no_row_of_actions_leads_out_of_the_table(actions: list[Action]) -> None:
    alert = first(aside=None, asks=True)
    for action in actions:
        if (alert.state, action) not in TABLE:
            with pytest.raises(WrongState):
                go(alert, action)
            continue
        before = alert
        alert, line = act(alert, action, "u1", 5, **FIELDS)
        assert (line.before, line.after) == (before.state, alert.state)
        ended = alert.state in (State.NORMAL, State.RETURNED)
        assert ended or alert.standing or alert.state in alarm.ASIDE


@pytest.mark.parametrize("state", State)
def test_every_state_offers_people_something(state: State) -> None:
    assert set(allowed(state)) <= {action.value for action in OF_PEOPLE}
    assert "comment" in allowed(state)


# -- incidents -----------------------------------------------------------------------------------------------

GIVEN: dict[str, object] = {
    "priority": 2, "reason": "r", "grade": "III", "criterion": "c", "into": "x", "alerts": ["a"], "plan": "p",
    "lead": "l", "text": "t", "case": "AJ-1",
}  # fmt: skip


def do(life: incident.Life, action: incident.Action) -> incident.Life:
    return incident.act(life, action, "u1", 5, **GIVEN)[0]


OPEN = incident.Life(incident.State.OPEN)


def test_confirming_is_seeing_too() -> None:
    assert do(OPEN, incident.Action.CONFIRM).acknowledged_us == 5


def test_an_incident_is_acknowledged_once() -> None:
    seen = do(OPEN, incident.Action.ACKNOWLEDGE)
    with pytest.raises(WrongState):
        do(seen, incident.Action.ACKNOWLEDGE)


@pytest.mark.parametrize("closed", [incident.State.RESOLVED, incident.State.DISMISSED, incident.State.MERGED])
def test_a_closed_incident_takes_no_more_evidence(closed: incident.State) -> None:
    with pytest.raises(WrongState):
        do(incident.Life(closed), incident.Action.GROW)


def test_the_grade_is_set_by_people_with_the_criterion_it_follows() -> None:
    assert do(OPEN, incident.Action.SET_GRADE).grade == "III"
    with pytest.raises(Invalid):
        incident.act(OPEN, incident.Action.SET_GRADE, "u1", 5, grade="III")
    with pytest.raises(Invalid):
        incident.act(OPEN, incident.Action.SET_GRADE, "u1", 5, grade="V", criterion="c")


@pytest.mark.parametrize("priority", [0, 5, "1"])
def test_a_priority_is_one_to_four(priority: object) -> None:
    with pytest.raises(Invalid):
        incident.act(OPEN, incident.Action.SET_PRIORITY, "u1", 5, priority=priority, reason="r")


@given(st.lists(st.sampled_from(incident.Action), max_size=20))
def test_no_row_of_actions_leads_an_incident_out_of_its_table(taken: list[incident.Action]) -> None:
    life = OPEN
    for action in taken:
        try:
            life, line = incident.act(life, action, "u1", 5, **GIVEN)
        except WrongState:
            continue
        assert line.after == life.state
        assert incident.allowed(life.state)
