"""What the wind does with dust and gas: Gaussian plumes with urban spread, and puffs for shifting wind.

Spread after Briggs (1973) for towns, by Pasquill class A–F; ground reflection; an averaged wind direction smears a
plume. Concentrations are µg/m³ for a source in g/s. Distances m, heights m, speeds m/s; a wind direction is where
the wind comes from, degrees clockwise from north, as a vane says it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Pasquill classes in order of stability; A and B share Briggs' urban curves, as do E and F.
CLASSES = "ABCDEF"
_SIGMA_Y = {"A": 0.32, "B": 0.32, "C": 0.22, "D": 0.16, "E": 0.11, "F": 0.11}
_SIGMA_Z = {
    "A": (0.24, 0.001, 0.5), "B": (0.24, 0.001, 0.5), "C": (0.20, 0.0, 0.0),
    "D": (0.14, 0.0003, -0.5), "E": (0.08, 0.0015, -0.5), "F": (0.08, 0.0015, -0.5),
}  # fmt: skip
CALM_MS = 0.5


def spread(distance_m: Floats, stability: str) -> tuple[Floats, Floats]:
    """σy and σz at distances downwind."""
    x = np.maximum(distance_m, 1.0)
    a, b, power = _SIGMA_Z[stability]
    return _SIGMA_Y[stability] * x * (1 + 0.0004 * x) ** -0.5, a * x * (1 + b * x) ** power


def plume(  # noqa: PLR0913 - what a plume is made of
    east_m: Floats,
    north_m: Floats,
    wind_from_deg: float,
    speed_ms: float,
    stability: str,
    *,
    height_m: float = 2.0,
    receptor_m: float = 3.0,
    smear_deg: float = 0.0,
) -> Floats:
    """Concentration for 1 g/s at places relative to the source; nothing upwind.

    `smear_deg` is the standard deviation of the wind direction within the average, added to σy.
    """
    away = np.radians(wind_from_deg + 180.0)
    along = east_m * np.sin(away) + north_m * np.cos(away)
    aside = east_m * np.cos(away) - north_m * np.sin(away)
    sigma_y, sigma_z = spread(along, stability)
    sigma_y = np.hypot(sigma_y, np.maximum(along, 0.0) * np.tan(np.radians(smear_deg)))
    level = np.exp(-((receptor_m - height_m) ** 2) / (2 * sigma_z**2)) + np.exp(
        -((receptor_m + height_m) ** 2) / (2 * sigma_z**2)
    )
    ahead = 1e6 / (2 * np.pi * max(speed_ms, CALM_MS) * sigma_y * sigma_z)
    found: Floats = np.where(along > 0, ahead * np.exp(-(aside**2) / (2 * sigma_y**2)) * level, 0.0)
    return found


@dataclass(slots=True)
class Puffs:
    """A release cut into puffs that drift with the wind of each step and grow with the way they have gone."""

    stability: str = "D"
    east_m: Floats = field(default_factory=lambda: np.empty(0))
    north_m: Floats = field(default_factory=lambda: np.empty(0))
    way_m: Floats = field(default_factory=lambda: np.empty(0))
    mass_g: Floats = field(default_factory=lambda: np.empty(0))

    def step(self, dt_s: float, wind_from_deg: float, speed_ms: float, released_g: float) -> None:
        """Release a puff at the source (0, 0), then let the wind blow for `dt_s`."""
        if released_g > 0:
            self.east_m, self.north_m = np.append(self.east_m, 0.0), np.append(self.north_m, 0.0)
            self.way_m, self.mass_g = np.append(self.way_m, 1.0), np.append(self.mass_g, released_g)
        away = np.radians(wind_from_deg + 180.0)
        moved = speed_ms * dt_s
        self.east_m = self.east_m + moved * np.sin(away)
        self.north_m = self.north_m + moved * np.cos(away)
        self.way_m = self.way_m + max(moved, CALM_MS * dt_s)
        near = self.way_m < 20_000
        self.east_m, self.north_m = self.east_m[near], self.north_m[near]
        self.way_m, self.mass_g = self.way_m[near], self.mass_g[near]

    def at(self, east_m: float, north_m: float, receptor_m: float = 3.0) -> float:
        """Concentration in µg/m³ at a place relative to the source."""
        if not len(self.mass_g):
            return 0.0
        sigma_y, sigma_z = spread(self.way_m, self.stability)
        gone = ((self.east_m - east_m) ** 2 + (self.north_m - north_m) ** 2) / (2 * sigma_y**2)
        up = 2 * np.exp(-(receptor_m**2) / (2 * sigma_z**2))
        parts = self.mass_g * 1e6 / ((2 * np.pi) ** 1.5 * sigma_y**2 * sigma_z) * np.exp(-gone) * up
        return float(parts.sum())


def optical_excess(humidity_pct: Floats) -> Floats:
    """By how much optical heads read too high: nothing below 85 %RH, +30 % at 90 %, +80 % at 97 % and above."""
    return np.interp(humidity_pct, [85.0, 90.0, 97.0], [1.0, 1.3, 1.8])
