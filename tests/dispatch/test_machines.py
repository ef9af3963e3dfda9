"""Both state machines, walked at random: no illegal state, every illegal action refused with the allowed ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CityOpsError, Invalid, NotAllowed, WrongState
from dispatch import cases, orders
from dispatch.cases import Ask, Asked, Case, CaseAction, CaseState, Source, actions_in
from dispatch.limits import Limit, LimitUnit, WorkCalendar
from dispatch.machine import OF_THE_CLOCK, allowed, table
from dispatch.orders import Order, OrderAction, OrderState
from tests.dispatch.world import START, ZONE

CALENDAR = WorkCalendar(ZONE)
HOUR = 3_600_000_000
LIMIT = Limit(amount=4, unit=LimitUnit.WORK_HOUR)


def a_case(**more: object) -> Case:
    plain = Case(
        id="c", number="AJ-1", code="event/0501", source=Source.IOT, state=CaseState.REPORTED, incident="i",
        incident_type="water_burst", domain="water_supply", title={}, priority=2, level=2, provenance="real",
        lon=0.0, lat=0.0, place="", area="", limit=LIMIT, reported_us=START, since_us=START,
    )  # fmt: skip
    return replace(plain, **more)  # type: ignore[arg-type]  # fields by name


def an_order(state: OrderState = OrderState.PROPOSED) -> Order:
    return Order(
        id="o", number="GD-1", case="c", incident="i", crew="k", department="d", task="handle", attempt=1,
        state=state, priority=2, level=2, provenance="real", lon=0.0, lat=0.0, place="", created_us=START,
        proposed_by="x",
    )  # fmt: skip


def ask(by: str = "somebody", hours: float = 0.0, **more: object) -> Ask:
    return Ask(by, START + round(hours * HOUR), **more)  # type: ignore[arg-type]  # fields by name


def go(case: Case, action: str, **more: object) -> Case:
    return cases.act(case, action, ask(**more), CALENDAR)[0]  # type: ignore[arg-type]  # fields by name


# -- orders -------------------------------------------------------------------------------------------------


@given(st.sampled_from(list(OrderState)), st.sampled_from(list(OrderAction)), st.sampled_from(["", "why"]))
def test_an_order_moves_only_along_its_table(state: OrderState, action: OrderAction, reason: str) -> None:
    order = an_order(state)
    targets = orders.STEPS.get((state, action))
    if targets is None:
        with pytest.raises(WrongState) as refused:
            orders.act(order, action, "x", START, reason)
        assert refused.value.allowed == allowed(orders.STEPS, state)
        assert not set(refused.value.allowed) & OF_THE_CLOCK
    elif action in orders.WITH_REASON and not reason:
        with pytest.raises(Invalid):
            orders.act(order, action, "x", START, reason)
    else:
        after, line = orders.act(order, action, "x", START, reason)
        assert (after.state,) == targets
        assert (line.before, line.after, line.action, line.by) == (state, after.state, action, "x")
        assert after.times_us.get(after.state) == START or after.state == state


@given(st.lists(st.sampled_from(list(OrderAction)), max_size=12))
def test_every_walk_of_an_order_ends_in_a_state_from_which_nothing_follows_or_something_does(
    walk: list[OrderAction],
) -> None:
    order = an_order()
    for n, action in enumerate(walk):
        try:
            order, _ = orders.act(order, action, "x", START + n, "why")
        except WrongState:
            continue
    assert (order.state in orders.DONE) == (not allowed(orders.STEPS, order.state))


def test_every_state_of_an_order_can_be_reached_and_left() -> None:
    reached = {OrderState.PROPOSED} | {to for targets in orders.STEPS.values() for to in targets}
    assert reached == set(OrderState)
    assert {state for state, _ in orders.STEPS} == set(OrderState) - orders.DONE
    assert {action for _, action in orders.STEPS} == set(OrderAction)


# -- cases --------------------------------------------------------------------------------------------------

ACTORS = ("li", "wang", "chen", "sun")
asks = st.builds(
    ask,
    by=st.sampled_from(ACTORS),
    reason=st.sampled_from(["", "why"]),
    result=st.sampled_from(["", "exists", "missing", "pass", "fail"]),
    kind=st.sampled_from([*Asked, ""]),
    amount=st.sampled_from([0.0, 2.0]),
    granted=st.sampled_from([None, True, False]),
    lead=st.sampled_from(["", "water", "drain"]),
    assisting=st.sampled_from([(), ("police",), ("police", "street", "water")]),
    department=st.sampled_from(["", "water", "police", "nobody"]),
)


@settings(max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(list(CaseAction)), asks), max_size=25))
def test_a_case_walks_only_along_its_table_and_keeps_its_promises(walk: list[tuple[CaseAction, Ask]]) -> None:
    case = a_case()
    for n, (action, fields) in enumerate(walk):
        asked = replace(fields, now_us=START + n * HOUR)
        possible = cases.STEPS.get((case.state, action))
        if possible is None:
            with pytest.raises(WrongState) as refused:
                cases.act(case, action, asked, CALENDAR)
            assert refused.value.allowed == actions_in(case)
            continue
        try:
            after, line = cases.act(case, action, asked, CALENDAR)
        except (WrongState, Invalid, NotAllowed):
            continue
        assert after.state in possible
        assert (line.before, line.after) == (case.state, after.state)
        holds(case, after, action, asked)
        case = after


def holds(before: Case, after: Case, action: CaseAction, asked: Ask) -> None:
    """What is true after every step."""
    assert len([part for part in after.parts if part.lead]) <= 1
    assert len({part.department for part in after.parts}) == len(after.parts)
    assert sum(1 for each in after.applications if each.granted is None) <= 1
    for name in ("returns", "reworks", "extensions", "suspensions", "supervised"):
        assert getattr(after, name) >= getattr(before, name)
    if after.state == CaseState.CLOSED and before.state != CaseState.CLOSED:
        assert asked.by not in before.dispatchers, "who dispatched may not close"
        assert after.forced or after.checked == "pass"
    if after.state in (CaseState.CLOSED, CaseState.VOID, CaseState.SUSPENDED, CaseState.REGISTERED):
        assert all(part.clock.stopped_us is not None for part in after.parts)
    if after.state in (CaseState.FED_BACK, CaseState.CHECKING):
        assert after.lead is not None
        assert after.lead.clock.stopped_us is not None
    if action == CaseAction.DISPATCH:
        assert asked.by in after.dispatchers


def test_every_state_of_a_case_can_be_reached() -> None:
    reached = {CaseState.REPORTED} | {to for targets in cases.STEPS.values() for to in targets}
    assert reached == set(CaseState)
    assert {action for _, action in cases.STEPS} == set(CaseAction)


def test_a_table_with_the_same_step_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        table(("a", "go", "b"), ("a", "go", "c"))


def dispatched(**more: object) -> Case:
    case = go(go(a_case(), "register"), "dispatch", by="chen", lead="water", assisting=("police",))
    return replace(case, **more)  # type: ignore[arg-type]  # fields by name


def handling() -> Case:
    return go(dispatched(), "accept")


def test_the_department_s_clock_stops_at_its_report_and_rework_runs_on_with_what_was_left() -> None:
    fed_back = go(handling(), "feed_back", hours=1.0)
    assert fed_back.lead is not None
    again = go(go(fed_back, "check", hours=5.0), "check", hours=6.0, result="fail", reason="still wet")
    assert again.state == CaseState.HANDLING
    assert again.reworks == 1
    assert again.lead is not None
    assert again.lead.clock.left_us == 3 * HOUR, "one of four hours was used, the check's five were not"


def test_each_department_has_its_own_clock_and_the_assisting_one_reports_for_itself() -> None:
    case = go(handling(), "feed_back", hours=1.0, department="police")
    assert case.state == CaseState.HANDLING
    police, water = case.part("police"), case.part("water")
    assert police.finished_us == START + HOUR
    assert water.finished_us is None
    assert not water.clock.stopped_us


def test_a_return_goes_back_to_the_dispatcher_and_is_counted() -> None:
    case = go(dispatched(), "apply", by="sun", kind="return", reason="not ours")
    case = go(case, "decide", by="wang", granted=True)
    assert (case.state, case.returns) == (CaseState.REGISTERED, 1)
    again = go(case, "dispatch", by="chen", lead="drain")
    assert again.lead_department == "drain"


def test_a_refused_application_changes_nothing_but_is_answered_with_a_reason() -> None:
    case = go(handling(), "apply", by="sun", kind="extend", amount=2.0, reason="rain")
    with pytest.raises(Invalid):
        go(case, "decide", by="wang", granted=False)
    case = go(case, "decide", by="wang", granted=False, reason="no")
    assert (case.state, case.extensions, case.applications[0].answer) == (CaseState.HANDLING, 0, "no")


def test_nobody_decides_their_own_application() -> None:
    case = go(handling(), "apply", by="sun", kind="extend", amount=2.0, reason="rain")
    with pytest.raises(NotAllowed):
        go(case, "decide", by="sun", granted=True)


def test_a_granted_suspension_stops_the_clock_until_it_is_resumed() -> None:
    case = go(handling(), "apply", by="sun", kind="suspend", reason="frost", hours=1.0)
    case = go(case, "decide", by="zhao", granted=True, hours=1.0)
    assert case.state == CaseState.SUSPENDED
    case = go(case, "resume", hours=30.0)
    assert case.lead is not None
    assert (case.state, case.lead.clock.left_us) == (CaseState.HANDLING, 3 * HOUR)


def test_a_ruling_is_final() -> None:
    case = go(dispatched(), "apply", by="sun", kind="return", reason="not ours")
    case = go(case, "rule_on_dispute", by="wang", lead="water", reason="it is your pipe")
    assert case.pending is None
    with pytest.raises(WrongState):
        go(case, "apply", by="sun", kind="return", reason="still not ours")


def test_an_appeal_needs_two_reviewers_and_exempts_without_hiding_the_fact() -> None:
    case = go(go(handling(), "feed_back", hours=60.0), "check", hours=60.0, result="pass")
    case = go(case, "close", by="li", hours=61.0)
    assert case.lead is not None
    assert case.lead.late
    case = go(case, "appeal", by="sun", reason="the road was closed")
    with pytest.raises(WrongState):
        go(case, "appeal", by="sun", reason="again")
    case = go(case, "decide", by="chen", granted=True, approvals_needed=2)
    assert not case.exempt
    with pytest.raises(NotAllowed):
        go(case, "decide", by="chen", granted=True, approvals_needed=2)
    case = go(case, "decide", by="li", granted=True, approvals_needed=2)
    assert case.lead is not None
    assert case.exempt
    assert case.lead.late


def test_a_claim_locks_out_others_until_it_is_old() -> None:
    case = go(a_case(), "claim", by="li")
    with pytest.raises(WrongState) as refused:
        go(case, "claim", by="wang", hours=0.1)
    assert refused.value.key == "dispatch.error.claimed"
    assert go(case, "claim", by="wang", hours=0.3).claimed_by == "wang"


def test_what_is_verified_as_missing_cannot_be_registered() -> None:
    case = go(go(a_case(), "verify"), "verify", result="missing")
    with pytest.raises(WrongState) as refused:
        go(case, "register")
    assert refused.value.allowed == ["refuse", "verify"]
    assert go(case, "refuse", reason="nothing there").state == CaseState.REFUSED


def test_every_reason_that_is_needed_is_asked_for() -> None:
    for state, action in (
        (a_case(), "refuse"), (dispatched(), "void"), (handling(), "force_close"), (handling(), "supervise"),
    ):  # fmt: skip
        with pytest.raises(CityOpsError) as refused:
            go(state, action, by="zhao")
        assert refused.value.key == "dispatch.error.reason_needed"
