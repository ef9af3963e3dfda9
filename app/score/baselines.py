"""Public ways to group alerts, written from their own descriptions, to be scored on the same runs as the product.

Each takes parallel columns of alerts in order of time and gives a label an alert, -1 for one that stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from app.score.grouping import Labels

Floats = NDArray[np.float64]

#: Alertmanager's defaults: a group goes on while alerts of its labels come within `group_interval`.
GROUP_INTERVAL_S = 300.0
#: An attribute rule's window begins with its first alert (a common default of rule-based correlation).
RULE_WINDOW_S = 600.0
#: ALEC's defaults (OpenNMS/alec): d = α (β |Δt| in minutes + (1-β) distance in hops), DBSCAN with ε and one point.
ALEC_ALPHA, ALEC_BETA, ALEC_EPSILON = 144.47117699, 0.55257784, 100.0
#: ALEC counts hops of an inventory graph; a city's sensors have none, so a hop is this far.
ALEC_HOP_M = 200.0
#: ST-DBSCAN (Birant & Kut 2007).
ST_NEAR_M, ST_NEAR_S, ST_LEAST = 400.0, 600.0, 3


@dataclass(frozen=True, slots=True, eq=False)
class Alerts:
    """n alerts, ascending in time: seconds, metres of a plane, and what their labels say."""

    time_s: Floats
    x_m: Floats
    y_m: Floats
    domain: Sequence[str]
    rule: Sequence[str]
    zone: Sequence[str]
    area: Sequence[str]

    def __len__(self) -> int:
        return len(self.time_s)


def by_label(alerts: Alerts, interval_s: float = GROUP_INTERVAL_S) -> Labels:
    """Equal labels (rule and zone), each alert within the interval of the one before: Alertmanager's grouping."""
    return _running(alerts, list(zip(alerts.rule, alerts.zone, strict=True)), interval_s, from_first=False)


def by_attribute(alerts: Alerts, window_s: float = RULE_WINDOW_S) -> Labels:
    """Equal domain and area within a window that begins with the first: a correlation rule as in Keep."""
    return _running(alerts, list(zip(alerts.domain, alerts.area, strict=True)), window_s, from_first=True)


def _running(alerts: Alerts, keys: list[tuple[str, str]], span_s: float, *, from_first: bool) -> Labels:
    labels = np.empty(len(alerts), np.int64)
    open_: dict[tuple[str, str], tuple[int, float]] = {}
    free = 0
    for row, (key, time) in enumerate(zip(keys, alerts.time_s.tolist(), strict=True)):
        label, since = open_.get(key, (-1, -np.inf))
        if time - since > span_s:
            label, since, free = free, time, free + 1
        open_[key] = (label, since if from_first else time)
        labels[row] = label
    return without_singles(labels)


def alec(alerts: Alerts) -> Labels:
    """ALEC's symmetric space-time distance with its defaults, chained by DBSCAN with one point."""
    reach_m = ALEC_EPSILON / ALEC_ALPHA / (1 - ALEC_BETA) * ALEC_HOP_M
    pairs = _near(alerts, reach_m)
    minutes = np.abs(alerts.time_s[pairs[:, 0]] - alerts.time_s[pairs[:, 1]]) / 60
    hops = np.hypot(*(_xy(alerts)[pairs[:, 0]] - _xy(alerts)[pairs[:, 1]]).T) / ALEC_HOP_M
    near = ALEC_ALPHA * (ALEC_BETA * minutes + (1 - ALEC_BETA) * hops) <= ALEC_EPSILON
    return _chained(len(alerts), pairs[near], least=2)


def st_dbscan(
    alerts: Alerts, near_m: float = ST_NEAR_M, near_s: float = ST_NEAR_S, least: int = ST_LEAST
) -> Labels:
    """ST-DBSCAN: neighbours lie within a distance and a time; a core has at least `least` with itself."""
    pairs = _near(alerts, near_m)
    pairs = pairs[np.abs(alerts.time_s[pairs[:, 0]] - alerts.time_s[pairs[:, 1]]) <= near_s]
    return _chained(len(alerts), pairs, least)


def _xy(alerts: Alerts) -> Floats:
    return np.column_stack([alerts.x_m, alerts.y_m])


def _near(alerts: Alerts, reach_m: float) -> NDArray[np.intp]:
    found: NDArray[np.intp] = cKDTree(_xy(alerts)).query_pairs(reach_m, output_type="ndarray")
    return found


def _chained(size: int, pairs: NDArray[np.intp], least: int) -> Labels:
    """DBSCAN on a graph of neighbours: cores that touch are one group, others join the first core they touch."""
    degree = np.bincount(pairs.ravel(), minlength=size) + 1
    core = degree >= least
    both = core[pairs].all(axis=1)
    graph = coo_matrix((np.ones(both.sum()), pairs[both].T), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    labels = np.where(core, labels, -1).astype(np.int64)
    for one, other in ((0, 1), (1, 0)):
        edge = core[pairs[:, one]] & ~core[pairs[:, other]]
        joins, to = pairs[edge, other], pairs[edge, one]
        order = np.lexsort((to, joins))
        first = np.unique(joins[order], return_index=True)
        free = labels[first[0]] < 0
        labels[first[0][free]] = labels[to[order][first[1]]][free]
    return without_singles(labels)


def without_singles(labels: Labels) -> Labels:
    """Groups of one alert are none."""
    named, size = np.unique(labels, return_counts=True)
    few = named[size < 2]
    return np.where(np.isin(labels, few), -1, labels)


BASELINES = {"label": by_label, "attribute": by_attribute, "alec": alec, "stdbscan": st_dbscan}
