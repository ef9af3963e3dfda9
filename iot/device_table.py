"""Lists of devices as people keep them: a table (CSV) or points on a map (GeoJSON) → fields of devices. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

import msgspec

from iot.codecs.frame import MalformedError
from iot.codecs.table import text_of

#: Column → field; columns may be named in either language.
COLUMNS: Mapping[str, str] = {
    "编号": "id", "类型": "kind", "名称": "name_zh", "name": "name_zh", "英文名": "name_en", "经度": "lon",
    "纬度": "lat", "网关": "gateway", "上线名称": "wire_name", "资产": "asset", "分区": "zone", "街道": "area",
    "权属": "owner", "来源": "provenance",
}  # fmt: skip
FIELDS = (
    "id", "kind", "name_zh", "name_en", "lon", "lat", "gateway", "wire_name", "asset", "zone", "area", "owner",
    "provenance",
)  # fmt: skip
NUMBERS = ("lon", "lat")


class Point(msgspec.Struct, tag="Point", tag_field="type"):
    coordinates: list[float]


class Feature(msgspec.Struct):
    geometry: Point
    properties: dict[str, object]


class Collection(msgspec.Struct):
    features: list[Feature]


def read(data: bytes) -> Iterator[tuple[int, dict[str, object]]]:
    """(line or feature from 1, what `PUT /devices` takes) of a CSV or GeoJSON file. Raises `MalformedError`."""
    return _features(data) if data.lstrip()[:1] == b"{" else _table(data)


def _table(data: bytes) -> Iterator[tuple[int, dict[str, object]]]:
    """UTF-8 or GB 18030, with a line of names; lines count with it."""
    reader = csv.reader(io.StringIO(text_of(data)))
    names = [COLUMNS.get(name.strip(), name.strip()) for name in next(reader, [])]
    strange = [name for name in names if name not in FIELDS]
    if strange or len(set(names)) < len(names):
        raise MalformedError(f"columns {', '.join(strange or names)}; known are {', '.join(FIELDS)}")
    try:
        for row in reader:
            if any(row):
                yield reader.line_num, device(dict(zip(names, map(str.strip, row), strict=False)))
    except csv.Error as wrong:
        raise MalformedError(f"line {reader.line_num}: {wrong}") from None


def _features(data: bytes) -> Iterator[tuple[int, dict[str, object]]]:
    try:
        found = msgspec.json.decode(data, type=Collection).features
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise MalformedError(str(wrong)) from None
    for number, feature in enumerate(found, 1):
        named = {COLUMNS.get(name, name): value for name, value in feature.properties.items()}
        place = dict(zip(NUMBERS, feature.geometry.coordinates, strict=False))
        yield number, device({name: value for name, value in named.items() if name in FIELDS} | place)


def device(fields: Mapping[str, object]) -> dict[str, object]:
    """As the API takes it: names together, numbers as numbers, empty cells left out."""
    given = {name: value for name, value in fields.items() if value not in ("", None)}
    names = {lang: str(given.pop(f"name_{lang}")) for lang in ("zh", "en") if f"name_{lang}" in given}
    return {**given, "name": names or {"zh": str(given.get("id", ""))}}
