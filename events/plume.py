"""Who makes the dust or gas that monitors see: Gaussian plumes turned round, with a wind that nobody knows exactly.

Each step's measurements are a background times noise, and what the sources on at that step blow over. Source after
source joins that explains most, by its evidence: over where the wind may have blown at each step (a grid around
the likeliest direction), over how much it emits, and over when it was at work (on and off, hours at a time). Least
squares on plumes along the wind as told would blame the wrong site with great certainty. Pure.

Plumes after Briggs (1973) for towns. Unknown number of sources: Yee (2008), who takes away source after source, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Floats = NDArray[np.float64]

#: Briggs' urban spread: σy = a·x/√(1+0.0004x), σz = b·x·(1+c·x)^p.
_ASIDE = {"A": 0.32, "B": 0.32, "C": 0.22, "D": 0.16, "E": 0.11, "F": 0.11}
_UP = {
    "A": (0.24, 0.001, 0.5), "B": (0.24, 0.001, 0.5), "C": (0.20, 0.0, 0.0),
    "D": (0.14, 0.0003, -0.5), "E": (0.08, 0.0015, -0.5), "F": (0.08, 0.0015, -0.5),
}  # fmt: skip
#: A source is so large (σ in m), its dust leaves and is met so high (m), a wind is no slower (m/s).
SOURCE_M, HEIGHT_M, CALM_MS = 40.0, 3.0, 0.5
#: How far the wind wanders within a step and from one step to the next, σ in degrees.
WITHIN_DEG, WANDER_DEG = 6.0, 7.0
#: A vane is never better than this; what it says is compared with so many steps on each side.
LEAST_ERROR_DEG, STEPS_BESIDE = 3.0, 6
#: Directions tried at each step, in σ of what is known of it, and how likely each is beforehand.
_SIGMAS = np.linspace(-2.5, 2.5, 13)
_DIRECTIONS = -0.5 * _SIGMAS**2 - np.log(np.exp(-0.5 * _SIGMAS**2).sum())
#: Emissions tried, in g/s of PM10 (or of what is measured in µg/m³), and how likely each is beforehand.
RATES = np.array([0.35, 0.7, 1.4, 2.8, 5.6])
_RATES = np.log([0.1, 0.25, 0.3, 0.25, 0.1])
#: A source begins in one step of 60, ends in one of 36, is at work at the first with this chance.
_BEGINS, _ENDS, _AT_FIRST = 1 / 60, 1 / 36, 0.1
#: What a plume's strength at a monitor may be wrong by (σ of its logarithm), and the least noise of a monitor.
MODEL_ERROR, LEAST_NOISE = 0.8, 0.05
#: One measurement speaks against a source with no more than so many squared sigmas.
MOST_SQUARES = 25.0
#: 1 g/s that brings less than this (µg/m³) is not looked at.
LEAST_SEEN = 0.1
#: Chance that any one source is at work at all; more than so many are not looked for at once.
ACTIVE, MOST_SOURCES = 0.08, 4
#: Sources found before are looked for again, so many times at most, when another has joined.
SWEEPS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Air:
    """What is known of some hours, in steps of one length.

    source_xy (sources, 2), monitor_xy (monitors, 2) in m to the east and north; seen (steps, monitors) in µg/m³, NaN
    where nothing was said; wind_from_deg, wind_ms (steps), as told; stability A–F.
    """

    source_xy: Floats
    monitor_xy: Floats
    seen: Floats
    wind_from_deg: Floats
    wind_ms: Floats
    stability: str = "D"


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """log_odds (sources): at work against not, given the others; rate_gs (steps, sources): of those that were found."""

    log_odds: Floats
    rate_gs: Floats

    @property
    def probability(self) -> Floats:
        found: Floats = 1.0 / (1.0 + np.exp(-np.clip(self.log_odds, -50.0, 50.0)))
        return found


def trace(air: Air) -> Traced:
    """Which sources were at work, and when."""
    tracer = _Tracer(air)
    rates: dict[int, Floats] = {}
    odds: dict[int, float] = {}
    for _ in range(min(MOST_SOURCES, len(air.source_xy))):
        found = tracer.likeliest(rates)
        if found.log_odds[found.best] <= 0:
            break
        rates[found.best], odds[found.best] = found.rate, float(found.log_odds[found.best])
        for _ in range(SWEEPS if len(rates) > 1 else 0):
            before = set(rates)
            for source in before:
                del rates[source], odds[source]
                again = tracer.likeliest(rates)
                rates[again.best], odds[again.best] = again.rate, float(again.log_odds[again.best])
            if set(rates) == before:
                break
    log_odds = tracer.likeliest(rates).log_odds
    told = np.zeros((len(air.seen), len(air.source_xy)))
    for source, rate in rates.items():
        log_odds[source], told[:, source] = odds[source], rate
    return Traced(log_odds, told)


@dataclass(frozen=True, slots=True, eq=False)
class _Likeliest:
    """log_odds of each source beside those known; the best of the rest, and its rate at each step."""

    log_odds: Floats
    best: int
    rate: Floats


class _Tracer:
    """The plumes of all sources at all steps and directions, and what was measured."""

    def __init__(self, air: Air) -> None:
        heard = np.isfinite(air.seen)
        self._background = background(air.seen)[:, None, None]
        self._log = np.log(np.maximum(np.where(heard, air.seen, 1.0), 1.0))[:, None, :]
        off = np.abs(self._log - np.log(self._background))[:, 0][heard]
        self._noise = max(1.4826 * float(np.median(off)), LEAST_NOISE)
        self._heard = heard[:, None, :]
        mean, sigma = wind(air.wind_from_deg)
        self._plumes = plumes(air, mean[:, None] + sigma[:, None] * _SIGMAS)
        self._at = np.nonzero((self._plumes > LEAST_SEEN) & heard[:, None, None, :])
        self._strength = self._plumes[self._at]
        self._shape = self._plumes.shape[:3]
        self._key = np.ravel_multi_index(self._at[:3], self._shape)

    def likeliest(self, rates: Mapping[int, Floats]) -> _Likeliest:
        """Weigh each source beside those known, and look when the best of the others was at work."""
        gain = self._gain(rates)
        forward, evidence = _forward(gain)
        evidence = evidence + _RATES
        log_odds = logsumexp(evidence, axis=1) + math.log(ACTIVE / (1 - ACTIVE))
        free = log_odds.copy()
        free[list(rates)] = -np.inf
        best = int(np.argmax(free))
        likely = np.exp(evidence[best] - logsumexp(evidence[best]))
        on = _at_work(forward[:, :, best], gain[:, best]) * likely
        chance = on.sum(axis=1)
        rate = np.where(chance > 0.5, on @ RATES / np.maximum(chance, 1e-9), 0.0)
        return _Likeliest(log_odds, best, rate)

    def _gain(self, rates: Mapping[int, Floats]) -> Floats:
        """(steps, sources, rates): how much likelier each step is with a source at work beside those known."""
        step, turn, _, monitor = self._at
        known = np.zeros((*self._shape[:2], self._plumes.shape[3]))
        for source, rate in rates.items():
            known += self._plumes[:, :, source] * rate[:, None, None]
        alone = self._fit(known, self._background, self._log)
        before = np.where(self._heard, alone, 0.0).sum(axis=2) + _DIRECTIONS
        told = alone[step, turn, monitor]
        base, there, log = (
            known[step, turn, monitor],
            self._background[step, 0, 0],
            self._log[step, 0, monitor],
        )
        steps, turns, sources = self._shape
        gain = np.empty((steps, sources, len(RATES)))
        for number, rate in enumerate(RATES):
            more = self._fit(base + rate * self._strength, there, log) - told
            added = np.bincount(self._key, more, minlength=steps * turns * sources).reshape(self._shape)
            gain[:, :, number] = logsumexp(before[:, :, None] + added, axis=1)
        gain -= logsumexp(before, axis=1)[:, None, None]
        return gain

    def _fit(self, plume: Floats, there: Floats, log: Floats) -> Floats:
        """Log-likelihood of measurements, given the plume on the background there."""
        whole = there + plume
        variance = self._noise**2 + (MODEL_ERROR * plume / whole) ** 2
        squares = np.minimum((log - np.log(whole)) ** 2 / variance, MOST_SQUARES)
        fit: Floats = -0.5 * (squares + np.log(variance))
        return fit


def background(seen: Floats) -> Floats:
    """(steps) of what the region has without the sources: the middle of the monitors that lie low, smoothed."""
    steps = np.flatnonzero(np.isfinite(seen).any(axis=1))
    low = seen[steps]
    for _ in range(4):
        middle = np.nanmedian(low, axis=1)
        low = np.where(low < 1.35 * middle[:, None], low, np.nan)
    found = np.interp(np.arange(len(seen)), steps, middle)
    weights = np.array([1.0, 2.0, 3.0, 2.0, 1.0])
    smooth: Floats = np.convolve(np.pad(found, 2, mode="edge"), weights / weights.sum(), "valid")
    return np.maximum(smooth, 1.0)


def wind(told_deg: Floats) -> tuple[Floats, Floats]:
    """Where the wind came from at each step, likeliest and σ in degrees: as told, and as the steps around it say.

    How wrong the vane is shows in how much it jumps beyond what wind wanders by itself.
    """
    told = np.degrees(np.unwrap(np.radians(told_deg)))
    jumps = np.abs(np.diff(told, 2))
    variance = (1.4826 * float(np.median(jumps))) ** 2 / 6 if len(jumps) else 0.0
    vane = max(variance - WANDER_DEG**2, LEAST_ERROR_DEG**2)
    mean, sigma = told.copy(), np.full(len(told), math.sqrt(vane))
    for step in range(len(told) if len(told) > STEPS_BESIDE else 0):
        beside = np.arange(max(0, step - STEPS_BESIDE), min(len(told), step + STEPS_BESIDE + 1))
        beside = beside[beside != step]
        weight = np.exp(-0.5 * ((beside - step) / (STEPS_BESIDE / 2)) ** 2)
        line = np.stack([np.ones(len(beside)), beside - step], axis=1)
        solve = np.linalg.inv((line * weight[:, None]).T @ line) @ (line * weight[:, None]).T
        around = WANDER_DEG**2 + variance * float(solve[0] @ solve[0])
        both = 1.0 / (1.0 / around + 1.0 / vane)
        mean[step] = both * (float(solve[0] @ told[beside]) / around + told[step] / vane)
        sigma[step] = math.sqrt(both)
    return mean, sigma


def plumes(air: Air, from_deg: Floats) -> Floats:
    """(steps, directions, sources, monitors) in µg/m³ for 1 g/s, with the wind from (steps, directions)."""
    off = air.monitor_xy[None] - air.source_xy[:, None]
    to = np.radians(from_deg + 180.0)[:, :, None, None]
    along = off[..., 0] * np.sin(to) + off[..., 1] * np.cos(to)
    across = off[..., 0] * np.cos(to) - off[..., 1] * np.sin(to)
    x = np.maximum(along, 1.0)
    b, c, power = _UP[air.stability]
    up = b * x * (1 + c * x) ** power
    aside = np.sqrt(
        (_ASIDE[air.stability] * x) ** 2 / (1 + 0.0004 * x)
        + (x * math.tan(math.radians(WITHIN_DEG))) ** 2
        + SOURCE_M**2
    )
    speed = np.maximum(air.wind_ms, CALM_MS)[:, None, None, None]
    middle = 1e6 / (math.pi * speed * aside * up) * np.exp(-(HEIGHT_M**2) / (2 * up**2))
    found: Floats = np.where(along > 0, middle * np.exp(-(across**2) / (2 * aside**2)), 0.0)
    return found


def _forward(gain: Floats) -> tuple[Floats, Floats]:
    """(steps, 2, sources, rates) log-likelihood up to a step while off and on; (sources, rates) of the whole.

    Both against having been off all the time.
    """
    found = np.empty((len(gain), 2, *gain.shape[1:]))
    off, on = np.full(gain.shape[1:], math.log(1 - _AT_FIRST)), math.log(_AT_FIRST) + gain[0]
    found[0] = off, on
    for step in range(1, len(gain)):
        off, on = (
            np.logaddexp(off + math.log(1 - _BEGINS), on + math.log(_ENDS)),
            np.logaddexp(off + math.log(_BEGINS), on + math.log(1 - _ENDS)) + gain[step],
        )
        found[step] = off, on
    return found, np.logaddexp(off, on)


def _at_work(forward: Floats, gain: Floats) -> Floats:
    """(steps, rates) chance that a source was at work, from `_forward` of its gain (steps, rates)."""
    found = np.empty(gain.shape)
    off = on = np.zeros(gain.shape[1])
    for step in range(len(gain) - 1, -1, -1):
        found[step] = 1 / (1 + np.exp(np.clip(forward[step, 0] + off - forward[step, 1] - on, -50.0, 50.0)))
        off, on = (
            np.logaddexp(math.log(1 - _BEGINS) + off, math.log(_BEGINS) + gain[step] + on),
            np.logaddexp(math.log(_ENDS) + off, math.log(1 - _ENDS) + gain[step] + on),
        )
    return found
