"""`cityops bench gis`: the map's figures, each on a map of the size that was asked for. No database is needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely
from numpy.typing import NDArray

from app.bench.rig import Figures, Measured, Say
from core.clock import SystemClock
from gis import crs, generate, instruments
from gis.asset import Asset
from gis.cluster import Points
from gis.crs import Plane
from gis.index import Index
from gis.lines import Ints
from gis.network import Network
from gis.routing import Router

POINTS = 100_000
SEGMENTS = 1_000_000
ROADS = 100_000
SENSORS = 100_000
#: Around the sample city, about as wide as Shanghai within the outer ring.
CENTRE, HALF_M = (121.47, 31.23), 15_000.0
CLOCK = SystemClock()


def run(say: Say) -> Measured:
    """Medians of some tens of questions each, after a first one that is not counted; chance is seeded."""
    rng = np.random.default_rng(1)
    found: Figures = {}
    for text, part in (
        ("100 000 points: within, nearest, clusters", spatial),
        ("networks of 1 000 000 segments", trace),
        ("ways on 100 000 road edges", ways),
        ("a city of 100 000 sensors", whole_city),
        ("coordinates", offsets),
    ):
        say(text)
        found |= part(rng)
    return Measured(found)


def once_s(do: Callable[[], object]) -> float:
    began_s = CLOCK.monotonic_s()
    do()
    return CLOCK.monotonic_s() - began_s


def median_ms(asked: list[Callable[[], object]]) -> float:
    asked[0]()
    return float(np.median([once_s(each) for each in asked]) * 1000)


def places(plane: Plane, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return plane.lonlats(rng.uniform(-HALF_M, HALF_M, (n, 2)))


def spatial(rng: np.random.Generator) -> Figures:
    """`spatial_queries_s`: the slower of `within` 100 m and `nearest` of one, asked one by one of 100 000 points.

    `cluster_tile_ms` is a tile of the middle of the city with 100 000 devices, at the zoom of a whole district.
    """
    plane = Plane(*CENTRE)
    lonlat = places(plane, POINTS, rng)
    index = Index(
        [Asset(f"b{n}", "bench", shapely.Point(*place)) for n, place in enumerate(lonlat.tolist())], plane
    )
    asked = places(plane, 20_000, rng).tolist()
    within_s = once_s(lambda: [index.within(lon, lat, 100.0) for lon, lat in asked])
    nearest_s = once_s(lambda: [index.nearest(lon, lat) for lon, lat in asked])
    devices = Points(np.arange(1, POINTS + 1, dtype=np.int32), *lonlat.T)
    level = rng.choice(np.array([0, 1, 2, 3, 4], np.int8), POINTS + 1, p=[0.96, 0.01, 0.01, 0.01, 0.01])
    west, south = plane.lonlats([[-4000, -4000]])[0].tolist()
    east, north = plane.lonlats([[4000, 4000]])[0].tolist()
    shown: list[Callable[[], object]] = [
        lambda: devices.features((west, south, east, north), 13, level[devices.number])
    ]
    return {
        "within_queries_s": len(asked) / within_s,
        "nearest_queries_s": len(asked) / nearest_s,
        "spatial_queries_s": len(asked) / max(within_s, nearest_s),
        "cluster_tile_ms": median_ms(shown * 20),
    }


def trace(rng: np.random.Generator) -> Figures:
    """`trace_1m_ms`: everything downstream of a source of a network of 1 000 000 segments, most of which is reached.

    `upstream_1m_ms` is asked at random nodes, and reaches less.
    """
    network = lattice(SEGMENTS, rng)
    network.downstream("n0"), network.upstream("n0")  # the graphs are laid with the first question
    nodes = rng.integers(0, len(network.node_ids), 15).tolist()
    reached = len(network.downstream("n0").edges)
    return {
        "trace_1m_ms": median_ms([lambda: network.downstream("n0")] * 15),
        "trace_1m_reached": float(reached),
        "upstream_1m_ms": median_ms([lambda node=node: network.upstream(f"n{node}") for node in nodes]),  # type: ignore[misc]
    }


def lattice(segments: int, rng: np.random.Generator) -> Network:
    """Pipes between the crossings of a square grid, nearly all running away from its first corner."""
    side = round((segments / 2) ** 0.5) + 1
    node: Ints = np.arange(side * side, dtype=np.int32).reshape(side, side)
    tail = np.concatenate([node[:, :-1].ravel(), node[:-1].ravel()])[:segments]
    head = np.concatenate([node[:, 1:].ravel(), node[1:].ravel()])[:segments]
    turned = rng.random(len(tail)) < 0.05
    tail, head = np.where(turned, head, tail), np.where(turned, tail, head)
    return Network(
        "bench", [f"n{n}" for n in range(side * side)], [f"e{n}" for n in range(len(tail))], tail, head,
        rng.uniform(20, 200, len(tail)),
    )  # fmt: skip


def ways(rng: np.random.Generator) -> Figures:
    """`route_100k_ms`: the way between two places up to 5 km apart; `route_100k_far_ms` between any two.

    `reweight_ms`: closing 30 roads and slowing 300, that is, making the graph anew.
    """
    roads = generate.base(1, ROADS).roads
    router = Router(roads)
    driven = np.flatnonzero(roads.driven)
    ids = [roads.id[row] for row in rng.choice(driven, 330, replace=False)]
    slower = dict.fromkeys(ids[30:], 3.0)
    spots = roads.node_xy[rng.integers(0, len(roads.node_xy), 60)]
    near = spots + rng.uniform(-3500, 3500, spots.shape)
    pairs = [(tuple(a), tuple(b)) for a, b in zip(spots.tolist(), near.tolist(), strict=True)]
    far = [(tuple(a), tuple(b)) for a, b in zip(spots.tolist(), spots[::-1].tolist(), strict=True)][:20]
    return {
        "route_100k_edges": float(len(driven)),
        "route_100k_ms": median_ms([lambda a=a, b=b: router.route(a, b) for a, b in pairs]),  # type: ignore[misc]
        "route_100k_far_ms": median_ms([lambda a=a, b=b: router.route(a, b) for a, b in far]),  # type: ignore[misc]
        "reweight_ms": median_ms([lambda: router.weighted(ids[:30], slower)] * 15),
    }


def whole_city(_: np.random.Generator) -> Figures:
    """`city_100k_sensors_s`: streets, buildings, networks and the places of 100 000 sensors, from nothing."""
    counted: list[int] = []
    spent_s = once_s(
        lambda: counted.append(sum(1 for _ in instruments.placements(generate.city(1, SENSORS))))
    )
    return {"city_100k_sensors_s": spent_s, "city_100k_sensors": float(counted[0])}


def offsets(rng: np.random.Generator) -> Figures:
    """`gcj02_inverse_error_m`: the worst of 100 000 places of China, there and back; `bd09_inverse_error_m` too."""
    lon, lat = rng.uniform(75, 133, 100_000), rng.uniform(19, 52, 100_000)
    found = {}
    for name in ("GCJ-02", "BD-09"):
        system = crs.crs(name)
        back_lon, back_lat = system.to_wgs84(*system.from_wgs84(lon, lat))
        east, north = (back_lon - lon) * np.cos(np.radians(lat)), back_lat - lat
        found[f"{name.replace('-', '').lower()}_inverse_error_m"] = (
            float(np.hypot(east, north).max()) * 111_320
        )
    return found
