"""`cityops bench sim`: how fast the simulated city runs, its ground floods, its mains are solved, its devices speak."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from app.bench.rig import Figures, Measured, Say, free_port
from app.score.product import cpu_s
from core.clock import SECOND_US, SystemClock
from gis.city import City, sample_city
from simulators import load_publish, scenario
from simulators.fleet import Fleet, Point, packs
from simulators.outbox_store import Outbox
from simulators.publish import Broker, MqttGateway
from simulators.sample import places_of
from simulators.scene import FORMATS, Scene
from simulators.streams import Floats, Rows
from simulators.world import World

ZONE = ZoneInfo("Asia/Shanghai")
#: One hour of the burst, with all devices of the city.
PLAYED = "night-burst"
PLAYED_S = 3600
#: Devices of the speaking bench: each one point, once a minute (`domains/*/kinds.yaml`: most say less).
DEVICES, PERIOD_S, SPOKEN_S = 10_000, 60, 20
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
    """How many devices one core can be, at a reading a minute each, with all that a gateway does.

    Emission, SenML packs, an outbox on disk, a paho client each gateway with QoS 1, over a real connection to another
    process that acknowledges everything. CPU of this process, all of its threads, in real time.
    """
    port = free_port()
    sink = subprocess.Popen([sys.executable, "-m", "app.bench.sink", str(port)], stdout=subprocess.PIPE)
    try:
        assert sink.stdout is not None
        sink.stdout.readline()
        with tempfile.TemporaryDirectory(prefix="bench-sim-") as folder:
            return _published(Broker("127.0.0.1", port), Path(folder))
    finally:
        sink.kill()
        sink.wait()


def _published(broker: Broker, folder: Path) -> Figures:
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
    names = sorted(set(gateway_of.values()))
    gateways = {name: MqttGateway(name, broker, Outbox(folder / f"{name}.sqlite")) for name in names}
    for gateway in gateways.values():
        gateway.start()
    while not all(gateway.connected for gateway in gateways.values()):
        time.sleep(0.05)
    clock = SystemClock()
    begun_us, spent, said = clock.now_us(), cpu_s(), 0
    for second in range(SPOKEN_S):
        now_us = begun_us + second * SECOND_US
        samples = fleet.emit(now_us, now_us + SECOND_US)
        said += len(samples)
        for wire in packs(samples, gateway_of):
            gateways[wire.gateway].submit(wire.topic, wire.payload)
        for gateway in gateways.values():
            gateway.turn()
        time.sleep(max(0.0, (now_us + SECOND_US - clock.now_us()) / SECOND_US))
    cores = (cpu_s() - spent) / ((clock.now_us() - begun_us) / SECOND_US)
    for gateway in gateways.values():
        gateway.turn()
    waiting = sum(gateway.waiting for gateway in gateways.values())
    for gateway in gateways.values():
        gateway.stop()
    assert waiting <= GATEWAYS, f"{waiting} messages were not acknowledged"
    assert said >= 0.9 * DEVICES * SPOKEN_S / PERIOD_S, said
    return {"devices_per_core": DEVICES / cores}


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
