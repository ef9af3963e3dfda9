"""Water on the ground: at rest, whole, and as the analytic solution has it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("numba", reason="the extra `flood` is not installed")

from simulators.physics.surface import Surface

Floats = NDArray[np.float64]


def hills(rows: int, columns: int, seed: int = 3) -> Floats:
    bed: Floats = np.random.default_rng(seed).uniform(0.0, 2.0, (rows, columns))
    return bed


def test_a_lake_over_hills_stays_at_rest() -> None:
    ground = Surface(hills(40, 30), 10.0)
    ground.depth_m[:] = 3.0 - ground.bed_m
    ground.advance(3600)
    assert ground.fastest_m2s <= 1e-12
    assert np.abs(ground.bed_m + ground.depth_m - 3.0).max() <= 1e-12


def test_islands_stay_dry_in_a_lake_at_rest() -> None:
    ground = Surface(hills(40, 30), 10.0)
    ground.depth_m[:] = np.maximum(1.0 - ground.bed_m, 0.0)
    before = ground.depth_m.copy()
    ground.advance(3600)
    assert np.abs(ground.depth_m - before).max() <= 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_a_cloudburst_on_dry_hills_neither_makes_nor_loses_water(seed: int) -> None:
    ground = Surface(hills(50, 60, seed), 5.0)
    fallen = 0.0
    for _ in range(120):
        ground.depth_m += 0.12 / 3600 * 10
        fallen += 0.12 / 3600 * 10 * ground.depth_m.size * 25
        ground.advance(10)
    assert ground.volume_m3 == pytest.approx(fallen, rel=1e-9)
    assert ground.depth_m.min() >= 0


def test_a_dam_that_breaks_spreads_the_same_way_to_all_sides() -> None:
    ground = Surface(np.zeros((41, 41)), 10.0)
    ground.depth_m[20, 20] = 5.0
    ground.advance(60)
    assert ground.depth_m == pytest.approx(ground.depth_m[::-1], abs=1e-9)
    assert ground.depth_m == pytest.approx(ground.depth_m[:, ::-1], abs=1e-9)
    assert ground.depth_m == pytest.approx(ground.depth_m.T, abs=1e-9)


def wave(x: Floats, t: float, speed: float, n: float) -> Floats:
    """Depth of a wave of constant speed on a flat plane with friction (Hunter et al. 2005)."""
    depth: Floats = np.maximum(7 / 3 * n**2 * speed**2 * (speed * t - x), 0.0) ** (3 / 7)
    return depth


@pytest.mark.parametrize(("speed", "n", "cell"), [(0.4, 0.03, 10.0), (0.635, 0.05, 25.0)])
def test_a_wave_on_a_plane_runs_as_the_analytic_solution_has_it(speed: float, n: float, cell: float) -> None:
    ground = Surface(np.zeros((3, 400)), cell, n)
    x: Floats = (np.arange(400.0) + 0.5) * cell
    for second in range(2, 3602, 2):
        ground.depth_m[:, 0] = wave(x[:1], second, speed, n)
        ground.advance(2)
    right = wave(x, 3600, speed, n)
    error = float(np.sqrt(np.mean((ground.depth_m[1] - right)[right > 0] ** 2)))
    front = x[np.flatnonzero(ground.depth_m[1] > 0.02)[-1]]
    assert error < 0.03 * right.max()
    assert front == pytest.approx(speed * 3600, rel=0.04)


def test_one_beginning_gives_the_same_bytes_twice() -> None:
    def run() -> bytes:
        ground = Surface(hills(30, 30), 5.0)
        ground.depth_m[5:10, 5:10] = 2.0
        ground.advance(300)
        return ground.depth_m.tobytes()

    assert run() == run()
