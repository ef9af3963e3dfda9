"""The product's leak finder (`events.leaks`) on L-Town: what its instruments say, hour by hour, made days of.

Only what a utility has is used: the model as shipped, the readings up to the day, and where the instruments are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.score.battledim import Detection
from events import leak_field
from events.leak_field import Doubt, Field, Signals
from events.leaks import Finder
from gis.sensitivity import PARTS, Hours, Metering, Twin
from simulators.ltown import DAY_STEPS, FLOWS, PRESSURES, STEP_S, TANK, TANK_FLOOR_M, Pipework, Record

Floats = NDArray[np.float64]

HOUR_STEPS = 3600 // STEP_S
METERING = Metering(PRESSURES, (FLOWS[1], FLOWS[2]), FLOWS[0], TANK, TANK_FLOOR_M)
TANK_M2 = np.pi * 16.0**2 / 4
#: The level's noise is taken out of what the tank's zone takes by a line over so many hours, half of them to come.
LINE_H = 4
#: An hour in which the pump's flow moves more than this was switched in.
SWITCHED_M3H = 2.0
HISTORY_DAYS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Knowledge:
    """What is known of L-Town before anything is measured; the same for every seed."""

    twin: Twin
    field: Field


def knowledge(inp: str, pipework: Pipework, record: Record) -> Knowledge:
    """The twin and the field of leaks; `record` gives the pump's usual day and the tank's usual level."""
    twin = Twin(inp, METERING)
    first = slice(0, HISTORY_DAYS * DAY_STEPS)
    pumped = record.flow_m3h[first, 0].reshape(-1, PARTS, DAY_STEPS // PARTS).mean(axis=(0, 2))
    found = twin.responses(float(record.level_m[first].mean()), pumped)
    signals = Signals(found.leak, found.rougher, found.demand_m3h, found.rhythm, found.zone)
    names = {row: node for node, row in pipework.nodes.items()}
    row_of = {node: row for row, node in enumerate(found.nodes)}
    both = np.column_stack([pipework.tail, pipework.head])
    rows = [
        row
        for row, pipe in enumerate(pipework.pipes)
        if pipe in found.pipes and all(names[int(end)] in row_of for end in both[row])
    ]
    ends = np.array([[row_of[names[int(end)]] for end in both[row]] for row in rows], np.intp)
    pipes = tuple(pipework.pipes[row] for row in rows)
    return Knowledge(
        twin, leak_field.field_of(signals, pipes, ends, _apart_m(pipework, both[rows], rows), Doubt())
    )


def _apart_m(pipework: Pipework, ends: NDArray[np.intp], rows: list[int]) -> Floats:
    """Metres along the pipes from the middle of each to the middle of each."""
    ways = [pipework.between_m[np.ix_(ends[:, a], ends[:, b])] for a in (0, 1) for b in (0, 1)]
    half = pipework.length_m[rows] / 2
    apart: Floats = np.min(ways, axis=0) + half[:, None] + half
    np.fill_diagonal(apart, 0.0)
    return apart


def hours_of(record: Record) -> tuple[Hours, NDArray[np.bool_]]:
    """Hourly means, and in which hours the pump was not switched."""
    n = len(record) // HOUR_STEPS
    pressure, flow, level = (
        _hourly(each, n) for each in (record.pressure_m, record.flow_m3h, record.level_m)
    )
    steady = record.flow_m3h[: n * HOUR_STEPS, 0].reshape(n, HOUR_STEPS).std(axis=1) < SWITCHED_M3H
    fed = flow[:, 1] + flow[:, 2] - flow[:, 0]
    return Hours(
        pressure, flow[:, 1:], flow[:, 0], level, np.column_stack([fed, _of_tank(record, n)])
    ), steady


def _hourly(values: Floats, n: int) -> Floats:
    found: Floats = values[: n * HOUR_STEPS].reshape(n, HOUR_STEPS, *values.shape[1:]).mean(axis=1)
    return found


def _of_tank(record: Record, n: int) -> Floats:
    """What the tank's zone takes (m³/h): what was pumped and not kept, as the slope of a line through its sum."""
    drawn = np.cumsum(record.flow_m3h[:, 0]) / HOUR_STEPS - TANK_M2 * record.level_m
    half = LINE_H * HOUR_STEPS // 2
    at = np.arange(-half + 0.5, half)
    line = at / (at @ at) * HOUR_STEPS
    padded = np.pad(drawn, half, mode="reflect", reflect_type="odd")
    slopes = np.convolve(padded, line[::-1], "valid")
    return slopes[HOUR_STEPS // 2 : HOUR_STEPS // 2 + n * HOUR_STEPS : HOUR_STEPS]


def days_of(record: Record, twin: Twin) -> Floats:
    hours, steady = hours_of(record)
    pressure, inflow = twin.expected(hours)
    off = hours.inflow_m3h - inflow
    residual = np.column_stack([hours.pressure_m - pressure, (off[:, 1] - off[:, 0]) / 2])
    return leak_field.days(residual, hours.taken_m3h, twin.usual_m3h, steady, PARTS)


def find(record: Record, known: Knowledge, tell: Callable[[float], None] | None = None) -> list[Detection]:
    """Leaks of the scored year; a day is judged when the line over its last hour is whole."""
    said = days_of(record, known.twin) @ known.field.whiten.T
    finder = Finder(known.field)
    detections = []
    for n in range(1, len(said) + 1):
        step = max(n * DAY_STEPS + LINE_H * HOUR_STEPS // 2, record.scored_from)
        detections += [Detection(step, found.pipe) for found in finder.day(said[1:n])]
        if tell is not None and n % 10 == 0:
            tell(n / len(said))
    return [each for each in detections if each.step < len(record)]
