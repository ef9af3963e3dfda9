"""Storm-25: the incidents look like their physics, one seed gives one storm."""

from __future__ import annotations

import numpy as np
import pytest

from simulators import storms
from simulators.storms import Storm


@pytest.fixture(scope="module")
def storm() -> Storm:
    return storms.make(3, 300)


def test_twenty_five_incidents_of_five_kinds_each_with_alarms(storm: Storm) -> None:
    assert [cause.kind for cause in storm.causes] == ["burst", "blockage", "gas", "dust", "fire"] * 5
    assert np.bincount(storm.truth[storm.truth >= 0], minlength=25).min() >= 3
    assert abs(np.count_nonzero(storm.truth < 0) - 1800) < 200
    assert np.all(np.diff(storm.time_s) >= 0)


def test_alarms_follow_their_cause_and_lie_near_it(storm: Storm) -> None:
    for row, label in enumerate(storm.truth.tolist()):
        if label >= 0:
            cause = storm.causes[label]
            sensor = storm.sensor[row]
            away = np.hypot(storm.sensors.x_m[sensor] - cause.x_m, storm.sensors.y_m[sensor] - cause.y_m)
            assert 0 < storm.time_s[row] - cause.time_s < 3600
            assert away < 1700


def test_a_burst_stays_in_its_district_and_water_runs_downhill(storm: Storm) -> None:
    for label, cause in enumerate(storm.causes):
        rows = storm.sensor[(storm.truth == label)]
        if cause.kind == "burst":
            ws = rows[np.char.startswith(storm.sensors.kind[rows], "ws_")]
            assert len(np.unique(storm.sensors.zone[ws])) == 1
        if cause.kind == "blockage":
            levels = rows[storm.sensors.kind[rows] == "dr_manhole_level"]
            start = int(np.flatnonzero(storm.sensors.asset == cause.asset)[0])
            for row in levels.tolist():
                at, steps = row, 0
                while at != start and steps < 12:
                    at, steps = int(storm.sensors.below[at]), steps + 1
                assert at == start


def test_no_drain_runs_in_a_circle(storm: Storm) -> None:
    at = storm.sensors.of("dr_manhole_level")
    for _ in range(2000):
        at = storm.sensors.below[at[at >= 0]]
        if not len(at):
            return
    raise AssertionError("water runs in a circle")


def test_one_seed_gives_one_storm() -> None:
    one, same, other = storms.make(5, 50), storms.make(5, 50), storms.make(6, 50)
    assert one.time_s.tobytes() == same.time_s.tobytes()
    assert one.rule == same.rule
    assert len(one) != len(other) or one.time_s.tobytes() != other.time_s.tobytes()


def test_more_false_alarms_leave_the_incidents_as_they_are() -> None:
    calm, loud = storms.make(4, 50), storms.make(4, 1500)
    assert [cause.time_s for cause in calm.causes] == [cause.time_s for cause in loud.causes]
    assert np.count_nonzero(calm.truth >= 0) == np.count_nonzero(loud.truth >= 0)
