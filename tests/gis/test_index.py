from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gis.asset import Asset
from gis.city import City
from gis.crs import Plane
from gis.index import Index

PLANE = Plane(121.5, 31.24)
RNG = np.random.default_rng(11)
XY = RNG.uniform(-3000, 3000, (500, 2))
LONLAT = PLANE.lonlats(XY)
POINTS = [Asset(f"P{n}", "point", shapely.Point(place)) for n, place in enumerate(LONLAT)]
INDEX = Index(POINTS, PLANE)


@given(st.floats(-3000, 3000), st.floats(-3000, 3000), st.floats(1, 2500))
@settings(max_examples=40)
def test_within_is_what_brute_force_finds(x: float, y: float, metres: float) -> None:
    away = np.hypot(*(XY - (x, y)).T)
    lon, lat = PLANE.to_lonlat(x, y)
    found = INDEX.within(float(lon), float(lat), metres)
    wanted = np.flatnonzero(away <= metres)
    assert [asset.id for asset, _ in found] == [
        f"P{row}" for row in wanted[np.argsort(away[wanted], kind="stable")]
    ]
    assert [distance for _, distance in found] == pytest.approx(sorted(away[wanted]), abs=1e-5)


@given(st.floats(-4000, 4000), st.floats(-4000, 4000), st.integers(1, 30))
@settings(max_examples=40)
def test_nearest_is_what_brute_force_finds(x: float, y: float, count: int) -> None:
    away = np.sort(np.hypot(*(XY - (x, y)).T))[:count]
    lon, lat = PLANE.to_lonlat(x, y)
    found = INDEX.nearest(float(lon), float(lat), count)
    assert [distance for _, distance in found] == pytest.approx(away.tolist(), abs=1e-5)


def test_nothing_is_nearer_than_nothing() -> None:
    assert INDEX.nearest(121.5, 31.24, most_m=1e-6) == []
    assert Index([], PLANE).within(121.5, 31.24, 1e6) == []
    assert len(INDEX.nearest(121.5, 31.24, 10_000)) == 500


def test_inside_a_surface_the_distance_is_nothing(city: City) -> None:
    index = Index(list(city.of_kind("building", "site")), city.plane)
    site = next(iter(city.of_kind("site")))
    found = index.within(*site.lonlat, 1.0)
    assert (site.id, 0.0) in [(asset.id, distance) for asset, distance in found]


def test_intersecting_takes_any_shape(city: City) -> None:
    index = Index(list(city.of_kind("pipe", "valve", "hydrant")), city.plane)
    area = city.asset("DMA-03").geometry
    found = index.intersecting(area)
    inside = [asset for asset in found if asset.zone == "DMA-03"]
    assert len(inside) > 0.7 * len(found)
    assert found == sorted(found, key=index.assets.index)


def test_many_places_at_once_give_the_same_pairs() -> None:
    lonlat = LONLAT[:50]
    place, row = INDEX.rows_within(lonlat, 300.0)
    single = {
        (n, asset.id)
        for n, (lon, lat) in enumerate(lonlat.tolist())
        for asset, _ in INDEX.within(lon, lat, 300.0)
    }
    assert {(int(a), f"P{b}") for a, b in zip(place, row, strict=True)} == single


def test_an_index_is_a_geodataframe_for_those_who_analyse(city: City) -> None:
    frame = Index(list(city.of_kind("pipe")), city.plane).frame()
    assert frame.crs.to_epsg() == 4326
    assert {"id", "diameter_mm", "geometry"} <= set(frame.columns)
    assert len(frame.sindex.query(frame.geometry.iloc[0])) >= 1
