"""What a crew shuts really stops the leak: the valves that the map recommends, in the hydraulics of the city."""

from __future__ import annotations

import numpy as np
import pytest

from core.clock import SECOND_US
from gis.city import City, sample_city
from gis.hydraulics import SECOND_HALF, Hydraulics
from simulators.physics.supply import Gauge, Supply
from simulators.sample import places_of

BEGUN_US = 1_795_300_000_000_000


@pytest.fixture(scope="module")
def city() -> City:
    return sample_city(1)


def test_closing_the_recommended_valves_ends_the_leak_and_brings_the_pressures_back(city: City) -> None:
    places, network = places_of(city), city.networks["water_supply"]
    pipe = places.burst.asset
    told = network.isolating_valves(pipe)
    with Hydraulics(places.inp, split=[pipe], live=True) as model:
        gauges = [Gauge(node=spot.node) for spot in places.loggers]
        supply = Supply(model, places.pattern, gauges, seed=1, offset_us=0)
        now = iter(range(BEGUN_US, BEGUN_US + 3600 * SECOND_US, 10 * SECOND_US))
        supply.step(next(now))
        calm = supply.now.copy()
        supply.burst(pipe, 200.0)
        supply.step(next(now))
        burst = supply.now.copy()
        assert supply.loss_m3h(pipe) > 100
        assert (calm - burst).max() > 0.02
        for valve in told.valves:
            row = network.valves.id.index(valve)
            edge = network.edge_ids[network.valves.edge[row]]
            at_head = network.valves.node[row] == network.head[network.valves.edge[row]]
            model.close_link(pipe + SECOND_HALF if edge == pipe and at_head else edge)
        supply.at_once()
        supply.step(next(now))
        assert supply.loss_m3h(pipe) == pytest.approx(0.0, abs=0.1)  # the engine gives a closed pipe a trace
        dry = np.array([spot.node in told.nodes for spot in places.loggers])
        assert not dry.all()
        assert np.abs(supply.now - calm)[~dry].max() < 0.01
