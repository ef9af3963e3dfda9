from __future__ import annotations

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid
from gis import crs
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


# -- test points of standards/cim_gis §3 --------------------------------------------------------------------------

PROJECTED = [
    ("EPSG:4549", 121.4737, 31.2304, 640412.315, 3457455.489),
    ("EPSG:4528", 121.4737, 31.2304, 40640412.315, 3457455.489),
    ("EPSG:4548", 116.3975, 39.9087, 448481.575, 4419565.435),
    ("EPSG:4547", 113.2644, 23.1291, 424654.893, 2559024.739),
    ("EPSG:4544", 104.0668, 30.5728, 410478.665, 3383983.284),
    ("EPSG:3857", 121.4737, 31.2304, 13522390.429, 3662707.257),
    ("EPSG:3857", 116.3975, 39.9087, 12957310.430, 4852683.669),
    ("EPSG:3857", 113.2644, 23.1291, 12608535.333, 2647638.583),
    ("EPSG:3857", 104.0668, 30.5728, 11584663.184, 3577392.487),
]

OFFSET = [
    (121.473700, 31.230400, 121.478223, 31.228458, 121.484781, 31.234311),
    (116.397500, 39.908700, 116.403744, 39.910103, 116.410117, 39.916443),
    (113.264400, 23.129100, 113.269730, 23.126423, 113.276151, 23.132711),
    (87.616800, 43.825600, 87.619650, 43.826805, 87.626100, 43.832950),
    (126.535800, 45.803800, 126.541837, 45.805780, 126.548456, 45.811395),
    (102.832900, 24.880100, 102.834316, 24.877031, 102.840763, 24.883330),
]

PUBLIC = [
    (31.1774276, 121.5272106, 31.17530398364597, 121.531541859215),
    (22.543847, 113.912316, 22.540796131694766, 113.9171764808363),
    (39.911954, 116.377817, 39.91334545536069, 116.38404722455657),
]


@pytest.mark.parametrize(("name", "lon", "lat", "east", "north"), PROJECTED)
def test_projected_points_of_four_cities(
    name: str, lon: float, lat: float, east: float, north: float
) -> None:
    system = crs.crs(name)
    assert not system.geographic
    assert system.from_wgs84(lon, lat) == pytest.approx((east, north), abs=0.001)
    assert system.to_wgs84(east, north) == pytest.approx((lon, lat), abs=1e-8)


@pytest.mark.parametrize(("lon", "lat", "gcj_lon", "gcj_lat", "bd_lon", "bd_lat"), OFFSET)
def test_offset_systems_of_six_cities(
    lon: float, lat: float, gcj_lon: float, gcj_lat: float, bd_lon: float, bd_lat: float
) -> None:
    assert crs.crs("GCJ-02").from_wgs84(lon, lat) == pytest.approx((gcj_lon, gcj_lat), abs=6e-7)
    assert crs.crs("bd09").from_wgs84(lon, lat) == pytest.approx((bd_lon, bd_lat), abs=6e-7)


@pytest.mark.parametrize(("lat", "lon", "gcj_lat", "gcj_lon"), PUBLIC)
def test_public_vectors_are_met_exactly(lat: float, lon: float, gcj_lat: float, gcj_lon: float) -> None:
    assert crs.wgs84_to_gcj02(lon, lat) == pytest.approx((gcj_lon, gcj_lat), abs=1e-11)


@given(st.floats(73.0, 136.0), st.floats(4.0, 54.0), st.sampled_from(["GCJ-02", "BD-09"]))
def test_the_way_back_from_an_offset_system_is_good_to_a_millimetre(
    lon: float, lat: float, name: str
) -> None:
    system = crs.crs(name)
    again = system.to_wgs84(*system.from_wgs84(lon, lat))
    assert np.abs(np.array(again) - (lon, lat)).max() * 111_320 < 0.001


def test_outside_china_nothing_is_shifted() -> None:
    assert crs.wgs84_to_gcj02(2.35, 48.86) == pytest.approx((2.35, 48.86), abs=0)


def test_cgcs2000_is_taken_as_wgs84_and_keeps_its_name() -> None:
    system = crs.crs("cgcs2000")
    assert system.name == "EPSG:4490"
    assert system.geographic
    assert system.to_wgs84(121.5, 31.2) == pytest.approx((121.5, 31.2), abs=0)


@pytest.mark.parametrize(
    ("lon", "width", "numbered", "name"),
    [(121.47, 3, False, "EPSG:4549"), (121.47, 3, True, "EPSG:4528"), (121.47, 6, False, "EPSG:4510"),
     (121.47, 6, True, "EPSG:4499"), (75.0, 3, False, "EPSG:4534"), (135.0, 3, True, "EPSG:4533"),
     (104.0668, 3, False, "EPSG:4544")],
)  # fmt: skip
def test_gauss_krueger_zones_have_their_codes(lon: float, width: int, numbered: bool, name: str) -> None:  # noqa: FBT001 - a column
    assert crs.gauss_krueger(lon, zone_width=width, numbered=numbered) == name
    system = pyproj.CRS.from_user_input(name)
    assert "CGCS2000" in system.name
    assert abs(float(system.to_json_dict()["conversion"]["parameters"][1]["value"]) - lon) <= width / 2 + 1e-9


def test_a_longitude_without_a_zone_is_refused() -> None:
    with pytest.raises(Invalid, match="no_zone"):
        crs.gauss_krueger(2.35)


def test_a_local_plane_is_a_system_too() -> None:
    system = crs.crs("local:121.5,31.2,0.3048")
    lon, lat = system.to_wgs84(1000.0, 0.0)
    plane = Plane(121.5, 31.2)
    assert plane.to_xy(lon, lat) == pytest.approx((304.8, 0.0), abs=1e-6)
    assert system.from_wgs84(lon, lat) == pytest.approx((1000.0, 0.0), abs=1e-5)


@pytest.mark.parametrize("name", ["EPSG:1", "nonsense", "", "local:200,10", "local:1,2,0"])
def test_an_unknown_system_is_refused_with_examples(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        crs.crs(name)
    assert refused.value.field == "crs"
