"""What screens and vital signs take from events and dispatch, with real incidents, cases and crews."""

from __future__ import annotations

import asyncio
from typing import Any

import shapely

from core.access import Policy
from core.batch import Batch
from core.changes import Bell
from core.clock import DAY_US, MINUTE_US, SECOND_US, to_datetime
from core.db import connect
from dashboard.lately import Lately
from dashboard.rooms import Alerts, Cases, Crews, Incidents, Orders, Records, Today, overlay
from dashboard.screens import Screens
from dashboard.stream import EVERYTHING
from dispatch import views as dispatch
from events.actions import act_on_incident, report
from gis import hazard_store
from gis.hazard import Hazard, Zone
from iot import registry_store
from iot.kinds import Catalogue
from iot.partitions import ReadingsTable
from iot.readings import Mark, Store
from iot.registry_store import DeviceRow
from tests.dashboard import scripted
from tests.dispatch.conftest import own_city as dispatch_city  # noqa: F401 - a fixture
from tests.dispatch.test_chain import on_site, sent
from tests.dispatch.world import LEADER, ZONE, World
from tests.events.conftest import City, catalogue, city, model, texts  # noqa: F401 - fixtures
from tests.events.test_engine import burst


async def test_an_incident_becomes_an_item_in_both_languages(city: City) -> None:  # noqa: F811 - the fixture
    await city.begin()
    await burst(city)
    (item,) = await Incidents(city.views, city.clock).all()
    assert item["title"] == {"zh": "供水爆管", "en": "Water main burst"}
    place, why = item["place"], item["why"]
    assert isinstance(place, dict)
    assert isinstance(why, dict)
    assert "附近" in place["zh"]
    assert why["en"]
    assert (item["state"], item["provenance"]) == ("open", "simulated")


async def test_what_an_incident_endangers_is_drawn_with_it(city: City) -> None:  # noqa: F811 - the fixture
    await city.begin()
    await burst(city)
    item: Any = (await Incidents(city.views, city.clock).all())[0]
    assert item["overlay"] == []
    now_us = city.clock.now_us()
    pipe = [[121.49, 31.24], [121.495, 31.24]]
    told = {"valves": [["V-1", 121.49, 31.24]], "pipes": [pipe]}
    dry = Zone(1, shapely.box(121.49, 31.24, 121.50, 31.25), told)
    async with city.database.transaction() as connection:
        await hazard_store.put(connection, Hazard("h", "isolated", (dry,), now_us, None, item["id"]), now_us)
    again: Any = (await Incidents(city.views, city.clock).some([item["id"]]))[0]
    drawn = again["overlay"]
    assert [each["properties"]["kind"] for each in drawn] == ["ring", "pipe", "valve"]
    assert drawn[1]["geometry"] == {"type": "MultiLineString", "coordinates": [pipe]}
    assert drawn[2]["properties"]["label"] == {"zh": "V-1", "en": "V-1"}
    assert drawn[2]["geometry"] == {"type": "Point", "coordinates": [121.49, 31.24]}


def test_the_worst_of_a_flood_is_painted_last_and_most_strongly() -> None:
    zones = tuple(Zone(cls, shapely.box(0, 0, cls, cls)) for cls in (1, 2, 3))
    drawn: Any = overlay(Hazard("h", "flood", zones, 0))
    assert [max(max(each["geometry"]["coordinates"][0])) for each in drawn] == [3, 2, 1]
    assert [each["properties"]["opacity"] for each in drawn] == [0.2, 0.2, 0.45]
    assert overlay(Hazard("h", "closed", zones, 0)) == []


async def test_alerts_and_incidents_become_records_with_age_level_and_standing(city: City) -> None:  # noqa: F811
    await city.begin()
    await burst(city)
    records = Records(city.database, city.views, ZONE, lambda: scripted.registry(1), ("simulated",))
    rows = await records.records(city.clock.now_us())
    assert len(rows["incidents"]) == 1
    assert len(rows["alerts"]) == 3
    assert [(each["acknowledged"], each["level"]) for each in rows["alarms"]] == [
        (False, rows["incidents"][0]["level"])
    ], "evidence that joined an incident asks nobody again"
    assert 0 <= city.clock.now_us() - rows["incidents"][0]["at_us"] < 10 * MINUTE_US
    other = Records(city.database, city.views, ZONE, lambda: scripted.registry(1), ("real",))
    assert not any((await other.records(city.clock.now_us())).values()), (
        "what is simulated is no city's indicator"
    )
    assert (await Today(city.views, city.clock, ZONE).now(city.clock.now_us()))["incidents_today"] == 1


