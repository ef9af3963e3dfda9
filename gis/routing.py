"""Ways on the roads: travel time by class, direction, closures and flooded streets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra

from core.errors import NotFound
from gis.lines import Floats, Ints, points
from gis.roads import Roads

#: Each junction passed costs this; ours.
JUNCTION_S = 2.0

#: Getting from a place to the road beside it, metres per second on foot.
WALK_MPS = 1.4

#: Roads that no door opens on, beside slip roads and tunnels.
NO_ACCESS = frozenset({"motorway", "trunk"})

#: A first search looks no farther than a way as slow as this, as the crow flies; nearly all ways are faster.
PROMISING_MPS = 4.5

XY = tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A way: seconds, metres, the road edges in order, and its line in metres of the plane."""

    seconds: float
    metres: float
    edges: tuple[str, ...]
    line: Floats


@dataclass(frozen=True, slots=True)
class _Stop:
    """A place beside a road: the edge, the share of it that lies before the place, and metres aside."""

    edge: int
    share: float
    aside_m: float


#: Many stops as columns: edge, share, metres aside.
_Stops = tuple[Ints, Floats, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class _Weighted:
    """The road graph under some closures: seconds of each arc, the matrix of the fastest arcs, the closed roads."""

    seconds: Floats
    graph: csr_matrix
    closed: frozenset[int] = frozenset()


class Router:
    """Fastest ways on `Roads`. Closures and slowed streets are arguments of each question, not state.

    A closed road lets nobody through; a way may still begin or end on it, since that is where a crew is needed.
    Where the roads around are closed as well, the way leads to the edge of the closure, and the rest of it is
    counted as driven over closed roads, in either direction, since nobody else drives there.
    """

    def __init__(self, roads: Roads) -> None:
        self.roads = roads
        self._row = {name: row for row, name in enumerate(roads.id)}
        self._seconds = roads.lines.length_m / (roads.speed_kmh / 3.6)
        self._driven = np.flatnonzero(roads.driven)
        self._lay_arcs()
        self._open = self._weighted(self._arc_seconds)
        self._beside = self._where_one_can_stop()
        self._shapes = roads.lines.shapes()[self._beside]
        self._tree = shapely.STRtree(self._shapes)

    def _lay_arcs(self) -> None:
        """One arc a direction that may be driven, sorted by (tail, head); `_group` starts each pair of junctions."""
        roads = self.roads
        ahead = self._driven[roads.oneway[self._driven] >= 0]
        back = self._driven[roads.oneway[self._driven] <= 0]
        tail = np.concatenate([roads.tail[ahead], roads.head[back]])
        head = np.concatenate([roads.head[ahead], roads.tail[back]])
        order = np.lexsort((head, tail))
        self._arc = np.concatenate([ahead, back])[order].astype(np.int32)
        self._tail, self._head = tail[order], head[order]
        new = np.ones(len(order), bool)
        new[1:] = (np.diff(self._tail) != 0) | (np.diff(self._head) != 0)
        self._group = np.flatnonzero(new)
        nodes = len(roads.node_xy)
        self._starts = np.zeros(nodes + 1, np.int32)
        np.cumsum(np.bincount(self._tail[self._group], minlength=nodes), out=self._starts[1:])
        self._arc_seconds = self._seconds[self._arc] + JUNCTION_S

    def _where_one_can_stop(self) -> Ints:
        """Rows of roads with doors along them, in the part of the network from which one gets away again."""
        roads = self.roads
        main = _main(self._open.graph)
        access = np.array(
            [klass not in NO_ACCESS and not klass.endswith("_link") for klass in roads.klass], bool
        )
        inside = roads.driven & main[roads.tail] & main[roads.head]
        chosen = inside & access & ~roads.tunnel
        return np.flatnonzero(chosen if chosen.any() else roads.driven).astype(np.int32)

    def _weighted(self, seconds: Floats, closed: frozenset[int] = frozenset()) -> _Weighted:
        nodes = len(self.roads.node_xy)
        fastest = np.minimum.reduceat(seconds, self._group)
        graph = csr_matrix((fastest, self._head[self._group], self._starts), shape=(nodes, nodes))
        return _Weighted(seconds, graph, closed)

    def weighted(self, closed: Collection[str] = (), slower: Mapping[str, float] | None = None) -> _Weighted:
        """The graph with roads closed, and others slowed by a factor: 3.0 takes three times as long."""
        if not closed and not slower:
            return self._open
        factor = np.ones(len(self.roads))
        for road, times in (slower or {}).items():
            factor[self._edge(road)] = times
        rows = frozenset(self._edge(road) for road in closed)
        factor[list(rows)] = np.inf
        return self._weighted(self._arc_seconds * factor[self._arc], rows)

    def _edge(self, road: str) -> int:
        try:
            return self._row[road]
        except KeyError:
            raise NotFound("error.not_on_network", asset=road, network="road") from None

    # -- questions -----------------------------------------------------------------------------------------------

    def route(self, start: XY, end: XY, closed: Collection[str] = (),
              slower: Mapping[str, float] | None = None) -> Route | None:  # fmt: skip
        """The fastest way between two places (x, y in metres of the plane); None where there is none."""
        a, b = self._stop(start), self._stop(end)
        weighted = self.weighted(closed, slower)
        straight = self._along_one_road(a, b)
        if straight is not None:
            return self._told(straight, a, [], b, weighted)
        out, into = self._departures(a, weighted), self._arrivals(b, weighted)
        origin = len(self.roads.node_xy)
        graph = _with_origin(weighted.graph, out)
        straight_m = float(np.hypot(start[0] - end[0], start[1] - end[1]))
        for limit in (60.0 + straight_m / PROMISING_MPS, np.inf):
            cost, before = dijkstra(graph, indices=origin, return_predecessors=True, limit=limit)
            best, last = min((float(cost[node]) + final, node) for node, final in into)
            if np.isfinite(best):
                break
        else:
            return None
        return self._told(best, a, _path(before, origin, last)[1:], b, weighted)

    def seconds_to(
        self,
        end: XY,
        starts: Sequence[XY],
        closed: Collection[str] = (),
        slower: Mapping[str, float] | None = None,
    ) -> Floats:
        """Travel time from each of many places to one, by a single search backwards; infinite without a way."""
        target = self._stop(end)
        weighted = self.weighted(closed, slower)
        return self._times(weighted, target, self._snap(starts), leaving=True)

    def seconds_from(
        self,
        start: XY,
        ends: Sequence[XY],
        closed: Collection[str] = (),
        slower: Mapping[str, float] | None = None,
    ) -> Floats:
        """Travel time from one place to each of many, by a single search; infinite without a way."""
        origin = self._stop(start)
        return self._times(self.weighted(closed, slower), origin, self._snap(ends), leaving=False)

    def seconds_among(self, starts: Sequence[XY], ends: Sequence[XY]) -> Floats:
        """Travel times on open roads from each of many places to each of many, (len(starts), len(ends))."""
        there = self._snap(ends)
        rows = []
        for start in starts:
            origin = self._stop(start)
            rows.append(self._times(self._open, origin, there, leaving=False))
        return np.array(rows).reshape(len(starts), len(ends))

    def _times(self, weighted: _Weighted, one: _Stop, many: _Stops, *, leaving: bool) -> Floats:
        """Seconds between one stop and many places that are left or arrived at."""
        graph = weighted.graph.T.tocsr() if leaving else weighted.graph
        doors = self._arrivals(one, weighted) if leaving else self._departures(one, weighted)
        cost = dijkstra(_with_origin(graph, doors), indices=len(self.roads.node_xy))
        edge, share, aside = many
        way, whole = self.roads.oneway[edge], self._seconds[edge]
        to_head = np.where(way >= 0, (1 - share) * whole if leaving else share * whole, np.inf)
        to_tail = np.where(way <= 0, share * whole if leaving else (1 - share) * whole, np.inf)
        first, last = (self.roads.head, self.roads.tail) if leaving else (self.roads.tail, self.roads.head)
        found = np.minimum(cost[first[edge]] + to_head, cost[last[edge]] + to_tail)
        for row in np.flatnonzero(np.isin(edge, list(weighted.closed))).tolist():
            stop = _Stop(int(edge[row]), float(share[row]), float(aside[row]))
            found[row] = min(cost[node] + s for node, s in self._edge_of_closure(stop, weighted))
        for row in np.flatnonzero(edge == one.edge).tolist():
            stop = _Stop(int(edge[row]), float(share[row]), float(aside[row]))
            direct = self._along_one_road(*((stop, one) if leaving else (one, stop)))
            found[row] = found[row] if direct is None else min(direct, float(found[row]))
        seconds: Floats = found + (aside + one.aside_m) / WALK_MPS
        return seconds

    def nearest(self, place: XY) -> tuple[str, float]:
        """(id of the nearest driven road, metres to it)."""
        stop = self._stop(place)
        return self.roads.id[stop.edge], stop.aside_m

    # -- parts of an answer --------------------------------------------------------------------------------------

    def _stop(self, place: XY) -> _Stop:
        edge, share, aside = self._snap([place])
        return _Stop(int(edge[0]), float(share[0]), float(aside[0]))

    def _snap(self, places: Sequence[XY]) -> _Stops:
        """(edge, share of it before the place, metres aside) of the nearest road to each place one can stop on."""
        spots = points(np.asarray(places, np.float64).reshape(-1, 2))
        rows = self._tree.nearest(spots)
        share = shapely.line_locate_point(self._shapes[rows], spots, normalized=True)
        aside = shapely.distance(self._shapes[rows], spots)
        return self._beside[rows], share, aside

    def _departures(self, stop: _Stop, weighted: _Weighted) -> list[tuple[int, float]]:
        """(node, seconds) of the ends of the stop's road that one may drive to."""
        if stop.edge in weighted.closed:
            return self._edge_of_closure(stop, weighted)
        tail, head = int(self.roads.tail[stop.edge]), int(self.roads.head[stop.edge])
        whole, way = float(self._seconds[stop.edge]), int(self.roads.oneway[stop.edge])
        ends = [(head, (1 - stop.share) * whole)] if way >= 0 else []
        return [*ends, (tail, stop.share * whole)] if way <= 0 else ends

    def _arrivals(self, stop: _Stop, weighted: _Weighted) -> list[tuple[int, float]]:
        """(node, seconds) of the ends of the stop's road from which one may drive to it."""
        if stop.edge in weighted.closed:
            return self._edge_of_closure(stop, weighted)
        tail, head = int(self.roads.tail[stop.edge]), int(self.roads.head[stop.edge])
        whole, way = float(self._seconds[stop.edge]), int(self.roads.oneway[stop.edge])
        ends = [(tail, stop.share * whole)] if way >= 0 else []
        return [*ends, (head, (1 - stop.share) * whole)] if way <= 0 else ends

    def _edge_of_closure(self, stop: _Stop, weighted: _Weighted) -> list[tuple[int, float]]:
        """(node, seconds) of the junctions around a stop on a closed road, out to where the open network begins."""
        beside: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for row in weighted.closed:
            tail, head = int(self.roads.tail[row]), int(self.roads.head[row])
            seconds = float(self._seconds[row]) + JUNCTION_S
            beside[tail].append((head, seconds))
            beside[head].append((tail, seconds))
        outside, whole = _main(weighted.graph), float(self._seconds[stop.edge])
        ends = int(self.roads.tail[stop.edge]), int(self.roads.head[stop.edge])
        queue = sorted([(stop.share * whole, ends[0]), ((1 - stop.share) * whole, ends[1])])
        found: dict[int, float] = {}
        while queue:
            seconds, node = heappop(queue)
            if node not in found:
                found[node] = seconds
                for other, more in () if outside[node] else beside[node]:
                    heappush(queue, (seconds + more, other))
        return list(found.items())

    def _along_one_road(self, a: _Stop, b: _Stop) -> float | None:
        """Seconds from a to b without passing a junction; None where that is not possible."""
        ahead, way = b.share - a.share, int(self.roads.oneway[a.edge])
        if a.edge != b.edge or ahead * way < 0:
            return None
        return abs(ahead) * float(self._seconds[a.edge])

    def _fastest(self, weighted: _Weighted, tail: int, head: int) -> tuple[int, int]:
        """(edge, tail) of the road that the search took between two neighbouring junctions."""
        # in the column's own type: another one would copy the whole column for each step
        low, high = np.searchsorted(self._tail, np.array([tail, tail + 1], self._tail.dtype))
        rows = np.flatnonzero(self._head[low:high] == head) + low
        return int(self._arc[rows[np.argmin(weighted.seconds[rows])]]), tail

    def _told(self, seconds: float, a: _Stop, nodes: list[int], b: _Stop, weighted: _Weighted) -> Route:
        """The route by its junctions; without any it stays on one road. Its line ends at the edge of a closure."""
        lines, length = self.roads.lines, self.roads.lines.length_m
        steps = [self._fastest(weighted, x, y) for x, y in pairwise(nodes)]
        if nodes:
            first, last = self._leg(a, nodes[0]), self._leg(b, nodes[-1])[::-1]
            middle = [lines[e] if self.roads.tail[e] == tail else lines[e][::-1] for e, tail in steps]
            line = np.vstack([first, *middle, last])
        else:
            line = lines.part(a.edge, a.share * float(length[a.edge]), b.share * float(length[b.edge]))
        edges = [edge for edge, _ in steps]
        edges = [*self._entered(a, nodes[:1]), *edges, *self._entered(b, nodes[-1:])]
        names = [self.roads.id[edge] for row, edge in enumerate(edges) if row == 0 or edge != edges[row - 1]]
        metres = float(np.hypot(*np.diff(line, axis=0).T).sum())
        return Route(seconds + (a.aside_m + b.aside_m) / WALK_MPS, metres, tuple(names), line)

    def _entered(self, stop: _Stop, door: list[int]) -> list[int]:
        """The stop's road, unless the way begins or ends (at `door`) before it, at the edge of a closure."""
        ends = {int(self.roads.tail[stop.edge]), int(self.roads.head[stop.edge])}
        return [stop.edge] if ends.issuperset(door) else []

    def _leg(self, stop: _Stop, node: int) -> Floats:
        """The line from a stop to an end of its road; only the junction itself where that is no end of it."""
        ends = {int(self.roads.tail[stop.edge]): 0.0, int(self.roads.head[stop.edge]): 1.0}
        if node not in ends:
            junction: Floats = self.roads.node_xy[[node]]
            return junction
        whole = float(self.roads.lines.length_m[stop.edge])
        return self.roads.lines.part(stop.edge, stop.share * whole, ends[node] * whole)


def _main(graph: csr_matrix) -> NDArray[np.bool_]:
    """The junctions of the largest part of the network in which one gets from everywhere to everywhere."""
    passable = np.isfinite(graph.data)
    tail = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))[passable]
    driven = csr_matrix((graph.data[passable], (tail, graph.indices[passable])), shape=graph.shape)
    _, label = connected_components(driven, directed=True, connection="strong")
    found: NDArray[np.bool_] = label == np.argmax(np.bincount(label))
    return found


