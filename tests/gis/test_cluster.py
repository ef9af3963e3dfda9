from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gis import mvt
from gis.cluster import ALONE_FROM, Points

RNG = np.random.default_rng(5)
LON, LAT = RNG.uniform(121.48, 121.53, 3000), RNG.uniform(31.22, 31.26, 3000)
LEVEL = RNG.choice(np.array([0, 1, 2, 3, 4], np.int8), 3000, p=[0.9, 0.02, 0.03, 0.03, 0.02])
POINTS = Points(np.arange(1, 3001, dtype=np.int32), LON, LAT)
WHOLE = (121.0, 31.0, 122.0, 32.0)


@given(st.integers(8, 17))
def test_no_point_is_lost_or_counted_twice(zoom: int) -> None:
    found = POINTS.clusters(WHOLE, zoom, LEVEL)
    assert found.count.sum() == 3000
    assert float((found.lon * found.count).sum()) == pytest.approx(LON.sum())


def test_a_cluster_shows_its_worst_level_and_which_point_that_is() -> None:
    [found] = [POINTS.clusters(WHOLE, 3, LEVEL)]
    assert found.level.tolist() == [1]
    assert LEVEL[found.row[0]] == 1
    calm = POINTS.clusters(WHOLE, 3, np.zeros(3000, np.int8))
    assert calm.level.tolist() == [0]


def test_neighbouring_tiles_agree_on_their_clusters() -> None:
    zoom = 13
    u, v = mvt.mercator(121.505, 31.24)
    x, y = int(u * 2**zoom), int(v * 2**zoom)
    halves = [POINTS.clusters(mvt.bounds(zoom, x + n, y, margin=0.0), zoom, LEVEL) for n in (0, 1)]
    west, south, _, north = mvt.bounds(zoom, x, y, margin=0.0)
    _, _, east, _ = mvt.bounds(zoom, x + 1, y, margin=0.0)
    both = POINTS.clusters((west, south, east, north), zoom, LEVEL)
    assert sorted(both.count.tolist()) == sorted([*halves[0].count.tolist(), *halves[1].count.tolist()])


def test_near_the_ground_every_point_stands_for_itself() -> None:
    box = (121.50, 31.23, 121.51, 31.24)
    found = POINTS.features(box, ALONE_FROM, LEVEL)
    inside = (box[0] <= LON) & (box[2] >= LON) & (box[1] <= LAT) & (box[3] >= LAT)
    assert {each.number for each in found} == set((np.flatnonzero(inside) + 1).tolist())
    assert all("count" not in each.properties for each in found)
    far = POINTS.features(WHOLE, 12, LEVEL)
    assert len(far) < 400
    assert sum(int(each.properties.get("count", 1)) for each in far) == 3000


def test_an_empty_box_is_empty() -> None:
    assert POINTS.features((0, 0, 1, 1), 12, LEVEL) == []
    assert (
        len(
            Points(np.empty(0, np.int32), np.empty(0), np.empty(0))
            .clusters(WHOLE, 5, np.empty(0, np.int8))
            .count
        )
        == 0
    )
