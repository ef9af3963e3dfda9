"""Which pipe of a district broke, by how far its pressures fell, and where they did not. Pure.

The hydraulic model says how far each logger falls for a break of each pipe and size (`gis.breaks`). Loggers that raised
no alert say something too: theirs fell by less than would have raised one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp

from events.place import Candidate, Heard
from gis.breaks import Breaks, Falls
from gis.city import City

Floats = NDArray[np.float64]

#: How far a fall is believed: gauges (MPa), and the model's share. An alert may catch it before it is complete.
GAUGE_MPA, MODEL_SHARE = 0.0015, 0.12
#: A pipe counts for its neighbours within so many metres: a crew searches there too, and the model is no better.
AROUND_M = 150.0
#: So many pipes are named.
NAMED = 5


class Located:
    """`events.place.Breaks` of a city: a district's pipes by the chance that the break is found around them."""

    def __init__(self, city: City) -> None:
        self._city = city
        self._breaks = Breaks(city)

    def __call__(self, zone: str, heard: Heard) -> list[Candidate]:
        falls = self._breaks.falls(zone)
        chance = chances(falls, heard) if falls is not None else None
        if falls is None or chance is None:
            return []
        middles = {pipe: self._city.assets[pipe].lonlat for pipe in falls.pipes}
        places = dict(zip(middles, self._city.plane.points(list(middles.values())).tolist(), strict=True))
        ranked = sorted(smoothed(chance, places).items(), key=lambda each: (-each[1], each[0]))[:NAMED]
        return [Candidate(pipe, self._name(pipe), *middles[pipe], share) for pipe, share in ranked]

    def _name(self, pipe: str) -> dict[str, str]:
        zh, en = self._city.describe(*self._city.assets[pipe].lonlat)
        return {"zh": f"{zh} {pipe}", "en": f"{en} {pipe}"}


def chances(falls: Falls, heard: Heard) -> dict[str, float] | None:
    """Pipe → the posterior chance that it is the one; None where none of the loggers is in the model.

    Every size and demand of the model is as likely before; sizes between those of the model are weighed by bringing
    the falls to the measured mean within a factor of two.
    """
    fell = [(falls.nodes[node], mpa) for node, mpa in heard.fell.items() if node in falls.nodes]
    if not fell:
        return None
    rows, measured = [row for row, _ in fell], np.array([mpa for _, mpa in fell])
    wanted = falls.fall_mpa[:, rows]
    scale = np.clip(measured.mean() / np.maximum(wanted.mean(axis=1), 1e-6), 0.5, 2.0)[:, None]
    log = _log_normal(measured, wanted * scale)
    for node, limit in heard.silent.items():
        if node in falls.nodes:
            expected = falls.fall_mpa[:, falls.nodes[node]] * scale[:, 0]
            log += log_ndtr((limit - expected) / _noise(expected))
    by_pipe = np.array([logsumexp(log[falls.pipe == row]) for row in range(len(falls.pipes))])
    chance = np.exp(by_pipe - logsumexp(by_pipe))
    return dict(zip(falls.pipes, chance.tolist(), strict=True))


def _noise(expected: Floats) -> Floats:
    return np.hypot(GAUGE_MPA, MODEL_SHARE * expected)


def _log_normal(measured: Floats, expected: Floats) -> Floats:
    """(breaks,): of all measured falls together."""
    noise = _noise(expected)
    log: Floats = (-0.5 * ((measured - expected) / noise) ** 2 - np.log(noise)).sum(axis=1)
    return log


def smoothed(chance: Mapping[str, float], places: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Each pipe's chance with that of the pipes around it (metres east, north), to rank places by; adds up to 1."""
    pipes = list(chance)
    at = np.array([places[pipe] for pipe in pipes])
    apart = np.hypot(*(at[:, None] - at).transpose(2, 0, 1))
    mass = np.exp(-((apart / AROUND_M) ** 2)) @ np.array([chance[pipe] for pipe in pipes])
    return dict(zip(pipes, (mass / mass.sum()).tolist(), strict=True))
