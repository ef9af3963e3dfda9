"""Pushes of operator platforms, and back-fill by HTTP: who may, what is answered, what is stored."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.doors import decoders_of
from core import text
from core.actor import Actor
from core.clock import DAY_US, SECOND_US
from core.db import Database
from core.payload import PayloadMapping
from core.settings import Push
from ingest import http
from ingest.assemble import Limits
from ingest.push import Posted, onenet_signature, proven
from iot.codecs.plain import Mapper
from tests.conftest import ROOT
from tests.ingest.house import House
from tests.iot.sample import NOW_US, stored_registry
from tests.iot.test_api import EVERYTHING, serve
from tests.iot.test_files import CSV, written

NOW_S = NOW_US // SECOND_US
SECRET = "a-secret-of-16-or-more"
ONENET = PayloadMapping(
    name="meters", device="dev_id", time="at", format="ms", channel="ds_id", value="value",
    channels={"3303_0_5700": "temp"},
)  # fmt: skip
CTWING = PayloadMapping(
    name="nb",
    device="deviceId",
    time="timestamp",
    format="ms",
    values={"temp": "payload.T", "pressure": "payload.P"},
)
PUSHES = [
    Push.model_validate(
        {"name": name, "gateway": "gw-0", "mapping": mapping, "check": check, "secret": SECRET}
    )
    for name, mapping, check in [
        ("onenet", "meters", "onenet"),
        ("ctwing", "nb", "token"),
        ("own", "nb", "hmac"),
    ]
]
MESSAGE = {"type": 1, "dev_id": "d0", "ds_id": "3303_0_5700", "at": NOW_S * 1000, "value": 8.5}
NB = {
    "deviceId": "d0",
    "timestamp": NOW_S * 1000,
    "payload": {"T": 8.5, "P": 300},
    "messageType": "dataReport",
}


@pytest.fixture
async def house(dsn: str, database: Database, tmp_path: Path) -> AsyncIterator[House]:
    decoders = decoders_of([Mapper(ONENET), Mapper(CTWING)])
    registry = await stored_registry(database)
    async with House(dsn, registry, tmp_path, decoders=decoders, limits=Limits()) as opened:
        yield opened


@pytest.fixture
async def client(database: Database, house: House) -> AsyncIterator[httpx.AsyncClient]:
    app = serve(database, Actor("gateway:gw-0", "gw-0", EVERYTHING, gateway="gw-0"))
    texts = text.load([ROOT / "core", ROOT / "iot", ROOT / "ingest"])
    app.include_router(http.router(house.intake, texts, PUSHES))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as opened:
        yield opened


def enveloped(message: dict[str, object], *, as_text: bool = False, token: str = SECRET) -> bytes:
    """What OneNET posts: the message as an object, or as a text that holds one."""
    raw = json.dumps(message, ensure_ascii=False)
    signature = onenet_signature(token, "n0nce", raw.encode())
    shown = json.dumps(raw) if as_text else raw
    return f'{{"msg":{shown},"nonce":"n0nce","msg_signature":"{signature}"}}'.encode()


async def values(database: Database) -> list[float]:
    return [row["value"] for row in await database.fetch(b"SELECT value FROM readings ORDER BY value")]


@pytest.mark.parametrize("as_text", [False, True])
async def test_onenet_is_stored_before_it_is_answered(
    client: httpx.AsyncClient, database: Database, *, as_text: bool
) -> None:
    answer = await client.post("/push/onenet", content=enveloped(MESSAGE, as_text=as_text))
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1, "refused": []})
    assert await values(database) == [8.5]


async def test_onenet_verifies_the_address_by_its_token(client: httpx.AsyncClient) -> None:
    given = {"msg": "hello", "nonce": "abc", "signature": onenet_signature(SECRET, "abc", b"hello")}
    assert (await client.get("/push/onenet", params=given)).text == "hello"
    assert (await client.get("/push/onenet", params=given | {"msg": "other"})).status_code == 401
    assert (await client.get("/push/ctwing", params=given)).status_code == 404


async def test_ctwing_comes_with_the_token_of_its_address(
    client: httpx.AsyncClient, database: Database
) -> None:
    assert (await client.post("/push/ctwing", params={"token": SECRET}, json=NB)).json()["accepted"] == 2
    headers = {"Authorization": f"Bearer {SECRET}"}
    again = await client.post("/push/ctwing", headers=headers, json=NB)
    assert again.status_code == 200
    assert await values(database) == [8.5, 300.0]


async def test_a_signed_body_is_taken(client: httpx.AsyncClient, database: Database) -> None:
    body = json.dumps(NB).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    answer = await client.post("/push/own", content=body, headers={"X-Signature": signature.upper()})
    assert answer.json()["accepted"] == 2
    assert await values(database) == [8.5, 300.0]


@pytest.mark.parametrize(
    ("name", "body", "query", "headers"),
    [
        ("onenet", enveloped(MESSAGE, token="wrong"), {}, {}),
        ("onenet", enveloped(MESSAGE).replace(b"8.5", b"9.5"), {}, {}),
        ("onenet", json.dumps(MESSAGE).encode(), {"token": SECRET}, {}),
        ("onenet", b"[" * 100_000, {}, {}),
        ("ctwing", json.dumps(NB).encode(), {}, {}),
        ("ctwing", json.dumps(NB).encode(), {"token": "x" + SECRET}, {}),
        ("own", json.dumps(NB).encode(), {"token": SECRET}, {}),
        ("own", json.dumps(NB).encode(), {}, {"X-Signature": "00"}),
    ],
)
async def test_who_cannot_prove_it_stores_nothing(
    client: httpx.AsyncClient,
    database: Database,
    name: str,
    body: bytes,
    query: dict[str, str],
    headers: dict[str, str],
) -> None:
    answer = await client.post(f"/push/{name}", content=body, params=query, headers=headers)
    assert answer.status_code == 401
    assert await values(database) == []
    assert await database.fetch(b"SELECT 1 FROM dead_letters") == []


async def test_what_is_refused_of_a_push_is_kept_and_answered_as_received(
    client: httpx.AsyncClient, database: Database
) -> None:
    """The platform would count another answer as a failure, and pause."""
    strange = await client.post("/push/ctwing", params={"token": SECRET}, json=NB | {"deviceId": "nobody"})
    assert (strange.status_code, strange.json()["accepted"]) == (200, 0)
    broken = await client.post("/push/ctwing", params={"token": SECRET}, content=b"{")
    assert broken.status_code == 200
    kept = await database.fetch(b"SELECT reason FROM dead_letters ORDER BY id")
    assert [row["reason"] for row in kept] == ["unknown_device", "malformed"]


def test_a_text_in_the_envelope_is_the_message_itself() -> None:
    assert proven(PUSHES[0], Posted(enveloped(MESSAGE, as_text=True))) == json.dumps(MESSAGE).encode()


async def test_an_unknown_push_is_nowhere(client: httpx.AsyncClient) -> None:
    assert (await client.post("/push/nobody", json={})).status_code == 404


# -- back-fill ---------------------------------------------------------------------------------------------------


async def test_history_of_any_age_is_taken_and_marked_as_such(
    client: httpx.AsyncClient, house: House, database: Database
) -> None:
    lines = [f"d0,temp,{NOW_S - n * 40 * DAY_US // SECOND_US},8" for n in range(5)]
    body = "\n".join(["device,channel,time,value", *lines])
    live = await client.post("/telemetry", json=[{"n": "d0/temp", "v": 8, "t": NOW_S - 3_456_000}])
    assert live.json()["refused"][0]["reason"] == "too_old"
    answer = await client.post("/backfill", content=body, headers={"Content-Type": "text/csv"})
    assert answer.json() == {"accepted": 5, "refused": []}
    assert [logged.history for logged in house.logged] == [True]
    row = await database.fetch_one(b"SELECT count(*) AS n, bit_or(quality) AS marks FROM readings")
    assert row == {"n": 5, "marks": 0}


async def test_the_same_file_twice_changes_nothing(client: httpx.AsyncClient, database: Database) -> None:
    for _ in range(2):
        answer = await client.post(
            "/backfill", content=CSV, headers={"Content-Type": "text/csv; charset=utf-8"}
        )
        assert answer.status_code == 202
    assert await values(database) == [1.0, 8.5, 9.0]


async def test_parquet_is_stored_too(client: httpx.AsyncClient, database: Database) -> None:
    headers = {"Content-Type": "application/vnd.apache.parquet"}
    answer = await client.post("/backfill", content=written(), headers=headers)
    assert answer.json() == {"accepted": 2, "refused": []}
    assert (await client.post("/backfill", content=b"PAR1", headers=headers)).status_code == 422
    assert await values(database) == [8.0, 9.0]
