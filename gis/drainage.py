"""A generated storm drainage network that follows the streets and slopes to pumping stations at the water.

It is *simulated* and says so wherever it is shown. Every drain falls to its head; what the land is too flat for is
lifted at the last manhole by a pumping station that discharges through an outfall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from gis import cells
from gis.lines import Floats, Geometry, Ints, Polylines, cut, measure, shifted
from gis.streets import Streets

#: Sizes in mm that drains are made in, and the least fall of each (ours, after common practice).
SIZES_MM = np.array([300, 400, 500, 600, 800, 1000, 1200, 1500, 1800, 2200, 2600, 3000, 3500, 4000])
LEAST_FALL = np.array(
    [
        0.0025,
        0.002,
        0.0016,
        0.0013,
        0.001,
        0.0009,
        0.0008,
        0.0007,
        0.0006,
        0.0005,
        0.0005,
        0.0004,
        0.0004,
        0.0004,
    ]
)

#: What drains are sized for (ours): rain that comes once in three years, of which 65 % runs off; it takes 8 minutes
#: to the first manhole, and 1.2 m/s in the drains. `RESERVE` is room beyond that.
RETURN_YEARS = 3.0
RUNOFF = 0.65
INLET_MIN = 8.0
DRAIN_MPS = 1.2
RESERVE = 1.5

#: Minutes and exponent of the storm formula.
STORM_B, STORM_N = 7.0, 0.656
ROUGHNESS = 0.013  # Manning's n of concrete
PIECE_M = 60.0
COVER_M = 1.0
ASIDE_M = -3.5
CATCH_M = 90.0  # land farther from every manhole than this drains elsewhere
OUTFALL_EVERY_M = 800.0


@dataclass(frozen=True, slots=True, eq=False)
class Manholes:
    """n nodes. kind: `manhole`, `pump_station` (the last node of a catchment) or `outfall` (at the water)."""

    id: tuple[str, ...]
    kind: tuple[str, ...]
    xy: Floats
    ground_m: Floats
    invert_m: Floats
    area_m2: Floats  # of the land that drains here
    catchment: Ints
    street: Ints

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, slots=True, eq=False)
class Drains:
    """n drains, each falling from `tail` to `head`; role `gravity`, or `rising` from a pumping station."""

    id: tuple[str, ...]
    tail: Ints
    head: Ints
    lines: Polylines
    length_m: Floats
    size_mm: Ints
    upper_m: Floats  # invert at the tail
    lower_m: Floats  # invert at the head
    role: tuple[str, ...]
    catchment: Ints
    street: Ints

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, slots=True, eq=False)
class Catchment:
    """What drains to one outfall; `station` and `outfall` are rows of the manholes."""

    id: str
    station: int
    outfall: int
    area_m2: float
    design_lps: float  # what its pumps lift together


@dataclass(frozen=True, slots=True, eq=False)
class DrainageNetwork:
    """Everything of one storm drainage network, in metres of the city's plane."""

    manholes: Manholes
    drains: Drains
    catchments: tuple[Catchment, ...]
    junction: Ints  # street junction → row of its manhole

    def inp(self, *, rain_mm_h: Sequence[float], step_min: int = 5, hours: float = 3.0) -> str:
        """The network as a SWMM 5 input file under this rain, one value a step; dynamic wave, L/s."""
        return _inp(self, rain_mm_h, step_min, hours)


def build(streets: Streets, ground_m: Floats, shore: Geometry | None = None) -> DrainageNetwork:
    """A network for these streets. `ground_m` is per street junction, `shore` the waters that outfalls reach.

    Without a shore the lowest junctions at the rim are taken for outfalls.
    """
    draft = _Draft(streets, ground_m, shore)
    count, component = streets.components()
    for number in range(count):
        draft.drain(np.flatnonzero(component == number).astype(np.int32))
    return draft.finish()


