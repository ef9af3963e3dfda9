"""Vector tiles of the map as one PMTiles file, made by tippecanoe, or by ourselves where that is not to be had.

Each feature has the asset's number as its id and the asset's id as property `id`: style and feature state may use
either. A new file gets a new name; what is being read is never written.
"""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import shapely

from gis import mvt
from gis.asset import Asset
from gis.lines import Geometry

#: Deepest zoom that is stored; the map draws deeper ones from it.
DEEPEST = 16
SHALLOWEST = 9
BY_HAND_DEEPEST = 14

#: Shown as one feature at this zoom and deeper, by road class; paths and service roads only near.
ROAD_ZOOM: Mapping[str, int] = {
    "motorway": 9, "trunk": 9, "primary": 9, "secondary": 10, "tertiary": 11, "residential": 12, "unclassified": 12,
}  # fmt: skip

Properties = dict[str, object]


@dataclass(frozen=True, slots=True)
class TileLayer:
    """How a kind of asset is drawn: in which layer, from which zoom on, with which properties."""

    name: str
    zoom: int
    properties: Callable[[Asset], Properties]


def _some(*names: str) -> Callable[[Asset], Properties]:
    """These attributes, where the asset has them."""

    def chosen(asset: Asset) -> Properties:
        return {
            name: asset.attributes[name] for name in names if asset.attributes.get(name) not in (None, "")
        }

    return chosen


#: Kind of asset → its layer. Kinds that stand here are on the map; others are not.
LAYERS: Mapping[str, TileLayer] = {
    "water": TileLayer("water", 9, _some("class")),
    "ground": TileLayer("ground", 11, _some("class")),
    "road": TileLayer("roads", 13, _some("class", "level", "tunnel", "bridge", "oneway")),
    "rail": TileLayer("rails", 11, _some("class")),
    "building": TileLayer("buildings", 12, _some("height", "min_height", "part", "measured", "use")),
    "boundary": TileLayer("boundaries", 9, _some("class")),
    "area": TileLayer("areas", 10, _some("district")),
    "place": TileLayer("labels", 13, _some("class")),
    "district": TileLayer("districts", 11, _some("network")),
    "pipe": TileLayer("pipes", 12, _some("role", "diameter_mm", "material", "network")),
    "drain": TileLayer("drains", 13, _some("role", "diameter_mm")),
    "gas_pipe": TileLayer("gas_pipes", 12, _some("level", "diameter_mm")),
    "grid_cell": TileLayer("grid", 14, _some("grid", "community")),
    "officer_grid": TileLayer("officer_grids", 13, _some()),
    "site": TileLayer("sites", 11, _some("stage")),
    **{
        kind: TileLayer("fittings", 15, _some("diameter_mm", "shut", "network"))
        for kind in ("valve", "hydrant", "junction", "manhole", "gas_valve")
    },
    **{
        kind: TileLayer("facilities", 11, _some("service", "network"))
        for kind in ("underpass", "low_point", "depot", "fire_station", "water_source", "water_pump", "district_meter",
                     "reducer",
                     "drain_pump_station", "outfall", "gas_station", "gas_regulator")
    },
}  # fmt: skip


def build(assets: Iterable[tuple[int, Asset]], folder: Path, name: str = "city", edition: str = "") -> Path:
    """Make `folder/name-<edition>.pmtiles` of numbered assets; the path of the file. `edition`: twelve hexadecimal
    digits that change with the assets; without them a digest is taken.

    Former files of the name stay until `prune`: a wall may still be reading one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".tiles-") as work:
        features = Path(work) / "features.geojsonl"
        digest = _write(assets, features)
        target = folder / f"{name}-{edition or digest}.pmtiles"
        if target.exists():
            return target
        made = Path(work) / "tiles.pmtiles"
        if not _tippecanoe(features, made):
            _by_hand(features, made)
        made.replace(target)
    return target


def current(folder: Path, name: str = "city", edition: str = "*") -> Path | None:
    """The newest file of a name, or that of an edition."""
    found = sorted(folder.glob(f"{name}-{edition}.pmtiles"), key=lambda path: path.stat().st_mtime_ns)
    return found[-1] if found else None


def prune(folder: Path, name: str = "city", keep: int = 2) -> int:
    """Delete all but the newest files of a name; how many were deleted."""
    old = sorted(folder.glob(f"{name}-*.pmtiles"), key=lambda path: path.stat().st_mtime_ns)[:-keep]
    for path in old:
        path.unlink(missing_ok=True)
    return len(old)


def features(number: int, asset: Asset) -> list[Properties]:
    """The GeoJSON features of an asset with tippecanoe's hints; none for what is not on the map."""
    layer = LAYERS.get(asset.kind)
    if layer is None:
        return []
    properties = {"id": asset.id, "kind": asset.kind, **layer.properties(asset)}
    properties |= {key: value for key, value in (("name", asset.name), ("name_en", asset.name_en),
                                                 ("zone", asset.zone), ("area", asset.area)) if value}  # fmt: skip
    zoom = ROAD_ZOOM.get(str(asset.attributes.get("class")), 13) if asset.kind == "road" else layer.zoom
    made = [_feature(number, _layer_of(asset, layer.name), zoom, properties, asset.geometry)]
    if asset.kind == "area":  # a surface is cut by tiles, and each piece would get its name
        made.append(_feature(number, "area_labels", zoom, properties, shapely.Point(asset.lonlat)))
    return made


