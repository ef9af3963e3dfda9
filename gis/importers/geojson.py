"""GeoJSON (RFC 7946), read by ourselves so that a broken feature is named and the rest is still looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import shapely

from gis.importers.encoding import decode
from gis.importers.found import Feature, FileRefused, Progress, Reading, Refusal
from gis.importers.plan import Plan
from gis.lines import Geometry


def read(path: Path, plan: Plan, progress: Progress) -> Reading:
    """A FeatureCollection, one Feature, one geometry, or one feature a line (GeoJSON text sequence)."""
    text, _ = decode(path.read_bytes(), plan.encoding, path.name)
    raw, refused = _features(text, path.name)
    features: list[Feature] = []
    for number, each in enumerate(raw[0], 1):
        made = _feature(each, number)
        if isinstance(made, Refusal):
            refused.append(made)
        else:
            features.append(made)
        if number % 5000 == 0:
            progress(number, len(raw[0]))
    return Reading("GeoJSON", features, refused, raw[1] or "EPSG:4326")


def _features(text: str, file: str) -> tuple[tuple[list[object], str], list[Refusal]]:
    """((the features, the reference system of old files), lines that are no JSON)."""
    refused: list[Refusal] = []
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as wrong:
        lines = [line.strip("\x1e \r") for line in text.splitlines()]
        lines = [line for line in lines if line]
        if len(lines) < 2 or not lines[0].startswith("{") or not lines[0].endswith("}"):
            raise FileRefused("import.not_json", file=file, line=wrong.lineno, column=wrong.colno) from None
        found: list[object] = []
        for number, line in enumerate(lines, 1):
            try:
                found.append(orjson.loads(line))
            except orjson.JSONDecodeError:
                refused.append(Refusal(f"line {number}", "(line)", "import.line_not_json"))
        return (found, ""), refused
    if isinstance(document, list):  # some portals give the bare list
        return (document, ""), refused
    if not isinstance(document, Mapping) or "type" not in document:
        raise FileRefused("import.not_geojson", file=file)
    if document["type"] == "FeatureCollection":
        features = document.get("features")
        if not isinstance(features, list):
            raise FileRefused("import.not_geojson", file=file)
        return (features, _old_crs(document)), refused
    if document["type"] == "Feature":
        return ([document], _old_crs(document)), refused
    return ([{"type": "Feature", "properties": {}, "geometry": document}], ""), refused


def _old_crs(document: Mapping[str, Any]) -> str:
    """The `crs` member that GeoJSON had until 2016, and that many files still have."""
    stated = document.get("crs")
    if not isinstance(stated, Mapping):
        return ""
    name = str((stated.get("properties") or {}).get("name", ""))
    code = re.search(r"EPSG:+(?:[0-9.]*:)?([0-9]+)", name)
    return f"EPSG:{code[1]}" if code else ""


def _feature(raw: object, number: int) -> Feature | Refusal:
    label = f"feature {number}"
    if not isinstance(raw, Mapping) or raw.get("type") != "Feature":
        return Refusal(label, "type", "import.not_a_feature")
    properties = raw.get("properties") or {}
    if not isinstance(properties, Mapping):
        return Refusal(label, "properties", "import.not_an_object")
    own = raw.get("id")
    if own is not None:
        label = f"feature {number} (id {own})"
    shape = _geometry(raw.get("geometry"), label)
    if isinstance(shape, Refusal):
        return shape
    return Feature(label, shape, "" if own is None else str(own), attributes=dict(properties))


def _geometry(raw: object, label: str) -> Geometry | Refusal | None:
    if raw is None:
        return None
    try:
        shape: Geometry = shapely.from_geojson(orjson.dumps(raw))
    except shapely.errors.GEOSException as wrong:
        return Refusal(
            label, "geometry", "import.bad_geometry", {"reason": str(wrong).split(":", 1)[-1].strip()}
        )
    return shape
