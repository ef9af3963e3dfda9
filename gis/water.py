"""A generated water supply network that follows the streets: mains, metering districts, valves, hydrants.

It is *simulated* and says so wherever it is shown. Trunk mains carry water from the sources to the inlets of the
districts, beside the distribution pipes of the same streets and without any other connection to them; between
districts the pipes are shut. So every district's inflow is metered, and every pipe can be cut off by valves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from gis import cells
from gis.lines import Floats, Ints, Polylines, cut, shifted
from gis.streets import Streets

Bools = NDArray[np.bool_]

#: Nominal diameters in mm that pipes are made in.
NOMINAL = np.array([100, 150, 200, 300, 400, 500, 600, 700, 800, 1000, 1200, 1400, 1600, 1800, 2000])

#: Hourly demand of a mixed city quarter as multiples of its mean (ours): a morning and an evening peak.
PATTERN = (
    0.52, 0.45, 0.42, 0.40, 0.43, 0.58, 0.95, 1.32, 1.45, 1.32, 1.20, 1.15,
    1.20, 1.15, 1.08, 1.08, 1.15, 1.30, 1.44, 1.48, 1.38, 1.18, 0.92, 0.68,
)  # fmt: skip

#: A household's mean use (ours): 0.45 m³ a day.
HOUSEHOLD_LPS = 0.45 * 1000 / 86_400

PIECE_M = 180.0  # distribution pipes are at most this long, so that a place on the network is well known
TRUNK_ASIDE_M = 3.0  # trunk mains lie this far beside the distribution pipe of the same street
HYDRANT_EVERY_M = 100.0
HYDRANT_REACH_M = 60.0  # no place of a pipe is farther from a hydrant: hydrants are at most 120 m apart
VALVE_ASIDE_M = 4.0
DISTRICT_HEAD_M = 30.0  # of water column behind a district's reducer
DESIGN_SPEED = 1.1  # m/s in the busiest hour
SECOND_INLET_M = 220.0
JUNCTIONS_A_SOURCE = 500


@dataclass(frozen=True, slots=True, eq=False)
class Pipes:
    """n pipes; water of an average day flows tail → head. `zone` is the district's row, -1 for trunk mains.

    role: `distribution`, `trunk`, `inlet` (metered, trunk to district) or `boundary` (shut, between districts).
    """

    id: tuple[str, ...]
    tail: Ints
    head: Ints
    lines: Polylines
    length_m: Floats
    diameter_mm: Ints
    material: tuple[str, ...]
    year: Ints
    roughness: Floats
    role: tuple[str, ...]
    zone: Ints
    street: Ints  # row of the street it lies in
    flow_lps: Floats

    def __len__(self) -> int:
        return len(self.id)

    @property
    def shut(self) -> NDArray[np.bool_]:
        return np.array([role == "boundary" for role in self.role], bool)


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """n nodes. kind: `junction`, `trunk` (a junction of trunk mains), `inlet` (the chamber of a district's meter and
    reducer) or `source` (fixed head above the datum).
    """

    id: tuple[str, ...]
    kind: tuple[str, ...]
    xy: Floats
    elevation_m: Floats
    head_m: Floats
    demand_lps: Floats
    zone: Ints

    def __len__(self) -> int:
        return len(self.id)

    @property
    def households(self) -> Ints:
        return np.round(self.demand_lps / HOUSEHOLD_LPS).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class OnPipe:
    """n things that sit on pipes, `offset_m` from the pipe's tail; `node` is the nearer end of the pipe."""

    id: tuple[str, ...]
    pipe: Ints
    node: Ints
    offset_m: Floats
    xy: Floats

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, slots=True, eq=False)
class Pump:
    """A pump between two nodes by its design point."""

    id: str
    tail: int
    head: int
    flow_lps: float
    lift_m: float
    xy: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Reducer:
    """A pressure-reducing valve (减压阀) at a district's inlet: water passes one way, at no more than its set head."""

    id: str
    tail: int
    head: int
    set_m: float
    xy: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class District:
    """A district metered area (独立计量区): `inlets` are rows of `WaterNetwork.meters`."""

    id: str
    inlets: tuple[int, ...]
    demand_lps: float


