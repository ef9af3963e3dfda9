"""Detectors: readings → a number → the decision whether a condition has begun, and whether it has ended.

A family of detectors keeps the state of all its watches (rule × point) in parallel arrays and takes columns of
readings. What all families promise stands in `Detector` and is proven by one contract test.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from events.detectors.watches import Watches


class Finds(IntEnum):
    """What a finding says: the condition has begun (for long enough), or it has ended (for long enough)."""

    RAISE = 1
    CLEAR = 2


#: What detectors say. rule: index in the rule set; point: dense number; time_us: when it was decided; onset_us:
#: when the condition began; returned_us: when it ended (CLEAR only); value, limit: in the unit of the rule.
FINDING = np.dtype(
    [
        ("time_us", "<i8"), ("point", "<i4"), ("rule", "<i4"), ("kind", "u1"),
        ("onset_us", "<i8"), ("returned_us", "<i8"), ("value", "<f8"), ("limit", "<f8"), ("peak", "<f8"),
    ]
)  # fmt: skip

Findings = NDArray[np.void]
Ints = NDArray[np.int32]
Times = NDArray[np.int64]
Floats = NDArray[np.float64]

NOTHING: Findings = np.empty(0, FINDING)
NOTHING.flags.writeable = False


class Detector(Protocol):
    """One family over all its watches."""

    name: str
    watches: Watches

    def observe(self, points: Ints, time_us: Times, value: Floats) -> Findings:
        """Take readings sorted by (point, time), each newer than its point's last. The columns stay untouched.

        The same readings give the same findings however they are split into calls.
        """

    def advance(self, now_us: int) -> Findings:
        """Let event time pass for conditions that hold until their device says otherwise."""

    def state(self, points: Ints) -> NDArray[np.void]:
        """Everything remembered about some points: one record a watch, with its number in field `watch`."""

    def restore(self, records: NDArray[np.void]) -> None:
        """Put records of `state` back."""

    def forget(self, points: Ints) -> None:
        """As if these points had never spoken."""


def merged(parts: Iterable[Findings]) -> Findings:
    """Findings of several detectors in their one order: time, point, rule, kind."""
    found = [part for part in parts if len(part)]
    if not found:
        return NOTHING
    together = np.concatenate(found)
    return together[np.lexsort((together["kind"], together["rule"], together["point"], together["time_us"]))]
