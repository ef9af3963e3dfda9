"""CSV with coordinates: a point (lon, lat), a stretch (two points), or WKT, under the usual names of columns."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import shapely

from gis.importers.encoding import decode
from gis.importers.found import Feature, FileRefused, Progress, Reading, Refusal
from gis.importers.plan import Plan
from gis.lines import Geometry

#: Names of columns, in lower case and without blanks.
X = ("lon", "lng", "long", "longitude", "x", "easting", "经度", "横坐标", "东坐标", "point_x", "x坐标")
Y = ("lat", "latitude", "y", "northing", "纬度", "纵坐标", "北坐标", "point_y", "y坐标")
#: Both axes of one end of a stretch, and how its two ends are told apart: `from_x … to_y`, 起点经度 … 终点纬度.
AXES = (
    ("x", "y"), ("lon", "lat"), ("lng", "lat"), ("longitude", "latitude"), ("easting", "northing"), ("经度", "纬度"),
    ("x坐标", "y坐标"), ("横坐标", "纵坐标"),
)  # fmt: skip
ENDS = (
    ("from_{}", "to_{}"), ("start_{}", "end_{}"), ("起点{}", "终点{}"), ("起{}", "止{}"), ("{}1", "{}2"),
)  # fmt: skip
WKT = ("wkt", "geometry", "geom", "the_geom", "几何")


def read(path: Path, plan: Plan, progress: Progress) -> Reading:
    """One feature a row. The first row names the columns; the delimiter is found out."""
    text, _ = decode(path.read_bytes(), plan.encoding, path.name)
    rows = csv.reader(io.StringIO(text, newline=""), _dialect(text))
    head = [name.strip() for name in next(rows, [])]
    columns = _columns(head, path.name)
    features: list[Feature] = []
    refused: list[Refusal] = []
    for number, cells in enumerate(rows, 2):
        if not any(cell.strip() for cell in cells):
            continue
        label = f"row {number}"
        if len(cells) != len(head):
            told = {"cells": len(cells), "columns": len(head)}
            refused.append(Refusal(label, "(row)", "import.ragged_row", told))
            continue
        shape = _shape(cells, columns, head, label)
        if isinstance(shape, Refusal):
            refused.append(shape)
            continue
        values: dict[str, object] = {
            name: _value(cell)
            for row, (name, cell) in enumerate(zip(head, cells, strict=True))
            if row not in columns
        }
        features.append(Feature(label, shape, attributes=values))
        if number % 5000 == 0:
            progress(number, 0)
    return Reading("CSV", features, refused)


def _dialect(text: str) -> type[csv.Dialect]:
    try:
        return csv.Sniffer().sniff(text[:20_000].split("\n", 1)[0], ",;\t|")
    except csv.Error:
        return csv.excel


def _columns(head: Sequence[str], file: str) -> tuple[int, ...]:
    """Which columns hold the geometry: one of WKT, two of a point, or four of a stretch."""
    plain = [name.lower().replace(" ", "") for name in head]
    for names in WKT:
        if names in plain:
            return (plain.index(names),)
    for ends, axes in itertools.product(ENDS, AXES):
        named = [end.format(axis) for end in ends for axis in axes]
        if all(name in plain for name in named):
            return tuple(plain.index(name) for name in named)
    found_x = next((plain.index(name) for name in X if name in plain), -1)
    found_y = next((plain.index(name) for name in Y if name in plain), -1)
    if found_x < 0 or found_y < 0:
        raise FileRefused("import.no_coordinate_columns", file=file, columns=", ".join(head) or "-")
    return found_x, found_y


def _shape(
    cells: Sequence[str], columns: tuple[int, ...], head: Sequence[str], label: str
) -> Geometry | Refusal | None:
    if len(columns) == 1:
        return _from_wkt(cells[columns[0]], head[columns[0]], label)
    numbers = []
    for column in columns:
        try:
            numbers.append(float(cells[column]))
        except ValueError:
            told: Mapping[str, object] = {"value": cells[column][:40]}
            return Refusal(label, head[column], "import.not_a_number", told)
    if len(numbers) == 2:
        return shapely.Point(numbers)
    return shapely.LineString([numbers[:2], numbers[2:]])


def _from_wkt(text: str, column: str, label: str) -> Geometry | Refusal | None:
    if not text.strip():
        return None
    try:
        shape: Geometry = shapely.from_wkt(text)
    except shapely.errors.GEOSException as wrong:
        return Refusal(label, column, "import.bad_geometry", {"reason": str(wrong).split(":", 1)[-1].strip()})
    return shape


def _value(cell: str) -> object:
    """A number where the cell is one without doubt: codes such as `007` and `1e5` stay texts."""
    text = cell.strip()
    plain = text.removeprefix("-").replace(".", "", 1)
    if plain.isdigit() and plain.isascii() and not (len(plain) > 1 and plain[0] == "0" and "." not in text):
        return float(text) if "." in text else int(text)
    return text
