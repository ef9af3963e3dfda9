"""Recorded data as endless tapes: a cut of whole weeks that repeats, read in the city's own local time.

A reading recorded on a Tuesday at 08:15 of its own local time stands on a Tuesday at 08:15 of the city's local
time, in every period of the tape. So history ends at now, live readings go on where it ended, and a restart finds
the same values: what a tape says is a function of the time alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US, SECOND_US, WEEK_US, to_datetime

FOLDER = Path(__file__).parent / "tapes"
#: Times are kept in tenths of a second since Monday 00:00 local time.
TICK_US = 100_000
#: 1970-01-05 was a Monday.
FIRST_MONDAY_US = 4 * DAY_US
#: Stands in a stored column where the recording has no value.
ABSENT = np.iinfo(np.int32).min


@dataclass(frozen=True, slots=True)
class Series:
    """One channel of one recorded device: ascending times in [0, period) after Monday 00:00, and values."""

    at_us: NDArray[np.int64]
    value: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tape:
    """Recorded devices of one source. `series[device][channel]` is in the unit of `units[channel]`."""

    name: str
    weeks: int
    units: Mapping[str, str]
    series: Mapping[str, Mapping[str, Series]]

    @property
    def period_us(self) -> int:
        return self.weeks * WEEK_US

    def between(
        self, device: str, channel: str, from_us: int, to_us: int, offset_us: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Times (µs UTC, ascending) and values in [from, to); `offset_us` is local time minus UTC."""
        found = self.series[device][channel]
        first = (from_us + offset_us - FIRST_MONDAY_US) // self.period_us
        last = (to_us + offset_us - FIRST_MONDAY_US) // self.period_us
        rounds = np.arange(first, last + 1, dtype=np.int64) * self.period_us
        times = (rounds[:, None] + found.at_us).ravel() + (FIRST_MONDAY_US - offset_us)
        values = np.tile(found.value, len(rounds))
        inside = slice(*np.searchsorted(times, [from_us, to_us]))
        return times[inside], values[inside]

    def rows(self) -> Iterator[tuple[str, str]]:
        for device, channels in self.series.items():
            for channel in channels:
                yield device, channel


def load(name: str, folder: Path = FOLDER) -> Tape:
    """A shipped tape: `floodnet`, `bwdf` or `montreal`."""
    with np.load(folder / f"{name}.npz") as stored:
        about = json.loads(bytes(stored["about"]))
        devices: dict[str, dict[str, Series]] = {}
        for device in about["devices"]:
            at_us = np.cumsum(stored[f"{device}/ticks"], dtype=np.int64) * TICK_US
            devices[device] = {}
            for channel, scale in about["scales"].items():
                whole = stored[f"{device}/{channel}"]
                there = whole != ABSENT
                devices[device][channel] = Series(at_us[there], np.round(whole[there] * float(scale), 3))
    return Tape(name, int(about["weeks"]), about["units"], devices)


def save(
    path: Path,
    weeks: int,
    units: Mapping[str, str],
    scales: Mapping[str, float],
    devices: Mapping[str, tuple[NDArray[np.int64], Mapping[str, NDArray[np.float64]]]],
) -> None:
    """Write a tape: per device its times (µs after Monday 00:00) and channels, NaN where there is no value.

    Values are kept as whole multiples of the channel's scale; the same input gives the same bytes.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    for device, (at_us, channels) in devices.items():
        ticks = at_us // TICK_US
        arrays[f"{device}/ticks"] = _narrow(np.diff(ticks, prepend=0))
        for channel, value in channels.items():
            whole = np.full(len(value), ABSENT, np.int64)
            there = np.isfinite(value)
            whole[there] = np.rint(value[there] / scales[channel]).astype(np.int64)
            arrays[f"{device}/{channel}"] = whole.astype(np.int32) if not there.all() else _narrow(whole)
    about = {"weeks": weeks, "units": dict(units), "scales": dict(scales), "devices": list(devices)}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # stubs want allow_pickle first


def _narrow(whole: NDArray[np.int64]) -> NDArray[np.generic]:
    for dtype in (np.int8, np.int16, np.int32):
        if (
            np.can_cast(np.min_scalar_type(int(whole.min())), dtype)
            and int(whole.max()) <= np.iinfo(dtype).max
        ):
            return whole.astype(dtype)
    return whole


def offset_us(zone: ZoneInfo, now_us: int) -> int:
    """Local time minus UTC in µs. One offset serves a whole run, so that weeks stay whole across summer time."""
    offset = to_datetime(now_us).astimezone(zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds()) * SECOND_US
