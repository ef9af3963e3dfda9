"""The management grid: unit cells (单元网格), the grids of officers (管理网格), collectors' beats (责任网格).

After GB/T 30428.1 as secondary sources tell it: a code of county, street, community and serial number, counted
west to east and north to south; closed cells that do not overlap, about 100 m × 100 m. All lengths can be set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gis import cells
from gis.lines import Floats, Geometry, Ints, points

#: A community (社区) is about this large, an officer's grid has about so many cells, a beat so many grids (ours).
COMMUNITY_M2 = 500_000.0
CELLS_A_GRID = 25
GRIDS_A_BEAT = 4
LEAST_SHARE = 0.02  # of a cell; less of the ground makes no cell


@dataclass(frozen=True, slots=True)
class Scheme:
    """How long the parts of a cell's code are; together 15 digits by default."""

    county: int = 6
    street: int = 3
    community: int = 3
    serial: int = 3

    def code(self, county: str, street: int, community: int, serial: int) -> str:
        """The code of a cell. Raises `ValueError` when a part does not fit."""
        parts = (
            (int(county), self.county),
            (street, self.street),
            (community, self.community),
            (serial, self.serial),
        )
        for value, width in parts:
            if not 0 <= value < 10**width:
                raise ValueError(f"{value} does not fit into {width} digits of a grid code")
        return "".join(f"{value:0{width}d}" for value, width in parts)


STANDARD = Scheme()


@dataclass(frozen=True, slots=True)
class Street:
    """A street office's ground: its area's id, the code of its county, its number there, its surface in metres."""

    area: str
    county: str
    number: int
    shape: Geometry


@dataclass(frozen=True, slots=True)
class Cell:
    """A unit cell: its code, its rows and columns in the raster, and whose it is."""

    code: str
    row: int
    column: int
    area: str
    community: str
    grid: str
    beat: str


@dataclass(frozen=True, slots=True)
class Responsible:
    """Who answers for a place: the cell and grid with their officer, the community, the street office."""

    cell: Cell
    officer: str
    department: str


class Grid:
    """The cells of a city, found by arithmetic. Coordinates are metres of the city's plane."""

    def __init__(self, origin: tuple[float, float], size_m: float, made: Sequence[Cell]) -> None:
        self.origin = origin
        self.size_m = size_m
        self.cells = tuple(made)
        self._at = {(cell.row, cell.column): cell for cell in made}
        self._by_code = {cell.code: cell for cell in made}

    def at(self, x: float, y: float) -> Cell | None:
        """The cell of a place; None outside the grid. A place on a border belongs to the eastern, southern cell."""
        column = int(np.floor((x - self.origin[0]) / self.size_m))
        row = int(np.floor((self.origin[1] - y) / self.size_m))
        return self._at.get((row, column))

    def by_code(self, code: str) -> Cell | None:
        return self._by_code.get(code)

    def responsible(self, x: float, y: float) -> Responsible | None:
        """Who answers for a place: an officer for its grid, the street office as the department."""
        cell = self.at(x, y)
        return None if cell is None else Responsible(cell, f"officer.{cell.grid}", f"street.{cell.area}")

    def shape(self, cell: Cell) -> Geometry:
        """The square of a cell."""
        west = self.origin[0] + cell.column * self.size_m
        north = self.origin[1] - cell.row * self.size_m
        square: Geometry = shapely.box(west, north - self.size_m, west + self.size_m, north)
        return square

    def shapes_of(self, part: str) -> Mapping[str, Geometry]:
        """The surfaces of all of a part: `community`, `grid` or `beat`."""
        groups: dict[str, list[Geometry]] = {}
        for cell in self.cells:
            groups.setdefault(str(getattr(cell, part)), []).append(self.shape(cell))
        return {name: shapely.union_all(shapes) for name, shapes in groups.items()}


def build(streets: Sequence[Street], size_m: float = 100.0, scheme: Scheme = STANDARD) -> Grid:
    """The grid of some street offices. A cell belongs to the street that has most of it.

    Communities, officers' grids and beats are connected groups of cells, made by us where nobody states them.
    """
    west, south, east, north = shapely.total_bounds([street.shape for street in streets])
    origin = (float(np.floor(west / size_m) * size_m), float(np.ceil(north / size_m) * size_m))
    columns = np.arange(int(np.ceil((east - origin[0]) / size_m)))
    rows = np.arange(int(np.ceil((origin[1] - south) / size_m)))
    column, row = (each.ravel() for each in np.meshgrid(columns, rows))
    middle = np.column_stack([origin[0] + (column + 0.5) * size_m, origin[1] - (row + 0.5) * size_m])
    half = size_m / 2
    squares: NDArray[Any] = np.asarray(shapely.box(*(middle - half).T, *(middle + half).T), object)
    most = np.full(len(middle), LEAST_SHARE * size_m**2)
    owner = np.full(len(middle), -1)
    tree = shapely.STRtree(squares)
    for number, street in enumerate(streets):
        near = tree.query(street.shape, predicate="intersects")
        share = np.asarray(shapely.area(shapely.intersection(squares[near], street.shape)))
        more = share > most[near]
        owner[near[more]], most[near[more]] = number, share[more]
    made: list[Cell] = []
    for number, street in enumerate(streets):
        inside = np.flatnonzero(owner == number)
        if len(inside):
            made += _street_cells(street, row[inside], column[inside], middle[inside], size_m, scheme)
    return Grid(origin, size_m, made)


def _street_cells(
    street: Street, row: NDArray[np.integer], column: NDArray[np.integer], middle: Floats, size_m: float, scheme: Scheme
) -> list[Cell]:  # fmt: skip
    community = _groups(middle, size_m, max(1, round(len(middle) * size_m**2 / COMMUNITY_M2)))
    made = []
    grids = 0
    for number in range(int(community.max()) + 1):
        inside = np.flatnonzero(community == number)
        inside = inside[np.lexsort((column[inside], row[inside]))]  # north to south, west to east
        grid = _groups(middle[inside], size_m, max(1, round(len(inside) / CELLS_A_GRID)))
        for serial, (each, part) in enumerate(zip(inside.tolist(), grid.tolist(), strict=True), 1):
            made.append(
                Cell(
                    code=scheme.code(street.county, street.number, number + 1, serial),
                    row=int(row[each]),
                    column=int(column[each]),
                    area=street.area,
                    community=f"{street.area}.C{number + 1:02d}",
                    grid=f"{street.area}.G{grids + part + 1:03d}",
                    beat=f"{street.area}.B{(grids + part) // GRIDS_A_BEAT + 1:02d}",
                )
            )
        grids += int(grid.max()) + 1
    return made


def _groups(middle: Floats, size_m: float, count: int) -> Ints:
    """Connected groups of about equal size of cells, where the ground is connected; numbered from north to south."""
    label = cells.merge(middle, size_m * 1.01)  # cells that share a side
    found = np.zeros(len(middle), np.int32)
    first = 0
    for part in range(int(label.max()) + 1):
        inside = np.flatnonzero(label == part).astype(np.int32)
        share = max(1, round(count * len(inside) / len(middle)))
        tree = shapely.STRtree(points(middle[inside]))
        a, b = tree.query(points(middle[inside]), predicate="dwithin", distance=size_m * 1.01)
        sides = a < b
        graph = cells.graph(
            a[sides].astype(np.int32),
            b[sides].astype(np.int32),
            np.full(int(sides.sum()), size_m),
            len(inside),
        )
        found[inside] = first + cells.divide(
            middle[inside], np.arange(len(inside), dtype=np.int32), graph, share
        )
        first = int(found[inside].max()) + 1
    return found
