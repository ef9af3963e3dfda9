"""Makes the shipped tapes from the sources that README.md beside this file names.

    python -m simulators.tapes.build SOURCE_DIR [OUT_DIR]

SOURCE_DIR holds `floodnet_nyc/`, `bwdf/` and `noise_montreal/` as downloaded. The same input gives the same bytes.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US, WEEK_US, to_us
from simulators import tape

# FloodNet: 28 days before the recording ends, in New York local time (UTC-4 throughout).
FLOOD_ZONE = ZoneInfo("America/New_York")
FLOOD_WEEKS = 4
FLOOD_END = datetime(2023, 6, 28, 12, 0, tzinfo=FLOOD_ZONE)
#: The ultrasonic head says 500 for anything nearer and 5000 or 9999 when there is no echo: no distances.
NEAREST_MM, FARTHEST_MM = 500, 5000
#: The dry distance is the median of this long before a reading; heat moves it by some 2 cm within a day.
BASELINE_US = DAY_US
BASELINE_LEAST = 30

# BWDF: the last 12 whole weeks of the published inflows, all in summer time.
WATER_ZONE = ZoneInfo("Europe/Rome")
WATER_WEEKS = 12
WATER_FROM = datetime(2022, 5, 2, tzinfo=WATER_ZONE)

# Montreal: one whole week; the recording is 11 days long.
NOISE_ZONE = ZoneInfo("America/Toronto")
NOISE_FROM = datetime(2025, 3, 21, tzinfo=NOISE_ZONE)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Recorded = dict[str, tuple[Ints, dict[str, Floats]]]


def rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def number(text: str) -> float:
    return float(text) if text else np.nan


def week_time(time_us: Ints, zone: ZoneInfo, weeks: int) -> Ints:
    """UTC times → µs after Monday 00:00 of the local time, within the period of a tape."""
    offset = tape.offset_us(zone, int(time_us[0]))
    after: Ints = (time_us + offset - tape.FIRST_MONDAY_US) % (weeks * WEEK_US)
    return after


def ascending(times: Ints, channels: dict[str, Floats]) -> tuple[Ints, dict[str, Floats]]:
    """Sort by time and keep the first of two readings that fall into one tick."""
    times = times // tape.TICK_US * tape.TICK_US
    times, first = np.unique(times, return_index=True)
    return times, {channel: value[first] for channel, value in channels.items()}


# -- FloodNet ------------------------------------------------------------------------------------------------


def depth_cm(time_us: Ints, distance_mm: Floats) -> Floats:
    """Water depth: dry distance minus distance. NaN where the head measured nothing.

    The dry distance of a reading is the median of the valid distances of the 24 h before it, and of the first
    day of the recording for readings of that day.
    """
    valid = (distance_mm > NEAREST_MM) & (distance_mm < FARTHEST_MM)
    times, distances = time_us[valid], distance_mm[valid]
    begins = np.searchsorted(times, times - BASELINE_US)
    first_day = float(np.median(distances[times < times[0] + BASELINE_US]))
    dry = np.array(
        [
            np.median(distances[begin:end]) if end - begin >= BASELINE_LEAST else first_day
            for end, begin in enumerate(begins)
        ]
    )
    depth = np.full(len(distance_mm), np.nan)
    depth[valid] = (dry - distances) / 10
    return depth


def flood_sensor(path: Path) -> tuple[Ints, dict[str, Floats]]:
    """One sensor's four weeks. Two begin hours into the cut: those hours are their own of three weeks later."""
    records = list(rows(path))
    times = np.array([to_us(datetime.fromisoformat(record["time"])) for record in records], np.int64)
    channels = {
        "depth": depth_cm(times, np.array([number(record["dist_mm"]) for record in records])),
        "battery_voltage": np.array([number(record["batt_v"]) for record in records]),
        "rssi": np.array([number(record["gw_1_rssi_dbm"]) for record in records]),
    }
    end = to_us(FLOOD_END)
    start = end - FLOOD_WEEKS * WEEK_US
    late = int(times[0]) - start
    missing = late if 0 < late < DAY_US else 0
    later = 3 * WEEK_US
    picked = np.flatnonzero((times >= start) & (times < end))
    filling = np.flatnonzero((times >= start + later) & (times < start + later + missing))
    placed = np.concatenate([times[filling] - later, times[picked]])
    picked = np.concatenate([filling, picked])
    return ascending(
        week_time(placed, FLOOD_ZONE, FLOOD_WEEKS), {name: value[picked] for name, value in channels.items()}
    )


def floodnet(source: Path, out: Path) -> None:
    devices = {path.stem: flood_sensor(path) for path in sorted((source / "floodnet_nyc").glob("*.csv"))}
    units = {"depth": "cm", "battery_voltage": "V", "rssi": "dBm"}
    tape.save(
        out / "floodnet.npz",
        FLOOD_WEEKS,
        units,
        {"depth": 0.1, "battery_voltage": 0.002, "rssi": 1.0},
        devices,
    )


# -- BWDF ----------------------------------------------------------------------------------------------------


def bwdf(source: Path, out: Path) -> None:
    """Hourly means of ten districts' net inflow, L/s → m³/h; the time is the hour's beginning."""
    (path,) = (source / "bwdf").glob("InflowData_until_*.csv")
    records = list(rows(path))
    stamp, *columns = records[0]
    local = [
        datetime.strptime(record[stamp], "%d/%m/%Y %H:%M").replace(tzinfo=WATER_ZONE) for record in records
    ]
    times = np.array([to_us(moment) for moment in local], np.int64)
    start = to_us(WATER_FROM)
    cut = (times >= start) & (times < start + WATER_WEEKS * WEEK_US)
    placed = week_time(times[cut], WATER_ZONE, WATER_WEEKS)
    devices: Recorded = {}
    for column in columns:
        flow = np.array([number(record[column]) for record in records])[cut] * 3.6
        there = np.isfinite(flow)
        devices[column.split(" (")[0].lower().replace(" ", "-")] = ascending(
            placed[there], {"flow": flow[there]}
        )
    tape.save(out / "bwdf.npz", WATER_WEEKS, {"flow": "m3/h"}, {"flow": 0.01}, devices)


# -- Montreal ------------------------------------------------------------------------------------------------


def montreal(source: Path, out: Path) -> None:
    """A-weighted level of each minute, dB(A); the time is the middle of the minute, as in the source."""
    records = list(rows(source / "noise_montreal" / "test_data_laeq1m.csv"))
    local = [datetime.fromisoformat(record["datetime"]).replace(tzinfo=NOISE_ZONE) for record in records]
    times = np.array([to_us(moment) for moment in local], np.int64)
    level = np.array([number(record["LEQ dB -A"]) for record in records])
    start = to_us(NOISE_FROM)
    cut = (times >= start) & (times < start + WEEK_US)
    device = ascending(week_time(times[cut], NOISE_ZONE, 1), {"laeq_1m": level[cut]})
    tape.save(out / "montreal.npz", 1, {"laeq_1m": "dB(A)"}, {"laeq_1m": 0.1}, {"montreal": device})


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    source = Path(arguments[0])
    out = Path(arguments[1]) if len(arguments) == 2 else tape.FOLDER
    for make in (floodnet, bwdf, montreal):
        make(source, out)
    for path in sorted(out.glob("*.npz")):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
