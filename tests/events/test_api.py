"""Alerts and incidents over HTTP: lists, filters, actions, problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from app import policy
from core.actor import Actor
from core.clock import SECOND_US, rfc3339, to_datetime
from core.http import install_errors
from events import api, store
from events.guards import PROTECT
from events.place import Place
from tests.events.conftest import City
from tests.events.test_engine import burst
from tests.events.world import NOON_US

ACTORS = {
    "operator": Actor("u1", "值班员", frozenset({"duty_operator"})),
    "viewer": Actor("v1", "大屏", frozenset({"viewer"})),
    "elsewhere": Actor("u3", "值班员", frozenset({"duty_operator"}), areas=frozenset({"陆家嘴街道"})),
}


@pytest.fixture
async def http(city: City) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.state.database, app.state.clock, app.state.policy = city.database, city.clock, policy.load()[0]
    install_errors(app, city.texts)
    app.include_router(api.router(city.views))

    @app.middleware("http")
    async def sign_in(request: Request, call_next) -> Response:  # type: ignore[no-untyped-def] # noqa: ANN001
        request.state.actor = ACTORS[request.headers.get("as", "operator")]
        return await call_next(request)  # type: ignore[no-any-return] # starlette's own

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test/api/v1") as client:
        await city.begin()
        await burst(city)
        yield client


async def test_incidents_are_listed_with_names_and_sentences_in_both_languages(
    http: httpx.AsyncClient,
) -> None:
    page = (await http.get("/incidents")).json()
    assert page["next"] is None
    (incident,) = page["items"]
    assert incident["name"] == {"zh": "供水爆管", "en": "Water main burst"}
    assert incident["said"]["en"]["what"] == "Suspected: Water main burst"
    assert incident["opened_at"].endswith("Z")
    assert "acknowledge" in incident["allowed"]


async def test_what_was_known_at_a_moment_is_shown_as_it_was_known(
    http: httpx.AsyncClient, city: City
) -> None:
    (now,) = (await http.get("/incidents")).json()["items"]
    whole = (await http.get(f"/incidents/{now['id']}")).json()
    city.clock.advance(60)
    then = {"as_of": rfc3339(city.clock.now_us())}
    city.clock.advance(60)
    facts = [fact["fact"] for fact in whole["evidence"]]
    for asked in (
        {"action": "confirm"},
        {"action": "split", "alerts": facts[:1], "reason": "another street"},
    ):
        assert (await http.post(f"/incidents/{now['id']}/actions", json=asked)).status_code == 200
    changed = (await http.get(f"/incidents/{now['id']}")).json()
    assert (changed["state"], sum("left_at" not in fact for fact in changed["evidence"])) == ("confirmed", 2)
    known = (await http.get(f"/incidents/{now['id']}", params=then)).json()
    assert [fact["fact"] for fact in known["evidence"]] == facts
    assert {fact["state"] for fact in known["evidence"]} == {"unacknowledged"}
    assert len(known["timeline"]) == len(whole["timeline"])
    assert {name: known[name] for name in now} == now
    assert (await http.get("/incidents", params={**then, "state": "confirmed"})).json()["items"] == []
    assert (await http.get("/incidents", params=then)).json()["items"] == [now]
    before = {"as_of": rfc3339(NOON_US - 60 * SECOND_US)}
    assert (await http.get("/incidents", params=before)).json()["items"] == []
    assert (await http.get(f"/incidents/{now['id']}", params=before)).status_code == 404
    for since, left in ((NOON_US, [now]), (city.clock.now_us() + SECOND_US, [])):
        await city.database.execute(store.QUERIES["prune_versions"], before=to_datetime(since))
        assert (await http.get("/incidents", params=then)).json()["items"] == left
    assert (await http.get(f"/incidents/{now['id']}")).json()["state"] == "confirmed", "what it is now stays"


async def test_what_was_known_of_alerts_at_a_moment_is_shown_as_it_was_known(
    http: httpx.AsyncClient, city: City
) -> None:
    """Also what changed more than once since: state, who saw it, how far it went, what it was thought to belong to."""
    then = {"as_of": rfc3339(city.clock.now_us())}
    known = (await http.get("/alerts")).json()["items"]
    whole = (await http.get(f"/alerts/{known[0]['id']}")).json()
    city.clock.advance(60)
    for asked in ({"action": "acknowledge"}, {"action": "out_of_service", "reason": "换表"}):
        assert (await http.post(f"/alerts/{known[0]['id']}/actions", json=asked)).status_code == 200
    await city.say(*(city.batch("ws_pressure_logger-7", "pressure", {s: 0.0}) for s in (400, 460, 800)))
    assert len((await http.get("/alerts")).json()["items"]) > len(known)
    assert (await http.get("/alerts", params=then)).json()["items"] == known
    assert (await http.get("/alerts", params={**then, "limit": 1})).json()["items"] == known[:1]
    assert (await http.get(f"/alerts/{known[0]['id']}", params=then)).json() == whole
    found = (await http.get("/alerts", params={**then, "state": "out_of_service"})).json()["items"]
    assert found == []
    assert len((await http.get("/alerts?state=out_of_service")).json()["items"]) == 1
    before = {"as_of": rfc3339(NOON_US - 60 * SECOND_US)}
    assert (await http.get("/alerts", params=before)).json()["items"] == []
    assert (await http.get(f"/alerts/{known[0]['id']}", params=before)).status_code == 404
    now = (await http.get("/alerts")).json()["items"]
    await city.database.execute(
        store.QUERIES["prune_versions"], before=to_datetime(city.clock.now_us() + SECOND_US)
    )
    assert known[0] not in (await http.get("/alerts", params=then)).json()["items"]
    assert (await http.get("/alerts")).json()["items"] == now, "what they are now stays"


async def test_the_load_of_operators_is_what_counting_in_the_lists_gives(
    http: httpx.AsyncClient, city: City
) -> None:
    await city.say(*(city.batch("ws_pressure_logger-7", "pressure", {s: 0.05}) for s in (400, 460, 800)))
    alerts = (await http.get("/alerts")).json()["items"]
    incidents = (await http.get("/incidents")).json()["items"]
    alone = [
        alert for alert in alerts if alert["incident"] is None
        and (alert["class"] in ("life", "field") or (alert["class"] == "device" and alert["level"] <= 2))
    ]  # fmt: skip
    assert incidents
    assert 0 < len(alone) < len(alerts)
    span = {"from": rfc3339(NOON_US), "to": rfc3339(NOON_US + 3600 * SECOND_US)}
    load = (await http.get("/alarm-load", params=span)).json()
    assert (load["alerts"], load["incidents"]) == (len(alerts), len(incidents))
    asked = [each["opened_at"] for each in incidents] + [alert["recorded_at"] for alert in alone]
    windows = Counter(int(datetime.fromisoformat(at).timestamp()) // 600 for at in asked)
    assert load["operator_alarms"] == len(asked)
    assert load["busiest_10min"] >= max(windows.values())
    assert load["flood_share"] == sum(n > 10 for n in windows.values()) / 6
    assert load["by_level"] == {str(k): n for k, n in sorted(Counter(a["level"] for a in alerts).items())}
    sources = Counter(f"{alert['rule']} {alert['subject']}" for alert in alerts)
    assert dict(load["top"]) == dict(sources)
    assert load["by_type"] == Counter(each["type"] for each in incidents)
    two = (await http.get("/alarm-load", params={**span, "operators": 2})).json()
    assert two["busiest_10min"] == -(-load["busiest_10min"] // 2)
    assert (await http.get("/alarm-load", params={**span, "to": span["from"]})).status_code == 422


async def test_an_incident_is_found_by_its_number_with_evidence_and_timeline(http: httpx.AsyncClient) -> None:
    (incident,) = (await http.get("/incidents")).json()["items"]
    whole = (await http.get(f"/incidents/{incident['number']}")).json()
    assert len(whole["evidence"]) == 3
    assert whole["timeline"][0]["action"] == "open"
    assert (await http.get("/incidents/none")).status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("domain=water_supply", 3), ("domain=flood", 0), ("domain=flood,water_supply", 3), ("level=1,2", 0),
        ("level=3", 3), ("state=unacknowledged", 3), ("provenance=real", 0), ("bbox=121.4905,31,121.4925,32", 2),
        ("from=2026-11-23T04:00:21Z", 2), ("to=2026-11-23T04:00:21Z", 1), ("device=ws_pressure_logger-2", 1),
        ("rule=ws.pressure.drop", 3), ("class=life", 0),
    ],
)  # fmt: skip
async def test_alerts_are_filtered(http: httpx.AsyncClient, query: str, found: int) -> None:
    assert len((await http.get(f"/alerts?{query}")).json()["items"]) == found


async def test_pages_follow_each_other_without_gap_or_overlap(http: httpx.AsyncClient) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await http.get(f"/alerts?limit=1{cursor}")).json()
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert len(seen) == len(set(seen)) == 3


async def test_an_action_changes_the_state_once_for_one_key(http: httpx.AsyncClient) -> None:
    (incident,) = (await http.get("/incidents")).json()["items"]
    path, asked = f"/incidents/{incident['id']}/actions", {"action": "confirm"}
    first = await http.post(path, json=asked, headers={"Idempotency-Key": "k1"})
    again = await http.post(path, json=asked, headers={"Idempotency-Key": "k1"})
    assert (first.status_code, first.json()["state"]) == (200, "confirmed")
    assert again.json() == first.json()
    refused = await http.post(path, json=asked)
    assert refused.status_code == 409
    assert refused.json()["state"] == "confirmed"
    assert "resolve" in refused.json()["allowed"]


async def test_an_alert_is_acknowledged_and_its_log_says_by_whom(http: httpx.AsyncClient) -> None:
    alert = (await http.get("/alerts")).json()["items"][0]
    done = await http.post(f"/alerts/{alert['id']}/actions", json={"action": "acknowledge"})
    assert (done.json()["state"], done.json()["acknowledged_by"]) == ("acknowledged", "u1")
    whole = (await http.get(f"/alerts/{alert['id']}")).json()
    assert [(line["action"], line["actor"]) for line in whole["timeline"]] == [
        ("raise", "system:engine"), ("acknowledge", "u1"),
    ]  # fmt: skip


async def test_people_are_shown_by_name_and_kept_by_id(city: City, http: httpx.AsyncClient) -> None:
    async with city.database.transaction() as connection:
        await connection.execute(
            b"INSERT INTO users (id, name, password, roles, created_at) VALUES ('u1', %s, '', '{}', now())",
            ["林静"],
        )
    alert = (await http.get("/alerts")).json()["items"][0]
    await http.post(f"/alerts/{alert['id']}/actions", json={"action": "acknowledge"})
    whole = (await http.get(f"/alerts/{alert['id']}")).json()
    assert (whole["acknowledged_by"], whole["acknowledged_by_name"]) == ("u1", "林静")
    assert [line["actor_name"] for line in whole["timeline"]] == ["system:engine", "林静"]
    assert (await http.get("/alerts")).json()["items"][0]["acknowledged_by_name"] == "林静"


async def test_an_alert_is_put_on_the_shelf_until_a_time_and_taken_back(http: httpx.AsyncClient) -> None:
    alert = (await http.get("/alerts")).json()["items"][0]
    path = f"/alerts/{alert['id']}/actions"
    asked = {"action": "shelve", "until": "2026-11-23T06:00:00Z", "reason": "冲洗"}
    assert (await http.post(path, json=asked)).json()["state"] == "shelved"
    (shelved,) = (await http.get("/alerts?state=shelved")).json()["items"]
    assert shelved["id"] == alert["id"]
    back = (await http.post(path, json={"action": "unshelve"})).json()
    assert back["state"] == "unacknowledged"


async def test_an_incident_is_dismissed_with_a_reason_only_and_opened_again(http: httpx.AsyncClient) -> None:
    (incident,) = (await http.get("/incidents")).json()["items"]
    path = f"/incidents/{incident['id']}/actions"
    assert (await http.post(path, json={"action": "dismiss"})).status_code == 422
    assert (await http.post(path, json={"action": "dismiss", "reason": "误报"})).json()[
        "state"
    ] == "dismissed"
    assert (await http.get("/incidents?state=open")).json()["items"] == []
    assert (await http.post(path, json={"action": "reopen", "reason": "再查"})).json()["state"] == "open"


async def test_alerts_are_split_off_an_incident(http: httpx.AsyncClient) -> None:
    (incident,) = (await http.get("/incidents")).json()["items"]
    path = f"/incidents/{incident['id']}/actions"
    facts = [fact["fact"] for fact in (await http.get(f"/incidents/{incident['id']}")).json()["evidence"]]
    assert (await http.post(path, json={"action": "split", "alerts": facts})).status_code == 422
    assert (await http.post(path, json={"action": "split", "alerts": facts[:1]})).status_code == 200
    left = (await http.get(f"/incidents/{incident['id']}")).json()["evidence"]
    assert {fact["fact"] for fact in left if fact.get("left_at") is None} == set(facts[1:])


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"action": "shelve", "reason": "r"}, 422), ({"action": "clear"}, 422), ({"action": "dance"}, 422),
        ({"action": "unshelve"}, 409), ({"action": "shelve", "until": "2036-01-01T00:00:00Z", "reason": "r"}, 422),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(
    http: httpx.AsyncClient, asked: dict[str, str], status: int
) -> None:
    alert = (await http.get("/alerts")).json()["items"][0]
    refused = await http.post(f"/alerts/{alert['id']}/actions", json=asked)
    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"
    assert "⟦" not in refused.json()["title"]


async def test_who_may_only_look_may_not_act_nor_who_belongs_elsewhere(http: httpx.AsyncClient) -> None:
    alert = (await http.get("/alerts", headers={"as": "viewer"})).json()["items"][0]
    for who in ("viewer", "elsewhere"):
        refused = await http.post(
            f"/alerts/{alert['id']}/actions", json={"action": "acknowledge"}, headers={"as": who}
        )
        assert refused.status_code == 403


async def test_a_report_is_kept_once_and_weighs_within_a_second(http: httpx.AsyncClient, city: City) -> None:
    asked = {"kind": "report.seen_water", "lon": 121.4915, "lat": 31.24, "words": "路面冒水"}
    one = await http.post("/reports", json=asked)
    two = await http.post("/reports", json=asked)
    assert one.json()["id"] == two.json()["id"]
    await city.wait(1)
    (incident,) = (await http.get("/incidents")).json()["items"]
    assert incident["parts"]["seen"] == 4.0


@pytest.mark.parametrize("kind", ["season.heavy_pollution", "protect.exam", "permit.work_order"])
async def test_a_switch_is_put_on_by_a_report_and_goes_off_by_itself(
    http: httpx.AsyncClient, city: City, kind: str
) -> None:
    now_us = city.clock.now_us()
    asked = {
        "kind": kind, "lon": 121.491, "lat": 31.24, "at": rfc3339(now_us), "ends_at": rfc3339(now_us + 60 * SECOND_US)
    }  # fmt: skip
    assert (await http.post("/reports", json=asked)).status_code == 200
    assert (await http.post("/reports", json=asked | {"kind": "weather.rain"})).status_code == 422
    await city.wait(1)
    assert city.life is not None
    permits, here = city.life.writer.permits, Place(121.491, 31.24)
    assert permits(kind, here, city.clock.now_us())
    assert permits(PROTECT, here, city.clock.now_us()) == kind.startswith(PROTECT)
    assert not permits(kind, here, now_us + 60 * SECOND_US)


async def test_a_screen_starts_from_what_lives(http: httpx.AsyncClient, city: City) -> None:
    assert len(await city.views.live_alerts()) == 3
    assert len(await city.views.live_incidents(city.clock.now_us())) == 1
    counts = await city.views.counts((await city.views.live_incidents(city.clock.now_us()))[0]["started_at"])
    assert counts == {"alerts": 3, "incidents": 1}
