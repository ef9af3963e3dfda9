"""Who says nothing any more: the highest that explains it speaks alone, and our own restart says nothing."""

from __future__ import annotations

import pytest

from core.clock import SECOND_US
from events.rules import RuleDecl, RuleSet
from events.silence import Heard, Silence, Silent
from iot.care import Care, Window
from iot.registry import Registry
from tests.events.conftest import City
from tests.events.world import NOON_US, device, registry, rule, rules

DEVICE = rule("dev.silent", ["*"], level=4, detector="silence", on={"at_least": 1}, off={"below": 1})
GATEWAY = rule(
    "dev.gateway_lost", ["*"], detector="gateway_lost",
    on={"at_least": 1, "for": "120s"}, off={"below": 1, "for": "60s"},
)  # fmt: skip
STREET = rule(
    "dev.area_lost", ["*"], level=2, detector="area_lost",
    on={"at_least": 0.3, "for": "5m"}, off={"below": 0.3, "for": "10m"},
)  # fmt: skip
EVERYBODY = rule(
    "dev.all_lost", ["*"], level=2, detector="all_lost",
    on={"at_least": 0.9, "for": "60s"}, off={"below": 0.9, "for": "60s"},
)  # fmt: skip
LIFE = rule(
    "life", ["gauge"], channel="depth", unit="cm", on={"at_least": 25}, off={"below": 15}, **{"class": "life"}
)


class Watch:
    """A city in which time passes: the standing silence is remembered as the alerts table would."""

    def __init__(self, reg: Registry, *decls: RuleDecl, started_s: float = -3600) -> None:
        self.rules: RuleSet = rules(*(decls or (DEVICE, GATEWAY, STREET, EVERYBODY)))
        self.registry = reg
        self.heard = Heard(reg)
        self.silence = Silence(self.rules, reg, NOON_US + round(started_s * SECOND_US))
        self.standing: dict[tuple[str, str], int] = {}
        self.heard.device[:] = self.heard.gateway[:] = NOON_US

    def speak(self, devices: list[int], at_s: float) -> None:
        for each in self.registry.devices.values():
            if each.number in devices:
                self.heard.device[each.number] = NOON_US + round(at_s * SECOND_US)
                gateway = self.registry.gateways[each.gateway].number
                self.heard.gateway[gateway] = NOON_US + round(at_s * SECOND_US)

    def at(self, seconds: float) -> list[Silent]:
        found = self.silence.judge(self.heard, self.standing, NOON_US + round(seconds * SECOND_US))
        self.standing = {(each.rule.key, each.subject): each.since_us for each in found}
        return found


def told(found: list[Silent]) -> list[tuple[str, bool]]:
    return [(each.subject, each.suppressed) for each in found]


def test_a_device_is_silent_after_three_periods_and_dated_when_it_was_last_heard() -> None:
    watch = Watch(registry([device(1, "logger"), device(2, "logger")]))
    watch.speak([2], 170)
    assert watch.at(179) == []
    (silent,) = watch.at(181)
    assert (silent.subject, silent.since_us) == ("logger-1", NOON_US)
    watch.speak([1], 200)
    assert watch.at(201) == []


def test_while_somebody_works_on_it_silence_is_no_alarm() -> None:
    watch = Watch(registry([device(1, "logger"), device(2, "logger", gateway="gw2")]), DEVICE, GATEWAY)
    window = Window(NOON_US + 200 * SECOND_US, NOON_US + 900 * SECOND_US)
    watch.registry.care = Care(windows={1: [window], 2: [window]})
    assert len(watch.at(190)) == 2  # before it began
    assert [told(watch.at(at)) for at in (200, 300, 600, 890)][1:] == [[], [], []]
    for at in range(900, 1200, 60):
        found = watch.at(at)
    assert told(found)[:2] == [("gateway:gw", False), ("gateway:gw2", False)]


def test_a_dead_gateway_with_five_hundred_devices_is_exactly_one_alarm() -> None:
    devices = [device(n, "logger") for n in range(1, 501)]
    devices.append(device(501, "logger", gateway="gw2"))
    watch = Watch(registry(devices))
    for minute in range(1, 30):
        watch.speak([501], minute * 60)
        found = watch.at(minute * 60)
    assert told(found) == [("gateway:gw", False)]


