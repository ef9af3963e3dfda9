"""Devices, readings and last values over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from app.keeper import Keeper
from core import text
from core.access import Policy
from core.actor import Actor
from core.batch import Batch
from core.clock import HOUR_US, MINUTE_US, ManualClock
from core.db import Database, connect
from core.http import install_errors
from iot import api, registry_store
from iot.aggregate import Aggregates
from iot.latest import Latest
from iot.partitions import ReadingsTable
from iot.readings import Logged, Mark, Store
from iot.registry import Registry
from tests.conftest import ROOT
from tests.iot.sample import NOW_US, catalogue, stored_registry

EVERYTHING = frozenset({"tester"})
TESTER = Actor("tester", "Tester", EVERYTHING)


def serve(database: Database, actor: Actor = TESTER) -> FastAPI:
    """An application in which one actor may do everything that exists."""
    app = FastAPI()
    app.state.database = database
    app.state.clock = ManualClock(NOW_US)
    actions = (
        "device.read",
        "device.write",
        "reading.read",
        "telemetry.write",
        "telemetry.backfill",
        "dead_letter.read",
    )
    app.state.policy = Policy(dict.fromkeys(actions, EVERYTHING), {})
    install_errors(app, text.load([ROOT / "core", ROOT / "iot", ROOT / "ingest"]))

    @app.middleware("http")
    async def identify(request: Request, following: Callable[[Request], Awaitable[Response]]) -> Response:
        request.state.actor = actor
        return await following(request)

    return app


@pytest.fixture
async def registry(database: Database) -> Registry:
    return await stored_registry(database)


@pytest.fixture
async def keeper(database: Database, registry: Registry) -> Keeper:
    del registry  # stored; the keeper loads its own
    found = Keeper(database, catalogue())
    await found.start()
    return found


@pytest.fixture
async def aggregates(dsn: str, registry: Registry) -> Aggregates:
    """Three hours of d0's pressure, one reading a minute, value = minute."""
    table = ReadingsTable(86_400.0)
    found = Aggregates(registry)
    async with await connect(dsn) as connection:
        await table.prepare(connection, "off")
        store = Store(dsn, table, "run")
        store.use(registry)
        await store.connect()
        minutes = range(180)
        batch = Batch.of(
            device=registry.devices["d0"].number, channel=registry.channels["water.pressure"].number,
            time_us=[NOW_US - 3 * HOUR_US + m * MINUTE_US for m in minutes], value=list(minutes), gateway=1,
        )  # fmt: skip
        done = await store.commit(batch, (), NOW_US, Mark("live", 1))
        await store.close()
        assert isinstance(done.logged, Logged)
        found.take(done.logged)
        await found.flush(connection)
    return found


@pytest.fixture
async def client(
    database: Database, keeper: Keeper, aggregates: Aggregates
) -> AsyncIterator[httpx.AsyncClient]:
    app = serve(database)
    app.include_router(
        api.router(api.Sources(lambda: keeper.registry, lambda: aggregates.latest, "Asia/Shanghai"))
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as opened:
        yield opened


def device(**fields: object) -> dict[str, object]:
    body: dict[str, object] = {
        "kind": "meter",
        "name": {"zh": "新", "en": "New"},
        "lon": 121.4,
        "lat": 31.1,
        "gateway": "gw-0",
    }
    return {**body, **fields}


async def test_devices_are_listed_page_by_page(client: httpx.AsyncClient) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await client.get("/devices", params={"limit": 4, "cursor": cursor})).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert seen == sorted([f"d{n}" for n in range(10)] + ["gas"])
    page = (await client.get("/devices", params={"domain": "gas"})).json()
    assert [item["id"] for item in page["items"]] == ["gas"]
    page = (await client.get("/devices", params={"bbox": "0,0,1,1"})).json()
    assert page["items"] == []


async def test_a_device_tells_its_channels(client: httpx.AsyncClient) -> None:
    body = (await client.get("/devices/d0")).json()
    assert body["channels"][0] == {"channel": "pressure", "unit": "kPa", "name": "water.pressure"}
    assert (await client.get("/devices/nobody")).status_code == 404