def _feature(number: int, layer: str, zoom: int, properties: Properties, shape: Geometry) -> Properties:
    return {
        "type": "Feature",
        "id": number,
        "tippecanoe": {"layer": layer, "minzoom": zoom},
        "properties": properties,
        "geometry": orjson.Fragment(shapely.to_geojson(shape)),
    }


def _layer_of(asset: Asset, layer: str) -> str:
    """Lines of water are its shores, and the middles of rivers, which only carry their names."""
    return "water_lines" if asset.kind == "water" and shapely.get_dimensions(asset.geometry) == 1 else layer


def _write(assets: Iterable[tuple[int, Asset]], path: Path) -> str:
    digest = hashlib.sha256(f"{SHALLOWEST} {DEEPEST}".encode())
    with path.open("wb") as file:
        for number, asset in assets:
            for made in features(number, asset):
                line = orjson.dumps(made, option=orjson.OPT_APPEND_NEWLINE)
                digest.update(line)
                file.write(line)
    return digest.hexdigest()[:12]


def _tippecanoe(features: Path, made: Path) -> bool:
    """False when tippecanoe is not there or fails."""
    command = [
        str(Path(sys.executable).with_name("tippecanoe")), "-o", str(made), f"-Z{SHALLOWEST}", f"-z{DEEPEST}",
        "--quiet", "--force", "--drop-densest-as-needed", "--extend-zooms-if-still-dropping", "--buffer=8",
        "-r1", "--read-parallel",
        "--temporary-directory", str(made.parent), "--projection=EPSG:4326", str(features),
    ]  # fmt: skip
    try:
        return subprocess.run(command, capture_output=True, timeout=600, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _by_hand(features: Path, made: Path) -> None:
    """The same layers by our own encoder: slower, and lines are thinned out only to the tile's own grid."""
    from pmtiles.tile import zxy_to_tileid
    from pmtiles.writer import write

    tiles: dict[tuple[int, int, int], dict[str, list[mvt.Feature]]] = {}
    box = [180.0, 90.0, -180.0, -90.0]
    fields: dict[str, set[str]] = {}
    with features.open("rb") as file:
        for line in file:
            one = orjson.loads(line)
            shape = shapely.from_geojson(orjson.dumps(one["geometry"]))
            west, south, east, north = shape.bounds
            box = [min(box[0], west), min(box[1], south), max(box[2], east), max(box[3], north)]
            layer = one["tippecanoe"]["layer"]
            fields.setdefault(layer, set()).update(one["properties"])
            for zoom in range(max(SHALLOWEST, one["tippecanoe"]["minzoom"]), BY_HAND_DEEPEST + 1):
                coarse = shapely.simplify(shape, 360.0 / 2**zoom / mvt.EXTENT)
                for x, y in mvt.tiles_of(shape.bounds, zoom):
                    found = mvt.geometry(coarse, zoom, x, y)
                    if found is not None:
                        kept = tiles.setdefault((zoom, x, y), {}).setdefault(layer, [])
                        kept.append(mvt.Feature(one["id"], *found, one["properties"]))
    if not tiles:  # a city of which nothing is known yet
        tiles[SHALLOWEST, 0, 0], box = {}, [-180.0, -85.0, 180.0, 85.0]
    with write(str(made)) as writer:
        for key in sorted(tiles, key=lambda each: zxy_to_tileid(*each)):
            writer.write_tile(zxy_to_tileid(*key), gzip.compress(mvt.encode(tiles[key]), mtime=0))
        writer.finalize(_header(box), {"vector_layers": [
            {"id": layer, "fields": dict.fromkeys(sorted(names), "String")} for layer, names in sorted(fields.items())
        ]})  # fmt: skip


def _header(box: list[float]) -> dict[str, object]:
    from pmtiles.tile import Compression, TileType

    west, south, east, north = (round(degree * 1e7) for degree in box)
    return {
        "tile_type": TileType.MVT, "tile_compression": Compression.GZIP,
        "min_zoom": SHALLOWEST, "max_zoom": BY_HAND_DEEPEST,
        "min_lon_e7": west, "min_lat_e7": south, "max_lon_e7": east, "max_lat_e7": north,
        "center_zoom": 13, "center_lon_e7": (west + east) // 2, "center_lat_e7": (south + north) // 2,
    }  # fmt: skip


class Reader:
    """Single tiles out of a PMTiles file, for clients that cannot read it themselves."""

    def __init__(self, path: Path) -> None:
        from pmtiles import reader

        with path.open("rb") as file:
            untyped: Any = reader
            self._archive = untyped.Reader(untyped.MmapSource(file))
        self.path = path

    def tile(self, z: int, x: int, y: int) -> bytes | None:
        """The gzipped tile; None where the file has none."""
        found: bytes | None = self._archive.get(z, x, y)
        return found

    def metadata(self) -> dict[str, Any]:
        """What the file says of itself: its layers and their fields."""
        found: dict[str, Any] = self._archive.metadata()
        return found
