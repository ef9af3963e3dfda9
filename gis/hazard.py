"""What endangers a part of the city for a time, as surfaces: flood, plume, zone without water, closure. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import shapely

from gis.asset import Provenance
from gis.city import City
from gis.lines import Floats, Geometry
from gis.network import Isolation
from gis.terrain import Terrain

Kind = Literal["flood", "plume", "isolated", "closed"]

#: Depths in metres that part the classes of a flood, the worst first: cars float, cars stall, walking is hard, wet.
FLOOD_M = (0.40, 0.27, 0.15, 0.03)
FLOOD_CELL_M = 6.0
FLOOD_REACH_M = 420.0

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


def flood(city: City, lon: float, lat: float, depth_m: float) -> tuple[Zone, ...]:
    """The ground that is under water when it stands so deep at a place: what lies lower and is connected with it."""
    x, y = city.plane.xy(lon, lat)
    zones = _ponds(city.terrain, x, y, depth_m)
    return tuple(
        Zone(cls, shapely.transform(shape, city.plane.lonlats), {"depth_cm": round(depth * 100)})
        for cls, depth, shape in zones
    )


def _ponds(terrain: Terrain, x: float, y: float, depth_m: float) -> list[tuple[int, float, Geometry]]:
    """(class, least depth, surface) in metres, by a water level over the ground around a place.

    A street is lower than the blocks beside it, and this ground knows no streets: the surface is round where the
    ground is flat, at most `FLOOD_REACH_M` wide.
    """
    steps = np.arange(-FLOOD_REACH_M, FLOOD_REACH_M + 1, FLOOD_CELL_M)
    east, north = np.meshgrid(x + steps, y + steps)
    away = np.hypot(east - x, north - y)
    floor = float(terrain.height_m(x, y))
    # Away from the place water is held back by kerbs and walls: 1 cm for each 8 m, more than flat ground alone gives.
    depth = floor + depth_m - terrain.height_m(east, north) - away / 800.0
    found = []
    for cls, least in enumerate(FLOOD_M, 1):
        wet = depth >= least
        if not wet.any() or depth_m < least:
            continue
        half = FLOOD_CELL_M / 2
        squares = shapely.box(east[wet] - half, north[wet] - half, east[wet] + half, north[wet] + half)
        parts = shapely.get_parts(shapely.union_all(squares))
        here = next((part for part in parts if part.distance(shapely.Point(x, y)) <= half), None)
        if here is not None:
            found.append((cls, least, here.buffer(FLOOD_CELL_M).buffer(-FLOOD_CELL_M).simplify(1.5)))
    return found


def plume(
    city: City, lon: float, lat: float, *, wind_from_deg: float, wind_mps: float, reach_m: float
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


def isolated(city: City, isolation: Isolation) -> tuple[Zone, ...]:
    """The zone that gets no water: a margin around the dry pipes."""
    shapes = [city.asset(edge).geometry for edge in isolation.edges if edge in city.assets]
    shapes += [city.asset(node).geometry for node in isolation.nodes if node in city.assets]
    if not shapes:
        return ()
    metres = shapely.transform(shapely.union_all(shapes), city.plane.points)
    zone = shapely.transform(shapely.buffer(metres, AROUND_PIPES_M), city.plane.lonlats)
    return (Zone(1, zone, {"customers": isolation.customers, "valves": list(isolation.valves)}),)


def closed(city: City, roads: Sequence[str]) -> tuple[Zone, ...]:
    """Closed roads as lines."""
    shapes = [city.asset(road).geometry for road in roads]
    return (Zone(1, shapely.union_all(shapes), {"roads": list(roads)}),) if shapes else ()
