"""What is usual: the median of the hour and of the kind of day, and how far values usually stray from it.

Learned from hourly sums of the last 28 days (`iot.views.hours_of_many`), never from state of our own: a restart
knows at once what was known before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.clock import DAY_US, HOUR_US
from events.citytime import CityTime
from iot.views import Hours

Floats = NDArray[np.float64]
Times = NDArray[np.int64]

#: Workdays and weekends, an hour each.
BINS = 48
KNOWN_US = 28 * DAY_US
#: Rules with usual values stay off until so many days are known.
ENOUGH_DAYS = 7
#: Mean range of n normal samples in sigmas (n = 2, 5, 12, 60): what an hour's high and low say about its noise.
_RANGE_N = np.array([1.0, 2, 3, 5, 8, 12, 20, 60, 360, 3600])
_RANGE_D = np.array([1e9, 1.128, 1.693, 2.326, 2.847, 3.258, 3.735, 4.64, 5.9, 7.2])


@dataclass(slots=True)
class Usual:
    """Bands of some points. `of[point]` is its row, -1 where nothing is learned."""

    city: CityTime
    of: NDArray[np.int32]
    middle: Floats = field(default_factory=lambda: np.empty((0, BINS)))
    sigma: Floats = field(default_factory=lambda: np.empty((0, BINS)))

    @classmethod
    def nothing(cls, points: int, city: CityTime) -> Usual:
        return cls(city, np.full(points, -1, np.int32))

    def at(self, points: NDArray[np.int32], time_us: Times) -> tuple[Floats, Floats]:
        """Median and sigma of points at times, between the middles of hours; nan where they are not known."""
        row = self.of[points]
        known = row >= 0
        middle, sigma = np.full(len(points), np.nan), np.full(len(points), np.nan)
        if known.any():
            row, time_us = row[known], time_us[known]
            early = self.city.hour_of_week(time_us - HOUR_US // 2)
            late = self.city.hour_of_week(time_us + HOUR_US // 2)
            share = ((self.city.local_us(time_us) - HOUR_US // 2) % HOUR_US) / HOUR_US
            one, other = self.middle[row, bins(early)], self.middle[row, bins(late)]
            middle[known] = np.where(
                np.isnan(one), other, np.where(np.isnan(other), one, one + share * (other - one))
            )
            sigma[known] = np.fmax(self.sigma[row, bins(early)], self.sigma[row, bins(late)])
        return middle, sigma

    def learn(self, points: NDArray[np.int32], hours: Hours, numbers: NDArray[np.int32]) -> None:
        """Take the bands of some points anew: `numbers[i]` is the point of row i of `hours`."""
        order = np.argsort(numbers, kind="stable")
        begins = np.searchsorted(numbers[order], points)
        ends = np.searchsorted(numbers[order], points, side="right")
        for point, begin, end in zip(points.tolist(), begins.tolist(), ends.tolist(), strict=True):
            found = self._learn(hours, order[begin:end])
            if found is not None:
                self._put(point, *found)

    def _put(self, point: int, middle: Floats, sigma: Floats) -> None:
        if self.of[point] < 0:
            self.of[point] = len(self.middle)
            self.middle = np.vstack([self.middle, middle])
            self.sigma = np.vstack([self.sigma, sigma])
        else:
            self.middle[self.of[point]], self.sigma[self.of[point]] = middle, sigma

    def _learn(self, hours: Hours, rows: NDArray[np.intp]) -> tuple[Floats, Floats] | None:
        time_us, value = hours.time_us[rows], hours.value[rows]
        if len(np.unique(self.city.local_us(time_us) // DAY_US)) < ENOUGH_DAYS:
            return None
        place = bins(self.city.hour_of_week(time_us))
        noise = (hours.high[rows] - hours.low[rows]) / np.interp(hours.n[rows], _RANGE_N, _RANGE_D)
        return band(place, value, noise)


def bins(hour_of_week: Times) -> Times:
    """0–23 on workdays, 24–47 on Saturday and Sunday."""
    return hour_of_week % 24 + np.where(hour_of_week >= 120, 24, 0)


def band(place: Times, value: Floats, noise: Floats) -> tuple[Floats, Floats]:
    """Median and robust sigma of each bin from hourly means and the noise within their hours.

    A bin takes its neighbours' deviations in, so that few days already say how far values stray.
    """
    middle = np.full(BINS, np.nan)
    for each in range(BINS):
        found = value[place == each]
        if len(found):
            middle[each] = np.median(found)
    away = np.abs(value - middle[place])
    sigma = np.full(BINS, np.nan)
    for each in range(BINS):
        near = (place // 24 == each // 24) & (np.abs((place - each + 36) % 24 - 12) <= 1)
        if near.any():
            sigma[each] = np.hypot(1.4826 * np.median(away[near]), np.median(noise[near]))
    return middle, sigma