def test_devices_that_were_silent_before_their_gateway_are_suppressed_by_it() -> None:
    watch = Watch(registry([device(1, "logger"), device(2, "logger"), device(3, "logger", gateway="gw2")]))
    for at in range(60, 541, 60):
        watch.speak([3] if at > 240 else [2, 3], at)
        found = watch.at(at)
    assert told(found) == [("gateway:gw", False), ("logger-1", True)]


def test_a_street_that_falls_silent_is_one_alarm_above_its_devices() -> None:
    devices = [device(n, "logger", area="外滩", gateway="gw" if n % 2 else "gw2") for n in range(1, 11)]
    watch = Watch(registry(devices), DEVICE, STREET)
    for at in range(0, 901, 30):
        watch.speak([1, 2, 3, 4, 5, 6], at)
        found = watch.at(at)
    assert told(found)[0] == ("area:外滩", False)
    assert {suppressed for subject, suppressed in told(found) if subject.startswith("logger")} == {True}


def test_when_nearly_all_gateways_fall_silent_we_look_at_ourselves_first() -> None:
    watch = Watch(registry([device(1, "logger"), device(2, "logger", gateway="gw2")]))
    for at in range(0, 601, 30):
        found = watch.at(at)
    assert told(found) == [("city", False), ("gateway:gw", True), ("gateway:gw2", True)]


def test_our_own_start_blames_nobody_for_what_we_could_not_hear() -> None:
    watch = Watch(registry([device(1, "logger"), device(2, "logger", gateway="gw2")]), started_s=3600)
    assert watch.at(3601) == []
    assert watch.at(3600 + 179) == []
    assert len(watch.at(3600 + 400)) > 0


def test_what_stood_before_our_start_still_stands() -> None:
    watch = Watch(registry([device(1, "logger"), device(2, "logger")]), DEVICE, started_s=3600)
    watch.standing = {("dev.silent", "logger-1"): NOON_US}
    watch.speak([2], 3601)
    assert told(watch.at(3602)) == [("logger-1", False)]


def test_a_device_that_has_never_spoken_is_unknown_and_not_silent() -> None:
    watch = Watch(registry([device(1, "logger")]), DEVICE)
    watch.heard.device[:] = -(2**63)
    assert watch.at(10_000) == []


@pytest.mark.parametrize(("kind", "level"), [("gauge", 3), ("logger", 4)])
def test_silence_where_a_life_rule_looks_is_more_urgent(kind: str, level: int) -> None:
    (silent,) = Watch(registry([device(1, kind)]), DEVICE, LIFE).at(600)
    assert silent.level == level


def test_a_gateway_that_is_back_for_a_moment_is_not_back() -> None:
    watch = Watch(registry([device(1, "logger"), device(2, "logger", gateway="gw2")]), GATEWAY)
    watch.speak([2], 200)
    assert told(watch.at(200)) == [("gateway:gw", False)]
    watch.speak([1, 2], 210)
    assert told(watch.at(211)) == [("gateway:gw", False)]
    watch.speak([1, 2], 270)
    assert told(watch.at(272)) == []


async def test_silence_stands_in_the_table_and_ends_there(city: City) -> None:
    await city.begin()
    await city.say(city.batch("ws_pressure_logger-1", "pressure", {0.0: 0.3}))
    await city.say(city.batch("fl_underpass-1", "depth", {0.0: 0.0}))
    await city.wait(600)
    silent = [alert for alert in await city.alerts() if str(alert["rule"]).startswith("dev.")]
    assert {str(alert["rule"]) for alert in silent if alert["state"] == "unacknowledged"} == {"dev.all_lost"}
    await city.begin()
    await city.say(city.batch("ws_pressure_logger-1", "pressure", {700.0: 0.3}))
    await city.say(city.batch("fl_underpass-1", "depth", {700.0: 0.0}))
    for at in (730.0, 760.0, 790.0, 820.0):
        await city.say(city.batch("ws_pressure_logger-1", "pressure", {at: 0.3}))
        await city.say(city.batch("fl_underpass-1", "depth", {at: 0.0}))
    assert [a["standing"] for a in await city.alerts() if str(a["rule"]) == "dev.all_lost"] == [False]
