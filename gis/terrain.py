"""The ground under a city: smooth, gentle, made from a seed. Heights in metres above the city's datum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gis.lines import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Terrain:
    """A sum of plane waves over a mean height; the lower wave lengths carry less of the relief."""

    mean_m: float
    waves: Floats  # (n, 4): wave number east and north in 1/m, phase, amplitude in m

    @classmethod
    def make(
        cls, rng: np.random.Generator, mean_m: float = 3.8, relief_m: float = 0.9, waves: int = 24
    ) -> Self:
        """Ground that stays within about ± `relief_m` of its mean."""
        length = rng.uniform(350.0, 4_000.0, waves)
        direction = rng.uniform(0.0, 2 * np.pi, waves)
        amplitude = length / length.sum() * relief_m * 1.8
        number = 2 * np.pi / length
        return cls(
            mean_m,
            np.column_stack(
                [
                    number * np.cos(direction),
                    number * np.sin(direction),
                    rng.uniform(0.0, 2 * np.pi, waves),
                    amplitude,
                ]
            ),
        )

    def height_m(self, x: ArrayLike, y: ArrayLike) -> Floats:
        """Ground height at places of the city's plane."""
        east, north = np.asarray(x, np.float64), np.asarray(y, np.float64)
        height: NDArray[np.float64] = np.full(np.broadcast_shapes(east.shape, north.shape), self.mean_m)
        for kx, ky, phase, amplitude in self.waves:
            height = height + amplitude * np.sin(kx * east + ky * north + phase)
        return height
