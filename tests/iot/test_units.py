"""Units: there and back gives the value, and what has no factor is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iot import units

NAMES = units.names()
PAIRS = [(one, other) for one in NAMES for other in NAMES if units.convertible(one, other)]
TRIPLES = [(one, over, end) for one, over in PAIRS for end in NAMES if units.convertible(over, end)]


def converted(value: float, wire: str, unit: str) -> float:
    found = units.conversion(wire, unit)
    assert found, f"{wire} → {unit}"
    return value * found[0] + found[1]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_value_converted_there_and_back_is_the_same(one: str, other: str) -> None:
    for value in (-40.0, 0.0, 0.314, 1e6):
        assert converted(converted(value, one, other), other, one) == pytest.approx(value, abs=1e-9)


@given(st.sampled_from(TRIPLES), st.floats(-1e6, 1e6))
def test_a_way_round_is_as_good_as_the_straight_one(way: tuple[str, str, str], value: float) -> None:
    one, over, end = way
    straight = converted(value, one, end)
    assert converted(converted(value, one, over), over, end) == pytest.approx(straight, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_is_itself_and_keeps_the_sign_of_a_difference(name: str) -> None:
    assert units.known(name)
    assert units.conversion(name, name) == units.SAME
    assert all(
        found[0] > 0 for other in units.names() if (found := units.conversion(name, other)) is not None
    )


@pytest.mark.parametrize(
    ("value", "wire", "unit", "expected"),
    [
        (314_000, "Pa", "MPa", 0.314),
        (152.3, "kPa", "MPa", 0.1523),
        (1, "m3/s", "m³/h", 3600),
        (1, "L/s", "m³/h", 3.6),
        (0.25, "m", "cm", 25),
        (0.178, "mg/m³", "µg/m³", 178),
        (0.03, "A", "mA", 30),
        (300.15, "K", "°C", 27),
        (212, "degF", "°C", 100),
        (0.42, "/", "%", 42),
        (1013.25, "hPa", "kPa", 101.325),
        (5000, "ppm", "%vol", 0.5),
        (50, "mS/m", "µS/cm", 500),
        (math.pi, "rad", "°", 180),
    ],
)
def test_known_pairs(value: float, wire: str, unit: str, expected: float) -> None:
    assert converted(value, wire, unit) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("wire", "unit"),
    [("%vol", "%LEL"), ("mg/L", "mg/m³"), ("Pa", "m"), ("Mpa", "MPa"), ("", "MPa"), ("lat", "lon")],
)
def test_what_cannot_be_converted_without_a_guess_is_refused(wire: str, unit: str) -> None:
    assert units.conversion(wire, unit) is None
    assert not units.convertible(wire, unit)
