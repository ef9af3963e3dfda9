"""A whole city: what is measured of it (streets, buildings, waters) and the simulated networks that fit its streets.

`sample_city(seed)` is the shipped one. It is light (NumPy, SciPy, Shapely) and the same for the same seed: ids of
assets may be stored. Everything inside is in metres of `City.plane`; `lonlat` and `assets` speak WGS 84.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gis import buildings, drainage, facilities, gas, roads, sample, streets, water
from gis.asset import Asset
from gis.buildings import Buildings
from gis.crs import Plane
from gis.drainage import DrainageNetwork
from gis.facilities import Facility
from gis.gas import GasNetwork
from gis.ground import Box, Ground
from gis.lines import Floats, Geometry, Ints, points
from gis.network import Network, Place, Valves
from gis.place import KNOWN_BY, Street
from gis.roads import Roads
from gis.routing import Router
from gis.streets import Streets
from gis.terrain import Terrain
from gis.water import Pump, Reducer, WaterNetwork

#: Mean use of water (ours): a floor's square metre, and what hangs on a metre of street beside that.
FLOOR_LPS_M2 = 3.2 / 86_400
STREET_LPS_M = 0.0012

#: Land narrower than this beside the water does not join two banks.
BANK_M = 125.0


@dataclass(frozen=True, slots=True)
class Area:
    """A street office's area (街道) by points inside it; its border is where another's point is nearer."""

    id: str
    name: str
    name_en: str
    district: str
    district_en: str
    code: str
    points: Floats


@dataclass(frozen=True, slots=True)
class Landmark:
    """A named place of the base map: a hospital, a station, a park."""

    id: str
    kind: str
    name: str
    name_en: str
    xy: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A surface or line of the base map: water, green, a boundary, a railway."""

    id: str
    kind: str
    klass: str
    shape: Geometry
    name: str = ""
    name_en: str = ""
    inferred: bool = False  # not measured: concluded from what lies around it


@dataclass(frozen=True, eq=False)
class Base:
    """What a city is made from, before its networks: from OpenStreetMap, or generated."""

    plane: Plane
    bounds: tuple[float, float, float, float]  # of the part with networks: west, south, east, north in metres
    roads: Roads
    streets: Streets
    buildings: Buildings
    surfaces: tuple[Surface, ...]
    landmarks: tuple[Landmark, ...]
    areas: tuple[Area, ...]
    shore: Geometry | None
    source: str
    licence: str
    simulated: bool


@dataclass(frozen=True, eq=False)
class City(Ground):
    """A base with networks on it. `water`, `drainage`, `gas` and `facilities` are simulated."""

    seed: int
    base: Base
    terrain: Terrain
    water: WaterNetwork
    drainage: DrainageNetwork
    gas: GasNetwork
    facilities: tuple[Facility, ...]

    @property
    def plane(self) -> Plane:
        return self.base.plane

    @property
    def extent(self) -> Box:
        return self.base.bounds

    @property
    def attribution(self) -> str:
        return self.base.licence

    @property
    def roads(self) -> Roads:
        return self.base.roads

    @cached_property
    def assets(self) -> Mapping[str, Asset]:
        """Everything on the map by its id, in a stable order."""
        from gis.inventory import inventory

        return {asset.id: asset for asset in inventory(self)}

    @cached_property
    def area_shapes(self) -> Mapping[str, Geometry]:
        """Each area's surface in metres: what is nearer to its points than to another's on the same bank."""
        if not self.base.areas:
            return {}
        banks = self._banks()
        owner = np.array([area.id for area in self.base.areas for _ in area.points])
        centres = points(np.vstack([area.points for area in self.base.areas]))
        gap = np.array([shapely.distance(centres, bank) for bank in banks])
        cells: dict[str, list[Geometry]] = {}
        for row, bank in enumerate(banks):
            mine = np.flatnonzero((gap.argmin(axis=0) == row) & (gap[row] < BANK_M))
            if not len(mine):
                mine = np.array([int(np.argmin(gap[row]))])
            for name, cell in zip(owner[mine].tolist(), _divided(bank, centres[mine]), strict=True):
                cells.setdefault(name, []).append(cell)
        return {name: shapely.union_all(parts) for name, parts in cells.items()}

    def _banks(self) -> list[Geometry]:
        """The land of the city, apart where water lies between."""
        box: Geometry = shapely.box(*self.base.bounds)
        if self.base.shore is None:
            return [box]
        land = shapely.difference(box, self.base.shore)
        inner = shapely.get_parts(shapely.difference(box, shapely.buffer(self.base.shore, BANK_M)))
        grown = shapely.intersection(shapely.buffer(inner, BANK_M), land)
        return [bank for bank in grown if bank.area > BANK_M**2]

    def offices(self) -> Iterator[tuple[str, str]]:
        return ((area.id, area.code) for area in self.base.areas)

    def landmarks(self) -> Iterator[tuple[Street, float, float]]:
        for each in self.base.landmarks:
            if each.name and each.kind in KNOWN_BY:
                yield Street(each.name, each.name_en or each.name), *each.xy

    @cached_property
    def networks(self) -> Mapping[str, Network]:
        """The pipe networks by the key of their domain: water_supply, drainage, gas."""
        return {
            "water_supply": _water_graph(self.water),
            "drainage": _drainage_graph(self.drainage),
            "gas": _gas_graph(self.gas),
        }