RUN = b"""
INSERT INTO plan_runs (id, number, plan, state, response, provenance, started_by, started_at, changed_at)
VALUES ('r1', 'R1', 'burst', 'running', 'IV', 'drill', 'u', %(now)s, %(now)s),
       ('r2', 'R2', 'underpass_flood', 'running', 'II', 'drill', 'u', %(now)s, %(now)s),
       ('r3', 'R3', 'underpass_flood', 'ended', 'I', 'drill', 'u', %(now)s, %(now)s)
"""
PAPER = """
INSERT INTO papers
    (id, number, kind, state, title, issuer, level, provenance, by, until_at, created_at, changed_at)
VALUES ('w', 'W1', 'warning', 'in_force', '{"zh": "暴雨橙色"}', '市气象台', 2, 'real', 'u', %(later)s, %(now)s, %(now)s)
""".encode()
DUTY = """
INSERT INTO roster (role, person, name, rank, from_at, until_at)
VALUES ('shift_leader', 'u1', '林静', 1, %(now)s, %(later)s), ('commander', 'u2', '周明远', 1, %(now)s, %(later)s)
""".encode()


async def test_the_top_says_our_response_the_authority_s_warning_and_who_leads(city: City) -> None:  # noqa: F811
    now = to_datetime(city.clock.now_us())
    for query in RUN, PAPER, DUTY:
        await city.database.execute(query, now=now, later=to_datetime(city.clock.now_us() + DAY_US))
    told: Any = await Today(city.views, city.clock, ZONE).now(city.clock.now_us())
    assert told["response"]["level"] == 2
    assert told["response"]["name"]["key"] == "plan.underpass_flood.name"
    assert told["response"]["commander"]["zh"] == "周明远"
    (warning,) = told["warnings"]
    assert (warning["level"], warning["issuer"]) == (2, "市气象台")
    assert told["shift"]["zh"] == "林静"


async def test_an_alert_that_ended_is_gone_for_the_screens(city: City) -> None:  # noqa: F811
    await city.begin()
    await burst(city)
    source = Alerts(city.views)
    known = await source.all()
    assert {item["id"] for item in await source.some([str(each["id"]) for each in known])} == {
        each["id"] for each in known
    }
    assert await source.some(["never"]) == []


async def test_cases_orders_and_crews_are_items_and_figures(dispatch_city: World) -> None:  # noqa: F811
    town = dispatch_city
    case = await sent(town)
    (shown,) = await Cases(town.database, town.clock).all()
    assert shown["id"] == case["id"]
    stages: Any = shown["stages"]
    assert [each["stage"] for each in stages] == ["accept", "dispatch", "arrive", "handle", "check", "close"]
    (order,) = await Orders(town.database, town.clock).all()
    assert order["crew"] == "near"
    assert {crew["id"]: crew["state"] for crew in await Crews(town.database).all()}["near"] == "busy"
    assert [crew["id"] for crew in await Crews(town.database).some(["far", "never"])] == ["far"]


ALARMS = b"""
INSERT INTO alerts (id, rule, rule_version, domain, class, level, subject, state, standing, asks, onset, raised_at,
                    recorded_at, value, limit_value, peak, lon, lat, asset, provenance, incident, changed_at)
SELECT id, 'fire.alarm', '1', 'fire', 'life', 2, id, 'acknowledged', true, true, %(now)s, %(now)s,
       %(now)s, 1, 1, 1, 121.5, 31.2, asset, 'simulated', incident, %(now)s
FROM (VALUES ('a1', 'b1', 'i1'), ('a2', 'b1', 'i1'), ('a3', 'b2', NULL), ('a4', 'b3', NULL)) AS t (id, asset, incident)
"""
ALARM_LOG = b"""
INSERT INTO incident_log (incident, at, action, actor, before, after)
VALUES ('i1', %(now)s::timestamptz + interval '10 s', 'acknowledge', 'u', 'open', 'open'),
       ('i1', %(now)s::timestamptz + interval '60 s', 'confirm', 'u', 'open', 'confirmed')
"""


async def test_what_a_fire_alarm_was_is_what_people_said_of_it(city: City) -> None:  # noqa: F811 - the fixture
    now_us = city.clock.now_us()
    async with await connect(city.database.dsn) as connection:
        await ReadingsTable(DAY_US / SECOND_US).prepare(connection, "off")
    for query in ALARMS, ALARM_LOG:
        await city.database.execute(query, now=to_datetime(now_us))
    async with city.database.transaction() as connection:
        for kind, asset in (("report.false_alarm", "b2"), ("report.gas_smell", "b3")):
            said = {
                "id": kind,
                "kind": kind,
                "at": to_datetime(now_us + 30 * SECOND_US),
                "lon": 121.5,
                "lat": 31.2,
            }
            await report(connection, LEADER, now_us, **said, asset=asset)
    lately = Lately(city.database, city.views)
    rows = await lately.records(now_us + 5 * MINUTE_US, city.registry)
    assert {(each["key"], each["real"], each["took_s"]) for each in rows["verdicts"]} == {
        ("i1", True, 60.0),
        ("a3", False, 30.0),
    }, "two detectors are one fire; nobody said anything of the third alarm"
    assert {each["kind"] for each in rows["reports"]} == {"report.false_alarm", "report.gas_smell"}
    assert all(each["at_us"] <= now_us + 5 * MINUTE_US for topic in rows.values() for each in topic)


