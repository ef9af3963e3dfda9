"""Commands to our own signs, barriers and sirens: one proposes, another confirms, the device answers. Pure.

Valves, pumps and gates belong to a utility: its control room gets a request, unless the city says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from core.errors import NotAllowed
from dispatch.machine import LogLine, need_reason, only, table

#: `answer` and `expire` are the device's and the clock's.
STEPS = table(
    ("proposed", "confirm", "sent"),
    ("proposed", "refuse", "refused"),
    (("proposed", "sent"), "expire", "expired"),
    ("sent", "succeed", "done"),
    ("sent", "fail", "failed"),
)
#: A proposal that nobody confirms ends after this (`ours`), a command that nobody answers after the other (P).
CONFIRM_S = 300.0
ANSWER_S = 60.0


@dataclass(frozen=True, slots=True)
class Command:
    """Set a channel of a device to a value."""

    id: str
    number: str
    device: str
    channel: str
    value: float
    state: str
    reason: str
    proposed_by: str
    created_us: int
    provenance: str
    confirmed_by: str = ""
    incident: str = ""
    run: str = ""
    task: str = ""
    reply: Mapping[str, object] = field(default_factory=dict)
    times_us: Mapping[str, int] = field(default_factory=dict)


def act(command: Command, action: str, by: str, now_us: int, reason: str = "") -> tuple[Command, LogLine]:
    """The command after the action. Raises `WrongState`; `NotAllowed` when who proposed wants to confirm."""
    target = only(STEPS, command.state, action)
    if action == "confirm" and by == command.proposed_by:
        raise NotAllowed("dispatch.error.second_person", action="command.confirm")
    if action == "refuse":
        reason = need_reason(reason)
    confirmed = by if action == "confirm" else command.confirmed_by
    times = {target: now_us, **command.times_us}
    after = replace(command, state=target, confirmed_by=confirmed, times_us=times)
    return after, LogLine(now_us, by, action, command.state, target, reason.strip())


def deadlines(command: Command) -> Mapping[str, int]:
    """When it ends without an answer."""
    spans = {"proposed": CONFIRM_S, "sent": ANSWER_S}
    span = spans.get(command.state)
    if span is None:
        return {}
    since = command.times_us.get(command.state, command.created_us)
    return {"expire": since + round(span * 1_000_000)}
