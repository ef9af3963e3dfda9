"""What all state machines here share: a table of steps, and the line that each step leaves in the log.

A table maps (state, action) to the states that the action may lead to. An `act()` beside each noun decides which
of them it is; nothing here does I/O, and nothing leads to a state that the table does not name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.errors import Invalid, WrongState

#: Actions of the clock: they stand in the tables, and nobody may ask for them.
OF_THE_CLOCK = frozenset({"expire"})

Steps = Mapping[tuple[str, str], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class LogLine:
    """What happened, by whom, when: appended in the transaction of the change and never edited."""

    at_us: int
    by: str
    action: str
    before: str
    after: str
    reason: str = ""
    detail: Mapping[str, object] = field(default_factory=dict)


def table(*rows: tuple[str | Sequence[str], str, str | Sequence[str] | None]) -> Steps:
    """A table of rows (from, action, to); `None` as target means that the state stays as it is."""
    steps: dict[tuple[str, str], tuple[str, ...]] = {}
    for sources, action, targets in rows:
        for source in _many(sources):
            if (source, action) in steps:
                raise ValueError(f"{source} × {action} stands twice in the table")
            steps[source, action] = _many(targets if targets is not None else source)
    return steps


def _many(names: str | Sequence[str]) -> tuple[str, ...]:
    return (str(names),) if isinstance(names, str) else tuple(str(name) for name in names)


def allowed(steps: Steps, state: str) -> list[str]:
    """The actions that may be asked for in a state, in the order of the table."""
    return [action for source, action in steps if source == state and action not in OF_THE_CLOCK]


def targets(steps: Steps, state: str, action: str) -> tuple[str, ...]:
    """Where an action may lead. Raises `WrongState` with the allowed ones when it does not exist here."""
    try:
        return steps[state, action]
    except KeyError:
        raise WrongState(state, allowed(steps, state)) from None


def only(steps: Steps, state: str, action: str) -> str:
    """Where an action leads that has one target. Raises `WrongState`."""
    (target,) = targets(steps, state, action)
    return target


def need_reason(reason: str) -> str:
    """The reason that an action cannot go without. Raises `Invalid`."""
    if not reason.strip():
        raise Invalid("dispatch.error.reason_needed", field="reason")
    return reason.strip()
