"""A break is placed by how far each logger of its district fell, and by those that did not."""

from __future__ import annotations

import numpy as np
import pytest

from events.breaks import Located, chances, smoothed
from events.place import Heard
from gis.breaks import Breaks, Falls
from gis.city import City, sample_city

ZONE = "DMA-04"


@pytest.fixture(scope="module")
def city() -> City:
    return sample_city(1)


#: Two pipes and three loggers: a break of `east` is felt in the east.
FALLS = Falls(
    ("west", "east"),
    {"w": 0, "m": 1, "e": 2},
    np.array([0, 1]),
    np.array([[0.08, 0.05, 0.01], [0.01, 0.05, 0.08]]),
)


def test_the_pipe_whose_break_would_fall_so_is_the_likeliest() -> None:
    chance = chances(FALLS, Heard({"w": 0.06, "m": 0.04}, {}))
    assert chance is not None
    assert chance["west"] > 0.99
    assert sum(chance.values()) == pytest.approx(1)


def test_a_logger_that_stayed_silent_speaks_against_a_break_beside_it() -> None:
    without, beside = (chances(FALLS, Heard({"m": 0.05}, silent)) for silent in ({}, {"e": 0.05}))
    assert without is not None
    assert beside is not None
    assert without["west"] == pytest.approx(0.5)
    assert beside["west"] > 0.95


def test_loggers_that_the_model_does_not_know_say_nothing() -> None:
    assert chances(FALLS, Heard({"elsewhere": 0.1}, {"w": 0.05})) is None


def test_a_pipe_counts_for_its_neighbours_too() -> None:
    shares = smoothed({"a": 0.3, "b": 0.3, "far": 0.4}, {"a": (0, 0), "b": (50, 0), "far": (2000, 0)})
    assert max(shares, key=lambda pipe: shares[pipe]) != "far"
    assert sum(shares.values()) == pytest.approx(1)


def test_breaks_of_the_sample_city_are_placed_within_reach_of_a_crew(city: City) -> None:
    falls, located = Breaks(city).falls(ZONE), Located(city)
    assert falls is not None
    loggers = list(falls.nodes)[::6]
    at_loggers = falls.fall_mpa[:, [falls.nodes[node] for node in loggers]]
    felt = np.flatnonzero((at_loggers > 0.05).sum(axis=1) >= 2)
    for row in felt[:: len(felt) // 6].tolist():
        fall = dict(zip(loggers, at_loggers[row].tolist(), strict=True))
        said = {node: mpa for node, mpa in fall.items() if mpa >= 0.05}
        pipes = located(ZONE, Heard(said, dict.fromkeys(fall.keys() - said.keys(), 0.05)))
        true = city.plane.xy(*city.assets[falls.pipes[falls.pipe[row]]].lonlat)
        assert np.hypot(*np.subtract(city.plane.xy(pipes[0].lon, pipes[0].lat), true)) <= 300
        assert [pipe.chance for pipe in pipes] == sorted((pipe.chance for pipe in pipes), reverse=True)


def test_of_a_district_that_is_not_on_the_map_nothing_is_said(city: City) -> None:
    assert Located(city)("DMA-99", Heard({"J-0001": 0.1}, {})) == []
