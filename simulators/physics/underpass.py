"""An underpass as a bowl: rain runs into its sump, pumps lift it out, what is too much stands on the road.

Water surface grows with depth: A(h) = area + spread × h, so the volume on the road is area × h + spread × h² / 2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gis.city import City

#: Each of the pumps of an underpass of the whole city (ours).
PUMP_M3S = 0.15


@dataclass(slots=True)
class Underpass:
    """Volumes in m³, lengths in m, flows in m³/s. `step` moves it; the rest may be set from outside."""

    catchment_m2: float = 30_000.0
    runoff: float = 1.0
    area_m2: float = 250.0
    spread_m: float = 2500.0
    sump_m3: float = 60.0
    sump_area_m2: float = 20.0
    pumps: int = 2
    pump_m3s: float = 0.9
    power_ok: bool = True
    barrier_closed: bool = False
    in_sump_m3: float = 12.0
    on_road_m3: float = 0.0
    running: int = 0

    @property
    def depth_m(self) -> float:
        """Depth at the lowest point of the road."""
        surface = math.sqrt(self.area_m2**2 + 2 * self.spread_m * self.on_road_m3)
        return (surface - self.area_m2) / self.spread_m

    @property
    def sump_level_m(self) -> float:
        return self.in_sump_m3 / self.sump_area_m2

    @property
    def available(self) -> int:
        return self.pumps if self.power_ok else 0

    def step(self, dt_s: float, rain_mm_h: float) -> float:
        """Move on; the volume that was pumped away, m³. Nothing else leaves, so water is neither made nor lost."""
        self._switch()
        self.in_sump_m3 += rain_mm_h / 3.6e6 * self.runoff * self.catchment_m2 * dt_s
        back = min(self.on_road_m3, max(0.0, self.sump_m3 - self.in_sump_m3))
        self.on_road_m3 -= back
        self.in_sump_m3 += back
        lifted = min(self.in_sump_m3, self.running * self.pump_m3s * dt_s)
        self.in_sump_m3 -= lifted
        over = max(0.0, self.in_sump_m3 - self.sump_m3)
        self.in_sump_m3 -= over
        self.on_road_m3 += over
        return lifted

    def _switch(self) -> None:
        """Float switches: one pump from half full, all from three quarters, off at a tenth."""
        share = self.in_sump_m3 / self.sump_m3
        wanted = self.pumps if share > 0.75 else max(self.running, 1) if share > 0.5 else self.running
        self.running = 0 if share < 0.1 else min(wanted, self.available)


def sumps(city: City) -> dict[str, Underpass]:
    """Sump and pumps of every underpass: what reaches the sump, and the road above, are somebody else's."""
    return {
        asset.id: Underpass(catchment_m2=0.0, pumps=int(str(asset.attributes["pumps"])), pump_m3s=PUMP_M3S)
        for asset in city.of_kind("underpass")
    }
