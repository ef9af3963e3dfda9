"""Gateways, dead letters and strangers: what is known of them, and what a person does about it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import text
from core.access import Policy
from core.actor import Actor
from core.clock import SECOND_US
from core.db import Database
from ingest import gateways_api, gateways_store, http
from ingest.gateways_store import States
from iot import registry_store
from iot.health import Health
from tests.conftest import ROOT
from tests.ingest.house import House
from tests.iot.sample import NOW_US, catalogue, stored_registry
from tests.iot.test_api import EVERYTHING, serve

NOW_S = NOW_US // SECOND_US


@pytest.fixture
async def house(dsn: str, database: Database, tmp_path: Path) -> AsyncIterator[House]:
    async with House(dsn, await stored_registry(database), tmp_path) as opened:
        yield opened


def client_of(database: Database, house: House, actor: Actor) -> httpx.AsyncClient:
    app = serve(database, actor)
    may = (
        "telemetry.check",
        "gateway.read",
        "gateway.write",
        "dead_letter.read",
        "dead_letter.act",
        "device.write",
        "telemetry.write",
    )
    app.state.policy = Policy(dict.fromkeys(may, EVERYTHING), {"dead_letter.read": frozenset({"gateway"})})
    desk = http.Desk(house.intake, text.load([ROOT / "core", ROOT / "iot", ROOT / "ingest"]))
    known = gateways_api.Known(
        lambda: house.pipeline._assembler.registry,
        lambda: Health(house.registry),
        lambda: ("s3cret", "hash"),
        lambda parcel: house.pipeline._assembler.assemble([parcel]),
    )
    app.include_router(gateways_api.router(known, desk))
    app.include_router(http.router(house.intake, desk.texts))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.fixture
async def client(database: Database, house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(database, house, Actor("admin", "Admin", EVERYTHING)) as opened:
        yield opened


async def send(client: httpx.AsyncClient, *records: dict[str, Any]) -> None:
    assert (await client.post("/telemetry", params={"gateway": "gw-0"}, json=records)).status_code == 202


async def test_a_gateway_is_on_line_while_it_is_connected_and_says_what_it_likes(
    client: httpx.AsyncClient, database: Database
) -> None:
    states = States()
    states.connected("gw-0", NOW_US)
    states.status("gw-0", b'{"state":"online","battery":80}', NOW_US + 1)
    states.connected("nobody", NOW_US)
    await states.flush(database)
    states.disconnected("gw-0", NOW_US + SECOND_US, "keep-alive time is over")
    await states.flush(database)
    first, second = (await client.get("/gateways")).json()["items"]
    assert (first["id"], first["online"], first["why"]) == ("gw-0", False, "keep-alive time is over")
    assert first["status"] == {"state": "online", "battery": 80}
    assert first["since"] == "2026-02-01T00:00:01Z"
    assert (second["online"], second["devices"]) == (None, 5)


def test_a_gateway_whose_session_was_taken_over_is_still_on_line() -> None:
    states = States()
    states.connected("gw-0", NOW_US)
    states.connected("gw-0", NOW_US + 1)
    states.disconnected("gw-0", NOW_US + 2, "another connection uses this client id")
    assert states._now["gw-0"].online
    states.disconnected("gw-0", NOW_US + 3, "said goodbye")
    assert not states._now["gw-0"].online


@pytest.mark.parametrize(
    "payload", [b"", b"online", b"[1]", b"\xff", b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}"]
)
async def test_a_status_that_cannot_be_read_changes_nothing(
    database: Database, house: House, payload: bytes
) -> None:
    states = States()
    states.connected("gw-0", NOW_US)
    states.status("gw-0", payload, NOW_US)
    await states.flush(database)
    row = await database.fetch_one(b"SELECT online FROM gateway_states WHERE gateway = 'gw-0'")
    assert row == {"online": True}


async def test_a_last_will_says_that_it_is_gone(database: Database, house: House) -> None:
    states = States()
    states.connected("gw-0", NOW_US)
    states.status("gw-0", b'{"state":"offline"}', NOW_US)
    await states.flush(database)
    row = await database.fetch_one(b"SELECT online FROM gateway_states WHERE gateway = 'gw-0'")
    assert row == {"online": False}


async def test_what_could_not_be_kept_is_kept_when_the_database_is_back(
    database: Database, house: House
) -> None:
    states = States()
    states.connected("gw-0", NOW_US)
    away = Database("host=/nowhere dbname=none")
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the pool says
        await states.flush(away)
    await states.flush(database)
    assert await database.fetch(b"SELECT gateway FROM gateway_states") == [{"gateway": "gw-0"}]


async def test_after_a_restart_nobody_is_on_line_until_it_comes(database: Database, house: House) -> None:
    states = States()
    states.connected("gw-0", NOW_US)
    await states.flush(database)
    await gateways_store.all_gone(database, NOW_US + 1)
    row = await database.fetch_one(b"SELECT online, why FROM gateway_states")
    assert row == {"online": False, "why": "our own restart"}


async def test_dead_letters_are_shown_whole_and_by_page(client: httpx.AsyncClient) -> None:
    for n in range(3):
        await send(client, {"n": "d0/nothing", "v": n, "t": NOW_S})
    first = (await client.get("/dead-letters", params={"limit": 2})).json()
    rest = (await client.get("/dead-letters", params={"limit": 2, "cursor": first["next"]})).json()
    assert [len(first["items"]), len(rest["items"]), rest["next"]] == [2, 1, None]
    letter = rest["items"][0]
    assert (letter["reason"], letter["detail"], letter["source"]) == (
        "unknown_channel",
        "d0/nothing",
        "senml",
    )
    assert '"d0/nothing"' in letter["payload"]


async def test_a_gateway_sees_its_own_letters_only(
    client: httpx.AsyncClient, database: Database, house: House
) -> None:
    await send(client, {"n": "d0/nothing", "v": 1, "t": NOW_S})
    own = Actor("gateway:gw-1", "gw-1", frozenset({"gateway"}), gateway="gw-1")
    async with client_of(database, house, own) as other:
        assert (await other.get("/dead-letters", params={"gateway": "gw-0"})).json()["items"] == []


async def test_a_stranger_waits_is_approved_and_what_it_said_is_stored(
    client: httpx.AsyncClient, database: Database, house: House
) -> None:
    for n in range(3):
        await send(client, {"n": "newcomer/temp", "v": n, "t": NOW_S + n})
    [stranger] = (await client.get("/strangers")).json()["items"]
    assert (stranger["gateway"], stranger["wire_name"], stranger["letters"]) == ("gw-0", "newcomer", 3)
    device = {
        "id": "meter-9", "kind": "meter", "name": {"zh": "新表"}, "lon": 121.5, "lat": 31.2, "gateway": "gw-0",
        "wire_name": "newcomer",
    }  # fmt: skip
    body = {"action": "approve", "gateway": "gw-0", "wire_name": "newcomer", "device": device}
    wrong = await client.post("/strangers/actions", json=body | {"gateway": "gw-1"})
    assert wrong.status_code == 422
    answer = await client.post("/strangers/actions", json=body, headers={"Idempotency-Key": "1"})
    letters = answer.json()["letters"]
    assert len(letters) == 3
    registry = await registry_store.load(database, catalogue(), house.registry)
    house.pipeline.use(type(house.pipeline._assembler)(registry, house.limits))
    done = await client.post("/dead-letters/actions", json={"action": "replay", "ids": letters})
    assert done.json() == {"settled": 3, "accepted": 3, "refused": 0}
    assert (await client.get("/strangers")).json()["items"] == []
    rows = await database.fetch(b"SELECT value FROM readings ORDER BY value")
    assert [row["value"] for row in rows] == [0.0, 1.0, 2.0]
    assert all(logged.history for logged in house.logged)


async def test_a_stranger_that_was_turned_away_is_not_asked_about_again(
    client: httpx.AsyncClient, database: Database
) -> None:
    await send(client, {"n": "spy/temp", "v": 1, "t": NOW_S})
    body = {"action": "refuse", "gateway": "gw-0", "wire_name": "spy", "reason": "not ours"}
    assert (await client.post("/strangers/actions", json=body)).json() == {"settled": 1}
    await send(client, {"n": "spy/temp", "v": 2, "t": NOW_S})
    assert (await client.get("/strangers")).json()["items"] == []
    row = await database.fetch_one(b"SELECT by_user, reason FROM strangers_refused")
    assert row == {"by_user": "admin", "reason": "not ours"}


async def test_what_is_refused_again_is_a_new_letter(client: httpx.AsyncClient) -> None:
    await send(client, {"n": "d0/nothing", "v": 1, "t": NOW_S})
    [letter] = (await client.get("/dead-letters")).json()["items"]
    body = {"action": "replay", "ids": [letter["id"]]}
    assert (await client.post("/dead-letters/actions", json=body)).json() == {
        "settled": 1,
        "accepted": 0,
        "refused": 1,
    }
    newer, older = (await client.get("/dead-letters")).json()["items"]
    assert (newer["outcome"], older["outcome"]) == ("", "replayed")
    assert (await client.get("/dead-letters", params={"open": True})).json()["items"] == [newer]
    dropped = await client.post("/dead-letters/actions", json={"action": "drop", "ids": [newer["id"]]})
    assert dropped.json() == {"settled": 1}


async def test_a_new_gateway_gets_its_secret_once(client: httpx.AsyncClient, database: Database) -> None:
    assert (await client.put("/gateways/gw-9", json={})).json() == {"id": "gw-9", "secret": "s3cret"}
    assert (await client.put("/gateways/gw-9", json={})).json() == {"id": "gw-9"}
    assert (await client.put("/gateways/gw-9", json={"rotate": True})).json()["secret"] == "s3cret"
    assert (await client.put("/gateways/no%20id", json={})).status_code == 422
    row = await database.fetch_one(b"SELECT secret_hash FROM gateways WHERE id = 'gw-9'")
    assert row == {"secret_hash": "hash"}


async def test_a_frame_can_be_tried_and_nothing_is_stored(
    client: httpx.AsyncClient, database: Database
) -> None:
    frame = (
        b'[{"n":"d0/temp","u":"K","v":281.65,"t":%d},{"n":"d0/tmp","v":1},{"n":"d0/temp","v":999}]' % NOW_S
    )
    answer = await client.post("/gateways/gw-0/check", content=frame)
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["readings"]
    assert first | {"value": 8.5} == {
        "device": "d0", "channel": "temp", "time": "2026-02-01T00:00:00Z", "value": 8.5, "unit": "Cel", "quality": [],
    }  # fmt: skip
    assert second["quality"] == ["out_of_range", "no_event_time"]
    assert [each["reason"] for each in answer.json()["refused"]] == ["unknown_channel"]
    for stored in (b"SELECT 1 FROM readings", b"SELECT 1 FROM dead_letters"):
        assert await database.fetch(stored) == []


async def test_a_binary_frame_can_be_tried_in_hexadecimal(client: httpx.AsyncClient) -> None:
    query = {"format": "senml-cbor", "hex": "true"}
    good = await client.post(
        "/gateways/gw-0/check", params=query, content=b"81 A2 00 67 64302F74656D70 02 08"
    )
    assert good.json()["accepted"] == 1
    assert (await client.post("/gateways/gw-0/check", params=query, content=b"8x")).status_code == 422
