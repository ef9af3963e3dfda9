"""POST /telemetry: answered when it is safe, with every refused record named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from core import text
from core.actor import Actor
from core.clock import SECOND_US
from core.db import Database
from ingest import http
from tests.conftest import ROOT
from tests.ingest.house import House
from tests.iot.sample import NOW_US, stored_registry
from tests.iot.test_api import EVERYTHING, serve

NOW_S = NOW_US // SECOND_US


@pytest.fixture
async def house(dsn: str, database: Database, tmp_path: Path) -> AsyncIterator[House]:
    async with House(dsn, await stored_registry(database), tmp_path) as opened:
        yield opened


@pytest.fixture
async def client(database: Database, house: House) -> AsyncIterator[httpx.AsyncClient]:
    app = serve(database, Actor("gateway:gw-0", "gw-0", EVERYTHING, gateway="gw-0"))
    app.include_router(http.router(house.intake, text.load([ROOT / "core", ROOT / "iot", ROOT / "ingest"])))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as opened:
        yield opened


async def test_a_pack_is_stored_when_it_is_accepted(client: httpx.AsyncClient, database: Database) -> None:
    pack = [
        {"n": "d0/temp", "v": 8, "t": NOW_S},
        {"n": "nobody/temp", "v": 8, "t": NOW_S},
        {"n": "d0/temp", "v": 8, "u": "furlong", "t": NOW_S},
        {"n": "d0/temp", "v": 9, "t": 253_370_764_800_000},
    ]
    answer = await client.post("/telemetry", json=pack)
    assert answer.status_code == 202
    body = answer.json()
    assert body["accepted"] == 1
    assert [(each["index"], each["reason"]) for each in body["refused"]] == [
        (1, "unknown_device"), (2, "unknown_unit"), (3, "bad_time"),
    ]  # fmt: skip
    row = await database.fetch_one(b"SELECT count(*) AS n FROM readings")
    assert row == {"n": 1}


async def test_nan_is_refused_and_its_neighbours_are_not(client: httpx.AsyncClient) -> None:
    answer = await client.post("/telemetry", content=b'[{"n":"d0/temp","v":NaN},{"n":"d0/temp","v":8}]')
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 1
    assert answer.json()["refused"][0]["reason"] == "not_a_number"


@pytest.mark.parametrize("body", [b"{", b"", b"[" * 50_000, b"\xff\xfe"])
async def test_a_body_that_cannot_be_read_is_a_problem_and_kept(
    client: httpx.AsyncClient, database: Database, body: bytes
) -> None:
    answer = await client.post("/telemetry", content=body)
    assert answer.status_code == 422
    assert answer.json()["refused"][0]["reason"] == "malformed"
    row = await database.fetch_one(b"SELECT reason, payload FROM dead_letters")
    assert row == {"reason": "malformed", "payload": body}


async def test_a_body_that_is_too_large_is_refused_while_it_comes(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_BYTES", 1000)
    answer = await client.post("/telemetry", content=b"[" + b" " * 2000 + b"]")
    assert answer.status_code == 422


async def test_a_gateway_cannot_speak_for_another(client: httpx.AsyncClient, database: Database) -> None:
    await client.post("/telemetry", params={"gateway": "gw-1"}, json=[{"n": "d1/temp", "v": 8, "t": NOW_S}])
    row = await database.fetch_one(b"SELECT gateway, reason FROM dead_letters")
    assert row == {"gateway": "gw-0", "reason": "unknown_device"}


async def test_when_too_much_waits_the_sender_is_asked_to_come_again(
    client: httpx.AsyncClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.intake, "_most_frames", 0)
    answer = await client.post("/telemetry", json=[])
    assert answer.status_code == 503


async def test_many_at_once_are_answered_each_with_its_own(client: httpx.AsyncClient) -> None:
    async def one(n: int) -> int:
        pack = [{"n": "d0/temp", "v": 8, "t": NOW_S + n * 100 + k} for k in range(n)]
        answer = await client.post("/telemetry", content=json.dumps(pack).encode())
        return int(answer.json()["accepted"])

    assert await asyncio.gather(*(one(n) for n in range(20))) == list(range(20))
