"""The city's pipe networks as the correlation asks for them: metres between two assets."""

from __future__ import annotations

import math
from functools import lru_cache

from events.affected import Affected
from events.breaks import Located
from events.place import World
from gis.city import City
from gis.ground import Ground
from gis.network import Network, Sense

#: Pairs of assets remembered; correlation asks about the same neighbours again and again.
REMEMBERED = 20_000


class Pipes:
    """`events.place.Flow` of a city. Assets of different networks, or of none, are not joined."""

    def __init__(self, city: Ground) -> None:
        self._networks: tuple[Network, ...] = tuple(city.networks.values())
        self._metres = lru_cache(REMEMBERED)(self._measure)

    def along_m(self, one: str, other: str) -> float | None:
        """Metres of pipe between two assets, whichever way the water runs."""
        return self._metres(*sorted((one, other)), "either")

    def downstream_m(self, upper: str, lower: str) -> float | None:
        """Metres that water flows from the upper to the lower asset."""
        return self._metres(upper, lower, "along")

    def _measure(self, one: str, other: str, sense: Sense) -> float | None:
        for network in self._networks:
            if one in network and other in network:
                metres = network.distance_m(one, other, sense)
                return metres if math.isfinite(metres) else None
        return None


def world_of(city: Ground) -> World:
    """What the live engine knows of a city beside its sensors. Takes a second or two: not for the event loop."""
    # Of what was imported no hydraulic model is run yet.
    model = Located(city) if isinstance(city, City) else None
    return World(Pipes(city), affected=Affected(city), breaks=model)
