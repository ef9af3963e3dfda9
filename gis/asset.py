"""The noun of this room: a thing in the city with a stable id, on which devices, alerts and orders stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from shapely import LineString

from gis.lines import Geometry

Provenance = Literal["real", "recorded", "simulated", "drill"]


@dataclass(frozen=True, slots=True, eq=False)
class Asset:
    """A thing on the map (部件 / 设施).

    `id` is the CIM key: the same for ever, and the same whoever builds the city from the same sources. `geometry`
    is WGS 84 lon, lat. `zone` is the district of its network (a DMA, a catchment), `area` the street it lies in.
    Times are µs UTC; None is open-ended. `attributes` are plain JSON values, named by the importer or generator.
    """

    id: str
    kind: str
    geometry: Geometry
    name: str = ""
    name_en: str = ""
    zone: str = ""
    area: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)
    source: str = ""
    licence: str = ""
    provenance: Provenance = "real"
    valid_from_us: int | None = None
    valid_to_us: int | None = None

    @property
    def lonlat(self) -> tuple[float, float]:
        """A point on the thing: itself, or a point that surely lies on its line or in its surface."""
        inside = self.geometry.representative_point()
        if isinstance(self.geometry, LineString):
            inside = self.geometry.interpolate(0.5, normalized=True)
        return inside.x, inside.y
