"""What screens and vital signs take from events and dispatch, with real incidents, cases and crews."""

from __future__ import annotations

import asyncio
from typing import Any

import shapely

from core.access import Policy
from core.changes import Bell
from core.clock import DAY_US, MINUTE_US, SECOND_US, to_datetime
from dashboard.rooms import Alerts, Cases, Crews, Incidents, Orders, Records, Today, overlay
from dashboard.screens import Screens
from dashboard.stream import EVERYTHING
from events.actions import act_on_incident
from gis import hazard_store
from gis.hazard import Hazard, Zone
from tests.dashboard import scripted
from tests.dispatch.conftest import own_city as dispatch_city  # noqa: F401 - a fixture
from tests.dispatch.test_chain import sent
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
    records = Records(city.database, city.views, ZONE, ("simulated",))
    rows = await records.records(city.clock.now_us())
    assert len(rows["incidents"]) == 1
    assert len(rows["alerts"]) == 3
    assert [(each["acknowledged"], each["level"]) for each in rows["alarms"]] == [
        (False, rows["incidents"][0]["level"])
    ], "evidence that joined an incident asks nobody again"
    assert 0 <= city.clock.now_us() - rows["incidents"][0]["at_us"] < 10 * MINUTE_US
    other = Records(city.database, city.views, ZONE, ("real",))
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