async def test_a_new_device_is_known_without_a_restart(client: httpx.AsyncClient, keeper: Keeper) -> None:
    running = asyncio.create_task(keeper.follow_registry())
    changed = asyncio.Event()
    keeper.changed.append(lambda registry: changed.set() if "new" in registry.devices else None)
    assert (await client.put("/devices/new", json=device())).status_code == 200
    await asyncio.wait_for(changed.wait(), 5)
    assert (await client.get("/devices/new")).json()["lon"] == 121.4
    running.cancel()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (device(kind="spaceship"), "kind"),
        (device(lon=200), "lon"),
        (device(id="other"), "id"),
        (device(colour="red"), "colour"),
        (device(gateway="nobody"), "gateway"),
        (device(wire_name="d0"), "wire_name"),
        (device(wire_name="with space"), "wire_name"),
        (device(name={}), "name"),
    ],
)
async def test_a_wrong_device_is_refused_by_field(
    client: httpx.AsyncClient, body: object, field: str
) -> None:
    answer = await client.put("/devices/new", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == field
    assert answer.headers["content-type"] == "application/problem+json"


async def test_many_devices_are_put_together_or_not_at_all(client: httpx.AsyncClient, keeper: Keeper) -> None:
    rows = [device(id=f"n{n}") for n in range(5)]
    assert (await client.put("/devices", json=[*rows, device(id="bad", kind="spaceship")])).status_code == 422
    await keeper.start()
    assert (await client.get("/devices/n0")).status_code == 404
    assert (await client.put("/devices", json=rows)).json() == {"count": 5}
    await keeper.start()
    assert (await client.get("/devices/n4")).status_code == 200


async def test_readings_come_raw_in_buckets_and_as_csv(client: httpx.AsyncClient) -> None:
    point = {
        "device": "d0",
        "channel": "pressure",
        "from": "2026-01-31T21:00:00Z",
        "to": "2026-02-01T00:00:00Z",
    }
    raw = (await client.get("/readings", params=point)).json()
    assert (raw["unit"], len(raw["items"]), raw["next"]) == ("kPa", 180, None)
    assert raw["items"][0] == {"time": "2026-01-31T21:00:00Z", "value": 0.0, "quality": 0}
    hours = (await client.get("/readings", params={**point, "bucket": "1h"})).json()["items"]
    assert hours[1] == {"time": "2026-01-31T22:00:00Z", "value": 89.5, "low": 60.0, "high": 119.0, "n": 60}
    days = (await client.get("/readings", params={**point, "bucket": "1d"})).json()["items"]
    assert [(item["time"], item["n"]) for item in days] == [
        ("2026-01-31T16:00:00Z", 180)
    ]  # Shanghai's midnight
    minutes = (await client.get("/readings", params={**point, "bucket": "1m", "limit": 2})).json()
    assert [item["value"] for item in minutes["items"]] == [0.0, 1.0]
    more = (await client.get("/readings", params={**point, "bucket": "1m", "cursor": minutes["next"]})).json()
    assert more["items"][0]["value"] == 2.0
    table = (await client.get("/readings", params={**point, "format": "csv", "limit": 2})).text
    assert table.splitlines() == [
        "time,value,quality",
        "2026-01-31T21:00:00Z,0.0,0",
        "2026-01-31T21:01:00Z,1.0,0",
    ]


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"device": "nobody"}, 404), ({"channel": "wind"}, 404), ({"from": "yesterday"}, 422), ({"bucket": "1y"}, 422),
        ({"from": "2026-01-01T00:00:00"}, 422), ({"limit": 0}, 422), ({"cursor": "???"}, 422), ({"format": "xml"}, 422),
    ],
)  # fmt: skip
async def test_wrong_questions_get_a_problem(
    client: httpx.AsyncClient, params: dict[str, object], status: int
) -> None:
    answer = await client.get("/readings", params={"device": "d0", "channel": "pressure", **params})  # type: ignore[dict-item]
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_latest_is_columns(client: httpx.AsyncClient) -> None:
    body = (await client.get("/latest")).json()
    assert body == {
        "device": ["d0"], "channel": ["pressure"], "time": ["2026-01-31T23:59:00Z"], "value": [179.0], "quality": [0],
    }  # fmt: skip
    assert (await client.get("/latest", params={"domain": "gas"})).json()["device"] == []


async def test_an_actor_of_one_area_sees_nothing_of_another(database: Database, dsn: str) -> None:
    registry = await stored_registry(database, 2, 1)
    async with database.transaction() as connection:
        row = registry_store.DeviceRow("far", "meter", "远", "Far", 121.5, 31.2, "gw-0", area="pudong")
        await registry_store.put_devices(connection, [row], catalogue(), NOW_US)
    registry = await registry_store.load(database, catalogue())
    latest = Latest(registry)
    devices = [registry.devices["d0"].number, registry.devices["far"].number]
    latest.add(Batch.of(device=devices, channel=3, time_us=[NOW_US] * 2, value=1.0))
    app = serve(database, Actor("a", "A", EVERYTHING, areas=frozenset({"huangpu"})))
    app.include_router(api.router(api.Sources(lambda: registry, lambda: latest, "UTC")))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        listed = [item["id"] for item in (await client.get("/devices")).json()["items"]]
        assert "far" not in listed
        assert "d0" in listed
        assert (await client.get("/devices/far")).status_code == 404
        assert "far" not in (await client.get("/latest")).json()["device"]
        assert (await client.get("/readings", params={"device": "far", "channel": "temp"})).status_code == 404
        assert (await client.put("/devices/far", json=device(area="pudong"))).status_code == 403


def test_texts_are_complete() -> None:
    texts = text.load([ROOT / "core", ROOT / "iot", ROOT / "ingest"])
    for room in ("iot", "ingest"):
        source = "".join(path.read_text() for path in Path(ROOT / room).rglob("*.py"))
        keys = {part.split('"')[0] for part in source.split('"error.')[1:]}
        assert all(texts.has(f"error.{key}") for key in keys), keys
