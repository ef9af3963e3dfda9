"""Buildings as columns: outline, height, floors, and the street junction that they hang on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gis.crs import Plane
from gis.lines import Floats, Ints
from gis.streets import Streets

FLOOR_M = 3.3


@dataclass(frozen=True, slots=True, eq=False)
class Buildings:
    """n buildings; `shape` are polygons in metres of the plane.

    `height_m` is OSM's where `measured`, otherwise an estimate from the footprint. `part` marks parts of another
    building, drawn but not counted. `junction` is the nearest street junction.
    """

    id: tuple[str, ...]
    shape: NDArray[Any]
    height_m: Floats
    base_m: Floats
    measured: NDArray[np.bool_]
    part: NDArray[np.bool_]
    use: tuple[str, ...]
    name: tuple[str, ...]
    name_en: tuple[str, ...]
    junction: Ints

    def __len__(self) -> int:
        return len(self.id)

    @property
    def floors(self) -> Ints:
        return np.maximum(np.round(self.height_m / FLOOR_M), 1).astype(np.int32)

    @property
    def floor_area_m2(self) -> Floats:
        area: Floats = np.where(self.part, 0.0, shapely.area(self.shape) * self.floors)
        return area


def build(features: Sequence[Mapping[str, Any]], plane: Plane, streets: Streets) -> Buildings:
    """From GeoJSON features with the properties of the sample's buildings layer."""
    told = [each["properties"] for each in features]
    rings = [[np.asarray(ring) for ring in each["geometry"]["coordinates"]] for each in features]
    degrees = [shapely.Polygon(polygon[0], polygon[1:]) for polygon in rings]
    shapes = shapely.transform(np.array(degrees, object), plane.points)
    area = shapely.area(shapes)
    given = np.array([float(each.get("height") or 0.0) for each in told])
    guess = np.where(area < 220, 7.0, np.where(area < 900, 16.0, 24.0))
    centre = shapely.get_coordinates(shapely.centroid(shapes))
    return Buildings(
        id=_ids(told),
        shape=shapes,
        height_m=np.where(given > 0, given, guess),
        base_m=np.array([float(each.get("min_height") or 0.0) for each in told]),
        measured=given > 0,
        part=np.array([bool(each.get("part")) for each in told]),
        use=tuple(str(each.get("use", "")) for each in told),
        name=tuple(str(each.get("name", "")) for each in told),
        name_en=tuple(str(each.get("name_en", "")) for each in told),
        junction=cKDTree(streets.node_xy).query(centre)[1].astype(np.int32),
    )


def _ids(told: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """`B-<osm id>`, and `-2`, `-3` … for further polygons of the same object."""
    seen: dict[str, int] = {}
    ids = []
    for each in told:
        name = f"B-{each['osm']}".replace("B--", "B-r")  # a relation has a negative number
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return tuple(ids)