@dataclass(frozen=True, slots=True, eq=False)
class WaterNetwork:
    """Everything of one supply network, in metres of the city's plane."""

    nodes: Nodes
    pipes: Pipes
    valves: OnPipe
    hydrants: OnPipe
    meters: OnPipe
    pumps: tuple[Pump, ...]
    reducers: tuple[Reducer, ...]
    districts: tuple[District, ...]
    junction: Ints  # street junction → row of its distribution node

    def inp(
        self, *, hours: int = 24, step_s: int = 3600, pressure_driven: bool = True, peak: float = 1.0
    ) -> str:
        """The network as an EPANET input file: L/s, Hazen–Williams, one demand pattern of 24 hours.

        `peak` multiplies all demands. Valves are not links of their own: shutting one is closing its pipe.
        """
        return _inp(self, hours, step_s, pressure_driven=pressure_driven, peak=peak)


def build(streets: Streets, demand_lps: Floats, elevation_m: Floats, district_streets: int = 70,
          head_m: float = 40.0) -> WaterNetwork:  # fmt: skip
    """A network for these streets. `demand_lps` and `elevation_m` are per street junction.

    `district_streets` is about how many street stretches make one metering district; `head_m` is the water level
    of the sources above the datum.
    """
    draft = _Draft(streets, demand_lps, elevation_m)
    count, component = streets.components()
    for number in range(count):
        members = np.flatnonzero(component == number).astype(np.int32)
        edges = int(np.count_nonzero(component[streets.tail] == number))
        draft.lay_district_pipes(members, max(1, round(edges / district_streets)))
        draft.lay_trunk(members, head_m)
    draft.add_pump(head_m)
    return draft.finish()


