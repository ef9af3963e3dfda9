"""CityJSON 2.0 (and 1.1), whole or as a sequence of features: city objects with level of detail, height, surfaces.

A building becomes the outline of what stands on the ground, with its height and the area of each kind of surface.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import shapely

from gis.importers.encoding import decode
from gis.importers.found import Feature, FileRefused, Progress, Reading, Refusal
from gis.importers.plan import Plan
from gis.lines import Floats, Geometry

KINDS = {
    "Building": "building", "BuildingPart": "building", "Bridge": "bridge", "BridgePart": "bridge", "Road": "road_area",
    "Railway": "rail_area", "TransportSquare": "road_area", "Waterway": "water", "WaterBody": "water",
    "PlantCover": "ground", "LandUse": "ground", "SolitaryVegetationObject": "tree", "CityFurniture": "furniture",
    "Tunnel": "tunnel", "TINRelief": "relief",
}  # fmt: skip

#: Versions whose geometry we understand.
VERSIONS = ("1.0", "1.1", "2.0")


@dataclass(frozen=True, slots=True)
class _Face:
    """One flat surface: its rings of real coordinates (n, 3), and what it is of (RoofSurface …)."""

    rings: Sequence[Floats]
    of: str


def read(path: Path, plan: Plan, progress: Progress) -> Reading:
    """Every city object with a geometry; parts go into the building that they are parts of."""
    text, _ = decode(path.read_bytes(), plan.encoding, path.name)
    document, more = _documents(text, path.name)
    version = str(document.get("version", ""))
    if not version.startswith(VERSIONS):
        raise FileRefused("import.cityjson_version", file=path.name, version=version or "-")
    features: list[Feature] = []
    refused: list[Refusal] = []
    for each in more or [document]:
        vertices = _vertices(document, each)
        features += _objects(each["CityObjects"], vertices, refused)
        progress(len(features), 0)
    return Reading("CityJSON", features, refused, _crs(document), mixed=True)


def _documents(text: str, file: str) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """(the head, the features of a sequence)."""
    try:
        document = orjson.loads(text)
        more: list[Mapping[str, Any]] = []
    except orjson.JSONDecodeError as wrong:
        lines = [line for line in text.splitlines() if line.strip()]
        try:
            document, *more = [orjson.loads(line) for line in lines]
        except (orjson.JSONDecodeError, ValueError):
            raise FileRefused("import.not_json", file=file, line=wrong.lineno, column=wrong.colno) from None
    if not isinstance(document, Mapping) or document.get("type") != "CityJSON":
        raise FileRefused("import.not_cityjson", file=file)
    return document, more


def _crs(document: Mapping[str, Any]) -> str:
    """The horizontal system of `metadata.referenceSystem`; of a compound one PROJ takes the first part."""
    stated = str((document.get("metadata") or {}).get("referenceSystem", ""))
    code = re.search(r"(\d+)$", stated)
    return f"EPSG:{code[1]}" if code else ""


def _vertices(document: Mapping[str, Any], holder: Mapping[str, Any]) -> Floats:
    vertices = np.asarray(holder.get("vertices", []), np.float64).reshape(-1, 3)
    transform = document.get("transform")
    if transform:
        vertices = vertices * np.asarray(transform["scale"]) + np.asarray(transform["translate"])
    return vertices


def _objects(objects: Mapping[str, Any], vertices: Floats, refused: list[Refusal]) -> Iterator[Feature]:
    for name, thing in objects.items():
        if thing.get("parents"):
            continue  # told with its parent
        family = [thing, *(objects[child] for child in thing.get("children", []) if child in objects)]
        shapes = [geometry for each in family for geometry in each.get("geometry", [])]
        if not shapes:
            continue
        best = max(str(geometry.get("lod", "0")) for geometry in shapes)
        try:
            faces = [
                face
                for each in shapes
                if str(each.get("lod", "0")) == best
                for face in _faces(each, vertices)
            ]
            points = [place for each in shapes for place in _points(each, vertices)]
        except (IndexError, KeyError, TypeError, ValueError) as wrong:
            told = {"reason": f"{type(wrong).__name__} {wrong}"}
            refused.append(Refusal(name, "geometry", "import.bad_geometry", told))
            continue
        kind = KINDS.get(str(thing.get("type", "")), "city_object")
        attributes = {
            **_plain(thing.get("attributes")),
            "type": thing.get("type"),
            "lod": best,
            **_sizes(faces),
        }
        yield Feature(name, _outline(faces, points), name, kind, attributes=attributes)


def _faces(geometry: Mapping[str, Any], vertices: Floats) -> Iterator[_Face]:
    """The surfaces of a geometry, with their meaning where the file tells it."""
    kind = geometry.get("type")
    semantics = geometry.get("semantics") or {}
    surfaces, values = semantics.get("surfaces") or [], semantics.get("values")
    if kind in {"MultiSurface", "CompositeSurface"}:
        groups = [(geometry["boundaries"], values)]
    elif kind == "Solid":
        groups = [
            (shell, values[row] if values else None) for row, shell in enumerate(geometry["boundaries"][:1])
        ]
    elif kind in {"MultiSolid", "CompositeSolid"}:
        groups = [(solid[0], values[row][0] if values and values[row] else None)
                  for row, solid in enumerate(geometry["boundaries"])]  # fmt: skip
    else:
        return
    for boundary, meaning in groups:
        for row, rings in enumerate(boundary):
            which = meaning[row] if meaning else None
            of = str(surfaces[which]["type"]) if which is not None else ""
            yield _Face([vertices[np.asarray(ring, int)] for ring in rings], of)


def _points(geometry: Mapping[str, Any], vertices: Floats) -> Iterator[Floats]:
    if geometry.get("type") == "MultiPoint" or geometry.get("type") == "GeometryInstance":
        yield from vertices[np.asarray(geometry["boundaries"], int)]


def _normal(ring: Floats) -> Floats:
    """Twice the area of a ring times its normal (Newell)."""
    following = np.roll(ring, -1, axis=0)
    found: Floats = np.cross(ring, following).sum(axis=0)
    return found


def _sizes(faces: Sequence[_Face]) -> dict[str, object]:
    """Height, base and the area of each kind of surface, in metres."""
    if not faces:
        return {}
    heights = np.concatenate([ring[:, 2] for face in faces for ring in face.rings])
    areas: dict[str, float] = defaultdict(float)
    for face in faces:
        if face.of:
            origin = face.rings[0][0]
            parts = [float(np.linalg.norm(_normal(ring - origin))) / 2 for ring in face.rings]
            areas[face.of] += parts[0] - sum(parts[1:])
    told: dict[str, object] = {"height": round(float(heights.max() - heights.min()), 2),
                               "base_m": round(float(heights.min()), 2)}  # fmt: skip
    if areas:
        told["surfaces_m2"] = {name: round(area, 1) for name, area in sorted(areas.items())}
    return told


def _outline(faces: Sequence[_Face], points: Sequence[Floats]) -> Geometry | None:
    """What an object covers on the ground: its ground surfaces, else all that is not upright, seen from above."""
    chosen = [face for face in faces if face.of == "GroundSurface"] or list(faces)
    flat = []
    for face in chosen:
        if abs(_normal(face.rings[0] - face.rings[0][0])[2]) < 1e-3:
            continue  # a wall
        polygon = shapely.Polygon(
            face.rings[0][:, :2], [ring[:, :2] for ring in face.rings[1:] if len(ring) > 2]
        )
        flat.append(polygon if polygon.is_valid else shapely.make_valid(polygon))
    if flat:
        covered = shapely.union_all(flat)
        parts = [part for part in shapely.get_parts(covered) if part.geom_type == "Polygon"]
        return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return shapely.Point(np.mean([place[:2] for place in points], axis=0)) if points else None


def _plain(attributes: object) -> dict[str, object]:
    return dict(attributes) if isinstance(attributes, Mapping) else {}
