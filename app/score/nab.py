"""NAB: the Numenta Anomaly Benchmark's score of a detector's column, one threshold over the whole corpus.

After Lavin and Ahmad, "Evaluating Real-time Anomaly Detection Algorithms" (2015). The first alarm within a labelled
window counts, the earlier the more; every alarm outside costs, the less the closer behind a window it comes. The
first 15 % of a file (at most 750 rows) are for learning and not judged. 0 is a detector that says nothing, 100 a
perfect one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from app import detect
from events.citytime import CityTime
from events.recorded import novelty

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PROBATION, MOST_PROBATION = 0.15, 750
OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class Profile:
    """What a found window, an alarm outside and a missed window weigh."""

    found: float
    false: float
    missed: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "low_fp": Profile(1.0, 0.22, 1.0),
    "low_fn": Profile(1.0, 0.11, 2.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Rows that are judged, of one file or many: the detector's score, the window they lie in, what an alarm is worth.

    `worth` is 0..1 in a window and -1..0 outside; both before weighing.
    """

    score: Floats
    window: Ints
    worth: Floats
    windows: int


def sigmoid(position: Floats) -> Floats:
    """The benchmark's curve from 1 (well before a window's end) over 0 (at its end) to -1 (three widths behind)."""
    found: Floats = np.where(
        position > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, 3.0))) - 1.0
    )
    return found


def judged(score: Floats, windows: Iterable[tuple[int, int]]) -> Judged:
    """The rows of one file; windows are first and last row, in order, and do not overlap."""
    rows = np.arange(len(score))
    inside = np.full(len(score), OUTSIDE)
    worth = np.full(len(score), -1.0)
    count = 0
    for first, last in windows:
        behind = rows[last + 1 :]
        worth[behind] = sigmoid((behind - last) / max(last - first, 1))
        within = rows[first : last + 1]
        inside[within] = count
        worth[within] = sigmoid(-(last - within + 1) / (last - first + 1)) / sigmoid(np.array(-1.0))
        count += 1
    begin = min(int(PROBATION * len(score)), MOST_PROBATION)
    return Judged(score[begin:], inside[begin:], worth[begin:], count)


def together(files: Iterable[Judged]) -> Judged:
    """Many files as one."""
    parts = list(files)
    before = np.cumsum([0, *(part.windows for part in parts)])
    return Judged(
        np.concatenate([part.score for part in parts]),
        np.concatenate(
            [
                np.where(part.window < 0, OUTSIDE, part.window + base)
                for part, base in zip(parts, before, strict=False)
            ]
        ),
        np.concatenate([part.worth for part in parts]),
        int(before[-1]),
    )


def curve(rows: Judged, profile: Profile) -> tuple[Floats, Floats]:
    """Thresholds from the highest down, and the points that alarms at or above each gain over saying nothing."""
    order = np.argsort(-rows.score, kind="stable")
    score, window, worth = rows.score[order], rows.window[order], rows.worth[order]
    gain = np.where(window < 0, worth * profile.false, 0.0)
    best: dict[int, float] = {}
    for row in np.flatnonzero(window >= 0).tolist():
        points, known = worth[row] * profile.found, best.get(window[row])
        gain[row] = points + profile.missed if known is None else max(points - known, 0.0)
        best[window[row]] = points if known is None else max(points, known)
    last = np.append(score[1:] != score[:-1], True)
    return score[last], np.cumsum(gain)[last]


def optimum(rows: Judged, profile: Profile) -> tuple[float, float]:
    """(threshold, score) with the best threshold; (inf, 0) when saying nothing is best."""
    thresholds, points = curve(rows, profile)
    place = int(np.argmax(points))
    if points[place] <= 0:
        return math.inf, 0.0
    return float(thresholds[place]), normalised(float(points[place]), rows.windows, profile)


def held_out(groups: Mapping[str, Judged], profile: Profile) -> float:
    """The score of all when the threshold of each group is the best of the others."""
    total = 0.0
    for name, rows in groups.items():
        threshold, _ = optimum(together(part for key, part in groups.items() if key != name), profile)
        thresholds, points = curve(rows, profile)
        above = int(np.searchsorted(-thresholds, -threshold, side="right"))
        total += float(points[above - 1]) if above else 0.0
    return normalised(total, sum(rows.windows for rows in groups.values()), profile)


def normalised(points: float, windows: int, profile: Profile) -> float:
    """0 is a detector that says nothing, 100 one that says each window at its beginning, and nothing else."""
    return 100.0 * points / (windows * (profile.found + profile.missed))


def score(data: Path, labels: Path, zone: ZoneInfo, tell: Callable[[float], None]) -> dict[str, float]:
    """Figures of `cityops detect` at its defaults over the files below `data` that `labels` names.

    `labels` is the benchmark's own `combined_windows.json`: file → pairs of first and last time. Raises `Unusable`.
    """
    windows: dict[str, list[list[str]]] = json.loads(labels.read_text(encoding="utf-8"))
    names = [name for name in windows if (data / name).is_file()]
    found = {name: detect.read(data / name, zone) for name in names}
    if not any(windows[name] for name in found):
        raise detect.Unusable(f"below {data} is no file for which {labels} has a window")
    for share in detect.run(list(found.values()), novelty(), CityTime(zone), {}):
        tell(share)
    rows = {name: judged(series.score, _rows(series, windows[name], zone)) for name, series in found.items()}
    groups = {
        key: together(part for name, part in rows.items() if Path(name).parts[0] == key)
        for key in dict.fromkeys(Path(name).parts[0] for name in rows)
    }
    whole = together(rows.values())
    best = {name: optimum(whole, profile) for name, profile in PROFILES.items()}
    return {
        **{name: points for name, (_, points) in best.items()},
        **({"standard_held_out": held_out(groups, PROFILES["standard"])} if len(groups) > 1 else {}),
        "threshold": best["standard"][0],
        "files": len(rows),
        "windows": whole.windows,
        "rows": sum(len(series.value) for series in found.values()),
    }


def _rows(series: detect.Series, windows: Iterable[Sequence[str]], zone: ZoneInfo) -> list[tuple[int, int]]:
    """First and last row of each window."""
    found = []
    for first, last in windows:
        begin, end = (detect.time_us(text, zone) for text in (first, last))
        found.append(
            (
                int(np.searchsorted(series.time_us, begin)),
                int(np.searchsorted(series.time_us, end, side="right")) - 1,
            )
        )
    return found
