"""Case (案卷): the administrative record of an incident or report through 立案 … 结案.

The state table of DESIGN §6.2 and its pure `act()`. Return, extend and suspend are applications that somebody
decides; one lead department (主办) and any number of assisting ones (协办), each with its own clock. A department's
clock stands still from its report of completion on: checking and observing are the centre's time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from core.errors import Invalid, NotAllowed, WrongState
from dispatch.limits import Limit, Running, WorkCalendar, start
from dispatch.machine import LogLine, allowed, need_reason, table, targets


class CaseState(StrEnum):
    REPORTED = "reported"
    VERIFYING = "verifying"
    REGISTERED = "registered"
    DISPATCHED = "dispatched"
    HANDLING = "handling"
    FED_BACK = "fed_back"
    CHECKING = "checking"
    CLOSED = "closed"
    REFUSED = "refused"
    VOID = "void"
    SUSPENDED = "suspended"


class CaseAction(StrEnum):
    CLAIM = "claim"
    VERIFY = "verify"
    REGISTER = "register"
    REFUSE = "refuse"
    VOID = "void"
    DISPATCH = "dispatch"
    ACCEPT = "accept"
    APPLY = "apply"
    DECIDE = "decide"
    RULE_ON_DISPUTE = "rule_on_dispute"
    RESUME = "resume"
    FEED_BACK = "feed_back"
    CHECK = "check"
    CLOSE = "close"
    FORCE_CLOSE = "force_close"
    SUPERVISE = "supervise"
    APPEAL = "appeal"
    CALL_BACK = "call_back"
    COMMENT = "comment"


class Source(StrEnum):
    IOT = "iot"
    HOTLINE = "hotline"
    COLLECTOR = "collector"
    OPERATOR = "operator"
    VIDEO = "video"
    DEPARTMENT = "department"


class Asked(StrEnum):
    """What an application asks for."""

    RETURN = "return"
    EXTEND = "extend"
    SUSPEND = "suspend"
    APPEAL = "appeal"


S, A = CaseState, CaseAction

ACTIVE = (
    S.REPORTED,
    S.VERIFYING,
    S.REGISTERED,
    S.DISPATCHED,
    S.HANDLING,
    S.FED_BACK,
    S.CHECKING,
    S.SUSPENDED,
)
FILED = (S.REGISTERED, S.DISPATCHED, S.HANDLING, S.FED_BACK, S.CHECKING, S.SUSPENDED)
OPEN = frozenset(ACTIVE)
WITH_DEPARTMENT = (S.DISPATCHED, S.HANDLING)

STEPS = table(
    ((S.REPORTED, S.VERIFYING), A.CLAIM, None),
    ((S.REPORTED, S.VERIFYING), A.VERIFY, S.VERIFYING),
    ((S.REPORTED, S.VERIFYING), A.REGISTER, S.REGISTERED),
    ((S.REPORTED, S.VERIFYING), A.REFUSE, S.REFUSED),
    ((S.REGISTERED, S.DISPATCHED, S.HANDLING, S.SUSPENDED), A.VOID, S.VOID),
    (S.REGISTERED, A.DISPATCH, S.DISPATCHED),
    (WITH_DEPARTMENT, A.ACCEPT, S.HANDLING),
    (WITH_DEPARTMENT, A.APPLY, None),
    (S.DISPATCHED, A.DECIDE, (S.DISPATCHED, S.REGISTERED, S.SUSPENDED)),
    (S.HANDLING, A.DECIDE, (S.HANDLING, S.REGISTERED, S.SUSPENDED)),
    ((S.REGISTERED, *WITH_DEPARTMENT), A.RULE_ON_DISPUTE, S.DISPATCHED),
    (S.SUSPENDED, A.RESUME, S.HANDLING),
    (S.HANDLING, A.FEED_BACK, (S.FED_BACK, S.HANDLING)),
    ((S.FED_BACK, S.CHECKING), A.CHECK, (S.CHECKING, S.HANDLING)),
    (S.CHECKING, A.CLOSE, S.CLOSED),
    (FILED, A.FORCE_CLOSE, S.CLOSED),
    (ACTIVE, A.SUPERVISE, None),
    (S.CLOSED, A.APPEAL, None),
    (S.CLOSED, A.DECIDE, None),
    (S.CLOSED, A.CALL_BACK, None),
    (tuple(CaseState), A.COMMENT, None),
)

#: How long an acceptor's claim holds when nothing is decided.
CLAIM_US = 15 * 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """One department's share of the case, with its own clock; `attempt` counts how often it was sent there.

    `due_us` and `yellow_us` are what the store reckoned when it last stored the clock.
    """

    department: str
    lead: bool
    clock: Running
    attempt: int = 1
    accepted_us: int | None = None
    finished_us: int | None = None
    late: bool = False
    due_us: int = 0
    yellow_us: int = 0

    @property
    def open(self) -> bool:
        return self.finished_us is None


@dataclass(frozen=True, slots=True)
class Application:
    """A department asks to return, extend or suspend, or appeals; `granted` is None until decided.

    `approvals` counts reviewers who agreed: an appeal needs two.
    """

    id: int
    kind: Asked
    department: str
    by: str
    at_us: int
    reason: str
    amount: float = 0.0
    granted: bool | None = None
    approvals: tuple[str, ...] = ()
    decided_us: int | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """`times_us`: the first moment of each state; `since_us` when it entered this one. Counters never go back."""

    id: str
    number: str
    code: str
    source: Source
    state: CaseState
    incident: str
    incident_type: str
    domain: str
    title: Mapping[str, object]
    priority: int
    level: int
    provenance: str
    lon: float
    lat: float
    place: str
    area: str
    limit: Limit
    reported_us: int
    since_us: int
    drill: bool = False
    plan: str = ""
    verified: str = ""
    checked: str = ""
    claimed_by: str = ""
    claimed_us: int = 0
    parts: tuple[Part, ...] = ()
    applications: tuple[Application, ...] = ()
    dispatchers: frozenset[str] = frozenset()
    times_us: Mapping[str, int] = field(default_factory=dict)
    returns: int = 0
    reworks: int = 0
    extensions: int = 0
    suspensions: int = 0
    supervised: int = 0
    forced: bool = False
    exempt: bool = False
    ruled: bool = False
    satisfied: bool | None = None
    overruled: str = ""

    @property
    def lead(self) -> Part | None:
        return next((part for part in self.parts if part.lead), None)

    @property
    def lead_department(self) -> str:
        return self.lead.department if self.lead else ""

    @property
    def pending(self) -> Application | None:
        return next((each for each in self.applications if each.granted is None), None)

    def part(self, department: str) -> Part:
        """The share of a department, the lead's when none is named. Raises `Invalid`."""
        for each in self.parts:
            if each.department == department or (not department and each.lead):
                return each
        raise Invalid("dispatch.error.not_a_party", field="department", department=department)


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of a case: the fields of an action. Those that an action does not use stay empty."""

    by: str
    now_us: int
    reason: str = ""
    result: str = ""
    kind: str = ""
    amount: float = 0.0
    granted: bool | None = None
    application: int = 0
    department: str = ""
    lead: str = ""
    assisting: tuple[str, ...] = ()
    code: str = ""
    limit: Limit | None = None
    satisfied: bool | None = None
    #: Nothing to decide after this many reviewers agreed (of an application).
    approvals_needed: int = 1
    detail: Mapping[str, object] = field(default_factory=dict)


Step = Callable[[Case, Ask, WorkCalendar], Case]


def act(case: Case, action: str, ask: Ask, calendar: WorkCalendar) -> tuple[Case, LogLine]:
    """The case after the action, and its log line.

    Raises `WrongState` with the allowed actions, `Invalid` for what is missing or wrong, `NotAllowed` when who
    dispatched wants to close.
    """
    if (case.state, action) not in STEPS:
        raise WrongState(case.state, actions_in(case))
    possible = targets(STEPS, case.state, action)
    after = _DO[CaseAction(action)](case, ask, calendar)
    if after.state not in possible:
        raise AssertionError(
            f"{action} led from {case.state} to {after.state}, which the table does not name"
        )
    if after.state != case.state:
        times = {after.state.value: ask.now_us, **after.times_us}
        after = replace(after, times_us=times, since_us=ask.now_us)
    line = LogLine(ask.now_us, ask.by, action, case.state, after.state, ask.reason.strip(), _detail(ask))
    return after, line


def actions_in(case: Case) -> list[str]:
    """What may be asked of a case as it stands."""
    return [a for a in allowed(STEPS, case.state) if a != A.DECIDE or case.pending is not None]


def _detail(ask: Ask) -> Mapping[str, object]:
    named = {
        "result": ask.result, "kind": ask.kind, "amount": ask.amount, "granted": ask.granted,
        "application": ask.application, "department": ask.department, "lead": ask.lead,
        "assisting": list(ask.assisting), "code": ask.code, "satisfied": ask.satisfied,
    }  # fmt: skip
    return {
        **{key: value for key, value in named.items() if value not in ("", 0, 0.0, None, [])},
        **ask.detail,
    }


def _claim(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    held = case.claimed_by and case.claimed_by != ask.by and ask.now_us - case.claimed_us < CLAIM_US
    if held:
        raise WrongState(case.state, actions_in(case), "dispatch.error.claimed", by=case.claimed_by)
    return replace(case, claimed_by=ask.by, claimed_us=ask.now_us)


def _verify(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    """Without a result a collector is asked; with one the answer is kept."""
    if ask.result not in ("", "exists", "missing", "undecided"):
        raise Invalid("dispatch.error.bad_result", field="result", value=ask.result)
    return replace(case, state=S.VERIFYING, verified=ask.result)


def _register(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    if case.verified == "missing":
        raise WrongState(case.state, [A.REFUSE, A.VERIFY], "dispatch.error.verified_missing")
    if not (ask.code or case.code):
        raise Invalid("dispatch.error.code_needed", field="code")
    return replace(case, state=S.REGISTERED, code=ask.code or case.code, limit=ask.limit or case.limit)


def _refuse(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    need_reason(ask.reason)
    return replace(case, state=S.REFUSED)


def _void(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    need_reason(ask.reason)
    return replace(_stop_all(_settled(case, ask), ask.now_us), state=S.VOID)


def _dispatch(case: Case, ask: Ask, calendar: WorkCalendar) -> Case:
    if not ask.lead:
        raise Invalid("dispatch.error.lead_needed", field="lead")
    limit = ask.limit or case.limit
    return replace(
        case,
        state=S.DISPATCHED,
        limit=limit,
        parts=_parts(case, ask, limit, calendar),
        dispatchers=case.dispatchers | {ask.by},
    )


def _parts(case: Case, ask: Ask, limit: Limit, calendar: WorkCalendar) -> tuple[Part, ...]:
    """A fresh clock for each department; who had it before counts one attempt more."""
    before = {part.department: part.attempt for part in case.parts}
    departments = [ask.lead, *(name for name in dict.fromkeys(ask.assisting) if name != ask.lead)]
    return tuple(
        Part(name, name == ask.lead, start(limit, calendar, ask.now_us), before.get(name, 0) + 1)
        for name in departments
    )


def _accept(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    """The lead's acceptance starts the handling; an assisting department may also accept later, or first."""
    part = case.part(ask.department)
    if part.accepted_us is not None:
        raise WrongState(case.state, actions_in(case), "dispatch.error.already_accepted", by=part.department)
    return _with(replace(case, state=S.HANDLING), replace(part, accepted_us=ask.now_us))


