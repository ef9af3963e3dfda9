"""The small physics of the scene: water is neither made nor lost, levels add as energies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.physics import site
from simulators.physics.underpass import Underpass


@given(
    rains=st.lists(st.floats(0, 200), min_size=1, max_size=60),
    dt_s=st.floats(0.2, 30),
    off=st.integers(0, 60),
    on=st.integers(0, 60),
)
def test_an_underpass_neither_makes_nor_loses_water(
    rains: list[float], dt_s: float, off: int, on: int
) -> None:
    pit = Underpass()
    before = pit.in_sump_m3 + pit.on_road_m3
    came = lifted = 0.0
    for turn, rain in enumerate(rains):
        pit.power_ok = not off <= turn < on
        lifted += pit.step(dt_s, rain)
        came += rain / 3.6e6 * pit.runoff * pit.catchment_m2 * dt_s
        assert pit.in_sump_m3 >= 0
        assert pit.on_road_m3 >= 0
    assert pit.in_sump_m3 + pit.on_road_m3 == pytest.approx(before + came - lifted, abs=1e-6)


def flooded(*, power: bool) -> Underpass:
    pit = Underpass(power_ok=power)
    for _ in range(300):
        pit.step(1.0, 120.0)
    return pit


def test_a_cloudburst_floods_it_only_without_power_and_the_pumps_empty_it_again() -> None:
    assert flooded(power=True).depth_m < 0.02
    pit = flooded(power=False)
    assert 0.25 < pit.depth_m < 0.6
    pit.power_ok = True
    for _ in range(600):
        pit.step(1.0, 0.0)
    assert pit.depth_m == pytest.approx(0.0, abs=1e-9)


def test_depth_and_volume_agree() -> None:
    pit = Underpass(on_road_m3=250.0 * 0.27 + 2500 * 0.27**2 / 2)
    assert pit.depth_m == pytest.approx(0.27)


def test_sound_falls_by_six_decibels_when_the_distance_doubles_and_two_equal_sources_are_three_louder() -> (
    None
):
    assert site.at_distance(106, 20) - site.at_distance(106, 40) == pytest.approx(6.02, abs=0.01)
    assert site.together(60, 60) == pytest.approx(63.01, abs=0.01)


def test_night_boring_breaks_the_night_limit_and_day_piling_the_day_limit() -> None:
    assert site.Site(work=site.NIGHT_BORING).level_db(48) > 55 + 10
    assert site.Site(work=site.DAY_PILING).level_db(60) > 70 + 5
    assert site.Site(work=site.IDLE).level_db(48) < 48.1