@dataclass
class _Draft:
    """The network while it is being laid; lists grow, `finish` freezes them."""

    streets: Streets
    demand: Floats
    elevation: Floats
    kind: list[str] = field(default_factory=list)
    xy: list[tuple[float, float]] = field(default_factory=list)
    ground: list[float] = field(default_factory=list)
    head_m: list[float] = field(default_factory=list)
    use: list[float] = field(default_factory=list)
    node_zone: list[int] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)
    lines: list[Floats] = field(default_factory=list)
    role: list[str] = field(default_factory=list)
    zone: list[int] = field(default_factory=list)
    street: list[int] = field(default_factory=list)
    carries: list[float] = field(default_factory=list)
    zones: int = 0
    pumps: list[Pump] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    reducers: list[Reducer] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = self.streets.nodes
        self.cell = np.full(n, -1, np.int32)
        self.junction = np.full(n, -1, np.int32)
        self.trunk_node: dict[int, int] = {}
        length = self.streets.lines.length_m
        self.graph = cells.graph(self.streets.tail, self.streets.head, length, n)
        dearer = np.array([0.7, 0.8, 1.0, 1.7, 1.7])[self.streets.rank]  # trunk mains prefer main roads
        self.trunk_graph = cells.graph(self.streets.tail, self.streets.head, length * dearer, n)
        pairs = zip(self.streets.tail.tolist(), self.streets.head.tolist(), strict=True)
        self.edge_of = {pair: row for row, pair in enumerate(pairs)}

    # -- distribution ------------------------------------------------------------------------------------------

    def lay_district_pipes(self, members: Ints, count: int) -> None:
        """Pipes in every street of a connected set of junctions, divided into `count` districts."""
        label = cells.divide(self.streets.node_xy, members, self.graph, count)
        self.cell[members] = label + self.zones
        self.zones += int(label.max()) + 1
        for node in members.tolist():
            self.junction[node] = self._node("junction", self.streets.node_xy[node], self.elevation[node],
                                             use=self.demand[node], zone=int(self.cell[node]))  # fmt: skip
        mine = np.zeros(self.streets.nodes, bool)
        mine[members] = True
        for street in np.flatnonzero(mine[self.streets.tail]).tolist():
            self._lay_street(street)

    def _lay_street(self, street: int) -> None:
        tail, head = int(self.streets.tail[street]), int(self.streets.head[street])
        line = self.streets.lines[street]
        zone = int(self.cell[tail])
        pieces = cut(line, int(np.ceil(self.streets.lines.length_m[street] / PIECE_M)))
        crossing = zone != self.cell[head]
        at = int(self.junction[tail])
        for number, piece in enumerate(pieces, 1):
            last = number == len(pieces)
            share = number / len(pieces)
            ground = (1 - share) * self.elevation[tail] + share * self.elevation[head]
            end = int(self.junction[head]) if last else self._node("junction", piece[-1], ground, zone=zone)
            self._pipe(at, end, piece, "boundary" if crossing and last else "distribution", zone, street)
            at = end

    # -- trunk mains -------------------------------------------------------------------------------------------

    def lay_trunk(self, members: Ints, head_m: float) -> None:
        """Sources at the rim of the junctions, and mains from the nearest two to an inlet of every district."""
        ports = self._ports(members)
        cost, before = dijkstra(self.trunk_graph, indices=ports, return_predecessors=True)
        used: dict[tuple[int, int], float] = {}
        given = np.zeros(len(ports))
        nearest = cost.min(axis=0) if len(ports) > 2 else cost[0]  # of two sources the first is the main one
        inlets: dict[int, list[int]] = {}
        for zone in np.unique(self.cell[members]).tolist():
            inside = members[self.cell[members] == zone]
            need = float(self.demand[inside].sum())
            first = int(inside[np.argmin(nearest[inside])])
            inlets[zone] = [first]
            for port in np.argsort(cost[:, first])[:2].tolist():
                for a, b in _steps(before[port], ports[port], first):
                    used[a, b] = used.get((a, b), 0.0) + need * 0.7
                given[port] += need * 0.7
        for port in ports[1:].tolist():
            for a, b in _steps(before[0], ports[0], port):
                used.setdefault((a, b), 0.0)
        on_trunk = {node for edge in used for node in edge}
        for zone in inlets:
            inlets[zone] += self._second_inlet(zone, inlets[zone][0], on_trunk)
        for (a, b), flow in used.items():
            self._lay_trunk_pipe(a, b, flow)
        for row, port in enumerate(ports.tolist()):
            self._lay_source(port, head_m, float(given[row]))
        for zone, chosen in inlets.items():
            need = float(self.demand[members[self.cell[members] == zone]].sum())
            for node in chosen:
                self._lay_inlet(node, zone, need)

    def _ports(self, members: Ints) -> Ints:
        """Where water comes in: junctions of main roads, the first farthest out, all far from each other."""
        touches = np.full(self.streets.nodes, 9, np.int8)
        np.minimum.at(touches, self.streets.tail, self.streets.rank)
        np.minimum.at(touches, self.streets.head, self.streets.rank)
        main = members[touches[members] <= max(1, int(touches[members].min()))]
        xy = self.streets.node_xy[main]
        chosen = [int(np.argmax(np.hypot(*xy.T)))]
        gap = np.hypot(*(xy - xy[chosen[0]]).T)
        while len(chosen) < max(2, round(len(members) / JUNCTIONS_A_SOURCE)) and gap.max() > 0:
            chosen.append(int(np.argmax(gap)))
            gap = np.minimum(gap, np.hypot(*(xy - xy[chosen[-1]]).T))
        ports: Ints = main[chosen]
        return ports

    def _second_inlet(self, zone: int, first: int, on_trunk: set[int]) -> list[int]:
        """Another junction of the district that a trunk main passes anyway, well away from the first inlet."""
        here = [node for node in sorted(on_trunk) if self.cell[node] == zone]
        gap = [float(np.hypot(*(self.streets.node_xy[n] - self.streets.node_xy[first]))) for n in here]
        far = int(np.argmax(gap)) if gap else -1
        return [here[far]] if far >= 0 and gap[far] >= SECOND_INLET_M else []

    def _lay_trunk_pipe(self, a: int, b: int, flow: float) -> None:
        street = self.edge_of[min(a, b), max(a, b)]
        line = self.streets.lines[street] if a < b else self.streets.lines[street][::-1]
        aside = shifted(line, TRUNK_ASIDE_M)
        ends = self._trunk_at(a), self._trunk_at(b)
        points = np.vstack([self.xy[ends[0]], aside[1:-1], self.xy[ends[1]]])
        self._pipe(*ends, points, "trunk", -1, street, flow)

    def _trunk_at(self, node: int) -> int:
        if node not in self.trunk_node:
            beside = self.streets.node_xy[node] + (TRUNK_ASIDE_M, -TRUNK_ASIDE_M)
            self.trunk_node[node] = self._node("trunk", beside, self.elevation[node] - 0.6)
        return self.trunk_node[node]

    def _lay_source(self, port: int, head_m: float, flow: float) -> None:
        at = self._trunk_at(port)
        out = self.streets.node_xy[port] / max(float(np.hypot(*self.streets.node_xy[port])), 1.0)
        source = self._node("source", np.array(self.xy[at]) + 30.0 * out, self.elevation[port], head=head_m)
        self.sources.append(source)
        street = int(np.flatnonzero((self.streets.tail == port) | (self.streets.head == port))[0])
        self._pipe(source, at, np.array([self.xy[source], self.xy[at]]), "trunk", -1, street, flow)

    def _lay_inlet(self, node: int, zone: int, flow: float) -> None:
        """Trunk → meter → reducer → district; the reducer keeps what is behind it from flowing back."""
        at, end = self._trunk_at(node), int(self.junction[node])
        middle = (np.array(self.xy[at]) + np.array(self.xy[end])) / 2
        chamber = self._node("inlet", middle, self.elevation[node] - 0.6, zone=zone)
        street = int(np.flatnonzero((self.streets.tail == node) | (self.streets.head == node))[0])
        self._pipe(at, chamber, np.array([self.xy[at], middle]), "inlet", zone, street, flow)
        name = f"PRV-{len(self.reducers) + 1:02d}"
        self.reducers.append(Reducer(name, chamber, end, DISTRICT_HEAD_M, self.xy[chamber]))

    def add_pump(self, head_m: float) -> None:
        """The largest network's first source becomes a pumping station that lifts from a low clear-water tank."""
        need = [
            self.carries[row]
            for source in self.sources
            for row, (a, _) in enumerate(self.ends)
            if a == source
        ]
        which = self.sources[int(np.argmax(need))]
        pipe = next(row for row, (a, _) in enumerate(self.ends) if a == which)
        x, y = self.xy[which]
        self.head_m[which] = self.ground[which] + 2.0
        outlet = self._node("trunk", np.array([x + 8.0, y]), self.ground[which] - 0.6)
        self.ends[pipe] = (outlet, self.ends[pipe][1])
        self.lines[pipe] = np.vstack([self.xy[outlet], self.lines[pipe][1:]])
        lift = head_m + 1.0 - self.head_m[which]
        self.pumps.append(Pump("WP-1", which, outlet, max(need) * 1.1, lift, (x + 4.0, y)))

    # -- bookkeeping -------------------------------------------------------------------------------------------

    def _node(self, kind: str, xy: Floats, ground: float, *, use: float = 0.0, head: float = 0.0,
              zone: int = -1) -> int:  # fmt: skip
        self.kind.append(kind)
        self.xy.append((float(xy[0]), float(xy[1])))
        self.ground.append(float(ground))
        self.head_m.append(head)
        self.use.append(float(use))
        self.node_zone.append(zone)
        return len(self.kind) - 1

    def _pipe(
        self, tail: int, head: int, line: Floats, role: str, zone: int, street: int, flow: float = 0.0
    ) -> None:
        self.ends.append((tail, head))
        self.lines.append(line)
        self.role.append(role)
        self.zone.append(zone)
        self.street.append(street)
        self.carries.append(flow)

    # -- the finished network ----------------------------------------------------------------------------------

    def finish(self) -> WaterNetwork:
        self._share_demand_with_middles()
        self._sources_last()
        nodes = Nodes(
            id=_node_ids(self.kind),
            kind=tuple(self.kind),
            xy=np.array(self.xy),
            elevation_m=np.array(self.ground),
            head_m=np.array(self.head_m),
            demand_lps=np.array(self.use),
            zone=np.array(self.node_zone, np.int32),
        )
        pipes = self._pipes()
        network = WaterNetwork(
            nodes,
            pipes,
            _no_things(),
            _no_things(),
            _no_things(),
            tuple(self.pumps),
            tuple(self.reducers),
            (),
            self.junction,
        )
        network = replace(network, pipes=_along_the_flow(network))
        meters = _on_pipes(network, "M", [(row, 2.0) for row in _rows(network.pipes, "inlet")])
        return replace(
            network,
            valves=_valves(network),
            hydrants=_hydrants(network),
            meters=meters,
            districts=self._districts(network.pipes, meters),
        )

    def _sources_last(self) -> None:
        """EPANET numbers sources after all junctions: so do we, and its arrays fit ours."""
        order = sorted(range(len(self.kind)), key=lambda row: self.kind[row] == "source")
        now = {old: new for new, old in enumerate(order)}
        self.kind = [self.kind[old] for old in order]
        self.xy = [self.xy[old] for old in order]
        self.ground = [self.ground[old] for old in order]
        self.head_m = [self.head_m[old] for old in order]
        self.use = [self.use[old] for old in order]
        self.node_zone = [self.node_zone[old] for old in order]
        self.ends = [(now[tail], now[head]) for tail, head in self.ends]
        self.pumps = [replace(pump, tail=now[pump.tail], head=now[pump.head]) for pump in self.pumps]
        self.reducers = [replace(each, tail=now[each.tail], head=now[each.head]) for each in self.reducers]
        self.junction = np.array([now.get(node, -1) for node in self.junction.tolist()], np.int32)

    def _share_demand_with_middles(self) -> None:
        """Junctions in the middle of a street take a part of what its two ends use."""
        degree = np.bincount(np.array(self.ends).ravel(), minlength=len(self.kind))
        use = np.array(self.use)
        for tail, head in self.ends:
            for end, middle in ((tail, head), (head, tail)):
                if (
                    self.kind[end] == self.kind[middle] == "junction"
                    and self.use[middle] == 0 < self.use[end]
                ):
                    part = self.use[end] / (degree[end] + 1)
                    use[middle] += part
                    use[end] -= part
        self.use = use.tolist()

    def _pipes(self) -> Pipes:
        tail, head = np.array(self.ends, np.int32).T
        length = np.array([float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in self.lines])
        flow = np.array(self.carries)
        role = np.array(self.role)
        inlets = np.unique([each.head for each in self.reducers])
        spread = _spread(tail, head, length, np.array(self.use), role == "distribution", inlets)
        flow = np.where((role == "distribution") | (role == "boundary"), spread, flow)
        diameter = _diameter(flow, role, self.streets.rank[self.street])
        material, year, roughness = _made_of(diameter, np.array(self.street), self.streets)
        return Pipes(
            id=tuple(f"P-{number:0{_width(len(role))}d}" for number in range(1, len(role) + 1)),
            tail=tail,
            head=head,
            lines=Polylines.of(self.lines),
            length_m=np.maximum(length, 1.0),
            diameter_mm=diameter,
            material=material,
            year=year,
            roughness=roughness,
            role=tuple(self.role),
            zone=np.array(self.zone, np.int32),
            street=np.array(self.street, np.int32),
            flow_lps=np.zeros(len(role)),
        )

    def _districts(self, pipes: Pipes, meters: OnPipe) -> tuple[District, ...]:
        use = np.bincount(np.array(self.node_zone) + 1, self.use, self.zones + 1)[1:]
        width = max(2, len(str(self.zones)))
        zone_of = pipes.zone[meters.pipe]
        return tuple(
            District(
                f"DMA-{zone + 1:0{width}d}", tuple(np.flatnonzero(zone_of == zone).tolist()), float(use[zone])
            )
            for zone in range(self.zones)
        )


