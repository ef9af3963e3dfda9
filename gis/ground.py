"""What every room asks of a city, whoever made it: where things are, what is connected, what places are called.

Two kinds: `gis.city.City` has simulated networks that fit its streets; `gis.stored.StoredCity` is what was imported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely

from core import text
from core.errors import NotFound
from gis import grid
from gis.asset import Asset
from gis.crs import Plane
from gis.grid import Grid
from gis.lines import Floats, Geometry, points
from gis.network import Network
from gis.place import Gazetteer, Street, Whereabouts
from gis.roads import Roads
from gis.routing import Router

Box = tuple[float, float, float, float]


class Ground(ABC):
    """Where everything is. Metres are those of `plane`; assets and answers are WGS 84.

    `edition`: twelve hexadecimal digits that change with it; "" of a city that does not change.
    """

    edition: str = ""

    @property
    @abstractmethod
    def plane(self) -> Plane: ...

    @property
    @abstractmethod
    def extent(self) -> Box:
        """West, south, east, north of the part that matters, in metres."""

    @property
    @abstractmethod
    def attribution(self) -> str:
        """What a map of it must say of its sources."""

    @property
    @abstractmethod
    def roads(self) -> Roads: ...

    @property
    @abstractmethod
    def assets(self) -> Mapping[str, Asset]:
        """Everything on the map by its id, in a stable order."""

    @property
    @abstractmethod
    def networks(self) -> Mapping[str, Network]:
        """The pipe networks by the key of their domain: water_supply, drainage, gas, heat."""

    @property
    @abstractmethod
    def area_shapes(self) -> Mapping[str, Geometry]:
        """Each street office's area (街道) as a surface in metres."""

    @abstractmethod
    def offices(self) -> Iterator[tuple[str, str]]:
        """(area, code of its county) of the street offices that have a management grid, in a stable order."""

    @abstractmethod
    def landmarks(self) -> Iterator[tuple[Street, float, float]]:
        """Places that people know, with their metres."""

    # -- where things are ----------------------------------------------------------------------------------------

    @property
    def bounds(self) -> Box:
        """West, south, east, north of the part that matters, in WGS 84 degrees."""
        west, south, east, north = self.extent
        corners = self.plane.lonlats([[west, south], [east, north]])
        return (*corners[0].tolist(), *corners[1].tolist())

    def lonlat(self, asset: str) -> tuple[float, float]:
        """A WGS 84 point on an asset. Raises `NotFound`."""
        return self.asset(asset).lonlat

    def asset(self, asset: str) -> Asset:
        """An asset by its id. Raises `NotFound`."""
        try:
            return self.assets[asset]
        except KeyError:
            raise NotFound("error.no_asset", asset=asset) from None

    def of_kind(self, *kinds: str) -> Iterator[Asset]:
        return (asset for asset in self.assets.values() if asset.kind in kinds)

    @cached_property
    def levels(self) -> tuple[Floats, Floats]:
        """Where the height of the ground is known (`ground_m` of manholes, low points …): x, y and heights, metres."""
        found = [
            (*self.plane.xy(*asset.lonlat), float(height))
            for asset in self.assets.values()
            if isinstance(height := asset.attributes.get("ground_m"), int | float)
        ]
        known = np.array(found, np.float64).reshape(-1, 3)
        return known[:, :2], known[:, 2]

    def area_ids(self, xy: Floats) -> list[str]:
        """The id of the area that each of many places lies in, or is nearest to; "" in a city without areas."""
        if not self.area_shapes:
            return [""] * len(xy)
        names, shapes = zip(*self.area_shapes.items(), strict=True)
        rows = shapely.STRtree(shapes).nearest(points(xy)) if len(xy) else []
        return [names[row] for row in rows]

    @cached_property
    def grid(self) -> Grid:
        """The management grid of the city's areas; empty in a city without areas."""
        number: dict[str, int] = {}
        streets = []
        for area, code in self.offices():
            number[code] = number.get(code, 0) + 1
            if area in self.area_shapes:
                streets.append(grid.Street(area, code, number[code], self.area_shapes[area]))
        return grid.build(streets) if streets else Grid((0.0, 0.0), 100.0, [])

    @cached_property
    def router(self) -> Router:
        """Of a city that has roads."""
        return Router(self.roads)

    # -- words ---------------------------------------------------------------------------------------------------

    @cached_property
    def gazetteer(self) -> Gazetteer:
        return Gazetteer(self.roads, list(self.landmarks()))

    def whereabouts(self, lon: float, lat: float) -> Whereabouts:
        return self.gazetteer.find(*self.plane.xy(lon, lat))

    def describe(self, lon: float, lat: float) -> tuple[str, str]:
        """Where that is, as a person says it: (Chinese, English)."""
        found = self.whereabouts(lon, lat)
        return found.told(self.words, "zh"), found.told(self.words, "en")

    @cached_property
    def words(self) -> text.Texts:
        return text.load([Path(__file__).parent])
