"""What this room shows to rooms above: the city, its tiles, and live layers as tiles. Reads only."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely
from anyio import to_thread
from psycopg.rows import DictRow

from core.db import Database
from core.errors import NotFound
from gis import mvt, sample, store, tiles
from gis.asset import Asset
from gis.ground import Ground
from gis.lines import Geometry
from gis.mvt import Value
from gis.search import Found, Search
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
    """The city of this process, made when first asked for, and the folder of its tile files.

    `own`: the city is what was imported; otherwise what was imported lies on the city as layers of their own.
    After an import `renew`.
    """

    def __init__(
        self, make: Callable[[], Ground], folder: Path, live: Mapping[str, LiveLayer] | None = None,
        database: Database | None = None, *, own: bool = False,
    ) -> None:  # fmt: skip
        self._make = make
        self._city: Ground | None = None
        self._reader: Reader | None = None
        self._search: Search | None = None
        self._lock = threading.Lock()
        self.folder = folder
        self.live = {} if live is None else live
        self.own = own
        self._database = database

    @property
    def city(self) -> Ground:
        """Takes most of a second the first time: ask in a thread."""
        with self._lock:
            if self._city is None:
                self._city = self._make()
            return self._city

    def renew(self) -> None:
        """Layers were imported or taken away: make anew what was made of them, when it is next asked for."""
        self._search = None
        if self.own:
            with self._lock:
                self._city = None

    async def find(self, asked: str, limit: int, kinds: Sequence[str]) -> list[Found]:
        """Places by name or asset id, of the city and of what was imported onto it, the best first."""
        search = self._search
        if search is None:
            search = self._search = await to_thread.run_sync(self._searching, await self._others())
        return await to_thread.run_sync(search.find, asked, limit, kinds)

    async def _others(self) -> list[Asset]:
        """What lies on the city as layers of their own."""
        if self._database is None:
            return []
        found = [await store.find(self._database, layer=layer) for layer in await self.stored_layers()]
        return [each.asset for layer in found for each in layer]

    def _searching(self, others: Sequence[Asset]) -> Search:
        city = self.city
        return Search([*city.assets.values(), *others], city.plane)

    def frame(self) -> tuple[tuple[float, float], str]:
        """Where a map of the city looks (WGS 84), and what it must say of its sources. The sample need not be made."""
        if not self.own:
            return sample.CENTRE, sample.ATTRIBUTION
        west, south, east, north = self.city.bounds
        return ((west + east) / 2, (south + north) / 2), self.city.attribution

    def tiles(self) -> Path:
        """The newest tile file, made when there is none."""
        name, edition = ("own", self.city.edition) if self.own else ("city", "")
        found = tiles.current(self.folder, name, edition or "*")
        if found is None:
            found = tiles.build(enumerate(self.city.assets.values(), 1), self.folder, name, edition)
            tiles.prune(self.folder, name)
        return found

    def base_tile(self, z: int, x: int, y: int) -> bytes | None:
        """A gzipped tile of the base map; None where it is empty."""
        path = self.tiles()
        with self._lock:
            if self._reader is None or self._reader.path != path:
                self._reader = Reader(path)
            return self._reader.tile(z, x, y)

    async def stored_layers(self) -> list[str]:
        """Names of the layers that lie on the city as layers of their own."""
        if self._database is None:
            return []
        drawn = list(tiles.LAYERS) if self.own else []
        return [name for name in await store.layers_beside(self._database, drawn) if name != sample.LAYER]

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
