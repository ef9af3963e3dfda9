"""Mapbox Vector Tiles 2.1, written by hand: for layers that live (devices, hazards) and change too fast for files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike

from gis.lines import Floats, Geometry, Ints

EXTENT = 4096
BUFFER = 64  # in tile units; what reaches over the border is drawn by both tiles

Value = str | int | float | bool
POINT, LINE, POLYGON = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of a tile: a number from 1 on, geometry commands, and flat properties."""

    number: int
    type: int
    commands: Sequence[int]
    properties: Mapping[str, Value]


def mercator(lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
    """WGS 84 degrees → the unit square of Web Mercator, (0, 0) in the north-west."""
    phi = np.radians(np.clip(np.asarray(lat, np.float64), -85.051_128, 85.051_128))
    return (np.asarray(lon, np.float64) + 180.0) / 360.0, (1.0 - np.arcsinh(np.tan(phi)) / math.pi) / 2.0


def bounds(z: int, x: int, y: int, margin: float = BUFFER / EXTENT) -> tuple[float, float, float, float]:
    """West, south, east, north of a tile in WGS 84 degrees, with the margin in tile widths."""
    n = 2.0**z
    west, east = (x - margin) / n * 360.0 - 180.0, (x + 1 + margin) / n * 360.0 - 180.0
    north, south = (
        math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * v / n)))) for v in (y - margin, y + 1 + margin)
    )
    return west, south, east, north


def tiles_of(box: tuple[float, float, float, float], z: int) -> Iterable[tuple[int, int]]:
    """(x, y) of the tiles that a box of degrees (west, south, east, north) touches, with the tiles' margin."""
    west, south, east, north = box
    (left, right), (top, bottom) = mercator([west, east], [north, south])
    n, margin = 2**z, BUFFER / EXTENT
    columns = range(max(0, math.floor(left * n - margin)), min(n - 1, math.floor(right * n + margin)) + 1)
    rows = range(max(0, math.floor(top * n - margin)), min(n - 1, math.floor(bottom * n + margin)) + 1)
    return ((x, y) for x in columns for y in rows)


def to_tile(lon: ArrayLike, lat: ArrayLike, z: int, x: int, y: int) -> tuple[Ints, Ints]:
    """WGS 84 degrees → whole units of the tile, (0, 0) in its north-west corner."""
    u, v = mercator(lon, lat)
    n = 2.0**z
    return (
        np.round((u * n - x) * EXTENT).astype(np.int32),
        np.round((v * n - y) * EXTENT).astype(np.int32),
    )


def point(px: int, py: int) -> list[int]:
    return [9, _zigzag(px), _zigzag(py)]


def geometry(shape: Geometry, z: int, x: int, y: int) -> tuple[int, list[int]] | None:
    """(type, commands) of a WGS 84 geometry, clipped to the tile; None when nothing of it is left."""
    shape = shapely.clip_by_rect(shape, *bounds(z, x, y))
    if shape.is_empty:
        return None
    cursor = [0, 0]
    commands: list[int] = []
    kind = int(shapely.get_dimensions(shape)) + 1
    for part in shapely.get_parts(shape):
        if shapely.get_dimensions(part) + 1 != kind:
            continue  # clipping may leave a touching point beside a surface
        if kind == POLYGON:
            rings = [part.exterior, *part.interiors]
            for row, ring in enumerate(rings):
                if (
                    not _ring(commands, cursor, np.asarray(ring.coords), (z, x, y), outer=row == 0)
                    and row == 0
                ):
                    break
        else:
            _path(commands, cursor, np.asarray(part.coords), (z, x, y))
    return (kind, commands) if commands else None


def _path(commands: list[int], cursor: list[int], lonlat: Floats, tile: tuple[int, int, int]) -> None:
    places = _distinct(np.column_stack(to_tile(lonlat[:, 0], lonlat[:, 1], *tile)))
    if len(lonlat) == 1 or len(places) > 1:
        _move_and_line(commands, cursor, places)


def _ring(
    commands: list[int], cursor: list[int], lonlat: Floats, tile: tuple[int, int, int], *, outer: bool
) -> bool:
    places = _distinct(np.column_stack(to_tile(lonlat[:, 0], lonlat[:, 1], *tile)))
    if len(places) > 1 and (places[0] == places[-1]).all():
        places = places[:-1]
    if len(places) < 3:
        return False
    px, py = places[:, 0].astype(np.int64), places[:, 1].astype(np.int64)
    area = int((px * np.roll(py, -1) - np.roll(px, -1) * py).sum())
    if area == 0:
        return False
    _move_and_line(commands, cursor, places if (area > 0) == outer else places[::-1])
    commands.append(15)
    return True


def _distinct(places: Ints) -> Ints:
    new = np.ones(len(places), bool)
    new[1:] = (np.diff(places, axis=0) != 0).any(axis=1)
    return places[new]


def _move_and_line(commands: list[int], cursor: list[int], places: Ints) -> None:
    steps = np.diff(np.vstack([[cursor], places]), axis=0).tolist()
    commands += [9, _zigzag(steps[0][0]), _zigzag(steps[0][1])]
    if len(steps) > 1:
        commands.append((len(steps) - 1) << 3 | 2)
        for dx, dy in steps[1:]:
            commands += (_zigzag(dx), _zigzag(dy))
    cursor[:] = places[-1].tolist()


def encode(layers: Mapping[str, Iterable[Feature]]) -> bytes:
    """The bytes of a tile; empty when no layer has a feature."""
    parts = []
    for name, features in layers.items():
        layer = _layer(name, features)
        if layer:
            parts.append(_field(3, layer))
    return b"".join(parts)


def _layer(name: str, features: Iterable[Feature]) -> bytes:
    keys: dict[str, int] = {}
    values: dict[tuple[type, Value], int] = {}
    body = bytearray()
    for feature in features:
        tags: list[int] = []
        for key, value in feature.properties.items():
            tags.append(keys.setdefault(key, len(keys)))
            tags.append(values.setdefault((type(value), value), len(values)))
        body += _field(2, _feature(feature, tags))
    if not body:
        return b""
    head = _number(15, 2) + _field(1, name.encode())
    told = b"".join(_field(3, key.encode()) for key in keys)
    told += b"".join(_field(4, _value(value)) for _, value in values)
    return bytes(head + body + told + _number(5, EXTENT))


def _feature(feature: Feature, tags: Sequence[int]) -> bytes:
    packed = b"".join(map(_varint, tags))
    shape = b"".join(map(_varint, feature.commands))
    return _number(1, feature.number) + _field(2, packed) + _number(3, feature.type) + _field(4, shape)


def _value(value: Value) -> bytes:
    if isinstance(value, bool):
        return _number(7, int(value))
    if isinstance(value, str):
        return _field(1, value.encode())
    if isinstance(value, int):
        return _number(6, _zigzag(value))
    return b"\x19" + np.float64(value).tobytes()  # field 3, 64 bit, little-endian


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    if value < 128:
        return bytes((value,))
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data
