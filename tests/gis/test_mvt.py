"""Against the vectors of the Mapbox Vector Tile specification 2.1, and read back by GDAL."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from gis import mvt
from gis.lines import Geometry

TILE = (14, 13721, 6694)


def lonlat(*places: tuple[int, int]) -> list[tuple[float, float]]:
    """WGS 84 of whole units of TILE."""
    z, x, y = TILE
    n = 2**z
    return [
        (
            (x + px / mvt.EXTENT) / n * 360 - 180,
            float(np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (y + py / mvt.EXTENT) / n))))),
        )
        for px, py in places
    ]


@pytest.mark.parametrize(
    ("shape", "commands"),
    [
        (shapely.Point(*lonlat((25, 17))), [9, 50, 34]),
        (shapely.LineString(lonlat((2, 2), (2, 10), (10, 10))), [9, 4, 4, 18, 0, 16, 16, 0]),
        (shapely.Polygon(lonlat((3, 6), (8, 12), (20, 34))), [9, 6, 12, 18, 10, 12, 24, 44, 15]),
    ],
)
def test_geometry_commands_are_those_of_the_specification(shape: Geometry, commands: list[int]) -> None:
    found = mvt.geometry(shape, *TILE)
    assert found is not None
    assert found[1] == commands


def test_the_tile_of_a_place_is_the_known_one() -> None:
    u, v = mvt.mercator(121.4737, 31.2304)
    assert (int(u * 2**14), int(v * 2**14)) == (13720, 6694)  # standards/cim_gis §3.1
    west, south, east, north = mvt.bounds(14, 13720, 6694, margin=0.0)
    assert west < 121.4737 < east
    assert south < 31.2304 < north


def test_what_lies_outside_gives_nothing() -> None:
    assert mvt.geometry(shapely.Point(0, 0), *TILE) is None
    assert mvt.encode({"devices": []}) == b""


VALUES = st.one_of(st.text(), st.integers(-(2**50), 2**50), st.booleans(), st.floats(allow_nan=False))


@given(st.dictionaries(st.text(min_size=1, max_size=9), VALUES, max_size=5))
def test_any_properties_can_be_encoded(properties: dict[str, mvt.Value]) -> None:
    assert mvt.encode({"a": [mvt.Feature(1, mvt.POINT, mvt.point(1, 2), properties)]})


def test_gdal_reads_what_we_write(tmp_path: Path) -> None:
    hole = shapely.Polygon(
        lonlat((100, 100), (100, 3000), (3000, 3000), (3000, 100)),
        [lonlat((1000, 1000), (2000, 1000), (2000, 2000), (1000, 2000))],
    )
    shapes = [hole, shapely.LineString(lonlat((0, 0), (4000, 4000))), shapely.Point(*lonlat((7, 9)))]
    features = []
    for number, shape in enumerate(shapes, 1):
        made = mvt.geometry(shape, *TILE)
        assert made is not None
        features.append(mvt.Feature(number, *made, {"name": "滨江", "n": -5, "x": 1.5, "yes": True}))
    path = tmp_path / "tile.mvt"
    path.write_bytes(mvt.encode({"things": features}))
    read = pyogrio.read_dataframe(path, layer="things", X="13721", Y="6694", Z="14", CLIP="NO")
    assert list(read["name"]) == ["滨江"] * 3
    assert list(read["n"]) == [-5] * 3
    assert list(read["x"]) == [1.5] * 3
    assert list(read["mvt_id"]) == [1, 2, 3]
    ours = shapely.area(read.geometry.iloc[0])
    scale = 20_037_508.342_789_244 * 2 / 2**14 / mvt.EXTENT
    assert ours == pytest.approx((2900**2 - 1000**2) * scale**2, rel=1e-6)
