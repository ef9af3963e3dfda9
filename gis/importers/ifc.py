"""IFC: the outline and height of a building model, by the optional package `ifcopenshell`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import shapely

from gis.crs import Plane
from gis.importers.found import Feature, FileRefused, Progress, Reading, Refusal
from gis.importers.plan import Plan
from gis.lines import Floats, Geometry

#: What makes a building's bulk; doors and chairs do not.
BULK = ("IfcWall", "IfcWallStandardCase", "IfcSlab", "IfcRoof", "IfcColumn", "IfcCurtainWall", "IfcFooting",
        "IfcBuildingElementProxy", "IfcPlate", "IfcMember")  # fmt: skip


def read(path: Path, plan: Plan, progress: Progress) -> Reading:
    """One feature a building: the hull of its bulk on the ground, its height, and its model's name.

    The place is the site's latitude and longitude with true north, unless the plan states a reference system:
    then model coordinates are taken for coordinates of that.
    """
    try:
        import ifcopenshell
        import ifcopenshell.geom
    except ImportError:
        raise FileRefused("import.no_ifc", file=path.name) from None
    try:
        model: Any = ifcopenshell.open(str(path))
    except Exception as wrong:
        raise FileRefused("import.unreadable", file=path.name, reason=str(wrong)) from wrong
    refused: list[Refusal] = []
    vertices = _vertices(ifcopenshell.geom, model, progress)
    if not len(vertices):
        raise FileRefused("import.ifc_empty", file=path.name)
    site = next(iter(model.by_type("IfcSite")), None)
    lonlat = _site(site)
    if not plan.crs and lonlat is None:
        raise FileRefused("import.no_crs", file=path.name)
    building = next(iter(model.by_type("IfcBuilding")), None)
    told = {"height": round(float(np.ptp(vertices[:, 2])), 2), "base_m": round(float(vertices[:, 2].min()), 2),
            "schema": str(model.schema), "lod": "bounding"}  # fmt: skip
    outline: Geometry = shapely.MultiPoint(vertices[:, :2]).convex_hull
    name = str(getattr(building, "Name", "") or "") if building is not None else ""
    own = str(getattr(building, "GlobalId", "") or path.stem) if building is not None else path.stem
    if not plan.crs and lonlat is not None:
        plane = Plane(*lonlat)
        turn = _true_north(model)
        outline = shapely.transform(outline, lambda xy: plane.lonlats(xy @ turn))
    feature = Feature(f"building {own}", outline, own.replace("$", "_"), "building", name, attributes=told)
    return Reading("IFC", [feature], refused, "" if plan.crs else "EPSG:4326")


def _vertices(geom: Any, model: Any, progress: Progress) -> Floats:  # noqa: ANN401 - an untyped package
    """All corners of the bulk in world coordinates and metres."""
    settings = geom.settings()
    settings.set("use-world-coords", True)  # noqa: FBT003 - its signature
    elements = [element for name in BULK for element in model.by_type(name, include_subtypes=False)]
    found = []
    for number, element in enumerate(elements, 1):
        if not element.Representation:
            continue
        try:
            shape = geom.create_shape(settings, element)
        except RuntimeError:
            continue  # one element without a usable shape does not change a building's hull
        found.append(np.array(shape.geometry.verts).reshape(-1, 3))
        progress(number, len(elements))
    return np.concatenate(found) if found else np.empty((0, 3))


def _site(site: Any) -> tuple[float, float] | None:  # noqa: ANN401 - an untyped package
    if site is None or not site.RefLongitude or not site.RefLatitude:
        return None
    return _degrees(site.RefLongitude), _degrees(site.RefLatitude)


def _degrees(parts: tuple[int, ...]) -> float:
    """IFC's degrees, minutes, seconds and millionths of a second."""
    scale = (1.0, 60.0, 3600.0, 3600e6)
    return float(sum(part / by for part, by in zip(parts, scale, strict=False)))


def _true_north(model: Any) -> Floats:  # noqa: ANN401 - an untyped package
    """The matrix that turns model axes to east and north."""
    for context in model.by_type("IfcGeometricRepresentationContext", include_subtypes=False):
        if context.TrueNorth is not None:
            x, y = context.TrueNorth.DirectionRatios[:2]
            size = float(np.hypot(x, y)) or 1.0
            return np.array([[y, x], [-x, y]]) / size
    return np.eye(2)