CHECKS = b"""
INSERT INTO device_operations (device, gateway, station, what, value, reason, by_user, at, until, state, sent_at)
SELECT 'utd-1', 'gw', '1', 'duty_check', 5, '', 'u', sent, sent, 'done', sent
FROM (VALUES (%(now)s::timestamptz), (%(now)s - interval '1 h'), (%(now)s - interval '2 h')) AS t (sent)
"""


async def test_a_duty_check_is_answered_when_somebody_pressed_the_key_in_time(
    city: City,  # noqa: F811 - the fixture
    catalogue: Catalogue,  # noqa: F811 - the fixture
) -> None:
    now_us = city.clock.now_us()
    table = ReadingsTable(DAY_US / SECOND_US)
    async with await connect(city.database.dsn) as connection:
        await table.prepare(connection, "off")
    async with city.database.transaction() as connection:
        row = DeviceRow("utd-1", "fire_utd", "传输装置", "Device", 121.5, 31.2, "gw")
        await registry_store.put_gateway(connection, "gw", now_us)
        await registry_store.put_devices(connection, [row], catalogue, now_us)
    registry = await registry_store.load(city.database, catalogue)
    point = registry.channel(registry.devices["utd-1"], "duty_answer")
    assert point is not None
    readings = Store(city.database.dsn, table, "test")
    readings.use(registry)
    await readings.connect()
    pressed = [
        now_us - 117 * MINUTE_US,
        now_us - 50 * MINUTE_US,
    ]  # within 3 min of the first, 10 after the second
    batch = Batch.of(
        device=registry.devices["utd-1"].number, channel=point.number, time_us=pressed, value=[1.0, 1.0]
    )
    await readings.commit(batch, [], now_us, Mark("live", 1))
    await readings.close()
    await city.database.execute(CHECKS, now=to_datetime(now_us))
    rows = await Lately(city.database, city.views).records(now_us, registry)
    assert [each["answered"] for each in sorted(rows["duty_checks"], key=lambda each: each["at_us"])] == [
        True,
        False,
    ]


async def test_arrivals_checks_and_dispatches_are_counted_from_the_records(dispatch_city: World) -> None:  # noqa: F811
    town = dispatch_city
    await on_site(town)
    await town.tick()
    async with town.database.transaction() as connection:
        (arrival,) = await dispatch.lately(connection, "arrivals_since", to_datetime(0))
        (sent_out,) = await dispatch.lately(connection, "dispatched_since", to_datetime(0))
        assert await dispatch.lately(connection, "checked_since", to_datetime(0)) == []
        (order,) = await dispatch.orders(connection, dispatch.Filter(), town.clock.now_us())
    times = order["times"]
    assert arrival["took_s"] == (times["arrived"] - times["sent"]).total_seconds()
    assert (arrival["domain"], sent_out["returned"]) == ("water_supply", False)


async def test_a_change_in_the_database_reaches_the_hub(city: City) -> None:  # noqa: F811
    await city.begin()
    policy = Policy(scripted.POLICY.allowed, {})
    screens = Screens(
        city.database, city.clock, policy, city.texts, city.registry,
        {"incidents": Incidents(city.views, city.clock), "alerts": Alerts(city.views)},
        Today(city.views, city.clock, ZONE), {},
    )  # fmt: skip
    bell = Bell(city.database)
    tasks = [asyncio.create_task(screens.run()), asyncio.create_task(bell.run())]
    await _until(lambda: bool(screens.status.items))
    await burst(city)
    bell.ring()
    await _until(lambda: bool(screens.nouns["incidents"].items))
    (known,) = screens.nouns["incidents"].items.values()
    async with city.database.transaction() as connection:
        await act_on_incident(
            connection, str(known["id"]), "acknowledge", LEADER, city.clock.now_us() + SECOND_US
        )
    bell.ring()
    await _until(lambda: next(iter(screens.nouns["incidents"].items.values()))["acknowledged_at"] is not None)
    await _until(lambda: len(screens.points.table.latest) > 0)
    assert "供水爆管" in str(screens.nouns["incidents"].snapshot(EVERYTHING))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _until(holds: Any, seconds: float = 5.0) -> None:  # noqa: ANN401 - a condition
    for _ in range(round(seconds / 0.05)):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come")
