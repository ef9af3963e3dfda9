"""Where things are, as far as evidence must be related: sameness, metres, and the direction of flow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from events.types import Affects, Near, Sameness

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

    #: All places are in it.
    city: ClassVar[str] = "city"

    def named(self, sameness: Sameness) -> str:
        found: str = getattr(self, sameness)
        return found

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
#: Half the angle within which something counts as downwind, and how wide a source is on each side of its place.
DOWNWIND_RAD = math.radians(20)
SOURCE_M = 40.0


#: (channel, place) → assets around it and the chance of each to be where it comes from; empty where nobody knows.
Trace = Callable[[str, Place], Mapping[str, float]]


#: (what a type declares, place) → sentences of what the map knows to be affected (`events.affected`).
Affected = Callable[[Sequence[Affects], Place], list[dict[str, object]]]


@dataclass(frozen=True, slots=True)
class Heard:
    """Falls in MPa by node: measured ones, and for the loggers that stayed silent the most that they can have been."""

    fell: Mapping[str, float]
    silent: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pipe that may have broken, with the chance that it is there."""

    asset: str
    name: dict[str, str]
    lon: float
    lat: float
    chance: float


#: (supply district, what was heard of it) → the pipes that most likely broke, best first (`events.breaks`).
Breaks = Callable[[str, Heard], Sequence[Candidate]]


@dataclass(frozen=True, slots=True)
class World:
    """What joins places beside distance: pipes and wind; what the map knows to lie there, and how it would break."""

    flow: Flow | None = None
    wind: Wind | None = None
    affected: Affected | None = None
    trace: Trace | None = None
    breaks: Breaks | None = None


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
    return metres <= near.reach_m and joined(near, there, anchor, world, time_us)


def joined(near: Near, there: Place, anchor: Place, world: World, time_us: int) -> bool:
    """True when wind or pipes join the two as declared, no further than `near.reach_m` as the crow flies."""
    if (
        near.downwind_m
        and there.metres_to(anchor) <= near.downwind_m
        and _in_line(there, anchor, world.wind, time_us)
    ):
        return True
    flow = world.flow
    if flow is None or not there.asset or not anchor.asset:
        return False
    return (
        (near.along_m > 0 and _at_most(flow.along_m(there.asset, anchor.asset), near.along_m))
        or (near.upstream_m > 0 and _at_most(flow.downstream_m(there.asset, anchor.asset), near.upstream_m))
        or (
            near.downstream_m > 0
            and _at_most(flow.downstream_m(anchor.asset, there.asset), near.downstream_m)
        )
    )


def downwind(source: Place, other: Place, wind: Wind | None, time_us: int) -> bool:
    """Whether the wind blows from one place to the other."""
    to = wind(source, time_us) if wind is not None else None
    if to is None:
        return False
    north = (other.lat - source.lat) * METRES_A_DEGREE
    east = (other.lon - source.lon) * METRES_A_DEGREE * math.cos(math.radians(source.lat))
    along = east * math.cos(to) + north * math.sin(to)
    aside = abs(north * math.cos(to) - east * math.sin(to))
    return along >= 0 and aside <= SOURCE_M + along * math.tan(DOWNWIND_RAD)


def _in_line(one: Place, other: Place, wind: Wind | None, time_us: int) -> bool:
    """Whether the wind blows from one place to the other, either way round."""
    return downwind(one, other, wind, time_us) or downwind(other, one, wind, time_us)


def _at_most(metres: float | None, limit: float) -> bool:
    return metres is not None and metres <= limit
