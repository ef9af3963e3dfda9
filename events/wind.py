"""The wind as the city's own vanes say it: for what lies downwind of what."""

from __future__ import annotations

import math

from core.clock import HOUR_US
from events.detectors.memory import Memory
from events.guards import place_of
from events.place import Place
from iot.registry import Registry

SPEED, DIRECTION = "wind_speed", "wind_dir"
#: So many of the nearest vanes are asked, no further away than this, about the last hour.
VANES, WITHIN_M, WITHIN_US = 3, 10_000.0, HOUR_US
#: Slower wind (m/s, mean of the vanes' vectors) has no direction.
CALM_MS = 0.5


class Vanes:
    """`events.place.Wind` out of what monitors with a vane said last."""

    def __init__(self, registry: Registry, memory: Memory) -> None:
        self._memory = memory
        self._vanes: list[tuple[Place, int, int]] = []
        for device in registry.devices.values():
            points = registry.points_of(device)
            if SPEED in points and DIRECTION in points:
                self._vanes.append((place_of(device), points[SPEED], points[DIRECTION]))

    def __call__(self, place: Place, time_us: int) -> float | None:
        """Where the wind blows to, in radians anticlockwise from east; None in calm and where nobody knows."""
        near = sorted((vane[0].metres_to(place), n) for n, vane in enumerate(self._vanes))[:VANES]
        told = [
            wind for metres, n in near if metres <= WITHIN_M and (wind := self._said(n, time_us)) is not None
        ]
        if not told:
            return None
        east = sum(wind[0] for wind in told) / len(told)
        north = sum(wind[1] for wind in told) / len(told)
        return None if math.hypot(east, north) < CALM_MS else math.atan2(north, east)

    def _said(self, vane: int, time_us: int) -> tuple[float, float] | None:
        """Metres a second to the east and to the north; a vane says where the wind comes from, clockwise from north."""
        _, speed, direction = self._vanes[vane]
        speeds, degrees = self._memory.last(speed), self._memory.last(direction)
        if speeds is None or degrees is None or abs(degrees[0] - time_us) > WITHIN_US:
            return None
        from_rad = math.radians(degrees[1])
        return -speeds[1] * math.sin(from_rad), -speeds[1] * math.cos(from_rad)
