"""From readings to explained incidents, in a real database, step by step."""

from __future__ import annotations

import pytest

from app.bench.kills import append
from core.actor import Actor
from core.clock import MINUTE_US, to_datetime
from core.errors import Invalid, WrongState
from events import actions
from events.place import NOWHERE
from events.types import Near
from tests.events.conftest import City

DESK = Actor("u1", "值班员", frozenset({"duty_operator"}))
LEAD = Actor("u2", "值班长", frozenset({"shift_leader"}))


def falling(city: City, number: int, begins: float, *, until: float = 60.0, low: float = 0.21) -> object:
    """A logger that sends every 5 s, whose pressure falls."""
    samples = {t: (0.30 if t < begins else low) for t in [5.0 * step for step in range(round(until / 5))]}
    return city.batch(f"ws_pressure_logger-{number}", "pressure", samples)


async def burst(city: City, *, until: float = 60.0) -> None:
    """Three loggers of one area fall one after the other."""
    await city.say(*(falling(city, n, begins, until=until) for n, begins in ((1, 20), (2, 22), (3, 26))))  # type: ignore[arg-type]


async def test_a_burst_becomes_one_incident_with_its_evidence_cause_and_explanation(city: City) -> None:
    await city.begin()
    await burst(city)
    (incident,) = await city.incidents()
    assert (incident["type"], incident["state"], incident["level"]) == ("water_burst", "open", 3)
    assert incident["provenance"] == "simulated"
    assert str(incident["number"]).startswith("SJ-20261123-0001")
    whole = await city.views.incident(str(incident["id"]))
    assert {fact["device"] for fact in whole["evidence"]} == {f"ws_pressure_logger-{n}" for n in (1, 2, 3)}
    assert whole["causes"][0]["device"] == "ws_pressure_logger-1"
    assert sum(cause["probability"] for cause in whole["causes"]) == pytest.approx(1, abs=0.01)
    assert whole["said"]["zh"]["what"] == "疑似供水爆管"
    assert "3 个测点" in whole["said"]["zh"]["why"][0]
    assert "0.09 MPa" in whole["said"]["en"]["why"][0]
    assert all("⟦" not in str(said) for said in whole["said"].values())
    refs = whole["explanation"]["why"][0]["refs"]
    assert {ref["device"] for ref in refs} == {f"ws_pressure_logger-{n}" for n in (1, 2, 3)}
    assert whole["timeline"][0]["action"] == "open"


async def test_the_burst_of_the_scene_is_an_incident_within_thirty_seconds(city: City) -> None:
    await city.begin()
    await burst(city, until=50.0)
    assert len(await city.incidents()) == 1


async def test_one_falling_logger_is_an_alert_and_no_incident(city: City) -> None:
    await city.begin()
    await city.say(falling(city, 1, 20))  # type: ignore[arg-type]
    assert [alert["rule"] for alert in await city.alerts()] == ["ws.pressure.drop"]
    assert await city.incidents() == []


async def test_loggers_of_different_areas_do_not_make_an_incident_together(city: City) -> None:
    await city.begin()
    slow = {60.0 * step: (0.30 if step < 3 else 0.2) for step in range(10)}
    await city.say(city.batch("ws_pressure_logger-6", "pressure", slow), falling(city, 1, 200, until=600))  # type: ignore[arg-type]
    assert {alert["device"] for alert in await city.alerts()} == {
        "ws_pressure_logger-1",
        "ws_pressure_logger-6",
    }
    assert await city.incidents() == []


async def test_more_evidence_grows_the_incident_and_recovery_resolves_it(city: City) -> None:
    await city.begin()
    await burst(city)
    later = {60.0 + 5 * step: 0.21 for step in range(4)}
    await city.say(city.batch("ws_pressure_logger-4", "pressure", {55.0: 0.3, **later}))
    (incident,) = await city.incidents()
    assert len((await city.views.incident(str(incident["id"])))["evidence"]) == 4
    back = {100.0 + 5 * step: 0.30 for step in range(200)}
    await city.say(*(city.batch(f"ws_pressure_logger-{n}", "pressure", back) for n in (1, 2, 3, 4)))
    (incident,) = await city.incidents()
    assert incident["clear_since"] is not None
    assert incident["state"] == "open"
    await city.wait(700)
    (incident,) = await city.incidents()
    assert incident["state"] == "resolved"
    assert {each["state"] for each in await city.alerts() if each["rule"] == "ws.pressure.drop"} == {"normal"}


