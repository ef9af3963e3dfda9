"""Streets as pipes follow them: one edge a stretch, the two carriageways of a wide road made one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gis import cells
from gis.lines import Floats, Ints, Polylines, points
from gis.roads import Roads

#: Streets that carry pipes, most important first; the place in this list is the street's rank.
RANKS = ("primary", "secondary", "tertiary", "residential", "unclassified")

#: Junctions and carriageways nearer than this are one.
MERGE_M = 26.0

#: A piece of network with fewer streets than this is a stub that the map's edge cut off.
SMALLEST = 12


@dataclass(frozen=True, slots=True, eq=False)
class Streets:
    """n street edges between m junctions, undirected: `tail` < `head` index `node_xy` (metres of the plane)."""

    node_xy: Floats
    tail: Ints
    head: Ints
    lines: Polylines
    rank: NDArray[np.int8]
    name: tuple[str, ...]
    name_en: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tail)

    @property
    def nodes(self) -> int:
        return len(self.node_xy)

    def components(self) -> tuple[int, Ints]:
        """How many separate networks there are, and which one each junction belongs to."""
        ones = np.ones(len(self), np.int8)
        graph = coo_matrix((ones, (self.tail, self.head)), shape=(self.nodes, self.nodes))
        count, label = connected_components(graph, directed=False)
        return int(count), label.astype(np.int32)

    def take(self, edges: NDArray[np.integer]) -> Streets:
        """These edges and the junctions they need, renumbered from north-west to south-east."""
        nodes = np.unique(np.concatenate([self.tail[edges], self.head[edges]]))
        xy = self.node_xy[nodes]
        nodes = nodes[np.lexsort((xy[:, 0], -np.round(xy[:, 1], -2)))]
        dense = np.full(self.nodes, -1, np.int32)
        dense[nodes] = np.arange(len(nodes), dtype=np.int32)
        tail, head = dense[self.tail[edges]], dense[self.head[edges]]
        turned = tail > head
        lines = [
            self.lines[int(e)][::-1] if t else self.lines[int(e)] for e, t in zip(edges, turned, strict=True)
        ]
        order = np.lexsort((np.maximum(tail, head), np.minimum(tail, head)))
        return Streets(
            node_xy=self.node_xy[nodes],
            tail=np.minimum(tail, head)[order],
            head=np.maximum(tail, head)[order],
            lines=Polylines.of(lines[int(i)] for i in order),
            rank=self.rank[edges][order],
            name=tuple(self.name[int(edges[i])] for i in order),
            name_en=tuple(self.name_en[int(edges[i])] for i in order),
        )


def collapse(roads: Roads, bounds: tuple[float, float, float, float]) -> Streets:
    """The streets inside `bounds` (west, south, east, north in metres), at ground level, each once."""
    west, south, east, north = bounds
    ranks = np.array([RANKS.index(klass) if klass in RANKS else -1 for klass in roads.klass], np.int8)
    box = roads.lines.bounds()
    inside = (box[:, 0] >= west) & (box[:, 1] >= south) & (box[:, 2] <= east) & (box[:, 3] <= north)
    wanted = np.flatnonzero(roads.driven & (ranks >= 0) & inside & ~roads.tunnel & ~roads.bridge)
    stretches = _split_beside(roads, wanted[np.argsort(ranks[wanted], kind="stable")])
    ends = np.array([(line[0], line[-1]) for _, line in stretches]).reshape(-1, 2)
    cluster, centre = _clusters(ends)
    kept: dict[tuple[int, int], int] = {}
    for number, pair in enumerate(cluster.reshape(-1, 2)):
        a, b = int(pair.min()), int(pair.max())
        if a != b:
            kept.setdefault((a, b), number)  # the most important street of a pair of junctions comes first
    lines, edges = [], []
    for (a, b), number in kept.items():
        edge, line = stretches[number]
        first, last = int(cluster[2 * number]), int(cluster[2 * number + 1])
        lines.append(np.vstack([centre[first], line[1:-1], centre[last]]))
        edges.append((first, last, edge))
        assert {first, last} == {a, b}
    columns = np.array(edges, np.int32)
    whole = Streets(
        node_xy=centre,
        tail=columns[:, 0],
        head=columns[:, 1],
        lines=Polylines.of(lines),
        rank=ranks[columns[:, 2]],
        name=_named(roads.name, columns[:, 2]),
        name_en=_named(roads.name_en, columns[:, 2]),
    )
    _, label = whole.components()
    size = np.bincount(label[whole.tail])
    return whole.take(np.flatnonzero(size[label[whole.tail]] >= SMALLEST))


def _named(names: Sequence[str], rows: Ints) -> tuple[str, ...]:
    return tuple(names[int(row)] for row in rows)


def _split_beside(roads: Roads, edges: NDArray[np.integer]) -> list[tuple[int, Floats]]:
    """(road edge, line) of every stretch, cut where a junction of a parallel carriageway lies beside it."""
    shapes = roads.lines.take(edges).shapes()
    nodes = np.unique(np.concatenate([roads.tail[edges], roads.head[edges]]))
    places = points(roads.node_xy[nodes])
    node, shape = shapely.STRtree(shapes).query(places, predicate="dwithin", distance=MERGE_M)
    along = np.asarray(shapely.line_locate_point(shapes[shape], places[node]))
    inner = (along > MERGE_M) & (along < np.asarray(shapely.length(shapes))[shape] - MERGE_M)
    marks: dict[int, list[float]] = {}
    for row, offset in zip(shape[inner].tolist(), along[inner].tolist(), strict=True):
        marks.setdefault(row, []).append(offset)
    found = []
    for row, edge in enumerate(edges.tolist()):
        line = roads.lines[edge]
        found += [(edge, part) for part in _cut_at(line, marks.get(row, []))]
    return found


def _cut_at(line: Floats, offsets: list[float]) -> list[Floats]:
    """The line in parts, cut at distances from its begin; cuts nearer than `MERGE_M` to each other are one."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    marks = [0.0]
    for offset in sorted(offsets):
        if offset - marks[-1] > MERGE_M:
            marks.append(offset)
    marks.append(float(along[-1]))
    parts = []
    for a, b in pairwise(marks):
        ends = np.array([[np.interp(at, along, line[:, axis]) for axis in (0, 1)] for at in (a, b)])
        parts.append(np.vstack([ends[:1], line[(along > a) & (along < b)], ends[1:]]))
    return parts


def _clusters(ends: Floats) -> tuple[Ints, Floats]:
    """Which place each point belongs to, and the middle of each place; places are `MERGE_M` wide."""
    label = cells.merge(ends, MERGE_M)
    count = int(label.max(initial=-1)) + 1
    weight = np.bincount(label, minlength=count)
    centre = np.column_stack([np.bincount(label, ends[:, axis], count) / weight for axis in (0, 1)])
    return label, centre
