"""Points that are looked at together: districts in balance, drains between their meters, one among many like it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.clock import HOUR_US, MINUTE_US
from events.detectors import Finds, Floats, merged
from events.detectors.bonds import no_pipes
from events.detectors.build import build
from events.detectors.groups import _others
from events.rules import RuleDecl
from events.usual import Usual
from iot.registry import Device, Registry
from iot.views import Hours
from tests.events.world import CITY, NOON_US, device, registry, rule, rules

BALANCE = rule(
    "balance", ["meter"], channel="flow", unit="m³/h", detector="balance", group="zone", unless="outlet", window="5m",
    on={"at_least": 50}, off={"below": 20},
)  # fmt: skip
BURST = rule(
    "burst", ["meter"], channel="flow", unit="/", detector="balance", group="zone", window="5m", against="usual",
    by="ratio", z=4, floor_share=0.03, on={"at_least": 1.35, "min_samples": 2}, off={"below": 1.15},
)  # fmt: skip
REACH = rule(
    "reach", ["meter"], channel="flow", unit="m³/h", detector="balance", group="reach", window="5m",
    on={"at_most": -30}, off={"above": -10},
)  # fmt: skip
APART = rule(
    "apart", ["noise"], channel="laeq", unit="dB", detector="apart", group="city", window="5m",
    on={"at_least": 10}, off={"below": 5},
)  # fmt: skip


def said(
    decl: RuleDecl,
    reg: Registry,
    series: dict[str, list[float]],
    usual: Usual | None = None,
    pipes: dict[str, str] | None = None,
) -> list[tuple[str, str, int]]:
    """(what, device, minutes of the onset) of a value a minute of each device; NaN: it is silent."""
    below = pipes or {}

    def downstream(upper: str, lower: str) -> float | None:
        while upper in below:
            upper = below[upper]
            if upper == lower:
                return 100.0
        return None

    detectors = build(rules(decl), reg, CITY, usual, downstream=downstream if pipes else no_pipes)
    rows = sorted(
        (min(reg.points_of(reg.devices[name]).values()), NOON_US + minute * MINUTE_US, value)
        for name, values in series.items()
        for minute, value in enumerate(values)
        if np.isfinite(value)
    )
    point, time_us, value = (np.array(column) for column in zip(*rows, strict=True))
    return [
        (
            Finds(row["kind"]).name, reg.by_number[int(reg.device_of[row["point"]])].id,
            int(row["onset_us"] - NOON_US) // MINUTE_US,
        )
        for row in merged(each.observe(point.astype(np.int32), time_us, value) for each in detectors)
    ]  # fmt: skip


def meter(number: int, **more: object) -> Device:
    return device(number, "meter", **more)


def test_what_leaves_a_district_is_no_loss_of_it() -> None:
    """The second brings 200 in, the third takes 180 of it out to the next district, the works' own outlet is none."""
    reg = registry(
        [
            meter(1, zone="A"), meter(2, zone="A"), meter(3, zone="B", params={"leaves": "A"}),
            meter(4, zone="A", params={"outlet": 1}),
        ]
    )  # fmt: skip
    calm = {"meter-1": [10.0] * 30, "meter-2": [200.0] * 30, "meter-3": [180.0] * 30, "meter-4": [900.0] * 30}
    assert said(BALANCE, reg, calm) == [("RAISE", "meter-3", 0)]
    assert said(BALANCE, reg, calm | {"meter-3": [180.0] * 10 + [140.0] * 20}) == [
        ("RAISE", "meter-3", 0),
        ("RAISE", "meter-1", 10),
    ]


def test_of_a_district_with_a_meter_that_is_silent_nobody_knows() -> None:
    reg = registry([meter(1, zone="A"), meter(2, zone="A")])
    silent = [np.nan] * 30
    assert said(BALANCE, reg, {"meter-1": [100.0] * 30, "meter-2": silent}) == []
    half = {"meter-1": [100.0] * 30, "meter-2": [0.0] * 5 + silent[5:]}
    assert said(BALANCE, reg, half) == [("RAISE", "meter-1", 0)]


def _usual(reg: Registry, value: float) -> Usual:
    """Every hour of four weeks is the same but for a per cent."""
    usual = Usual.nothing(reg.size, CITY)
    hours = np.arange(NOON_US - 28 * 24 * HOUR_US, NOON_US, HOUR_US, dtype=np.int64)
    for point in range(reg.size):
        level = value * (1 + 0.01 * np.sin(np.arange(len(hours))))
        n, here = len(hours), np.full(len(hours), point, np.int32)
        known = Hours(here, here.astype(np.int16), hours, level, level, level, np.full(n, 60, np.int32))
        usual.learn(np.array([point], np.int32), known, here)
    return usual