async def test_a_flooded_underpass_is_a_life_incident_at_once(city: City) -> None:
    await city.begin()
    depth = {60.0 * step: value for step, value in enumerate((0, 4, 18, 22, 27, 31, 44, 45))}
    await city.say(city.batch("fl_underpass-1", "depth", depth))
    (incident,) = await city.incidents()
    assert (incident["type"], incident["class"], incident["level"], incident["priority"]) == (
        "underpass_flood", "life", 1, 1,
    )  # fmt: skip
    assert "44 cm" in str(incident["said"]) or "45 cm" in str(incident["said"])


async def flooded(city: City, number: int, second: float) -> None:
    depth = {second + 60.0 * step: value for step, value in enumerate((0, 4, 18, 22, 27, 31, 44, 45))}
    await city.say(city.batch(f"fl_underpass-{number}", "depth", depth))


async def test_a_storm_is_the_parent_of_its_underpasses_and_they_are_evidence_of_it(city: City) -> None:
    await city.begin()
    await flooded(city, 1, 60)
    (before,) = await city.incidents()
    async with city.database.transaction() as connection:
        await actions.report(
            connection, DESK, city.clock.now_us(),
            id="w1", kind="report.rain_warning", at=before["started_at"], lon=121.5, lat=31.24,
        )  # fmt: skip
    await city.wait(2)
    storm = next(each for each in await city.incidents() if each["type"] == "storm_waterlogging")
    assert before["id"] in [
        each["fact"] for each in (await city.views.incident(str(storm["id"])))["evidence"]
    ]
    await city.begin()
    await flooded(city, 2, 600)
    children = [each for each in await city.incidents() if each["type"] == "underpass_flood"]
    assert [each["parent"] for each in children] == [storm["id"], storm["id"]]
    await act(city, before["id"], "dismiss", reason="误报")
    await city.wait(2)
    evidence = (await city.views.incident(str(storm["id"])))["evidence"]
    still = [each["fact"] for each in evidence if not each.get("left_at")]
    assert len(still) == 2
    assert before["id"] not in still


async def test_a_noisy_night_is_an_incident_and_a_permit_speaks_against_it(city: City) -> None:
    await city.begin()
    night = 10 * 3600.0
    loud = {night + 60.0 * step: 65.0 for step in range(21)}
    await city.say(city.batch("con_noise-1", "laeq_1m", loud))
    (incident,) = await city.incidents()
    assert (incident["type"], incident["score"]) == ("night_noise", 3.0)
    async with city.database.transaction() as connection:
        await actions.report(
            connection, DESK, city.clock.now_us(),
            id="p1", kind="permit.night_work", at=incident["started_at"], lon=121.52, lat=31.24, asset="site-1",
        )  # fmt: skip
    await city.wait(2)
    (incident,) = await city.incidents()
    assert incident["score"] == -2.0
    assert "夜间施工证明" in str(incident["said"]["zh"]["against"])  # type: ignore[index]


async def test_calls_of_citizens_are_evidence_like_any_other(city: City) -> None:
    await city.begin()
    await burst(city)
    (before,) = await city.incidents()
    async with city.database.transaction() as connection:
        for number in range(3):
            await actions.report(
                connection, DESK, city.clock.now_us(),
                id=f"c{number}", kind="report.no_water", at=before["started_at"], lon=121.492, lat=31.24, zone="DMA-01",
            )  # fmt: skip
    await city.wait(2)
    (after,) = await city.incidents()
    assert float(str(after["score"])) - float(str(before["score"])) == pytest.approx(3.5)


# -- restarts ------------------------------------------------------------------------------------------------


async def test_a_new_engine_goes_on_where_the_old_one_stood(city: City) -> None:
    await city.begin()
    await burst(city, until=35)
    await city.wait(15)
    await city.begin()
    await city.say(
        *(city.batch(f"ws_pressure_logger-{n}", "pressure", {35.0: 0.21, 40.0: 0.21}) for n in (1, 2, 3))
    )
    (incident,) = await city.incidents()
    assert len((await city.views.incident(str(incident["id"])))["evidence"]) == 3
    await city.begin()
    await city.wait(1)
    assert len(await city.incidents()) == 1
    assert len(await city.alerts()) == 3


