"""A simple leak finder for L-Town: what a careful engineer would try first, as a yardstick for the product's own.

Each pressure is compared with what the inflows and the hour of the week let expect (least squares on the weeks of
history). A fall of the smoothed residual that lasts is a leak; it is placed at the pipe nearest to the sensor that
fell most. After an alarm the residuals are taken anew from there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.score.battledim import Detection
from simulators.ltown import DAY_STEPS, PRESSURES, Pipework, Record

Floats = NDArray[np.float64]
FIT_STEPS = 30 * DAY_STEPS
SMOOTH = DAY_STEPS // 2
THRESHOLD_SIGMA = 7.0
QUIET_STEPS = 5 * DAY_STEPS


def residuals(record: Record) -> Floats:
    """(steps, sensors): measured minus expected, in standard deviations of the fit."""
    steps = len(record)
    inflow = record.flow_m3h / 100.0
    hour = np.arange(steps) % (7 * DAY_STEPS) / (7 * DAY_STEPS) * 2 * np.pi
    columns = [np.ones(steps), *inflow.T, *(inflow.T**2), record.level_m]
    columns += [fn(hour * k) for k in (1, 7, 14, 21) for fn in (np.sin, np.cos)]
    design = np.column_stack(columns)
    weights, *_ = np.linalg.lstsq(design[:FIT_STEPS], record.pressure_m[:FIT_STEPS], rcond=None)
    rest = record.pressure_m - design @ weights
    found: Floats = rest / rest[:FIT_STEPS].std(axis=0)
    return found


def find(record: Record, pipework: Pipework) -> list[Detection]:
    """Leaks by the fall of the half-day mean against the days before."""
    rest = residuals(record)
    summed = np.vstack([np.zeros(rest.shape[1]), np.cumsum(rest, axis=0)])
    smooth = (summed[SMOOTH:] - summed[:-SMOOTH]) / SMOOTH
    noise = smooth[:FIT_STEPS].std(axis=0)
    said: list[Detection] = []
    step = record.scored_from
    base_from = step - QUIET_STEPS
    while step + SMOOTH < len(record):
        base = smooth[max(base_from, step - QUIET_STEPS) : step - SMOOTH].mean(axis=0)
        fall = (base - smooth[step]) / noise
        if fall.max() >= THRESHOLD_SIGMA:
            said.append(Detection(step + SMOOTH, _nearest_pipe(PRESSURES[int(fall.argmax())], pipework)))
            base_from = step + SMOOTH
            step += QUIET_STEPS
        step += 12
    return said


def _nearest_pipe(node: str, pipework: Pipework) -> str:
    row = pipework.nodes[node]
    touching = np.flatnonzero((pipework.tail == row) | (pipework.head == row))
    return pipework.pipes[int(touching[0])]
