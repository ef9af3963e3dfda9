"""The storm over the whole city: water is whole, and clogged inlets flood the underpass they lie around."""

from __future__ import annotations

import pytest

pytest.importorskip("numba", reason="the extra `flood` is not installed")

from gis import drainage
from gis.city import City, sample_city
from simulators.flood import EXCHANGE_S, Flood, Ground, ground_of
from simulators.physics.drains import Busy

UNDERPASS = "UP-02"


@pytest.fixture(scope="module")
def city() -> City:
    return sample_city(1)


@pytest.fixture(scope="module")
def ground(city: City) -> Ground:
    return ground_of(city)


def play(flood: Flood, minutes: int, years: float = 100.0) -> tuple[float, bytes, float]:
    """(deepest in the underpass, all depths at the end, water adrift); closes it."""
    rain = drainage.storm(years)
    deepest = 0.0
    try:
        for step in range(minutes * 60 // EXCHANGE_S):
            flood.step(rain[step * EXCHANGE_S // 300])
            deepest = max(deepest, flood.underpass_m(UNDERPASS))
        return deepest, flood.surface.depth_m.tobytes(), flood.adrift()
    finally:
        flood.close()


def test_no_water_is_made_or_lost_and_one_storm_is_the_same_twice(city: City, ground: Ground) -> None:
    first, second = (play(Flood(city, ground, hours=0.5), 15) for _ in range(2))
    assert first == second
    assert first[2] <= 1e-4


def test_the_engine_serves_one_network_at_a_time(city: City, ground: Ground) -> None:
    flood = Flood(city, ground, hours=0.5)
    try:
        with pytest.raises(Busy):
            Flood(city, ground, hours=0.5)
    finally:
        flood.close()


@pytest.mark.long
def test_a_storm_of_100_years_floods_the_underpass_measurably_deeper_where_inlets_are_clogged(
    city: City, ground: Ground
) -> None:
    clean, _, adrift = play(Flood(city, ground, hours=2.0), 100)
    flood = Flood(city, ground, hours=2.0)
    names = flood.near(UNDERPASS, 30)
    flood.close()
    clogged, _, also = play(Flood(city, ground, hours=2.0, clogged=dict.fromkeys(names, 0.1)), 100)
    assert max(adrift, also) <= 1e-4
    assert clogged > clean + 0.25