def _steps(before: Ints, start: int, end: int) -> list[tuple[int, int]]:
    """The edges of the way start → end in a tree of predecessors, in the direction from the start."""
    steps = []
    at = int(end)
    while at != start:
        previous = int(before[at])
        steps.append((previous, at))
        at = previous
    return steps[::-1]


def _width(count: int) -> int:
    return max(4, len(str(count)))


def _node_ids(kinds: Sequence[str]) -> tuple[str, ...]:
    prefix = {"junction": "J", "trunk": "T", "inlet": "IN", "source": "WS"}
    width = _width(len(kinds))
    seen = dict.fromkeys(prefix, 0)
    ids = []
    for kind in kinds:
        seen[kind] += 1
        ids.append(f"{prefix[kind]}-{seen[kind]:0{1 if kind == 'source' else width}d}")
    return tuple(ids)


def _rows(pipes: Pipes, *roles: str) -> list[int]:
    return [row for row, role in enumerate(pipes.role) if role in roles]


def _spread(tail: Ints, head: Ints, length: Floats, use: Floats, inside: Bools, inlets: Ints) -> Floats:
    """The demand that hangs on each pipe `inside` a district when water takes the shortest way from the inlets."""
    graph = cells.graph(tail[inside], head[inside], length[inside], len(use))
    far, before, _ = dijkstra(graph, indices=inlets, min_only=True, return_predecessors=True)
    hanging = use.copy()
    for node in np.argsort(-np.where(np.isfinite(far), far, -1.0)).tolist():
        if before[node] >= 0:
            hanging[before[node]] += hanging[node]
    below = np.where(before[head] == tail, hanging[head], np.where(before[tail] == head, hanging[tail], 0.0))
    return np.where(inside, below, 0.0)