async def test_an_engine_without_a_snapshot_takes_the_log_again_and_doubles_nothing(city: City) -> None:
    await city.begin()
    await burst(city)
    await city.connection.execute(b"DELETE FROM engine_snapshots")
    await city.begin()
    await city.follow()
    await city.wait(1)
    assert len(await city.incidents()) == 1
    assert len(await city.alerts()) == 3


async def test_a_restart_knows_the_rates_of_what_came_before_whatever_became_of_it(city: City) -> None:
    await city.begin()
    await burst(city, until=35)
    await city.say(
        *(city.batch(f"ws_pressure_logger-{n}", "pressure", {35.0: 0.21, 40.0: 0.30}) for n in (1, 2, 3))
    )
    (incident,) = await city.incidents()
    await act(city, incident["id"], "dismiss", reason="冲洗")
    await city.wait(1)
    at_us = city.clock.now_us()
    before = rate(city, "ws.pressure.drop", at_us)
    await city.begin()
    assert rate(city, "ws.pressure.drop", at_us) == before > rate(city, "ws.pressure.low3", at_us)


def rate(city: City, rule: str, at_us: int) -> float:
    """How often the engine believes that a rule speaks for no reason."""
    assert city.life is not None
    background = city.life.engine.correlator.background
    (crowd,) = background.crowds([rule], Near(same=("zone",)), NOWHERE, [])
    return background.rates(crowd, at_us)


async def test_history_is_not_decided_on(city: City) -> None:
    await city.begin()
    await append(city.connection, falling(city, 1, 20), city.clock.now_us(), history=True)  # type: ignore[arg-type]
    await city.follow()
    assert await city.alerts() == []


# -- what people do ------------------------------------------------------------------------------------------


async def act(
    city: City, id_: object, action: str, actor: Actor = DESK, **fields: object
) -> dict[str, object]:
    async with city.database.transaction() as connection:
        return await actions.act_on_incident(
            connection, str(id_), action, actor, city.clock.now_us(), **fields
        )


async def test_acknowledging_an_incident_acknowledges_its_alerts(city: City) -> None:
    await city.begin()
    await burst(city)
    (incident,) = await city.incidents()
    await act(city, incident["id"], "acknowledge")
    assert {alert["state"] for alert in await city.alerts()} == {"acknowledged"}
    with pytest.raises(WrongState) as refused:
        await act(city, incident["id"], "acknowledge")
    assert "confirm" in refused.value.allowed


async def test_evidence_goes_on_joining_an_incident_that_people_have_taken_up(city: City) -> None:
    await city.begin()
    await burst(city)
    (incident,) = await city.incidents()
    await act(city, incident["id"], "confirm")
    await city.wait(1)
    later = {60.0 + 5 * step: 0.21 for step in range(4)}
    await city.say(city.batch("ws_pressure_logger-4", "pressure", {55.0: 0.3, **later}))
    (incident,) = await city.incidents()
    assert incident["state"] == "confirmed"
    assert len((await city.views.incident(str(incident["id"])))["evidence"]) == 4


async def test_a_dismissed_incident_is_not_opened_again_by_the_same_evidence(city: City) -> None:
    await city.begin()
    await burst(city)
    (incident,) = await city.incidents()
    await act(city, incident["id"], "dismiss", reason="演练")
    await city.wait(2)
    await city.begin()
    await city.say(
        *(city.batch(f"ws_pressure_logger-{n}", "pressure", {61.0: 0.2, 66.0: 0.2}) for n in (1, 2, 3))
    )
    await city.wait(2)
    assert [each["state"] for each in await city.incidents()] == ["dismissed"]


