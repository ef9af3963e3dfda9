"""Cheap believable streams: a day's shape, a week's rhythm and noise with memory, as a pure function of time.

Nothing is stepped and nothing is remembered: history, live readings and a restart read the same values, because
the noise is drawn by hashing (stream, place on a lattice of time). One value costs about 0.2 µs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US, HOUR_US, MINUTE_US, WEEK_US
from simulators.tape import FIRST_MONDAY_US

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Rows = NDArray[np.intp]
Keys = NDArray[np.uint64]

#: Relative level at each local hour from 0 to 23, mean 1: proposals of ours after the usual look of such curves.
_HOURS: dict[str, list[float]] = {
    "flat": [1.0] * 24,
    "water": [0.55, 0.45, 0.40, 0.38, 0.42, 0.60, 1.00, 1.45, 1.50, 1.30, 1.15, 1.10,
              1.15, 1.05, 0.95, 0.95, 1.00, 1.10, 1.30, 1.45, 1.40, 1.25, 1.00, 0.75],
    "gas": [0.50, 0.45, 0.42, 0.42, 0.50, 0.80, 1.20, 1.30, 1.05, 0.95, 1.20, 1.45,
            1.30, 0.95, 0.85, 0.90, 1.20, 1.60, 1.70, 1.40, 1.15, 1.00, 0.80, 0.60],
    "sewage": [0.70, 0.58, 0.50, 0.46, 0.46, 0.55, 0.80, 1.15, 1.35, 1.35, 1.25, 1.15,
               1.15, 1.10, 1.05, 1.00, 1.00, 1.05, 1.15, 1.30, 1.35, 1.30, 1.15, 0.90],
    "work": [0.45, 0.42, 0.40, 0.40, 0.45, 0.60, 0.90, 1.30, 1.55, 1.60, 1.55, 1.40,
             1.15, 1.45, 1.55, 1.55, 1.50, 1.35, 1.05, 0.85, 0.75, 0.65, 0.55, 0.50],
    "calls": [0.30, 0.22, 0.18, 0.16, 0.18, 0.30, 0.60, 1.00, 1.60, 1.90, 1.85, 1.60,
              1.20, 1.35, 1.60, 1.65, 1.55, 1.40, 1.25, 1.20, 1.10, 0.90, 0.65, 0.45],
    "sun": [0.80, 0.76, 0.73, 0.71, 0.70, 0.71, 0.76, 0.84, 0.94, 1.05, 1.15, 1.22,
            1.27, 1.30, 1.30, 1.27, 1.21, 1.13, 1.05, 0.99, 0.94, 0.90, 0.86, 0.83],
}  # fmt: skip
Shape = Literal["flat", "water", "gas", "sewage", "work", "calls", "sun"]

_LEVELS = np.array([[*hours, hours[0]] for hours in _HOURS.values()])
_LEVELS /= _LEVELS[:, :24].mean(axis=1, keepdims=True)

_FAST = np.uint64(0x5DEECE66D)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def key_of(seed: int, name: str) -> int:
    """A number of 63 bits that belongs to a seed and a name (FNV-1a)."""
    number = 0xCBF29CE484222325 ^ (seed & 0xFFFFFFFF)
    for byte in name.encode():
        number = ((number ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return number >> 1


def normal(key: Keys, place: NDArray[np.int64]) -> Floats:
    """A standard normal number for each place: always the same for the same key and place (SplitMix64, Box–Muller)."""
    with np.errstate(over="ignore"):
        mixed = place.astype(np.uint64) * _GOLDEN + key
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
        mixed ^= mixed >> np.uint64(31)
    radius = np.sqrt(-2.0 * np.log(((mixed >> np.uint64(32)).astype(np.float64) + 0.5) * 2.0**-32))
    drawn: Floats = radius * np.cos(2.0 * np.pi * 2.0**-32 * (mixed & _LOW_HALF).astype(np.float64))
    return drawn


def wander(key: Keys, time_us: Times, memory_us: NDArray[np.int64]) -> Floats:
    """Noise of variance 1 that forgets itself within `memory_us`: lattice points joined by straight lines."""
    place, rest = np.divmod(time_us, memory_us)
    share = rest / memory_us
    joined: Floats = (normal(key, place) * (1 - share) + normal(key, place + 1) * share) / np.sqrt(
        (1 - share) ** 2 + share**2
    )
    return joined


@dataclass(frozen=True, slots=True)
class Stream:
    """What one point does. value = base × (1 + swing × (shape − 1)) × weekends + noise, clipped and rounded.

    swing     how much of the day's shape shows: 0 none, 1 all of it
    weekends  factor on Saturday and Sunday
    slow      standard deviation of noise that lasts about `memory_us`; fast: of noise of each minute
    shower    > 0: not the above but rain: zero save for showers, mm of the heaviest usual one
    """

    base: float = 0.0
    shape: Shape = "flat"
    swing: float = 0.0
    weekends: float = 1.0
    slow: float = 0.0
    fast: float = 0.0
    memory_us: int = 2 * HOUR_US
    low: float = -np.inf
    high: float = np.inf
    resolution: float = 0.0
    shower: float = 0.0


#: Share of the time in which it rains in calm weather.
RAIN_SHARE = 0.04
_RAIN_EDGE = NormalDist().inv_cdf(1 - RAIN_SHARE)


class Table:
    """Streams side by side: `at(rows, times)` evaluates any of them at any time."""

    def __init__(self, streams: Sequence[Stream], keys: Sequence[int]) -> None:
        def column(name: str) -> Floats:
            return np.array([getattr(stream, name) for stream in streams], np.float64)

        self._key = np.array(keys, np.uint64)
        self._base, self._swing, self._weekends = column("base"), column("swing"), column("weekends")
        self._slow, self._fast = column("slow"), column("fast")
        self._low, self._high, self._resolution = column("low"), column("high"), column("resolution")
        self._shower = column("shower")
        self._memory = np.array([stream.memory_us for stream in streams], np.int64)
        self._shape = np.array([list(_HOURS).index(stream.shape) for stream in streams], np.intp)

    def __len__(self) -> int:
        return len(self._key)

    def at(self, rows: Rows, time_us: Times, offset_us: int) -> Floats:
        """Values of parallel rows and times (µs UTC); `offset_us` is local time minus UTC."""
        local_us = time_us + offset_us
        slow = wander(self._key[rows], time_us, self._memory[rows])
        fast = normal(self._key[rows] ^ _FAST, time_us // MINUTE_US)
        value = self._base[rows] * (1 + self._swing[rows] * (shaped(self._shape[rows], local_us) - 1))
        value = np.where(weekend(local_us), value * self._weekends[rows], value)
        value += self._slow[rows] * slow + self._fast[rows] * fast
        shower = self._shower[rows]
        value = np.where(shower > 0, shower * np.clip((slow - _RAIN_EDGE) / 1.5, 0.0, 1.5), value)
        return rounded(np.clip(value, self._low[rows], self._high[rows]), self._resolution[rows])


def shaped(shape: Rows, local_us: Times) -> Floats:
    """The day's shape at local times, straight lines between the hours; its mean over a day is 1."""
    hour, rest = np.divmod(local_us % DAY_US, HOUR_US)
    share = rest / HOUR_US
    level: Floats = _LEVELS[shape, hour] * (1 - share) + _LEVELS[shape, hour + 1] * share
    return level


def weekend(local_us: Times) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (local_us - FIRST_MONDAY_US) % WEEK_US >= 5 * DAY_US
    return found


def rounded(value: Floats, resolution: Floats) -> Floats:
    """To whole multiples of the resolution (0: as they are), free of the dust of binary fractions."""
    step = np.where(resolution > 0, resolution, 1.0)
    return np.where(resolution > 0, np.round(np.rint(value / step) * step, 6), value)
