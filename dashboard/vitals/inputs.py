"""From the registry, the newest values and the rooms' records to the inputs of every vital. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.batch import DOUBTFUL
from core.clock import SECOND_US
from dashboard.points import PointTable
from dashboard.vitals.declare import FRESH_PERIODS, PointsDecl, RecordsDecl, Vital, matches, members
from dashboard.vitals.window import Windows
from dashboard.vitals.words import Figure, Input, Installed, Points, Records, Series, Why
from iot.latest import NEVER
from iot.registry import Device, Registry

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Selection:
    """The points of one input: parallel columns in the order of device numbers.

    set_value is what a device brings under `per` or `from` (NaN where it brings none: the point takes no part).
    """

    device: NDArray[np.int32]
    channel: NDArray[np.int16]
    point: NDArray[np.int32]
    period_us: NDArray[np.int64]
    zone: NDArray[np.int32]
    set_value: NDArray[np.float64]
    decl: PointsDecl

    def __len__(self) -> int:
        return len(self.device)

    def of(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values as the declaration wants them: against a device's own set value."""
        if self.decl.per:
            return raw / self.set_value
        return self.set_value - raw if self.decl.from_ else raw


def select(decl: PointsDecl, registry: Registry, domain: str) -> Selection:
    """The points that a declaration takes from a registry."""
    found = members(decl, registry.devices, registry.catalogue, domain)
    device = np.array([each.number for each, _ in found], np.int32)
    channel = np.array([registry.channels[name].number for _, name in found], np.int16)
    zones = {name: number for number, name in enumerate(sorted({each.zone for each, _ in found} - {""}))}
    name = decl.per or decl.from_
    return Selection(
        device,
        channel,
        registry.point(device, channel),
        np.array([round(period_s(each, registry) * SECOND_US) for each, _ in found], np.int64),
        np.array([zones.get(each.zone, -1) for each, _ in found], np.int32),
        np.array([_number(each.params.get(name)) if name else 0.0 for each, _ in found]),
        decl,
    )


def period_s(device: Device, registry: Registry) -> float:
    """How often a device is expected to speak: its own period, else that of its kind."""
    own = device.params.get("period_s")
    if isinstance(own, int | float):
        return float(own)
    return min(registry.kind_of(device).decl.silent_after_s / FRESH_PERIODS, 86_400.0)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


class Collector:
    """Selections of all inputs for one registry; makes the inputs of a vital as of an instant."""

    def __init__(self, vitals: Sequence[Vital], registry: Registry) -> None:
        self.registry = registry
        self.selections = {
            (vital.key, name): select(decl, registry, vital.domain)
            for vital in vitals
            for name, decl in vital.points.items()
        }

    def windowed(self) -> dict[tuple[str, str], tuple[PointsDecl, NDArray[np.int32]]]:
        return {key: (each.decl, each.point) for key, each in self.selections.items() if each.decl.window}

    def inputs(
        self,
        vital: Vital,
        table: PointTable,
        windows: Windows,
        records: Rows,
        figures: Mapping[str, float | None],
        now_us: int,
        midnight_us: int,
    ) -> dict[str, Input]:
        """All inputs of one vital now; `midnight_us` is the begin of the city's day."""
        found: dict[str, Input] = {}
        for name, decl in vital.decl.inputs.items():
            if decl.points is not None:
                selection = self.selections[vital.key, name]
                if decl.points.step:
                    found[name] = over_steps(selection, windows[vital.key, name].steps(now_us))
                elif decl.points.window:
                    found[name] = over_window(selection, windows[vital.key, name].values(now_us))
                else:
                    found[name] = newest(selection, table, now_us)
            elif decl.records is not None:
                found[name] = chosen(decl.records, records, now_us, midnight_us)
            elif decl.devices is not None:
                found[name] = installed(decl.devices, self.registry, table, now_us)
            else:
                found[name] = Figure(figures.get(decl.figure))
        return found


def newest(selection: Selection, table: PointTable, now_us: int) -> Points:
    """The newest reading of every point: no doubt, and not older than `FRESH_PERIODS` of its periods."""
    time_us, value, quality = table.columns(selection.point)
    why = np.zeros(len(selection), np.uint8)
    why[(quality & np.uint16(DOUBTFUL)) != 0] = Why.DOUBTFUL
    why[now_us - time_us > FRESH_PERIODS * selection.period_us] = Why.TOO_OLD
    why[(time_us == NEVER) | np.isnan(selection.set_value)] = Why.NEVER_HEARD
    return Points(selection.device, selection.of(value), time_us, why, selection.zone)


def over_window(
    selection: Selection, reduced: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]
) -> Points:
    """Values over a window; a point without a sound sample in it takes no part."""
    value, n, time_us = reduced
    why = np.where(n > 0, Why.TAKES_PART, np.where(time_us < 0, Why.NEVER_HEARD, Why.TOO_OLD)).astype(
        np.uint8
    )
    why[np.isnan(selection.set_value)] = Why.NEVER_HEARD
    return Points(selection.device, selection.of(value), time_us, why, selection.zone)


def over_steps(
    selection: Selection, reduced: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]
) -> Series:
    """Values over whole steps; a point without a sound sample in any of them takes no part."""
    begin_us, raw, time_us = reduced
    steps = selection.of(raw)
    spoke = np.isfinite(steps).any(axis=0)
    why = np.where(spoke, Why.TAKES_PART, np.where(time_us < 0, Why.NEVER_HEARD, Why.TOO_OLD)).astype(
        np.uint8
    )
    last = steps[-1] if len(steps) else np.full(len(selection), np.nan)
    return Series(selection.device, last, time_us, why, selection.zone, steps, begin_us)


def at_hour(selection: Selection, value: NDArray[np.float64], time_us: int) -> Points:
    """What stood in a past hour or quarter: NaN where a point said nothing."""
    given = selection.of(value)
    why = np.where(np.isnan(given), Why.TOO_OLD, Why.TAKES_PART).astype(np.uint8)
    return Points(selection.device, given, np.full(len(given), time_us), why, selection.zone)


def chosen(decl: RecordsDecl, records: Rows, now_us: int, midnight_us: int) -> Records:
    """The records that a declaration asks for, of the span that it names."""
    since_us = midnight_us if decl.today else now_us - round(decl.last * SECOND_US) if decl.last else None
    return Records(
        [
            item
            for item in records.get(decl.topic, ())
            if matches(item, decl.where) and (since_us is None or int(item["at_us"]) >= since_us)
        ]
    )


def installed(kinds: Sequence[str], registry: Registry, table: PointTable, now_us: int) -> Installed:
    """Devices of these kinds or domains (all when none is named), and how many were heard in three periods."""
    wanted = [
        device
        for device in registry.devices.values()
        if not kinds or device.kind in kinds or device.domain in kinds
    ]
    if not wanted:
        return Installed(0, 0)
    heard = table.newest(np.array([device.number for device in wanted], np.int32))
    allowed = np.array([period_s(device, registry) * FRESH_PERIODS * SECOND_US for device in wanted])
    online = (heard != NEVER) & (now_us - heard <= allowed)
    return Installed(int(online.sum()), len(wanted))
