"""The desk's plain pages, used as a person uses them: read, press, read again."""

from __future__ import annotations

import re

import httpx

from core.text import Texts
from dispatch import pages
from dispatch.cases import CaseAction
from tests.dispatch.test_api import REPORT
from tests.dispatch.test_chain import do, quiet, sent
from tests.dispatch.test_deploy import storm
from tests.dispatch.test_loop import leak
from tests.dispatch.world import World, as_, crew_row


async def read(http: httpx.AsyncClient, path: str, who: str, **query: str) -> str:
    answer = await http.get(path, headers=as_(who), params=query)
    assert answer.status_code == 200, answer.text
    assert "<script" not in answer.text
    assert "⟦" not in answer.text, "every word is written"
    return answer.text


async def press(http: httpx.AsyncClient, path: str, who: str, **form: str) -> httpx.Response:
    return await http.post(path, data=form, headers=as_(who))


def buttons(page: str) -> set[str]:
    return set(re.findall(r"name='action' value='(\w+)'", page))


def test_every_action_of_people_has_its_form() -> None:
    assert set(pages.FIELDS) == set(CaseAction)


async def test_a_case_goes_through_the_loop_by_pages_alone(http: httpx.AsyncClient, city: World) -> None:
    made = (
        await http.post("/api/v1/cases", json={**REPORT, "title": "<b>冒水</b>"}, headers=as_("li"))
    ).json()
    path = f"/case/{made['id']}"
    queue = await read(http, "/queue", "chen")
    assert made["number"] in queue
    assert "&lt;b&gt;冒水" in queue
    assert "<b>冒水" not in queue
    steps: tuple[tuple[str, str, dict[str, str]], ...] = (
        ("li", "verify", {"result": "exists"}),
        ("li", "register", {}),
        ("chen", "dispatch", {"lead": "water_company", "assisting": "traffic_police"}),
        ("sun", "accept", {}),
        ("sun", "apply", {"kind": "extend", "amount": "0.5", "reason": "雨"}),
        ("wang", "decide", {"granted": "true"}),
        ("sun", "feed_back", {}),
        ("li", "check", {"result": "pass"}),
        ("li", "close", {}),
        ("li", "call_back", {"satisfied": "true"}),
    )
    for who, action, form in steps:
        assert action in buttons(await read(http, path, who)), (who, action)
        answer = await press(http, f"{path}/act", who, action=action, **form)
        assert (answer.status_code, answer.headers.get("location")) == (303, path), answer.text
    done = (await http.get(f"/api/v1/cases/{made['id']}", headers=as_("li"))).json()
    assert (done["state"], done["extensions"], done["satisfied"]) == ("closed", 1, True)
    assert made["number"] in await read(http, path, "chen", lang="en")


async def test_a_page_offers_what_its_reader_may_do_and_says_why_something_was_refused(
    http: httpx.AsyncClient, city: World
) -> None:
    case = await sent(city)
    path = f"/case/{case['id']}"
    assert "close" not in buttons(await read(http, path, "sun"))
    assert {"accept", "apply"} <= buttons(await read(http, path, "sun"))
    early = await press(http, f"{path}/act", "sun", action="feed_back")
    assert (early.status_code, "role='alert'" in early.text) == (409, True)
    empty = await press(http, f"{path}/act", "sun", action="apply", kind="return", reason="  ")
    assert empty.status_code == 422
    assert (await press(http, f"{path}/act", "sun", action="force_close", reason="x")).status_code == 403
    assert (await press(http, f"{path}/act", "li", action="dance")).status_code == 422


async def test_the_verifier_sees_which_reading_objects(http: httpx.AsyncClient, city: World) -> None:
    case = await sent(city)
    order = case["orders"][0]["id"]
    for action in ("accept", "arrive"):
        await do(city, order, action)
    city.clock.advance(300)
    await quiet(city)
    await do(city, order, "finish")
    city.clock.advance(300)
    await leak(city)
    page = await read(http, f"/case/{case['id']}", "li")
    assert "P1 pressure 0.12 MPa (±0.03 0.3)" in page
    refused = await press(http, f"/case/{case['id']}/act", "li", action="check", result="pass")
    assert refused.status_code == 409
    assert refused.text.count("P2 pressure 0.12 MPa") == 2, "refused, and standing there all the time"


async def test_a_department_finds_its_own_cases_and_no_other_s(http: httpx.AsyncClient, city: World) -> None:
    number = (await sent(city))["number"]
    other = (await http.post("/api/v1/cases", json=REPORT, headers=as_("li"))).json()
    page = await read(http, "/department", "sun")
    assert number in page
    assert other["number"] not in page
    assert (await http.get(f"/case/{other['id']}", headers=as_("sun"))).status_code == 404
    assert (await http.get("/queue", headers=as_("sun"))).status_code == 403
    assert (await http.get("/department", headers=as_("user-near"))).status_code == 403


async def test_the_dispatcher_sends_one_recommended_crew_or_all_that_are_proposed(
    http: httpx.AsyncClient, city: World, words: Texts
) -> None:
    await city.crews(crew_row("west", lon=121.40), crew_row("east", lon=121.55), crew_row("off", duty="off"))
    where = await storm(http, city, 121.41, 121.50, 121.54)
    west, _, east = sorted(where, key=lambda case: where[case])
    page = await read(http, f"/case/{west}", "chen")
    assert "value='west'" in page
    assert "value='off'" not in page
    assert words("dispatch.why.off_duty", "zh") in page
    assert (await press(http, f"/case/{west}/send", "chen", crew="off")).status_code == 422
    assert (await press(http, f"/case/{west}/send", "chen", crew="east")).status_code == 303
    recall = {"action": "recall", "reason": "misread"}
    (wrong,) = await city.database.fetch(b"SELECT id FROM orders WHERE state = 'sent'")
    await http.post(f"/api/v1/orders/{wrong['id']}/actions", json=recall, headers=as_("chen"))
    queue = await read(http, "/queue", "chen")
    assert words("dispatch.page.held", "zh") in queue
    items = re.findall(r"name='item' value='([^']*)'", queue)
    assert set(items) == {f"{west} west", f"{east} east"}
    assert (
        await http.post("/queue/assignment", data={"item": items}, headers=as_("chen"))
    ).status_code == 303
    live = await city.database.fetch(b"SELECT crew, case_id FROM orders WHERE state = 'sent'")
    assert {(row["crew"], row["case_id"]) for row in live} == {("west", west), ("east", east)}