@dataclass
class _Draft:
    streets: Streets
    ground: Floats
    shore: Geometry | None
    kind: list[str] = field(default_factory=list)
    xy: list[tuple[float, float]] = field(default_factory=list)
    height: list[float] = field(default_factory=list)
    catch: list[int] = field(default_factory=list)
    lies: list[int] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)
    lines: list[Floats] = field(default_factory=list)
    role: list[str] = field(default_factory=list)
    street: list[int] = field(default_factory=list)
    stations: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = self.streets.nodes
        self.junction = np.full(n, -1, np.int32)
        lengths = self.streets.lines.length_m
        self.graph = cells.graph(self.streets.tail, self.streets.head, lengths, n)
        self.beside = np.full(n, -1, np.int32)
        for row, (tail, head) in enumerate(zip(self.streets.tail, self.streets.head, strict=True)):
            self.beside[[tail, head]] = row

    def drain(self, members: Ints) -> None:
        """Drains in every street of a connected set of junctions, down the shortest ways to its outfalls."""
        ports = self._ports(members)
        far, before, source = dijkstra(self.graph, indices=ports, min_only=True, return_predecessors=True)
        catchment = {int(port): len(self.stations) + row for row, port in enumerate(ports)}
        for node in members.tolist():
            self.junction[node] = self._node("manhole", self.streets.node_xy[node], self.ground[node],
                                             catchment[int(source[node])], int(self.beside[node]))  # fmt: skip
        for port in ports.tolist():
            self._outfall(port, catchment[port])
        inside = np.zeros(self.streets.nodes, bool)
        inside[members] = True
        for street in np.flatnonzero(inside[self.streets.tail]).tolist():
            tail, head = int(self.streets.tail[street]), int(self.streets.head[street])
            line = self.streets.lines[street]
            if far[tail] < far[head]:
                tail, head, line = head, tail, line[::-1]
            self._lay(
                street,
                tail,
                head,
                line,
                whole=bool(before[tail] == head),
                catchment=catchment[int(source[head])],
            )

    def _ports(self, members: Ints) -> Ints:
        """Junctions near the water (or low at the rim), well apart: where the pumping stations stand."""
        xy = self.streets.node_xy[members]
        if self.shore is not None:
            gap = shapely.distance(shapely.points(xy), self.shore)
        else:
            gap = self.ground[members] * 100.0 - np.hypot(*xy.T)
        order = np.argsort(gap, kind="stable")
        wanted = max(1, round(len(members) / 45))
        chosen: list[int] = []
        for row in order.tolist():
            apart = all(np.hypot(*(xy[row] - xy[other])) >= OUTFALL_EVERY_M for other in chosen)
            if apart and len(chosen) < wanted:
                chosen.append(row)
        ports: Ints = members[np.array(sorted(chosen))]
        return ports

    def _outfall(self, port: int, catchment: int) -> None:
        station = int(self.junction[port])
        self.kind[station] = "pump_station"
        here = np.array(self.xy[station])
        if self.shore is not None:
            touch = shapely.shortest_line(shapely.Point(here), self.shore)
            end = np.asarray(touch.coords)[-1]
        else:
            end = here * (1.0 + 60.0 / max(float(np.hypot(*here)), 1.0))
        if float(np.hypot(*(end - here))) < 5.0:
            end = here + np.array([5.0, 0.0])
        outfall = self._node("outfall", end, self.height[station], catchment, self.lies[station])
        self.stations.append((station, outfall))
        self._pipe(station, outfall, np.array([here, end]), "rising", self.lies[station])

    def _lay(self, street: int, tail: int, head: int, line: Floats, *, whole: bool, catchment: int) -> None:
        """Drains down a street. Where the water of its upper end goes another way, they begin a little below it."""
        line = shifted(line, ASIDE_M)
        line = np.vstack([self.xy[self.junction[tail]], line[1:-1], self.xy[self.junction[head]]])
        length = float(measure(line)[-1])
        at = int(self.junction[tail])
        if not whole:
            if length < 40.0:
                return
            line = _without_begin(line, 12.0)
            at = self._node("manhole", line[0], self._ground_at(tail, head, 12.0 / length), catchment, street)
        pieces = cut(line, max(1, round(length / PIECE_M)))
        for number, piece in enumerate(pieces, 1):
            share = number / len(pieces)
            last = number == len(pieces)
            ground = self._ground_at(tail, head, share)
            end = (
                int(self.junction[head])
                if last
                else self._node("manhole", piece[-1], ground, catchment, street)
            )
            self._pipe(at, end, piece, "gravity", street)
            at = end

    def _ground_at(self, tail: int, head: int, share: float) -> float:
        return float((1 - share) * self.ground[tail] + share * self.ground[head])

    def _node(self, kind: str, xy: Floats, ground: float, catchment: int, street: int) -> int:
        self.kind.append(kind)
        self.xy.append((float(xy[0]), float(xy[1])))
        self.height.append(float(ground))
        self.catch.append(catchment)
        self.lies.append(street)
        return len(self.kind) - 1

    def _pipe(self, tail: int, head: int, line: Floats, role: str, street: int) -> None:
        self.ends.append((tail, head))
        self.lines.append(line)
        self.role.append(role)
        self.street.append(street)

    def finish(self) -> DrainageNetwork:
        xy = np.array(self.xy)
        tail, head = np.array(self.ends, np.int32).T
        length = np.array([float(measure(line)[-1]) for line in self.lines])
        outfall = np.array([kind == "outfall" for kind in self.kind])
        area = np.where(outfall, 0.0, _areas(xy, outfall, self.shore))
        order = _downwards(tail, head, len(xy))
        size, design = _sizes(tail, head, length, area, order)
        upper, lower, invert = _inverts(
            tail, head, length, size, np.array(self.height), order, np.array(self.role)
        )
        width = max(4, len(str(len(xy))))
        manholes = Manholes(
            id=_numbered(self.kind, {"manhole": "MH", "pump_station": "PS", "outfall": "OF"}, width),
            kind=tuple(self.kind),
            xy=xy,
            ground_m=np.array(self.height),
            invert_m=invert,
            area_m2=area,
            catchment=np.array(self.catch, np.int32),
            street=np.array(self.lies, np.int32),
        )
        drains = Drains(
            id=tuple(f"D-{number:0{width}d}" for number in range(1, len(tail) + 1)),
            tail=tail,
            head=head,
            lines=Polylines.of(self.lines),
            length_m=np.maximum(length, 1.0),
            size_mm=size,
            upper_m=upper,
            lower_m=lower,
            role=tuple(self.role),
            catchment=manholes.catchment[tail],
            street=np.array(self.street, np.int32),
        )
        total = np.bincount(manholes.catchment, area, len(self.stations))
        catchments = tuple(
            Catchment(f"CA-{row + 1:02d}", station, end, float(total[row]), float(design[station]))
            for row, (station, end) in enumerate(self.stations)
        )
        return DrainageNetwork(manholes, drains, catchments, self.junction)


