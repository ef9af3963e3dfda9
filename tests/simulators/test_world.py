"""Scenarios in motion on the sample city: one seed, the same bytes; what is done has the effect that it must have."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest

from app.score import scenarios
from core.clock import MINUTE_US
from core.domains import Domains
from gis.city import City, sample_city
from simulators import scenario
from simulators.responders import Job
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


def test_a_crew_drives_there_shuts_the_recommended_valves_and_the_leak_ends(scene: Scene, city: City) -> None:
    """The valves are those of the map (`gis`), the truth is the hydraulics of the running city."""
    loss: dict[int, float] = {}
    short: dict[int, float] = {}
    sent: list[Job] = []
    loggers = [device for device in scene.devices if device.kind == "ws_pressure_logger"]
    wet = [True] * len(loggers)
    for world in played(scene, SCRIPTS["night-burst"], city):
        world.advance()
        minute = (world.now_us - world.begun_us) // MINUTE_US
        assert world.mains
        assert world.crews
        if minute == 40 and not sent:
            spot = world.told[0].spot
            world.send("I-1", "water_company", spot.lon, spot.lat)
            sent = world.crews.jobs
            dry = city.networks["water_supply"].isolating_valves(spot.asset).nodes
            wet = [device.spot.node not in dry for device in loggers]
        supply = world.mains.supply
        loss[minute] = world.mains.loss_m3h(0)
        short[minute] = float((supply.calm_now() - supply.now)[: len(wet)][wet].max())
    [job] = sent
    there, done = ((at - world.begun_us) // MINUTE_US for at in (job.arrives_us, job.done_us))
    assert 42 <= there < 60
    assert job.at(job.left_us) != job.at((job.left_us + job.arrives_us) // 2) != job.at(job.arrives_us)
    assert loss[29] == 0.0
    assert loss[there - 1] > 300
    assert short[there - 1] > 0.02
    assert loss[there + 1] == pytest.approx(0.0, abs=0.1)  # the engine gives a closed pipe a trace
    assert short[there + 1] < 0.01
    assert loss[done + 1] == 0.0
    assert short[done + 1] < 0.001
    assert world.told[0].until_us - job.done_us < MINUTE_US


@pytest.mark.long
def test_the_product_says_the_burst_its_crew_is_sent_and_the_water_comes_back(
    scene: Scene, city: City, shipped: Domains
) -> None:
    done = scenarios.run(SCRIPTS["night-burst"], scene, shipped, city)
    done.world.close()
    assert scenarios.figures(done)["recall"] == 1
    assert 0 < done.world.told[0].until_us < done.world.ends_us
    assert done.world.mains
    assert done.world.mains.loss_m3h(0) == 0.0


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
        assert max(value for _, value in world.heard["dr-level-08/level"]) > 1.0, (
            "drains are full in such a storm"
        )
    assert deepest[0] > deepest[1] + 25
