"""Dust-40: tracers, from naive to sound, and the share of active sites among the three that each names."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from events.plume import Air, trace
from simulators import dust40
from simulators.dust40 import Day
from simulators.physics import plume

Floats = NDArray[np.float64]
#: A tracer ranks the sites: a number each, the largest is the first suspect.
Tracer = Callable[[Day], Floats]


def over_background(day: Day) -> Floats:
    """What stands above the region: the network's low quantile at each step is its background."""
    return np.maximum(day.pm10 - np.quantile(day.pm10, 0.2, axis=1, keepdims=True), 0.0)


def nearest(day: Day) -> Floats:
    """The sites nearest to the three monitors with the highest means."""
    score = np.zeros(len(day.site_xy))
    for rank, monitor in enumerate(np.argsort(-day.pm10.mean(axis=0))[:3]):
        site = int(np.argmin(np.hypot(*(day.site_xy - day.monitor_xy[monitor]).T)))
        score[site] = max(score[site], 3.0 - rank)
    return score


def plumes(day: Day, smear_deg: float) -> Floats:
    """(steps, monitors, sites) for 1 g/s, after the wind as known."""
    found = np.empty((len(day.pm10), len(day.monitor_xy), len(day.site_xy)))
    east, north = (day.monitor_xy[:, None] - day.site_xy[None]).transpose(2, 0, 1)
    for step in range(len(day.pm10)):
        found[step] = plume.plume(
            east,
            north,
            float(day.wind_from_deg[step]),
            float(day.wind_ms[step]),
            day.stability,
            smear_deg=smear_deg,
        )
    return found


def correlation(day: Day) -> Floats:
    """Correlation of each site's plume with what was measured."""
    excess = over_background(day).ravel()
    model = plumes(day, 8.0).reshape(-1, len(day.site_xy))
    excess = excess - excess.mean()
    model = model - model.mean(axis=0)
    found: Floats = excess @ model / (np.linalg.norm(model, axis=0) * np.linalg.norm(excess) + 1e-12)
    return found


def least_squares(day: Day) -> Floats:
    """Non-negative least squares on sharp plumes: what a text book would try first."""
    rates: Floats = nnls(plumes(day, 0.0).reshape(-1, len(day.site_xy)), over_background(day).ravel())[0]
    return rates


BASELINES: dict[str, Tracer] = {"nearest": nearest, "correlation": correlation, "nnls": least_squares}


def product(day: Day) -> Floats:
    """The product's own (`events.plume`): log-odds, bent so that none is below 0."""
    air = Air(day.site_xy, day.monitor_xy, day.pm10, day.wind_from_deg, day.wind_ms, day.stability)
    found: Floats = np.logaddexp(0.0, trace(air).log_odds)
    return found


def top3(day: Day, score: Floats) -> float:
    """Share of the active sites among the three highest."""
    named = [site for site in np.argsort(-score, kind="stable")[:3].tolist() if score[site] > 0]
    return len(set(named) & set(day.active)) / len(day.active)


def recall(tracer: Tracer, level: str, seeds: range) -> float:
    """Mean top-3 recall over seeds."""
    days = (dust40.make(seed, level) for seed in seeds)
    return float(np.mean([top3(day, tracer(day)) for day in days]))


def ceiling(level: str, seeds: range) -> float:
    """The share that a perfect tracer could name."""
    days = (dust40.make(seed, level) for seed in seeds)
    return float(np.mean([len(dust40.visible(day)) / len(day.active) for day in days]))