def _numbered(kinds: Sequence[str], prefix: dict[str, str], width: int) -> tuple[str, ...]:
    seen = dict.fromkeys(prefix, 0)
    ids = []
    for kind in kinds:
        seen[kind] += 1
        ids.append(f"{prefix[kind]}-{seen[kind]:0{width if kind == 'manhole' else 2}d}")
    return tuple(ids)


def _without_begin(line: Floats, metres: float) -> Floats:
    along = measure(line)
    first = [np.interp(metres, along, line[:, axis]) for axis in (0, 1)]
    return np.vstack([first, line[along > metres]])


def areas_of(xy: Floats, shore: Geometry | None) -> list[Geometry]:
    """The land that is nearer to each place than to any other, at most `CATCH_M` away and not in the water."""
    nearest = shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(xy), ordered=True))
    land = shapely.intersection(nearest, shapely.buffer(shapely.points(xy), CATCH_M, quad_segs=4))
    if shore is not None:
        shapely.prepare(shore)
        wet = shapely.intersects(shore, land)
        land[wet] = shapely.difference(land[wet], shore)
    return list(land)


def _areas(xy: Floats, without: Sequence[bool] | Floats, shore: Geometry | None) -> Floats:
    inner = ~np.asarray(without, bool)
    areas = np.zeros(len(xy))
    areas[inner] = shapely.area(areas_of(xy[inner], shore))
    return areas


def _downwards(tail: Ints, head: Ints, nodes: int) -> Ints:
    """Rows of the drains so that each comes after all that flow into it."""
    rank = np.zeros(nodes, np.int32)
    below = np.full(nodes, -1, np.int64)
    below[tail] = head
    waiting = np.bincount(head, minlength=nodes)
    ready: list[int] = np.flatnonzero(waiting == 0).tolist()
    step = 0
    while ready:
        node = ready.pop()
        rank[node] = step
        step += 1
        following = int(below[node])
        if following >= 0:
            waiting[following] -= 1
            if waiting[following] == 0:
                ready.append(following)
    if step != nodes:
        raise ValueError("the drains run in a circle")
    return np.argsort(rank[tail], kind="stable").astype(np.int32)


