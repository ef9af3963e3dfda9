"""Dust traced to its site by what the engine remembers of monitors and vanes."""

from __future__ import annotations

import numpy as np
import pytest

from core.batch import Batch
from core.clock import MINUTE_US
from events.detectors import Floats, Ints, Times
from events.detectors.trail import STEP_US, STEPS, Trail
from events.detectors.watches import compile_points
from events.engine import Engine, Model
from events.place import METRES_A_DEGREE, Place
from events.plume import Air, plumes
from iot import registry as registries
from iot.kinds import Catalogue, Channel
from iot.readings import Logged
from iot.registry import Device, Gateway, Registry
from tests.events.world import CITY, NOON_US, rng

#: Two monitors each at three sites, metres to the east and north.
SITES = {"a": (0.0, 0.0), "b": (700.0, 100.0), "c": (100.0, 800.0)}
BESIDE = ((60.0, 0.0), (-40.0, 50.0))
LON, LAT = 121.49, 31.24
SHRUNK = METRES_A_DEGREE * float(np.cos(np.radians(LAT)))
#: The readings of six hours, every five minutes.
TIMES = NOON_US + 5 * MINUTE_US * np.arange(72)


@pytest.fixture
def sites(catalogue: Catalogue) -> Registry:
    channels = [
        Channel(number, name.partition(".")[0], decl)
        for number, (name, decl) in enumerate(catalogue.channels.items(), 1)
    ]
    devices: list[Device] = []
    for site, (x, y) in SITES.items():
        for dx, dy in BESIDE:
            number = len(devices) + 1
            devices.append(
                Device(
                    number=number, id=f"dust-{number}", kind="con_dust_noise", domain="construction", name={},
                    lon=LON + (x + dx) / SHRUNK, lat=LAT + (y + dy) / METRES_A_DEGREE, gateway="gw",
                    wire_name=f"dust-{number}", asset=site,
                )
            )  # fmt: skip
    return registries.build([Gateway(1, "gw")], devices, channels, catalogue)


def heard(registry: Registry, source: str | None) -> Batch:
    """Wind from the west-south-west that turns, vanes 15° wrong each in its way, and one site at work half the time."""
    chance = rng(1)
    monitors = np.array([(x + dx, y + dy) for x, y in SITES.values() for dx, dy in BESIDE])
    wind, speed = 225.0 + np.linspace(0, 60, len(TIMES)), np.full(len(TIMES), 2.5)
    dust = np.zeros((len(TIMES), len(monitors)))
    if source is not None:
        air = Air(np.array([SITES[source]]), monitors, dust, wind, speed, "D")
        dust = 3.0 * plumes(air, wind[:, None])[:, 0, 0] * (np.arange(len(TIMES)) > 30)[:, None]
    seen = (60.0 + dust) * (1 + 0.1 * chance.standard_normal(dust.shape))
    batches = []
    for place, device in enumerate(registry.devices.values()):
        told = (wind + chance.normal(0, 15, len(TIMES))) % 360
        for name, values in (("pm10", seen[:, place]), ("wind_dir", told), ("wind_speed", speed)):
            channel = registry.channel(device, name)
            assert channel is not None
            batches.append(
                Batch.of(
                    device=device.number, channel=[channel.number] * len(TIMES), time_us=TIMES.tolist(),
                    value=values.tolist(), gateway=1,
                )
            )  # fmt: skip
    return Batch.concat(batches)


@pytest.mark.parametrize("source", ["a", "b", None])
def test_the_engine_traces_dust_to_the_site_at_work(
    model: Model, sites: Registry, source: str | None
) -> None:
    engine = Engine(model, sites, CITY)
    engine.take(Logged(1, heard(sites, source)))
    trace = engine.correlator.world.trace
    assert trace is not None
    found = trace("pm10", Place(LON, LAT, asset="a"))
    assert set(found) == set(SITES)
    assert {site for site, chance in found.items() if chance > 0.5} == ({source} if source else set())


def test_before_anybody_has_spoken_and_far_from_all_nothing_is_said(model: Model, sites: Registry) -> None:
    engine = Engine(model, sites, CITY)
    trace = engine.correlator.world.trace
    assert trace is not None
    assert trace("pm10", Place(LON, LAT, asset="a")) == {}
    engine.take(Logged(1, heard(sites, "a")))
    assert trace("pm10", Place(LON + 1, LAT, asset="elsewhere")) == {}


def test_what_is_remembered_survives_a_snapshot(model: Model, sites: Registry) -> None:
    one, other = Engine(model, sites, CITY), Engine(model, sites, CITY)
    one.take(Logged(1, heard(sites, "a")))
    one.advance(int(TIMES[-1]) + 60 * MINUTE_US)
    other.restore(one.snapshot(full=True))
    there = Place(LON, LAT, asset="a")
    assert one.correlator.world.trace is not None
    assert other.correlator.world.trace is not None
    assert other.correlator.world.trace("pm10", there) == one.correlator.world.trace("pm10", there)


# -- what is remembered ------------------------------------------------------------------------------------


def trail() -> Trail:
    return Trail(compile_points([1, 3], 5), np.array([False, True]))


def told() -> tuple[Ints, Times, Floats]:
    """Two remembered points and one that is not, with pauses of up to many steps."""
    point = np.repeat(np.array([1, 2, 3], np.int32), 60)
    pauses = rng(5).choice([1, 4, 15, 40, 900], 180, p=[0.4, 0.3, 0.2, 0.08, 0.02]).reshape(3, 60)
    return point, (NOON_US + np.cumsum(pauses, axis=1) * MINUTE_US).ravel(), rng(6).uniform(0, 360, 180)


@pytest.mark.parametrize("cut_min", [0, 7, 100, 1000, 2500])
def test_any_split_and_a_restart_remember_the_same(cut_min: int) -> None:
    point, time_us, value = told()
    whole, split, again = trail(), trail(), trail()
    whole.observe(point, time_us, value)
    everybody = np.array([1, 3], np.int32)
    early = time_us < NOON_US + cut_min * MINUTE_US
    split.observe(point[early], time_us[early], value[early])
    again.restore(split.state(everybody))
    again.observe(point[~early], time_us[~early], value[~early])
    assert again.state(everybody).tobytes() == whole.state(everybody).tobytes()
    again.forget(everybody)
    assert again.state(everybody).tobytes() == trail().state(everybody).tobytes()


def test_steps_are_means_and_angles_are_what_came_last() -> None:
    point, time_us, value = told()
    one = trail()
    one.observe(point, time_us, value)
    end = one.newest(np.array([1, 3], np.int32))
    found = one.steps(np.array([1, 3], np.int32), end)
    for column, which in enumerate((1, 3)):
        for row in range(STEPS):
            lies = (point == which) & (time_us // STEP_US == end - STEPS + 1 + row)
            recent = lies & (time_us // STEP_US > time_us[point == which].max() // STEP_US - STEPS)
            expected = (
                np.nan if not recent.any() else value[recent].mean() if which == 1 else value[recent][-1]
            )
            assert found[row, column] == pytest.approx(expected, nan_ok=True)
