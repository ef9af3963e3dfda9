"""The city's clock over columns of times: minute of the day and hour of the week, in its own time zone."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.clock import HOUR_US, MINUTE_US, SECOND_US, to_datetime

#: 1970-01-01 was a Thursday; weeks here begin on Monday.
_EPOCH_HOUR_OF_WEEK = 3 * 24


@dataclass(frozen=True, slots=True)
class CityTime:
    zone: ZoneInfo

    def local_us(self, time_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Times as if the city's wall clock were UTC. One look-up an hour: offsets change on the hour at most."""
        hours, place = np.unique(time_us // HOUR_US, return_inverse=True)
        offsets = [self.offset_us(int(hour) * HOUR_US) for hour in hours]
        return time_us + np.array(offsets, np.int64)[place]

    def offset_us(self, time_us: int) -> int:
        offset = to_datetime(time_us).astimezone(self.zone).utcoffset()
        assert offset is not None
        return round(offset.total_seconds() * SECOND_US)

    def minute_of_day(self, time_us: NDArray[np.int64]) -> NDArray[np.int64]:
        return (self.local_us(time_us) // MINUTE_US) % 1440

    def hour_of_week(self, time_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """0 = Monday 00:00–01:00 … 167."""
        return (self.local_us(time_us) // HOUR_US + _EPOCH_HOUR_OF_WEEK) % 168

    def day(self, time_us: int) -> str:
        """The city's date, `20261121`."""
        return f"{to_datetime(time_us).astimezone(self.zone):%Y%m%d}"
