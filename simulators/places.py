"""What the scene needs to know of a city: spots that devices hang on, and its supply model."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spot:
    """A thing of the city with a stable asset id. lon, lat are WGS 84 degrees.

    zone   DMA or catchment
    area   street (街道)
    node   where the supply model has it: a node, or a link with the sign of its flow
    invert_m, ground_m  of a manhole, above the datum
    """

    asset: str
    lon: float
    lat: float
    zone: str = ""
    area: str = ""
    place_zh: str = ""
    place_en: str = ""
    node: str = ""
    link: str = ""
    sign: float = 1.0
    invert_m: float = 0.0
    ground_m: float = 0.0


Spots = tuple[Spot, ...]


@dataclass(frozen=True, slots=True)
class Depot:
    """Where a crew of a service starts from."""

    spot: Spot
    service: str


def metres(one: Spot, other: Spot) -> float:
    """Distance on the ground, good to a per cent within a city."""
    north = (one.lat - other.lat) * 111_320.0
    east = (one.lon - other.lon) * 111_320.0 * math.cos(math.radians(other.lat))
    return math.hypot(north, east)


@dataclass(frozen=True, slots=True)
class Places:
    """Spots by what they are good for. `inp` is the supply model (EPANET text); `pattern` its demand pattern.

    `pilot` is the DMA whose inlets are metered by the model and in which `burst` (a pipe) breaks. `drain_chain` are
    manholes one below the other, `gas_cluster` and `well_cluster` valves and manholes around one place.
    """

    inp: str
    pattern: str
    pilot: str
    burst: Spot
    loggers: Spots
    inlets: Spots
    plants: Spots
    hydrants: Spots
    low_points: Spots
    underpasses: Spots
    rain_stations: Spots
    river_sections: Spots
    pump_stations: Spots
    manholes: Spots
    gate_stations: Spots
    regulators: Spots
    valve_pits: Spots
    sites: Spots
    buildings: Spots
    noise_points: Spots
    drain_chain: Spots = ()
    gas_cluster: Spots = ()
    well_cluster: Spots = ()
    depots: tuple[Depot, ...] = ()
