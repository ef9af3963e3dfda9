"""OGC API – Features on a real application and database."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import shapely
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import Response

from core import text
from core.access import Policy
from core.actor import Actor
from core.clock import ManualClock
from core.db import Database
from core.errors import Invalid
from core.http import install_errors
from gis import cql, ogc_api, store
from gis.asset import Asset
from gis.store import Layer

ROOT = Path(__file__).resolve().parents[2]
HOUR = 3_600_000_000
NOW = 1_767_225_600_000_000  # 2026-01-01


def pipe(number: int, **told: object) -> Asset:
    line = shapely.LineString([(121.5 + number / 1000, 31.2), (121.5005 + number / 1000, 31.2)])
    return Asset(f"P-{number:02d}", "pipe", line, f"管{number}", zone="DMA-01", attributes=told, source="s",
                 valid_from_us=NOW + number * HOUR)  # fmt: skip


PIPES = [
    pipe(1, diameter_mm=100, material="PE"), pipe(2, diameter_mm=200, material="DI", note="Old"),
    pipe(3, diameter_mm=300, material="DI"), pipe(4, diameter_mm=400.5, material="CI", shut=True),
    pipe(5, diameter_mm=500, material="O'Brien %"),
]  # fmt: skip
VALVE = Asset("V-1", "valve", shapely.Point(121.6, 31.3), source="s")


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with database.transaction() as connection:
        await store.replace_layer(connection, Layer("l", "s"), [*PIPES, VALVE], NOW)
    app = FastAPI()
    app.state.policy = Policy({"map.read": frozenset({"viewer"})}, {})
    app.state.database = database
    app.state.clock = ManualClock(NOW)
    install_errors(app, text.load([ROOT / "core", ROOT / "gis"]))

    @app.middleware("http")
    async def sign_in(request: Request, go_on: RequestResponseEndpoint) -> Response:
        request.state.actor = Actor("v", "v", frozenset({"viewer"}))
        return await go_on(request)

    app.include_router(ogc_api.router(), prefix="/api/v1")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/api/v1") as opened:
        yield opened


async def ids(client: httpx.AsyncClient, **params: object) -> list[str]:
    answer = await client.get("/ogc/collections/pipe/items", params={"limit": 100, **params})  # type: ignore[dict-item]
    assert answer.status_code == 200, answer.text
    return [feature["id"].removeprefix("P-0") for feature in answer.json()["features"]]


async def test_one_finds_the_way_from_the_landing_page_to_a_feature(client: httpx.AsyncClient) -> None:
    landing = (await client.get("/ogc/")).json()
    data = next(link["href"] for link in landing["links"] if link["rel"] == "data")
    collections = (await client.get(data)).json()["collections"]
    assert [each["id"] for each in collections] == ["pipe", "valve"]
    assert collections[1]["extent"]["spatial"]["bbox"] == [[121.6, 31.3, 121.6, 31.3]]
    items = next(link["href"] for link in collections[0]["links"] if link["rel"] == "items")
    answer = await client.get(items)
    assert answer.headers["content-type"] == "application/geo+json"
    assert answer.headers["content-crs"] == f"<{ogc_api.CRS84}>"
    body = answer.json()
    assert (body["numberMatched"], body["numberReturned"], body["timeStamp"]) == (
        5,
        5,
        "2026-01-01T00:00:00Z",
    )
    one = (await client.get(f"{items}/P-03")).json()
    assert one["properties"]["name"] == "管3"
    assert one["properties"]["valid_from"] == "2026-01-01T03:00:00Z"
    assert "basic-cql2" in str((await client.get("/ogc/conformance")).json())


async def test_pages_follow_each_other(client: httpx.AsyncClient) -> None:
    seen: list[str] = []
    url: str | None = "/ogc/collections/pipe/items?limit=2"
    while url:
        body = (await client.get(url)).json()
        seen += [feature["id"] for feature in body["features"]]
        assert body["numberMatched"] == 5
        url = next((link["href"] for link in body["links"] if link["rel"] == "next"), None)
    assert seen == [each.id for each in PIPES]


async def test_a_box_and_a_time_narrow_the_answer(client: httpx.AsyncClient) -> None:
    assert await ids(client, bbox="121.5016,31.1,121.5035,31.3") == ["2", "3"]
    assert await ids(client, datetime="2026-01-01T02:30:00Z") == ["1", "2"]
    assert await ids(client, datetime="../2026-01-01T01:00:00Z") == ["1"]
    assert await ids(client, datetime="2026-01-01T00:00:00Z/..") == ["1", "2", "3", "4", "5"]


async def test_other_systems_are_understood_and_given_in_their_own_order(client: httpx.AsyncClient) -> None:
    epsg = "http://www.opengis.net/def/crs/EPSG/0/"
    assert await ids(client, bbox="31.1,121.5016,31.3,121.5035", **{"bbox-crs": f"{epsg}4326"}) == ["2", "3"]
    answer = await client.get("/ogc/collections/valve/items/V-1", params={"crs": f"{epsg}4490"})
    assert answer.json()["geometry"]["coordinates"] == [31.3, 121.6]
    assert answer.headers["content-crs"] == f"<{epsg}4490>"
    grid = (await client.get("/ogc/collections/valve/items/V-1", params={"crs": f"{epsg}4549"})).json()
    north, east = grid["geometry"]["coordinates"]
    assert north == pytest.approx(3_465_000, abs=2000)
    assert east == pytest.approx(652_350, abs=300)


WHERE = [
        ("diameter_mm > 200", "345"), ("diameter_mm >= 200 AND material = 'DI'", "23"), ("diameter_mm = 400.5", "4"),
        ("material = 'PE' OR material = 'CI'", "14"), ("NOT (material = 'DI')", "145"), ("material <> 'DI'", "145"),
        ("material IN ('PE', 'CI')", "14"), ("diameter_mm BETWEEN 200 AND 400", "23"), ("note IS NULL", "1345"),
        ("note IS NOT NULL", "2"), ("name LIKE '管%'", "12345"), ("name LIKE '_3'", "3"), ("shut = TRUE", "4"),
        ("material = 'O''Brien %'", "5"), ("material LIKE 'O''Brien \\%'", "5"), ("CASEI(note) = CASEI('OLD')", "2"),
        ("zone = 'DMA-01' AND id = 'P-02'", "2"), ("missing > 3", ""),
        ("S_INTERSECTS(geometry, BBOX(121.5016,31.1,121.5035,31.3))", "23"),
        ("S_INTERSECTS(geometry,POLYGON((121.5 31.1, 121.503 31.3, 121.5 31.3, 121.5 31.1))) AND shut IS NULL", "1"),
]  # fmt: skip


async def test_filters_in_cql2(client: httpx.AsyncClient) -> None:
    for where, found in WHERE:
        assert await ids(client, filter=where) == list(found), where


async def test_a_filter_may_be_json_and_a_property_may_stand_alone(client: httpx.AsyncClient) -> None:
    tree = '{"op": ">", "args": [{"property": "diameter_mm"}, 300]}'
    assert await ids(client, filter=tree, **{"filter-lang": "cql2-json"}) == ["4", "5"]
    assert await ids(client, material="DI") == ["2", "3"]
    assert await ids(client, diameter_mm="300") == ["3"]
    assert await ids(client, shut="true") == ["4"]
    assert await ids(client, name="管2", material="DI") == ["2"]


async def test_queryables_are_a_schema(client: httpx.AsyncClient) -> None:
    schema = (await client.get("/ogc/collections/pipe/queryables")).json()
    assert schema["properties"]["diameter_mm"] == {"type": "number"}
    assert schema["properties"]["shut"] == {"type": "boolean"}
    assert "geometry" in schema["properties"]


WRONG: list[dict[str, str]] = [
    {"limit": "0"}, {"limit": "many"}, {"bbox": "1,2,3"}, {"bbox": "a,b,c,d"}, {"bbox": "1,2,3,400"},
    {"datetime": "now"},
     {"datetime": "2026-01-01"}, {"datetime": "1/2/3"}, {"crs": "EPSG:4326"}, {"filter": "diameter_mm >"},
     {"filter": "x = 1; DROP TABLE assets"}, {"filter": "a", "filter-lang": "sql"}, {"bad name!": "1"},
     {"filter": "F(x) = 1"}, {"filter": "S_TOUCHES(geometry, POINT(1 2))"},
]  # fmt: skip


async def test_what_is_not_understood_is_a_400(client: httpx.AsyncClient) -> None:
    for params in WRONG:
        answer = await client.get("/ogc/collections/pipe/items", params=params)
        assert answer.status_code == 400, params
        assert answer.headers["content-type"] == "application/problem+json"


async def test_what_is_not_there_is_a_404(client: httpx.AsyncClient) -> None:
    for path in ("rivers", "rivers/items", "pipe/items/V-1", "pipe/items/P-99"):
        assert (await client.get(f"/ogc/collections/{path}")).status_code == 404


@given(st.text(max_size=40))
def test_no_filter_text_does_more_than_be_refused(where: str) -> None:
    with contextlib.suppress(Invalid):
        assert isinstance(cql.parse(where), cql.Filter)
