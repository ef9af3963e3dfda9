"""Gas that leaks: what a hole lets out, how it comes through the soil, and how it fills a chamber.

The orifice is choked above about 0.09 MPa over pressure and subsonic below (isentropic flow of methane). A chamber is
well mixed: dC/dt = q/V − λC. Sewer gas (biogas) breathes with the warmth of the day: it is the confuser.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

GAMMA = 1.31
R_METHANE = 518.3  # J/(kg K)
KELVIN = 288.0
AIR_PA = 101_325.0
KG_M3 = 0.68  # of methane at 15 °C
DISCHARGE = 0.8
#: 100 %LEL of methane is 5 % by volume.
LEL_SHARE = 0.05


def orifice_m3h(diameter_mm: float, over_pressure_pa: float) -> float:
    """Standard m³/h through a round hole."""
    if over_pressure_pa <= 0:
        return 0.0
    area = math.pi * (diameter_mm / 1000) ** 2 / 4
    inside = AIR_PA + over_pressure_pa
    critical = (2 / (GAMMA + 1)) ** (GAMMA / (GAMMA - 1))
    ratio = max(AIR_PA / inside, critical)
    flux = ratio ** (2 / GAMMA) - ratio ** ((GAMMA + 1) / GAMMA)
    mass = DISCHARGE * area * inside * math.sqrt(2 * GAMMA / ((GAMMA - 1) * R_METHANE * KELVIN) * flux)
    return mass / KG_M3 * 3600


@dataclass(slots=True)
class Chamber:
    """A manhole, pit or duct chamber: volume m³, air changes per hour, what share of the leak finds its way in."""

    volume_m3: float = 6.0
    changes_h: float = 0.4
    share: float = 0.0
    delay_s: float = 900.0
    methane: float = 0.0  # volume share

    def step(self, dt_s: float, leak_m3h: float, leaking_s: float) -> None:
        """Mix for a while; nothing arrives before the soil has let it through."""
        inflow = leak_m3h * self.share / 3600 if leaking_s >= self.delay_s else 0.0
        rate = self.changes_h / 3600
        settled = inflow / self.volume_m3 / rate if rate else 0.0
        self.methane = min(1.0, settled + (self.methane - settled) * math.exp(-rate * dt_s))

    @property
    def lel_pct(self) -> float:
        return min(100.0, 100.0 * self.methane / LEL_SHARE)


def through_soil(distance_m: float) -> tuple[float, float]:
    """(share of a leak that reaches a chamber, delay in s): near ones get more and sooner (ours: 15 min at 10 m)."""
    return 0.045 * math.exp(-distance_m / 25.0), 90.0 * distance_m
