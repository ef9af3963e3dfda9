"""A storm over the whole sample city: rain, inlets, drains (SWMM) and the ground (2-D), exchanging every ten seconds.

Runoff of a manhole's catchment reaches its inlets through a linear reservoir. Inlets take what they can; the rest,
and what comes up out of full drains, runs over the ground, where lower inlets may take it. Gullies at the low places
of an underpass lead into its sump, which its pumps empty. Needs the extra `flood` (numba, swmm-toolkit).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from gis import drainage
from gis.city import City
from simulators.physics.drains import Drains
from simulators.physics.surface import Surface
from simulators.physics.underpass import Underpass, sump

Floats = NDArray[np.float64]
Cells = NDArray[np.intp]
Mask = NDArray[np.bool_]

EXCHANGE_S = 10
CELL_M = 10.0
#: Share of the rain that runs off, and how long it takes to the inlets (ours).
RUNOFF, GATHERS_S = 0.7, 300.0
#: Inlets take this much more than the runoff of the design storm (ours; codes ask for 1.5 to 3).
INLET_MARGIN, DESIGN_YEARS, DESIGN_MIN = 1.5, 3.0, 10.0
#: Streets lie lower than blocks, houses stand in the way, the river is deep.
STREET_M, HOUSE_M, RIVER_M = 0.15, 3.0, 6.0
#: A depth gauge on a street stands at the lowest place this near to where it is drawn.
GAUGE_M = 40.0


@dataclass(frozen=True)
class Ground:
    """A city as a grid: bed in m above its datum, rows from south to north; cells as flat indices."""

    bed_m: Floats
    origin: tuple[float, float]
    river: Mask
    house: Mask
    underpasses: Mapping[str, Cells]

    def cells(self, xy: Floats) -> Cells:
        """The cell of each place of the city's plane; places outside go to the rim."""
        rows, columns = self.bed_m.shape
        east = np.clip(((xy[:, 0] - self.origin[0]) / CELL_M).astype(np.intp), 0, columns - 1)
        north = np.clip(((xy[:, 1] - self.origin[1]) / CELL_M).astype(np.intp), 0, rows - 1)
        found: Cells = north * columns + east
        return found

    @cached_property
    def centres(self) -> Floats:
        """x, y of every cell."""
        rows, columns = self.bed_m.shape
        east, north = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
        return np.column_stack([east.ravel(), north.ravel()]) * CELL_M + self.origin

    @cached_property
    def _tree(self) -> shapely.STRtree:
        return shapely.STRtree(np.asarray(shapely.points(self.centres), object))

    def inside(self, shapes: Sequence[shapely.Geometry]) -> Mask:
        """Cells whose centre lies in any of the shapes."""
        found = np.zeros(len(self.centres), bool)
        if len(shapes):
            found[self._tree.query(np.asarray(shapes, object), predicate="contains")[1]] = True
        return found

    def gauge(self, x: float, y: float) -> int:
        """The cell where a depth gauge near a place stands: the lowest of the streets and squares around it."""
        away = np.hypot(self.centres[:, 0] - x, self.centres[:, 1] - y)
        near = np.flatnonzero((away < GAUGE_M) & self.land.reshape(-1))
        return int(near[np.argmin(self.bed_m.reshape(-1)[near])])

    def gullies(self, underpass: str) -> Cells:
        """Cells of an underpass that are lower than those of it around them: water runs no further."""
        cells = self.underpasses[underpass]
        bed, columns = self.bed_m.reshape(-1), self.bed_m.shape[1]
        own = set(cells.tolist())
        low = [
            cell
            for cell in cells.tolist()
            if all(
                bed[cell] <= bed[near]
                for near in (cell - columns, cell - 1, cell + 1, cell + columns)
                if near in own
            )
        ]
        return np.array(low, np.intp)

    @cached_property
    def land(self) -> Mask:
        """Where people may walk."""
        found: Mask = ~(self.river | self.house)
        return found


