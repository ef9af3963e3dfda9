"""The storm over the whole city: water is whole, inlets may be clogged, gullies leave nothing standing."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra `flood` is not installed")

from gis import drainage
from gis.city import City, sample_city
from simulators.flood import EXCHANGE_S, Flood, Ground, ground_of
from simulators.physics.drains import Busy


@pytest.fixture(scope="module")
def city() -> City:
    return sample_city(1)


@pytest.fixture(scope="module")
def ground(city: City) -> Ground:
    return ground_of(city)


def play(flood: Flood, minutes: int, years: float = 100.0) -> tuple[bytes, float]:
    """(all depths at the end, water adrift); closes it."""
    rain = drainage.storm(years)
    try:
        for step in range(minutes * 60 // EXCHANGE_S):
            flood.step(rain[step * EXCHANGE_S // 300])
        return flood.surface.depth_m.tobytes(), flood.adrift()
    finally:
        flood.close()


def test_no_water_is_made_or_lost_and_one_storm_is_the_same_twice(city: City, ground: Ground) -> None:
    first, second = (play(Flood(city, ground, hours=0.5), 15) for _ in range(2))
    assert first == second
    assert first[1] <= 1e-4


def test_the_engine_serves_one_network_at_a_time(city: City, ground: Ground) -> None:
    flood = Flood(city, ground, hours=0.5)
    try:
        with pytest.raises(Busy):
            Flood(city, ground, hours=0.5)
    finally:
        flood.close()


def test_a_clogged_inlet_takes_its_share_and_a_cleaned_one_all_again(city: City, ground: Ground) -> None:
    flood = Flood(city, ground, hours=0.5)
    clean = flood.takes_m3s.copy()
    names = flood.near("UP-03", 30)
    rows = [flood.manholes.index(name) for name in names]
    flood.clog(names, 0.1)
    assert np.allclose(flood.takes_m3s[rows], 0.1 * clean[rows])
    assert np.count_nonzero(flood.takes_m3s != clean) <= 30
    flood.clog(names, 1.0)
    flood.close()
    assert np.array_equal(flood.takes_m3s, clean)


def test_every_way_down_an_underpass_ends_at_a_gully(ground: Ground) -> None:
    bed, columns = ground.bed_m.reshape(-1), ground.bed_m.shape[1]
    for id_, cells in ground.underpasses.items():
        own, gullies = set(cells.tolist()), set(ground.gullies(id_).tolist())
        for cell in cells.tolist():
            at = cell
            while at not in gullies:
                around = [each for each in (at - columns, at - 1, at + 1, at + columns) if each in own]
                lower = min(around, key=lambda each: bed[each])
                assert bed[lower] < bed[at]
                at = lower
