"""By how much the pressures of a supply district fall when one of its pipes breaks, by the city's hydraulic model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gis.city import City
from gis.hydraulics import MPA_PER_M, Hydraulics, HydraulicsFailed

Floats = NDArray[np.float64]

#: What may run out (L/s), and the demand as a multiple of its mean: a break is measured against all of these.
OUT_LPS = (3.0, 8.0, 20.0, 50.0, 110.0)
DEMANDS = (0.5, 1.0, 1.4)
#: Districts remembered, some 50 pipes each.
REMEMBERED = 64


@dataclass(frozen=True, slots=True, eq=False)
class Falls:
    """fall_mpa (breaks, nodes): at each node of `nodes`, for each break; `pipe` (breaks,) is a row of `pipes`."""

    pipes: tuple[str, ...]
    nodes: dict[str, int]
    pipe: NDArray[np.intp]
    fall_mpa: Floats


class Breaks:
    """Of a city with a supply network. A district is solved when it is first asked for: about a quarter of a second."""

    def __init__(self, city: City) -> None:
        self._water = city.water
        self._zones = {district.id: row for row, district in enumerate(city.water.districts)}
        self.falls = lru_cache(REMEMBERED)(self._falls)

    def _falls(self, zone: str) -> Falls | None:
        """None for a district that is not known, or whose model has no solution."""
        water, row = self._water, self._zones.get(zone)
        if row is None:
            return None
        inside = np.flatnonzero(water.pipes.zone == row)
        nodes = np.flatnonzero(water.nodes.zone == row)
        names = {water.nodes.id[node]: column for column, node in enumerate(nodes)}
        pipes = tuple(water.pipes.id[pipe] for pipe in inside)
        ends = [(water.nodes.id[water.pipes.tail[p]], water.nodes.id[water.pipes.head[p]]) for p in inside]
        try:
            by_node = self._solved(tuple(names), sorted({node for pair in ends for node in pair}))
        except HydraulicsFailed:
            return None
        falls = np.concatenate([(by_node[a] + by_node[b]) / 2 for a, b in ends])
        return Falls(pipes, names, np.repeat(np.arange(len(pipes)), len(OUT_LPS) * len(DEMANDS)), falls)

    def _solved(self, seen: tuple[str, ...], broken: list[str]) -> dict[str, Floats]:
        """Node → (outflows × demands, seen): the fall in MPA at each seen node when that node runs out."""
        found = {node: np.empty((len(DEMANDS), len(OUT_LPS), len(seen))) for node in broken}
        with Hydraulics(self._water.inp(hours=0), live=True) as model:
            rows = [model.node[node] for node in seen]
            for at, demand in enumerate(DEMANDS):
                model.set_demand_factor(demand)
                before = model.solve().pressure_mpa
                for node in broken:
                    head = max(float(before[model.node[node]]) / MPA_PER_M, 5.0)
                    for size, lps in enumerate(OUT_LPS):
                        model.set_emitter(node, lps / head**0.5)
                        found[node][at, size] = (before - model.solve().pressure_mpa)[rows]
                    model.set_emitter(node, 0.0)
        return {node: falls.reshape(-1, len(seen)) for node, falls in found.items()}
