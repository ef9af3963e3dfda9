"""What our own rules may do about an incident, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dispatch.incident import Incident
from dispatch.plans import Plan


class Why(StrEnum):
    """The named reason of a decision: logs, metrics, screens and tests use the same word."""

    CONFIRMED = "confirmed"
    HIGH_CONFIDENCE = "high_confidence"
    LIFE = "life"
    AUTO_OFF = "auto_off"
    NO_CODE = "no_code"
    UNVERIFIED = "unverified"
    OVER = "over"
    PARENT = "parent"
    HELD = "held"
    CAPPED = "capped"
    FREE = "free"
    ASKED = "asked"


GO = frozenset({Why.CONFIRMED, Why.HIGH_CONFIDENCE, Why.LIFE, Why.FREE, Why.ASKED})


@dataclass(frozen=True, slots=True)
class Decision:
    why: Why

    @property
    def go(self) -> bool:
        return self.why in GO


def may_open_case(incident: Incident, plan: Plan | None, *, auto: bool) -> Decision:
    """A case is opened by rule for what a person confirmed, what is highly credible, and what endangers life."""
    if incident.state not in ("open", "confirmed"):
        return Decision(Why.OVER)
    if not auto:
        return Decision(Why.AUTO_OFF)
    if not incident.code:
        return Decision(Why.NO_CODE)
    if plan and plan.decl.parent:
        return Decision(Why.PARENT)
    if incident.state == "confirmed":
        return Decision(Why.CONFIRMED)
    if incident.life or (plan and plan.decl.life):
        return Decision(Why.LIFE)
    if incident.sure:
        return Decision(Why.HIGH_CONFIDENCE)
    return Decision(Why.UNVERIFIED)


def may_send(sent_last_hour: int, cap: int, *, held: bool, auto: bool) -> Decision:
    """An order goes by itself unless everything is held or the hour is full; then it waits for a person."""
    if not auto:
        return Decision(Why.AUTO_OFF)
    if held:
        return Decision(Why.HELD)
    if sent_last_hour >= cap:
        return Decision(Why.CAPPED)
    return Decision(Why.FREE)
