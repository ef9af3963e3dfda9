"""Many orders at once over HTTP: proposed at least cost, carried out in one go, and where crews should wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import shapely

from dispatch.travel import Blocked, Impassable, Obstacle
from dispatch.work import Work
from gis import hazard_store
from gis.hazard import Hazard, Zone
from tests.dispatch.test_chain import do
from tests.dispatch.world import World, as_, crew_row, other

HELD = {"on": True, "reason": "the storm is shared out by hand"}


async def proposal(http: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get("/api/v1/assignment", headers=as_("chen"))).json()
    return found


def by_place(found: dict[str, Any], lon_of: dict[str, float]) -> dict[float, tuple[str, str, str]]:
    return {lon_of[item["case"]]: (item["change"], item["crew_now"], item["crew"]) for item in found["items"]}


async def cases(city: World) -> dict[str, float]:
    """Case → where it is."""
    return {row["id"]: row["lon"] for row in await city.database.fetch(b"SELECT id, lon FROM cases")}


async def storm(http: httpx.AsyncClient, city: World, *lons: float) -> dict[str, float]:
    """Bursts along a line while the desk is held: everything waits for the dispatcher."""
    assert (await http.post("/api/v1/dispatch/hold", json=HELD, headers=as_("wang"))).status_code == 200
    for n, lon in enumerate(lons):
        await city.news(other(n, lon=lon))
    await city.tick()
    return await cases(city)


async def test_what_waits_is_shared_out_at_least_cost_and_sent_in_one_go(
    http: httpx.AsyncClient, city: World
) -> None:
    await city.crews(
        crew_row("west", lon=121.40), crew_row("middle", lon=121.48), crew_row("off", duty="off")
    )
    lon_of = await storm(http, city, 121.47, 121.50)
    found = await proposal(http)
    assert by_place(found, lon_of) == {121.47: ("send", "", "west"), 121.50: ("send", "", "middle")}
    nearest_first = 2 * (121.50 - 121.40)  # the middle one to the first case, the west one to the far end
    assert nearest_first > (121.47 - 121.40) + (121.50 - 121.48)
    again = await proposal(http)
    assert again == found, "a proposal changes nothing"
    body = {"items": [{"case": item["case"], "crew": item["crew"]} for item in found["items"]]}
    done = await http.post("/api/v1/assignment", json=body, headers=as_("chen"))
    assert (done.status_code, len(done.json()["orders"])) == (200, 2)
    assert set(by_place(await proposal(http), lon_of).values()) == {
        ("keep", "west", "west"), ("keep", "middle", "middle"),
    }  # fmt: skip


async def test_a_crew_is_turned_around_only_when_that_is_worth_it(
    http: httpx.AsyncClient, city: World
) -> None:
    await city.crews(crew_row("far", lon=121.40))
    await city.news(other(1, lon=121.50))
    await city.tick()
    lon_of = await cases(city)
    await city.crews(crew_row("little_nearer", lon=121.401))
    assert by_place(await proposal(http), lon_of) == {121.50: ("keep", "far", "far")}
    await city.crews(crew_row("much_nearer", lon=121.49))
    found = await proposal(http)
    assert by_place(found, lon_of) == {121.50: ("turn", "far", "much_nearer")}
    assert found["cost_s"] < found["cost_now_s"] - 90
    body = {"items": [{"case": item["case"], "crew": item["crew"]} for item in found["items"]]}
    assert (await http.post("/api/v1/assignment", json=body, headers=as_("chen"))).status_code == 200
    orders = await city.database.fetch(b"SELECT crew, state FROM orders ORDER BY created_at, attempt")
    assert [(row["crew"], row["state"]) for row in orders] == [("far", "recalled"), ("much_nearer", "sent")]


async def test_who_is_on_site_stays_and_an_important_case_takes_a_crew_from_a_lesser_one(
    http: httpx.AsyncClient, city: World
) -> None:
    await city.crews(crew_row("a", lon=121.40), crew_row("b", lon=121.50))
    for n, lon in ((1, 121.41), (2, 121.51)):
        await city.news(other(n, lon=lon))
    await city.tick()
    lon_of = await cases(city)
    (at_work,) = await city.database.fetch(b"SELECT id FROM orders WHERE crew = 'a'")
    for action in ("accept", "arrive"):
        await do(city, at_work["id"], action, crew="a")
    await city.database.execute(b"UPDATE cases SET priority = 4")
    await city.news(other(3, lon=121.42))
    await city.tick()
    lon_of = await cases(city)
    found = await proposal(http)
    assert by_place(found, lon_of) == {121.42: ("send", "", "b"), 121.51: ("nobody", "b", "")}
    body = {"items": [{"case": item["case"], "crew": item["crew"]} for item in found["items"]]}
    assert (await http.post("/api/v1/assignment", json=body, headers=as_("chen"))).status_code == 200
    await city.crews(crew_row("c", lon=121.52))
    await city.tick(2, seconds=31)
    live = await city.database.fetch(b"SELECT crew, lon FROM orders WHERE state IN ('sent', 'arrived')")
    assert {(row["crew"], row["lon"]) for row in live} == {("a", 121.41), ("b", 121.42), ("c", 121.51)}, (
        "the desk looks for another crew for the case that lost its own"
    )


async def test_it_is_all_or_nothing_and_not_for_everybody(http: httpx.AsyncClient, city: World) -> None:
    await city.crews(crew_row("a"), crew_row("off", duty="off"))
    lon_of = await storm(http, city, 121.47, 121.50)
    one, two = sorted(lon_of)
    for second in ("off", "a", "nobody-of-this-name"):
        body = {"items": [{"case": one, "crew": "a"}, {"case": two, "crew": second}]}
        answer = await http.post("/api/v1/assignment", json=body, headers=as_("chen"))
        assert answer.status_code == 422, second
    assert await city.database.fetch(b"SELECT 1 FROM orders WHERE state = 'sent'") == []
    assert (await http.get("/api/v1/assignment", headers=as_("user-near"))).status_code == 403
    assert len((await http.get("/api/v1/assignment", headers=as_("sun"))).json()["items"]) == 2
    assert (await http.get("/api/v1/assignment", headers=as_("zhou"))).json()["items"] == [], "not its cases"
    body = {"items": [{"case": one, "crew": "a"}]}
    assert (await http.post("/api/v1/assignment", json=body, headers=as_("zhou"))).status_code == 403


async def test_a_free_crew_is_advised_to_wait_where_cases_are_expected(
    http: httpx.AsyncClient, city: World
) -> None:
    await city.crews(crew_row("idle", lon=121.30))
    empty = (await http.get("/api/v1/coverage?skill=water_main_repair", headers=as_("chen"))).json()
    assert (empty["cells"], empty["advice"]) == (0, None), "nothing is known, nothing is advised"
    await storm(http, city, 121.50, 121.501, 121.502)
    found = (
        await http.get("/api/v1/coverage?skill=water_main_repair&minutes=10", headers=as_("chen"))
    ).json()
    assert found["covered"] == 0.0
    assert found["advice"]["crew"] == "idle"
    assert abs(found["advice"]["lon"] - 121.50) < 0.005
    await city.crews(crew_row("idle", lon=121.50))
    there = (
        await http.get("/api/v1/coverage?skill=water_main_repair&minutes=10", headers=as_("chen"))
    ).json()
    assert there["covered"] > 0.7
    assert there["advice"] is None


async def test_the_surface_on_the_map_blocks_the_roads_and_the_plan_only_where_nobody_drew_one(
    city: World,
) -> None:
    flood = replace(other(1), type="underpass_flood", plan="underpass_flood")
    await city.news(flood)
    await city.tick()

    async def blocked() -> list[Obstacle]:
        async with city.database.transaction() as connection:
            return await city.actions.blocked(Work(connection, city.clock.now_us()))

    assert await blocked() == [Blocked(flood.lon, flood.lat, 60.0)]
    deep = Zone(1, shapely.Point(flood.lon, flood.lat).buffer(1e-3), {"roads": ["R-1", "R-2"]})
    async with city.database.transaction() as connection:
        now_us = city.clock.now_us()
        drawn = Hazard("H-1", "flood", (deep,), now_us, incident=flood.id)
        await hazard_store.put(connection, drawn, now_us)
    assert await blocked() == [Impassable(frozenset({"R-1", "R-2"}))]
    city.clock.advance(1.0)
    async with city.database.transaction() as connection:
        await hazard_store.end(connection, "H-1", city.clock.now_us(), city.clock.now_us())
    assert await blocked() == [Blocked(flood.lon, flood.lat, 60.0)]