def _diameter(flow: Floats, role: NDArray[np.str_], rank: NDArray[np.int8]) -> Ints:
    """Nominal diameter for the peak hour at the design speed, and at least what a street of that rank gets."""
    need = np.sqrt(4 * flow * max(PATTERN) / 1000 / np.pi / DESIGN_SPEED) * 1000
    least = np.where(role == "trunk", 400, np.where(role == "inlet", 200, np.where(rank <= 1, 200, 150)))
    row = np.searchsorted(NOMINAL, np.maximum(need, least))
    sizes: Ints = NOMINAL[np.minimum(row, len(NOMINAL) - 1)].astype(np.int32)
    return sizes


def _made_of(diameter: Ints, street: Ints, streets: Streets) -> tuple[tuple[str, ...], Ints, Floats]:
    """Material, year and Hazen–Williams C by diameter and by the street's own age; the same for the same street.

    Materials: DI ductile iron, CI grey cast iron, PE polyethylene, ST steel.
    """
    middle = np.array([streets.lines[row].mean(axis=0) for row in range(len(streets))])
    age = (np.sin(middle[:, 0] / 310.0) + np.sin(middle[:, 1] / 270.0 + middle[:, 0] / 900.0))[street]
    year = np.round(2001 + 11 * age / 2 * 1.8).astype(np.int32).clip(1978, 2021)
    material = np.where(
        diameter >= 800,
        "ST",
        np.where(year < 1994, "CI", np.where((year > 2010) & (diameter <= 200), "PE", "DI")),
    )
    new = {"ST": 120.0, "CI": 110.0, "PE": 145.0, "DI": 130.0}
    ageing = {"ST": 0.3, "CI": 0.6, "PE": 0.1, "DI": 0.3}
    roughness = np.array([new[m] - ageing[m] * (2021 - y) for m, y in zip(material, year, strict=True)])
    return tuple(str(each) for each in material), year, roughness


