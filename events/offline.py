"""The engine's correlation over facts that are all there already: for scores, back-tests and shadow runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from events.correlate import Correlator, Fact, Group


@dataclass(frozen=True, slots=True)
class Found:
    """An incident at the end of a run: when it was opened, by event time of the fact that opened it."""

    name: str
    type: str
    facts: frozenset[str]
    opened_us: int


def correlate(correlator: Correlator, facts: Iterable[Fact]) -> list[Found]:
    """Take facts in the order given, as the engine would have; the incidents that came of them."""
    opened: dict[int, tuple[Group, int]] = {}
    for fact in facts:
        for group in correlator.add(fact):
            if group.into is not None or not group.anchors:
                continue
            if not group.incident and correlator.opens(group):
                group.incident = f"{group.type}/{fact.id}"
                opened[id(group)] = (group, fact.onset_us)
    return [
        Found(group.incident, group.type, frozenset(group.members), at_us)
        for group, at_us in opened.values()
        if group.into is None and group.anchors
    ]
