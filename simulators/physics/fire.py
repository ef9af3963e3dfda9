"""A fire in a room: t² growth, ceiling jet, and when detectors of each sort respond.

Growth after NFPA 72/92, the ceiling jet after Alpert (1972), heat detectors after Heskestad & Smith (1976); smoke
detectors by the common rule of a 13 K rise at the head.
"""

from __future__ import annotations

from dataclasses import dataclass

#: kW/s²
GROWTH = {"slow": 0.00293, "medium": 0.01172, "fast": 0.0469, "ultrafast": 0.1876}
AMBIENT_C = 20.0
SMOKE_RISE_K = 13.0


def heat_kw(growth: str, seconds: float, most_kw: float = 5000.0) -> float:
    return min(GROWTH[growth] * max(seconds, 0.0) ** 2, most_kw)


def ceiling_jet(heat: float, height_m: float, radius_m: float) -> tuple[float, float]:
    """(temperature rise K, speed m/s) under the ceiling at a distance from the plume's axis."""
    if heat <= 0:
        return 0.0, 0.0
    ratio = radius_m / height_m
    rise = 16.9 * heat ** (2 / 3) / height_m ** (5 / 3)
    if ratio > 0.18:
        rise = 5.38 * (heat / radius_m) ** (2 / 3) / height_m
    speed = 0.95 * (heat / height_m) ** (1 / 3)
    if ratio > 0.15:
        speed = 0.197 * heat ** (1 / 3) * height_m**0.5 / radius_m ** (5 / 6)
    return rise, speed


@dataclass(slots=True)
class HeatHead:
    """A heat detector or sprinkler: dT/dt = √u / RTI · (Tg − T)."""

    rti: float = 30.0
    sets_at_c: float = 57.0
    temperature_c: float = AMBIENT_C

    def step(self, dt_s: float, rise_k: float, speed_ms: float) -> bool:
        """Warm up for a while; True when it has operated."""
        self.temperature_c += speed_ms**0.5 / self.rti * (AMBIENT_C + rise_k - self.temperature_c) * dt_s
        return self.temperature_c >= self.sets_at_c


def smoke_seconds(growth: str, height_m: float, radius_m: float) -> float:
    """When a smoke detector responds."""
    seconds = 0.0
    while ceiling_jet(heat_kw(growth, seconds), height_m, radius_m)[0] < SMOKE_RISE_K:
        seconds += 1.0
    return seconds


def heat_seconds(growth: str, height_m: float, radius_m: float, head: HeatHead) -> float:
    """When a heat detector or sprinkler operates."""
    seconds = 0.0
    while not head.step(1.0, *ceiling_jet(heat_kw(growth, seconds), height_m, radius_m)):
        seconds += 1.0
    return seconds
