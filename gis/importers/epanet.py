"""EPANET input files: junctions, reservoirs, tanks, pipes, pumps and valves, in metres, millimetres and L/s."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gis.importers.found import Feature, Progress, Reading, Refusal
from gis.importers.inp import Places, Row, Sections, numbers_of, sections
from gis.importers.plan import Plan

#: L/s in one of each flow unit; those of the first row mean feet and inches, those of the second metres and mm.
US_FLOWS = {"CFS": 28.316_847, "GPM": 0.063_090, "MGD": 43.812_636, "IMGD": 52.616_782, "AFD": 14.276_394}
SI_FLOWS = {"LPS": 1.0, "LPM": 1 / 60, "MLD": 11.574_074, "CMH": 1 / 3.6, "CMD": 1 / 86.4, "CMS": 1000.0}
FOOT_M, INCH_MM = 0.3048, 25.4


Told = Mapping[str, object]


def read(path: Path, plan: Plan, progress: Progress) -> Reading:
    """The network of a file; it never says where on earth its coordinates lie."""
    parts = sections(path, plan)
    refused: list[Refusal] = []
    places = Places(parts, refused)
    flow_unit = parts.options().get("UNITS", "GPM").upper()
    us = flow_unit in US_FLOWS
    scale = _Scale(FOOT_M if us else 1.0, INCH_MM if us else 1.0, (US_FLOWS | SI_FLOWS).get(flow_unit, 1.0))
    features = [*_nodes(parts, places, scale, refused), *_links(parts, places, scale, refused)]
    progress(len(features), len(features))
    return Reading("EPANET", features, refused, mixed=True)


class _Scale:
    """Metres, millimetres and L/s in the file's units."""

    def __init__(self, metre: float, millimetre: float, lps: float) -> None:
        self.metre, self.millimetre, self.lps = metre, millimetre, lps


def _nodes(parts: Sections, places: Places, scale: _Scale, refused: list[Refusal]) -> Iterator[Feature]:
    demands: dict[str, float] = {}
    for row in parts["DEMANDS"]:
        numbers = numbers_of(row, (1,), "[DEMANDS]", refused)
        if numbers is not None:
            demands[row.words[0]] = demands.get(row.words[0], 0.0) + numbers[0]
    for row in parts["JUNCTIONS"]:
        numbers = numbers_of(row, (1,), "[JUNCTIONS]", refused)
        if numbers is None:
            continue
        demand = demands.get(row.words[0], _optional(row, 2))
        told = {"elevation_m": numbers[0] * scale.metre, "demand_lps": demand * scale.lps}
        yield _node("JUNCTIONS", "junction", row, places, told)
    for row in parts["RESERVOIRS"]:
        numbers = numbers_of(row, (1,), "[RESERVOIRS]", refused)
        if numbers is not None:
            yield _node("RESERVOIRS", "water_source", row, places, {"head_m": numbers[0] * scale.metre})
    for row in parts["TANKS"]:
        numbers = numbers_of(row, (1, 2, 3, 4, 5), "[TANKS]", refused)
        if numbers is not None:
            names = ("elevation_m", "level_m", "least_level_m", "most_level_m", "diameter_m")
            told = {name: number * scale.metre for name, number in zip(names, numbers, strict=True)}
            yield _node("TANKS", "tank", row, places, told)


def _links(parts: Sections, places: Places, scale: _Scale, refused: list[Refusal]) -> Iterator[Feature]:
    for row in parts["PIPES"]:
        numbers = numbers_of(row, (3, 4), "[PIPES]", refused)
        if numbers is None:
            continue
        yield _link("PIPES", "pipe", row, places, {
            "length_m": numbers[0] * scale.metre, "diameter_mm": numbers[1] * scale.millimetre,
            "roughness": _optional(row, 5), "shut": "CLOSED" in {word.upper() for word in row.words[6:]},
        })  # fmt: skip
    for row in parts["PUMPS"]:
        yield _link("PUMPS", "water_pump", row, places, {"shape": " ".join(row.words[3:])})
    for row in parts["VALVES"]:
        numbers = numbers_of(row, (3,), "[VALVES]", refused)
        if numbers is not None:
            yield _link("VALVES", "control_valve", row, places, {
                "diameter_mm": numbers[0] * scale.millimetre, "type": _word(row, 4), "setting": _word(row, 5),
            })  # fmt: skip


def _node(section: str, kind: str, row: Row, places: Places, told: Told) -> Feature:
    name = row.words[0]
    told = {"network": "water_supply", "name_in_model": name, **told}
    return Feature(_label(section, row), places.point(name), f"node.{name}", kind, attributes=told)


def _link(section: str, kind: str, row: Row, places: Places, told: Told) -> Feature:
    name, tail, head = (*row.words[:3], "", "")[:3]
    told = {
        "network": "water_supply",
        "name_in_model": name,
        "tail": f"node.{tail}",
        "head": f"node.{head}",
        **told,
    }
    return Feature(_label(section, row), places.line(name, tail, head), f"link.{name}", kind, attributes=told)


def _label(section: str, row: Row) -> str:
    return f"[{section}] {row.words[0]} (line {row.line})"


def _word(row: Row, at: int) -> str:
    return row.words[at] if at < len(row.words) else ""


def _optional(row: Row, at: int) -> float:
    try:
        return float(_word(row, at))
    except ValueError:
        return 0.0


def is_epanet(names: Sequence[str]) -> bool:
    return "PIPES" in names or "RESERVOIRS" in names
