"""`cityops bench sim`: how fast the simulated city runs, its ground floods, its mains are solved, its devices speak."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np

from app.bench.rig import Figures, Measured, Say
from app.score.product import cpu_s
from core.clock import SECOND_US
from gis.city import City, sample_city
from simulators import load_publish, scenario
from simulators.fleet import Fleet, Point, packs
from simulators.sample import places_of
from simulators.scene import FORMATS, Scene
from simulators.streams import Floats, Rows
from simulators.world import World

ZONE = ZoneInfo("Asia/Shanghai")
#: One hour of the burst, with all devices of the city.
PLAYED = "night-burst"
PLAYED_S = 3600
#: Devices of the speaking bench: each one point, once a minute (`domains/*/kinds.yaml`: most say less).
DEVICES, PERIOD_S, SPOKEN_S = 10_000, 60, 600
GATEWAYS = 20
CELLS, CELL_M, FLOODED_S = 200, 5.0, 600


def run(say: Say) -> Measured:
    """CPU time of one core throughout. Without the extra `flood` its figure is left out."""
    say("the city's world")
    city = sample_city(1)
    figures = _world(Scene(places_of(city), ZONE, speaks=FORMATS), city)
    say("10 000 devices")
    figures |= _devices()
    try:
        say("a flood")
        figures |= _flood()
    except ImportError:
        say("numba is not installed: no flood")
    return Measured(figures)


def _world(scene: Scene, city: City) -> Figures:
    """Real time over CPU time of all physics, devices and frames; and the time of one hydraulic step."""
    script = scenario.find(PLAYED).model_copy(update={"domains": []})
    world = World(scene, script, city)
    begun = cpu_s()
    while world.now_us < world.begun_us + PLAYED_S * SECOND_US:
        world.advance()
    spent = cpu_s() - begun
    assert world.mains is not None
    supply, steps = world.mains.supply, 300
    begun = cpu_s()
    for step in range(steps):
        supply.at_once()
        supply.step(world.now_us + step * SECOND_US)
    solved = cpu_s() - begun
    world.close()
    return {"city_realtime_factor": PLAYED_S / spent, "epanet_step_ms": 1000 * solved / steps}


def _devices() -> Figures:
    """How many devices one core can be, at a reading a minute each: emission and SenML packs; no MQTT client."""
    rng = np.random.default_rng(1)
    level = rng.normal(0.3, 0.02, DEVICES)

    def read(rows: Rows, now_us: int) -> Floats:
        return np.round(level[rows] + 1e-9 * (now_us % 1000), 3)

    points = [
        Point(load_publish.device_id(row % GATEWAYS, row), load_publish.CHANNEL, PERIOD_S * SECOND_US)
        for row in range(DEVICES)
    ]
    gateway_of = {point.device: load_publish.gateway_id(row % GATEWAYS) for row, point in enumerate(points)}
    fleet = Fleet(points, read, seed=1)
    begun, said = cpu_s(), 0
    for second in range(SPOKEN_S):
        samples = fleet.emit(second * SECOND_US, (second + 1) * SECOND_US)
        said += len(samples)
        packs(samples, gateway_of)
    spent = cpu_s() - begun
    assert said == DEVICES * SPOKEN_S // PERIOD_S, said
    return {"devices_per_core": DEVICES * SPOKEN_S / spent}


def _flood() -> Figures:
    """Cell steps a CPU-second of the surface grid under a steady cloudburst."""
    from simulators.physics.surface import Surface

    ground = Surface(np.random.default_rng(1).uniform(0.0, 0.5, (CELLS, CELLS)), CELL_M)
    ground.advance(1.0)  # compiled now
    first, begun = ground.steps, cpu_s()
    for _ in range(FLOODED_S // 10):
        ground.depth_m += 60.0 / 3.6e6 * 10
        ground.advance(10.0)
    spent = cpu_s() - begun
    return {"flood_mcells_per_cpu_s": (ground.steps - first) * CELLS**2 / spent / 1e6}
