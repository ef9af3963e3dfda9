"""How long crews need to a place. Until the road network answers, an estimate that says that it is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from core.db import DictConnection

#: Roads are longer than the line (`ours`), and an emergency vehicle in a city keeps about this speed (`ours`).
DETOUR = 1.35
SPEED_M_S = 30 / 3.6
EARTH_M = 6_371_008.8

Place = tuple[float, float]


class Travel(Protocol):
    """Travel times in seconds from many places to one; None where no road leads. `network`: on real roads."""

    network: bool

    async def seconds(
        self, connection: DictConnection, origins: Sequence[Place], target: Place
    ) -> list[float | None]: ...


class StraightLine:
    """Great-circle distance with a detour factor at a constant speed."""

    network = False

    async def seconds(
        self,
        connection: DictConnection,  # noqa: ARG002 - the network needs it
        origins: Sequence[Place],
        target: Place,
    ) -> list[float | None]:
        return [distance_m(origin, target) * DETOUR / SPEED_M_S for origin in origins]


def distance_m(one: Place, other: Place) -> float:
    """Great-circle metres between two WGS 84 places (lon, lat)."""
    lon1, lat1, lon2, lat2 = (math.radians(value) for value in (*one, *other))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(h))
