"""The registry in memory: dense numbers that stay, unknown pairs that say so, and what a wire name leads to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.domains import Domains
from iot import kinds
from iot.kinds import Catalogue, Channel
from iot.registry import Device, Gateway, Registry, build

KINDS = ("ws_pressure_logger", "fl_barrier", "gas_space", "con_dust_noise", "fire_detector")
#: Device number → kind: what one snapshot holds.
CITIES = st.dictionaries(st.integers(0, 12), st.sampled_from(KINDS), max_size=8)


@pytest.fixture(scope="module")
def catalogue(shipped: Domains) -> Catalogue:
    return kinds.load(shipped)


def snapshot(catalogue: Catalogue, city: dict[int, str], before: Registry | None = None) -> Registry:
    """Devices on two gateways; channel numbers as the database would give them, not dense."""
    channels = [
        Channel(3 * row + 1, name.split(".")[0], decl)
        for row, (name, decl) in enumerate(catalogue.channels.items())
    ]
    devices = [
        Device(
            number,
            f"D{number}",
            kind,
            catalogue.kinds[kind].domain,
            {},
            121.5,
            31.2,
            f"G{number % 2}",
            f"w{number}",
        )
        for number, kind in city.items()
    ]
    return build([Gateway(1, "G0"), Gateway(2, "G1")], devices, channels, catalogue, before)


def numbering(registry: Registry) -> dict[tuple[str, str], int]:
    return {
        (device.id, name): point
        for device in registry.devices.values()
        for name, point in registry.points_of(device).items()
    }


@settings(deadline=None)
@given(st.lists(CITIES, min_size=1, max_size=5))
def test_points_keep_their_numbers_while_devices_come_go_and_change_kind(
    catalogue: Catalogue, cities: list[dict[int, str]]
) -> None:
    given_to: dict[int, tuple[int, str, str]] = {}
    before: Registry | None = None
    for city in cities:
        registry = snapshot(catalogue, city, before)
        for (device, name), point in numbering(registry).items():
            number = int(device[1:])
            assert given_to.setdefault(point, (number, city[number], name)) == (number, city[number], name)
            assert 0 <= point < registry.size
        if before is None:
            assert sorted(numbering(registry).values()) == list(range(registry.size))
        else:
            assert registry.size >= before.size
        before = registry


@settings(deadline=None)
@given(CITIES, CITIES)
def test_point_finds_every_pair_of_the_registry_and_minus_one_for_all_others(
    catalogue: Catalogue, old: dict[int, str], city: dict[int, str]
) -> None:
    registry = snapshot(catalogue, city, snapshot(catalogue, old))
    numbers = [channel.number for channel in registry.channels.values()]
    device, channel = np.meshgrid(np.arange(-2, 20), np.array([-1, 0, *numbers, max(numbers) + 5]))
    points = registry.point(device.ravel().astype(np.int32), channel.ravel().astype(np.int32))
    found = {
        (int(d), int(c)): int(point)
        for d, c, point in zip(device.ravel(), channel.ravel(), points, strict=True)
        if point != -1
    }
    expected = {
        (device.number, registry.channels[full].number): registry.points_of(device)[name]
        for device in registry.devices.values()
        for name, full in registry.kind_of(device).channels.items()
    }
    assert found == expected
    for (number, channel_number), point in found.items():
        assert (registry.device_of[point], registry.channel_of[point]) == (number, channel_number)


def test_an_empty_registry_knows_no_point(catalogue: Catalogue) -> None:
    registry = snapshot(catalogue, {})
    assert registry.size == 0
    assert registry.point(np.array([0, 5], np.int32), np.array([1, 1], np.int16)).tolist() == [-1, -1]
    assert registry.point(np.empty(0, np.int32), np.empty(0, np.int16)).tolist() == []
    assert registry.wire_points("G0") == {}


def test_a_gateway_reaches_its_own_devices_by_their_wire_names(catalogue: Catalogue) -> None:
    registry = snapshot(catalogue, {2: "ws_pressure_logger", 3: "fl_barrier", 4: "gas_space"})
    names = {name.partition("/")[0] for name in registry.wire_points("G0")}
    assert names == {"w2", "w4"}
    assert set(registry.wire_points("G1")) == {
        "w3/barrier_closed",
        "w3/siren_on",
        "w3/text_code",
        "w3/power_ok",
    }
    assert registry.wire_points("nobody") == {}


def test_a_wire_name_leads_to_its_point(catalogue: Catalogue) -> None:
    registry = snapshot(catalogue, {2: "ws_pressure_logger", 3: "fl_barrier"})
    pressure = registry.wire_points("G0")["w2/pressure"]
    assert registry.device_of[pressure] == 2
    assert registry.channel_of[pressure] == registry.channels["water_supply.pressure"].number
    power = registry.wire_points("G1")["w3/power_ok"]
    assert registry.channel_of[power] == registry.channels["common.power_ok"].number


def test_a_device_knows_the_channels_of_its_kind_only(catalogue: Catalogue) -> None:
    registry = snapshot(catalogue, {2: "ws_pressure_logger"})
    device = registry.devices["D2"]
    battery = registry.channel(device, "battery")
    assert battery is not None
    assert battery.full_name == "common.battery"
    assert registry.channel(device, "flow") is None
