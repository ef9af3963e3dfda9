"""What people know about devices that their readings do not say: corrections, and when somebody works on them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.batch import Quality

Scope = Literal["device", "gateway", "asset"]
#: The end of what has none.
FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Calibration:
    """`value * factor + shift` of one channel of one device, for event times from `since_us` to before `until_us`."""

    device: int
    channel: int
    since_us: int
    until_us: int
    factor: float
    shift: float


@dataclass(frozen=True, slots=True)
class Window:
    """Somebody works here, from `since_us` to before `until_us`."""

    since_us: int
    until_us: int


class Spans:
    """Spans of many keys: which of a key's spans began last at a moment. `keys` and `since_us` are parallel, sorted."""

    def __init__(self, keys: Sequence[int], since_us: Sequence[int]) -> None:
        self._known, self._of = np.unique(np.array(keys, np.int64), return_inverse=True)
        self._begins = np.unique(np.array(since_us, np.int64))
        rank = np.searchsorted(self._begins, np.array(since_us, np.int64), "right")
        self._place = self._of * (len(self._begins) + 1) + rank

    def last_begun(self, key: NDArray[np.int64], time_us: NDArray[np.int64]) -> NDArray[np.intp]:
        """Index of the span of each row's key that began last, -1 where none has; parallel columns."""
        if not len(self._known):
            return np.full(len(key), -1, np.intp)
        of = np.minimum(np.searchsorted(self._known, key), len(self._known) - 1)
        rank = np.searchsorted(self._begins, time_us, "right")
        found = np.searchsorted(self._place, of * (len(self._begins) + 1) + rank, "right") - 1
        return np.where((self._known[of] == key) & (found >= 0) & (self._of[found] == of), found, -1)


class Care:
    """Of one registry snapshot: `windows` by the numbers of devices."""

    def __init__(
        self, calibrations: Iterable[Calibration] = (), windows: Mapping[int, Sequence[Window]] | None = None
    ) -> None:
        self._windows = windows or {}
        valid = sorted(calibrations, key=lambda each: (_point(each.device, each.channel), each.since_us))
        self._valid = Spans(
            [_point(each.device, each.channel) for each in valid], [each.since_us for each in valid]
        )
        self._until_us = np.array([each.until_us for each in valid], np.int64)
        self._factor = np.array([each.factor for each in valid], np.float64)
        self._shift = np.array([each.shift for each in valid], np.float64)
        at_work = [
            (number, *span) for number in sorted(self._windows) for span in _apart(self._windows[number])
        ]
        self._at_work = Spans([each[0] for each in at_work], [each[1] for each in at_work])
        self._back_us = np.array([each[2] for each in at_work], np.int64)
        numbers = [*{each.device for each in valid}, *self._windows]
        self._idle = not numbers
        #: By device number; the last entry stands for all that are larger.
        self._touched = np.zeros(max(numbers, default=-1) + 2, bool)
        self._touched[numbers] = True

    def in_maintenance(self, device: int, now_us: int) -> bool:
        return any(each.since_us <= now_us < each.until_us for each in self._windows.get(device, ()))

    def applied(
        self,
        device: NDArray[np.int32],
        channel: NDArray[np.int16],
        time_us: NDArray[np.int64],
        value: NDArray[np.float64],
        quality: NDArray[np.uint16],
    ) -> NDArray[np.float64]:
        """The values as corrected; `quality` gets the marks. All are parallel columns, in the channels' units."""
        if self._idle:
            return value
        rows = np.flatnonzero(self._touched[np.minimum(device, len(self._touched) - 1)])
        if not len(rows):
            return value
        number = device[rows].astype(np.int64)
        self._mark(rows, self._at_work.last_begun(number, time_us[rows]), time_us, quality)
        span = self._valid.last_begun(_point(number, channel[rows]), time_us[rows])
        holds = span >= 0
        holds[holds] = time_us[rows[holds]] < self._until_us[span[holds]]
        rows, span = rows[holds], span[holds]
        value = value.copy()
        value[rows] = value[rows] * self._factor[span] + self._shift[span]
        quality[rows] |= np.uint16(Quality.CORRECTED)
        return value

    def _mark(
        self,
        rows: NDArray[np.intp],
        span: NDArray[np.intp],
        time_us: NDArray[np.int64],
        quality: NDArray[np.uint16],
    ) -> None:
        begun = span >= 0
        rows, span = rows[begun], span[begun]
        quality[rows[time_us[rows] < self._back_us[span]]] |= np.uint16(Quality.MAINTENANCE)


def _point(device: Any, channel: Any) -> Any:  # noqa: ANN401 - numbers, or columns of them
    """One number for both."""
    return device * 65_536 + channel


def _apart(windows: Sequence[Window]) -> Iterator[tuple[int, int]]:
    """The same windows by their beginnings, each reaching as far as any that began before it."""
    reach_us = 0
    for each in sorted(windows, key=lambda each: each.since_us):
        reach_us = max(reach_us, each.until_us)
        yield each.since_us, reach_us
