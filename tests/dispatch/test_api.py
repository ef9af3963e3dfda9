"""The routes, asked over HTTP by people of different roles."""

from __future__ import annotations

import httpx

from tests.dispatch.test_chain import NEAR, only_case, sent
from tests.dispatch.world import World, as_, crew_row

REPORT = {"code": "event/0501", "title": "路面冒水", "lon": 121.49, "lat": 31.24, "source": "hotline"}


async def test_a_report_walks_through_the_whole_loop_over_http(http: httpx.AsyncClient, city: World) -> None:
    case = (await http.post("/api/v1/cases", json=REPORT, headers=as_("li"))).json()
    assert (case["state"], case["source"], case["title"]) == ("reported", "hotline", "路面冒水")
    steps: list[tuple[str, str, dict[str, object]]] = [
        ("li", "verify", {"result": "exists"}),
        ("li", "register", {}),
        ("chen", "dispatch", {"lead": "water_company", "assisting": ["traffic_police"]}),
        ("sun", "accept", {}),
        ("sun", "apply", {"kind": "extend", "amount": 0.5, "reason": "雨"}),
        ("wang", "decide", {"granted": True}),
        ("zhou", "feed_back", {}),
        ("sun", "feed_back", {}),
        ("li", "check", {"result": "pass"}),
        ("li", "close", {}),
        ("li", "call_back", {"satisfied": True}),
    ]
    for who, action, fields in steps:
        answer = await http.post(
            f"/api/v1/cases/{case['id']}/actions", json={"action": action, **fields}, headers=as_(who)
        )
        assert answer.status_code == 200, (who, action, answer.text)
    done = (await http.get(f"/api/v1/cases/{case['number']}", headers=as_("li"))).json()
    assert (done["state"], done["extensions"], done["satisfied"]) == ("closed", 1, True)
    assert [s["state"] for s in done["stages"]] == ["done"] * 6


async def test_an_illegal_action_is_a_409_with_the_state_and_the_allowed_ones(
    http: httpx.AsyncClient,
) -> None:
    case = (await http.post("/api/v1/cases", json=REPORT, headers=as_("li"))).json()
    answer = await http.post(
        f"/api/v1/cases/{case['id']}/actions", json={"action": "close"}, headers=as_("li")
    )
    body = answer.json()
    assert answer.status_code == 409
    assert body["state"] == "reported"
    assert "register" in body["allowed"]


async def test_a_crew_sees_its_own_orders_only(http: httpx.AsyncClient, city: World) -> None:
    order = (await sent(city))["orders"][0]["id"]
    assert len((await http.get("/api/v1/orders", headers=as_("user-near"))).json()["items"]) == 1
    assert (await http.get("/api/v1/orders?crew=near", headers=as_("user-far"))).json()["items"] == []
    assert (await http.get(f"/api/v1/orders/{order}", headers=as_("user-far"))).status_code == 404
    crews = (await http.get("/api/v1/crews", headers=as_("user-far"))).json()["items"]
    assert [crew["id"] for crew in crews] == ["far"]
    answer = await http.post(
        "/api/v1/crews/near/position", json={"lon": 0, "lat": 0}, headers=as_("user-far")
    )
    assert answer.status_code == 403


async def test_a_department_sees_and_touches_only_the_cases_that_it_is_a_party_of(
    http: httpx.AsyncClient, city: World
) -> None:
    case = (await http.post("/api/v1/cases", json=REPORT, headers=as_("li"))).json()["id"]
    assert (await http.get(f"/api/v1/cases/{case}", headers=as_("sun"))).status_code == 403
    assert (await http.get("/api/v1/cases", headers=as_("sun"))).json()["items"] == []
    for who, action, fields in (("li", "register", {}), ("chen", "dispatch", {"lead": "traffic_police"})):
        await http.post(f"/api/v1/cases/{case}/actions", json={"action": action, **fields}, headers=as_(who))
    answer = await http.post(f"/api/v1/cases/{case}/actions", json={"action": "accept"}, headers=as_("sun"))
    assert answer.status_code == 403
    assert len((await http.get("/api/v1/cases", headers=as_("zhou"))).json()["items"]) == 1


async def test_nobody_without_a_role_gets_anything(http: httpx.AsyncClient) -> None:
    for path in ("cases", "orders", "crews", "plans", "codes", "forces"):
        assert (await http.get(f"/api/v1/{path}")).status_code == 401


async def test_a_repeated_request_has_one_effect_and_the_same_answer(
    http: httpx.AsyncClient, city: World
) -> None:
    answers = [
        await http.post("/api/v1/cases", json=REPORT, headers=as_("li", **{"Idempotency-Key": "k1"}))
        for _ in range(3)
    ]
    assert {a.json()["id"] for a in answers} == {answers[0].json()["id"]}
    assert len((await http.get("/api/v1/cases", headers=as_("li"))).json()["items"]) == 1


async def test_lists_go_page_by_page_and_lose_none(http: httpx.AsyncClient, city: World) -> None:
    for n in range(5):
        city.clock.advance(1)
        await http.post("/api/v1/cases", json={**REPORT, "title": f"{n}"}, headers=as_("li"))
    seen: list[str] = []
    cursor: str | None = ""
    for _ in range(3):
        url = f"/api/v1/cases?limit=2&cursor={cursor}"
        body = (await http.get(url, headers=as_("li"))).json()
        seen += [item["title"] for item in body["items"]]
        cursor = body["next"]
    assert cursor is None
    assert seen == ["4", "3", "2", "1", "0"]


async def test_a_recommendation_reads_as_sentences_in_the_reader_s_language(
    http: httpx.AsyncClient, city: World
) -> None:
    await city.crews(NEAR, crew_row("off", duty="off"))
    case = (await http.post("/api/v1/cases", json=REPORT, headers=as_("li"))).json()["id"]
    await sent(city)
    case = (await only_case(city))["id"]
    body = (await http.get(f"/api/v1/cases/{case}/recommendation?lang=zh", headers=as_("chen"))).json()
    by_crew = {item["crew"]: item for item in body["items"]}
    assert by_crew["off"]["able"] is False
    assert by_crew["off"]["barred"] == ["不当班"]
    assert "具备：供水管网抢修" in by_crew["far"]["reasons"]
    english = (await http.get(f"/api/v1/cases/{case}/recommendation?lang=en", headers=as_("chen"))).json()
    assert "⟦" not in str(body)
    assert "off duty" in str(english)


async def test_a_dispatcher_cannot_send_a_crew_that_cannot_go(http: httpx.AsyncClient, city: World) -> None:
    await city.crews(crew_row("off", duty="off"))
    case = (await sent(city))["id"]
    answer = await http.post("/api/v1/orders", json={"case": case, "crew": "off"}, headers=as_("chen"))
    assert answer.status_code == 422


async def test_positions_arrive_in_any_order_and_the_newest_counts(
    http: httpx.AsyncClient, city: World
) -> None:
    await city.crews(NEAR)
    for minute, lon in ((5, 121.5), (3, 121.4)):
        body = {"lon": lon, "lat": 31.2, "at": f"2026-01-12T08:5{minute}:00+08:00"}
        await http.post("/api/v1/crews/near/position", json=body, headers=as_("user-near"))
    (crew,) = (await http.get("/api/v1/crews", headers=as_("user-near"))).json()["items"]
    assert crew["lon"] == 121.5
