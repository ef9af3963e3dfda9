"""What is connected with what, and in which direction: pipes, drains and gas mains as directed graphs.

Everything is asked by asset id: a node, an edge, or something that sits on an edge (a valve, a hydrant, a meter).
The walks are SciPy's; only cutting a pipe off by its valves is written here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, dijkstra

from core.errors import NotFound
from gis.lines import Floats, Ints

Bools = NDArray[np.bool_]

#: along: with the flow; against: to where it comes from; either: as a crew walks.
Sense = Literal["along", "against", "either"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a thing is on a network: on a node, or on an edge at `offset_m` from its tail."""

    node: int = -1
    edge: int = -1
    offset_m: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What a walk reached: rows of nodes with their distance from the start in metres, and the edges walked."""

    nodes: Ints
    distance_m: Floats
    edges: Ints


@dataclass(frozen=True, slots=True)
class Isolation:
    """How to cut an edge off: the valves to shut, what then lies dry, and how many customers that are."""

    valves: tuple[str, ...]
    edges: tuple[str, ...]
    nodes: tuple[str, ...]
    customers: int


@dataclass(frozen=True, slots=True, eq=False)
class Valves:
    """n valves: each shuts the connection of `edge` with its end `node`. `shut`: it is shut now."""

    id: tuple[str, ...]
    edge: Ints
    node: Ints
    shut: Bools


NO_VALVES = Valves((), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, bool))


class Network:
    """A directed graph of n nodes and m edges, `tail` → `head` with the flow.

    `things` places what sits on it. `sources` are the nodes that feed it, `customers` counts those of each node.
    Nothing passes an edge that is `shut`; a crew still walks along it.
    Unknown ids raise `NotFound`.
    """

    def __init__(  # noqa: PLR0913 - a graph has many columns, and most have a default
        self,
        name: str,
        nodes: Sequence[str],
        edges: Sequence[str],
        tail: Ints,
        head: Ints,
        length_m: Floats,
        *,
        things: Mapping[str, Place] | None = None,
        valves: Valves = NO_VALVES,
        sources: Iterable[int] = (),
        customers: Ints | None = None,
        shut: Bools | None = None,
    ) -> None:
        self.name = name
        self.node_ids, self.edge_ids = tuple(nodes), tuple(edges)
        self.tail, self.head = tail.astype(np.int32), head.astype(np.int32)
        self.length_m = np.maximum(length_m.astype(np.float64), 1e-3)
        self.valves = valves
        self.sources = np.array(list(sources), np.int32)
        self.customers = np.zeros(len(nodes), np.int32) if customers is None else customers
        self.shut = np.zeros(len(edges), bool) if shut is None else shut
        self._things = dict(things or {})

    @cached_property
    def _places(self) -> dict[str, Place]:
        places = {name: Place(edge=row) for row, name in enumerate(self.edge_ids)}
        places |= {name: Place(node=row) for row, name in enumerate(self.node_ids)}
        return places | self._things

    @cached_property
    def _along(self) -> csr_matrix:
        shape = (len(self.node_ids),) * 2
        open_ = ~self.shut
        return _shortest_kept(self.tail[open_], self.head[open_], self.length_m[open_], shape)

    @cached_property
    def _against(self) -> csr_matrix:
        return self._along.T.tocsr()

    @cached_property
    def _either(self) -> csr_matrix:
        ends = np.concatenate([self.tail, self.head]), np.concatenate([self.head, self.tail])
        return _shortest_kept(*ends, np.concatenate([self.length_m] * 2), (len(self.node_ids),) * 2)

    def _graph(self, sense: Sense) -> csr_matrix:
        if sense == "along":
            return self._along
        return self._against if sense == "against" else self._either

    def __contains__(self, asset: str) -> bool:
        return asset in self._places

    def place(self, asset: str) -> Place:
        """Where an asset is. Raises `NotFound`."""
        try:
            return self._places[asset]
        except KeyError:
            raise NotFound("error.not_on_network", asset=asset, network=self.name) from None

    # -- walks ---------------------------------------------------------------------------------------------------

    def downstream(self, asset: str, within_m: float = np.inf) -> Trace:
        """What water, sewage or gas from here reaches."""
        return self._walk(asset, "along", within_m)

    def upstream(self, asset: str, within_m: float = np.inf) -> Trace:
        """Where what passes here comes from."""
        return self._walk(asset, "against", within_m)

    def around(self, asset: str, within_m: float) -> Trace:
        """What is near along the network, whatever the direction."""
        return self._walk(asset, "either", within_m)

    def _walk(self, asset: str, sense: Sense, within_m: float) -> Trace:
        starts = self._exits(self.place(asset), sense)
        graph = self._graph(sense)
        if np.isinf(within_m) and len(starts) == 1:
            node, _ = starts[0]
            rows = breadth_first_order(graph, node, return_predecessors=False)
            reached = np.zeros(len(self.node_ids), bool)
            reached[rows] = True
            return Trace(rows.astype(np.int32), np.empty(0), self._edges_among(reached, sense))
        gap = np.full(len(self.node_ids), np.inf)
        for node, first in starts:
            if first <= within_m:
                limit = within_m - first
                gap = np.minimum(gap, first + dijkstra(graph, indices=node, limit=limit))
        rows = np.flatnonzero(np.isfinite(gap))
        return Trace(rows.astype(np.int32), gap[rows], self._edges_among(np.isfinite(gap), sense))

    def _edges_among(self, reached: Bools, sense: Sense) -> Ints:
        if sense == "either":
            return np.flatnonzero(reached[self.tail] & reached[self.head]).astype(np.int32)
        first = self.tail if sense == "along" else self.head
        return np.flatnonzero(reached[first] & ~self.shut).astype(np.int32)

    def _exits(self, place: Place, sense: Sense) -> list[tuple[int, float]]:
        """(node, metres to it) of the ways out of a place."""
        if place.node >= 0:
            return [(place.node, 0.0)]
        to_head = float(self.length_m[place.edge]) - place.offset_m
        ahead, behind = (int(self.head[place.edge]), to_head), (int(self.tail[place.edge]), place.offset_m)
        return {"along": [ahead], "against": [behind]}.get(sense, [ahead, behind])

    def distance_m(self, start: str, end: str, sense: Sense = "along") -> float:
        """Metres along the network from one asset to another; infinite where there is no way in that sense."""
        return float(self.distances_m([start], [end], sense)[0, 0])

    def distances_m(self, starts: Sequence[str], ends: Sequence[str], sense: Sense = "along") -> Floats:
        """The matrix of `distance_m`, (len(starts), len(ends))."""
        targets = [self.place(each) for each in ends]
        found = np.full((len(starts), len(ends)), np.inf)
        for row, start in enumerate(starts):
            origin = self.place(start)
            gap = np.full(len(self.node_ids), np.inf)
            for node, first in self._exits(origin, sense):
                gap = np.minimum(gap, first + dijkstra(self._graph(sense), indices=node))
            for column, target in enumerate(targets):
                ways = [gap[node] + metres for node, metres in self._entries(target, sense)]
                found[row, column] = min([*ways, self._on_one_edge(origin, target, sense)])
        return found

    def _entries(self, place: Place, sense: Sense) -> list[tuple[int, float]]:
        turned: Sense = {"along": "against", "against": "along"}.get(sense, "either")  # type: ignore[assignment]
        return self._exits(place, turned)

    @staticmethod
    def _on_one_edge(a: Place, b: Place, sense: Sense) -> float:
        if a.edge < 0 or a.edge != b.edge:
            return np.inf
        ahead = b.offset_m - a.offset_m
        if sense == "either":
            return abs(ahead)
        ahead = ahead if sense == "along" else -ahead
        return ahead if ahead >= 0 else np.inf

    def between(self, start: str, end: str) -> tuple[str, ...]:
        """The edges on any way with the flow from one asset to another; none when it is not downstream."""
        first, last = self.place(start), self.place(end)
        ahead, behind = self._reach(first, "along"), self._reach(last, "against")
        chosen = ahead[self.tail] & behind[self.head] & ~self.shut
        if np.isfinite(self.distance_m(start, end)):
            chosen[[place.edge for place in (first, last) if place.edge >= 0]] = True
        return tuple(self.edge_ids[row] for row in np.flatnonzero(chosen).tolist())

    def _reach(self, place: Place, sense: Sense) -> Bools:
        reached = np.zeros(len(self.node_ids), bool)
        for node, _ in self._exits(place, sense):
            reached[breadth_first_order(self._graph(sense), node, return_predecessors=False)] = True
        return reached

    # -- valves --------------------------------------------------------------------------------------------------

    @cached_property
    def _joints(self) -> tuple[Ints, Ints]:
        """Every (edge, end node) of the network: twice as many as edges, tails first."""
        rows = np.arange(len(self.edge_ids), dtype=np.int32)
        return np.concatenate([rows, rows]), np.concatenate([self.tail, self.head])

    def _pieces(self, cut: Bools) -> Ints:
        """The connected piece of every node and edge, numbered together (nodes first), where joints are cut."""
        edge, node = self._joints
        n = len(self.node_ids)
        whole = ~cut
        size = n + len(self.edge_ids)
        ones = np.ones(int(whole.sum()), np.int8)
        graph = coo_matrix((ones, (node[whole], n + edge[whole])), shape=(size, size))
        label: Ints = connected_components(graph, directed=False)[1].astype(np.int32)
        return label

    def _pieces_without(self, valves: Ints) -> Ints:
        """The connected pieces when these valves (rows) are shut."""
        cut = np.zeros(2 * len(self.edge_ids), bool)
        cut[self._joint_of(valves)] = True
        return self._pieces(cut)

    @cached_property
    def _segments(self) -> Ints:
        """The pieces that the valves divide the network into."""
        return self._pieces_without(np.arange(len(self.valves.id), dtype=np.int32))

    def _joint_of(self, rows: Ints) -> Ints:
        edge, node = self.valves.edge[rows], self.valves.node[rows]
        joint: Ints = np.where(self.tail[edge] == node, edge, edge + len(self.edge_ids)).astype(np.int32)
        return joint

    def isolating_valves(self, edge: str, stuck: Collection[str] = ()) -> Isolation:
        """The valves that cut an edge off, without those that are stuck, and what then gets nothing any more.

        Dry is what lies between the valves, and what no source reaches once they are shut.
        """
        place = self.place(edge)
        works = np.ones(len(self.valves.id), bool)
        if stuck:
            works = np.array([name not in stuck for name in self.valves.id], bool)
        usable = np.flatnonzero(works | self.valves.shut).astype(np.int32)
        n = len(self.node_ids)
        piece = self._segments if not stuck else self._pieces_without(usable)
        here = piece[place.node if place.edge < 0 else n + place.edge]
        at_edge, at_node = self.valves.edge[usable], self.valves.node[usable]
        touching = (piece[n + at_edge] == here) ^ (piece[at_node] == here)
        to_shut = usable[touching & ~self.valves.shut[usable]]
        dry_nodes, dry_edges = self.dry(to_shut)
        return Isolation(
            valves=tuple(self.valves.id[row] for row in to_shut.tolist()),
            edges=tuple(self.edge_ids[row] for row in dry_edges.tolist()),
            nodes=tuple(self.node_ids[row] for row in dry_nodes.tolist()),
            customers=int(self.customers[dry_nodes].sum()),
        )

    def dry(self, shut: Ints) -> tuple[Ints, Ints]:
        """(nodes, edges) that no source reaches when these valves (rows) are shut beside those that already are."""
        piece = self._pieces_without(
            np.concatenate([np.flatnonzero(self.valves.shut), shut]).astype(np.int32)
        )
        fed = np.isin(piece, piece[self.sources])
        n = len(self.node_ids)
        return np.flatnonzero(~fed[:n]).astype(np.int32), np.flatnonzero(~fed[n:]).astype(np.int32)

    def reachable(self, start: str, closed: Collection[str] = ()) -> Bools:
        """Which nodes are connected with an asset, whatever the direction, when edges are closed."""
        open_ = np.ones(len(self.edge_ids), bool)
        open_[[self.place(each).edge for each in closed]] = False
        place = self.place(start)
        edge, _ = self._joints
        piece = self._pieces(~open_[edge])
        found: Bools = piece[: len(self.node_ids)] == piece[
            place.node if place.edge < 0 else len(self.node_ids) + place.edge
        ]  # fmt: skip
        return found


def _shortest_kept(tail: Ints, head: Ints, length: Floats, shape: tuple[int, int]) -> csr_matrix:
    """A sparse graph; of parallel edges the shortest counts (SciPy would add them up)."""
    order = np.lexsort((length, head, tail))
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(tail[order]) != 0) | (np.diff(head[order]) != 0)
    kept = order[first]
    return coo_matrix((length[kept], (tail[kept], head[kept])), shape=shape).tocsr()
