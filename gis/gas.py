"""A generated city gas network along the streets: stations, medium-pressure mains, regulators, low-pressure pipes.

It is *simulated* and says so wherever it is shown. Medium-pressure mains lie in the main roads and reach every
regulator; from the regulators low-pressure pipes go down the other streets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from gis import cells
from gis.lines import Floats, Ints, Polylines, shifted
from gis.streets import Streets

#: Pressures (ours, typical of a Chinese city): station outlet in MPa, regulator outlet in kPa.
STATION_MPA = 0.30
REGULATOR_KPA = 2.5

ASIDE_M = 5.0
REGULATOR_EVERY_M = 380.0
MAIN_RANK = 1  # streets of this rank and above carry medium-pressure mains

Level = Literal["medium", "low"]


@dataclass(frozen=True, slots=True, eq=False)
class GasNetwork:
    """Everything of one gas network, in metres of the city's plane; pipes run with the gas, tail → head.

    node_kind: `station`, `medium`, `low`. A regulator leads from a medium node to a low one at the same junction.
    """

    node_id: tuple[str, ...]
    node_kind: tuple[str, ...]
    node_xy: Floats
    pipe_id: tuple[str, ...]
    tail: Ints
    head: Ints
    lines: Polylines
    length_m: Floats
    diameter_mm: Ints
    level: tuple[Level, ...]
    material: tuple[str, ...]
    street: Ints
    regulator_id: tuple[str, ...]
    regulator_tail: Ints
    regulator_head: Ints
    valve_id: tuple[str, ...]
    valve_pipe: Ints
    valve_node: Ints
    valve_xy: Floats

    @property
    def stations(self) -> Ints:
        return np.flatnonzero([kind == "station" for kind in self.node_kind]).astype(np.int32)


@dataclass
class _Draft:
    kind: list[str] = field(default_factory=list)
    xy: list[tuple[float, float]] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)
    lines: list[Floats] = field(default_factory=list)
    level: list[Level] = field(default_factory=list)
    street: list[int] = field(default_factory=list)
    regulators: list[tuple[int, int]] = field(default_factory=list)
    medium: dict[int, int] = field(default_factory=dict)
    low: dict[int, int] = field(default_factory=dict)

    def node(self, kind: str, xy: Floats) -> int:
        self.kind.append(kind)
        self.xy.append((float(xy[0]), float(xy[1])))
        return len(self.kind) - 1


def build(streets: Streets) -> GasNetwork:
    """A network for these streets; one station for each connected part of them."""
    draft = _Draft()
    count, component = streets.components()
    for number in range(count):
        edges = np.flatnonzero(component[streets.tail] == number).astype(np.int32)
        _lay(draft, streets, edges)
    return _finish(draft)


def _lay(draft: _Draft, streets: Streets, edges: Ints) -> None:
    lengths = streets.lines.length_m
    main = _mains(streets, edges)
    others = edges[~np.isin(edges, main)]
    station = _station(draft, streets, main)
    graph = cells.graph(streets.tail[main], streets.head[main], lengths[main], streets.nodes)
    _pipes(draft, streets, main, dijkstra(graph, indices=station), "medium")
    feeds = _regulators(streets, others, set(draft.medium))
    if not feeds:
        return
    graph = cells.graph(streets.tail[others], streets.head[others], lengths[others], streets.nodes)
    _pipes(draft, streets, others, dijkstra(graph, indices=feeds, min_only=True), "low")
    draft.regulators += [(draft.medium[node], draft.low[node]) for node in feeds]


def _mains(streets: Streets, edges: Ints) -> Ints:
    """The main roads, joined to one network by the shortest ways between them."""
    wanted = streets.rank[edges] <= max(MAIN_RANK, int(streets.rank[edges].min()))
    near_free = np.where(wanted, 0.05, 1.0) * streets.lines.length_m[edges]
    graph = cells.graph(streets.tail[edges], streets.head[edges], near_free, streets.nodes)
    touched = np.unique(np.concatenate([streets.tail[edges[wanted]], streets.head[edges[wanted]]]))
    start = int(touched[np.argmax(np.hypot(*streets.node_xy[touched].T))])
    before = dijkstra(graph, indices=start, return_predecessors=True)[1]
    ways = {
        (min(a, int(before[a])), max(a, int(before[a]))) for node in touched for a in _up(before, int(node))
    }
    pairs = zip(streets.tail[edges].tolist(), streets.head[edges].tolist(), strict=True)
    on_way = np.array([pair in ways for pair in pairs])
    chosen: Ints = edges[wanted | on_way]
    return chosen


def _up(before: Ints, node: int) -> list[int]:
    """The nodes on the way from a node to the root of a tree, without the root."""
    way = []
    while before[node] >= 0:
        way.append(node)
        node = int(before[node])
    return way


def _station(draft: _Draft, streets: Streets, main: Ints) -> int:
    """The junction of a main that is farthest out; the station stands beside it."""
    touched = np.unique(np.concatenate([streets.tail[main], streets.head[main]]))
    junction = int(touched[np.argmax(np.hypot(*streets.node_xy[touched].T))])
    out = streets.node_xy[junction] / max(float(np.hypot(*streets.node_xy[junction])), 1.0)
    station = draft.node("station", streets.node_xy[junction] + 25.0 * out)
    end = _at(draft, streets, junction, "medium")
    street = int(main[np.flatnonzero((streets.tail[main] == junction) | (streets.head[main] == junction))[0]])
    draft.ends.append((station, end))
    draft.lines.append(np.array([draft.xy[station], draft.xy[end]]))
    draft.level.append("medium")
    draft.street.append(street)
    return junction


def _at(draft: _Draft, streets: Streets, junction: int, level: Level) -> int:
    known = draft.medium if level == "medium" else draft.low
    if junction not in known:
        beside = (ASIDE_M, ASIDE_M) if level == "medium" else (ASIDE_M + 2.0, ASIDE_M)
        known[junction] = draft.node(level, streets.node_xy[junction] + beside)
    return known[junction]


def _pipes(draft: _Draft, streets: Streets, edges: Ints, far: Floats, level: Level) -> None:
    for street in edges.tolist():
        tail, head = int(streets.tail[street]), int(streets.head[street])
        if not np.isfinite(far[tail]):
            continue  # a stub that no main reaches has no gas
        line = streets.lines[street]
        if far[tail] > far[head]:
            tail, head, line = head, tail, line[::-1]
        a, b = _at(draft, streets, tail, level), _at(draft, streets, head, level)
        draft.ends.append((a, b))
        draft.lines.append(np.vstack([draft.xy[a], shifted(line, ASIDE_M)[1:-1], draft.xy[b]]))
        draft.level.append(level)
        draft.street.append(street)


def _regulators(streets: Streets, others: Ints, medium: set[int]) -> list[int]:
    """Junctions of mains with low-pressure streets, at least one for each connected part of those, well apart."""
    if not len(others):
        return []
    tail, head = streets.tail[others], streets.head[others]
    shape = (streets.nodes, streets.nodes)
    label = connected_components(coo_matrix((np.ones(len(tail)), (tail, head)), shape=shape), directed=False)[
        1
    ]
    chosen: list[int] = []
    fed: set[int] = set()
    for node in np.unique(np.concatenate([tail, head])).tolist():
        if node not in medium:
            continue
        here = streets.node_xy[node]
        apart = all(np.hypot(*(here - streets.node_xy[other])) >= REGULATOR_EVERY_M for other in chosen)
        if apart or int(label[node]) not in fed:
            chosen.append(node)
            fed.add(int(label[node]))
    return chosen


def _finish(draft: _Draft) -> GasNetwork:
    tail, head = np.array(draft.ends, np.int32).T
    medium = np.array([level == "medium" for level in draft.level])
    lines = Polylines.of(draft.lines)
    width = max(4, len(str(len(tail))))
    diameter = np.where(medium, 250, np.where(lines.length_m > 150, 160, 110)).astype(np.int32)
    places = _valves(tail, head, lines.length_m, medium, draft.kind)
    return GasNetwork(
        node_id=_node_ids(draft.kind, width),
        node_kind=tuple(draft.kind),
        node_xy=np.array(draft.xy),
        pipe_id=tuple(f"GP-{number:0{width}d}" for number in range(1, len(tail) + 1)),
        tail=tail,
        head=head,
        lines=lines,
        length_m=np.maximum(lines.length_m, 1.0),
        diameter_mm=diameter,
        level=tuple(draft.level),
        material=tuple("ST" if each else "PE" for each in medium),
        street=np.array(draft.street, np.int32),
        regulator_id=tuple(f"GR-{number:03d}" for number in range(1, len(draft.regulators) + 1)),
        regulator_tail=np.array([a for a, _ in draft.regulators], np.int32),
        regulator_head=np.array([b for _, b in draft.regulators], np.int32),
        valve_id=tuple(f"GV-{number:0{width}d}" for number in range(1, len(places) + 1)),
        valve_pipe=np.array([row for row, _, _ in places], np.int32),
        valve_node=np.array([node for _, node, _ in places], np.int32),
        valve_xy=np.array([lines.at(row, at) for row, _, at in places]).reshape(-1, 2),
    )


def _node_ids(kinds: Sequence[str], width: int) -> tuple[str, ...]:
    prefix = {"station": "GS", "medium": "GM", "low": "GL"}
    seen = dict.fromkeys(prefix, 0)
    ids = []
    for kind in kinds:
        seen[kind] += 1
        ids.append(f"{prefix[kind]}-{seen[kind]:0{1 if kind == 'station' else width}d}")
    return tuple(ids)


def _valves(
    tail: Ints, head: Ints, length: Floats, medium: NDArray[np.bool_], kind: Sequence[str]
) -> list[tuple[int, int, float]]:
    """(pipe, node, metres from the tail): on mains, at junctions of three or more all but one, and at stations."""
    meets: list[list[int]] = [[] for _ in kind]
    for row in np.flatnonzero(medium).tolist():
        meets[tail[row]].append(row)
        meets[head[row]].append(row)
    ends = []
    for node, rows in enumerate(meets):
        if kind[node] == "station":
            ends += [(row, node) for row in rows]
        elif len(rows) >= 3:
            longest = max(rows, key=lambda row: (length[row], -row))
            ends += [(row, node) for row in rows if row != longest]
    return [
        (
            row,
            node,
            min(6.0, length[row] / 4) if tail[row] == node else length[row] - min(6.0, length[row] / 4),
        )
        for row, node in sorted(ends)
    ]