def _with_origin(graph: csr_matrix, doors: list[tuple[int, float]]) -> csr_matrix:
    """The graph with one more node, from which one gets to some junctions in so many seconds."""
    nodes = graph.shape[0]
    data = np.concatenate([graph.data, [seconds for _, seconds in doors]])
    ends = np.concatenate([graph.indices, np.array([node for node, _ in doors], np.int32)])
    starts = np.append(graph.indptr, np.int32(len(ends)))
    return csr_matrix((data, ends, starts), shape=(nodes + 1, nodes + 1))


def _path(before: NDArray[np.integer], start: int, end: int) -> list[int]:
    nodes = [end]
    while nodes[-1] != start:
        nodes.append(int(before[nodes[-1]]))
    return nodes[::-1]


def ring(roads: Roads, centre: XY, radius_m: float) -> Ints:
    """Rows of the roads that come within a distance of a place: what a closure or a flood there touches."""
    box = roads.lines.bounds()
    x, y = centre
    gap = np.hypot(
        np.maximum(np.maximum(box[:, 0] - x, x - box[:, 2]), 0),
        np.maximum(np.maximum(box[:, 1] - y, y - box[:, 3]), 0),
    )
    near = np.flatnonzero(gap <= radius_m)
    point = shapely.Point(centre)
    away = [shapely.distance(shapely.LineString(roads.lines[int(row)]), point) for row in near]
    return near[np.array(away) <= radius_m].astype(np.int32) if len(near) else near.astype(np.int32)