@cache
def sample_city(seed: int = 1) -> City:
    """The shipped city: Shanghai's Bund and Lujiazui after OpenStreetMap, with networks made from `seed`.

    A process has one of each seed.
    """
    return assemble(sample_base(), seed)


def assemble(base: Base, seed: int, *, district_streets: int = 70) -> City:
    """Lay the networks and place the facilities of a city. The same base and seed give the same city."""
    rng = np.random.default_rng(seed)
    terrain = Terrain.make(rng)
    ground = terrain.height_m(*base.streets.node_xy.T)
    supply = water.build(base.streets, _demand(base), ground, district_streets)
    large = len(base.streets) / 560.0  # as many times the sample city
    keep_off = [each.shape for each in base.surfaces if each.klass in {"green", "water", "riverbank"}]
    if base.shore is not None:
        keep_off.append(base.shore)
    return City(
        seed,
        base,
        terrain,
        supply,
        drainage.build(base.streets, ground, base.shore),
        gas.build(base.streets),
        (
            *facilities.underpasses(base.roads, base.streets, ground, base.bounds),
            *facilities.low_points(base.streets, ground, max(4, round(16 * large))),
            *facilities.sites(base.streets, base.buildings, keep_off, max(2, round(10 * large))),
            *facilities.depots(base.streets, max(1, round(3 * large))),
            *facilities.fire_stations(base.streets, Router(base.roads)),
        ),
    )


def _divided(ground: Geometry, centres: NDArray[Any]) -> list[Geometry]:
    """The part of a ground that is nearest to each centre."""
    if len(centres) == 1:
        return [ground]
    cells = shapely.voronoi_polygons(shapely.multipoints(centres), extend_to=ground, ordered=True)
    return list(shapely.intersection(shapely.get_parts(cells), ground))


def _demand(base: Base) -> Floats:
    """Mean demand in L/s of every street junction: from the floors around it, and from its streets."""
    nodes = base.streets.nodes
    half = base.streets.lines.length_m / 2
    along = np.bincount(base.streets.tail, half, nodes) + np.bincount(base.streets.head, half, nodes)
    floors = np.bincount(base.buildings.junction, base.buildings.floor_area_m2, nodes)
    return along * STREET_LPS_M + floors * FLOOR_LPS_M2


def sample_base() -> Base:
    plane = Plane(*sample.CENTRE)
    all_roads = roads.build(
        [(each["properties"], each["geometry"]["coordinates"]) for each in sample.read("roads")], plane
    )
    corners = plane.points(np.array(sample.CORE).reshape(2, 2))
    bounds = (*corners[0].tolist(), *corners[1].tolist())
    core_streets = streets.collapse(all_roads, bounds)
    surfaces = tuple(_surfaces(plane))
    wet = [
        each.shape
        for each in surfaces
        if each.kind == "water" and each.shape.area > 5_000.0 and not each.inferred
    ]
    return Base(
        plane=plane,
        bounds=bounds,
        roads=all_roads,
        streets=core_streets,
        buildings=buildings.build(sample.read("buildings"), plane, core_streets),
        surfaces=surfaces,
        landmarks=tuple(_landmarks(plane)),
        areas=tuple(_areas(plane)),
        shore=shapely.union_all(wet),
        source="OpenStreetMap",
        licence=sample.ATTRIBUTION,
        simulated=False,
    )


