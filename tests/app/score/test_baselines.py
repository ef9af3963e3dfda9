"""The baselines do what their own descriptions say."""

from __future__ import annotations

import numpy as np
import pytest

from app.score import baselines
from app.score.baselines import Alerts


def alerts(rows: list[tuple[float, float, float, str, str]]) -> Alerts:
    """(seconds, x, y, rule, zone)"""
    time, x, y, rule, zone = zip(*rows, strict=True)
    return Alerts(np.array(time), np.array(x), np.array(y), [r.split(".")[0] for r in rule], rule, zone, zone)


def groups(labels: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist()) - {-1}}


def test_label_grouping_goes_on_while_alerts_of_its_labels_come() -> None:
    told = alerts([(0, 0, 0, "ws.low", "a"), (200, 9e9, 0, "ws.low", "a"), (450, 0, 0, "ws.low", "a"),
                   (460, 0, 0, "ws.low", "b"), (800, 0, 0, "ws.low", "a")])  # fmt: skip
    assert groups(baselines.by_label(told)) == {frozenset({0, 1, 2})}


def test_an_attribute_rule_has_a_window_from_its_first_alert() -> None:
    told = alerts([(0, 0, 0, "ws.low", "a"), (400, 0, 0, "ws.flow", "a"), (700, 0, 0, "ws.low", "a"),
                   (800, 0, 0, "ws.x", "a")])  # fmt: skip
    assert groups(baselines.by_attribute(told)) == {frozenset({0, 1}), frozenset({2, 3})}


def test_st_dbscan_needs_three_neighbours_in_space_and_time() -> None:
    told = alerts([(0, 0, 0, "a.a", ""), (60, 300, 0, "a.a", ""), (120, 600, 0, "a.a", ""), (130, 5000, 0, "a.a", ""),
                   (2000, 300, 0, "a.a", "")])  # fmt: skip
    assert groups(baselines.st_dbscan(told)) == {frozenset({0, 1, 2})}
    assert groups(baselines.st_dbscan(told, near_s=2000)) == {frozenset({0, 1, 2, 4})}


@pytest.mark.parametrize(("minutes", "metres", "together"), [
    (0, 0, True), (1.2, 0, True), (1.3, 0, False), (0, 300, True), (0, 320, False), (0.7, 100, True), (1.2, 200, False),
])  # fmt: skip
def test_alec_adds_minutes_and_hops(minutes: float, metres: float, together: bool) -> None:  # noqa: FBT001 - a table
    told = alerts([(0, 0, 0, "a.a", ""), (60 * minutes, metres, 0, "a.a", "")])
    assert (groups(baselines.alec(told)) == {frozenset({0, 1})}) is together


def test_dbscan_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(3)
    n = 400
    told = Alerts(np.sort(rng.uniform(0, 7200, n)), *rng.uniform(0, 6000, (2, n)), *[["a"] * n] * 4)
    near = (np.hypot(told.x_m[:, None] - told.x_m, told.y_m[:, None] - told.y_m) <= 400) & (
        np.abs(told.time_s[:, None] - told.time_s) <= 600
    )
    core = near.sum(axis=1) >= 3
    said = baselines.st_dbscan(told)
    for i in range(n):
        for j in np.flatnonzero(near[i] & core):
            if core[i]:
                assert said[i] == said[j] >= 0
        if not core[i]:
            neighbours = set(said[near[i] & core].tolist())
            assert said[i] in (neighbours or {-1})
