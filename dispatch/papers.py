"""Papers: what passes between the centre and others beside cases and orders. One shape, one table of steps a kind.

request   联动请求: asks an agency with its own command for help; we never order it about, its clock is no penalty
directive 调度指令 / 领导批示: what a leader orders, to whom, due, signed for, fed back
bulletin  信息报送: 首报, 续报, 终报 upwards, with clock, draft and signature
warning   预警: a notice that an authority issued; received or entered, shown and forwarded, never computed here
permit    许可 / 报备: works that mute named rules at an asset, visibly, and end by themselves
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from core.errors import Invalid
from dispatch.machine import LogLine, Steps, need_reason, only, table


class PaperKind(StrEnum):
    REQUEST = "request"
    DIRECTIVE = "directive"
    BULLETIN = "bulletin"
    WARNING = "warning"
    PERMIT = "permit"


K = PaperKind

#: `expire` is the clock's: a directive becomes overdue, a warning expires, a permit ends.
STEPS: Mapping[PaperKind, Steps] = {
    K.REQUEST: table(
        ("sent", "receive", "received"),
        (("sent", "received"), "unable", "unable"),
        ("received", "depart", "under_way"),
        (("received", "under_way"), "arrive", "arrived"),
        (("received", "under_way", "arrived"), "report", "reported"),
        (("sent", "received", "under_way", "arrived", "unable", "reported"), "comment", None),
    ),
    K.DIRECTIVE: table(
        (("issued", "overdue"), "sign", "signed"),
        (("issued", "signed", "overdue"), "feed_back", "done"),
        (("issued", "signed"), "expire", "overdue"),
        (("issued", "signed", "overdue"), "supervise", None),
        (("issued", "signed", "overdue", "done"), "comment", None),
    ),
    K.BULLETIN: table(
        (("due", "drafted"), "draft", "drafted"),
        ("drafted", "sign", "signed"),
        ("signed", "send", "sent"),
        ("sent", "supersede", None),
        ("due", "expire", None),
    ),
    K.WARNING: table(
        ("in_force", "update", None),
        ("in_force", "lift", "lifted"),
        ("in_force", "expire", "expired"),
    ),
    K.PERMIT: table(
        ("asked", "grant", "in_force"),
        ("asked", "refuse", "refused"),
        ("in_force", "extend", None),
        ("in_force", "end", "ended"),
        ("in_force", "expire", "ended"),
    ),
}

FIRST = {
    K.REQUEST: "sent",
    K.DIRECTIVE: "issued",
    K.BULLETIN: "due",
    K.WARNING: "in_force",
    K.PERMIT: "asked",
}
#: Prefixes of their numbers: 联动请求, 调度指令, 信息报送, 预警, 许可.
PREFIX = {K.REQUEST: "LD", K.DIRECTIVE: "ZL", K.BULLETIN: "XB", K.WARNING: "YJ", K.PERMIT: "XK"}
WITH_REASON = frozenset({"unable", "supervise", "refuse", "comment", "lift", "end"})
#: Fields that only an action of this name may change, beside the state.
EDITS = {
    "draft": ("text", "facts"),
    "update": ("text", "level", "until_us", "facts"),
    "extend": ("until_us",),
    "report": ("text", "facts"),
    "feed_back": ("text",),
}


@dataclass(frozen=True, slots=True)
class Paper:
    """`to` are receivers, `facts` what its kind needs: rules a permit mutes, numbers of a bulletin, a warning's area.

    `due_us`: when it must be signed, done or sent; `from_us`, `until_us`: when it is in force.
    """

    id: str
    number: str
    kind: PaperKind
    state: str
    title: Mapping[str, object]
    text: str
    issuer: str
    to: tuple[str, ...]
    level: int
    provenance: str
    created_us: int
    by: str
    incident: str = ""
    case: str = ""
    run: str = ""
    task: str = ""
    lon: float | None = None
    lat: float | None = None
    due_us: int | None = None
    from_us: int | None = None
    until_us: int | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    times_us: Mapping[str, int] = field(default_factory=dict)
    supersedes: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What an action brings: a reason, and new values of the fields that it may edit."""

    reason: str = ""
    text: str | None = None
    level: int | None = None
    until_us: int | None = None
    facts: Mapping[str, object] | None = None


def act(paper: Paper, action: str, by: str, now_us: int, change: Change) -> tuple[Paper, LogLine]:
    """The paper after the action, and its log line. Raises `WrongState`, `Invalid`."""
    target = only(STEPS[paper.kind], paper.state, action)
    reason = need_reason(change.reason) if action in WITH_REASON else change.reason.strip()
    edited = {
        name: value
        for name in ("text", "level", "until_us", "facts")
        if (value := getattr(change, name)) is not None
    }
    foreign = edited.keys() - {*EDITS.get(action, ())}
    if foreign:
        raise Invalid("dispatch.error.not_with_this_action", field=min(foreign), action=action)
    if "facts" in edited:
        edited["facts"] = {**paper.facts, **edited["facts"]}
    if action == "sign" and paper.kind == K.BULLETIN and not paper.text.strip():
        raise Invalid("dispatch.error.text_needed", field="text")
    times = {target: now_us, **paper.times_us} if target != paper.state else paper.times_us
    after = replace(paper, state=target, times_us=times, **edited)
    return after, LogLine(
        now_us, by, action, paper.state, target, reason, {k: v for k, v in edited.items() if k != "text"}
    )


def deadlines(paper: Paper) -> Mapping[str, int]:
    """When the clock acts on it, or tells somebody."""
    found: dict[str, int] = {}
    if (paper.state, "expire") in STEPS[paper.kind]:
        moment = paper.until_us if paper.kind in (K.WARNING, K.PERMIT) else paper.due_us
        if moment is not None:
            found["expire"] = moment
    if paper.kind == K.REQUEST and paper.state == "sent" and paper.due_us is not None:
        found["receive"] = paper.due_us
    if paper.kind == K.BULLETIN and paper.state in ("drafted", "signed") and paper.due_us is not None:
        found["send"] = paper.due_us
    return found


def in_force(paper: Paper, now_us: int) -> bool:
    """A warning or permit holds now."""
    begun = paper.from_us is None or paper.from_us <= now_us
    return paper.state == "in_force" and begun and (paper.until_us is None or now_us < paper.until_us)
