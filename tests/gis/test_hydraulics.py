"""The supply model can be acted upon while it runs, and acts have physical effects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gis.hydraulics import HydraulicsError, WaterModel

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
def model() -> Iterator[WaterModel]:
    with WaterModel(grid(), split=[BURST]) as opened:
        yield opened


def test_a_burst_lowers_the_pressures_around_it_and_closing_both_halves_stops_it(model: WaterModel) -> None:
    model.step(5)
    calm = model.pressure_m()
    model.burst(BURST, 80.0, at_pressure_m=float(calm[model.node[BURST + "~m"]]))
    model.step(5)
    broken = model.pressure_m()
    assert 40 < model.burst_m3h(BURST) < 80
    assert np.sum(calm - broken > 1.0) >= 3

    model.set_open(BURST, is_open=False)
    model.step(5)
    assert model.burst_m3h(BURST) > 30, "one half closed: it is still fed from the other side"
    model.set_open(BURST + "~b", is_open=False)
    model.step(5)
    assert model.burst_m3h(BURST) < 0.01
    others = np.arange(len(model.nodes)) != model.node[BURST + "~m"]
    assert np.abs(model.pressure_m() - calm)[others].max() < 0.3


def test_a_repaired_pipe_carries_water_as_before(model: WaterModel) -> None:
    model.step(5)
    calm = model.pressure_m()
    model.burst(BURST, 50.0, at_pressure_m=30.0)
    model.step(5)
    model.burst(BURST, 0.0, at_pressure_m=30.0)
    model.step(5)
    assert np.allclose(model.pressure_m(), calm, atol=0.01)


def test_what_comes_in_is_what_is_taken(model: WaterModel) -> None:
    model.scale_demand(1.5)
    model.burst(BURST, 30.0, at_pressure_m=30.0)
    model.step(60)
    inflow = model.flow_m3h()[model.link["in"]]
    taken = model.demand_m3h()[model.junction].sum()
    assert inflow == pytest.approx(taken, rel=1e-3)
    assert inflow == pytest.approx(SIDE * SIDE * 1.5 * 1.5 + model.burst_m3h(BURST), rel=0.02)


def test_time_goes_on_by_the_step_asked_for(model: WaterModel) -> None:
    assert [model.step(5), model.step(60), model.step(1), model.step(5)] == [0, 5, 65, 66]


def test_a_part_cut_off_from_its_source_loses_its_pressure_and_nothing_fails(model: WaterModel) -> None:
    model.set_open("in", is_open=False)
    for _ in range(3):
        model.step(5)
    assert model.demand_m3h()[model.junction].sum() < 0.1
    model.set_open("in", is_open=True)
    model.step(5)
    assert model.pressure_m()[model.junction].min() > 20


def test_text_that_is_no_network_is_refused_with_the_engines_words() -> None:
    with pytest.raises(HydraulicsError, match="EPANET open"):
        WaterModel("[JUNCTIONS]\n a b c\n[PIPES]\n p a z 1 1\n[END]\n")


def test_one_seed_of_acts_gives_the_same_numbers_twice() -> None:
    def run() -> np.ndarray:
        with WaterModel(grid(), split=[BURST]) as model:
            pressures = []
            for turn in range(20):
                model.scale_demand(1 + 0.1 * np.sin(turn))
                if turn == 7:
                    model.burst(BURST, 40.0, 30.0)
                model.step(5)
                pressures.append(model.pressure_m())
            return np.array(pressures)

    assert run().tobytes() == run().tobytes()
