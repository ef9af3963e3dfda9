"""A night of alarms with known causes: the product's correlation among false alarms."""

from __future__ import annotations

import pytest

from app.score import grouping, storm
from core.domains import Domains
from events.engine import load_model
from iot import kinds
from simulators import storms


@pytest.mark.parametrize(("rate", "found", "precision"), [(300, 0.92, 0.8), (900, 0.88, 0.6)])
def test_incidents_are_found_among_false_alarms(
    shipped: Domains, rate: int, found: float, precision: float
) -> None:
    night = storms.make(3, rate)
    model = load_model(shipped, kinds.load(shipped))
    done = storm.correlate(night, model.types)
    assert grouping.b3f(night.truth, done.said) > 0.97
    assert done.found.recall >= found
    assert done.found.precision >= precision


def test_water_runs_down_the_drains_of_a_storm() -> None:
    night = storms.make(3, 0)
    drains = storm.Drains(night)
    sensors = night.sensors
    upper = int((sensors.below >= 0).nonzero()[0][0])
    lower = int(sensors.below[upper])
    metres = drains.downstream_m(str(sensors.asset[upper]), str(sensors.asset[lower]))
    assert metres is not None
    assert metres > 0
    assert drains.downstream_m(str(sensors.asset[lower]), str(sensors.asset[upper])) is None
    assert drains.along_m(str(sensors.asset[lower]), str(sensors.asset[upper])) == metres
