"""The map's routes on a real application, with a policy of its own and a signed-in reader."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
import shapely
from fastapi import FastAPI, Request
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import Response

from core import text
from core.access import Policy
from core.actor import NOBODY, Actor
from core.clock import ManualClock
from core.db import Database
from core.http import install_errors
from gis import api, hazard, hazard_store, mvt, sample, store
from gis.asset import Asset
from gis.city import City
from gis.hazard import Hazard
from gis.store import Layer
from gis.views import BBox, CityMap, LiveFeature

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_767_225_600_000_000  # 2026-01-01


async def devices(box: BBox, zoom: int, areas: frozenset[str]) -> Sequence[LiveFeature]:
    del zoom, areas
    shape = shapely.Point(121.5, 31.2387)
    return [LiveFeature(7, shape, {"level": 1})] if shapely.box(*box).contains(shape) else []


@pytest.fixture
def city_map(city: City, made: Path, database: Database) -> CityMap:
    return CityMap(lambda: city, made.parent, {"devices": devices}, database)


@pytest.fixture
async def client(city_map: CityMap, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.policy = Policy({"map.read": frozenset({"viewer"})}, {})
    app.state.database = database
    app.state.clock = ManualClock(NOW)
    install_errors(app, text.load([ROOT / "core", ROOT / "gis"]))

    @app.middleware("http")
    async def sign_in(request: Request, go_on: RequestResponseEndpoint) -> Response:
        known = request.headers.get("x-test") == "viewer"
        request.state.actor = Actor("v", "v", frozenset({"viewer"})) if known else NOBODY
        return await go_on(request)

    app.include_router(api.router(city_map), prefix="/api/v1")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers={"x-test": "viewer"}
    ) as opened:
        yield opened


async def test_nobody_sees_the_map_without_signing_in(client: httpx.AsyncClient) -> None:
    for path in ("/map/style.json", "/tiles/city/9/0/0.mvt", "/assets", "/map/place?lon=1&lat=1"):
        assert (await client.get(f"/api/v1{path}", headers={"x-test": ""})).status_code == 401


async def test_the_style_leads_to_a_tile_file_that_answers_ranges(client: httpx.AsyncClient) -> None:
    style = (await client.get("/api/v1/map/style.json", params={"theme": "light", "pitch": 50})).json()
    url = style["sources"]["city"]["url"].removeprefix("pmtiles://")
    part = await client.get(url, headers={"Range": "bytes=0-6"})
    assert part.status_code == 206
    assert part.content == b"PMTiles"
    assert "immutable" in part.headers["cache-control"]
    again = await client.get(url, headers={"Range": "bytes=0-6", "If-Range": part.headers["etag"]})
    assert again.status_code == 206


@pytest.mark.parametrize("name", ["city-000000000000.pmtiles", "..%2Fsecret", "city-xyz.pmtiles"])
async def test_only_tile_files_are_served(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/api/v1/map/tiles/{name}")).status_code in {404, 422}


async def test_single_tiles_of_the_base_map_and_of_live_layers(client: httpx.AsyncClient) -> None:
    base = await client.get("/api/v1/tiles/city/14/13721/6694.mvt")
    assert base.status_code == 200
    assert b"roads" in base.content
    assert (await client.get("/api/v1/tiles/city/14/1/1.mvt")).status_code == 204
    live = await client.get("/api/v1/tiles/devices/14/13721/6694.mvt")
    assert b"devices" in live.content
    assert live.headers["cache-control"] == "no-store"
    assert (await client.get("/api/v1/tiles/devices/14/1/1.mvt")).status_code == 204
    assert (await client.get("/api/v1/tiles/nothing/14/1/1.mvt")).status_code == 404
    assert (await client.get("/api/v1/tiles/city/3/9/1.mvt")).status_code == 422


async def test_a_place_in_words(client: httpx.AsyncClient) -> None:
    told = (await client.get("/api/v1/map/place", params={"lon": 121.5066, "lat": 31.2396})).json()
    assert "浦东南路" in told["zh"]
    assert "South Pudong Road" in told["en"]


async def test_places_are_found_by_pinyin(client: httpx.AsyncClient) -> None:
    items = (await client.get("/api/v1/map/search", params={"q": "ljzhl", "limit": 3})).json()["items"]
    assert items[0]["name"]["zh"] == "陆家嘴环路"
    assert (await client.get("/api/v1/map/search", params={"q": "UP-01"})).json()["items"][0][
        "kind"
    ] == "underpass"


async def test_the_grid_of_a_place(client: httpx.AsyncClient) -> None:
    told = (await client.get("/api/v1/map/grid", params={"lon": 121.5066, "lat": 31.2396})).json()
    assert len(told["cell"]) == 15
    assert told["cell"].startswith("310115")
    assert told["area_name"]["zh"] == "陆家嘴街道"
    assert (await client.get("/api/v1/map/grid", params={"lon": 0, "lat": 0})).status_code == 404


async def test_a_route_around_a_closure(client: httpx.AsyncClient) -> None:
    ends = {"start": "121.4866,31.2390", "end": "121.5050,31.2350"}
    straight = (await client.get("/api/v1/map/route", params=ends)).json()
    assert straight["geometry"]["type"] == "LineString"
    closed = straight["roads"][len(straight["roads"]) // 2]
    around = (await client.get("/api/v1/map/route", params={**ends, "closed": closed})).json()
    assert closed not in around["roads"]
    assert around["seconds"] >= straight["seconds"]
    wrong = await client.get("/api/v1/map/route", params={**ends, "start": "31.2,121.4"})
    assert wrong.status_code == 422
    assert wrong.json()["field"] == "start"


async def test_hazards_are_told_and_ways_lead_around_them(
    client: httpx.AsyncClient, database: Database, city: City
) -> None:
    ends = {"start": "121.4866,31.2390", "end": "121.5050,31.2350"}
    straight = (await client.get("/api/v1/map/route", params=ends)).json()
    lon, lat = straight["geometry"]["coordinates"][len(straight["geometry"]["coordinates"]) // 2]
    under = straight["roads"][1]
    zones = (*hazard.flood(city, lon, lat, 0.5), *hazard.closed(city, [under]))
    async with database.transaction() as connection:
        await hazard_store.put(connection, Hazard("f", "flood", zones, NOW - 1), NOW)
    around = (await client.get("/api/v1/map/route", params=ends)).json()
    blocked = hazard.impassable(await hazard_store.current(database, NOW))
    assert blocked & set(straight["roads"])
    assert not blocked & set(around["roads"][1:-1])
    told = (await client.get("/api/v1/map/hazards")).json()
    assert told["features"][0]["properties"]["class"] == 4
    assert told["features"][0]["properties"]["kind"] == "flood"
    early = await client.get("/api/v1/map/hazards", params={"at": "2025-01-01T00:00:00Z"})
    assert early.json()["features"] == []


async def test_the_valves_of_a_pipe(client: httpx.AsyncClient) -> None:
    told = (await client.get("/api/v1/map/isolate/P-0300")).json()
    assert told["valves"]
    assert "P-0300" in told["edges"]
    assert (await client.get("/api/v1/map/isolate/P-9999")).status_code == 404


async def test_what_was_imported_is_drawn(client: httpx.AsyncClient, database: Database) -> None:
    tower = Asset(
        "B-1",
        "building",
        shapely.box(121.505, 31.2380, 121.507, 31.2390),
        "塔",
        "Tower",
        attributes={"height": 88},
    )
    wall = Asset(
        "W-1",
        "wall",
        shapely.LineString([(121.505, 31.238), (121.507, 31.239)]),
        attributes={"height": "low"},
    )
    async with database.transaction() as connection:
        await store.replace_layer(connection, Layer("新/楼", "s"), [tower, wall], 1)
        await store.replace_layer(connection, Layer(sample.LAYER, "s"), [], 1)
    style = (await client.get("/api/v1/map/style.json", params={"pitch": 45})).json()
    assert [name for name in style["sources"] if name.startswith("imported")] == ["imported-0"]
    (address,) = style["sources"]["imported-0"]["tiles"]
    drawn = [each for each in style["layers"] if each.get("metadata") == {"group": "imported"}]
    assert {each["source-layer"] for each in drawn} == {"新/楼"}
    assert "fill-extrusion" in {each["type"] for each in drawn}
    u, v = mvt.mercator(121.506, 31.2385)
    found = await client.get(address.format(z=15, x=int(u * 2**15), y=int(v * 2**15)))
    assert found.status_code == 200
    assert "塔".encode() in found.content
    assert b"W-1" in found.content
    assert (await client.get(address.format(z=15, x=1, y=1))).status_code == 204


async def test_assets_by_kind_and_page(client: httpx.AsyncClient, database: Database, city: City) -> None:
    await store.seed_city(
        database, list(city.of_kind("valve", "hydrant")), Layer("s", "s", fingerprint="1"), 1
    )
    first = (await client.get("/api/v1/assets", params={"kind": "valve", "limit": 2})).json()
    assert [each["kind"] for each in first["items"]] == ["valve", "valve"]
    second = (await client.get("/api/v1/assets", params={"kind": "valve", "cursor": first["next"]})).json()
    assert second["items"][0]["id"] > first["items"][-1]["id"]
    one = (await client.get(f"/api/v1/assets/{first['items'][0]['id']}")).json()
    assert one["geometry"]["type"] == "Point"
    assert one["provenance"] == "simulated"
    assert (await client.get("/api/v1/assets/V-none")).status_code == 404
