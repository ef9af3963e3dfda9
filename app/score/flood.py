"""flood-csi: who knows best which streets stand under water, from the few gauges that a city has.

The truth is a storm over the sample city with inlets that nobody knows to be clogged (`simulators.flood`). Scored by
the critical success index, hits / (hits + misses + false), over cells of streets and squares at 15 cm, every ten
minutes of all seeds. The methods see gauges (low points and underpasses, to the centimetre) and rain, never the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from gis import drainage, hazard
from gis.city import City
from simulators.flood import EXCHANGE_S, Flood, Ground, ground_of

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: A lane counts as flooded from here.
WET_M = 0.15
#: The class of `gis.hazard` that begins there: it and the worse ones are wet.
WET_CLASS = 3
YEARS, HOURS, LOOK_S = 100.0, 2.0, 600
#: Around this many places the inlets of the nearest manholes are clogged to a share.
PLACES, MANHOLES, SHARE = 6, 30, 0.1


@dataclass(slots=True)
class Tally:
    """Cells over all looks."""

    hits: int = 0
    misses: int = 0
    false: int = 0

    def add(self, truth: Mask, said: Mask) -> None:
        self.hits += int((truth & said).sum())
        self.misses += int((truth & ~said).sum())
        self.false += int((~truth & said).sum())

    @property
    def csi(self) -> float:
        return self.hits / max(self.hits + self.misses + self.false, 1)


def score(city: City, seeds: range, tell: Callable[[float], None] = lambda _share: None) -> dict[str, float]:
    """CSI of the product's spread of a gauge's depth, and of three baselines.

    `gauges`: the gauges' own cells; `clean_model`: the same model, thinking that all inlets are clean; `filled`: that,
    and what lies lower than each gauge's water and is connected with it, on the very ground of the truth.
    """
    ground = ground_of(city)
    gauges = _gauges(city, ground)
    clean = play(city, ground, {})
    tallies = {name: Tally() for name in ("product", "gauges", "clean_model", "filled")}
    errors: list[float] = []
    for number, seed in enumerate(seeds):
        truth = play(city, ground, clogged(city, ground, seed))
        for depth, thought in zip(truth, clean, strict=True):
            wet, modelled = ((water >= WET_M) & ground.land.reshape(-1) for water in (depth, thought))
            seen = np.round(depth[gauges], 2)
            tallies["product"].add(wet, spread(city, ground, gauges, seen))
            tallies["gauges"].add(wet, _only(gauges, seen, len(depth)))
            tallies["clean_model"].add(wet, modelled)
            tallies["filled"].add(wet, modelled | filled(ground, gauges, seen))
            errors += (thought[gauges] - depth[gauges]).tolist()
        tell((number + 1) / len(seeds))
    found = {f"{name}_csi": tally.csi for name, tally in tallies.items()}
    wet_cells = tallies["gauges"].hits + tallies["gauges"].misses
    return {
        **found,
        "wet_cells": float(wet_cells),
        "clean_model_rmse_m": float(np.sqrt(np.mean(np.square(errors)))),
    }


def _gauges(city: City, ground: Ground) -> NDArray[np.intp]:
    """The cells where the sample city measures depth: at its low points, and the deepest of each underpass."""
    low = [ground.gauge(*city.plane.xy(*asset.lonlat)) for asset in city.of_kind("low_point")]
    bed = ground.bed_m.reshape(-1)
    deep = [int(cells[int(np.argmin(bed[cells]))]) for cells in ground.underpasses.values()]
    return np.array([*low, *deep], np.intp)


def clogged(city: City, ground: Ground, seed: int) -> dict[str, float]:
    """Inlets around places that are drawn: one underpass, and manholes anywhere."""
    rng = np.random.default_rng([25, seed])
    holes = city.drainage.manholes
    rows = [row for row, kind in enumerate(holes.kind) if kind == "manhole"]
    xy = holes.xy[rows]
    cells = list(ground.underpasses.values())[int(rng.integers(len(ground.underpasses)))]
    middles = [ground.centres[cells].mean(axis=0), *xy[rng.choice(len(rows), PLACES - 1, replace=False)]]
    found: dict[str, float] = {}
    for middle in middles:
        for row in np.argsort(np.hypot(*(xy - middle).T), kind="stable")[:MANHOLES].tolist():
            found[holes.id[rows[row]]] = SHARE
    return found


def play(city: City, ground: Ground, clogged_: dict[str, float]) -> list[Floats]:
    """Depths of all cells every ten minutes of a storm of a hundred years."""
    rain = drainage.storm(YEARS)
    flood = Flood(city, ground, hours=HOURS, clogged=clogged_)
    looks: list[Floats] = []
    try:
        for step in range(round(HOURS * 3600 / EXCHANGE_S)):
            flood.step(rain[min(step * EXCHANGE_S // 300, len(rain) - 1)])
            if (step + 1) * EXCHANGE_S % LOOK_S == 0:
                looks.append(flood.surface.depth_m.reshape(-1).copy())
    finally:
        flood.close()
    return looks


def spread(city: City, ground: Ground, gauges: NDArray[np.intp], seen: Floats) -> Mask:
    """What the product draws around each gauge, streets and squares of it; it knows which of them are underpasses."""
    said = np.zeros(len(ground.centres), bool)
    under = {int(cell): id_ for id_, cells in ground.underpasses.items() for cell in cells.tolist()}
    for cell, depth in zip(gauges.tolist(), seen.tolist(), strict=True):
        if depth < WET_M:
            continue
        said[cell] = True
        for zone in hazard.flood(city, *_lonlat(city, ground.centres[cell]), depth, under.get(cell, "")):
            if zone.cls <= WET_CLASS:
                said |= ground.inside([shapely.transform(zone.geometry, city.plane.points)])
    return said & ground.land.reshape(-1)


def filled(ground: Ground, gauges: NDArray[np.intp], seen: Floats) -> Mask:
    """What lies at least `WET_M` below the water of a gauge and is connected with it."""
    said = np.zeros(ground.bed_m.shape, bool)
    for cell, depth in zip(gauges.tolist(), seen.tolist(), strict=True):
        place = np.unravel_index(cell, said.shape)
        parts, _ = ndimage.label(ground.land & (ground.bed_m <= ground.bed_m[place] + depth - WET_M))
        if parts[place]:
            said |= parts == parts[place]
    return said.reshape(-1)


def _only(gauges: NDArray[np.intp], seen: Floats, cells: int) -> Mask:
    said = np.zeros(cells, bool)
    said[gauges[seen >= WET_M]] = True
    return said


def _lonlat(city: City, xy: Floats) -> tuple[float, float]:
    lon, lat = city.plane.to_lonlat(float(xy[0]), float(xy[1]))
    return float(lon), float(lat)
