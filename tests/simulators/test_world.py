"""Scenarios in motion on the sample city: one seed, the same bytes; what is done has the effect that it must have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest

from core.clock import MINUTE_US
from gis.city import City, sample_city
from simulators import scenario
from simulators.sample import places_of
from simulators.scenario import Scenario
from simulators.scene import FORMATS, Scene
from simulators.world import World

SCRIPTS = {script.key: script for script in scenario.shipped()}


@pytest.fixture(scope="module")
def city() -> City:
    return sample_city(1)


@pytest.fixture(scope="module")
def scene(city: City) -> Scene:
    return Scene(places_of(city), ZoneInfo("Asia/Shanghai"), speaks=FORMATS)


def played(scene: Scene, script: Scenario, city: City) -> Iterator[World]:
    """The world after each tick; closed at the end."""
    world = World(scene, script, city)
    try:
        while world.now_us < world.ends_us:
            yield world
    finally:
        world.close()


def digest(scene: Scene, script: Scenario, city: City) -> tuple[str, int]:
    """Of all frames of a run, with their times and topics; and how many there were."""
    told, frames = hashlib.sha256(), 0
    for world in played(scene, script, city):
        for wire in world.advance():
            told.update(f"{world.now_us} {wire.gateway} {wire.topic} ".encode() + wire.payload)
            frames += 1
    return told.hexdigest(), frames


@pytest.mark.parametrize("key", ["fire-low-hydrants", "dry-blockage"])
def test_one_seed_gives_the_same_frames(key: str, scene: Scene, city: City) -> None:
    script = SCRIPTS[key].model_copy(update={"lasts": 2700.0})
    first = digest(scene, script, city)
    assert first[1] > 100
    assert digest(scene, script, city) == first
    assert digest(scene, script.model_copy(update={"seed": 99}), city) != first


def test_shutting_the_recommended_valves_ends_the_leak_and_brings_the_pressures_back(
    scene: Scene, city: City
) -> None:
    """The valves are those that the map tells the product (`gis`); the truth is the hydraulics of the running city."""
    loss: dict[int, float] = {}
    short: dict[int, float] = {}
    for world in played(scene, SCRIPTS["night-burst"], city):
        world.advance()
        minute = (world.now_us - world.begun_us) // MINUTE_US
        if minute in (29, 54, 56, 83) and minute not in loss:
            assert world.mains
            loss[minute] = world.mains.loss_m3h(0)
            dry = (
                city.networks["water_supply"].isolating_valves(world.told[0].spot.asset).nodes
                if loss[minute]
                else ()
            )
            wet = [
                device.spot.node not in dry for device in world.devices if device.kind == "ws_pressure_logger"
            ]
            supply = world.mains.supply
            short[minute] = float((supply.calm_now() - supply.now)[: len(wet)][wet].max())
    assert loss[29] == 0.0
    assert loss[54] > 300
    assert short[54] > 0.02
    assert loss[56] == pytest.approx(0.0, abs=0.1)  # the engine gives a closed pipe a trace
    assert short[56] < 0.01
    assert loss[83] == 0.0
    assert short[83] < 0.001


@pytest.mark.long
@pytest.mark.parametrize("key", SCRIPTS)
def test_one_seed_gives_the_same_frames_in_every_scenario(key: str, scene: Scene, city: City) -> None:
    assert digest(scene, SCRIPTS[key], city) == digest(scene, SCRIPTS[key], city)


@pytest.mark.long
def test_a_storm_floods_the_underpass_measurably_deeper_where_inlets_are_clogged(
    scene: Scene, city: City
) -> None:
    """Both as the sensor in the underpass says it, in centimetres; 30 inlets at a tenth around it, or none."""
    pytest.importorskip("numba", reason="the extra `flood` is not installed")
    script = SCRIPTS["storm-clogged"].model_copy(update={"lasts": 2 * 3600.0})
    clean = [action for action in script.actions if getattr(action, "do", "") != "clog"]
    deepest = []
    for each in (script, script.model_copy(update={"actions": clean})):
        for world in played(scene, each, city):
            world.advance()
        deepest.append(max(value for _, value in world.heard["fl-under-01/depth"]))
    assert deepest[0] > deepest[1] + 25