def _no_things() -> OnPipe:
    return OnPipe((), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0), np.empty((0, 2)))


def _on_pipes(network: WaterNetwork, prefix: str, places: Sequence[tuple[int, float]]) -> OnPipe:
    """Things at (pipe, metres from its tail)."""
    pipes = network.pipes
    pipe = np.array([row for row, _ in places], np.int32)
    offset = np.array([at for _, at in places], np.float64)
    near_tail = offset <= pipes.length_m[pipe] / 2 if len(pipe) else np.empty(0, bool)
    width = _width(len(places))
    return OnPipe(
        id=tuple(f"{prefix}-{number:0{width}d}" for number in range(1, len(places) + 1)),
        pipe=pipe,
        node=np.where(near_tail, pipes.tail[pipe], pipes.head[pipe]).astype(np.int32),
        offset_m=offset,
        xy=np.array([pipes.lines.at(row, at) for row, at in places]).reshape(-1, 2),
    )


def _valves(network: WaterNetwork) -> OnPipe:
    """At a junction of n ≥ 3 pipes all but the widest have a valve. Inlets and sources have one, boundaries
    are shut by one.
    """
    pipes = network.pipes
    meets: list[list[int]] = [[] for _ in range(len(network.nodes))]
    for row, (tail, head) in enumerate(zip(pipes.tail.tolist(), pipes.head.tolist(), strict=True)):
        meets[tail].append(row)
        meets[head].append(row)
    reduced = {each.head for each in network.reducers}
    ends: set[tuple[int, int]] = set()
    for node, rows in enumerate(meets):
        if len(rows) + (node in reduced) >= 3:
            widest = max(rows, key=lambda row: (pipes.diameter_mm[row], -row))
            ends.update((row, node) for row in rows if row != widest)
        if network.nodes.kind[node] == "source":
            ends.update((row, node) for row in rows)
    one = {row: int(pipes.head[row]) for row in _rows(pipes, "boundary")}
    one |= {row: int(pipes.tail[row]) for row in _rows(pipes, "inlet")}
    ends = {end for end in ends if end[0] not in one} | set(one.items())
    for pump in network.pumps:
        ends.update((row, pump.head) for row in meets[pump.head])
    places = []
    for row, node in sorted(ends):
        length = float(pipes.length_m[row])
        aside = min(VALVE_ASIDE_M, length / 4)
        places.append((row, aside if pipes.tail[row] == node else length - aside))
    return _on_pipes(network, "V", places)