def rain_mm_h(years: float, minutes: float) -> float:
    """Mean intensity of rain that lasts so long and comes once in so many years.

    The usual form of a Chinese city's storm formula (暴雨强度公式) with numbers of ours, near those of Shanghai.
    """
    return float(0.36 * 1600.0 * (1.0 + 0.846 * np.log10(years)) / (minutes + STORM_B) ** STORM_N)


def chicago(peak_mm_h: float, away_min: Floats) -> Floats:
    """A storm of that formula after Keifer and Chu (1957): mm/h so many minutes before or after its peak.

    Minutes are stretched by the share of the storm on that side of the peak.
    """
    found: Floats = ((1 - STORM_N) * away_min + STORM_B) / (away_min + STORM_B) ** (1 + STORM_N)
    found *= peak_mm_h * STORM_B**STORM_N
    return found


def storm(years: float, minutes: int = 120, step_min: int = 5, peak_at: float = 0.4) -> list[float]:
    """A design storm after Keifer and Chu (Chicago) from that formula: mm/h of each step."""
    at = np.arange(step_min / 2, minutes, step_min)
    before = peak_at * minutes
    away = np.where(at < before, (before - at) / peak_at, (at - before) / (1 - peak_at))
    steps: list[float] = chicago(rain_mm_h(years, 0.0), away).tolist()
    return steps


def _sizes(tail: Ints, head: Ints, length: Floats, area: Floats, order: Ints) -> tuple[Ints, Floats]:
    """(size of each drain, design flow of each node in L/s) by the rational method; never narrower further down."""
    above = area.copy()
    minutes = np.full(len(area), INLET_MIN)
    row = np.zeros(len(tail), np.int64)
    widest = np.zeros(len(area), np.int64)
    section, radius = np.pi / 4 * (SIZES_MM / 1000.0) ** 2, SIZES_MM / 4000.0
    capacity = 1000.0 * section / ROUGHNESS * radius ** (2 / 3) * np.sqrt(LEAST_FALL)
    design = np.zeros(len(area))
    for pipe in order.tolist():
        a, b = int(tail[pipe]), int(head[pipe])
        design[a] = above[a] * RUNOFF * rain_mm_h(RETURN_YEARS, float(minutes[a])) / 3600.0 * RESERVE
        row[pipe] = min(max(int(np.searchsorted(capacity, design[a])), int(widest[a])), len(SIZES_MM) - 1)
        widest[b] = max(widest[b], row[pipe])
        above[b] += above[a]
        minutes[b] = max(minutes[b], minutes[a] + length[pipe] / DRAIN_MPS / 60.0)
    return SIZES_MM[row].astype(np.int32), design


def _inverts(
    tail: Ints, head: Ints, length: Floats, size: Ints, ground: Floats, order: Ints, role: NDArray[np.str_]
) -> tuple[Floats, Floats, Floats]:
    """(upper, lower invert of each drain, invert of each node): each drain as deep as its cover and inflows ask."""
    fall = LEAST_FALL[np.searchsorted(SIZES_MM, size)]
    invert = np.full(len(ground), np.inf)
    upper, lower = np.zeros(len(tail)), np.zeros(len(tail))
    for pipe in order.tolist():
        a, b = int(tail[pipe]), int(head[pipe])
        cover = COVER_M + size[pipe] / 1000.0
        invert[a] = min(invert[a], ground[a] - cover)
        upper[pipe] = invert[a]
        if role[pipe] == "rising":  # a pumping station lifts the water to the outfall
            lower[pipe] = invert[b] = ground[b] - 1.5
            continue
        lower[pipe] = min(upper[pipe] - max(fall[pipe] * length[pipe], 0.005), ground[b] - cover)
        invert[b] = min(invert[b], lower[pipe])
    return upper, lower, invert