def ground_of(city: City) -> Ground:
    """The grid of a city."""
    west, south, east, north = city.base.bounds
    shape = int((north - south) / CELL_M) + 1, int((east - west) / CELL_M) + 1
    bare = Ground(np.zeros(shape), (west, south), np.zeros(shape, bool), np.zeros(shape, bool), {})
    bed = city.terrain.height_m(*bare.centres.T)
    ground = bed.copy()
    streets = city.base.streets
    paved = bare.cells(np.concatenate([_points(streets.lines[row]) for row in range(len(streets))]))
    bed[np.unique(paved)] -= STREET_M
    house = bare.inside(list(city.base.buildings.shape))
    house[paved] = False
    bed[house] += HOUSE_M
    river = bare.inside([city.base.shore] if city.base.shore is not None else [])
    bed[river] = bed.min() - RIVER_M
    underpasses = {}
    for asset in city.of_kind("underpass"):
        cells, level = _underpass(city, bare, asset.attributes, ground)
        bed[cells] = level
        underpasses[asset.id] = cells
        house[cells] = river[cells] = False
    return Ground(bed.reshape(shape), (west, south), river.reshape(shape), house.reshape(shape), underpasses)


def sumps(city: City) -> dict[str, Underpass]:
    """The sump and the pumps of every underpass, powered, with what always stands in them."""
    return {asset.id: sump(int(str(asset.attributes["pumps"]))) for asset in city.of_kind("underpass")}


def _points(line: Floats) -> Floats:
    """Places along a line, closer than half a cell."""
    shape = shapely.LineString(line)
    at = np.arange(0.0, shape.length + CELL_M / 3, CELL_M / 3)
    found: Floats = shapely.get_coordinates(shapely.line_interpolate_point(shape, at))
    return found


def _underpass(city: City, bare: Ground, about: Mapping[str, object], ground: Floats) -> tuple[Cells, Floats]:
    """Cells of an underpass's roads and their level: down from both ends to the middle."""
    roads, names, level = city.base.roads, about["roads"], about["road_level_m"]
    assert isinstance(names, list)
    assert isinstance(level, float)
    lowest: dict[int, float] = {}
    for name in names:
        points = _points(roads.lines[roads.id.index(name)])
        down = 1.0 - np.abs(np.linspace(-1.0, 1.0, len(points)))
        for cell, share in zip(bare.cells(points).tolist(), down.tolist(), strict=True):
            height = float(ground[cell])
            lowest[cell] = min(lowest.get(cell, height), height - share * (height - level))
    return np.array(list(lowest), np.intp), np.array(list(lowest.values()))


