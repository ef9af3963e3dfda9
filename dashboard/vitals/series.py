"""What may be said about points over steps of time: nights, excesses, spans between events. Pure numpy.

`steps` is [steps × points], oldest first, NaN where a point said nothing; `local_us` are the steps' begins on the
city's wall clock, whole and even.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US, HOUR_US, SECOND_US

Matrix = NDArray[np.float64]
Times = NDArray[np.int64]

#: Fewer nights than this are no base to compare with.
NIGHTS = 7


def nights(local_us: Times, steps: Matrix, zone: NDArray[np.int32], begin_h: float, end_h: float) -> Matrix:
    """[nights × zones] the lowest step of each zone between two hours of whole nights: the sum of its points.

    A point without a zone is one of its own; a zone of which a point is silent has nothing to say in that step.
    """
    hour = local_us % DAY_US / HOUR_US
    dark = (hour >= begin_h) & (hour < end_h)
    own = np.where(zone >= 0, zone, -1 - np.arange(len(zone)))
    names, column = np.unique(own, return_inverse=True)
    flow = np.zeros((int(dark.sum()), len(names)))
    np.add.at(flow.T, column, steps[dark].T)
    if not len(flow):
        return flow
    _, first, count = np.unique(local_us[dark] // DAY_US, return_index=True, return_counts=True)
    lowest = np.fmin.reduceat(flow, first, axis=0)
    return np.asarray(lowest[count == (end_h - begin_h) * HOUR_US // step_us(local_us)])


def night_excess(by_night: Matrix) -> float:
    """By how much of their base the zones' last night lies above it; NaN when no zone has a base.

    The base of a zone is the median of the nights before, `NIGHTS` of them at least.
    """
    before, last = by_night[:-1], by_night[-1:]
    zones = np.isfinite(last).any(axis=0) & (np.isfinite(before).sum(axis=0) >= NIGHTS)
    if not zones.any():
        return float("nan")
    base = float(np.nanmedian(before[:, zones], axis=0).sum())
    return (float(last[0, zones].sum()) - base) / base if base else float("nan")


def steps_above(local_us: Times, since_us: int, steps: Matrix, beside: Matrix, limit: float) -> int:
    """In how many steps from `since_us` (wall clock) on a point lay more than `limit` above the mean of `beside`."""
    level = carried(mean_of(beside)[:, None])
    over = steps - level > limit
    return int(over[local_us >= since_us].sum())


def lags_s(local_us: Times, steps: Matrix, below: float, leading: Matrix, leading_below: float) -> Matrix:
    """Of every fall of a point below a limit: seconds since the highest of `leading` had last fallen below its own.

    0 while that one had not; a fall that none of `leading` came before is not counted.
    """
    lead = carried(np.fmax.reduce(leading, axis=1, initial=np.nan)[:, None])[:, 0]
    calm = np.flatnonzero((lead[:-1] >= leading_below) & (lead[1:] < leading_below)) + 1
    held = carried(steps)
    fell = (
        np.flatnonzero(((held[:-1] >= below) & (held[1:] < below)).T.reshape(-1)) % max(1, len(held) - 1) + 1
    )
    found = []
    for row in fell.tolist():
        since = np.searchsorted(calm, row, side="right") - 1
        if lead[row] >= leading_below:
            found.append(0.0)
        elif since >= 0:
            found.append((local_us[row] - local_us[calm[since]]) / SECOND_US)
    return np.array(found)


def since_s(local_us: Times, steps: Matrix, low: float, high: float, now_us: int) -> float:
    """Seconds since the end of the newest step in which a point lay within limits; NaN when there was none."""
    rows = np.flatnonzero(((steps >= low) & (steps <= high)).any(axis=1))
    return (now_us - int(local_us[rows[-1]]) - step_us(local_us)) / SECOND_US if len(rows) else float("nan")


def step_us(local_us: Times) -> int:
    return int(local_us[1] - local_us[0])


def mean_of(steps: Matrix) -> Matrix:
    """The mean of the points that spoke in each step."""
    spoke = np.isfinite(steps)
    with np.errstate(invalid="ignore"):
        return np.asarray(
            np.where(spoke, steps, 0.0).sum(axis=1) / np.where(spoke.any(axis=1), spoke.sum(axis=1), np.nan)
        )


def carried(steps: Matrix) -> Matrix:
    """What was said last stands until something else is said."""
    rows = np.where(np.isfinite(steps), np.arange(len(steps))[:, None], 0)
    return np.asarray(np.take_along_axis(steps, np.maximum.accumulate(rows, axis=0), axis=0))
