"""Conditions of plans and reports in CEL, the one expression language of declarations (DESIGN §5).

What an expression may name: `incident` (type, level, priority, score, life, state), `facts` (numbers that people or
the engine know: households, trapped, …), `low` and `high` (the least and greatest newest value of each channel among
the incident's points), `n` (open incidents by type). A name that is not known now makes a condition false, not wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import cel


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at a moment. Numbers are floats, so that `>= 2.0` compares without conversion."""

    incident: Mapping[str, object] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)
    low: Mapping[str, float] = field(default_factory=dict)
    high: Mapping[str, float] = field(default_factory=dict)
    n: Mapping[str, float] = field(default_factory=dict)

    def context(self) -> dict[str, object]:
        return {
            "incident": dict(self.incident), "facts": dict(self.facts), "low": dict(self.low),
            "high": dict(self.high), "n": dict(self.n),
        }  # fmt: skip


@lru_cache(maxsize=1024)
def _compiled(text: str) -> cel.Program:
    return cel.compile(text)


def mistake(text: str) -> str | None:
    """Why an expression cannot be one, None when it can."""
    try:
        _compiled(text)
    except (ValueError, RuntimeError, TypeError) as wrong:
        return str(wrong).splitlines()[0]
    return None


def holds(text: str, facts: Facts) -> bool:
    """True when the condition is true; an unknown name makes it false. An empty text always holds."""
    if not text:
        return True
    try:
        return _compiled(text).execute(facts.context()) is True
    except (ValueError, RuntimeError, TypeError, KeyError):
        return False
