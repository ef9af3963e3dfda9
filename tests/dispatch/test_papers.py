"""Requests, directives, bulletins, warnings, permits and commands: one contract for all kinds, then each one's own."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Invalid, NotAllowed, WrongState
from dispatch import commands, papers, store
from dispatch.commands import Command
from dispatch.machine import OF_THE_CLOCK, allowed
from dispatch.papers import Change, Paper, PaperKind
from tests.dispatch.test_chain import NEAR
from tests.dispatch.world import BURST, START, World, as_, other

ACTIONS = sorted({action for steps in papers.STEPS.values() for _, action in steps})


def a_paper(kind: PaperKind, state: str) -> Paper:
    return Paper(
        "p", "LD-1", kind, state, {"text": "t"}, "words", "气象台", (), 2, "real", START, "li", due_us=START
    )


@given(st.sampled_from(list(PaperKind)), st.data())
def test_every_kind_moves_only_along_its_table(kind: PaperKind, data: st.DataObject) -> None:
    states = sorted(
        {state for state, _ in papers.STEPS[kind]} | {t for to in papers.STEPS[kind].values() for t in to}
    )
    paper = a_paper(kind, data.draw(st.sampled_from(states)))
    action = data.draw(st.sampled_from(ACTIONS))
    reason = data.draw(st.sampled_from(["", "why"]))
    targets = papers.STEPS[kind].get((paper.state, action))
    if targets is None:
        with pytest.raises(WrongState) as refused:
            papers.act(paper, action, "x", START, Change(reason))
        assert refused.value.allowed == allowed(papers.STEPS[kind], paper.state)
    elif action in papers.WITH_REASON and not reason:
        with pytest.raises(Invalid):
            papers.act(paper, action, "x", START, Change(reason))
    else:
        after, line = papers.act(paper, action, "x", START, Change(reason))
        assert (after.state,) == targets
        assert (line.before, line.after) == (paper.state, after.state)


@pytest.mark.parametrize("kind", list(PaperKind))
def test_every_kind_begins_in_a_state_of_its_table_and_has_a_number(kind: PaperKind) -> None:
    assert any(state == papers.FIRST[kind] for state, _ in papers.STEPS[kind])
    assert kind in papers.PREFIX


def test_an_action_changes_only_what_it_may() -> None:
    bulletin = a_paper(PaperKind.BULLETIN, "drafted")
    with pytest.raises(Invalid):
        papers.act(bulletin, "sign", "x", START, Change(text="other words"))
    assert papers.act(bulletin, "draft", "x", START, Change(text="other words"))[0].text == "other words"
    with pytest.raises(Invalid):
        papers.act(replace(bulletin, text=" "), "sign", "x", START, Change())


# -- over HTTP ----------------------------------------------------------------------------------------------


async def step(
    client: httpx.AsyncClient, path: str, who: str, action: str, **fields: object
) -> httpx.Response:
    return await client.post(f"/api/v1/{path}/actions", json={"action": action, **fields}, headers=as_(who))


async def test_an_agency_answers_a_request_and_nobody_else_does(http: httpx.AsyncClient, city: World) -> None:
    body = {"title": "封闭车道", "to": ["department:traffic_police"]}
    made = (await http.post("/api/v1/requests", json=body, headers=as_("chen"))).json()
    path = f"requests/{made['id']}"
    assert (await step(http, path, "sun", "receive")).status_code == 403
    for action in ("receive", "depart", "arrive", "report"):
        assert (await step(http, path, "zhou", action)).status_code == 200
    done = (await http.get(f"/api/v1/{path}", headers=as_("chen"))).json()
    assert (done["state"], [line["action"] for line in done["log"]]) == (
        "reported", ["make", "receive", "depart", "arrive", "report"],
    )  # fmt: skip
    assert (await http.get("/api/v1/requests", headers=as_("sun"))).json()["items"] == []


async def test_an_agency_that_cannot_come_says_why_and_the_dispatcher_hears_of_it(
    http: httpx.AsyncClient, city: World
) -> None:
    body = {"title": "封闭车道", "to": ["department:traffic_police"]}
    made = (await http.post("/api/v1/requests", json=body, headers=as_("chen"))).json()
    assert (await step(http, f"requests/{made['id']}", "zhou", "unable")).status_code == 422
    await step(http, f"requests/{made['id']}", "zhou", "unable", reason="all units out")
    inbox = (await http.get("/api/v1/inbox", headers=as_("chen"))).json()["items"]
    assert any("不能出动" in item["message"] for item in inbox)


async def test_a_directive_that_is_not_done_in_time_becomes_overdue_by_itself(
    http: httpx.AsyncClient, city: World
) -> None:
    body = {"title": "限两小时恢复供水", "to": ["department:water_company"], "due": "2026-01-12T03:00:00Z"}
    made = (await http.post("/api/v1/directives", json=body, headers=as_("zhao"))).json()
    await step(http, f"directives/{made['id']}", "sun", "sign")
    await city.tick(1, seconds=7201)
    found = (await http.get(f"/api/v1/directives/{made['id']}", headers=as_("zhao"))).json()
    assert found["state"] == "overdue"
    assert (
        await step(http, f"directives/{made['id']}", "sun", "feed_back", text="已恢复")
    ).status_code == 200


async def test_a_bulletin_is_signed_by_a_leader_before_it_is_sent(
    http: httpx.AsyncClient, city: World
) -> None:
    body = {"title": "供水爆管首报", "to": ["role:info_officer"]}
    made = (await http.post("/api/v1/bulletins", json=body, headers=as_("zhao"))).json()
    path = f"bulletins/{made['id']}"
    assert (await step(http, path, "zhao", "sign")).status_code == 409
    await step(http, path, "zhao", "draft", text="09:00 中山东一路爆管")
    assert (await step(http, path, "wang", "sign")).status_code == 403
    assert (await step(http, path, "zhao", "sign")).status_code == 200
    assert (await step(http, path, "wang", "send")).json()["state"] == "sent"


async def test_a_warning_names_its_issuer_and_expires_when_it_says(
    http: httpx.AsyncClient, city: World
) -> None:
    body = {"title": "暴雨橙色预警", "level": 2, "until": "2026-01-12T04:00:00Z"}
    assert (await http.post("/api/v1/warnings", json=body, headers=as_("li"))).status_code == 422
    made = (
        await http.post("/api/v1/warnings", json={**body, "issuer": "市气象台"}, headers=as_("li"))
    ).json()
    assert made["state"] == "in_force"
    await city.tick(1, seconds=3 * 3600 + 1)
    found = (await http.get(f"/api/v1/warnings/{made['id']}", headers=as_("li"))).json()
    assert found["state"] == "expired"


async def test_a_granted_permit_is_evidence_against_until_it_ends(
    http: httpx.AsyncClient, city: World
) -> None:
    body = {
        "title": "夜间浇筑", "lon": 121.49, "lat": 31.24, "until": "2026-01-12T22:00:00Z",
        "facts": {"sort": "night_work", "asset": "site-1"},
    }  # fmt: skip
    made = (await http.post("/api/v1/permits", json=body, headers=as_("sun"))).json()
    assert (await step(http, f"permits/{made['id']}", "sun", "grant")).status_code == 403
    assert (await step(http, f"permits/{made['id']}", "li", "grant")).json()["state"] == "in_force"
    (row,) = await city.database.fetch(b"SELECT kind, asset, ends_at FROM reports")
    assert (row["kind"], row["asset"]) == ("permit.night_work", "site-1")
    assert row["ends_at"].isoformat() == "2026-01-12T22:00:00+00:00"


# -- commands -----------------------------------------------------------------------------------------------

PLAIN = Command("c", "ML-1", "D1", "barrier_closed", 1.0, "proposed", "water", "li", START, "real")


def test_who_proposes_a_command_does_not_confirm_it() -> None:
    with pytest.raises(NotAllowed):
        commands.act(PLAIN, "confirm", "li", START)
    sent, _ = commands.act(PLAIN, "confirm", "wang", START)
    assert (sent.state, sent.confirmed_by) == ("sent", "wang")
    assert {action for _, action in commands.STEPS} >= OF_THE_CLOCK


async def test_a_barrier_falls_after_two_people_said_so_and_the_gateway_answered(
    http: httpx.AsyncClient, city: World
) -> None:
    body = {"device": "D1", "channel": "barrier_closed", "value": 1, "reason": "水深 30 厘米"}
    made = (await http.post("/api/v1/commands", json=body, headers=as_("wang"))).json()
    assert (await step(http, f"commands/{made['id']}", "wang", "confirm")).status_code == 403
    assert await city.database.fetch(b"SELECT 1 FROM outbox") == []
    assert (await step(http, f"commands/{made['id']}", "zhao", "confirm")).json()["state"] == "sent"
    (message,) = await city.database.fetch(b"SELECT channel, receiver, payload FROM outbox")
    assert (message["channel"], message["receiver"]) == ("mqtt", "gw")
    assert message["payload"] == {"id": made["id"], "set": [{"n": "D1/barrier_closed", "v": 1.0}]}
    async with city.database.transaction() as connection:
        from dispatch.work import Work

        work = Work(connection, city.clock.now_us())
        done = await city.desk.runs.papers.answered(work, made["id"], {"ok": True}, good=True)
    assert done.state == "done"


async def test_a_valve_of_a_utility_is_not_ours_to_turn(http: httpx.AsyncClient, city: World) -> None:
    body = {"device": "P1", "channel": "pressure", "value": 1, "reason": "why"}
    assert (await http.post("/api/v1/commands", json=body, headers=as_("wang"))).status_code == 422


async def test_a_command_that_nobody_answers_ends_as_expired(http: httpx.AsyncClient, city: World) -> None:
    body = {"device": "D1", "channel": "barrier_closed", "value": 1, "reason": "why"}
    made = (await http.post("/api/v1/commands", json=body, headers=as_("wang"))).json()
    await city.tick(1, seconds=301)
    (row,) = await city.database.fetch(b"SELECT state FROM commands")
    assert row["state"] == "expired"
    assert (await step(http, f"commands/{made['id']}", "zhao", "confirm")).status_code == 409


# -- duty ---------------------------------------------------------------------------------------------------


async def test_an_important_incident_that_nobody_acknowledges_pages_who_is_on_duty_then_the_next(
    http: httpx.AsyncClient, city: World
) -> None:
    duty = {
        "role": "shift_leader", "person": "wang", "name": "王", "begins": "2026-01-12T00:00:00Z",
        "until": "2026-01-13T00:00:00Z",
    }  # fmt: skip
    assert (await http.post("/api/v1/roster", json=duty, headers=as_("zhao"))).status_code == 200
    async with city.database.transaction() as connection:
        await store.run(
            connection, "put_contact", receiver="person:wang", channel="voice", address="+8613", level=2
        )
    await city.news(replace(BURST, level=1, provenance="real"))
    await city.tick()
    await city.tick(1, seconds=61)
    (call,) = await city.database.fetch(
        b"SELECT channel, receiver, key FROM outbox WHERE subject = 'incident' AND key LIKE '%%:ack:%%'"
    )
    assert (call["channel"], call["receiver"]) == ("voice", "+8613")
    assert await pages(city) == ["role:shift_leader"]
    await city.database.execute(b"UPDATE incidents SET acknowledged_at = now()")
    await city.tick(1, seconds=200)
    assert await pages(city) == ["role:shift_leader"]


async def pages(city: World) -> list[str]:
    """Who was called because nobody acknowledged."""
    found = await city.database.fetch(
        b"SELECT receiver FROM inbox WHERE message ->> 'key' LIKE '%%unacknowledged' ORDER BY id"
    )
    return [row["receiver"] for row in found]


async def test_crews_go_on_and_off_duty_with_their_shifts_but_not_in_the_middle_of_an_order(
    city: World,
) -> None:
    await city.crews(NEAR)
    async with city.database.transaction() as connection:
        from core.clock import to_datetime

        await store.run(
            connection,
            "put_shift",
            crew="near",
            from_at=to_datetime(START),
            until_at=to_datetime(START + 600_000_000),
        )
    await city.news(other(7))
    await city.tick()
    await city.tick(1, seconds=601)
    (crew,) = await city.database.fetch(b"SELECT duty FROM crews")
    assert crew["duty"] == "on"
    await city.database.execute(b"UPDATE orders SET state = 'finished'")
    await city.tick(1, seconds=3)
    (crew,) = await city.database.fetch(b"SELECT duty FROM crews")
    assert crew["duty"] == "off"


async def test_stock_is_taken_and_never_more_than_there_is(http: httpx.AsyncClient, city: World) -> None:
    async with city.database.transaction() as connection:
        from core.clock import to_datetime

        await store.run(
            connection, "put_material", id="sand", name_zh="沙袋", name_en="Sandbags", unit="袋", depot="d1",
            department="drainage_company", quantity=100.0, least=50.0, lon=121.49, lat=31.24, now=to_datetime(START),
        )  # fmt: skip
    url, take = "/api/v1/materials/sand/stock", {"change": -60, "reason": "下穿"}
    assert (await http.post(url, json=take, headers=as_("chen"))).json()["quantity"] == 40
    assert (await http.post(url, json=take, headers=as_("chen"))).status_code == 409
    (item,) = (await http.get("/api/v1/materials", headers=as_("chen"))).json()["items"]
    assert (item["quantity"], item["short"]) == (40, True)


async def test_hand_over_and_notes_are_kept_in_order(http: httpx.AsyncClient, city: World) -> None:
    for kind, words in (("note", "泵站检修"), ("hand_over", "三件在办")):
        await http.post("/api/v1/duty-log", json={"kind": kind, "text": words}, headers=as_("li"))
    items = (await http.get("/api/v1/duty-log", headers=as_("li"))).json()["items"]
    assert [item["kind"] for item in items] == ["hand_over", "note"]


async def test_plans_are_listed_played_and_shown_over_http(http: httpx.AsyncClient, city: World) -> None:
    await city.crews(NEAR)
    await city.news(BURST)
    plans = (await http.get("/api/v1/plans?lang=zh", headers=as_("li"))).json()["items"]
    burst = next(plan for plan in plans if plan["key"] == "water_burst")
    assert burst["name"] == "供水爆管处置方案"
    assert burst["tasks"][0]["name"] == "致电供水调度，对照其 SCADA 核实"
    shown = await http.post(
        "/api/v1/plans/water_burst/preview", json={"incident": BURST.id}, headers=as_("li")
    )
    assert shown.json()["tasks"][2]["crew"] == "near"
    played = (await http.get("/api/v1/plans/water_burst/dry-run", headers=as_("li"))).json()["items"]
    assert [item["good"] for item in played] == [True, True]
    start = await http.post(
        "/api/v1/plans/water_burst/start", json={"incident": BURST.id}, headers=as_("wang")
    )
    run = start.json()
    assert run["state"] == "running"
    done = await http.post(
        f"/api/v1/plan-runs/{run['id']}/actions", json={"action": "do", "task": "verify"}, headers=as_("li")
    )
    assert next(t for t in done.json()["tasks"] if t["key"] == "verify")["state"] == "done"
    assert len((await http.get("/api/v1/plan-runs", headers=as_("li"))).json()["items"]) == 1


async def test_a_drill_is_started_and_ended_over_http(http: httpx.AsyncClient, city: World) -> None:
    await city.crews(NEAR)
    body = {"plan": "water_burst", "lon": 121.49, "lat": 31.24, "scenario": "burst_at_night"}
    assert (await http.post("/api/v1/drills", json=body, headers=as_("li"))).status_code == 403
    run = (await http.post("/api/v1/drills", json=body, headers=as_("wang"))).json()
    assert run["provenance"] == "drill"
    ended = await http.post(f"/api/v1/drills/{run['id']}/end", json={"reason": "over"}, headers=as_("wang"))
    assert ended.json()["state"] == "ended"
