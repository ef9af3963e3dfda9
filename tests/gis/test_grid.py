from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from gis import grid
from gis.city import City
from gis.grid import Scheme, Street

EAST = Street("A-east", "310101", 1, shapely.box(0, 0, 1500, 1150))
WEST = Street("A-west", "310101", 12, shapely.box(-990, 0, 0, 1150))
MADE = grid.build([EAST, WEST])


def test_codes_have_fifteen_digits_and_say_county_street_community_and_serial() -> None:
    cell = MADE.at(50, 1100)
    assert cell is not None
    assert len(cell.code) == 15
    assert cell.code.startswith("310101" + "001")
    assert MADE.by_code(cell.code) == cell
    assert len({each.code for each in MADE.cells}) == len(MADE.cells)


def test_serials_run_west_to_east_and_north_to_south() -> None:
    for community in {cell.community for cell in MADE.cells}:
        own = sorted((cell for cell in MADE.cells if cell.community == community), key=lambda cell: cell.code)
        assert [(cell.row, cell.column) for cell in own] == sorted((cell.row, cell.column) for cell in own)
        assert [int(cell.code[-3:]) for cell in own] == list(range(1, len(own) + 1))


def test_cells_do_not_overlap_and_leave_no_gap() -> None:
    shapes = [MADE.shape(cell) for cell in MADE.cells]
    whole = shapely.union_all(shapes)
    assert whole.area == pytest.approx(sum(shape.area for shape in shapes))
    assert whole.area == pytest.approx(len(shapes) * 10_000.0)
    assert whole.contains(shapely.union_all([EAST.shape, WEST.shape]))


@given(st.floats(-985, 1495), st.floats(5, 1145))
def test_a_place_lies_in_the_cell_that_is_found_for_it(x: float, y: float) -> None:
    cell = MADE.at(x, y)
    assert cell is not None
    assert MADE.shape(cell).buffer(1e-6).contains(shapely.Point(x, y))
    if abs(x) > 50:
        assert cell.area == ("A-east" if x > 0 else "A-west")


def test_outside_there_is_no_cell() -> None:
    assert MADE.at(5000, 0) is None
    assert MADE.responsible(5000, 0) is None


def test_a_place_has_an_officer_and_a_department() -> None:
    found = MADE.responsible(700, 700)
    assert found is not None
    assert found.officer == f"officer.{found.cell.grid}"
    assert found.department == "street.A-east"


@pytest.mark.parametrize("part", ["community", "grid"])
def test_communities_and_grids_hang_together(part: str) -> None:
    for name, shape in MADE.shapes_of(part).items():
        assert shape.geom_type == "Polygon", name


def test_grids_are_of_a_size_that_one_officer_can_walk() -> None:
    sizes = [sum(cell.grid == name for cell in MADE.cells) for name in {cell.grid for cell in MADE.cells}]
    assert 8 <= np.median(sizes) <= 45


def test_the_lengths_of_the_code_can_be_set() -> None:
    short = grid.build([EAST], scheme=Scheme(street=2, community=2, serial=4))
    assert {len(cell.code) for cell in short.cells} == {14}
    assert short.cells[0].code[6:8] == "01"
    with pytest.raises(ValueError, match="does not fit"):
        Scheme(street=2).code("310101", 100, 1, 1)


def test_the_cell_size_can_be_set() -> None:
    wide = grid.build([EAST], size_m=250.0)
    assert len(wide.cells) == pytest.approx(1500 * 1150 / 250**2, rel=0.25)


def test_every_asset_of_the_city_on_land_lies_in_a_cell_of_its_area(city: City) -> None:
    homes = list(city.of_kind("building", "manhole", "hydrant", "valve"))[::7]
    cells = [city.grid.at(*city.plane.xy(*asset.lonlat)) for asset in homes]
    assert np.mean([cell is not None for cell in cells]) > 0.99
    same = [cell.area == asset.area for cell, asset in zip(cells, homes, strict=True) if cell is not None]
    assert np.mean(same) > 0.93  # a cell belongs to the street that has most of it
