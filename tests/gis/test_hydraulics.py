"""The supply model can be acted upon while it runs, and acts have physical effects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gis.hydraulics import Hydraulics, HydraulicsFailed

SIDE = 6
BURST = "h2_2"


def grid() -> str:
    """A square of streets, 6 × 6 crossings 100 m apart, one source at a corner with 40 m of head."""
    junctions = [f"n{x}_{y} 0 1.5" for x in range(SIDE) for y in range(SIDE)]
    pipes = [f"h{x}_{y} n{x}_{y} n{x + 1}_{y} 100 150 120" for x in range(SIDE - 1) for y in range(SIDE)]
    pipes += [f"v{x}_{y} n{x}_{y} n{x}_{y + 1} 100 150 120" for x in range(SIDE) for y in range(SIDE - 1)]
    pipes += ["in source n0_0 50 300 120"]
    parts = {
        "JUNCTIONS": junctions, "RESERVOIRS": ["source 40"], "PIPES": pipes,
        "OPTIONS": ["Units CMH", "Headloss H-W"], "TIMES": ["Duration 24:00", "Hydraulic Timestep 0:05"],
    }  # fmt: skip
    return "\n".join(f"[{name}]\n" + "\n".join(lines) for name, lines in parts.items()) + "\n[END]\n"


@pytest.fixture
def model() -> Iterator[Hydraulics]:
    with Hydraulics(grid(), split=[BURST], live=True) as opened:
        yield opened


def test_a_burst_lowers_the_pressures_around_it_and_closing_both_halves_stops_it(model: Hydraulics) -> None:
    calm = model.advance(5).pressure_mpa
    model.burst(BURST, 22.0, at_mpa=float(calm[model.node[BURST + "~m"]]))
    broken = model.advance(5).pressure_mpa
    assert 11 < model.burst_lps(BURST) < 22
    assert np.sum(calm - broken > 0.01) >= 3

    model.close_link(BURST)
    model.advance(5)
    assert model.burst_lps(BURST) > 8, "one half closed: it is still fed from the other side"
    model.close_link(BURST + "~b")
    closed = model.advance(5).pressure_mpa
    assert model.burst_lps(BURST) < 0.003
    others = np.arange(len(model.node_ids)) != model.node[BURST + "~m"]
    assert np.abs(closed - calm)[others].max() < 0.003


def test_a_repaired_pipe_carries_water_as_before(model: Hydraulics) -> None:
    calm = model.advance(5).pressure_mpa
    model.burst(BURST, 14.0, at_mpa=0.3)
    model.advance(5)
    model.burst(BURST, 0.0, at_mpa=0.3)
    assert np.allclose(model.advance(5).pressure_mpa, calm, atol=1e-4)


def test_what_comes_in_is_what_is_taken(model: Hydraulics) -> None:
    model.set_demand_factor(1.5)
    model.burst(BURST, 8.0, at_mpa=0.3)
    solved = model.advance(60)
    inflow = solved.flow_lps[model.link["in"]]
    assert inflow == pytest.approx(solved.demand_lps[model.junction].sum(), rel=1e-3)
    assert inflow == pytest.approx(SIDE * SIDE * 1.5 * 1.5 / 3.6 + model.burst_lps(BURST), rel=0.02)


def test_time_goes_on_by_the_step_asked_for(model: Hydraulics) -> None:
    assert [model.advance(dt).time_s for dt in (5, 60, 1, 5)] == [0, 5, 65, 66]


def test_a_part_cut_off_from_its_source_loses_its_pressure_and_nothing_fails(model: Hydraulics) -> None:
    model.close_link("in")
    for _ in range(3):
        dry = model.advance(5)
    assert dry.pressure_mpa[model.junction].max() < 0.01
    model.close_link("in", closed=False)
    assert model.advance(5).pressure_mpa[model.junction].min() > 0.2


def test_a_leak_of_the_engines_own_kind_grows_with_its_area(model: Hydraulics) -> None:
    taken = []
    for area_mm2 in (0.0, 500.0, 1000.0, 0.0):
        model.set_leak("v3_3", area_mm2)
        taken.append(model.advance(5).flow_lps[model.link["in"]])
    assert taken[1] - taken[0] == pytest.approx((taken[2] - taken[0]) / 2, rel=0.05)
    assert taken[3] == pytest.approx(taken[0], abs=1e-3)


def test_a_model_that_is_not_live_ends_with_its_own_duration() -> None:
    with Hydraulics(grid()) as model:
        times = [state.time_s for state in model.run()]
    assert times[0] == 0
    assert times[-1] == 24 * 3600


def test_text_that_is_no_network_is_refused_with_the_engines_words() -> None:
    with pytest.raises(HydraulicsFailed, match="Error"):
        Hydraulics("[JUNCTIONS]\n a b c\n[PIPES]\n p a z 1 1\n[END]\n")


def test_the_same_acts_give_the_same_numbers_twice() -> None:
    def run() -> np.ndarray:
        with Hydraulics(grid(), split=[BURST], live=True) as model:
            pressures = []
            for turn in range(20):
                model.set_demand_factor(1 + 0.1 * np.sin(turn))
                if turn == 7:
                    model.burst(BURST, 11.0, 0.3)
                pressures.append(model.advance(5).pressure_mpa)
            return np.array(pressures)

    assert run().tobytes() == run().tobytes()
