"""Dust-40: which of forty construction sites make the dust that sixty monitors see?

Three sites are active by turns through a day in which the wind backs by 60°. Monitors have noise and a drifting
background; who traces sees the wind and the stability class with error. Three levels of difficulty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.physics import plume

Floats = NDArray[np.float64]

SIDE_M = 6000.0
SITES, ACTIVE = 40, 3
STEP_S, STEPS = 900, 96
#: Half a site's width, and how far from its middle a monitor beside it stands.
SITE_M, BESIDE_M = 58.0, 70.0


@dataclass(frozen=True, slots=True)
class Level:
    """How hard: monitors, their noise, the error of the wind that is known, how often the class is wrong."""

    monitors: int
    noise: float
    wind_error_deg: float
    wrong_class: float


LEVELS = {
    "easy": Level(60, 0.10, 3.0, 0.30),
    "normal": Level(60, 0.10, 10.0, 0.30),
    "hard": Level(30, 0.25, 20.0, 0.30),
}


@dataclass(frozen=True, slots=True, eq=False)
class Day:
    """What a tracer is given, and the truth. xy in m; pm10 (steps, monitors) in µg/m³; wind as known.

    active   rows of the sites that emitted; rate_gs (steps, sites) when and how much
    """

    site_xy: Floats
    monitor_xy: Floats
    pm10: Floats
    wind_from_deg: Floats
    wind_ms: Floats
    stability: str
    active: tuple[int, ...]
    rate_gs: Floats


def make(seed: int, level: str) -> Day:
    """One day at a level of difficulty."""
    rng = np.random.default_rng([40, seed])
    hard = LEVELS[level]
    sites = rng.uniform(0, SIDE_M, (SITES, 2))
    monitors = _monitors(rng, sites, hard.monitors)
    veer = 60.0 / (1 + np.exp(-(np.arange(STEPS) - STEPS / 2) / 4))
    wind = rng.uniform(0, 360) - veer + 6 * rng.standard_normal(STEPS)
    daily = np.sin(np.arange(STEPS) / STEPS * 2 * np.pi)
    speed = np.clip(2.6 + 0.8 * daily + 0.3 * rng.standard_normal(STEPS), 1, 6)
    stability = str(rng.choice(["C", "D"]))
    active = tuple(sorted(rng.choice(SITES, ACTIVE, replace=False).tolist()))
    rate = _schedules(rng, active)
    clean = np.zeros((STEPS, len(monitors)))
    for site in active:
        where = sites[site] + _within_site(rng)
        seen = [_seen(monitors - where[step], wind[step], speed[step], stability) for step in range(STEPS)]
        clean += rate[:, [site]] * np.array(seen)
    hour = np.arange(STEPS) / STEPS * 2 * np.pi
    background = 45 + 12 * np.sin(hour + rng.uniform(0, 6)) + rng.normal(0, 1.2, STEPS).cumsum()
    told = (clean + np.maximum(background, 5)[:, None]) * (1 + hard.noise * rng.standard_normal(clean.shape))
    others = [each for each in "BCDE" if each != stability]
    said_class = str(rng.choice(others)) if rng.random() < hard.wrong_class else stability
    said_wind = wind + rng.normal(0, hard.wind_error_deg, STEPS)
    return Day(sites, monitors, np.maximum(told, 1.0), said_wind % 360, speed, said_class, active, rate)


def _monitors(rng: np.random.Generator, sites: Floats, count: int) -> Floats:
    """Half beside a site, half anywhere."""
    beside = (
        rng.choice(SITES, count // 2, replace=False) if count // 2 <= SITES else np.arange(count // 2) % SITES
    )
    angle = rng.uniform(0, 2 * np.pi, len(beside))
    near = sites[beside] + BESIDE_M * np.column_stack([np.cos(angle), np.sin(angle)])
    return np.vstack([near, rng.uniform(0, SIDE_M, (count - len(beside), 2))])


def _schedules(rng: np.random.Generator, active: tuple[int, ...]) -> Floats:
    """Each active site works one or two shifts of some hours."""
    rate = np.zeros((STEPS, SITES))
    for site in active:
        strength = float(rng.lognormal(np.log(2.0), 0.4))
        for _ in range(int(rng.integers(1, 3))):
            begin = int(rng.integers(0, STEPS - 48))
            rate[begin : begin + int(rng.integers(24, 48)), site] = strength
    return rate


def _within_site(rng: np.random.Generator) -> Floats:
    """Where on the site the work is at each step: a site is no point."""
    angle, far = rng.uniform(0, 2 * np.pi, STEPS), SITE_M * np.sqrt(rng.uniform(0, 1, STEPS))
    offset: Floats = far[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return offset


def _seen(offset: Floats, wind: float, speed: float, stability: str) -> Floats:
    return plume.plume(offset[:, 0], offset[:, 1], wind, speed, stability, smear_deg=6.0)


def visible(day: Day, sigma: float = 3.0) -> tuple[int, ...]:
    """Active sites whose plume ever stands out of the noise at a monitor: what a perfect tracer could name."""
    noise = 0.1 * np.median(day.pm10)
    found = []
    for site in day.active:
        offset = day.monitor_xy - day.site_xy[site]
        peak = max(
            float(
                (
                    day.rate_gs[t, site] * _seen(offset, day.wind_from_deg[t], day.wind_ms[t], day.stability)
                ).max()
            )
            for t in range(STEPS)
        )
        if peak > sigma * noise:
            found.append(site)
    return tuple(found)
