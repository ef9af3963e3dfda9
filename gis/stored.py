"""A city made of what was imported: its streets, its pipes, its street offices; nothing is invented.

What a layer did not bring is not there: without streets travel times are estimates, without pipes no valve is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import shapely

from core.db import connect_sync
from gis import graphs, roads, sample, store
from gis.asset import Asset
from gis.crs import Plane
from gis.ground import Box, Ground
from gis.lines import Geometry
from gis.network import Network
from gis.place import KNOWN_BY, Street
from gis.roads import Roads

#: Where a map looks before anything was imported: the land of China, roughly (west, south, east, north).
NOWHERE = (98.0, 20.0, 124.0, 44.0)
#: Ways that nobody drives on join nothing.
WALKED = frozenset({"footway", "path", "steps", "cycleway", "pedestrian", "bridleway", "corridor"})
#: What a city is as large as; a river or a boundary reaches far beyond it.
INSIDE = frozenset({"road", "building", "area", "pipe", "drain", "gas_pipe", "heat_pipe"})


class StoredCity(Ground):
    """A city of assets."""

    def __init__(self, assets: Sequence[Asset], edition: str = "0" * 12) -> None:
        self._assets = {asset.id: asset for asset in assets}
        self.edition = edition
        self._degrees = _degrees(assets)
        west, south, east, north = self._degrees
        self._plane = Plane((west + east) / 2, (south + north) / 2)

    @property
    def plane(self) -> Plane:
        return self._plane

    @property
    def bounds(self) -> Box:
        return self._degrees

    @property
    def extent(self) -> Box:
        west, south, east, north = self._degrees
        (left, low), (right, high) = self.plane.points([[west, south], [east, north]]).tolist()
        return left, low, right, high

    @property
    def attribution(self) -> str:
        told = dict.fromkeys(each.licence or each.source for each in self._assets.values())
        return " · ".join(each for each in told if each)

    @property
    def assets(self) -> Mapping[str, Asset]:
        return self._assets

    def asset(self, asset: str) -> Asset:
        """As `Ground` has it; a stretch `way.3` of a road that was cut at its junctions is its road."""
        way, _, _ = asset.rpartition(".")
        return super().asset(way if asset not in self._assets and way in self._assets else asset)

    @cached_property
    def roads(self) -> Roads:
        ways = [
            (
                {
                    **each.attributes,
                    "osm": each.id,
                    "name": each.name,
                    "name_en": each.name_en,
                    **_kind(each),
                },
                line,
            )
            for each in self.of_kind("road")
            for line in _lines(each.geometry)
        ]
        return roads.build(ways, self.plane, "{way}.{part}")

    @cached_property
    def networks(self) -> Mapping[str, Network]:
        found = (graphs.network(self._assets.values(), key, self.plane) for key in graphs.EDGES)
        return {each.name: each for each in found if each.edge_ids}

    @cached_property
    def area_shapes(self) -> Mapping[str, Geometry]:
        surfaces = (each for each in self.of_kind("area") if shapely.get_dimensions(each.geometry) == 2)
        return {each.id: shapely.transform(each.geometry, self.plane.points) for each in surfaces}

    def offices(self) -> Iterator[tuple[str, str]]:
        codes = ((each.id, str(each.attributes.get("code", ""))) for each in self.of_kind("area"))
        return ((area, code) for area, code in codes if code.isdecimal())

    def landmarks(self) -> Iterator[tuple[Street, float, float]]:
        for each in self.of_kind("place"):
            if each.name and each.attributes.get("class") in KNOWN_BY:
                yield Street(each.name, each.name_en or each.name), *self.plane.xy(*each.lonlat)


def read(dsn: str, now_us: int) -> StoredCity:
    """Everything that was imported and is in force at a time, but for the sample city. Not for the event loop."""
    with connect_sync(dsn) as connection:
        rows = connection.execute(store.QUERIES["assets_of"], store.asked(at_us=now_us)).fetchall()
        layers = connection.execute(store.QUERIES["all_layers"]).fetchall()
    stamp = [
        (each["layer"], each["fingerprint"], each["at"]) for each in layers if each["layer"] != sample.LAYER
    ]
    assets = [store.from_row(row) for row in rows if row["layer"] != sample.LAYER]
    return StoredCity(assets, hashlib.sha256(repr(stamp).encode()).hexdigest()[:12])


def _degrees(assets: Sequence[Asset]) -> Box:
    inside = [each.geometry for each in assets if each.kind in INSIDE] or [each.geometry for each in assets]
    if not inside:
        return NOWHERE
    west, south, east, north = shapely.total_bounds(np.array(inside, dtype=object)).tolist()
    return west, south, east, north


def _kind(road: Asset) -> dict[str, object]:
    """What a road must have to be driven on, whoever drew it."""
    told = road.attributes
    kind = str(told.get("class") or "unclassified")
    whole = {key: told.get(key) or 0 for key in ("oneway", "lanes", "layer", "bridge")}
    return {**whole, "class": kind, "detail": kind in WALKED}


def _lines(shape: Geometry) -> Iterator[Sequence[Sequence[float]]]:
    for part in shapely.get_parts(shape):
        if part.geom_type == "LineString":
            yield shapely.get_coordinates(part).tolist()