def test_a_district_that_takes_a_third_more_than_usual_is_found_whichever_inlet_it_comes_by() -> None:
    reg = registry([meter(1, zone="A"), meter(2, zone="A")])
    usual = _usual(reg, 100.0)
    calm = {"meter-1": [100.0] * 40, "meter-2": [100.0] * 40}
    assert said(BURST, reg, calm, usual) == []
    shifted = {"meter-1": [20.0] * 40, "meter-2": [180.0] * 40}
    assert said(BURST, reg, shifted, usual) == [], "one inlet took over from the other"
    assert said(BURST, reg, calm | {"meter-2": [100.0] * 10 + [180.0] * 30}, usual) == [
        ("RAISE", "meter-1", 10)
    ]


def test_a_drain_is_balanced_from_one_meter_to_the_next_and_not_beyond() -> None:
    """1 → 2 → 4 and 3 → 4: between 2 and 4 a half is lost."""
    reg = registry([meter(n, zone="CA-1", asset=f"well-{n}") for n in (1, 2, 3, 4)])
    pipes = {"well-1": "well-2", "well-2": "well-4", "well-3": "well-4"}
    flows = {"meter-1": [50.0] * 20, "meter-2": [80.0] * 20, "meter-3": [20.0] * 20, "meter-4": [100.0] * 20}
    assert said(REACH, reg, flows, pipes=pipes) == []
    assert said(REACH, reg, flows | {"meter-4": [50.0] * 20}, pipes=pipes) == [("RAISE", "meter-4", 0)]


def test_what_rain_brings_in_between_is_no_gain_of_a_drain() -> None:
    """Three of four millimetres more than the runoff that its lower meter is set to are one."""
    gain = rule(
        "gain", ["meter"], channel="flow", unit="m³/h", detector="balance", group="reach", window="5m",
        rain={"param": "runoff"}, on={"at_least": 30}, off={"below": 10},
    )  # fmt: skip
    meters = [
        meter(1, zone="CA", asset="well-1"),
        meter(2, zone="CA", asset="well-2", params={"runoff": 20.0}),
    ]
    reg = registry([*meters, device(3, "rain")])
    flows = {"meter-1": [50.0] * 20, "meter-2": [130.0] * 20}
    pipes = {"well-1": "well-2"}
    assert said(gain, reg, flows, pipes=pipes) == [("RAISE", "meter-2", 0)]
    wet = {"rain-3": [4.0 if minute % 5 == 0 else np.nan for minute in range(20)]}
    assert said(gain, reg, flows | wet, pipes=pipes) == []
    assert said(gain, reg, flows | {"rain-3": [2.0] * 20}, pipes=pipes) == [("RAISE", "meter-2", 0)]


def test_what_all_sites_hear_is_none_of_one() -> None:
    reg = registry([device(n, "noise") for n in range(1, 6)])
    night = {f"noise-{n}": [50.0 + n] * 10 + [70.0 + n] * 20 for n in range(1, 6)}
    assert said(APART, reg, night) == []
    assert said(APART, reg, night | {"noise-3": [53.0] * 10 + [90.0] * 20}) == [("RAISE", "noise-3", 10)]


def test_fewer_than_four_say_nothing_of_one_another() -> None:
    reg = registry([device(n, "noise") for n in range(1, 4)])
    assert said(APART, reg, {f"noise-{n}": [50.0 + 30 * (n == 1)] * 20 for n in range(1, 4)}) == []


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(st.integers(0, 5).map(float), st.just(float("nan"))), min_size=1, max_size=8),
        min_size=1,
        max_size=5,
    )
)
def test_the_median_of_the_others_is_that_of_leaving_one_out(values: list[list[float]]) -> None:
    group = np.repeat(np.arange(len(values))[::-1], [len(each) for each in values]).astype(np.int32)
    found = _others(group, np.array([value for each in values for value in each]), 3)
    wanted: list[float] = []
    for each in values:
        for place in range(len(each)):
            others: Floats = np.array([v for n, v in enumerate(each) if n != place and np.isfinite(v)])
            wanted.append(float(np.median(others)) if len(others) >= 3 else float("nan"))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "wrong",
    [
        {"group": None}, {"detector": "mean"}, {"by": "ratio"}, {"against": "neighbours"}, {"wait": "6m"},
        {"detector": "apart", "group": "reach"}, {"detector": "apart", "rain": {"param": "runoff"}},
    ],
)  # fmt: skip
def test_a_group_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    told = {
        "channel": "flow", "unit": "m³/h", "detector": "balance", "group": "zone", "window": "5m",
        "on": {"at_least": 50}, "off": {"below": 20},
    }  # fmt: skip
    rule("fine", ["meter"], **told)
    with pytest.raises(ValueError, match=r"group|compared|ratio|wait|reach|balance"):
        rule("wrong", ["meter"], **told | wrong)
