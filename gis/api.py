"""The map over HTTP: style, tiles (PMTiles by Range, and single ones), assets, places in words, ways."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import orjson
import shapely
from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import FileResponse, Response

from core.actor import Actor
from core.clock import rfc3339, to_us
from core.errors import Invalid, NotFound
from core.http import Allow, Db, Json, Lang, Limit, Now, bbox, decode_cursor, page
from gis import hazard, hazard_store, ogc_api, store, style
from gis.asset import Asset
from gis.hazard import Hazard
from gis.style import Tokens
from gis.views import CityMap

MVT = "application/vnd.mapbox-vector-tile"
ForAYear = {"Cache-Control": "private, max-age=31536000, immutable"}

Zoom = Annotated[int, Path(ge=0, le=22)]
Tile = Annotated[int, Path(ge=0, lt=1 << 22)]
Degrees = Annotated[float, Query(ge=-180, le=180)]


def router(city_map: CityMap, themes: Mapping[str, Tokens] | None = None) -> APIRouter:
    """All routes of the map; who may see the map may use each of them.

    `themes`: the colours of `dark` and `light` as the screens have them; without them those of `gis.style`.
    """
    routes = APIRouter(dependencies=[Depends(Allow("map.read"))])
    _drawing(routes, city_map, themes or {"dark": style.DARK, "light": style.LIGHT})
    _asking(routes, city_map)
    _stored(routes)
    routes.include_router(ogc_api.router())
    return routes


def _drawing(routes: APIRouter, city_map: CityMap, colours: Mapping[str, Tokens]) -> None:
    """What a map is drawn from: style and tiles."""

    @routes.get("/map/style.json")
    async def map_style(
        language: Lang,
        theme: Literal["dark", "light"] = "dark",
        pitch: Annotated[float, Query(ge=0, le=85)] = 0.0,
        scale: Annotated[float, Query(ge=0.5, le=4)] = 1.0,
    ) -> Response:
        """The base map's style with all imported layers; its tile address names the newest tile file."""
        file = await to_thread.run_sync(city_map.tiles)
        city = await to_thread.run_sync(lambda: city_map.city)
        west, south, east, north = city.bounds
        view = style.View(
            ((west + east) / 2, (south + north) / 2), pitch=pitch, scale=scale, language=language
        )
        base = style.style(colours[theme], f"pmtiles:///api/v1/map/tiles/{file.name}", view, city.attribution)
        return Json(style.with_stored(base, await city_map.stored_layers(), colours[theme], view))

    @routes.get("/map/tiles/{name}")
    async def tile_file(name: Annotated[str, Path(pattern=r"^[a-z]+-[0-9a-f]{12}\.pmtiles$")]) -> Response:
        """A tile file; answers HTTP Range. Its name changes with its content, so it may be kept for ever."""
        path = city_map.folder / name
        if not path.is_file():
            raise NotFound("error.no_layer", layer=name)
        return FileResponse(path, media_type="application/vnd.pmtiles", headers=ForAYear)

    @routes.get("/tiles/{layer:path}/{z}/{x}/{y}.mvt")
    async def tile(
        layer: str,
        z: Zoom,
        x: Tile,
        y: Tile,
        actor: Annotated[Actor, Depends(Allow("map.read"))],
    ) -> Response:
        """One tile: of the base map (layer `city`), a live layer, or one that was imported. 204 where it is empty."""
        if max(x, y) >= 1 << z:
            raise Invalid("error.bad_tile", field="x", value=f"{z}/{x}/{y}")
        if layer == "city":
            found = await to_thread.run_sync(city_map.base_tile, z, x, y)
            headers = {"Content-Encoding": "gzip", "Cache-Control": "private, max-age=600"}
        elif layer in city_map.live:
            found = await city_map.live_tile(layer, z, x, y, actor.areas)
            headers = {"Cache-Control": "no-store"}
        else:
            found = await city_map.stored_tile(layer, z, x, y)
            headers = {"Cache-Control": "private, max-age=60"}
        return Response(found, media_type=MVT, headers=headers) if found else Response(status_code=204)


def _asking(routes: APIRouter, city_map: CityMap) -> None:
    """What can be asked of a place, a name, a way, a pipe."""

    @routes.get("/map/place")
    async def place(lon: Degrees, lat: Degrees) -> Response:
        """Where a position is, as a person says it."""
        zh, en = await to_thread.run_sync(lambda: city_map.city.describe(lon, lat))
        return Json({"zh": zh, "en": en})

    @routes.get("/map/search")
    async def search(
        q: Annotated[str, Query(max_length=80)], kind: str | None = None,
        limit: Annotated[int, Query(ge=1, le=50)] = 10,
    ) -> Response:  # fmt: skip
        """Places by name (Chinese, pinyin, English) or asset id, the best first."""
        kinds = kind.split(",") if kind else []
        found = await city_map.find(q, limit, kinds)
        return Json({"items": [
            {"id": each.id, "kind": each.kind, "name": {"zh": each.name, "en": each.name_en},
             "lon": each.lon, "lat": each.lat, "score": each.score} for each in found
        ]})  # fmt: skip

    @routes.get("/map/grid")
    async def grid(lon: Degrees, lat: Degrees) -> Response:
        """The management grid at a position: cell, grid, officer, community, street office."""
        return Json(await to_thread.run_sync(lambda: _grid(city_map, lon, lat)))

    @routes.get("/map/route")
    async def route(
        database: Db, clock: Now, start: str, end: str, closed: Annotated[list[str] | None, Query()] = None,
    ) -> Response:  # fmt: skip
        """The fastest way between two `lon,lat`, around closed roads and those that hazards block now."""
        ends = [_position(start, "start"), _position(end, "end")]
        blocked = hazard.impassable(await hazard_store.current(database, clock.now_us()))
        found = await to_thread.run_sync(lambda: _route(city_map, ends, {*blocked, *(closed or [])}))
        return Json(found)

    @routes.get("/map/isolate/{pipe}")
    async def isolate(pipe: str, stuck: Annotated[list[str] | None, Query()] = None) -> Response:
        """The valves that cut a water, gas or heat pipe off, and what that leaves without."""
        city = await to_thread.run_sync(lambda: city_map.city)
        network = next((each for each in city.networks.values() if pipe in each), None)
        if network is None:
            raise NotFound("error.no_asset", asset=pipe)
        found = network.isolating_valves(pipe, stuck or ())
        return Json(
            {"valves": found.valves, "edges": found.edges, "nodes": found.nodes, "customers": found.customers}
        )


