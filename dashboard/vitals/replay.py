"""History of a vital recomputed from stored readings, with the very formula of now. Pure.

Only vitals whose inputs are all points can be recomputed; counts of alarms and cases have no past before the first day.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from core.batch import DOUBTFUL, Batch
from core.clock import HOUR_US
from dashboard.vitals.declare import Vital
from dashboard.vitals.evaluate import evaluate
from dashboard.vitals.inputs import Selection, at_hour
from dashboard.vitals.usual import Local
from dashboard.vitals.window import QUARTER_US
from dashboard.vitals.words import Words
from iot.views import Hours

Matrix = NDArray[np.float64]


def recomputable(vital: Vital) -> bool:
    """Whether one hour's or quarter's readings say all: no records, no figures, no steps of days."""
    return len(vital.points) == len(vital.decl.inputs) and not any(p.step for p in vital.points.values())


def by_hour(selection: Selection, hours: Hours, from_us: int, to_us: int) -> Matrix:
    """Values of a selection, [hours × points], NaN where nothing was said."""
    column = {"mean": hours.value, "low": hours.low, "high": hours.high}[selection.decl.hourly]
    matrix = np.full(((to_us - from_us) // HOUR_US, len(selection)), np.nan)
    place = _places(selection, hours.device, hours.channel)
    rows = (hours.time_us - from_us) // HOUR_US
    known = (place >= 0) & (rows >= 0) & (rows < len(matrix))
    matrix[rows[known], place[known]] = column[known]
    return carried(matrix, selection, HOUR_US)


def by_quarter(selection: Selection, batch: Batch, from_us: int, to_us: int) -> Matrix:
    """Means of quarters, [quarters × points], out of raw readings without doubt."""
    shape = ((to_us - from_us) // QUARTER_US, len(selection))
    place = _places(selection, batch.device, batch.channel)
    rows = (batch.time_us - from_us) // QUARTER_US
    known = (place >= 0) & (rows >= 0) & (rows < shape[0]) & ((batch.quality & np.uint16(DOUBTFUL)) == 0)
    n, total = np.zeros(shape), np.zeros(shape)
    np.add.at(n, (rows[known], place[known]), 1)
    np.add.at(total, (rows[known], place[known]), batch.value[known])
    with np.errstate(invalid="ignore"):
        return carried(total / np.where(n > 0, n, np.nan), selection, QUARTER_US)


def carried(matrix: Matrix, selection: Selection, step_us: int) -> Matrix:
    """A point that speaks more seldom than a step keeps its value for three of its periods."""
    reach = np.maximum(0, 3 * selection.period_us // step_us)
    held = matrix.copy()
    since = np.zeros(matrix.shape[1], np.int64)
    for row in range(1, len(held)):
        missing = np.isnan(matrix[row])
        since = np.where(missing, since + 1, 0)
        keep = missing & (since <= reach)
        held[row, keep] = held[row - 1, keep]
    return held


def _places(selection: Selection, device: NDArray[np.int32], channel: NDArray[np.int16]) -> NDArray[np.int64]:
    """Columns of the matrix for (device, channel) pairs, -1 for others."""
    keys = selection.device.astype(np.int64) << 16 | selection.channel.astype(np.int64)
    wanted = device.astype(np.int64) << 16 | channel.astype(np.int64)
    if not len(keys):
        return np.full(len(wanted), -1)
    order = np.argsort(keys)
    at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    return np.where(keys[order][at] == wanted, order[at], -1)


def values(
    vital: Vital,
    selections: Mapping[str, Selection],
    matrices: Mapping[str, Matrix],
    from_us: int,
    step_us: int,
    local: Local,
    words: Words,
) -> tuple[list[int], list[float]]:
    """(begin of each step µs, value) of the steps in which the vital had one."""
    times, found = [], []
    plain = dataclasses.replace(vital, bands={})  # history has no colours
    for step in range(len(next(iter(matrices.values())))):
        moment = from_us + step * step_us
        inputs = {name: at_hour(selections[name], matrix[step], moment) for name, matrix in matrices.items()}
        words.use(inputs, moment, local.offset_us(moment))
        reading = evaluate(plain, words, None)
        if reading.value is not None:
            times.append(moment)
            found.append(reading.value)
    return times, found
