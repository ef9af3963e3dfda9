"""The scored run of redeployment, on a small scale; the whole is in docs/BENCHMARKS.md."""

from __future__ import annotations

import numpy as np

from app.score import dispatch


def test_waiting_where_coverage_says_makes_fewer_arrivals_late_for_as_many_kilometres() -> None:
    static = dispatch.play(range(2), 1, posts=None)
    moving = dispatch.play(range(2), 1, posts=dispatch.POSTS)
    assert static.calls == moving.calls
    assert moving.late_share < static.late_share - 0.08
    assert 0.85 < moving.km / static.km < 1.1


def test_the_same_seed_gives_the_same_bytes_and_every_call_is_answered_once() -> None:
    city = dispatch.make_city(3, 4)
    calls = dispatch.make_calls(3, city, 1)
    times, km = dispatch.Run(city, calls, dispatch.coverage_of(city)).play()
    again, km_again = dispatch.Run(city, calls, dispatch.coverage_of(city)).play()
    assert times.tobytes() == again.tobytes()
    assert km == km_again
    assert np.isfinite(times).all()
    assert (times >= dispatch.TURN_OUT_S).all()


def test_a_crew_is_where_its_way_has_brought_it() -> None:
    fleet = dispatch.Fleet(np.array([[0.0, 0.0]]))
    arrives_s = fleet.go(0, np.array([300.0, 400.0]), 10.0, 5.0)
    assert arrives_s == 15.0 + 700.0 / dispatch.SPEED_M_S
    assert fleet.where(12.0).tolist() == [[0.0, 0.0]]
    assert fleet.where(15.0 + 350.0 / dispatch.SPEED_M_S)[0].tolist() == [300.0, 50.0]
    fleet.go(0, np.array([0.0, 0.0]), 15.0 + 350.0 / dispatch.SPEED_M_S)
    assert fleet.finish() == 700.0