async def test_alerts_that_people_split_off_stay_apart(city: City) -> None:
    await city.begin()
    await burst(city)
    alerts = {str(alert["device"]): str(alert["id"]) for alert in await city.alerts()}
    (incident,) = await city.incidents()
    with pytest.raises(Invalid):
        await act(city, incident["id"], "split", alerts=list(alerts.values()))
    await act(city, incident["id"], "split", alerts=[alerts["ws_pressure_logger-3"]])
    await city.wait(2)
    await city.begin()
    await city.say(city.batch("ws_pressure_logger-4", "pressure", {55.0: 0.3, 61.0: 0.2, 66.0: 0.2}))
    sizes = [len((await city.views.incident(str(each["id"])))["evidence"]) for each in await city.incidents()]
    live = [each for each in await city.incidents() if each["state"] == "open"]
    assert len(live) == 2
    assert sorted(sizes) in ([1, 4], [2, 3])


async def test_incidents_that_people_merge_are_one_from_then_on(city: City) -> None:
    await city.begin()
    await burst(city)
    alerts = {str(alert["device"]): str(alert["id"]) for alert in await city.alerts()}
    (incident,) = await city.incidents()
    split = await act(city, incident["id"], "split", alerts=[alerts["ws_pressure_logger-3"]])
    assert split["state"] == "open"
    await city.wait(2)
    (other,) = [each for each in await city.incidents() if each["id"] != incident["id"]]
    await act(city, other["id"], "merge", into=incident["id"])
    await city.wait(2)
    states = {str(each["id"]): each["state"] for each in await city.incidents()}
    assert states == {str(incident["id"]): "open", str(other["id"]): "merged"}
    whole = await city.views.incident(str(incident["id"]))
    assert len([fact for fact in whole["evidence"] if "left_at" not in fact]) == 3


async def test_an_incident_with_an_open_case_is_not_resolved_by_its_sensors(city: City) -> None:
    await city.begin()
    await burst(city)
    (incident,) = await city.incidents()
    dispatch = Actor("system:dispatch", "dispatch", frozenset({"system"}))
    await act(city, incident["id"], "case_opened", dispatch, case="AJ-1")
    back = {60.0 + 5 * step: 0.30 for step in range(200)}
    await city.say(*(city.batch(f"ws_pressure_logger-{n}", "pressure", back) for n in (1, 2, 3)))
    await city.wait(900)
    assert [each["state"] for each in await city.incidents()] == ["open"]
    await act(city, incident["id"], "case_closed", dispatch, case="AJ-1")
    await city.wait(900)
    assert [each["state"] for each in await city.incidents()] == ["resolved"]


async def test_a_shelved_rule_raises_nothing_at_its_point_until_the_shelf_ends(city: City) -> None:
    await city.begin()
    await city.say(falling(city, 1, 20))  # type: ignore[arg-type]
    (alert,) = await city.alerts()
    async with city.database.transaction() as connection:
        done = await actions.act_on_alert(
            connection, str(alert["id"]), "shelve", DESK, city.clock.now_us(),
            until=to_datetime(city.clock.now_us() + 60 * MINUTE_US), reason="检修",
        )  # fmt: skip
    assert done["state"] == "shelved"
    back = {60.0 + 5 * step: 0.30 for step in range(200)}
    await city.say(city.batch("ws_pressure_logger-1", "pressure", back))
    await city.begin()
    await city.say(city.batch("ws_pressure_logger-1", "pressure", {1100.0: 0.2, 1105.0: 0.2, 1110.0: 0.2}))
    assert [alert["state"] for alert in await drops(city)] == ["shelved", "normal"]
    await city.wait(3600)
    assert [alert["state"] for alert in await drops(city)] == ["unacknowledged", "normal"]


async def drops(city: City) -> list[dict[str, object]]:
    return [alert for alert in await city.alerts() if alert["rule"] == "ws.pressure.drop"]


async def test_a_life_alert_is_shelved_by_two_people_only(city: City) -> None:
    await city.begin()
    await city.say(city.batch("fl_underpass-1", "depth", {60.0 * step: 30.0 for step in range(3)}))
    (alert,) = [each for each in await city.alerts() if each["rule"] == "fl.depth.close"]
    until = to_datetime(city.clock.now_us() + 60 * MINUTE_US)

    async def shelve(actor: Actor) -> object:
        async with city.database.transaction() as connection:
            done = await actions.act_on_alert(
                connection, str(alert["id"]), "shelve", actor, city.clock.now_us(), until=until, reason="维护"
            )
        return done["state"]

    assert [await shelve(DESK), await shelve(DESK), await shelve(LEAD)] == [
        "unacknowledged",
        "unacknowledged",
        "shelved",
    ]
