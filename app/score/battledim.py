"""BattLeDIM's own scoring rule, and the replica it is applied to (`simulators.ltown`).

A detection counts when it falls within a leak's life and lies within 300 m of it along the pipes, centre to centre.
It earns the water saved from then on at 0.80 €/m³ and pays 500 €·x/300 for the distance; every detection that
matches nothing costs 500 €; saying the same leak again is free.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from simulators.ltown import STEP_S, Pipework, Record

WATER_EUR_M3 = 0.80
CREW_EUR = 500.0
REACH_M = 300.0

#: Published results on the real L-Town, € (shares of the perfect score are what may be compared).
PUBLISHED = {
    "perfect": 523_154, "liquor_hgnn": 282_785, "tongji": 264_873, "under_pressure": 260_562, "iri": 210_772,
    "leakbusters": 195_490, "tsinghua": 167_981, "unife": 127_626,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Detection:
    """Somebody says that a pipe leaks; steps count from the record's beginning."""

    step: int
    pipe: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What detections are worth. `hits` are (leak row, step, metres), first detections of a leak only."""

    value_eur: float
    perfect_eur: float
    hits: tuple[tuple[int, int, float], ...]
    false: int

    @property
    def share(self) -> float:
        return self.value_eur / self.perfect_eur

    @property
    def found(self) -> int:
        return len(self.hits)


def saved_eur(record: Record, leak: int, from_step: int) -> float:
    """What the water costs that a leak loses from a step to its end."""
    return (
        float(record.leak_m3h[from_step : record.leaks[leak].end, leak].sum()) * STEP_S / 3600 * WATER_EUR_M3
    )


def perfect_eur(record: Record) -> float:
    """Every leak named exactly, at its start or at the beginning of the scored year."""
    return sum(
        saved_eur(record, row, max(leak.start, record.scored_from)) for row, leak in enumerate(record.leaks)
    )


def judge(record: Record, pipework: Pipework, detections: Iterable[Detection]) -> Verdict:
    """Apply the rule to detections of the scored year; earlier ones do not count at all."""
    value, false = 0.0, 0
    hits: dict[int, tuple[int, float]] = {}
    for said in sorted(detections, key=lambda each: each.step):
        if said.step < record.scored_from:
            continue
        near = [
            (metres, row)
            for row, leak in enumerate(record.leaks)
            if leak.start <= said.step < leak.end
            and (metres := pipework.metres(said.pipe, leak.pipe)) <= REACH_M
        ]
        if not near:
            false += 1
            value -= CREW_EUR
            continue
        fresh = [(metres, row) for metres, row in near if row not in hits]
        if fresh:
            metres, row = min(fresh)
            hits[row] = (said.step, metres)
            value += saved_eur(record, row, said.step) - CREW_EUR * metres / REACH_M
    found = tuple((row, step, metres) for row, (step, metres) in hits.items())
    return Verdict(value, perfect_eur(record), found, false)


def figures(record: Record, verdict: Verdict) -> dict[str, float]:
    """What `cityops score battledim-replica` prints for one seed."""
    delays = [(step - record.leaks[row].start) * STEP_S / 3600 for row, step, _ in verdict.hits]
    metres = [each for *_, each in verdict.hits]
    abrupt = [row for row, leak in enumerate(record.leaks) if leak.abrupt]
    return {
        "share_of_perfect": verdict.share,
        "value_eur": verdict.value_eur,
        "perfect_eur": verdict.perfect_eur,
        "found": float(verdict.found),
        "found_abrupt": float(sum(row in abrupt for row, *_ in verdict.hits)),
        "false_detections": float(verdict.false),
        "delay_p50_h": _median(delays),
        "localisation_p50_m": _median(metres),
    }


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
