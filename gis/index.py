"""Assets in space: what is within, nearest, or touched, in metres of the city's plane. In memory, over an STR tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gis.asset import Asset
from gis.crs import Plane
from gis.lines import Geometry

if TYPE_CHECKING:
    from geopandas import GeoDataFrame


class Index:
    """A frozen set of assets; build a new one when they change. Positions asked about are WGS 84 lon, lat.

    Distances are metres to the nearest part of a geometry, 0 inside a surface.
    """

    def __init__(self, assets: Sequence[Asset], plane: Plane) -> None:
        self.assets = tuple(assets)
        self.plane = plane
        shapes = np.array([asset.geometry for asset in assets], object)
        self.shapes: NDArray[Any] = (
            np.asarray(shapely.transform(shapes, plane.points)) if len(assets) else shapes
        )
        self._tree = shapely.STRtree(self.shapes)
        only_points = len(assets) > 0 and bool((shapely.get_type_id(self.shapes) == 0).all())
        self._xy = shapely.get_coordinates(self.shapes) if only_points else np.empty((0, 2))
        self._points = cKDTree(self._xy) if only_points else None  # for points alone four times as fast

    def __len__(self) -> int:
        return len(self.assets)

    def within(self, lon: float, lat: float, metres: float) -> list[tuple[Asset, float]]:
        """(asset, distance) of all that come within a distance, the nearest first."""
        return self._within(self.plane.xy(lon, lat), metres)

    def _within(self, xy: tuple[float, float], metres: float) -> list[tuple[Asset, float]]:
        if self._points is not None:
            rows = np.array(self._points.query_ball_point(xy, metres), np.intp)
            away = np.hypot(self._xy[rows, 0] - xy[0], self._xy[rows, 1] - xy[1])
        else:
            place = shapely.Point(xy)
            rows = self._tree.query(place, predicate="dwithin", distance=metres)
            away = np.asarray(shapely.distance(self.shapes[rows], place))
        order = np.argsort(away, kind="stable")
        assets = self.assets
        return [
            (assets[row], gap) for row, gap in zip(rows[order].tolist(), away[order].tolist(), strict=True)
        ]

    def nearest(
        self, lon: float, lat: float, count: int = 1, most_m: float = np.inf
    ) -> list[tuple[Asset, float]]:
        """(asset, distance) of the nearest few, no farther than `most_m`."""
        xy = self.plane.xy(lon, lat)
        if self._points is not None:
            gaps, rows = self._points.query(xy, k=min(count, len(self)), distance_upper_bound=most_m)
            found = zip(np.atleast_1d(rows).tolist(), np.atleast_1d(gaps).tolist(), strict=True)
            return [(self.assets[row], gap) for row, gap in found if row < len(self)]
        reach = min(most_m, 50.0)
        while True:
            inside = self._within(xy, reach)
            if len(inside) >= count or reach >= most_m or len(inside) == len(self):
                return inside[:count]
            reach = min(reach * 4, most_m)

    def intersecting(self, shape: Geometry) -> list[Asset]:
        """All that share a place with a WGS 84 geometry, in the order of the index."""
        rows = self._tree.query(shapely.transform(shape, self.plane.points), predicate="intersects")
        assets = self.assets
        return [assets[row] for row in sorted(rows.tolist())]

    def rows_within(
        self, lonlat: NDArray[np.float64], metres: float
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """For many places (n, 2) at once: pairs of (row of the place, row of the asset)."""
        places = shapely.points(self.plane.points(lonlat))
        place, row = self._tree.query(places, predicate="dwithin", distance=metres)
        return place, row

    def frame(self) -> GeoDataFrame:
        """The assets as a GeoDataFrame in WGS 84, for analysis in notebooks and jobs (loads GeoPandas)."""
        import geopandas

        columns = ("id", "kind", "name", "zone", "area", "provenance")
        data: dict[str, list[object]] = {
            each: [getattr(asset, each) for asset in self.assets] for each in columns
        }
        keys = sorted({key for asset in self.assets for key in asset.attributes} - set(columns))
        data |= {key: [asset.attributes.get(key) for asset in self.assets] for key in keys}
        return geopandas.GeoDataFrame(
            data, geometry=[asset.geometry for asset in self.assets], crs="EPSG:4326"
        )
