"""Where things are, as far as evidence must be related: sameness, metres, and the direction of flow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from events.types import Near, Sameness

#: Metres of one degree of latitude; of longitude, times the cosine of the latitude (WGS 84, within 0.3 %).
METRES_A_DEGREE = 111_320.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a fact speaks from. Empty names mean that nobody knows, and nothing is the same as nobody knows."""

    lon: float
    lat: float
    device: str = ""
    asset: str = ""
    zone: str = ""
    area: str = ""

    def named(self, sameness: Sameness) -> str:
        return "city" if sameness == "city" else str(getattr(self, sameness))

    def metres_to(self, other: Place) -> float:
        """Distance as the crow flies; exact enough up to some tens of kilometres."""
        north = (other.lat - self.lat) * METRES_A_DEGREE
        east = (other.lon - self.lon) * METRES_A_DEGREE * math.cos(math.radians((self.lat + other.lat) / 2))
        return math.hypot(north, east)


class Flow(Protocol):
    """The pipe network as the correlation sees it, by assets."""

    def along_m(self, one: str, other: str) -> float | None:
        """Metres of pipe between two assets; None when no pipe joins them."""

    def downstream_m(self, upper: str, lower: str) -> float | None:
        """Metres that water flows from the upper to the lower asset; None when it does not."""


#: (place, time) → the direction that the wind blows to, in radians anticlockwise from east; None in calm or unknown.
Wind = Callable[[Place, int], float | None]
#: Half the angle within which something counts as downwind.
DOWNWIND_RAD = math.radians(30)


@dataclass(frozen=True, slots=True)
class World:
    """What joins places beside distance: pipes and wind."""

    flow: Flow | None = None
    wind: Wind | None = None


NOWHERE = World()


def related(near: Near, there: Place, anchor: Place, world: World = NOWHERE, time_us: int = 0) -> bool:
    """True when the place of some evidence is near an anchor as declared."""
    for sameness in near.same:
        name = there.named(sameness)
        if name and name == anchor.named(sameness):
            return True
    metres = there.metres_to(anchor)
    if near.within_m and metres <= near.within_m:
        return True
    if near.downwind_m and metres <= near.downwind_m and _in_line(there, anchor, world.wind, time_us):
        return True
    flow = world.flow
    if flow is None or not there.asset or not anchor.asset or metres > near.reach_m:
        return False
    return (
        _at_most(flow.along_m(there.asset, anchor.asset), near.along_m)
        or _at_most(flow.downstream_m(there.asset, anchor.asset), near.upstream_m)
        or _at_most(flow.downstream_m(anchor.asset, there.asset), near.downstream_m)
    )


def _in_line(one: Place, other: Place, wind: Wind | None, time_us: int) -> bool:
    """Whether the wind blows from one place to the other, either way round."""
    to = wind(one, time_us) if wind is not None else None
    if to is None:
        return False
    north = other.lat - one.lat
    east = (other.lon - one.lon) * math.cos(math.radians(one.lat))
    turn = abs(math.remainder(math.atan2(north, east) - to, math.tau))
    return min(turn, math.pi - turn) <= DOWNWIND_RAD


def _at_most(metres: float | None, limit: float) -> bool:
    return limit > 0 and metres is not None and metres <= limit


@dataclass(frozen=True, slots=True)
class Keys:
    """The names under which a place is filed so that everything related to it is found under few names."""

    same: frozenset[Sameness]
    reach_m: float

    def cell(self, place: Place) -> tuple[int, int]:
        """Cells of `reach_m` a side: who is within reach lies in the same or a neighbouring one."""
        north = place.lat * METRES_A_DEGREE
        east = place.lon * METRES_A_DEGREE * math.cos(math.radians(round(place.lat)))
        return math.floor(east / self.reach_m), math.floor(north / self.reach_m)

    def names(self, place: Place) -> Iterator[tuple[object, ...]]:
        for sameness in self.same:
            if name := place.named(sameness):
                yield (sameness, name)

    def file(self, place: Place) -> Iterator[tuple[object, ...]]:
        """Where the place is filed."""
        yield from self.names(place)
        if self.reach_m:
            yield ("cell", *self.cell(place))

    def ask(self, near: Near, place: Place) -> Iterator[tuple[object, ...]]:
        """Where everything that `near` can relate to the place is filed."""
        for sameness in near.same:
            if name := place.named(sameness):
                yield (sameness, name)
        if near.reach_m:
            east, north = self.cell(place)
            for i in (-1, 0, 1):
                for j in (-1, 0, 1):
                    yield ("cell", east + i, north + j)
