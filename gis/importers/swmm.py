"""SWMM 5 input files: junctions, outfalls, storage, conduits, pumps, weirs, orifices and catchments, in metres."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import shapely

from gis.importers.found import Feature, Progress, Reading, Refusal
from gis.importers.inp import Places, Row, Sections, numbers_of, sections
from gis.importers.plan import Plan

US_FLOWS = {"CFS", "GPM", "MGD"}
FOOT_M, ACRE_M2, HECTARE_M2 = 0.3048, 4046.856, 10_000.0

NODES = {"JUNCTIONS": "manhole", "OUTFALLS": "outfall", "STORAGE": "drain_storage", "DIVIDERS": "manhole"}
LINKS = {
    "CONDUITS": "drain",
    "PUMPS": "drain_pump",
    "ORIFICES": "drain_orifice",
    "WEIRS": "drain_weir",
    "OUTLETS": "drain_outlet",
}


def read(path: Path, plan: Plan, progress: Progress) -> Reading:
    """The drainage network of a file; it rarely says where on earth its coordinates lie."""
    parts = sections(path, plan)
    refused: list[Refusal] = []
    places = Places(parts, refused)
    unit = parts.options().get("FLOW_UNITS", "CFS").upper()
    metre = FOOT_M if unit in US_FLOWS else 1.0
    floors: dict[str, float] = {}
    features = [*_nodes(parts, places, metre, floors, refused)]
    features += _links(parts, places, metre, floors, refused)
    features += _catchments(parts, ACRE_M2 if unit in US_FLOWS else HECTARE_M2, refused)
    progress(len(features), len(features))
    return Reading("SWMM", features, refused, mixed=True)


def _nodes(
    parts: Sections, places: Places, metre: float, floors: dict[str, float], refused: list[Refusal]
) -> Iterator[Feature]:
    for section, kind in NODES.items():
        for row in parts[section]:
            numbers = numbers_of(row, (1,), f"[{section}]", refused)
            if numbers is None:
                continue
            name, floor = row.words[0], numbers[0] * metre
            floors[name] = floor
            told: dict[str, object] = {
                "network": "drainage",
                "name_in_model": name,
                "invert_m": round(floor, 4),
            }
            depth = _optional(row, 2) if section != "OUTFALLS" else 0.0
            if depth:
                told["ground_m"] = round(floor + depth * metre, 4)
            yield Feature(_label(section, row), places.point(name), f"node.{name}", kind, attributes=told)


def _links(
    parts: Sections, places: Places, metre: float, floors: dict[str, float], refused: list[Refusal]
) -> Iterator[Feature]:
    section_of = {row.words[0]: row for row in parts["XSECTIONS"]}
    for section, kind in LINKS.items():
        for row in parts[section]:
            if len(row.words) < 3:
                refused.append(Refusal(_label(section, row), "(row)", "import.ragged_row",
                                       {"cells": len(row.words), "columns": 3}))  # fmt: skip
                continue
            name, tail, head = row.words[:3]
            told: dict[str, object] = {"network": "drainage", "name_in_model": name, "tail": f"node.{tail}",
                                       "head": f"node.{head}"}  # fmt: skip
            if section == "CONDUITS":
                numbers = numbers_of(row, (3,), "[CONDUITS]", refused)
                if numbers is None:
                    continue
                told["length_m"] = round(numbers[0] * metre, 3)
                told["upper_m"] = round(floors.get(tail, 0.0) + _optional(row, 5) * metre, 4)
                told["lower_m"] = round(floors.get(head, 0.0) + _optional(row, 6) * metre, 4)
            shape = section_of.get(name)
            if shape is not None and len(shape.words) > 2:
                told["section"] = shape.words[1]
                told["diameter_mm"] = round(_optional(shape, 2) * metre * 1000)
            yield Feature(
                _label(section, row), places.line(name, tail, head), f"link.{name}", kind, attributes=told
            )


def _catchments(parts: Sections, area_m2: float, refused: list[Refusal]) -> Iterator[Feature]:
    """Subcatchments that have a polygon; those without are only numbers of the model."""
    corners: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in parts["POLYGONS"]:
        numbers = numbers_of(row, (1, 2), "[POLYGONS]", refused)
        if numbers is not None:
            corners[row.words[0]].append((numbers[0], numbers[1]))
    for row in parts["SUBCATCHMENTS"]:
        ring = corners.get(row.words[0], [])
        if len(ring) >= 3:
            outlet = row.words[2] if len(row.words) > 2 else ""
            told = {"network": "drainage", "outlet": f"node.{outlet}", "area_m2": round(_optional(row, 3) * area_m2),
                    "impervious_percent": _optional(row, 4)}  # fmt: skip
            label = _label("SUBCATCHMENTS", row)
            yield Feature(label, shapely.Polygon(ring), f"area.{row.words[0]}", "catchment", attributes=told)


def _label(section: str, row: Row) -> str:
    return f"[{section}] {row.words[0]} (line {row.line})"


def _optional(row: Row, at: int) -> float:
    try:
        return float(row.words[at])
    except (ValueError, IndexError):
        return 0.0
