"""How long crews need to a place: on the roads of the city, or an estimate that says that it is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gis.ground import Ground
from gis.routing import ring

#: Roads are longer than the line (`ours`), and an emergency vehicle in a city keeps about this speed (`ours`).
DETOUR = 1.35
SPEED_M_S = 30 / 3.6
EARTH_M = 6_371_008.8

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Blocked:
    """Roads within a distance of a place (WGS 84) let nobody through: flooded, sunk, cordoned off."""

    lon: float
    lat: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Impassable:
    """Roads that a hazard on the map keeps from being driven, by their ids."""

    roads: frozenset[str]


#: What keeps crews from driving somewhere.
Obstacle = Blocked | Impassable


class Travel(Protocol):
    """Travel times in seconds from many places to one; None where no road leads. `network`: on real roads."""

    @property
    def network(self) -> bool: ...

    def seconds(
        self, origins: Sequence[Place], target: Place, blocked: Sequence[Obstacle] = ()
    ) -> list[float | None]: ...


class StraightLine:
    """Great-circle distance with a detour factor at a constant speed; knows no roads and no closures."""

    network = False

    def seconds(
        self,
        origins: Sequence[Place],
        target: Place,
        blocked: Sequence[Obstacle] = (),  # noqa: ARG002
    ) -> list[float | None]:
        return [distance_m(origin, target) * DETOUR / SPEED_M_S for origin in origins]


class Roads:
    """The road network of the city, made when first asked for; the straight line while the city has no roads."""

    def __init__(self, city: Callable[[], Ground]) -> None:
        self._city = city
        self._closed: dict[Obstacle, frozenset[str]] = {}
        self._known: Ground | None = None

    @property
    def network(self) -> bool:
        return bool(len(self._city().roads))

    def seconds(
        self, origins: Sequence[Place], target: Place, blocked: Sequence[Obstacle] = ()
    ) -> list[float | None]:
        if not origins:
            return []
        city = self._city()
        if not len(city.roads):
            return StraightLine().seconds(origins, target)
        spots = city.plane.points(np.array([*origins, target]))
        starts = [(float(x), float(y)) for x, y in spots[:-1]]
        end = (float(spots[-1][0]), float(spots[-1][1]))
        times = city.router.seconds_to(end, starts, self.closed(blocked))
        return [float(t) if math.isfinite(t) else None for t in times]

    def closed(self, blocked: Sequence[Obstacle]) -> frozenset[str]:
        """Ids of the roads of the city that these block. What is asked again was kept."""
        city = self._city()
        if city is not self._known:
            self._known, self._closed = city, {}
        self._closed = {each: self._closed.get(each) or self._of(each, city) for each in blocked}
        return frozenset().union(*self._closed.values())

    def _of(self, blocked: Obstacle, city: Ground) -> frozenset[str]:
        if isinstance(blocked, Impassable):
            return blocked.roads & {
                *city.roads.id
            }  # it may have been drawn before the roads were imported anew
        ((x, y),) = city.plane.points(np.array([(blocked.lon, blocked.lat)]))
        rows = ring(city.roads, (float(x), float(y)), blocked.radius_m)
        return frozenset(city.roads.id[int(row)] for row in rows)


def distance_m(one: Place, other: Place) -> float:
    """Great-circle metres between two WGS 84 places (lon, lat)."""
    lon1, lat1, lon2, lat2 = (math.radians(value) for value in (*one, *other))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(h))
