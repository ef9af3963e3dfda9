"""OpenStreetMap, as PBF or XML: streets with direction and class, buildings with height, waters, land, places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import shapely

from gis.importers.found import Feature, FileRefused, Progress, Reading, Refusal
from gis.importers.plan import Plan

LICENCE = "© OpenStreetMap contributors, ODbL 1.0"
FLOOR_M = 3.2

GREEN = {
    "grass",
    "forest",
    "meadow",
    "recreation_ground",
    "village_green",
    "cemetery",
    "park",
    "garden",
    "wood",
    "pitch",
}
PLACES = (
    "amenity",
    "shop",
    "tourism",
    "office",
    "public_transport",
    "railway",
    "emergency",
    "leisure",
    "historic",
)

_TAG = re.compile(r'"((?:[^"\\]|\\.)*)"=>"((?:[^"\\]|\\.)*)"')


def read(path: Path, plan: Plan, progress: Progress) -> Reading:
    """All that a map of a city needs. `plan.kind` (road, building, water, ground, place) keeps only one of them."""
    import pyogrio

    features: list[Feature] = []
    refused: list[Refusal] = []
    try:
        for layer in ("lines", "multipolygons", "points"):
            meta, _, shapes, columns = pyogrio.raw.read(str(path), layer=layer)
            names = [str(name) for name in meta["fields"]]
            for row, wkb in enumerate(shapes):
                tags = _tags({name: column[row] for name, column in zip(names, columns, strict=True)})
                made = _feature(layer, tags, wkb)
                if isinstance(made, Refusal):
                    refused.append(made)
                elif made is not None and plan.kind in {"", made.kind}:
                    features.append(made)
            progress(len(features), 0)
    except pyogrio.errors.DataSourceError as wrong:
        raise FileRefused("import.unreadable", file=path.name, reason=str(wrong)) from wrong
    return Reading("OpenStreetMap", features, refused, "EPSG:4326", mixed=True, licence=LICENCE)


def _tags(row: Mapping[str, Any]) -> dict[str, str]:
    """Columns and GDAL's `other_tags` as one table of tags."""
    tags = {key: str(value) for key, value in row.items() if value not in (None, "") and key != "other_tags"}
    other = row.get("other_tags")
    if isinstance(other, str):
        tags |= {key: value.replace('\\"', '"') for key, value in _TAG.findall(other)}
    return tags


def _feature(layer: str, tags: dict[str, str], wkb: bytes | None) -> Feature | Refusal | None:
    """What a row is to us; None for what a city map does not show."""
    made = _described(layer, tags)
    if made is None:
        return None
    kind, told = made
    own = tags.get("osm_way_id") or tags.get("osm_id", "")
    prefix = {"lines": "way", "points": "node"}.get(layer, "way" if tags.get("osm_way_id") else "relation")
    label = f"{prefix} {own}"
    if wkb is None:
        return Refusal(label, "geometry", "import.no_geometry")
    try:
        shape = shapely.from_wkb(wkb)
    except shapely.errors.GEOSException as wrong:
        return Refusal(label, "geometry", "import.bad_geometry", {"reason": str(wrong).partition(": ")[2]})
    parts = shapely.get_parts(shape)
    if shape.geom_type == "MultiPolygon" and len(parts) == 1:
        shape = parts[0]
    name = tags.get("name:zh-Hans") or tags.get("name:zh") or tags.get("name", "")
    return Feature(
        label, shape, f"{prefix[0]}{own}", kind, name, tags.get("name:en", ""), {"osm": own, **told}
    )


def _described(layer: str, tags: Mapping[str, str]) -> tuple[str, dict[str, object]] | None:
    if layer == "lines":
        return _line(tags)
    if layer == "points":
        return _place(tags)
    if tags.get("building") not in (None, "no"):
        return "building", _building(tags)
    if (
        tags.get("natural") == "water"
        or tags.get("waterway")
        or tags.get("landuse") in {"reservoir", "basin"}
    ):
        return "water", {"class": tags.get("water") or tags.get("natural") or "water"}
    ground = tags.get("landuse") or tags.get("leisure") or tags.get("natural")
    if ground:
        return "ground", {"class": "green" if ground in GREEN else ground}
    return None


def _line(tags: Mapping[str, str]) -> tuple[str, dict[str, object]] | None:
    if "highway" in tags:
        return "road", {
            "class": tags["highway"],
            "oneway": _one_way(tags),
            "lanes": _whole(tags.get("lanes")),
            "maxspeed": _whole(tags.get("maxspeed")),
            "layer": _whole(tags.get("layer")),
            "tunnel": tags.get("tunnel", "no") != "no",
            "bridge": tags.get("bridge", "no") != "no",
        }
    if "waterway" in tags:
        return "water", {"class": tags["waterway"]}
    if tags.get("railway") in {"rail", "subway", "light_rail", "tram"}:
        return "rail", {"class": tags["railway"]}
    return None


def _one_way(tags: Mapping[str, str]) -> int:
    """1 along the way, -1 against it, 0 both; motorways and roundabouts run one way unless they say otherwise."""
    stated = tags.get("oneway", "")
    if stated in {"yes", "true", "1"}:
        return 1
    if stated in {"-1", "reverse"}:
        return -1
    implied = tags.get("highway", "") in {"motorway", "motorway_link"} or tags.get("junction") == "roundabout"
    return int(implied and stated != "no")


def _building(tags: Mapping[str, str]) -> dict[str, object]:
    floors = _number(tags.get("building:levels"))
    height = _number(tags.get("height")) or (floors * FLOOR_M if floors else None)
    return {
        "use": "" if tags["building"] == "yes" else tags["building"],
        "height": height,
        "min_height": _number(tags.get("min_height")),
        "floors": round(floors) if floors else None,
        "measured": height is not None,
        "street": tags.get("addr:street"),
        "number": tags.get("addr:housenumber"),
    }


def _place(tags: Mapping[str, str]) -> tuple[str, dict[str, object]] | None:
    if not tags.get("name"):
        return None  # a place that nobody can name is none for people
    if "place" in tags:
        return "place", {"class": tags["place"]}
    found = next((key for key in PLACES if key in tags), None)
    return ("place", {"class": tags[found]}) if found else None


def _number(text: str | None) -> float | None:
    """The first number of `12`, `12.5 m`, `40 ft`; None where there is none."""
    found = re.match(r"\s*([0-9]+(?:[.,][0-9]+)?)\s*(ft|')?", text or "")
    if not found:
        return None
    return float(found[1].replace(",", ".")) * (0.3048 if found[2] else 1.0)


def _whole(text: str | None) -> int | None:
    found = re.match(r"\s*(-?[0-9]+)", text or "")
    return int(found[1]) if found else None
