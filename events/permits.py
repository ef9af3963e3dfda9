"""Permits, seasons and protected events: what is registered for a place and a time, and ends by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from events.guards import PROTECT
from events.place import Place

#: A permit for a point covers what stands so near.
COVERS_M = 100.0
#: Kinds of reports that are no evidence of what happens but of what is allowed.
PERMIT, SEASON = "permit.", "season."


@dataclass(frozen=True, slots=True)
class Permit:
    """In force from … until, at an asset, in a zone or around a point; seasons are in force everywhere."""

    kind: str
    place: Place
    from_us: int
    until_us: int

    def covers(self, place: Place, time_us: int) -> bool:
        if not self.from_us <= time_us < self.until_us:
            return False
        if self.kind.startswith(SEASON):
            return True
        if self.place.asset:
            return self.place.asset == place.asset
        if self.place.zone:
            return self.place.zone == place.zone
        return self.place.metres_to(place) <= COVERS_M


def kind_of(switch: str) -> str:
    """`work_order` is short for `permit.work_order`."""
    return switch if "." in switch else PERMIT + switch


@dataclass(slots=True)
class Permits:
    """Those in force; asked by guards, muting and levels."""

    known: list[Permit] = field(default_factory=list)

    def take(self, permits: Iterable[Permit]) -> None:
        self.known = list(permits)

    def __call__(self, switch: str, place: Place, time_us: int) -> bool:
        """Whether a switch is on; `protect.` asks for any protected event (exam, visit)."""
        kind = kind_of(switch)
        return any(
            (permit.kind == kind or (kind == PROTECT and permit.kind.startswith(PROTECT)))
            and permit.covers(place, time_us)
            for permit in self.known
        )
