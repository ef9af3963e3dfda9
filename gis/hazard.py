"""What endangers a part of the city for a time, as surfaces: flood, plume, zone without water, closure. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from gis.asset import Provenance
from gis.ground import Ground
from gis.lines import Floats, Geometry
from gis.network import Isolation
from gis.routing import ring

Kind = Literal["flood", "plume", "isolated", "closed"]

#: Depths in metres that part the classes of a flood, the worst first: cars float, cars stall, walking is hard, wet.
FLOOD_M = (0.40, 0.27, 0.15, 0.03)
#: From this class on nobody drives through.
STALLS = 2
#: How much water loses in depth for each metre away from where it is deepest (ours): a street falls gently to its
#: low point, a ramp into an underpass steeply.
STREET_FALL, RAMP_FALL = 0.003, 0.04
#: Where heights are known: how far a flood is filled around a place, on cells of which size, and how many heights must
#: lie within that (ours).
FILL_M, CELL_M, LEVELS_LEAST = 200.0, 5.0, 10
#: Half of a street with its pavements, and the least that is drawn of a flood, in metres (ours).
STREET_HALF_M, FLOOD_LEAST_M = 10.0, 15.0

#: Parts of the greatest concentration that bound a plume's classes, the worst first.
PLUME_PARTS = (0.30, 0.10, 0.03)
AROUND_PIPES_M = 25.0


@dataclass(frozen=True, slots=True, eq=False)
class Zone:
    """One class of a hazard: 1 is the worst. `geometry` is WGS 84 lon, lat; attributes are plain JSON values."""

    cls: int
    geometry: Geometry
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Hazard:
    """A hazard from a time until another (µs UTC; None: until it is ended), with a zone for each class."""

    id: str
    kind: Kind
    zones: tuple[Zone, ...]
    begins_us: int
    ends_us: int | None = None
    incident: str = ""
    provenance: Provenance = "real"


def flood(city: Ground, lon: float, lat: float, depth_m: float, asset: str = "") -> tuple[Zone, ...]:
    """The streets that are under water when it stands so deep at a place, or in an underpass (its `asset`).

    Where the map knows heights of the ground around (covers of manholes, low points), the water is level and fills
    what lies below it and hangs together with the place; where it does not, a picture of the order of size from how
    streets and ramps usually fall.
    """
    x, y = city.plane.xy(lon, lat)
    held = city.assets.get(asset)
    under = held.attributes if held is not None and held.kind == "underpass" else {}
    lines = _lines(city, x, y, FILL_M, under.get("roads"))
    ground = _Streets.around(city, x, y, under)
    fall = RAMP_FALL if under else STREET_FALL
    zones = []
    for cls, least in enumerate(FLOOD_M, 1):
        if depth_m >= least:
            if ground is not None:
                wet = ground.below(depth_m - least)
            else:
                wet = _wet(lines.values(), x, y, max(FLOOD_LEAST_M, (depth_m - least) / fall))
            told: dict[str, object] = {"depth_cm": round(least * 100)}
            if cls <= STALLS:
                told["roads"] = sorted({road for road, line in lines.items() if line.intersects(wet)})
            zones.append(Zone(cls, shapely.transform(wet, city.plane.lonlats), told))
    return tuple(zones)


def _lines(city: Ground, x: float, y: float, reach_m: float, ramps: object) -> dict[str, Geometry]:
    """The middle lines, in metres, of these roads, or else of all around a place that do not lie under the ground."""
    roads = city.roads
    near = ring(roads, (x, y), reach_m)
    if isinstance(ramps, list):
        near = np.array([row for row, name in enumerate(roads.id) if name in set(ramps)], np.int32)
    else:
        near = near[~roads.tunnel[near]]
    return {roads.id[row]: shapely.LineString(roads.lines[row]) for row in near.tolist()}


def _wet(lines: Iterable[Geometry], x: float, y: float, reach_m: float) -> Geometry:
    """What of the streets lies within reach and hangs together with the place; the place itself always."""
    streets = shapely.buffer(shapely.union_all(list(lines)), STREET_HALF_M, quad_segs=4)
    here = shapely.Point(x, y).buffer(min(FLOOD_LEAST_M, reach_m), quad_segs=6)
    around = shapely.intersection(streets, shapely.Point(x, y).buffer(reach_m, quad_segs=16))
    parts = shapely.get_parts(shapely.union(around, here))
    wet: Geometry = next(part for part in parts if part.intersects(here)).simplify(0.5)
    return wet


@dataclass(frozen=True, slots=True, eq=False)
class _Streets:
    """Streets around a place as cells with the height of their ground; infinite where no street is.

    `seeds`: the cells where the water is known to stand at `level_m` and more.
    """

    x: float
    y: float
    height_m: Floats
    seeds: NDArray[np.bool_]
    level_m: float

    @classmethod
    def around(cls, city: Ground, x: float, y: float, under: Mapping[str, object]) -> _Streets | None:
        """None where too few heights are known."""
        known, levels = city.levels
        if np.count_nonzero(np.hypot(known[:, 0] - x, known[:, 1] - y) < FILL_M) < LEVELS_LEAST:
            return None
        side = np.arange(-FILL_M, FILL_M + CELL_M, CELL_M)
        east, north = (each.ravel() for each in np.meshgrid(x + side, y + side))
        height = np.full(len(east), np.inf)
        streets = shapely.union_all(list(_lines(city, x, y, FILL_M, None).values()))
        inside = _within(streets, east, north) & (np.hypot(east - x, north - y) < FILL_M)
        height[inside] = _interpolated(known, levels, east[inside], north[inside])
        middle = (len(height) - 1) // 2
        height[middle] = _interpolated(known, levels, east[[middle]], north[[middle]])[0]
        seeds = np.arange(len(height)) == middle
        level = float(height[middle])
        bottom = under.get("road_level_m")
        if isinstance(bottom, float):
            seeds, level = np.zeros(len(height), bool), bottom
            for line in _lines(city, x, y, FILL_M, under.get("roads")).values():
                ramp = np.flatnonzero(_within(line, east, north))
                top = _interpolated(known, levels, east[ramp], north[ramp])
                places = np.asarray(shapely.points(east[ramp], north[ramp]), object)
                along = shapely.line_locate_point(np.asarray([line], object), places, normalized=True)
                height[ramp] = np.minimum(
                    height[ramp], top - (1.0 - np.abs(2.0 * along - 1.0)) * (top - bottom)
                )
                seeds[ramp] = True
        shape = len(side), len(side)
        return cls(x, y, height.reshape(shape), seeds.reshape(shape), level)

    def below(self, above_m: float) -> Geometry:
        """What lies less than so much above the ground of the place and hangs together with it; the place always."""
        wet = self.height_m <= self.level_m + above_m
        parts, _ = ndimage.label(wet)
        own = np.unique(parts[self.seeds & wet])
        rim = np.pad(np.isin(parts, own[own > 0]), ((0, 0), (1, 1)))
        rows, begin = np.nonzero(rim[:, 1:] & ~rim[:, :-1])  # runs of wet cells, row by row
        end = np.nonzero(rim[:, :-1] & ~rim[:, 1:])[1]
        west, south = self.x - FILL_M - CELL_M / 2, self.y - FILL_M - CELL_M / 2
        low = south + rows * CELL_M
        cells = shapely.box(west + begin * CELL_M, low, west + end * CELL_M, low + CELL_M)
        here = shapely.Point(self.x, self.y).buffer(FLOOD_LEAST_M, quad_segs=6)
        found: Geometry = shapely.union_all([*cells, here])
        return found


def _within(lines: Geometry, east: Floats, north: Floats) -> NDArray[np.bool_]:
    shape = shapely.buffer(lines, STREET_HALF_M, quad_segs=4)
    shapely.prepare(shape)
    found: NDArray[np.bool_] = shapely.contains_xy(shape, east, north)
    return found


def _interpolated(known: Floats, levels: Floats, east: Floats, north: Floats) -> Floats:
    """Height of the ground from the nearest that are known, the nearer the heavier."""
    away, rows = cKDTree(known).query(np.column_stack([east, north]), k=min(4, len(known)))
    weight = 1.0 / np.maximum(away, 1.0) ** 2
    found: Floats = (weight * levels[rows]).sum(axis=1) / weight.sum(axis=1)
    return found


def plume(
    city: Ground, lon: float, lat: float, *, wind_from_deg: float, wind_mps: float, reach_m: float
) -> tuple[Zone, ...]:
    """Where a gas or smoke drifts from a place: three surfaces of a Gaussian plume at the ground, out to `reach_m`.

    Spread after Briggs for open country, stability D, scaled so that the outer class ends at `reach_m`: a picture of
    the direction and the order of size, not a dispersion model. Below 0.5 m/s it is a disc.
    """
    x, y = city.plane.xy(lon, lat)
    if wind_mps < 0.5:
        discs = [
            (cls, shapely.Point(x, y).buffer(reach_m * part)) for cls, part in enumerate((0.25, 0.5, 1.0), 1)
        ]
        return tuple(
            Zone(cls, shapely.transform(disc, city.plane.lonlats), {"calm": True}) for cls, disc in discs
        )
    along = np.radians(270.0 - wind_from_deg)  # the way the wind blows to, counter-clockwise from east
    turn = np.array([[np.cos(along), np.sin(along)], [-np.sin(along), np.cos(along)]])
    zones = []
    for cls, outline in enumerate(_isopleths(reach_m), 1):
        shape = shapely.Polygon(outline @ turn + (x, y))
        told = {"wind_from_deg": round(wind_from_deg), "wind_mps": round(wind_mps, 1)}
        zones.append(Zone(cls, shapely.transform(shape, city.plane.lonlats), told))
    return tuple(zones)


def _isopleths(reach_m: float) -> list[Floats]:
    """Outlines downwind (x along the wind) of the classes: equal concentration C ~ exp(-y²/2σy²) / (σy σz)."""
    x = np.linspace(1.0, reach_m, 200)
    sigma_y = 0.08 * x / np.sqrt(1 + 0.0001 * x)
    sigma_z = 0.06 * x / np.sqrt(1 + 0.0015 * x)
    middle = 1.0 / (sigma_y * sigma_z)
    outer = middle[-1]  # the last class ends at the reach
    outlines = []
    for part in PLUME_PARTS:
        bound = outer * part / PLUME_PARTS[-1]
        inside = middle > bound
        width = sigma_y[inside] * np.sqrt(2 * np.log(middle[inside] / bound))
        outlines.append(
            np.vstack([np.column_stack([x[inside], width]), np.column_stack([x[inside], -width])[::-1]])
        )
    return outlines


def isolated(city: Ground, isolation: Isolation) -> tuple[Zone, ...]:
    """The zone that gets no water once some valves are shut: a margin around the dry pipes.

    `valves` tells each valve to shut with its place: [id, lon, lat]; `pipes` the dry ones as lines of [lon, lat].
    """
    pipes = [city.asset(edge).geometry for edge in isolation.edges if edge in city.assets]
    shapes = pipes + [city.asset(node).geometry for node in isolation.nodes if node in city.assets]
    if not shapes:
        return ()
    metres = shapely.transform(shapely.union_all(shapes), city.plane.points)
    zone = shapely.transform(shapely.buffer(metres, AROUND_PIPES_M, quad_segs=4), city.plane.lonlats)
    valves = [[name, *(round(each, 6) for each in city.lonlat(name))] for name in isolation.valves]
    dry = [shapely.get_coordinates(pipe).round(6).tolist() for pipe in pipes]
    return (Zone(1, zone, {"customers": isolation.customers, "valves": valves, "pipes": dry}),)


def closed(city: Ground, roads: Sequence[str]) -> tuple[Zone, ...]:
    """Closed roads as lines."""
    shapes = [city.asset(road).geometry for road in roads]
    return (Zone(1, shapely.union_all(shapes), {"roads": list(roads)}),) if shapes else ()


def impassable(hazards: Iterable[Hazard]) -> frozenset[str]:
    """Ids of the roads that hazards keep from being driven: closed ones, and where cars stall in the water."""
    found: set[str] = set()
    for zone in (zone for each in hazards for zone in each.zones):
        roads = zone.attributes.get("roads")
        if isinstance(roads, list):
            found.update(roads)
    return frozenset(found)