def _surfaces(plane: Plane) -> Iterator[Surface]:
    for layer, kind in (
        ("water", "water"),
        ("ground", "ground"),
        ("rails", "rail"),
        ("boundaries", "boundary"),
    ):
        seen: dict[str, int] = {}
        for each in sample.read(layer):
            told, geometry = each["properties"], each["geometry"]
            shape = shapely.from_geojson(_geojson(geometry))
            name = f"{kind[0].upper()}-{told['osm']}".replace("--", "-r")
            seen[name] = seen.get(name, 0) + 1
            yield Surface(
                name if seen[name] == 1 else f"{name}-{seen[name]}",
                kind,
                str(told["class"]),
                shapely.transform(shape, plane.points),
                str(told.get("name", "")),
                str(told.get("name_en", "")),
                bool(told.get("inferred")),
            )


def _geojson(geometry: Mapping[str, object]) -> str:
    import orjson

    return orjson.dumps(geometry).decode()


def _landmarks(plane: Plane) -> Iterator[Landmark]:
    for each in sample.read("places"):
        told = each["properties"]
        x, y = plane.to_xy(*each["geometry"]["coordinates"])
        yield Landmark(f"L-{told['osm']}", str(told["class"]), str(told.get("name", "")), str(told.get("name_en", "")),
                       (float(x), float(y)))  # fmt: skip


def _areas(plane: Plane) -> Iterator[Area]:
    for each in sample.read("areas"):
        told = each["properties"]
        yield Area(told["osm"], told["name"], told["name_en"], told["district"], told["district_en"], told["code"],
                   plane.points(each["geometry"]["coordinates"]))  # fmt: skip


# -- graphs of the networks -------------------------------------------------------------------------------------


def _on_edges(ids: Sequence[str], edge: Ints, offset_m: Floats) -> dict[str, Place]:
    rows = zip(ids, edge.tolist(), offset_m.tolist(), strict=True)
    return {name: Place(edge=row, offset_m=offset) for name, row, offset in rows}


def _water_graph(net: WaterNetwork) -> Network:
    links: tuple[Pump | Reducer, ...] = (*net.pumps, *net.reducers)
    return Network(
        "water_supply",
        net.nodes.id,
        [*net.pipes.id, *(link.id for link in links)],
        np.concatenate([net.pipes.tail, np.array([link.tail for link in links], np.int32)]),
        np.concatenate([net.pipes.head, np.array([link.head for link in links], np.int32)]),
        np.concatenate([net.pipes.length_m, np.full(len(links), 1.0)]),
        things={
            name: place
            for group in (net.valves, net.hydrants, net.meters)
            for name, place in _on_edges(group.id, group.pipe, group.offset_m).items()
        },
        valves=Valves(net.valves.id, net.valves.pipe, net.valves.node, net.pipes.shut[net.valves.pipe]),
        sources=[row for row, kind in enumerate(net.nodes.kind) if kind == "source"],
        customers=net.nodes.households,
        shut=np.concatenate([net.pipes.shut, np.zeros(len(links), bool)]),
    )


def _drainage_graph(net: DrainageNetwork) -> Network:
    return Network(
        "drainage", net.manholes.id, net.drains.id, net.drains.tail, net.drains.head, net.drains.length_m
    )


def _gas_graph(net: GasNetwork) -> Network:
    regulators = len(net.regulator_id)
    return Network(
        "gas",
        net.node_id,
        [*net.pipe_id, *net.regulator_id],
        np.concatenate([net.tail, net.regulator_tail]),
        np.concatenate([net.head, net.regulator_head]),
        np.concatenate([net.length_m, np.full(regulators, 1.0)]),
        things={name: Place(node=int(node)) for name, node in zip(net.valve_id, net.valve_node, strict=True)},
        valves=Valves(net.valve_id, net.valve_pipe, net.valve_node, np.zeros(len(net.valve_id), bool)),
        sources=net.stations.tolist(),
    )