@dataclass
class Flood:
    """One storm. `clogged` is the share that a manhole's inlets still take, by manhole. Close it when done."""

    city: City
    ground: Ground
    hours: float = 3.0
    clogged: Mapping[str, float] = field(default_factory=dict)
    #: Underpass → its sump and pumps, as anybody may switch them.
    sumps: dict[str, Underpass] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sumps = self.sumps or sumps(self.city)
        self._gullies = {id_: self.ground.gullies(id_) for id_ in self.ground.underpasses}
        self._held_m3 = sum(pit.in_sump_m3 for pit in self.sumps.values())
        net = self.city.drainage
        rows = [row for row, kind in enumerate(net.manholes.kind) if kind != "outfall"]
        self.manholes = [net.manholes.id[row] for row in rows]
        self.area_m2 = net.manholes.area_m2[rows]
        self.cells = self.ground.cells(net.manholes.xy[rows])
        self.surface = Surface(self.ground.bed_m, CELL_M)
        inp = net.inp(rain_mm_h=[0.0], hours=self.hours + 0.1)
        self.drains = Drains(inp.replace("ALLOW_PONDING YES", "ALLOW_PONDING NO"), self.manholes)
        design = drainage.rain_mm_h(DESIGN_YEARS, DESIGN_MIN) / 3.6e6
        self._clean_m3s = INLET_MARGIN * RUNOFF * design * self.area_m2
        self.takes_m3s = self._clean_m3s.copy()
        for share in set(self.clogged.values()):
            self.clog([each for each, left in self.clogged.items() if left == share], share)
        self._part = 1.0 / np.bincount(self.cells)[self.cells]  # manholes of one cell share what stands there
        self._gathered = np.zeros(len(rows))
        self._rising = np.zeros(len(rows))
        self._owed_s = 0.0
        self._standing: Floats | None = None
        self.deepest_m = np.zeros(self.ground.bed_m.size)
        self.fell_m3 = self.lifted_m3 = self.into_drains_m3 = self.up_m3 = self.away_m3 = 0.0

    def close(self) -> None:
        self.drains.close()

    def advance(self, dt_s: float, rain_mm_h: float) -> None:
        """Some time under this rain; what is less than an exchange is kept for the next time."""
        self._owed_s += dt_s
        while self._owed_s >= EXCHANGE_S:
            self.step(rain_mm_h)
            self._owed_s -= EXCHANGE_S

    def step(self, rain_mm_h: float) -> None:
        """Ten seconds under this rain."""
        dt, area = float(EXCHANGE_S), CELL_M**2
        depth = self.surface.depth_m.reshape(-1)
        fell = rain_mm_h / 3.6e6 * RUNOFF * self.area_m2 * dt
        self._gathered += fell
        runs = self._gathered * (dt / GATHERS_S)
        self._gathered -= runs
        standing = depth[self.cells] * self._part * area
        sinks = np.where(self._rising > 0, 0.0, np.minimum(self.takes_m3s * dt, runs + standing))
        np.add.at(depth, self.cells, (runs - sinks + self._rising * dt) / area)
        self.fell_m3 += float(fell.sum())
        self.into_drains_m3 += float(sinks.sum())
        self.up_m3 += float(self._rising.sum()) * dt
        self._underpasses(depth, rain_mm_h, dt)
        self.surface.advance(dt)
        river = self.surface.depth_m[self.ground.river]
        self.away_m3 += float(river.sum()) * area
        self.surface.depth_m[self.ground.river] = 0.0
        np.maximum(self.deepest_m, depth, out=self.deepest_m)
        self.drains.feed(sinks / dt)
        self.drains.advance(EXCHANGE_S)
        self._rising = self.drains.rising()
        self._standing = None

    def clog(self, manholes: Iterable[str], share: float) -> None:
        """From now on the inlets of these take a share of what they are made for; 1: they are clean."""
        rows = [self.manholes.index(each) for each in manholes]
        self.takes_m3s[rows] = share * self._clean_m3s[rows]

    def _underpasses(self, depth: Floats, rain_mm_h: float, dt: float) -> None:
        """Rain falls on the ramps; what stands at the gullies runs into the sump as long as there is room."""
        for id_, cells in self.ground.underpasses.items():
            depth[cells] += rain_mm_h / 3.6e6 * dt
            self.fell_m3 += rain_mm_h / 3.6e6 * dt * len(cells) * CELL_M**2
            pit, gullies = self.sumps[id_], self._gullies[id_]
            room = pit.sump_m3 - pit.in_sump_m3
            standing = float(depth[gullies].sum()) * CELL_M**2
            share = min(1.0, room / standing) if standing > 0 else 0.0
            depth[gullies] *= 1.0 - share
            pit.in_sump_m3 += share * standing
            self.lifted_m3 += pit.step(dt, 0.0)

    def underpass_m(self, id_: str) -> float:
        """Depth at the deepest place of an underpass."""
        return float(self.surface.depth_m.reshape(-1)[self.ground.underpasses[id_]].max())

    def on_ground_m3(self) -> float:
        return self.surface.volume_m3

    def adrift(self) -> float:
        """Water that the books of the ground cannot explain, as a share of what fell."""
        stayed = self.on_ground_m3() + self._gathered.sum() - self._held_m3
        stayed += sum(pit.in_sump_m3 for pit in self.sumps.values())
        known = self.fell_m3 + self.up_m3 - self.into_drains_m3 - self.lifted_m3 - self.away_m3
        return abs(float(stayed) - known) / max(self.fell_m3, 1.0)

    def flooded(self, depth_m: float) -> list[tuple[float, float, float]]:
        """lon, lat and greatest depth of the streets and squares that have been so deep under water."""
        cells = np.flatnonzero(self.ground.land.reshape(-1) & (self.deepest_m >= depth_m))
        lonlat = self.city.plane.lonlats(self.ground.centres[cells])
        return [(*at, deep) for at, deep in zip(lonlat.tolist(), self.deepest_m[cells].tolist(), strict=True)]

    def sewer_m(self, manhole: str) -> float:
        """Depth of water in a manhole or in the forebay of a pumping station."""
        if self._standing is None:
            self._standing = self.drains.depth_m()
        return float(self._standing[self.manholes.index(manhole)])

    def depth_at(self, cell: int) -> float:
        return float(self.surface.depth_m.reshape(-1)[cell])

    def near(self, id_: str, count: int) -> list[str]:
        """The manholes nearest to an underpass."""
        x, y = self.ground.centres[self.ground.underpasses[id_]].mean(axis=0).tolist()
        return self.around(x, y, count)

    def around(self, x: float, y: float, count: int) -> list[str]:
        """The manholes nearest to a place of the city's plane."""
        away = np.hypot(*(self.ground.centres[self.cells] - (x, y)).T)
        return [self.manholes[row] for row in np.argsort(away, kind="stable")[:count]]
