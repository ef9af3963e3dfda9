"""Crew (处置队伍): people with skills, a vehicle, equipment, a depot and a duty status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Duty = Literal["on", "off", "rest"]


@dataclass(frozen=True, slots=True)
class Crew:
    """WGS 84 degrees. `position_us` is when its position was measured, None when it never said one.

    `order` is the live order that binds it; `finished_us` when its last one ended; `orders_this_duty` its load.
    """

    id: str
    name: Mapping[str, str]
    department: str
    kind: str
    skills: frozenset[str]
    equipment: frozenset[str]
    members: int
    area: str
    depot: tuple[float, float]
    duty: Duty
    duty_since_us: int
    position: tuple[float, float] | None
    position_us: int | None
    provenance: str
    phone: str = ""
    order: str = ""
    order_state: str = ""
    case: str = ""
    finished_us: int | None = None
    orders_this_duty: int = 0

    def whereabouts(self, now_us: int, max_age_s: float) -> tuple[tuple[float, float], float | None]:
        """Where to reckon from, and the age of that position in seconds: None means the depot."""
        if self.position is None or self.position_us is None:
            return self.depot, None
        age_s = (now_us - self.position_us) / 1e6
        return (self.position, age_s) if age_s <= max_age_s else (self.depot, None)
