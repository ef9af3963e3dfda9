"""The thin chain: a confirmed burst becomes a case, an order, a finished work, a quiet observation, a closed case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.errors import NotAllowed, SensorsDisagree, WrongState
from dispatch import store, views
from dispatch.desk import Desk
from dispatch.travel import Roads
from gis.city import sample_city
from simulators.crews import crews
from simulators.sample import places_of
from tests.dispatch.world import BURST, LEADER, World, crew_actor, crew_row

NEAR = crew_row("near", lon=121.492)
FAR = crew_row("far", lon=121.55)
WRONG = crew_row("police", skills=["guard"], department="traffic_police")


async def only_case(city: World) -> views.Shown:
    async with city.database.transaction() as connection:
        (case,) = await views.cases_of_incident(connection, BURST.id, city.clock.now_us())
        return await views.case(connection, case["id"], city.clock.now_us())


async def do(city: World, order: str, action: str, crew: str = "near", **fields: object) -> views.Shown:
    async with city.database.transaction() as connection:
        return await city.actions.act_on_order(
            connection, order, action, crew_actor(crew), city.clock.now_us(), **fields
        )


async def sent(city: World) -> views.Shown:
    """A burst for which the nearest crew was sent."""
    await city.crews(NEAR, FAR, WRONG)
    for device in ("P1", "P2"):
        await city.usual(device, "pressure", 0.30)
        await city.say(device, "pressure", 0.30, 0.12, 0.12)
    await city.news(BURST)
    await city.tick()
    return await only_case(city)


async def on_site(city: World) -> str:
    order = str((await sent(city))["orders"][0]["id"])
    for action in ("accept", "depart", "arrive", "handle"):
        city.clock.advance(60)
        await do(city, order, action)
    return order


async def test_a_confirmed_burst_becomes_a_dispatched_case_with_the_nearest_capable_crew(city: World) -> None:
    case = await sent(city)
    assert (case["state"], case["lead"], case["assisting"]) == (
        "dispatched",
        "water_company",
        ["traffic_police"],
    )
    (order,) = case["orders"]
    assert (order["crew"], order["state"]) == ("near", "sent")
    assert [line["action"] for line in case["log"]] == ["report", "verify", "register", "dispatch"]
    assert {why["key"] for why in order["why"]} >= {"dispatch.why.skills", "dispatch.why.travel_estimated"}
    assert await city.cases_told(BURST.id) == [case["id"]]


async def test_the_flooded_underpass_of_the_scene_gets_the_nearest_pump_crew_at_its_edge(city: World) -> None:
    town = sample_city(1)
    scene = places_of(town)
    place = scene.underpasses[0]
    await city.crews(*crews(scene.depots, scene.burst))
    city.desk = Desk(city.database.dsn, replace(city.actions, travel=Roads(lambda: town)), city.clock)
    flood = replace(
        BURST, type="underpass_flood", domain="flood", plan="underpass_flood", code="event/0506",
        lead="drainage_company", lon=place.lon, lat=place.lat, points=(("D1", "depth"),),
    )  # fmt: skip
    await city.news(flood)
    await city.tick()
    (order,) = (await only_case(city))["orders"]
    able = {row["id"]: row for row in crews(scene.depots, scene.burst) if "pump_truck" in row["equipment"]}
    times = Roads(lambda: town).seconds(
        [(row["depot_lon"], row["depot_lat"]) for row in able.values()], (place.lon, place.lat)
    )
    own = {
        id_: seconds or 0.0
        for (id_, row), seconds in zip(able.items(), times, strict=True)
        if row["department"] == "drainage_company"
    }
    assert order["state"] == "sent"
    assert order["crew"] == min(own, key=own.__getitem__)
    assert order["travel_s"] == pytest.approx(own[order["crew"]], abs=120)
    assert "dispatch.why.travel" in {why["key"] for why in order["why"]}


async def test_the_crew_finds_the_order_in_its_inbox_once(city: World) -> None:
    await sent(city)
    await city.tick(3, seconds=1)
    found = await city.database.fetch(
        store.QUERIES["read_inbox"], receivers=["crew:near"], before=None, limit=9
    )
    assert [row["message"]["key"] for row in found] == ["dispatch.message.order_sent"]


async def test_an_accepted_order_is_an_accepted_case(city: World) -> None:
    order = (await sent(city))["orders"][0]["id"]
    await do(city, order, "accept")
    assert (await only_case(city))["state"] == "handling"


async def test_finish_is_refused_while_the_sensors_disagree_and_the_objections_are_named(city: World) -> None:
    order = await on_site(city)
    await city.say("P1", "pressure", 0.29)
    await city.say("P2", "pressure", 0.13, 0.13, 0.13, 0.13)
    with pytest.raises(SensorsDisagree) as refused:
        await do(city, order, "finish")
    (objection,) = refused.value.objections
    assert (objection["device"], objection["channel"], objection["value"]) == ("P2", "pressure", 0.13)
    assert objection["limit"] == pytest.approx(0.30)
    assert str(objection["time"]).endswith("Z")
    assert (await only_case(city))["state"] == "handling"


async def test_a_crew_cannot_overrule_its_own_sensors_but_the_shift_leader_can_and_it_is_kept(
    city: World,
) -> None:
    order = await on_site(city)
    with pytest.raises(NotAllowed):
        await do(city, order, "finish", overrule="looks fine")
    async with city.database.transaction() as connection:
        done = await city.actions.act_on_order(
            connection, order, "finish", replace(LEADER, roles=LEADER.roles | {"dispatcher"}),
            city.clock.now_us(), overrule="sensor P2 was dug up",
        )  # fmt: skip
    assert (done["state"], done["overruled"]) == ("finished", "sensor P2 was dug up")
    assert (await only_case(city))["overruled"] == "sensor P2 was dug up"


async def quiet(city: World) -> None:
    for device in ("P1", "P2"):
        await city.say(device, "pressure", 0.30, 0.30, 0.30)


async def test_a_finished_work_is_observed_and_closed_by_the_system_when_it_stays_quiet(city: World) -> None:
    order = await on_site(city)
    city.clock.advance(300)
    await quiet(city)
    await do(city, order, "finish")
    case = await only_case(city)
    assert case["state"] == "checking"
    assert case["parts"][0]["stopped_at"] == case["times"]["fed_back"], (
        "checking is not the department's time"
    )
    await city.tick(1, seconds=50)
    assert (await only_case(city))["state"] == "checking"
    city.clock.advance(11)
    await quiet(city)
    await city.tick()
    case = await only_case(city)
    assert (case["state"], case["checked"]) == ("closed", "pass")
    assert case["log"][-1]["by"] == "system:sensors"
    assert await city.cases_told(BURST.id) == []


async def test_reported_as_fixed_but_not_fixed_is_caught_and_goes_back_to_the_same_crew(city: World) -> None:
    order = await on_site(city)
    await quiet(city)
    await do(city, order, "finish")
    city.clock.advance(200)
    await city.say("P1", "pressure", 0.11, 0.11, 0.11, 0.11)
    await city.say("P2", "pressure", 0.30)
    await city.tick()
    case = await only_case(city)
    assert (case["state"], case["reworks"]) == ("handling", 1)
    assert [(o["crew"], o["state"]) for o in case["orders"]] == [("near", "finished"), ("near", "sent")]


async def test_the_observation_waits_for_a_sensor_that_has_not_spoken_yet(city: World) -> None:
    order = await on_site(city)
    await quiet(city)
    await do(city, order, "finish")
    await city.tick(1, seconds=70)
    assert (await only_case(city))["state"] == "checking"
    await quiet(city)
    await city.tick(2, seconds=5)
    assert (await only_case(city))["state"] == "closed"


async def test_a_refused_order_goes_to_the_next_crew_and_never_back(city: World) -> None:
    order = (await sent(city))["orders"][0]["id"]
    await do(city, order, "refuse", reason="flat tyre")
    await city.tick()
    case = await only_case(city)
    assert [(o["crew"], o["state"]) for o in case["orders"]] == [("near", "refused"), ("far", "sent")]


async def test_nobody_answers_then_the_duty_officer_is_paged_and_the_next_crew_is_sent(city: World) -> None:
    await sent(city)
    await city.tick(1, seconds=121)
    found = await city.database.fetch(
        store.QUERIES["read_inbox"],
        receivers=["role:duty_operator", "role:shift_leader"],
        before=None,
        limit=9,
    )
    late = [row["receiver"] for row in found if row["message"]["key"].endswith("order_not_accepted")]
    assert late == ["role:duty_operator"]
    await city.tick(1, seconds=120)
    case = await only_case(city)
    assert [(o["crew"], o["state"]) for o in case["orders"]] == [("near", "expired"), ("far", "sent")]


async def test_a_held_desk_proposes_and_sends_when_it_is_let_go(city: World) -> None:
    async with city.database.transaction() as connection:
        await city.actions.hold(connection, LEADER, city.clock.now_us(), on=True, reason="parade")
    case = await sent(city)
    assert case["orders"][0]["state"] == "proposed"
    async with city.database.transaction() as connection:
        await city.actions.hold(connection, LEADER, city.clock.now_us(), on=False, reason="over")
    await city.tick(1, seconds=31)
    assert (await only_case(city))["orders"][0]["state"] == "sent"


async def test_without_a_crew_the_dispatcher_is_told_why_and_one_that_comes_on_duty_is_sent(
    city: World,
) -> None:
    await city.crews(crew_row("near", duty="off"))
    await city.news(BURST)
    await city.tick()
    assert (await only_case(city))["orders"] == []
    (told,) = await city.database.fetch(
        store.QUERIES["read_inbox"], receivers=["role:dispatcher"], before=None, limit=9
    )
    assert told["message"]["params"]["why"]["params"]["reasons"] == [{"key": "dispatch.why.off_duty", "n": 1}]
    await city.crews(crew_row("near", duty="on"))
    await city.tick(1, seconds=31)
    assert [o["crew"] for o in (await only_case(city))["orders"]] == ["near"]


async def test_a_dismissed_incident_ends_what_our_rules_opened_for_it(city: World) -> None:
    await sent(city)
    await city.news(replace(BURST, state="dismissed"))
    await city.tick()
    case = await only_case(city)
    assert (case["state"], case["orders"][0]["state"]) == ("void", "recalled")


async def test_an_unverified_incident_waits_for_a_person_unless_life_is_in_danger(city: World) -> None:
    await city.crews(NEAR)
    await city.news(replace(BURST, state="open", sure=False))
    await city.tick()
    async with city.database.transaction() as connection:
        assert await views.cases_of_incident(connection, BURST.id, 0) == []
    await city.news(replace(BURST, state="open", sure=False, life=True))
    await city.tick()
    assert (await only_case(city))["state"] == "dispatched"


async def test_a_crew_acts_on_its_own_order_only(city: World) -> None:
    order = (await sent(city))["orders"][0]["id"]
    with pytest.raises(NotAllowed):
        await do(city, order, "accept", crew="far")


async def test_who_dispatched_may_not_close(city: World) -> None:
    order = await on_site(city)
    await quiet(city)
    await do(city, order, "finish")
    case = (await only_case(city))["id"]
    both = replace(LEADER, id="both", roles=frozenset({"shift_leader", "duty_leader"}))
    async with city.database.transaction() as connection:
        await connection.execute(b"UPDATE cases SET dispatchers = '{both}'")
        await city.actions.act_on_case(connection, case, "check", both, city.clock.now_us(), result="pass")
        with pytest.raises(NotAllowed) as refused:
            await city.actions.act_on_case(connection, case, "close", both, city.clock.now_us())
        assert refused.value.key == "dispatch.error.dispatcher_closes"


async def test_an_action_that_does_not_exist_in_this_state_names_those_that_do(city: World) -> None:
    order = (await sent(city))["orders"][0]["id"]
    with pytest.raises(WrongState) as refused:
        await do(city, order, "finish")
    assert refused.value.allowed == ["accept", "refuse", "recall"]
