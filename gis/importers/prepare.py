"""From what a file has to assets: the checks that every format passes, in one place. Pure.

A mistake of one feature refuses that feature; a mistake of all of them (no reference system, longitude and latitude
swapped, points among surfaces) refuses the file.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from core.schema import WIRE_ID
from gis import crs as systems
from gis.asset import Asset
from gis.crs import Crs
from gis.importers.found import Feature, FileRefused, Reading, Refusal
from gis.importers.plan import Plan
from gis.lines import Floats

#: Kinds that are nothing without a name.
NAMED = frozenset({"area", "place", "grid_person"})

SHAPES = {0: "point", 1: "line", 2: "surface"}
NAME_FIELDS = ("name", "name_zh", "名称", "NAME", "Name", "mc", "MC")
ID_FIELDS = ("id", "ID", "Id", "asset_id", "编号", "bh", "BH", "objectid", "OBJECTID", "gml_id")

#: Attributes that name another feature of the same file by its own id.
LINKS = ("tail", "head", "outlet")

#: A layer of which more than this share is wrong in the same way was misread as a whole.
MOST = 0.5


@dataclass(frozen=True, slots=True)
class Prepared:
    """Assets ready to be stored (WGS 84), what was refused and why, the reference system and licence they came in."""

    assets: list[Asset]
    refused: list[Refusal]
    crs: str
    format: str
    counts: Mapping[str, int] = field(default_factory=dict)
    licence: str = ""


def prepare(reading: Reading, plan: Plan, file: str) -> Prepared:
    """Check and convert a reading. Raises `FileRefused` where the file as a whole cannot be right."""
    plan = replace(plan, source=plan.source or file, licence=plan.licence or reading.licence)
    system = _system(reading, plan, file)
    features, refused = _with_shape(reading.features, plan)
    refused = [*reading.refused, *refused]
    _one_dimension(features, reading, plan, file)
    features = _converted(features, system, refused, file)
    features = _where_expected(features, plan, refused, file)
    features = _sound(features, refused)
    features = _named(features, plan, refused)
    assets = _assets(features, plan, refused)
    counts = Counter(asset.kind for asset in assets)
    return Prepared(assets, refused, system.name, reading.format, dict(counts), plan.licence)


def _system(reading: Reading, plan: Plan, file: str) -> Crs:
    name = plan.crs or reading.crs
    if not name:
        raise FileRefused("import.no_crs", file=file)
    return systems.crs(name)


def _with_shape(features: Sequence[Feature], plan: Plan) -> tuple[list[Feature], list[Refusal]]:
    """Features that have a geometry, of the wanted shape."""
    kept, refused = [], []
    for each in features:
        if each.geometry is None or each.geometry.is_empty:
            refused.append(Refusal(each.label, "geometry", "import.no_geometry"))
        elif plan.shape != "any" and SHAPES[int(shapely.get_dimensions(each.geometry))] != plan.shape:
            refused.append(Refusal(each.label, "geometry", "import.other_shape", {"shape": plan.shape}))
        else:
            kept.append(each)
    return kept, refused


def _one_dimension(features: Sequence[Feature], reading: Reading, plan: Plan, file: str) -> None:
    """A layer is of points, of lines or of surfaces, save where its format is a model of many things."""
    if reading.mixed or plan.shape != "any":
        return
    first: dict[int, str] = {}
    count: Counter[int] = Counter()
    for each in features:
        dimension = int(shapely.get_dimensions(each.geometry))
        first.setdefault(dimension, each.label)
        count[dimension] += 1
    if len(count) > 1:
        told = ", ".join(f"{count[d]} {SHAPES[d]} ({first[d]})" for d in sorted(count))
        raise FileRefused("import.mixed_geometry", file=file, counts=told)


def _converted(features: list[Feature], system: Crs, refused: list[Refusal], file: str) -> list[Feature]:
    """The features in WGS 84; what the reference system cannot mean is refused."""
    if not features:
        return []
    shapes: NDArray[Any] = np.asarray(
        shapely.force_2d(np.array([each.geometry for each in features], object))
    )
    wrong = _impossible(shapes, system)
    if wrong.any():
        _refuse_file_misread(shapes, wrong, system, file)
    moved = shapely.transform(shapes, lambda xy: _wgs84(system, xy))
    finite = np.atleast_1d(np.isfinite(shapely.bounds(moved)).all(axis=1))
    kept = []
    for row, each in enumerate(features):
        if wrong[row]:
            kind = "import.swapped" if _swapped(shapes[row]) else "import.out_of_range"
            refused.append(
                Refusal(each.label, "geometry", kind, {"place": _place(shapes[row]), "crs": system.name})
            )
        elif not finite[row]:
            told = {"place": _place(shapes[row]), "crs": system.name}
            refused.append(Refusal(each.label, "geometry", "import.not_in_crs", told))
        else:
            kept.append(replace(each, geometry=moved[row]))
    return kept


def _wgs84(system: Crs, xy: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.column_stack(system.to_wgs84(xy[:, 0], xy[:, 1]))


def _impossible(shapes: NDArray[Any], system: Crs) -> NDArray[np.bool_]:
    """Which geometries are no degrees although the system is of degrees, or no numbers at all."""
    west, south, east, north = shapely.bounds(shapes).T
    wrong: NDArray[np.bool_] = ~np.isfinite(west + south + east + north)
    if system.geographic:
        wrong |= (west < -180) | (east > 180) | (south < -90) | (north > 90)
    return wrong


def _refuse_file_misread(shapes: NDArray[Any], wrong: NDArray[np.bool_], system: Crs, file: str) -> None:
    if wrong.mean() <= MOST:
        return
    example = shapes[int(np.flatnonzero(wrong)[0])]
    swapped = np.mean([_swapped(shape) for shape in shapes[wrong]]) > MOST
    key = "import.file_swapped" if swapped else "import.file_projected"
    raise FileRefused(key, file=file, place=_place(example), crs=system.name)


def _swapped(shape: Any) -> bool:  # noqa: ANN401 - a Shapely geometry
    """True when the coordinates would be degrees the other way round."""
    west, south, east, north = shape.bounds
    return bool(-90 <= west <= east <= 90 and -180 <= south <= north <= 180)


def _place(shape: Any) -> str:  # noqa: ANN401 - a Shapely geometry
    x, y = shapely.get_coordinates(shape)[0]
    return f"{x:.6g}, {y:.6g}"


def _where_expected(features: list[Feature], plan: Plan, refused: list[Refusal], file: str) -> list[Feature]:
    """The features that lie near the city; a layer that lies elsewhere as a whole is refused."""
    if plan.near is None or not features:
        return features
    bounds = shapely.bounds(np.array([each.geometry for each in features], object))
    here = _touches(bounds, plan.near)
    if here.mean() < 1 - MOST:
        example = features[int(np.flatnonzero(~here)[0])]
        turned = _touches(bounds[:, [1, 0, 3, 2]], plan.near)
        key = "import.file_swapped" if turned.mean() > MOST else "import.file_elsewhere"
        away = round(_km_away(bounds[~here], plan.near))
        raise FileRefused(key, file=file, place=_place(example.geometry), crs=plan.crs or "-", km=away)
    for row in np.flatnonzero(~here).tolist():
        told = {
            "place": _place(features[row].geometry),
            "km": round(_km_away(bounds[row : row + 1], plan.near)),
        }
        refused.append(Refusal(features[row].label, "geometry", "import.elsewhere", told))
    return [each for each, inside in zip(features, here.tolist(), strict=True) if inside]


def _touches(bounds: Floats, near: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    west, south, east, north = near
    inside: NDArray[np.bool_] = (
        (bounds[:, 2] >= west) & (bounds[:, 0] <= east) & (bounds[:, 3] >= south) & (bounds[:, 1] <= north)
    )
    return inside


def _km_away(bounds: Floats, near: tuple[float, float, float, float]) -> float:
    middle = bounds.mean(axis=0)
    x, y = (middle[0] + middle[2]) / 2, (middle[1] + middle[3]) / 2
    centre = (near[0] + near[2]) / 2, (near[1] + near[3]) / 2
    return math.hypot((x - centre[0]) * 111.3 * math.cos(math.radians(centre[1])), (y - centre[1]) * 110.9)


def _sound(features: list[Feature], refused: list[Refusal]) -> list[Feature]:
    """Features whose geometry crosses itself nowhere and has an extent."""
    kept = []
    for each in features:
        reason = str(shapely.is_valid_reason(each.geometry))
        if reason != "Valid Geometry":
            told = {"reason": reason.partition("[")[0].strip(), "place": _where(reason)}
            refused.append(Refusal(each.label, "geometry", "import.not_valid", told))
        elif shapely.get_dimensions(each.geometry) == 1 and shapely.length(each.geometry) == 0:
            refused.append(Refusal(each.label, "geometry", "import.no_length"))
        else:
            kept.append(each)
    return kept


def _where(reason: str) -> str:
    found = re.search(r"\[(.*)\]", reason)
    return found[1].replace(" ", ", ") if found else "-"


def _named(features: list[Feature], plan: Plan, refused: list[Refusal]) -> list[Feature]:
    """Features with their names; those that need one and have none are refused."""
    kept = []
    for each in features:
        name = each.name or _text(each.attributes, plan.name_field, NAME_FIELDS)
        name_en = each.name_en or _text(each.attributes, plan.name_en_field, ("name_en", "name:en"))
        if not name and (each.kind or plan.kind) in NAMED:
            refused.append(Refusal(each.label, plan.name_field or "name", "import.no_name"))
        else:
            kept.append(replace(each, name=name, name_en=name_en))
    return kept


def _text(attributes: Mapping[str, object], wanted: str, usual: Sequence[str]) -> str:
    for key in (wanted,) if wanted else usual:
        value = attributes.get(key)
        if value not in (None, ""):
            return str(value).strip()
    return ""


def _assets(features: list[Feature], plan: Plan, refused: list[Refusal]) -> list[Asset]:
    found: dict[str, Asset] = {}
    first: dict[str, str] = {}
    ids: dict[str, str] = {}
    for each in features:
        kind = each.kind or plan.kind
        name = _asset_id(each, plan)
        assert each.geometry is not None  # refused above
        if not kind:
            refused.append(Refusal(each.label, "kind", "import.no_kind"))
        elif not WIRE_ID.fullmatch(name):
            refused.append(Refusal(each.label, plan.id_field or "id", "import.bad_id", {"id": name}))
        elif name in found:
            told = {"id": name, "first": first[name]}
            refused.append(Refusal(each.label, plan.id_field or "id", "import.duplicate_id", told))
        else:
            first[name] = each.label
            ids[each.id] = name
            found[name] = Asset(
                name,
                kind,
                each.geometry,
                each.name,
                each.name_en,
                attributes=plain(each.attributes),
                source=plan.source,
                licence=plan.licence,
                provenance=plan.provenance,
                valid_from_us=plan.valid_from_us,
                valid_to_us=plan.valid_to_us,
            )
    return [_linked(asset, ids) for asset in found.values()]


def _linked(asset: Asset, ids: Mapping[str, str]) -> Asset:
    """The asset with its references to others of the file (tail, head, outlet) as asset ids."""
    told = {key: ids[str(asset.attributes[key])] for key in LINKS if asset.attributes.get(key) in ids}
    return replace(asset, attributes={**asset.attributes, **told}) if told else asset


def _asset_id(feature: Feature, plan: Plan) -> str:
    """Its own id within the layer; without one a name made from what it is, the same at every import."""
    own = feature.id or _text(feature.attributes, plan.id_field, ID_FIELDS)
    if own:
        clean = re.sub(r"[^A-Za-z0-9._:-]", "_", own) if own.isascii() else _digest(own)
        return f"{plan.layer}.{clean}"
    assert feature.geometry is not None  # refused above
    told = bytes(shapely.set_precision(feature.geometry, 1e-7).wkb) + feature.name.encode()
    return f"{plan.layer}.{_digest(told)}"


def _digest(told: str | bytes) -> str:
    return hashlib.blake2b(told.encode() if isinstance(told, str) else told, digest_size=8).hexdigest()


def plain(attributes: Mapping[str, object]) -> dict[str, object]:
    """Attributes as JSON has them: no NaN, no NumPy, no empty values."""
    kept: dict[str, object] = {}
    for key, value in attributes.items():
        if isinstance(value, np.generic):
            value = value.item()  # noqa: PLW2901 - the same value, as Python has it
        if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
            continue
        if isinstance(value, float):
            value = round(value, 6)  # noqa: PLW2901 - conversion of units leaves 355.59999999999997
        kept[str(key)] = value if isinstance(value, bool | int | float | str | list | dict) else str(value)
    return kept