def _hydrants(network: WaterNetwork) -> OnPipe:
    """Hydrants on distribution pipes so that no place of them is farther than `HYDRANT_REACH_M` from one."""
    pipes = network.pipes
    rows = np.array(_rows(pipes, "distribution", "boundary"))
    length = pipes.length_m[rows]
    long = length >= HYDRANT_EVERY_M / 2
    places = [
        (int(row), (number + 0.5) * size / count)
        for row, size, count in zip(
            rows[long], length[long], np.ceil(length[long] / HYDRANT_EVERY_M).astype(int), strict=True
        )
        for number in range(count)
    ]
    gap = _to_hydrants(pipes, rows, places, len(network.nodes))
    short = rows[~long]
    ends = np.column_stack([gap[pipes.tail[short]], gap[pipes.head[short]]])
    farthest = np.maximum((ends.sum(axis=1) + pipes.length_m[short]) / 2, ends.max(axis=1))
    alone = farthest > HYDRANT_REACH_M
    places += [(int(row), float(pipes.length_m[row]) / 2) for row in short[alone]]
    return _on_pipes(network, "H", sorted(places))


def _to_hydrants(pipes: Pipes, rows: Ints, places: Sequence[tuple[int, float]], nodes: int) -> Floats:
    """Distance along the pipes from every node to the nearest hydrant."""
    start = np.full(nodes, np.inf)
    for row, at in places:
        for node, metres in ((pipes.tail[row], at), (pipes.head[row], pipes.length_m[row] - at)):
            start[node] = min(start[node], metres)
    reached = np.flatnonzero(np.isfinite(start))
    tail = np.concatenate([pipes.tail[rows], np.full(len(reached), nodes)])
    head = np.concatenate([pipes.head[rows], reached])
    weight = np.concatenate([pipes.length_m[rows], np.maximum(start[reached], 1e-6)])
    graph = cells.graph(tail.astype(np.int32), head.astype(np.int32), weight, nodes + 1)
    gap: Floats = dijkstra(graph, indices=nodes)[:nodes]
    return gap


