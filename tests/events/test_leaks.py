"""Leaks among the noise of a district: what is announced, where, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

from events import leak_field
from events.leak_field import Doubt, Field, Signals
from events.leaks import LEARNING_DAYS, Course, Finder, Found

PIPES = 40
COORDINATES = 30
DAYS = LEARNING_DAYS + 40


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def field(rng: np.random.Generator) -> Field:
    """Pipes along a street of 40 × 100 m, each looking much like its neighbours, at every size alike."""
    at = np.arange(PIPES)
    apart = 100.0 * np.abs(at[:, None] - at)
    smooth = np.exp(-((apart / 400.0) ** 2))
    looks = smooth @ rng.normal(size=(PIPES, COORDINATES)) / 3
    return Field(
        tuple(f"p{n}" for n in at),
        np.eye(COORDINATES),
        rng.uniform(0, 20, COORDINATES),
        np.stack([looks] * 3),
        apart,
    )


def said(field: Field, rng: np.random.Generator, *leaks: tuple[int, Course, float]) -> np.ndarray:
    days = rng.normal(size=(DAYS, COORDINATES)) + rng.normal(size=COORDINATES) * np.sqrt(field.lasting)
    for pipe, course, flow in leaks:
        days += np.outer(course.of(DAYS), flow * field.looks[0, pipe])
    return days


def announced(field: Field, days: np.ndarray) -> list[tuple[int, Found]]:
    finder = Finder(field)
    return [(n, found) for n in range(1, len(days) + 1) for found in finder.day(days[:n])]


def test_nothing_is_announced_where_nothing_leaks(field: Field, rng: np.random.Generator) -> None:
    assert announced(field, said(field, rng)) == []


def test_a_leak_is_announced_once_within_days_and_in_reach(field: Field, rng: np.random.Generator) -> None:
    begun = LEARNING_DAYS + 10
    ((day, found),) = announced(field, said(field, rng, (12, Course(begun), 15.0)))
    assert begun < day <= begun + 6
    assert field.apart_m[int(found.pipe[1:]), 12] <= 300
    assert found.flow_m3h == pytest.approx(15.0, rel=0.3)
    assert found.chance > 0.5


def test_two_leaks_are_told_apart_and_an_end_hides_no_later_one(
    field: Field, rng: np.random.Generator
) -> None:
    first, second = LEARNING_DAYS + 3, LEARNING_DAYS + 24
    days = said(field, rng, (5, Course(first, end=first + 15), 20.0), (30, Course(second), 12.0))
    places = [(day, int(found.pipe[1:])) for day, found in announced(field, days)]
    assert [field.apart_m[place, true] <= 300 for (_, place), true in zip(places, (5, 30), strict=True)] == [
        True,
        True,
    ]
    assert places[1][0] > second


def test_a_leak_that_grows_is_announced_while_it_grows(field: Field, rng: np.random.Generator) -> None:
    begun = LEARNING_DAYS + 2
    found = announced(field, said(field, rng, (20, Course(begun, 60), 40.0)))
    assert found
    assert found[0][0] < begun + 35
    assert field.apart_m[int(found[0][1].pipe[1:]), 20] <= 300


def test_a_course_is_unsure_on_the_days_of_its_ends_only() -> None:
    course = Course(5, end=9)
    assert course.of(12).tolist() == [0] * 5 + [1] * 4 + [0] * 3
    assert course.unsure(12).tolist() == [1, 1, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]
    assert Course(None).of(3).tolist() == [1, 1, 1]
    assert Course(0, 4).of(5).tolist() == [0.125, 0.375, 0.625, 0.875, 1.0]


def test_the_constant_of_a_zone_is_its_leakage_whatever_its_customers_scale_to(
    rng: np.random.Generator,
) -> None:
    usual = np.stack(
        [50 + 30 * np.sin(np.arange(168) / 24 * 2 * np.pi), 10 + 5 * np.sin(np.arange(168) / 12)]
    )
    hours = 24 * 14
    taken = np.column_stack([1.1 * np.resize(usual[0], hours) + 7.0, 0.9 * np.resize(usual[1], hours) + 2.0])
    trusted = rng.random(hours) > 0.1
    taken[~trusted] = 999.0
    days = leak_field.days(np.zeros((hours, 3)), taken, usual, trusted, 4)
    assert days.shape == (14, 4 * 3 + 2)
    assert days[:, -2:] == pytest.approx(np.tile([7.0, 2.0], (14, 1)))


def test_a_field_shows_a_leak_at_the_flow_it_has(rng: np.random.Generator) -> None:
    """What a day's vector holds of a leak at a pipe, in the field's coordinates, is that pipe's look times the flow."""
    nodes, gauges = 12, 5
    signals = Signals(
        rng.normal(size=(3, 4, gauges + 1, nodes)), rng.normal(size=(4, gauges + 1, 8)),
        rng.uniform(1, 2, (nodes, 2)), rng.uniform(0.5, 1.5, (2, 4)), np.array([0] * 9 + [1] * 3),
    )  # fmt: skip
    ends = np.array([[n, n + 1] for n in range(nodes - 1)])
    field = leak_field.field_of(signals, tuple(map(str, range(11))), ends, np.zeros((11, 11)), Doubt())
    assert field.whiten.shape[1] == 4 * (gauges + 1) + 2
    assert field.looks.shape == (3, len(field.pipes), len(field.lasting))
    assert (field.lasting >= 0).all()
