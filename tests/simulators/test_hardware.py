"""Faults: what each does to readings, that each is labelled, and that one seed gives the same readings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from simulators import hardware as hardware_
from simulators.fleet import Fleet, Point, Sample, Wire
from simulators.hardware import Hardware, Network
from simulators.scenario import Fault, GatewayOut

BEGUN_US = 1_795_300_000_000_000


def broken(
    kind: str, size: float = 0.0, minutes: int = 60, channel: str = "pm10", **more: float
) -> list[Sample]:
    """What arrives in the minutes of a fault, of a device that says 1, 2, 3 …"""
    hardware = Hardware({"it": ("DMA-01", "外滩街道")}, seed=1)
    hardware.begin(
        Fault.model_validate({"at": "0s", "do": "fault", "devices": "it", "kind": kind, "size": size}),
        0,
        BEGUN_US,
    )
    found: list[Sample] = []
    for minute in range(minutes):
        now = BEGUN_US + minute * MINUTE_US
        said = [
            Sample("it", channel, now, minute + 1.0),
            *(Sample("it", name, now, value) for name, value in more.items()),
        ]
        found += hardware.apply(said, now)
    assert [(label.device, label.kind, label.from_us) for label in hardware.labels] == [
        ("it", kind, BEGUN_US)
    ]
    return [sample for sample in found if sample.channel == channel]


def values(samples: list[Sample]) -> list[float]:
    return [sample.value for sample in samples]


CALM = [minute + 1.0 for minute in range(60)]


def test_values_that_are_wrong() -> None:
    assert values(broken("stuck")) == [1.0] * 60
    assert values(broken("bias", 5)) == [value + 5 for value in CALM]
    assert values(broken("spoof", 7)) == [7.0] * 60
    assert values(broken("drift", 24.0))[30] == pytest.approx(31 + 24.0 * 30 * MINUTE_US / DAY_US)
    off = [
        abs(value - right)
        for value, right in zip(values(broken("spikes", 9, 2000)), range(1, 2001), strict=True)
    ]
    assert set(off) == {0.0, 9.0}
    assert values(broken("clip", 20.0)) == [*CALM[:20], *[20.0] * 40]
    noise = np.array(values(broken("noisy", 3.0, 2000))) - np.arange(1, 2001)
    assert np.std(noise) == pytest.approx(3.0, rel=0.1)
    assert 0.01 < np.mean(np.array(off) > 0) < 0.03


def test_damp_air_lifts_dust_and_nothing_else() -> None:
    assert values(broken("humid", humidity=90.0)) == pytest.approx([1.3 * value for value in CALM])
    assert values(broken("humid", humidity=60.0)) == CALM
    assert values(broken("humid", channel="laeq_1m", humidity=97.0)) == CALM


def test_readings_that_do_not_come() -> None:
    assert broken("silent") == []
    assert values(broken("battery", 12)) == [12.0, 24.0, 36.0, 48.0, 60.0]
    lost = 1 - len(broken("dropout", minutes=5000)) / 5000
    assert 0.10 < lost < 0.25  # 0.02 / (0.02 + 0.10)
    assert values(broken("duplicate", minutes=3)) == [1.0, 1.0, 2.0, 2.0, 3.0], (
        "again a tick later, within 30 s"
    )
    assert 1.2 < len(broken("duplicate", 0.3, minutes=1000)) / 1000 < 1.4


def test_clocks_that_err() -> None:
    assert broken("clock")[0].time_us == BEGUN_US + 8 * HOUR_US
    assert broken("clock", 90)[0].time_us == BEGUN_US + 90 * SECOND_US
    assert broken("epoch")[3].time_us == 3 * MINUTE_US
    off = [sample.time_us - BEGUN_US - n * MINUTE_US for n, sample in enumerate(broken("clock_drift", 1000))]
    assert abs(off[0]) < 8 * SECOND_US
    assert off[50] - off[0] == 50 * MINUTE_US // 1000


def test_a_base_station_that_is_out_silences_its_area_and_labels_each_device() -> None:
    where = {"a": ("DMA-01", "外滩街道"), "b": ("DMA-02", "外滩街道"), "c": ("DMA-02", "豫园街道")}
    hardware = Hardware(where, seed=1)
    outage = {"at": "0s", "do": "fault", "devices": "*", "kind": "silent", "area": "外滩街道"}
    hardware.begin(Fault.model_validate(outage), 3, BEGUN_US)
    said = [Sample(device, "pressure", BEGUN_US, 1.0) for device in where]
    assert [sample.device for sample in hardware.apply(said, BEGUN_US)] == ["c"]
    hardware.end(3, BEGUN_US + HOUR_US)
    assert [sample.device for sample in hardware.apply(said, BEGUN_US)] == ["a", "b", "c"]
    told = [(label.device, label.kind, label.from_us, label.to_us) for label in hardware.labels]
    assert told == [(device, "silent", BEGUN_US, BEGUN_US + HOUR_US) for device in ("a", "b")]


def test_every_fault_that_a_scenario_can_ask_for_is_in_the_table_and_tried_here() -> None:
    """The other tests of this file call `broken` with each."""
    kinds = get_args(Fault.model_fields["kind"].annotation)
    table, tests = str(hardware_.__doc__), Path(__file__).read_text("utf-8")
    for kind in kinds:
        assert re.search(rf"^\| ([a-z_]+, )*{kind}[ ,]", table, re.MULTILINE), kind
        assert f'broken("{kind}"' in tests, kind


def test_who_is_alarmed_says_more_for_a_while() -> None:
    level = [1.0]
    point = Point("it", "depth", 30 * MINUTE_US, deadband=2.0, alarm_us=MINUTE_US)
    fleet = Fleet([point], lambda rows, _now: np.full(len(rows), level[0]))

    def said(minutes: range) -> int:
        return sum(len(fleet.emit(n * MINUTE_US, (n + 1) * MINUTE_US)) for n in minutes)

    assert said(range(30)) == 1
    level[0] = 9.0
    assert 10 <= said(range(30, 42)) <= 12
    assert said(range(42, 102)) == 2
    fleet.hurry("i*", 5 * MINUTE_US)
    assert said(range(102, 132)) == 6


def test_late_readings_arrive_out_of_order_and_unchanged() -> None:
    found = broken("late", 100.0, minutes=600)
    times = [sample.time_us for sample in found]
    assert times != sorted(times)
    assert len(found) > 590
    assert all(sample.value == 1 + (sample.time_us - BEGUN_US) / MINUTE_US for sample in found)


def test_one_seed_gives_the_same_readings() -> None:
    assert broken("dropout", minutes=500) == broken("dropout", minutes=500)
    assert broken("late", 30.0) == broken("late", 30.0)


def test_a_gateway_that_was_cut_off_dumps_the_oldest_first_among_live_frames() -> None:
    network = Network()
    network.begin(
        GatewayOut.model_validate({"at": "0s", "do": "gateway_out", "gateway": "gw", "dump_per_s": 2})
    )
    frames = [Wire("gw", "telemetry/gw", bytes([n])) for n in range(8)]
    assert network.carry(frames[:6], BEGUN_US, 1.0) == []
    network.end("gw")
    assert network.carry(frames[6:7], BEGUN_US, 1.0) == [frames[6], *frames[:2]]
    assert network.carry([], BEGUN_US, 2.0) == frames[2:6]
    assert network.held == 0
