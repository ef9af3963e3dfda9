"""Water on the ground: a grid of cells with local inertia, as it is used for floods in streets.

Bates, Horritt & Fewtrell (2010), with the stabilisation of de Almeida et al. (2012). A cell never gives more than it
holds, so water is neither made nor lost. Lengths m, times s; rows run north, columns east.

Compiled by numba: one core, one order of operations, hence one result.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

G = 9.81
#: Share of the Courant limit, and how much of a flux its neighbours decide.
COURANT, THETA = 0.7, 0.9
#: Below this a cell is dry.
DRY_M = 1e-4
LONGEST_S = 10.0
#: h^(7/3) from a table: steps of half a millimetre up to 25 m.
TABLE_STEP_M, TABLE_M = 0.0005, 25.0


def _face(upper: float, upper_h: float, lower: float, lower_h: float) -> tuple[float, float]:
    """Depth of flow over the face between two cells, and the fall of the surface towards the second."""
    one, other = upper + upper_h, lower + lower_h
    return max(one, other) - max(upper, lower), one - other


_face_fast = numba.njit(inline="always")(_face)


def _flux(  # noqa: PLR0913, PLR0917 - the terms of the equation
    q: float, near: float, flow: float, fall: float, dt: float, size: float, n2: float, h73: float
) -> float:
    mixed = THETA * q + (1.0 - THETA) * near
    return (mixed + G * flow * dt * fall / size) / (1.0 + G * dt * n2 * abs(q) / h73)


_flux_fast = numba.njit(inline="always")(_flux)


@numba.njit(cache=True)
def _step(  # noqa: PLR0913, PLR0917, C901, PLR0912 - one pass over the grid, flat
    bed: Floats,
    h: Floats,
    east: Floats,
    north: Floats,
    out: Floats,
    table: Floats,
    n2: Floats,
    dt: float,
    size: float,
) -> float:
    """Move the water for dt; the greatest depth. east[i, j] is the flux m²/s from cell (i, j-1) to (i, j)."""
    rows, columns = h.shape
    last = table.shape[0] - 1
    for i in range(rows):
        before = 0.0
        for j in range(1, columns):
            flow, fall = _face_fast(bed[i, j - 1], h[i, j - 1], bed[i, j], h[i, j])
            old = east[i, j]
            after = east[i, j + 1] if j + 1 < columns else 0.0
            if flow > DRY_M:
                row = min(int(flow / TABLE_STEP_M + 0.5), last)
                near = 0.5 * (before + after)
                rough = 0.5 * (n2[i, j - 1] + n2[i, j])
                east[i, j] = _flux_fast(old, near, flow, fall, dt, size, rough, table[row])
            else:
                east[i, j] = 0.0
            before = old
    for j in range(columns):
        out[0, j] = 0.0  # holds the flux before last of each column
    for i in range(1, rows):
        for j in range(columns):
            flow, fall = _face_fast(bed[i - 1, j], h[i - 1, j], bed[i, j], h[i, j])
            old = north[i, j]
            after = north[i + 1, j] if i + 1 < rows else 0.0
            if flow > DRY_M:
                row = min(int(flow / TABLE_STEP_M + 0.5), last)
                near = 0.5 * (out[0, j] + after)
                rough = 0.5 * (n2[i - 1, j] + n2[i, j])
                north[i, j] = _flux_fast(old, near, flow, fall, dt, size, rough, table[row])
            else:
                north[i, j] = 0.0
            out[0, j] = old
    share = dt / size
    for i in range(rows):  # a cell gives at most what it holds
        for j in range(columns):
            gone = (
                max(-east[i, j], 0.0)
                + max(east[i, j + 1], 0.0)
                + max(-north[i, j], 0.0)
                + max(north[i + 1, j], 0.0)
            )
            held = max(h[i, j], 0.0)  # who takes all from a cell may leave the dust of a rounding behind
            out[i, j] = 1.0 if gone * share <= held else held / (gone * share)
    for i in range(rows):
        for j in range(1, columns):
            east[i, j] *= out[i, j - 1] if east[i, j] > 0 else out[i, j]
    for i in range(1, rows):
        for j in range(columns):
            north[i, j] *= out[i - 1, j] if north[i, j] > 0 else out[i, j]
    deepest = 0.0
    for i in range(rows):
        for j in range(columns):
            left = h[i, j] + share * (east[i, j] - east[i, j + 1] + north[i, j] - north[i + 1, j])
            h[i, j] = max(left, 0.0)
            deepest = max(deepest, left)
    return deepest


class Surface:
    """Cells of one size with a bed; walls all around. Change `depth_m` between steps to add or take water."""

    def __init__(self, bed_m: Floats, cell_m: float, roughness: float | Floats = 0.03) -> None:
        self.bed_m = np.ascontiguousarray(bed_m, np.float64)
        self.cell_m = cell_m
        self.depth_m = np.zeros_like(self.bed_m)
        self.steps = 0
        rows, columns = self.bed_m.shape
        self._east = np.zeros((rows, columns + 1))
        self._north = np.zeros((rows + 1, columns))
        self._out = np.empty_like(self.bed_m)
        self._n2 = np.broadcast_to(np.square(np.asarray(roughness, np.float64)), self.bed_m.shape).copy()
        self._table = np.maximum(np.arange(0.0, TABLE_M, TABLE_STEP_M), TABLE_STEP_M / 2) ** (7 / 3)

    @property
    def volume_m3(self) -> float:
        return float(self.depth_m.sum()) * self.cell_m**2

    @property
    def fastest_m2s(self) -> float:
        """The greatest flux over any face."""
        return float(max(np.abs(self._east).max(), np.abs(self._north).max()))

    def advance(self, seconds: float) -> None:
        """Let the water run. Steps follow the deepest cell (Courant)."""
        deepest = float(self.depth_m.max())
        while seconds > 0:
            longest = COURANT * self.cell_m / math.sqrt(G * deepest) if deepest > DRY_M else LONGEST_S
            dt = min(seconds, longest, LONGEST_S)
            deepest = float(
                _step(
                    self.bed_m, self.depth_m, self._east, self._north, self._out, self._table, self._n2, dt,
                    self.cell_m,
                )
            )  # fmt: skip
            seconds -= dt
            self.steps += 1
