"""Gas and fire give the numbers of the literature."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.physics import fire, gas
from simulators.physics.fire import HeatHead
from simulators.physics.gas import Chamber


@pytest.mark.parametrize(("pressure_pa", "m3h"), [(2.5e3, 4.8), (0.2e6, 42.8), (0.4e6, 71.0)])
def test_a_hole_of_five_millimetres_lets_out_what_others_computed(pressure_pa: float, m3h: float) -> None:
    assert gas.orifice_m3h(5.0, pressure_pa) == pytest.approx(m3h, rel=0.02)


@given(st.floats(0, 7e5), st.floats(0, 7e5), st.floats(0.1, 50))
def test_more_pressure_and_a_wider_hole_let_out_more(one: float, other: float, diameter: float) -> None:
    low, high = sorted((one, other))
    assert gas.orifice_m3h(diameter, low) <= gas.orifice_m3h(diameter, high) + 1e-9
    assert gas.orifice_m3h(2 * diameter, high) == pytest.approx(4 * gas.orifice_m3h(diameter, high), rel=1e-6)


def test_a_chamber_ten_metres_away_reaches_the_steps_of_an_alarm_within_minutes() -> None:
    """Published run: 10 / 25 / 50 %LEL at 18 / 19.5 / 21.5 min."""
    share, delay = gas.through_soil(10.0)
    chamber, leak = Chamber(share=share, delay_s=delay), gas.orifice_m3h(5.0, 0.2e6)
    reached: dict[int, float] = {}
    for second in range(0, 3600, 10):
        chamber.step(10.0, leak, second)
        for step in (10, 25, 50):
            if chamber.lel_pct >= step:
                reached.setdefault(step, second / 60)
    assert reached[10] == pytest.approx(18.0, abs=2.5)
    assert reached[25] == pytest.approx(19.5, abs=2.5)
    assert reached[50] == pytest.approx(21.5, abs=2.5)


def test_a_chamber_settles_where_what_comes_in_is_what_goes_out_and_airs_out_after() -> None:
    chamber = Chamber(volume_m3=6.0, changes_h=2.0, share=0.01, delay_s=0.0)
    for _ in range(2000):
        chamber.step(60.0, 10.0, 1.0)
    assert chamber.methane == pytest.approx(0.1 / (6.0 * 2.0))
    for _ in range(300):
        chamber.step(60.0, 0.0, 1.0)
    assert chamber.methane < 1e-5


@pytest.mark.parametrize(
    ("growth", "smoke", "heat", "sprinkler"),
    [("fast", 33, 98, 126), ("medium", 65, 171, 217), ("slow", 130, 313, 391)],
)
def test_detectors_respond_when_published(growth: str, smoke: float, heat: float, sprinkler: float) -> None:
    """H = 3 m, r = 2.5 m: smoke (13 K), heat detector (RTI 30, 57 °C), sprinkler (RTI 50, 68 °C)."""
    assert fire.smoke_seconds(growth, 3.0, 2.5) == pytest.approx(smoke, abs=1.5)
    assert fire.heat_seconds(growth, 3.0, 2.5, HeatHead(30, 57)) == pytest.approx(heat, abs=2.5)
    assert fire.heat_seconds(growth, 3.0, 2.5, HeatHead(50, 68)) == pytest.approx(sprinkler, abs=2.5)


def test_farther_from_the_fire_it_is_cooler_and_slower() -> None:
    near, far = (fire.ceiling_jet(500.0, 3.0, radius) for radius in (1.0, 6.0))
    assert near[0] > far[0] > 0
    assert near[1] > far[1] > 0
    assert fire.ceiling_jet(0.0, 3.0, 1.0) == (0.0, 0.0)
