"""The wind as the city's vanes say it, and what lies in it."""

from __future__ import annotations

import math

import pytest

from core.batch import Batch
from core.clock import HOUR_US
from events.engine import Engine, Model
from events.place import Place, World, related
from events.types import Near
from iot import registry as registries
from iot.kinds import Catalogue, Channel
from iot.readings import Logged
from iot.registry import Device, Gateway, Registry
from tests.events.world import CITY, NOON_US

SITE = Place(121.49, 31.24, "site")


@pytest.fixture
def sites(catalogue: Catalogue) -> Registry:
    """Two monitors with vanes, a kilometre apart, and one at the other end of the country."""
    channels = [
        Channel(number, name.partition(".")[0], decl)
        for number, (name, decl) in enumerate(catalogue.channels.items(), 1)
    ]
    devices = [
        Device(
            number=number, id=f"dust-{number}", kind="con_dust_noise", domain="construction",
            name={"zh": "扬尘", "en": "dust"}, lon=lon, lat=31.24, gateway="gw", wire_name=f"dust-{number}",
        )
        for number, lon in ((1, 121.49), (2, 121.50), (3, 100.0))
    ]  # fmt: skip
    return registries.build([Gateway(1, "gw")], devices, channels, catalogue)


def said(registry: Registry, device: str, time_us: int, **values: float) -> Batch:
    found = registry.devices[device]
    numbers = [registry.channel(found, name) for name in values]
    return Batch.of(
        device=found.number, channel=[number.number for number in numbers if number], time_us=[time_us] * len(values),
        value=list(values.values()), gateway=1,
    )  # fmt: skip


def blows_to(model: Model, registry: Registry, *batches: Batch, at_us: int = NOON_US) -> float | None:
    engine = Engine(model, registry, CITY)
    engine.take(Logged(1, Batch.concat(batches)))
    wind = engine.correlator.world.wind
    assert wind is not None
    return wind(SITE, at_us)


def test_a_vane_says_where_the_wind_comes_from_and_it_blows_the_other_way(
    model: Model, sites: Registry
) -> None:
    west = said(sites, "dust-1", NOON_US, wind_speed=3.0, wind_dir=270.0)
    assert blows_to(model, sites, west) == pytest.approx(0.0, abs=1e-9)
    south = said(sites, "dust-1", NOON_US, wind_speed=3.0, wind_dir=180.0)
    assert blows_to(model, sites, south) == pytest.approx(math.pi / 2)


def test_several_vanes_are_asked_and_far_ones_are_not(model: Model, sites: Registry) -> None:
    one = said(sites, "dust-1", NOON_US, wind_speed=3.0, wind_dir=250.0)
    other = said(sites, "dust-2", NOON_US, wind_speed=3.0, wind_dir=290.0)
    far = said(sites, "dust-3", NOON_US, wind_speed=30.0, wind_dir=90.0)
    assert blows_to(model, sites, one, other, far) == pytest.approx(0.0, abs=1e-9)
    assert blows_to(model, sites, far) is None


def test_in_calm_and_after_an_hour_of_silence_there_is_no_direction(model: Model, sites: Registry) -> None:
    assert blows_to(model, sites, said(sites, "dust-1", NOON_US, wind_speed=0.2, wind_dir=250.0)) is None
    old = said(sites, "dust-1", NOON_US - HOUR_US - 1, wind_speed=3.0, wind_dir=250.0)
    assert blows_to(model, sites, old) is None


@pytest.mark.parametrize(
    ("east_m", "north_m", "joined"),
    [(800, 0, True), (-800, 0, True), (800, 250, True), (800, 500, False), (0, 35, True), (0, 200, False)],
)
def test_in_the_wind_lies_what_a_plume_would_reach(east_m: float, north_m: float, *, joined: bool) -> None:
    there = Place(
        SITE.lon + east_m / (111_320 * math.cos(math.radians(SITE.lat))), SITE.lat + north_m / 111_320, "x"
    )
    assert related(Near(downwind_m=1200), there, SITE, World(wind=lambda *_: 0.0)) is joined
