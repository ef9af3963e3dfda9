"""Networks from assets: what was imported as pipes, drains, gas or heat mains can be walked like the sample city's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from gis import cells
from gis.asset import Asset
from gis.crs import Plane
from gis.lines import Floats, Ints
from gis.lines import points as spots_of
from gis.network import Bools, Network, Place, Valves

#: Network → the kinds of its edges, of its sources, and of its valves.
EDGES = {
    "water_supply": ("pipe", "water_pump", "control_valve"),
    "drainage": ("drain", "drain_pump", "drain_orifice", "drain_weir", "drain_outlet"),
    "gas": ("gas_pipe",),
    "heat": ("heat_pipe",),
}
SOURCES = {
    "water_supply": ("water_source", "tank"), "drainage": (), "gas": ("gas_station",), "heat": ("heat_source",),
}  # fmt: skip
VALVES = {"water_supply": ("valve",), "drainage": ("gate",), "gas": ("gas_valve",), "heat": ("heat_valve",)}

#: Ends nearer than this are one node where the assets do not say what they are connected with.
SNAP_M = 0.5
#: A thing farther than this from every edge is not on the network.
BESIDE_M = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """Node ids, and each edge's tail and head as rows of them."""

    nodes: list[str]
    tail: Ints
    head: Ints


def network(assets: Iterable[Asset], key: str, plane: Plane) -> Network:
    """The network of a key (water_supply, drainage, gas, heat) of what these assets have of it.

    Edges name their ends (`tail`, `head`) or meet where their lines end. Water, gas and heat run away from the
    sources, the nearest first, where there are any; drains fall to their lower end; the rest as it was drawn.
    """
    every = list(assets)
    edges = [a for a in every if a.kind in EDGES[key] and shapely.get_dimensions(a.geometry) <= 1]
    points = [a for a in every if shapely.get_dimensions(a.geometry) == 0 and a.kind not in EDGES[key]]
    ends = _by_name(edges) or _by_place(edges, points, plane)
    row_of = {name: row for row, name in enumerate(ends.nodes)}
    sources = [row_of[a.id] for a in every if a.kind in SOURCES[key] and a.id in row_of]
    length = np.array([_length(a, plane) for a in edges])
    turned = _turned(edges, ends, length, sources, key)
    tail, head = np.where(turned, ends.head, ends.tail), np.where(turned, ends.tail, ends.head)
    others = [a for a in points if a.id not in row_of]
    things = _things(edges, others, length, turned, plane)
    use = {a.id: a.attributes.get("households", 0) for a in points}
    customers = np.array(
        [int(value) if isinstance(value := use.get(n, 0), int) else 0 for n in ends.nodes], np.int32
    )
    return Network(
        key, ends.nodes, [a.id for a in edges], tail, head, length, things=things, sources=sources, customers=customers,
        valves=_valves(others, things, tail, head, length, VALVES[key]),
        shut=np.array([bool(a.attributes.get("shut")) for a in edges], bool),
    )  # fmt: skip


def _by_name(edges: Sequence[Asset]) -> _Ends | None:
    """The ends that the edges name; None unless all of them do."""
    named = [(a.attributes.get("tail"), a.attributes.get("head")) for a in edges]
    if not named or not all(isinstance(tail, str) and isinstance(head, str) for tail, head in named):
        return None
    nodes = sorted({str(end) for pair in named for end in pair})
    row = {name: number for number, name in enumerate(nodes)}
    columns = np.array([[row[str(tail)], row[str(head)]] for tail, head in named], np.int32)
    return _Ends(nodes, columns[:, 0], columns[:, 1])


def _by_place(edges: Sequence[Asset], points: Sequence[Asset], plane: Plane) -> _Ends:
    """Ends that lie in one place are one node; it has the id of the point asset there, or one made of the edge's."""
    spots = np.array([place for a in edges for place in _line(a, plane)[[0, -1]]]).reshape(-1, 2)
    label = cells.merge(spots, SNAP_M)
    names = [""] * (int(label.max(initial=-1)) + 1)
    if points and len(spots):
        away, near = cKDTree(spots).query(plane.points([a.lonlat for a in points]))
        for asset, metres, spot in zip(points, away.tolist(), near.tolist(), strict=True):
            if metres <= SNAP_M:
                names[label[spot]] = names[label[spot]] or asset.id
    for number, node in enumerate(label.tolist()):
        names[node] = names[node] or f"{edges[number // 2].id}.{'tail' if number % 2 == 0 else 'head'}"
    return _Ends(names, label[0::2], label[1::2])


def _line(asset: Asset, plane: Plane) -> Floats:
    return plane.points(shapely.get_coordinates(asset.geometry))


def _length(asset: Asset, plane: Plane) -> float:
    """As stated, otherwise as drawn; at least a centimetre."""
    stated = asset.attributes.get("length_m")
    if isinstance(stated, int | float) and stated > 0:
        return float(stated)
    return max(float(np.hypot(*np.diff(_line(asset, plane), axis=0).T).sum()), 0.01)


def _turned(edges: Sequence[Asset], ends: _Ends, length: Floats, sources: list[int], key: str) -> Bools:
    """Which edges run against the order of their ends."""
    if key == "drainage":
        falls = [(a.attributes.get("upper_m"), a.attributes.get("lower_m")) for a in edges]
        return np.array([isinstance(u, float) and isinstance(v, float) and v > u for u, v in falls], bool)
    if not sources:
        return np.zeros(len(edges), bool)
    open_ = np.array([not a.attributes.get("shut") for a in edges], bool)
    graph = cells.graph(ends.tail[open_], ends.head[open_], length[open_], len(ends.nodes))
    far = dijkstra(graph, indices=sources, min_only=True)
    farther: Bools = np.isfinite(far[ends.tail]) & (far[ends.tail] > far[ends.head])
    return farther


def _things(
    edges: Sequence[Asset], others: Sequence[Asset], length: Floats, turned: Bools, plane: Plane
) -> dict[str, Place]:
    """Where the point assets that are no nodes sit on the edges."""
    if not others or not edges:
        return {}
    lines = np.array([shapely.transform(a.geometry, plane.points) for a in edges], object)
    spots = spots_of(plane.points([a.lonlat for a in others]))
    spot, row = shapely.STRtree(lines).query_nearest(spots, max_distance=BESIDE_M, all_matches=False)
    drawn = np.asarray(shapely.line_locate_point(lines[row], spots[spot], normalized=True))
    share = np.where(turned[row], 1 - drawn, drawn)
    return {
        others[each].id: Place(edge=int(edge), offset_m=float(part * length[edge]))
        for each, edge, part in zip(spot.tolist(), row.tolist(), share.tolist(), strict=True)
    }


def _valves(
    others: Sequence[Asset], things: dict[str, Place], tail: Ints, head: Ints, length: Floats, kinds: Sequence[str]
) -> Valves:  # fmt: skip
    """A valve shuts the nearer end of the edge that it sits on."""
    found = [(a, things[a.id]) for a in others if a.kind in kinds and a.id in things]
    edge = np.array([place.edge for _, place in found], np.int32)
    near_tail = np.array([place.offset_m <= length[place.edge] / 2 for _, place in found], bool)
    shut = np.array([bool(a.attributes.get("shut")) for a, _ in found], bool)
    return Valves(
        tuple(a.id for a, _ in found),
        edge,
        np.where(near_tail, tail[edge], head[edge]).astype(np.int32),
        shut,
    )
