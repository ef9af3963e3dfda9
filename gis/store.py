"""Assets at rest: WKB and bounding boxes in PostgreSQL. A layer is replaced as a whole, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import shapely
from psycopg.rows import DictRow

from core import changes
from core.changes import Change
from core.clock import to_datetime, to_us
from core.db import Database, DictConnection
from core.errors import Invalid, NotFound
from core.sql import Queries
from gis.asset import Asset

QUERIES = Queries.of(__file__)

BBox = tuple[float, float, float, float]
#: More than this of one layer is never drawn in one tile.
DRAWN = 20_000
EVERYTHING = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Layer:
    """What a set of assets was made from. `crs` is the one that the file came in; the assets are WGS 84."""

    name: str
    source: str
    crs: str = "EPSG:4326"
    licence: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a replacement did."""

    stored: int
    kept_versions: int
    removed: int


@dataclass(frozen=True, slots=True)
class Numbered:
    """An asset with its number, which is small, persistent and never reused: what tiles call it."""

    number: int
    asset: Asset


async def replace_layer(
    connection: DictConnection, layer: Layer, assets: Sequence[Asset], now_us: int
) -> Counts:
    """Put a layer's assets in place of what it had; the former ones are kept as versions.

    To be called inside a transaction: either all of it happens or nothing. Raises `Invalid` when an id belongs to
    another layer, or stands twice.
    """
    _no_id_twice(assets)
    now = to_datetime(now_us)
    await connection.execute(QUERIES["create_stage"])
    async with connection.cursor() as cursor, cursor.copy(QUERIES["copy_stage"]) as copy:
        for asset in assets:
            await copy.write_row(_row(asset, layer.name, now))
    foreign = await (await connection.execute(QUERIES["foreign_ids"])).fetchall()
    if foreign:
        told = ", ".join(f"{row['id']} ({row['layer']})" for row in foreign[:5])
        raise Invalid("error.asset_of_other_layer", field="id", value=told)
    values: dict[str, object] = {"layer": layer.name, "now": now}
    kept = (await connection.execute(QUERIES["keep_versions"], values)).rowcount
    removed = (await connection.execute(QUERIES["take_away"], values)).rowcount
    await connection.execute(QUERIES["merge_stage"])
    noted = {
        "source": layer.source,
        "licence": layer.licence,
        "crs": layer.crs,
        "fingerprint": layer.fingerprint,
    }
    await connection.execute(QUERIES["note_layer"], {**values, **noted, "assets": len(assets)})
    await changes.append(connection, [Change("assets", layer.name)], now_us)
    return Counts(len(assets), kept, removed)


async def remove_layer(connection: DictConnection, layer: str, now_us: int) -> Counts:
    """Take a layer away; its assets are kept as versions. To be called inside a transaction. Raises `NotFound`."""
    counts = await replace_layer(connection, Layer(layer, ""), [], now_us)
    if not counts.removed:
        raise NotFound("error.no_layer", layer=layer)
    await connection.execute(QUERIES["forget_layer"], {"layer": layer})
    return counts


async def fingerprint(database: Database, layer: str) -> str:
    """What a layer was last made from; "" when there is none."""
    row = await database.fetch_one(QUERIES["layer_fingerprint"], layer=layer)
    return str(row["fingerprint"]) if row else ""


async def layers(database: Database) -> list[dict[str, Any]]:
    return await database.fetch(QUERIES["all_layers"])


async def layers_beside(database: Database, kinds: Sequence[str]) -> list[str]:
    """The layers that hold anything but these kinds."""
    return [row["layer"] for row in await database.fetch(QUERIES["layers_beside"], kinds=list(kinds))]


async def drawn(database: Database, layer: str, bbox: BBox) -> list[DictRow]:
    """What a map draws of a layer in a box of degrees, the largest first: number, id, kind, names, geometry."""
    west, south, east, north = bbox
    return await database.fetch(
        QUERIES["drawn_assets"], layer=layer, west=west, south=south, east=east, north=north, limit=DRAWN
    )


async def get(database: Database, asset: str) -> Numbered:
    """One asset. Raises `NotFound`."""
    row = await database.fetch_one(QUERIES["one_asset"], id=asset)
    if row is None:
        raise NotFound("error.no_asset", asset=asset)
    return _numbered(row)


async def find(
    database: Database,
    *,
    kinds: Sequence[str] | None = None,
    layer: str | None = None,
    bbox: BBox | None = None,
    at_us: int | None = None,
    after: str = "",
    limit: int = EVERYTHING,
) -> list[Numbered]:
    """Assets by kind, layer, box (degrees; by their own boxes) and time of validity, in the order of their ids."""
    values = asked(kinds=kinds, layer=layer, bbox=bbox, at_us=at_us, after=after, limit=limit)
    return [_numbered(row) for row in await database.fetch(QUERIES["assets_of"], **values)]


def asked(
    *, kinds: Sequence[str] | None = None, layer: str | None = None, bbox: BBox | None = None,
    at_us: int | None = None, after: str = "", limit: int = EVERYTHING,
) -> dict[str, object]:  # fmt: skip
    """The parameters of the query `assets_of`, as `find` explains them."""
    west, south, east, north = bbox or (None, None, None, None)
    return {
        "kinds": list(kinds) if kinds is not None else None, "layer": layer,
        "west": west, "south": south, "east": east, "north": north,
        "at": None if at_us is None else to_datetime(at_us), "after": after, "limit": limit,
    }  # fmt: skip


async def versions(database: Database, asset: str) -> list[tuple[datetime, Asset]]:
    """What an asset was, each with the time at which it stopped being so."""
    return [
        (row["replaced_at"], from_row(row)) for row in await database.fetch(QUERIES["versions_of"], id=asset)
    ]


def _no_id_twice(assets: Iterable[Asset]) -> None:
    seen: set[str] = set()
    for asset in assets:
        if asset.id in seen:
            raise Invalid("error.asset_twice", field="id", value=asset.id)
        seen.add(asset.id)


def _row(asset: Asset, layer: str, now: datetime) -> tuple[object, ...]:
    west, south, east, north = asset.geometry.bounds
    return (
        asset.id, asset.kind, layer, asset.name, asset.name_en, asset.zone, asset.area,
        shapely.to_wkb(asset.geometry), west, south, east, north, orjson.dumps(dict(asset.attributes)).decode(),
        asset.source, asset.licence, asset.provenance, _moment(asset.valid_from_us), _moment(asset.valid_to_us), now,
    )  # fmt: skip


def _moment(time_us: int | None) -> datetime | None:
    return None if time_us is None else to_datetime(time_us)


def _numbered(row: dict[str, Any]) -> Numbered:
    return Numbered(row["number"], from_row(row))


def from_row(row: dict[str, Any]) -> Asset:
    """An asset of a row of `assets`."""
    return Asset(
        row["id"], row["kind"], shapely.from_wkb(bytes(row["geometry"])), row["name"], row["name_en"], row["zone"],
        row["area"], row["attributes"], row["source"], row["licence"], row["provenance"],
        None if row["valid_from"] is None else to_us(row["valid_from"]),
        None if row["valid_to"] is None else to_us(row["valid_to"]),
    )  # fmt: skip


async def seed_city(database: Database, assets: Sequence[Asset], layer: Layer, now_us: int) -> bool:
    """Store a generated city unless this very one is there already; whether it was stored."""
    if await fingerprint(database, layer.name) == layer.fingerprint:
        return False
    async with database.transaction() as connection:
        await replace_layer(connection, layer, assets, now_us)
    return True