def _inp(network: DrainageNetwork, rain_mm_h: Sequence[float], step_min: int, hours: float) -> str:
    nodes, drains = network.manholes, network.drains
    gravity = [row for row, role in enumerate(drains.role) if role == "gravity"]
    stop = f"{int(hours):02d}:{round(hours % 1 * 60):02d}:00"
    text = ["[TITLE]", "Simulated storm drainage of a sample city", "", "[OPTIONS]", "FLOW_UNITS LPS",
            "INFILTRATION HORTON", "FLOW_ROUTING DYNWAVE", "START_DATE 01/01/2026", "START_TIME 00:00:00",
            "END_DATE 01/01/2026", f"END_TIME {stop}", "REPORT_STEP 00:05:00", "WET_STEP 00:01:00",
            "DRY_STEP 01:00:00", "ROUTING_STEP 5", "INERTIAL_DAMPING PARTIAL", "ALLOW_PONDING YES",
            "VARIABLE_STEP 0.75", "", "[RAINGAGES]",
            f"RG INTENSITY 0:{step_min:02d} 1.0 TIMESERIES RAIN", "", "[SUBCATCHMENTS]"]  # fmt: skip
    caught = [row for row in range(len(nodes)) if nodes.area_m2[row] > 1.0]
    text += [
        f"S{nodes.id[row]} RG {nodes.id[row]} {nodes.area_m2[row] / 1e4:.5f} 65 {nodes.area_m2[row] / 40:.1f} 0.5 0"
        for row in caught
    ]
    text += ["", "[SUBAREAS]", *(f"S{nodes.id[row]} 0.013 0.15 1.0 5.0 25 OUTLET" for row in caught)]
    text += ["", "[INFILTRATION]", *(f"S{nodes.id[row]} 25 4 4 7 0" for row in caught)]
    text += ["", "[JUNCTIONS]"]
    text += [
        f"{nodes.id[row]} {nodes.invert_m[row]:.3f} {nodes.ground_m[row] - nodes.invert_m[row]:.3f} 0 0 400"
        for row in range(len(nodes)) if nodes.kind[row] == "manhole"
    ]  # fmt: skip
    stations = {each.station: each for each in network.catchments}
    text += ["", "[STORAGE]"]
    text += [
        f"{nodes.id[row]} {nodes.invert_m[row] - 1.5:.3f} {nodes.ground_m[row] - nodes.invert_m[row] + 1.5:.3f} 0 "
        "FUNCTIONAL 0 0 400 0 0"
        for row in stations
    ]
    text += ["", "[OUTFALLS]"]
    text += [
        f"{nodes.id[each.outfall]} {nodes.invert_m[each.outfall]:.3f} FREE NO" for each in network.catchments
    ]
    text += ["", "[CONDUITS]"]
    text += [
        f"{drains.id[row]} {nodes.id[drains.tail[row]]} {nodes.id[drains.head[row]]} {drains.length_m[row]:.2f} "
        f"{ROUGHNESS} {drains.upper_m[row] - nodes.invert_m[drains.tail[row]]:.3f} "
        f"{drains.lower_m[row] - _floor(network, int(drains.head[row])):.3f} 0 0"
        for row in gravity
    ]
    text += ["", "[PUMPS]"]
    text += [
        f"PU-{each.id} {nodes.id[each.station]} {nodes.id[each.outfall]} C{each.id} ON 1.5 0.5"
        for each in network.catchments
    ]
    text += ["", "[CURVES]"]
    text += [f"C{each.id} PUMP2 1 {each.design_lps / 2:.1f}\nC{each.id} 50 {each.design_lps:.1f}"
             for each in network.catchments]  # fmt: skip
    text += [
        "",
        "[XSECTIONS]",
        *(f"{drains.id[row]} CIRCULAR {drains.size_mm[row] / 1000} 0 0 0" for row in gravity),
    ]
    text += ["", "[TIMESERIES]"]
    text += [
        f"RAIN {row * step_min // 60}:{row * step_min % 60:02d} {value:.3f}"
        for row, value in enumerate(rain_mm_h)
    ]
    text += ["", "[REPORT]", "INPUT NO", "CONTROLS NO", "SUBCATCHMENTS NONE", "NODES NONE", "LINKS NONE"]
    text += ["", "[COORDINATES]"]
    text += [f"{nodes.id[row]} {nodes.xy[row, 0]:.2f} {nodes.xy[row, 1]:.2f}" for row in range(len(nodes))]
    return "\n".join([*text, ""])


def _floor(network: DrainageNetwork, node: int) -> float:
    """The bottom of a node; a pumping station's forebay lies below its lowest drain."""
    deeper = 1.5 if network.manholes.kind[node] == "pump_station" else 0.0
    return float(network.manholes.invert_m[node]) - deeper
