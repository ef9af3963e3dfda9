"""Divide a street network into connected cells of about equal size: metering districts, catchments, beats."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from gis.lines import Floats, Ints

ROUNDS = 4


def merge(places: Floats, metres: float) -> Ints:
    """Which place each point belongs to, 0 … n-1: points nearer than this to each other are one, chains included."""
    pairs = (
        cKDTree(places).query_pairs(metres, output_type="ndarray") if len(places) else np.empty((0, 2), int)
    )
    shape = (len(places), len(places))
    near = coo_matrix((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=shape)
    label: Ints = connected_components(near, directed=False)[1].astype(np.int32)
    return label


def graph(tail: Ints, head: Ints, weight: Floats, nodes: int) -> csr_matrix:
    """The undirected graph of edges between `nodes` junctions."""
    both = (np.concatenate([tail, head]), np.concatenate([head, tail]))
    return coo_matrix((np.concatenate([weight, weight]), both), shape=(nodes, nodes)).tocsr()


def divide(xy: Floats, member: Ints, streets: csr_matrix, cells: int) -> Ints:
    """The cell (0 … cells-1) of each junction of `member`, a connected set of junctions.

    Each cell is connected: it is what is nearest, along the streets, to the cell's middle junction.
    """
    inner = streets[member][:, member]
    places = xy[member]
    seeds = _far_apart(places, min(cells, len(member)))
    label = np.zeros(len(member), np.int32)
    for _ in range(ROUNDS):
        _, _, source = dijkstra(inner, indices=seeds, min_only=True, return_predecessors=True)
        label = np.searchsorted(np.sort(seeds), source).astype(np.int32)
        seeds = np.sort(seeds)
        middle = [places[label == cell].mean(axis=0) for cell in range(len(seeds))]
        nearer = [_nearest_member(places, label, cell, middle[cell]) for cell in range(len(seeds))]
        if np.array_equal(nearer, seeds):
            break
        seeds = np.array(nearer)
    return label


def _far_apart(places: Floats, count: int) -> Ints:
    """Junctions far from each other, the first one the farthest from the middle."""
    chosen = [int(np.argmax(np.hypot(*(places - places.mean(axis=0)).T)))]
    gap = np.full(len(places), np.inf)
    while len(chosen) < count:
        gap = np.minimum(gap, np.hypot(*(places - places[chosen[-1]]).T))
        chosen.append(int(np.argmax(gap)))
    return np.array(chosen, np.int32)


def _nearest_member(places: Floats, label: Ints, cell: int, point: Floats) -> int:
    inside = np.flatnonzero(label == cell)
    return int(inside[np.argmin(np.hypot(*(places[inside] - point).T))])
