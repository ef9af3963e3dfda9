"""Recorded series in CSV files through a rule: the same rows with a score and the alert beside them."""

from __future__ import annotations

import csv
import datetime as dt
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.clock import to_us
from events.citytime import CityTime
from events.recorded import Recorded
from events.rules import RuleDecl

TIME, VALUE = ("timestamp", "time"), "value"
ADDED = ("score", "alert")


class Unusable(Exception):
    """A file that is no series; the text says why."""


class Clash(Exception):
    """Two inputs would be written to one place, or over an input."""


@dataclass(slots=True, eq=False)
class Series:
    """A file's rows. Those at `kept` are readings; the rest is `refused`: line in the file and why.

    `moved` rows are not newer than the row before: they are taken in the order of the file.
    """

    header: list[str]
    rows: list[list[str]]
    kept: NDArray[np.int64]
    time_us: NDArray[np.int64]
    value: NDArray[np.float64]
    refused: list[tuple[int, str]]
    moved: int
    score: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    alert: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))

    @property
    def alerts(self) -> int:
        """How often an alert began."""
        return int(np.count_nonzero(np.diff(self.alert.astype(np.int8), prepend=0) > 0))


def places(inputs: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Input file → where its result goes: as it lies below a folder given, or below what all files given share.

    Raises `Clash`.
    """
    files = [path for path in inputs if not path.is_dir()]
    shared = Path(os.path.commonpath([file.resolve().parent for file in files])) if files else Path()
    found = {file: out / file.resolve().relative_to(shared) for file in files}
    for folder in (path for path in inputs if path.is_dir()):
        found |= {file: out / file.relative_to(folder) for file in sorted(folder.rglob("*.csv"))}
    taken: dict[Path, Path] = {}
    originals = {file.resolve() for file in found}
    for file, place in found.items():
        if place in taken:
            raise Clash(f"{taken[place]} and {file} would both be written to {place}")
        if place.resolve() in originals:
            raise Clash(f"{file} would be written over an input: choose another --out")
        taken[place] = file
    return found


def read(path: Path, zone: dt.tzinfo) -> Series:
    """A CSV file with a column `timestamp` (or `time`; ISO 8601, `zone` where it names none) and one `value`.

    Raises `Unusable`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            header = next(reader, [])
            numbered = [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as wrong:
        raise Unusable(f"cannot be read: {wrong}") from None
    time = next((header.index(name) for name in TIME if name in header), None)
    if time is None or VALUE not in header:
        raise Unusable(
            f"line 1: needs the columns timestamp (or time) and value, has {', '.join(header) or 'none'}"
        )
    return _series(header, numbered, time, header.index(VALUE), zone)


def _series(
    header: list[str], numbered: list[tuple[int, list[str]]], time: int, value: int, zone: dt.tzinfo
) -> Series:
    kept: list[int] = []
    times: list[int] = []
    values: list[float] = []
    refused: list[tuple[int, str]] = []
    moved = 0
    for place, (line, row) in enumerate(numbered):
        try:
            at_us, number = time_us(row[time], zone), _number(row[value])
        except IndexError:
            refused.append((line, f"has {len(row)} columns"))
        except ValueError as wrong:
            refused.append((line, str(wrong)))
        else:
            if times and at_us <= times[-1]:
                at_us, moved = times[-1] + 1, moved + 1
            kept.append(place)
            times.append(at_us)
            values.append(number)
    rows = [row for _, row in numbered]
    return Series(
        header, rows, np.array(kept, np.int64), np.array(times, np.int64), np.array(values), refused, moved
    )


def time_us(text: str, zone: dt.tzinfo) -> int:
    try:
        told = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no time") from None
    return to_us(told if told.tzinfo else told.replace(tzinfo=zone))


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number") from None
    if not math.isfinite(found):
        raise ValueError(f"{text!r} is no number")
    return found


def run(
    found: Sequence[Series], decl: RuleDecl, city: CityTime, params: Mapping[str, float]
) -> Iterator[float]:
    """Fill `score` and `alert` of all series, row by row, all at once; gives the share that is done.

    Raises `Invalid` for a rule that a series alone cannot answer.
    """
    recorded = Recorded(decl, len(found), city, params)
    length = np.array([len(series.value) for series in found], np.int64)
    for series in found:
        series.score, series.alert = np.zeros(len(series.value)), np.zeros(len(series.value), bool)
    longest = int(length.max(initial=0))
    for row in range(longest):
        which = np.flatnonzero(length > row).astype(np.int32)
        each = [found[number] for number in which.tolist()]
        time_us = np.array([series.time_us[row] for series in each])
        value = np.array([series.value[row] for series in each])
        scores, alerts = recorded.row(which, time_us, value)
        for series, score, alert in zip(each, scores.tolist(), alerts.tolist(), strict=True):
            series.score[row], series.alert[row] = score, alert
        if row % 1000 == 0:
            yield row / longest
    yield 1.0


def write(series: Series, path: Path) -> None:
    """The file's columns and `score`, `alert`; both are empty in rows that were refused."""
    told = {
        place: [f"{score:.6f}", str(int(alert))]
        for place, score, alert in zip(
            series.kept.tolist(), series.score.tolist(), series.alert.tolist(), strict=True
        )
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*series.header, *ADDED])
        writer.writerows([*row, *told.get(place, ["", ""])] for place, row in enumerate(series.rows))


def refusals(path: Path, series: Series, shown: int = 3) -> Iterable[str]:
    """What a person should know of the rows of a file that were not taken, or not as they stand."""
    for line, why in series.refused[:shown]:
        yield f"{path}:{line}: refused, {why}"
    if len(series.refused) > shown:
        yield f"{path}: {len(series.refused) - shown} more rows refused"
    if series.moved:
        yield f"{path}: {series.moved} rows not newer than the row before, taken in the order of the file"
