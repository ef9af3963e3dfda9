"""Calibration, maintenance, twins, replacement: said once, in force for the next reading, kept in the device's log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.keeper import Keeper
from core.access import Policy
from core.actor import Actor
from core.batch import Quality
from core.clock import HOUR_US, SECOND_US, ManualClock, rfc3339
from core.db import Database
from ingest import twin_store
from ingest.assemble import Assembler
from ingest.endpoint import Listener
from ingest.mqtt import Kind
from ingest.twin_store import Twins
from iot import care_api
from iot.api import Sources
from iot.care import FOREVER, Calibration, Care, Window
from iot.latest import Latest
from tests.ingest.house import House, until
from tests.ingest.wire import Client
from tests.iot.sample import NOW_US, catalogue, stored_registry
from tests.iot.test_api import serve

ADMIN = Actor("zhang", "张工", frozenset({"admin"}))


# -- pure -----------------------------------------------------------------------------------------------------------


@given(
    spans=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 30), st.floats(0.5, 2), st.floats(-5, 5)), max_size=4),
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), st.integers(0, 99)), min_size=1, max_size=30),
)  # fmt: skip
def test_a_reading_is_corrected_by_the_calibration_that_began_last_and_still_holds(
    spans: list[tuple[int, int, float, float]], rows: list[tuple[int, int, int]]
) -> None:
    valid = [Calibration(1, 1, since, since + length, f, s) for since, length, f, s in dict.fromkeys(spans)]
    valid = [each for n, each in enumerate(valid) if each.since_us not in {v.since_us for v in valid[:n]}]
    device, channel, time_us = (np.array(column) for column in zip(*rows, strict=True))
    value, quality = np.full(len(rows), 10.0), np.zeros(len(rows), np.uint16)
    found = Care(valid).applied(device.astype(np.int32), channel.astype(np.int16), time_us, value, quality)
    assert (value == 10.0).all()  # what came is not touched
    for n, (number, of, at) in enumerate(rows):
        begun = [each for each in valid if (number, of) == (1, 1) and each.since_us <= at]
        last = max(begun, key=lambda each: each.since_us, default=None)
        holds = last is not None and at < last.until_us
        assert found[n] == (10.0 * last.factor + last.shift if last is not None and holds else 10.0)
        assert bool(quality[n] & Quality.CORRECTED) == holds


@given(
    spans=st.lists(st.tuples(st.integers(1, 2), st.integers(0, 50), st.integers(1, 30)), max_size=5),
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99)), min_size=1, max_size=30),
)
def test_windows_that_overlap_mark_what_lies_in_any_of_them(
    spans: list[tuple[int, int, int]], rows: list[tuple[int, int]]
) -> None:
    windows: dict[int, list[Window]] = {}
    for number, since, length in spans:
        windows.setdefault(number, []).append(Window(since, since + length))
    care = Care(windows=windows)
    device, time_us = (np.array(column) for column in zip(*rows, strict=True))
    quality = np.zeros(len(rows), np.uint16)
    care.applied(device.astype(np.int32), np.ones(len(rows), np.int16), time_us, np.zeros(len(rows)), quality)
    assert (quality > 0).tolist() == [care.in_maintenance(number, at) for number, at in rows]


def test_a_window_marks_what_was_measured_inside_and_nothing_else() -> None:
    care = Care(windows={2: [Window(10, 20)]})
    device, time_us = np.array([2, 2, 2, 1, 99], np.int32), np.array([9, 10, 20, 15, 15])
    quality = np.zeros(5, np.uint16)
    care.applied(device, np.ones(5, np.int16), time_us, np.zeros(5), quality)
    assert quality.tolist() == [0, int(Quality.MAINTENANCE), 0, 0, 0]
    assert [care.in_maintenance(2, at) for at in (9, 10, 19, 20)] == [False, True, True, False]
    assert not care.in_maintenance(1, 15)


def test_without_end_it_holds_for_ever() -> None:
    care, quality = Care([Calibration(0, 1, 5, FOREVER, 2.0, 1.0)]), np.zeros(1, np.uint16)
    one = np.ones(1, np.int16)
    assert care.applied(np.zeros(1, np.int32), one, np.array([1 << 60]), np.array([3.0]), quality)[0] == 7.0


# -- over HTTP, into the next reading ---------------------------------------------------------------------------------


@pytest.fixture
async def keeper(database: Database) -> AsyncIterator[Keeper]:
    await stored_registry(database)
    found = Keeper(database, catalogue())
    await found.start()
    following = asyncio.create_task(found.follow_registry())
    yield found
    following.cancel()


def client_of(database: Database, keeper: Keeper, actor: Actor = ADMIN) -> httpx.AsyncClient:
    app = serve(database, actor)
    rules = {
        "device.write": {"admin"},
        "device.read": {"admin", "fitter"},
        "device.maintain": {"admin", "fitter"},
    }
    app.state.policy = Policy({action: frozenset(roles) for action, roles in rules.items()}, {})
    latest = Latest(keeper.registry)
    app.include_router(care_api.router(Sources(lambda: keeper.registry, lambda: latest, "Asia/Shanghai")))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.fixture
async def client(database: Database, keeper: Keeper) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(database, keeper) as opened:
        yield opened


@pytest.fixture
async def house(dsn: str, keeper: Keeper, tmp_path: Path) -> AsyncIterator[House]:
    async with House(dsn, keeper.registry, tmp_path, clock=ManualClock(NOW_US)) as opened:
        keeper.changed.append(lambda registry: opened.pipeline.use(Assembler(registry, opened.limits)))
        yield opened


async def said(keeper: Keeper, asking: Awaitable[httpx.Response]) -> Any:  # noqa: ANN401 - a JSON body
    """The answer, when the running processes have taken up what was said."""
    before = keeper.registry
    answer = await asking
    assert answer.status_code == 200, answer.text
    await until(lambda: keeper.registry is not before)
    return answer.json()


async def stored(house: House, minute: int, value: float = 300.0) -> tuple[float, Quality]:
    before = house.rows
    async with Client(house.port) as sender:
        record = {"n": "d0/pressure", "v": value, "t": NOW_US / SECOND_US + minute * 60}
        await sender.acknowledged([sender.send("telemetry/gw-0", [record])])
    await until(lambda: house.rows > before)
    batch = house.logged[-1].batch
    return float(batch.value[-1]), Quality(int(batch.quality[-1]))


async def test_a_calibration_corrects_the_next_reading_without_a_restart_and_stands_in_the_log(
    client: httpx.AsyncClient, keeper: Keeper, house: House
) -> None:
    assert await stored(house, 0) == (300.0, Quality(0))
    body = {"channel": "pressure", "factor": 1.1, "shift": -5.0, "since": rfc3339(NOW_US), "note": "现场比对"}
    number = (await said(keeper, client.post("/devices/d0/calibrations", json=body)))["number"]
    value, quality = await stored(house, 1)
    assert (round(value, 9), quality) == (325.0, Quality.CORRECTED)
    assert (await stored(house, -1))[1] == Quality(0)  # before it held
    await said(keeper, client.post(f"/devices/d0/calibrations/{number}/withdraw"))
    assert await stored(house, 2) == (300.0, Quality(0))
    [known] = (await client.get("/devices/d0/calibrations")).json()["items"]
    assert (known["channel"], known["factor"], known["by"]) == ("pressure", 1.1, "zhang")
    assert known["withdrawn_at"] is not None
    log = (await client.get("/devices/d0/log")).json()["items"]
    assert [(line["what"], line["by"]) for line in log] == [
        ("calibration_withdrawn", "zhang"), ("calibrated", "zhang"),
    ]  # fmt: skip
    assert (await client.post(f"/devices/d0/calibrations/{number}/withdraw")).status_code == 404


async def test_a_senseless_calibration_is_refused(client: httpx.AsyncClient) -> None:
    body: dict[str, object] = {"channel": "pressure", "shift": 1.0, "since": rfc3339(NOW_US)}
    wrong: list[tuple[dict[str, object], int]] = [
        ({"factor": 0}, 422), ({"factor": "NaN"}, 422), ({"until": rfc3339(NOW_US)}, 422),
        ({"channel": "ch4"}, 404), ({"since": "2026-02-01T00:00:00"}, 422),
    ]  # fmt: skip
    for change, status in wrong:
        answer = await client.post("/devices/d0/calibrations", json=body | change)
        assert answer.status_code == status, change


async def test_in_a_maintenance_window_readings_are_marked_until_it_is_ended(
    client: httpx.AsyncClient, keeper: Keeper, house: House
) -> None:
    span = {"since": rfc3339(NOW_US - HOUR_US), "until": rfc3339(NOW_US + HOUR_US), "reason": "更换电池"}
    where = {"scope": "gateway", "name": "gw-0"}
    window = await said(keeper, client.post("/maintenance", json={**where, **span}))
    assert (await stored(house, 1))[1] == Quality.MAINTENANCE
    device = keeper.registry.devices["d0"].number
    assert keeper.registry.care.in_maintenance(device, NOW_US)
    assert [each["reason"] for each in (await client.get("/maintenance")).json()["items"]] == ["更换电池"]
    await said(keeper, client.post(f"/maintenance/{window['number']}/end"))
    assert (await stored(house, 2))[1] == Quality(0)
    assert (await client.get("/maintenance")).json()["items"] == []
    assert (await client.post(f"/maintenance/{window['number']}/end")).status_code == 404
    nobody = await client.post("/maintenance", json={"scope": "asset", "name": "nowhere", **span})
    assert nobody.status_code == 404


async def test_a_department_maintains_what_lies_in_its_area_only(database: Database, keeper: Keeper) -> None:
    await database.execute(b"UPDATE devices SET area = CASE WHEN id = 'd0' THEN 'west' ELSE 'east' END")
    await database.execute(b"INSERT INTO changes (at, topic, key, body) VALUES (now(), 'registry', '', '{}')")
    await until(lambda: keeper.registry.devices["d0"].area == "west")
    fitter = Actor("li", "李工", frozenset({"fitter"}), areas=frozenset({"west"}))
    span = {"since": rfc3339(NOW_US), "until": rfc3339(NOW_US + HOUR_US), "reason": "检修"}
    async with client_of(database, keeper, fitter) as client:
        for scope, name, status in (("device", "d0", 200), ("device", "d1", 403), ("gateway", "gw-0", 403)):
            answer = await client.post("/maintenance", json={"scope": scope, "name": name, **span})
            assert answer.status_code == status
        body = {"channel": "pressure", "shift": 1.0, "since": rfc3339(NOW_US)}
        assert (await client.post("/devices/d0/calibrations", json=body)).status_code == 403


async def test_other_hardware_at_the_same_place_keeps_the_points_history(
    client: httpx.AsyncClient, keeper: Keeper, house: House, database: Database
) -> None:
    await stored(house, -2)
    since = rfc3339(NOW_US - HOUR_US)
    body = {"channel": "pressure", "shift": 7.0, "since": since}
    await said(keeper, client.post("/devices/d0/calibrations", json=body))
    await said(keeper, client.post("/devices/d0/replace", json={"wire_name": "d0-b", "note": "损坏"}))
    async with Client(house.port) as sender:
        record = {"n": "d0-b/pressure", "v": 300.0, "t": NOW_US / SECOND_US + 60}
        await sender.acknowledged([sender.send("telemetry/gw-0", [record])])
    rows = await database.fetch(b"SELECT DISTINCT device FROM readings")
    assert [row["device"] for row in rows] == [keeper.registry.devices["d0"].number]
    await until(lambda: house.rows == 2)
    assert house.logged[-1].batch.value.tolist() == [
        300.0
    ]  # what was known of the old one is not held against it
    [known] = (await client.get("/devices/d0/calibrations")).json()["items"]
    assert known["until"] == rfc3339(NOW_US)
    taken = await client.post("/devices/d0/replace", json={"wire_name": "d2"})
    assert taken.status_code == 422


# -- twins ------------------------------------------------------------------------------------------------------------


class Ear(Listener):
    """What the doors do with a report."""

    def __init__(self, twins: Twins) -> None:
        self.twins = twins

    def twin(self, gateway: str, payload: bytes, at_us: int, *, own: bool) -> None:
        self.twins.reported(twin_store.read(gateway, payload, at_us, own=own))


async def test_a_wish_is_told_until_the_device_says_that_it_took_it(
    client: httpx.AsyncClient, house: House, database: Database
) -> None:
    twins = Twins(house.endpoint.publish)
    house.endpoint.listener = Ear(twins)
    wished = await client.put("/devices/d0/twin", json={"desired": {"period_s": 60, "range": "high"}})
    assert wished.json() == {"version": 1}
    await twins.exchange(database)
    async with Client(house.port) as gateway:  # comes later, and hears it all the same
        gateway.subscribe("twin/gw-0/desired")
        await gateway.packet(Kind.SUBACK)
        topic, payload = await gateway.message()
        assert (topic, json.loads(payload)) == (
            "twin/gw-0/desired",
            {"d0": {"version": 1, "desired": {"period_s": 60, "range": "high"}}},
        )
        report = {"d0": {"firmware": "1.4", "period_s": 60, "range": "low", "version": 1}, "nobody": {"a": 1}}
        number = gateway.send("twin/gw-0", report)
        await gateway.acknowledged([number])
        await twins.exchange(database)
        assert await gateway.message() == ("twin/gw-0/desired", b"")  # nothing is open any more
    twin = (await client.get("/devices/d0/twin")).json()
    assert (twin["firmware"], twin["open"], twin["reported_version"]) == ("1.4", {"range": "high"}, 1)
    assert twin["desired_by"] == "zhang"


async def test_attributes_of_thingsboard_are_reports_too(
    client: httpx.AsyncClient, house: House, database: Database
) -> None:
    twins = Twins(house.endpoint.publish)
    house.endpoint.listener = Ear(twins)
    async with Client(house.port) as gateway:
        one = gateway.send("v1/gateway/attributes", {"d0": {"firmware": "2.0"}})
        other = gateway.send("v1/devices/me/attributes", {"firmware": "9"})
        broken = gateway.send("twin/gw-0", b"no json")
        await gateway.acknowledged([one, other, broken])
    await twins.exchange(database)
    assert (await client.get("/devices/d0/twin")).json()["firmware"] == "2.0"


async def test_reports_wait_for_a_database_that_is_away_the_newest_of_each_device(
    client: httpx.AsyncClient, database: Database
) -> None:
    twins = Twins(lambda message: message)
    twins.reported(
        twin_store.read("gw-0", b'{"d0": {"firmware": "1", "a": 1, "version": 2}}', NOW_US, own=False)
    )
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever the pool says
        await twins.exchange(Database("host=/nowhere dbname=none"))
    twins.reported(twin_store.read("gw-0", b'{"d0": {"firmware": "2"}}', NOW_US + 1, own=False))
    await twins.exchange(database)
    assert (await client.get("/devices/d0/twin")).json()["reported"] == {"firmware": "2", "a": 1}


def test_a_report_that_says_too_much_is_none() -> None:
    assert twin_store.read("gw-0", json.dumps({"d0": {"a": "x" * 5000}}).encode(), 0, own=False) == []
    assert twin_store.read("gw-0", b"[1]", 0, own=True) == []
    [said] = twin_store.read("gw-0", b'{"version": -1, "a": 1}', 0, own=True)
    assert (said.version, said.reported) == (0, {"a": 1})
