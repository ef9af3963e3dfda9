"""The lists that a city keeps itself, over HTTP, and what follows from them."""

from __future__ import annotations

import httpx

from tests.dispatch.test_chain import NEAR, only_case
from tests.dispatch.world import BURST, World, as_

CREW = {
    "name_zh": "抢修一队", "name_en": "Repair 1", "department": "water_company", "skills": ["water_main_repair"],
    "equipment": ["excavator", "pump"], "members": 4, "depot_lon": 121.49, "depot_lat": 31.24,
    "provenance": "simulated",
}  # fmt: skip


async def put(http: httpx.AsyncClient, path: str, body: object, who: str = "gu") -> int:
    return (await http.put(f"/api/v1/{path}", json=body, headers=as_(who))).status_code


async def test_a_crew_that_an_admin_enters_is_sent_and_not_while_it_rests(
    http: httpx.AsyncClient, city: World
) -> None:
    assert await put(http, "crews/near", CREW, who="chen") == 403
    assert await put(http, "crews/near", {**CREW, "members": 0}) == 422
    assert await put(http, "crews/near", CREW) == 200
    for who, status in (("user-far", 403), ("zhou", 403), ("user-near", 200)):
        answer = await http.post("/api/v1/crews/near/duty", json={"duty": "rest"}, headers=as_(who))
        assert answer.status_code == status, who
    await city.news(BURST)
    await city.tick()
    assert (await only_case(city))["orders"] == []
    await http.post("/api/v1/crews/near/duty", json={"duty": "on"}, headers=as_("chen"))
    await city.tick(1, seconds=31)
    assert [order["crew"] for order in (await only_case(city))["orders"]] == ["near"]


async def test_a_shift_ends_a_duty(http: httpx.AsyncClient, city: World) -> None:
    await put(http, "crews/near", CREW)
    shift = {"begins": "2026-01-12T00:00:00Z", "until": "2026-01-12T01:05:00Z"}
    assert (await http.post("/api/v1/crews/near/shifts", json=shift, headers=as_("gu"))).status_code == 200
    await city.tick(1, seconds=360)
    (crew,) = (await http.get("/api/v1/crews", headers=as_("user-near"))).json()["items"]
    assert crew["duty"] == "off"


async def test_the_duty_list_decides_who_leads_and_its_fallback_takes_what_is_given_back(
    http: httpx.AsyncClient, city: World
) -> None:
    row = {"code": "event/0501", "area": "waitan", "lead": "traffic_police", "fallback": "water_company"}
    assert await put(http, "duty-list", {"items": [row]}, who="chen") == 403
    assert await put(http, "duty-list", {"items": [{**row, "code": "event/no-such"}]}) == 422
    assert await put(http, "duty-list", {"items": [{"lead": "street_office"}, row]}) == 200
    assert len((await http.get("/api/v1/duty-list", headers=as_("li"))).json()["items"]) == 2
    await city.crews(NEAR)
    await city.news(BURST)
    await city.tick()
    case = await only_case(city)
    assert (case["lead"], case["assisting"]) == ("traffic_police", [])
    url = f"/api/v1/cases/{case['id']}/actions"
    for who, body in (
        ("zhou", {"action": "apply", "kind": "return", "reason": "非本部门职责"}),
        ("wang", {"action": "decide", "granted": True}),
    ):
        assert (await http.post(url, json=body, headers=as_(who))).status_code == 200
    await city.tick()
    case = await only_case(city)
    assert (case["state"], case["lead"], case["returns"]) == ("dispatched", "water_company", 1)
    for who, body in (
        ("sun", {"action": "apply", "kind": "return", "reason": "也不是我们的"}),
        ("wang", {"action": "decide", "granted": True}),
    ):
        assert (await http.post(url, json=body, headers=as_(who))).status_code == 200
    await city.tick()
    assert (await only_case(city))["state"] == "registered", "now a person rules"
    ruling = {"action": "rule_on_dispute", "lead": "water_company", "reason": "主管道归供水企业"}
    assert (await http.post(url, json=ruling, headers=as_("wang"))).status_code == 200
    again = {"action": "apply", "kind": "return", "reason": "不接"}
    assert (await http.post(url, json=again, headers=as_("sun"))).status_code == 409


async def test_addresses_stock_and_neighbours_are_kept(http: httpx.AsyncClient, city: World) -> None:
    assert await put(http, "contacts", {"receiver": "crew:near", "channel": "sms", "address": "+86"}) == 200
    assert await put(http, "contacts", {"receiver": "near", "channel": "sms", "address": "+86"}) == 422
    stock = {"name_zh": "沙袋", "name_en": "Sand bags", "unit": "只", "depot": "一号库", "department": "drainage",
             "quantity": 500, "least": 200, "lon": 121.49, "lat": 31.24}  # fmt: skip
    assert await put(http, "materials/sand", stock) == 200
    (item,) = (await http.get("/api/v1/materials", headers=as_("chen"))).json()["items"]
    assert (item["quantity"], item["short"]) == (500, False)
    aid = {"name_zh": "邻区", "name_en": "Neighbours", "skills": ["pumping"], "phone": "+86", "reach_s": 1800}
    assert await put(http, "mutual-aid/east", aid) == 200
