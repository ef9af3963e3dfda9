"""The scene at rest: valid devices, a complete history, the same for the same seed and time."""

from __future__ import annotations

import time
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from core import text
from core.clock import DAY_US, HOUR_US, MINUTE_US, WEEK_US
from core.domains import Domains
from core.schema import WIRE_ID
from iot import kinds
from simulators.scene import Scene, SceneKind, fallen
from tests.conftest import ROOT
from tests.simulators import small_city

NOW_US = 1_795_300_123_456_789
ZONE = ZoneInfo("Asia/Shanghai")

#: What the thirteen rows of the wall are computed from (domains/vitals §10), and the two in reserve.
NEEDED = {
    "ws_pressure_logger": ["pressure"], "ws_flow_meter": ["flow"],
    "ws_quality_station": ["turbidity", "chlorine", "ph"],
    "gas_station": ["outlet_pressure", "ch4_lel"], "gas_valve_pit": ["ch4_lel"], "gas_regulator": ["ch4_lel"],
    "dr_pump_station": ["pumps_available", "pumps_running"], "dr_well_gas": ["ch4_lel"],
    "fl_rain": ["rain_1h"], "fl_street_depth": ["depth"], "fl_underpass": ["depth"], "fl_river": ["river_level"],
    "fire_panel": ["sys_fire"], "fire_detector": ["alarm"], "fire_pipe_pressure": ["water_pressure"],
    "fire_tank": ["tank_level"], "fire_pump": ["auto_mode"],
    "con_dust_noise": ["pm10", "laeq_1m"], "con_noise": ["laeq_1m"], "con_background": ["pm10"],
}  # fmt: skip


def scene(kind: SceneKind = "both") -> Scene:
    return Scene(small_city.places(), ZONE, kind=kind)


@pytest.fixture(scope="module")
def told() -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    return {(device, channel): (times, values) for device, channel, times, values in scene().history(NOW_US)}


def test_every_device_is_of_a_declared_kind_and_speaks_its_channels(shipped: Domains) -> None:
    catalogue = kinds.load(shipped)
    rows = scene().rows()
    for device, row in zip(scene().devices, rows, strict=True):
        assert {say.channel for say in device.says} <= set(catalogue.kinds[device.kind].channels), device.id
        assert WIRE_ID.fullmatch(row.id)
        assert "⟦" not in row.name_zh + row.name_en, f"{device.kind} has no name"
        assert row.asset
        assert row.zone
        assert row.area
    assert len({row.id for row in rows}) == len(rows)
    assert len({row.name_zh for row in rows}) > 0.6 * len(rows)


def test_texts_of_both_languages_name_the_same_kinds() -> None:
    text.load([ROOT / "simulators"])


@pytest.mark.parametrize(
    ("kind", "provenances"),
    [
        ("both", {"recorded", "simulated"}),
        ("recorded", {"recorded"}),
        ("simulated", {"simulated"}),
        ("off", set()),
    ],
)
def test_the_setting_chooses_who_takes_part(kind: SceneKind, provenances: set[str]) -> None:
    chosen = scene(kind)
    assert {row.provenance for row in chosen.rows()} == provenances
    assert {gateway.provenance for gateway in chosen.gateways()} == provenances
    assert {row.gateway for row in chosen.rows()} == {gateway.id for gateway in chosen.gateways()}
    assert sum(1 for _ in chosen.history(NOW_US)) == sum(len(device.says) for device in chosen.devices)


def test_eight_flood_sensors_ten_inflows_and_one_street_are_recorded() -> None:
    kinds_of = [row.kind for row in scene("recorded").rows()]
    assert sorted(set(kinds_of)) == ["con_noise", "fl_street_depth", "ws_flow_meter"]
    assert [kinds_of.count(kind) for kind in ("con_noise", "fl_street_depth", "ws_flow_meter")] == [1, 8, 10]


def test_what_the_wall_needs_has_35_days_of_hours_and_3_days_of_5_minutes(
    told: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]],
) -> None:
    kind_of = {device.id: device.kind for device in scene().devices}
    sparse = {"fl-street-08", "fl-street-05"}  # recorded with gaps
    for kind, channels in NEEDED.items():
        for channel in channels:
            found = {d: told[d, c] for d, c in told if kind_of[d] == kind and c == channel}
            assert found, f"nobody says {channel} of {kind}"
            for device, (times, _) in found.items():
                hours = len(np.unique(times // HOUR_US))
                assert hours >= (120 if device in sparse else 700), f"{device} {channel}: {hours} hours"
                if device not in sparse and not device.startswith("ws-inlet"):
                    recent = times[times >= NOW_US - 2 * DAY_US]
                    assert np.median(np.diff(recent)) == 5 * MINUTE_US, device


def test_history_ascends_and_ends_before_now(
    told: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]],
) -> None:
    for (device, channel), (times, values) in told.items():
        assert len(times) == len(values)
        assert np.all(np.diff(times) > 0), (device, channel)
        assert times[0] > NOW_US - 36 * DAY_US
        assert times[-1] < NOW_US
        assert np.isfinite(values).all()
    newest = max(int(times[-1]) for times, _ in told.values())
    assert NOW_US - newest < 5 * MINUTE_US


def test_history_stays_inside_the_declared_ranges(
    told: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]], shipped: Domains
) -> None:
    catalogue = kinds.load(shipped)
    kind_of = {device.id: device.kind for device in scene("simulated").devices}
    for (device, channel), (_, values) in told.items():
        if device in kind_of:
            decl = catalogue.channels[catalogue.kinds[kind_of[device]].channels[channel]]
            assert decl.low <= values.min() <= values.max() <= decl.high, (device, channel)


def test_history_is_small_quick_and_the_same_again(
    told: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]],
) -> None:
    begun = time.perf_counter()
    again = {(device, channel): (times, values) for device, channel, times, values in scene().history(NOW_US)}
    assert time.perf_counter() - begun < 3
    assert 100_000 < sum(len(times) for times, _ in again.values()) < 1_200_000
    assert again.keys() == told.keys()
    for point, (times, values) in again.items():
        assert times.tobytes() == told[point][0].tobytes()
        assert values.tobytes() == told[point][1].tobytes()


def test_recorded_history_is_the_recording_shifted_by_whole_weeks() -> None:
    found = {d: (t, v) for d, c, t, v in scene("recorded").history(NOW_US) if c == "flow"}
    twelve_weeks = 12 * WEEK_US
    before = {d: (t, v) for d, c, t, v in scene("recorded").history(NOW_US - twelve_weeks) if c == "flow"}
    for device, (times, values) in found.items():
        assert np.array_equal(times - twelve_weeks, before[device][0])
        assert np.array_equal(values, before[device][1])


def test_the_last_hours_are_dry_and_it_rained_before() -> None:
    times = NOW_US - np.arange(35 * 24, dtype=np.int64)[::-1] * HOUR_US
    hour, day = (fallen(7, times, window, NOW_US) for window in (HOUR_US, DAY_US))
    assert hour[-24:].max() == 0
    assert day[-1] == 0
    assert hour.max() > 2
    assert np.all(day >= hour)