def _stored(routes: APIRouter) -> None:
    """The assets in the database."""

    @routes.get("/assets")
    async def assets(
        database: Db, kind: str | None = None, box: Annotated[str | None, Query(alias="bbox")] = None,
        cursor: str | None = None, limit: Limit = 100,
    ) -> Response:  # fmt: skip
        """Assets by kind (several with commas) and box, in the order of their ids."""
        kinds = kind.split(",") if kind else None
        after = decode_cursor(cursor) or ""
        found = await store.find(database, kinds=kinds, bbox=bbox(box), after=str(after), limit=limit + 1)
        return Json(
            page([as_json(each.asset, each.number) for each in found], limit, lambda item: item["id"])
        )

    @routes.get("/map/hazards")
    async def hazards(
        database: Db,
        clock: Now,
        at: datetime | None = None,
        box: Annotated[str | None, Query(alias="bbox")] = None,
    ) -> Response:
        """What endangers the city now, or did at a time: a GeoJSON feature for each class, the worst last."""
        at_us = clock.now_us() if at is None else to_us(at)
        return Json(hazards_as_json(await hazard_store.current(database, at_us, bbox(box))))

    @routes.get("/assets/{asset}")
    async def one_asset(database: Db, asset: str) -> Response:
        found = await store.get(database, asset)
        return Json(as_json(found.asset, found.number))


def as_json(asset: Asset, number: int) -> dict[str, Any]:
    """An asset as the API shows it."""
    lon, lat = asset.lonlat
    return {
        "id": asset.id, "number": number, "kind": asset.kind, "name": {"zh": asset.name, "en": asset.name_en},
        "lon": lon, "lat": lat, "zone": asset.zone, "area": asset.area, "attributes": asset.attributes,
        "geometry": orjson.Fragment(shapely.to_geojson(asset.geometry)), "source": asset.source,
        "licence": asset.licence, "provenance": asset.provenance,
    }  # fmt: skip


def hazards_as_json(found: Iterable[Hazard]) -> dict[str, Any]:
    """A GeoJSON collection of hazards, drawn in this order."""
    zones = sorted(((zone, each) for each in found for zone in each.zones), key=lambda pair: -pair[0].cls)
    features = [
        {"type": "Feature", "geometry": orjson.Fragment(shapely.to_geojson(zone.geometry)),
         "properties": {**zone.attributes, "id": each.id, "kind": each.kind, "class": zone.cls,
                        "incident": each.incident, "provenance": each.provenance,
                        "begins": rfc3339(each.begins_us),
                        "ends": None if each.ends_us is None else rfc3339(each.ends_us)}}
        for zone, each in zones
    ]  # fmt: skip
    return {"type": "FeatureCollection", "features": features}


def _grid(city_map: CityMap, lon: float, lat: float) -> dict[str, Any]:
    city = city_map.city
    found = city.grid.responsible(*city.plane.xy(lon, lat))
    if found is None:
        raise NotFound("error.no_grid")
    cell, area = found.cell, city.asset(found.cell.area)
    return {
        "cell": cell.code, "grid": cell.grid, "beat": cell.beat, "officer": found.officer,
        "community": cell.community, "area": cell.area, "area_name": {"zh": area.name, "en": area.name_en},
        "district": area.attributes.get("district", ""), "department": found.department,
    }  # fmt: skip


def _position(text: str, field: str) -> tuple[float, float]:
    try:
        lon, lat = (float(part) for part in text.split(","))
    except ValueError:
        raise Invalid("error.bad_position", field=field, value=text) from None
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise Invalid("error.bad_position", field=field, value=text)
    return lon, lat


def _route(city_map: CityMap, ends: list[tuple[float, float]], closed: Collection[str]) -> dict[str, Any]:
    city = city_map.city
    if not len(city.roads):
        raise NotFound("error.no_way")
    (ax, ay), (bx, by) = city.plane.points(ends).tolist()
    found = city.router.route((ax, ay), (bx, by), closed)
    if found is None:
        raise NotFound("error.no_way")
    line = city.plane.lonlats(found.line).round(6).tolist()
    return {"seconds": round(found.seconds), "metres": round(found.metres), "roads": found.edges,
            "geometry": {"type": "LineString", "coordinates": line}}  # fmt: skip
