from __future__ import annotations

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gis.crs import Plane, TransverseMercator

LON = st.floats(117.0, 123.0)
LAT = st.floats(-60.0, 60.0)


@given(LON, LAT)
def test_gauss_krueger_agrees_with_proj_to_a_micrometre(lon: float, lat: float) -> None:
    ours = TransverseMercator(120.0, inverse_flattening=298.257_222_101).forward(lon, lat)
    theirs = _proj().transform(lon, lat)
    assert np.allclose(ours, theirs, rtol=0, atol=1e-6)


@given(LON, LAT)
def test_the_inverse_gives_the_place_back(lon: float, lat: float) -> None:
    grid = TransverseMercator(120.0)
    again = grid.inverse(*grid.forward(lon, lat))
    assert np.allclose(again, (lon, lat), rtol=0, atol=1e-10)


def _proj() -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(4490, 4549, always_xy=True)


def test_the_plane_begins_at_its_centre_and_counts_metres() -> None:
    plane = Plane(121.5, 31.24)
    assert plane.to_xy(121.5, 31.24) == pytest.approx((0.0, 0.0), abs=1e-6)
    geod = pyproj.Geod(ellps="WGS84")
    azimuth, _, metres = geod.inv(121.5, 31.24, 121.53, 31.27)
    x, y = plane.to_xy(121.53, 31.27)
    assert float(np.hypot(x, y)) == pytest.approx(metres, rel=1e-6)
    assert float(np.degrees(np.arctan2(x, y))) == pytest.approx(azimuth, abs=1e-2)


def test_many_points_go_there_and_back() -> None:
    plane = Plane(121.5, 31.24)
    places = np.random.default_rng(1).uniform((121.3, 31.0), (121.7, 31.5), (1000, 2))
    assert np.allclose(plane.lonlats(plane.points(places)), places, rtol=0, atol=1e-10)
