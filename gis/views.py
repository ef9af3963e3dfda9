"""What this room shows to rooms above: the city, its tiles, and live layers as tiles. Reads only."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import shapely
from psycopg.rows import DictRow

from core.db import Database
from core.errors import NotFound
from gis import mvt, sample, store, tiles
from gis.city import City
from gis.lines import Geometry
from gis.mvt import Value
from gis.search import Search
from gis.tiles import Reader

BBox = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class LiveFeature:
    """A feature of a layer that changes: a number from 1 on, a WGS 84 geometry, flat properties."""

    number: int
    geometry: Geometry
    properties: Mapping[str, Value]


#: What a live layer has in a box (degrees) at a zoom, for somebody who sees these areas only (none: all of them);
#: clustering and thinning are the layer's own affair.
LiveLayer = Callable[[BBox, int, frozenset[str]], Awaitable[Sequence[LiveFeature]]]


class CityMap:
    """The city of this process, made when first asked for, and the folder of its tile files."""

    def __init__(
        self, make: Callable[[], City], folder: Path, live: Mapping[str, LiveLayer] | None = None,
        database: Database | None = None,
    ) -> None:  # fmt: skip
        self._make = make
        self._city: City | None = None
        self._reader: Reader | None = None
        self._lock = threading.Lock()
        self.folder = folder
        self.live = dict(live or {})
        self._database = database

    @property
    def city(self) -> City:
        """Takes most of a second the first time: ask in a thread."""
        with self._lock:
            if self._city is None:
                self._city = self._make()
            return self._city

    @cached_property
    def search(self) -> Search:
        """The names of the city's places; takes a moment the first time: ask in a thread."""
        return Search(self.city.assets.values(), self.city.plane)

    def tiles(self) -> Path:
        """The newest tile file, made when there is none."""
        found = tiles.current(self.folder)
        return found or tiles.build(enumerate(self.city.assets.values(), 1), self.folder)

    def base_tile(self, z: int, x: int, y: int) -> bytes | None:
        """A gzipped tile of the base map; None where it is empty."""
        path = self.tiles()
        with self._lock:
            if self._reader is None or self._reader.path != path:
                self._reader = Reader(path)
            return self._reader.tile(z, x, y)

    async def stored_layers(self) -> list[str]:
        """Names of the layers that were imported; the sample city is drawn already."""
        if self._database is None:
            return []
        return [row["layer"] for row in await store.layers(self._database) if row["layer"] != sample.LAYER]

    async def stored_tile(self, layer: str, z: int, x: int, y: int) -> bytes:
        """A tile of a layer that was imported, not compressed, b"" where it is empty. Raises `NotFound`."""
        if self._database is None or layer not in await self.stored_layers():
            raise NotFound("error.no_layer", layer=layer)
        rows = await store.drawn(self._database, layer, mvt.bounds(z, x, y))
        found = [
            LiveFeature(row["number"], shapely.from_wkb(bytes(row["geometry"])), _told(row)) for row in rows
        ]
        return tile(layer, found, z, x, y)

    async def live_tile(
        self, layer: str, z: int, x: int, y: int, areas: frozenset[str] = frozenset()
    ) -> bytes:
        """A tile of a live layer, not compressed, b"" where it is empty. Raises `NotFound`."""
        if layer not in self.live:
            raise NotFound("error.no_layer", layer=layer)
        return tile(layer, await self.live[layer](mvt.bounds(z, x, y), z, areas), z, x, y)


def _told(row: DictRow) -> dict[str, Value]:
    return {key: row[key] for key in ("id", "kind", "name", "name_en", "height") if row[key]}


def tile(layer: str, found: Sequence[LiveFeature], z: int, x: int, y: int) -> bytes:
    """A vector tile of one layer, not compressed; b"" where it is empty."""
    return mvt.encode({layer: _features(found, z, x, y)})


def _features(found: Sequence[LiveFeature], z: int, x: int, y: int) -> list[mvt.Feature]:
    made = []
    for each in found:
        shape = mvt.geometry(each.geometry, z, x, y)
        if shape is not None:
            made.append(mvt.Feature(each.number, *shape, each.properties))
    return made
