"""The closing loop over HTTP: what is reported as fixed is believed when the case's own sensors say so."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from dispatch import cases, machine, orders
from dispatch.cases import CaseAction, CaseState
from dispatch.machine import OF_THE_CLOCK
from dispatch.orders import OrderAction, OrderState
from tests.dispatch.test_chain import FAR, NEAR, only_case, quiet, sent
from tests.dispatch.world import BURST, World, as_


async def act(http: httpx.AsyncClient, path: str, who: str, action: str, **fields: object) -> httpx.Response:
    return await http.post(f"/api/v1/{path}/actions", json={"action": action, **fields}, headers=as_(who))


async def on_site(http: httpx.AsyncClient, city: World) -> tuple[str, str]:
    """The paths of a case and of its order, whose crew is at work; the pipe still leaks."""
    case = await sent(city)
    order = f"orders/{case['orders'][0]['id']}"
    for action in ("accept", "depart", "arrive", "handle"):
        city.clock.advance(60)
        assert (await act(http, order, "user-near", action)).status_code == 200
    await leak(city)
    return f"cases/{case['id']}", order


async def leak(city: World) -> None:
    for device in ("P1", "P2"):
        await city.say(device, "pressure", 0.12, 0.12, 0.12)


async def state_of(http: httpx.AsyncClient, path: str) -> str:
    return str((await http.get(f"/api/v1/{path}", headers=as_("li"))).json()["state"])


def refused(answer: httpx.Response, *devices: str) -> None:
    body = answer.json()
    assert answer.status_code == 409, body
    assert body["type"] == "urn:cityops:error.sensors_disagree"
    assert sorted(each["device"] for each in body["objections"]) == sorted(devices)


async def test_fixed_but_not_fixed_is_refused_and_what_the_sensors_confirm_is_closed(
    http: httpx.AsyncClient, city: World
) -> None:
    case, order = await on_site(http, city)
    answer = await act(http, order, "user-near", "finish")
    refused(answer, "P1", "P2")
    first = answer.json()["objections"][0]
    assert (first["channel"], first["value"], first["unit"]) == ("pressure", 0.12, "MPa")
    assert (first["comparison"], first["limit"]) == ("±0.03", 0.3)
    assert first["time"] == "2026-01-12T01:04:00Z"
    assert "finish" not in answer.json()["allowed"]
    assert (await state_of(http, order), await state_of(http, case)) == ("handling", "handling")

    city.clock.advance(300)
    await quiet(city)
    assert (await act(http, order, "user-near", "finish")).status_code == 200
    assert (await state_of(http, order), await state_of(http, case)) == ("finished", "checking")
    await city.tick(1, seconds=61)
    assert await state_of(http, case) == "checking", "nobody has spoken since"
    await quiet(city)
    await city.tick(1, seconds=6)
    done = (await http.get(f"/api/v1/{case}", headers=as_("li"))).json()
    assert (done["state"], done["checked"], done["reworks"], done["overruled"]) == ("closed", "pass", 0, "")
    assert [line["by"] for line in done["log"]][-1] == "system:sensors"
    assert await city.cases_told(BURST.id) == []


async def test_one_sensor_that_disagrees_is_enough_and_a_silent_one_does_not_agree(
    http: httpx.AsyncClient, city: World
) -> None:
    _, order = await on_site(http, city)
    city.clock.advance(60)
    await city.say("P1", "pressure", 0.30)
    refused(await act(http, order, "user-near", "finish"), "P2")
    city.clock.advance(4 * 3600)
    await city.say("P1", "pressure", 0.30)
    answer = await act(http, order, "user-near", "finish")
    refused(answer, "P2")
    assert answer.json()["objections"][0]["value"] is None


async def test_a_department_that_reports_completion_itself_is_asked_the_same(
    http: httpx.AsyncClient, city: World
) -> None:
    case, _ = await on_site(http, city)
    refused(await act(http, case, "sun", "feed_back"), "P1", "P2")
    assert (await act(http, case, "zhou", "feed_back")).status_code == 200, (
        "who only guards says nothing of the pipe"
    )
    assert (await act(http, case, "sun", "feed_back", overrule="both are dug up")).status_code == 403
    city.clock.advance(300)
    await quiet(city)
    assert (await act(http, case, "sun", "feed_back")).status_code == 200
    assert await state_of(http, case) == "checking"


async def test_who_verifies_is_refused_with_the_same_objections_unless_a_reason_is_kept(
    http: httpx.AsyncClient, city: World
) -> None:
    case, order = await on_site(http, city)
    city.clock.advance(300)
    await quiet(city)
    await act(http, order, "user-near", "finish")
    city.clock.advance(300)
    await leak(city)
    refused(await act(http, case, "li", "check", result="pass"), "P1", "P2")
    assert (
        await act(http, case, "li", "check", result="pass", overrule="both are dug up")
    ).status_code == 200
    assert (await act(http, case, "zhao", "close")).status_code == 200
    done = (await http.get(f"/api/v1/{case}", headers=as_("li"))).json()
    assert (done["state"], done["overruled"]) == ("closed", "both are dug up")


async def test_who_closes_by_force_closes_and_the_log_keeps_what_the_sensors_said_against_it(
    http: httpx.AsyncClient, city: World
) -> None:
    case, order = await on_site(http, city)
    city.clock.advance(300)
    await quiet(city)
    await act(http, order, "user-near", "finish")
    city.clock.advance(300)
    await leak(city)
    assert (await act(http, case, "zhao", "force_close", reason="the main is out of use")).status_code == 200
    done = (await http.get(f"/api/v1/{case}", headers=as_("li"))).json()
    last = next(line for line in done["log"] if line["action"] == "force_close")
    assert (done["state"], done["forced"], last["reason"]) == ("closed", True, "the main is out of use")
    kept = [(each["device"], each["value"], each["unit"]) for each in last["detail"]["objections"]]
    assert kept == [("P1", 0.12, "MPa"), ("P2", 0.12, "MPa")]


@pytest.mark.parametrize("plan", ["water_burst", ""])
async def test_nothing_closes_over_a_standing_alert_that_no_condition_judges(
    http: httpx.AsyncClient, city: World, plan: str
) -> None:
    """A young city knows no usual value, and some incident types have no plan: the alert itself objects."""
    await city.crews(NEAR, FAR)
    await leak(city)
    await city.news(replace(BURST, plan=plan, type=BURST.type if plan else "unheard_of"))
    await city.tick()
    found = await only_case(city)
    case = f"cases/{found['id']}"
    if found["state"] == "dispatched":
        await act(http, case, "sun", "accept")
    await act(http, case, "sun", "feed_back")
    refused(await act(http, case, "li", "check", result="pass"), "P1", "P2")
    assert "closed" not in await states_after(city, case)
    await city.database.execute(b"UPDATE alerts SET standing = false, state = 'returned'")
    assert (await act(http, case, "li", "check", result="pass")).status_code == 200
    assert (await act(http, case, "li", "close")).status_code == 200


async def states_after(city: World, case: str) -> list[str]:
    """What a desk that is left alone for a day makes of it."""
    await city.tick(6, seconds=4 * 3600)
    found = await city.database.fetch(
        b"SELECT state FROM cases WHERE id = %(id)s", id=case.removeprefix("cases/")
    )
    return [row["state"] for row in found]


# -- every illegal action, over HTTP ------------------------------------------------------------------------


async def force(city: World, table: bytes, state: str) -> None:
    await city.database.execute(b"UPDATE " + table + b" SET state = %(state)s", state=state)


@pytest.mark.parametrize("state", OrderState)
async def test_every_action_that_an_order_s_state_does_not_allow_is_a_409_with_those_it_does(
    http: httpx.AsyncClient, city: World, state: OrderState
) -> None:
    path = f"orders/{(await sent(city))['orders'][0]['id']}"
    await force(city, b"orders", state)
    for action in OrderAction:
        if action not in OF_THE_CLOCK and (state, action) not in orders.STEPS:
            body = (await act(http, path, "all", action, reason="why")).json()
            assert (body["status"], body["state"]) == (409, state), (state, action, body)
            assert body["allowed"] == machine.allowed(orders.STEPS, state)
    assert await state_of(http, path) == state, "nothing happened"


@pytest.mark.parametrize("state", CaseState)
async def test_every_action_that_a_case_s_state_does_not_allow_is_a_409_with_those_it_does(
    http: httpx.AsyncClient, city: World, state: CaseState
) -> None:
    path = f"cases/{(await sent(city))['id']}"
    await force(city, b"cases", state)
    for action in CaseAction:
        if (state, action) not in cases.STEPS:
            body = (await act(http, path, "all", action, reason="why")).json()
            assert (body["status"], body["state"]) == (409, state), (state, action, body)
            assert body["allowed"] == [
                a for a in machine.allowed(cases.STEPS, state) if a != CaseAction.DECIDE
            ]
    assert await state_of(http, path) == state, "nothing happened"
