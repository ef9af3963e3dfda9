"""What people switch, at work: permits that mute, seasons, protected events, alarms put out of service."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from core.clock import DAY_US, MINUTE_US, to_datetime
from events import actions, alarm
from events.guards import PROTECT
from events.permits import Permit, Permits
from events.place import Place
from tests.events.conftest import City
from tests.events.test_detectors import LOW, detectors, told
from tests.events.test_engine import DESK, burst, drops, falling
from tests.events.world import NOON_US

Alert = dict[str, object]


async def switch(city: City, kind: str, minutes: float, **where: object) -> None:
    """Something is in force from now on, for so long; at the asset of the first logger where nothing else is said."""
    now_us = city.clock.now_us()
    place = {"lon": 121.491, "lat": 31.240, "asset": "node-1", **where}
    async with city.database.transaction() as connection:
        await actions.report(
            connection, DESK, now_us,
            id=f"{kind}/{now_us}", kind=kind, at=to_datetime(now_us),
            ends_at=to_datetime(now_us + round(minutes * MINUTE_US)), **place,
        )  # fmt: skip
    await city.wait(1)


async def act(city: City, alert: Alert, action: str, **fields: object) -> str:
    async with city.database.transaction() as connection:
        done = await actions.act_on_alert(
            connection, str(alert["id"]), action, DESK, city.clock.now_us(), **fields
        )
    await city.wait(1)
    return str(done["state"])


async def of(city: City, rule: str) -> list[tuple[str, object]]:
    return sorted(
        (str(each["device"]).rpartition("-")[2], each["state"])
        for each in await city.alerts()
        if each["rule"] == rule
    )


async def test_a_work_order_holds_back_the_rules_that_name_it_at_its_asset_and_ends_by_itself(
    city: City,
) -> None:
    await city.begin()
    await switch(city, "permit.work_order", 20)
    await city.say(falling(city, 1, 20), falling(city, 3, 20))  # type: ignore[arg-type]
    assert await of(city, "ws.pressure.drop") == [("1", "suppressed"), ("3", "unacknowledged")]
    (muted,) = [each for each in await drops(city) if each["state"] == "suppressed"]
    assert muted["aside"] == {"muted_by": "work_order"}
    await city.wait(25 * 60)
    assert await of(city, "ws.pressure.drop") == [("1", "unacknowledged"), ("3", "unacknowledged")]


async def test_a_work_order_that_comes_later_holds_back_what_stands_and_no_rule_that_does_not_name_it(
    city: City,
) -> None:
    await city.begin()
    await city.say(falling(city, 1, 20, low=-0.01, until=120))  # type: ignore[arg-type]
    assert ("1", "unacknowledged") in await of(city, "ws.pressure.drop")
    await switch(city, "permit.work_order", 20)
    assert await of(city, "ws.pressure.drop") == [("1", "suppressed")]
    assert await of(city, "ws.pressure.negative") == [("1", "unacknowledged")], "people could drink it"


async def test_a_greater_alert_of_the_same_place_speaks_for_the_smaller_one_until_it_ends(city: City) -> None:
    """Suppressed by design: what is low is not said where it is too low already."""
    decls = [
        rule.decl.model_copy(
            update={"muted_by": ["ws.pressure.low2"]} if rule.key == "ws.pressure.low3" else {}
        )
        for rule in city.model.rules
    ]
    city.model = replace(
        city.model,
        rules=replace(city.model.rules, rules=tuple(
            replace(rule, decl=decl) for rule, decl in zip(city.model.rules, decls, strict=True)
        )),
    )  # fmt: skip
    await city.begin()
    await city.say(falling(city, 1, 20, low=0.05))  # type: ignore[arg-type]
    await city.wait(1)
    assert await of(city, "ws.pressure.low2") == [("1", "unacknowledged")]
    assert await of(city, "ws.pressure.low3") == [("1", "suppressed")]
    better = {60.0 + 5 * step: 0.13 for step in range(200)}
    await city.say(city.batch("ws_pressure_logger-1", "pressure", better))
    await city.wait(1)
    assert await of(city, "ws.pressure.low2") == [("1", "returned")]
    assert await of(city, "ws.pressure.low3") == [("1", "unacknowledged")]


@pytest.mark.parametrize(("asset", "level"), [("node-1", 2), ("node-9", 3)])
async def test_where_an_event_is_protected_alarms_are_a_step_more_urgent(
    city: City, asset: str, level: int
) -> None:
    await city.begin()
    await switch(city, "protect.exam", 60, asset=asset)
    await city.say(falling(city, 1, 20))  # type: ignore[arg-type]
    (alert,) = await drops(city)
    assert alert["level"] == level


async def test_a_protected_event_arms_the_rules_that_wait_for_it(city: City) -> None:
    await city.begin()
    loud = {60.0 * minute: 58.0 for minute in range(12)}
    await city.say(city.batch("con_noise-1", "laeq_1m", loud))
    assert await of(city, "con.noise.exam") == []
    await switch(city, "protect.exam", 60, asset="site-1", lon=121.52)
    await city.say(city.batch("con_noise-1", "laeq_1m", {60.0 * (12 + minute): 58.0 for minute in range(12)}))
    assert await of(city, "con.noise.exam") == [("1", "unacknowledged")]


def test_what_is_pending_at_a_protected_place_waits_half_as_long() -> None:
    """Five minutes below the limit: two and a half where an exam is held, and as ever where none is."""
    exam = Permit("protect.exam", Place(121.49, 31.24), NOON_US, NOON_US + 60 * MINUTE_US)
    permits = Permits([exam])

    def raised() -> list[tuple[str, float, float]]:
        (detector,) = detectors(LOW)
        detector.hold._guards.switches = permits  # type: ignore[attr-defined]
        times = NOON_US + np.arange(8) * MINUTE_US
        return told(detector.observe(np.zeros(8, np.int32), times, np.full(8, 0.13)))

    assert raised() == [("RAISE", 180, 0)]
    permits.take([])
    assert raised() == [("RAISE", 300, 0)]


def test_a_season_is_everywhere_a_permit_where_it_was_given_and_both_only_while_they_last() -> None:
    here, there = Place(121.49, 31.24, asset="a"), Place(121.60, 31.24, asset="b")
    begins, ends = NOON_US, NOON_US + MINUTE_US
    permits = Permits(
        [Permit("season.flood", here, begins, ends), Permit("permit.work_order", here, begins, ends)]
    )
    assert permits("season.flood", there, begins)
    assert permits("work_order", here, begins)
    assert not permits("work_order", there, begins)
    assert not permits("season.flood", here, ends)
    assert not permits(PROTECT, here, begins)


# -- out of service ------------------------------------------------------------------------------------------


async def test_what_is_out_of_service_says_nothing_until_it_is_put_back_even_over_a_restart(
    city: City,
) -> None:
    await city.begin()
    await city.say(falling(city, 1, 20))  # type: ignore[arg-type]
    (alert,) = await drops(city)
    assert await act(city, alert, "out_of_service", reason="换表") == "out_of_service"
    back = {60.0 + 5 * step: 0.30 for step in range(200)}
    await city.say(city.batch("ws_pressure_logger-1", "pressure", back))
    await city.begin()
    await city.say(city.batch("ws_pressure_logger-1", "pressure", {1100.0 + 5 * n: 0.2 for n in range(4)}))
    standing, ended = await drops(city)
    assert (standing["state"], ended["state"]) == ("out_of_service", "normal")
    await city.wait(8 * 24 * 3600 / 100)
    assert [each["state"] for each in await drops(city)] == ["out_of_service", "normal"], (
        "nothing ends it but people"
    )
    assert await act(city, standing, "return_to_service") == "unacknowledged"


async def test_what_stands_for_more_than_a_day_is_stale_on_every_day_that_it_stands(city: City) -> None:
    await city.begin()
    await city.say(falling(city, 1, 20))  # type: ignore[arg-type]
    days = [NOON_US + day * DAY_US for day in range(4)]
    loads = [await city.views.load(one, other) for one, other in itertools.pairwise(days)]
    assert [(load.alerts, load.stale) for load in loads] == [(1, 0), (0, 1), (0, 1)]
    assert loads[1].stale_sources == ["ws.pressure.drop ws_pressure_logger-1/pressure"]
    assert loads[1].operator_alarms == 0, "it asked the day before"


async def test_of_the_alerts_of_an_incident_the_first_is_marked(city: City) -> None:
    await city.begin()
    await burst(city)
    (incident,) = await city.incidents()
    evidence = (await city.views.incident(str(incident["id"])))["evidence"]
    assert [(fact["device"], fact.get("first_out")) for fact in evidence] == [
        ("ws_pressure_logger-1", True), ("ws_pressure_logger-2", None), ("ws_pressure_logger-3", None),
    ]  # fmt: skip


def test_the_table_is_that_of_isa_18_2() -> None:
    """Every state and what leads to it: by the condition, by people, by design, by the clock."""
    s, a = alarm.State, alarm.Action
    wanted = {
        (s.UNACKNOWLEDGED, a.ACKNOWLEDGE): s.ACKNOWLEDGED, (s.UNACKNOWLEDGED, a.CLEAR): s.RETURNED,
        (s.ACKNOWLEDGED, a.CLEAR): s.NORMAL, (s.RETURNED, a.ACKNOWLEDGE): s.NORMAL,
        (s.RETURNED, a.REVIVE): s.UNACKNOWLEDGED, (s.NORMAL, a.REVIVE): s.ACKNOWLEDGED,
        **{(state, a.SHELVE): s.SHELVED for state in (s.UNACKNOWLEDGED, s.ACKNOWLEDGED, s.RETURNED)},
        **{(state, a.SUPPRESS): s.SUPPRESSED for state in (s.UNACKNOWLEDGED, s.ACKNOWLEDGED, s.RETURNED)},
        **{
            (state, a.OUT_OF_SERVICE): s.OUT_OF_SERVICE
            for state in (s.UNACKNOWLEDGED, s.ACKNOWLEDGED, s.RETURNED, s.SHELVED, s.SUPPRESSED)
        },
        (s.SHELVED, a.UNSHELVE): alarm.Back.IF_STANDING, (s.SHELVED, a.EXPIRE): alarm.Back.IF_STANDING,
        (s.SUPPRESSED, a.UNSUPPRESS): alarm.Back.IF_STANDING,
        (s.OUT_OF_SERVICE, a.RETURN_TO_SERVICE): alarm.Back.IF_STANDING,
        **{(state, a.CLEAR): s.NORMAL for state in alarm.ASIDE},
        **{(state, a.REVIVE): state for state in alarm.ASIDE},
        **{(state, a.WITHDRAW): s.NORMAL for state in s},
        **{(state, same): state for state in s for same in (a.AMEND, a.COMMENT)},
    }  # fmt: skip
    assert wanted == alarm.TABLE