def _apply(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    need_reason(ask.reason)
    if ask.kind not in (Asked.RETURN, Asked.EXTEND, Asked.SUSPEND):
        raise Invalid("dispatch.error.bad_application", field="kind", value=ask.kind)
    if ask.kind == Asked.EXTEND and ask.amount <= 0:
        raise Invalid("dispatch.error.amount_needed", field="amount")
    if ask.kind == Asked.RETURN and case.ruled:
        raise WrongState(case.state, actions_in(case), "dispatch.error.ruled")
    return _with_application(case, Asked(ask.kind), case.part(ask.department).department, ask)


def _appeal(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    need_reason(ask.reason)
    if any(each.kind == Asked.APPEAL for each in case.applications):
        raise WrongState(case.state, [A.CALL_BACK, A.COMMENT], "dispatch.error.one_appeal")
    return _with_application(case, Asked.APPEAL, case.part(ask.department).department, ask)


def _with_application(case: Case, kind: Asked, department: str, ask: Ask) -> Case:
    if case.pending:
        raise WrongState(case.state, [A.DECIDE], "dispatch.error.application_pending")
    number = len(case.applications) + 1
    new = Application(number, kind, department, ask.by, ask.now_us, ask.reason.strip(), ask.amount)
    return replace(case, applications=(*case.applications, new))


def _decide(case: Case, ask: Ask, calendar: WorkCalendar) -> Case:
    pending = case.pending
    if pending is None or ask.application not in (0, pending.id):
        raise WrongState(case.state, actions_in(case), "dispatch.error.nothing_to_decide")
    if ask.granted is None:
        raise Invalid("dispatch.error.granted_needed", field="granted")
    if ask.by in (pending.by, *pending.approvals):
        raise NotAllowed("dispatch.error.own_application", action=A.DECIDE)
    if not ask.granted:
        need_reason(ask.reason)
    elif len(pending.approvals) + 1 < ask.approvals_needed:
        return _replace_application(case, replace(pending, approvals=(*pending.approvals, ask.by)))
    decided = replace(
        pending,
        granted=ask.granted,
        approvals=(*pending.approvals, ask.by),
        decided_us=ask.now_us,
        answer=ask.reason.strip(),
    )
    case = _replace_application(case, decided)
    return _GRANT[pending.kind](case, pending, ask, calendar) if ask.granted else case


def _replace_application(case: Case, new: Application) -> Case:
    return replace(case, applications=tuple(new if a.id == new.id else a for a in case.applications))


def _grant_return(case: Case, application: Application, ask: Ask, _: WorkCalendar) -> Case:
    """The case goes back to the dispatcher, who decides anew; an assisting department only leaves."""
    part = case.part(application.department)
    if not part.lead:
        return replace(case, parts=tuple(p for p in case.parts if p is not part), returns=case.returns + 1)
    return replace(_stop_all(case, ask.now_us), state=S.REGISTERED, returns=case.returns + 1)


def _grant_extension(case: Case, application: Application, _: Ask, calendar: WorkCalendar) -> Case:
    part = case.part(application.department)
    longer = replace(part, clock=part.clock.extend(calendar, application.amount))
    return replace(_with(case, longer), extensions=case.extensions + 1)


def _grant_suspension(case: Case, _: Application, ask: Ask, __: WorkCalendar) -> Case:
    return replace(_stop_all(case, ask.now_us), state=S.SUSPENDED, suspensions=case.suspensions + 1)


def _grant_appeal(case: Case, _: Application, __: Ask, ___: WorkCalendar) -> Case:
    """The raw fact stays; the case is marked exempt in the evaluation."""
    return replace(case, exempt=True)


def _rule_on_dispute(case: Case, ask: Ask, calendar: WorkCalendar) -> Case:
    """Final: the department that the ruling names cannot return the case again."""
    need_reason(ask.reason)
    return replace(_dispatch(_settled(case, ask), ask, calendar), ruled=True)


def _resume(case: Case, ask: Ask, calendar: WorkCalendar) -> Case:
    return replace(_go_on_all(case, ask.now_us, calendar), state=S.HANDLING)


def _feed_back(case: Case, ask: Ask, calendar: WorkCalendar) -> Case:
    """The department reports completion and its clock stops. The lead's report asks for the check."""
    part = case.part(ask.department)
    if not part.open:
        raise WrongState(case.state, actions_in(case), "dispatch.error.already_finished", by=part.department)
    if part.lead and case.pending:
        raise WrongState(case.state, [A.DECIDE], "dispatch.error.application_pending")
    done = replace(
        part,
        finished_us=ask.now_us,
        clock=part.clock.stop(ask.now_us),
        late=part.clock.overdue(calendar, ask.now_us),
    )
    case = _with(case, done)
    if not part.lead:
        return case
    return replace(case, state=S.FED_BACK, checked="", overruled=_overruled(case, ask))


def _check(case: Case, ask: Ask, calendar: WorkCalendar) -> Case:
    """Without a result the check begins; `pass` allows the close; `fail` is rework for the same department.

    Who overruled the sensors did so for this attempt: after rework they are asked again.
    """
    if ask.result == "fail":
        need_reason(ask.reason)
        case = _go_on_all(case, ask.now_us, calendar)
        return replace(case, state=S.HANDLING, checked="fail", reworks=case.reworks + 1, overruled="")
    if ask.result not in ("", "pass"):
        raise Invalid("dispatch.error.bad_result", field="result", value=ask.result)
    return replace(case, state=S.CHECKING, checked=ask.result, overruled=_overruled(case, ask))


def _close(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    _not_a_dispatcher(case, ask)
    if case.checked != "pass":
        raise WrongState(case.state, [A.CHECK, A.FORCE_CLOSE], "dispatch.error.not_checked")
    return replace(_stop_all(case, ask.now_us), state=S.CLOSED, overruled=_overruled(case, ask))


def _force_close(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    need_reason(ask.reason)
    _not_a_dispatcher(case, ask)
    return replace(_stop_all(_settled(case, ask), ask.now_us), state=S.CLOSED, forced=True)


def _settled(case: Case, ask: Ask) -> Case:
    """What overtakes an open application refuses it, with its own reason."""
    pending = case.pending
    if pending is None:
        return case
    refused = replace(pending, granted=False, decided_us=ask.now_us, answer=ask.reason.strip())
    return _replace_application(case, refused)


def _not_a_dispatcher(case: Case, ask: Ask) -> None:
    if ask.by in case.dispatchers:
        raise NotAllowed("dispatch.error.dispatcher_closes", action=A.CLOSE)


def _overruled(case: Case, ask: Ask) -> str:
    return str(ask.detail.get("overruled", "")) or case.overruled


def _supervise(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    need_reason(ask.reason)
    return replace(case, supervised=case.supervised + 1)


def _call_back(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    """`satisfied` None: the caller was not reached, which counts as no answer."""
    return replace(case, satisfied=ask.satisfied)


def _comment(case: Case, ask: Ask, _: WorkCalendar) -> Case:
    need_reason(ask.reason)
    return case


def _with(case: Case, part: Part) -> Case:
    return replace(case, parts=tuple(part if p.department == part.department else p for p in case.parts))


def _stop_all(case: Case, now_us: int) -> Case:
    return replace(case, parts=tuple(replace(part, clock=part.clock.stop(now_us)) for part in case.parts))


def _go_on_all(case: Case, now_us: int, calendar: WorkCalendar) -> Case:
    """The clocks of the lead, and of those who had not finished, run on with what was left."""
    parts = tuple(
        replace(part, clock=part.clock.go_on(calendar, now_us), finished_us=None)
        if part.lead or part.open
        else part
        for part in case.parts
    )
    return replace(case, parts=parts)


_DO: Mapping[CaseAction, Step] = {
    A.CLAIM: _claim,
    A.VERIFY: _verify,
    A.REGISTER: _register,
    A.REFUSE: _refuse,
    A.VOID: _void,
    A.DISPATCH: _dispatch,
    A.ACCEPT: _accept,
    A.APPLY: _apply,
    A.DECIDE: _decide,
    A.RULE_ON_DISPUTE: _rule_on_dispute,
    A.RESUME: _resume,
    A.FEED_BACK: _feed_back,
    A.CHECK: _check,
    A.CLOSE: _close,
    A.FORCE_CLOSE: _force_close,
    A.SUPERVISE: _supervise,
    A.APPEAL: _appeal,
    A.CALL_BACK: _call_back,
    A.COMMENT: _comment,
}

_GRANT: Mapping[Asked, Callable[[Case, Application, Ask, WorkCalendar], Case]] = {
    Asked.RETURN: _grant_return,
    Asked.EXTEND: _grant_extension,
    Asked.SUSPEND: _grant_suspension,
    Asked.APPEAL: _grant_appeal,
}