def _along_the_flow(network: WaterNetwork) -> Pipes:
    """The pipes turned so that each runs with the water of an average hour, as EPANET finds it."""
    from gis.hydraulics import Hydraulics

    pipes = network.pipes
    with Hydraulics(network.inp(hours=0, pressure_driven=False)) as model:
        flow = model.solve().flow_lps[: len(pipes)]
    turned = flow < -1e-6
    lines = [pipes.lines[row][::-1] if turned[row] else pipes.lines[row] for row in range(len(pipes))]
    return replace(
        pipes,
        tail=np.where(turned, pipes.head, pipes.tail),
        head=np.where(turned, pipes.tail, pipes.head),
        lines=Polylines.of(lines),
        flow_lps=np.abs(flow),
    )


def _inp(network: WaterNetwork, hours: int, step_s: int, *, pressure_driven: bool, peak: float) -> str:
    nodes, pipes = network.nodes, network.pipes
    shut = pipes.shut
    rows = range(len(nodes))
    text = ["[TITLE]", "Simulated water supply of a sample city", "", "[JUNCTIONS]"]
    text += [
        f"{nodes.id[row]} {nodes.elevation_m[row]:.3f} {nodes.demand_lps[row]:.5f} DAY"
        for row in rows if nodes.kind[row] != "source"
    ]  # fmt: skip
    text += ["", "[RESERVOIRS]"]
    text += [f"{nodes.id[row]} {nodes.head_m[row]:.3f}" for row in rows if nodes.kind[row] == "source"]
    text += ["", "[PIPES]"]
    text += [
        f"{pipes.id[row]} {nodes.id[pipes.tail[row]]} {nodes.id[pipes.head[row]]} {pipes.length_m[row]:.2f} "
        f"{pipes.diameter_mm[row]} {pipes.roughness[row]:.1f} 0 {'Closed' if shut[row] else 'Open'}"
        for row in range(len(pipes))
    ]
    text += ["", "[PUMPS]"]
    text += [
        f"{each.id} {nodes.id[each.tail]} {nodes.id[each.head]} HEAD C-{each.id}" for each in network.pumps
    ]
    text += ["", "[VALVES]"]
    text += [
        f"{each.id} {nodes.id[each.tail]} {nodes.id[each.head]} 300 PRV {each.set_m:.2f} 0"
        for each in network.reducers
    ]
    text += ["", "[CURVES]"]
    text += [f"C-{each.id} {each.flow_lps:.2f} {each.lift_m:.2f}" for each in network.pumps]
    factors = PATTERN if hours else (1.0,)
    text += ["", "[PATTERNS]", *(f"DAY {factor:.3f}" for factor in factors)]
    text += ["", "[TIMES]", f"Duration {hours}:00", f"Hydraulic Timestep 0:{step_s // 60:02d}" if step_s < 3600
             else f"Hydraulic Timestep {step_s // 3600}:00", "Pattern Timestep 1:00",
             "Report Timestep 1:00"]  # fmt: skip
    text += ["", "[OPTIONS]", "Units LPS", "Headloss H-W", "Accuracy 0.0001", "Trials 100", "Unbalanced Continue 10",
             f"Demand Multiplier {peak:.4f}"]  # fmt: skip
    if pressure_driven:
        text += ["Demand Model PDA", "Minimum Pressure 0", "Required Pressure 14", "Pressure Exponent 0.5"]
    text += ["", "[REPORT]", "Messages No", "", "[COORDINATES]"]
    text += [f"{nodes.id[row]} {nodes.xy[row, 0]:.2f} {nodes.xy[row, 1]:.2f}" for row in rows]
    return "\n".join([*text, "", "[END]", ""])


def peak_factor() -> float:
    """The busiest hour as a multiple of the mean."""
    return max(PATTERN)
