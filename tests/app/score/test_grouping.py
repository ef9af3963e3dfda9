"""Scores of groupings: known values, and what must hold for every grouping."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.score.grouping import Overlap, _expected_information, ami, ari, b3f, incidents_found

labels = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        *[st.lists(st.integers(-1, 6), min_size=n, max_size=n).map(np.array) for _ in range(2)]
    )
)


def of(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_known_values() -> None:
    assert ari(of(0, 0, 1, 1), of(0, 0, 1, 2)) == pytest.approx(0.5714, abs=1e-4)
    assert ari(of(0, 0, 1, 2), of(0, 0, 1, 1)) == pytest.approx(0.5714, abs=1e-4)
    assert ami(of(0, 0, 0, 0), of(0, 1, 2, 3)) == pytest.approx(0.0, abs=1e-9)
    assert ami(of(0, 0, 1, 1), of(0, 0, 1, 1)) == pytest.approx(1.0)
    # Bagga & Baldwin's example: truth {1-5} {6,7} {8,9,A,B,C}, said {1-5} {6-C}: P 0.76, R 1.0
    truth, said = of(0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2), of(0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1)
    assert b3f(truth, said) == pytest.approx(2 * 0.7619 / 1.7619, abs=1e-3)


@given(labels)
def test_scores_are_one_for_the_same_grouping_and_do_not_depend_on_names(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    one, other = pair
    renamed = np.where(one >= 0, 100 - one, -1)
    for score in (b3f, ari, ami):
        assert score(one, renamed) == pytest.approx(1.0)
        assert score(one, other) <= 1.0 + 1e-9
    assert b3f(one, other) == pytest.approx(b3f(other, one))


def test_chance_is_what_all_permutations_give_on_average() -> None:
    one, other = of(0, 0, 1, 1, 2, 2), of(0, 0, 0, 1, 1, 2)
    over = Overlap.of(one, other)

    def information(a: np.ndarray, b: np.ndarray) -> float:
        o = Overlap.of(a, b)
        return float((o.n / o.total * np.log(o.n * o.total / (o.size_a[o.a] * o.size_b[o.b]))).sum())

    mean = np.mean([information(one, other[list(order)]) for order in itertools.permutations(range(6))])
    assert _expected_information(over.size_a, over.size_b, 6) == pytest.approx(float(mean))


def test_an_incident_is_found_by_half_of_its_alerts_in_a_group_half_made_of_them() -> None:
    truth = of(0, 0, 0, 0, 1, 1, -1, -1, -1, -1)
    assert (
        incidents_found(truth, of(5, 5, -1, -1, 7, 7, 7, 9, 9, 9))
        .__repr__()
        .endswith("true=2, said=3, found=2, right=2)")
    )
    drowned = incidents_found(truth, of(5, 5, 5, 5, 5, 5, 5, 5, 5, 5))
    assert (drowned.found, drowned.right, drowned.recall, drowned.precision) == (0, 0, 0.0, 0.0)
    nothing = incidents_found(truth, of(*[-1] * 10))
    assert (nothing.recall, nothing.precision) == (0.0, 1.0)
