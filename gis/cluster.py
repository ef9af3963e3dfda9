"""Many points as few: clusters by the tile grid, made on the server so that no browser ever gets 100 000 markers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from gis import mvt
from gis.lines import Floats, Ints
from gis.views import LiveFeature

#: Clusters are this part of a tile wide: 64 px of 512.
CELLS_A_TILE = 8

#: From this zoom on every point stands for itself.
ALONE_FROM = 16


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Parallel columns: how many points, where they are on average (WGS 84), the worst level, one of them.

    Levels are 1 (worst) to 4, then larger ones (silent), 0 for none; `row` is the only point of a cluster of one,
    otherwise the worst one.
    """

    count: Ints
    lon: Floats
    lat: Floats
    level: NDArray[np.int8]
    row: Ints


class Points:
    """Points that do not move, with levels that change. Numbers are what tiles call them."""

    def __init__(self, number: Ints, lon: Floats, lat: Floats) -> None:
        u, v = mvt.mercator(lon, lat)
        order = np.argsort(u, kind="stable")
        self._order = order.astype(np.int32)
        self._u, self._v = u[order], v[order]
        self.number, self.lon, self.lat = number, lon, lat

    def __len__(self) -> int:
        return len(self.number)

    def inside(self, box: tuple[float, float, float, float]) -> Ints:
        """Rows of the points in a box of degrees (west, south, east, north)."""
        west, south, east, north = box
        (left, right), (top, bottom) = mvt.mercator([west, east], [north, south])
        low, high = np.searchsorted(self._u, [left, right])
        kept = (self._v[low:high] >= top) & (self._v[low:high] <= bottom)
        rows: Ints = self._order[low:high][kept]
        return rows

    def clusters(
        self, box: tuple[float, float, float, float], zoom: int, level: NDArray[np.int8]
    ) -> Clusters:
        """The clusters of a zoom in a box; cells are those of the tile grid, so neighbouring tiles agree."""
        rows = self.inside(box)
        u, v = mvt.mercator(self.lon[rows], self.lat[rows])
        side = 2.0**zoom * CELLS_A_TILE
        cell = np.floor(u * side).astype(np.int64) * (1 << 32) + np.floor(v * side).astype(np.int64)
        _, group, count = np.unique(cell, return_inverse=True, return_counts=True)
        rank = np.where(level[rows] == 0, 127, level[rows]).astype(np.int64)
        worst_first = np.lexsort((rows, rank, group))
        first = np.searchsorted(group[worst_first], np.arange(len(count)))
        chosen = rows[worst_first[first]] if len(rows) else rows
        return Clusters(
            count=count.astype(np.int32),
            lon=np.bincount(group, self.lon[rows]) / count if len(rows) else np.empty(0),
            lat=np.bincount(group, self.lat[rows]) / count if len(rows) else np.empty(0),
            level=level[chosen],
            row=chosen,
        )

    def features(
        self, box: tuple[float, float, float, float], zoom: int, level: NDArray[np.int8]
    ) -> list[LiveFeature]:
        """What a live layer draws: clusters (`count`, worst `level`) at small zooms, every point at large ones."""
        if zoom >= ALONE_FROM:
            rows = self.inside(box)
            return [
                LiveFeature(
                    int(self.number[row]),
                    shapely.Point(self.lon[row], self.lat[row]),
                    {"level": int(level[row])},
                )
                for row in rows.tolist()
            ]
        found = self.clusters(box, zoom, level)
        columns = (
            found.count.tolist(),
            found.lon.tolist(),
            found.lat.tolist(),
            found.level.tolist(),
            found.row.tolist(),
        )
        return [
            LiveFeature(int(self.number[row]), shapely.Point(lon, lat), _told(count, worst))
            for count, lon, lat, worst, row in zip(*columns, strict=True)
        ]


def _told(count: int, level: int) -> dict[str, mvt.Value]:
    return {"level": level, "count": count} if count > 1 else {"level": level}
