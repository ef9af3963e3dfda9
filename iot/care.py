"""What people know about devices that their readings do not say: corrections, and when somebody works on them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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


class Care:
    """Of one registry snapshot: `windows` by the numbers of devices."""

    def __init__(
        self, calibrations: Iterable[Calibration] = (), windows: Mapping[int, Sequence[Window]] | None = None
    ) -> None:
        self._windows = windows or {}
        own: dict[int, dict[int, list[Calibration]]] = defaultdict(lambda: defaultdict(list))
        for each in sorted(calibrations, key=lambda each: each.since_us):
            own[each.device][each.channel].append(each)
        self._calibrations = own
        numbers = [*own, *self._windows]
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
        touched = self._touched[np.minimum(device, len(self._touched) - 1)]
        if not touched.any():
            return value
        value = value.copy()
        rows = np.flatnonzero(touched)
        for number in np.unique(device[rows]).tolist():
            own = rows[device[rows] == number]
            for window in self._windows.get(number, ()):
                inside = (time_us[own] >= window.since_us) & (time_us[own] < window.until_us)
                quality[own[inside]] |= np.uint16(Quality.MAINTENANCE)
            for of_channel, valid in self._calibrations.get(number, {}).items():
                at = own[channel[own] == of_channel]
                _correct(valid, at, time_us, value, quality)
        return value


def _correct(
    valid: Sequence[Calibration],
    at: NDArray[np.intp],
    time_us: NDArray[np.int64],
    value: NDArray[np.float64],
    quality: NDArray[np.uint16],
) -> None:
    """One point's rows, in place; `valid` by their beginnings."""
    which = np.searchsorted([each.since_us for each in valid], time_us[at], "right") - 1
    for number in np.unique(which[which >= 0]).tolist():
        calibration = valid[number]
        rows = at[(which == number) & (time_us[at] < calibration.until_us)]
        value[rows] = value[rows] * calibration.factor + calibration.shift
        quality[rows] |= np.uint16(Quality.CORRECTED)
