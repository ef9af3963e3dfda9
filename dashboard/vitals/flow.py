"""How late readings come and how much of what devices owe comes in without doubt, followed batch by batch. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.batch import DOUBTFUL, Batch, Quality
from core.clock import HOUR_US, MINUTE_US, SECOND_US
from dashboard.vitals.inputs import period_s
from iot.registry import Registry

#: Delays are those of the last minutes; a batch tells at most so many of its rows.
DELAY_US, TOLD_ROWS = 5 * MINUTE_US, 256
#: What devices owe is counted by the hour, for a day at most, and from our start on.
HOURS = 24


@dataclass(slots=True)
class Owed:
    """Counts of one hour: periods of devices in which one spoke soundly, readings, and those without doubt."""

    begun_us: int
    periods: int = 0
    readings: int = 0
    sound: int = 0


@dataclass(slots=True)
class Flow:
    """Takes every live batch once it is stored. Catch-up data counts for what is owed, not for the delay."""

    registry: Registry
    begun_us: int
    _delays: deque[tuple[int, NDArray[np.float64]]] = field(default_factory=deque)
    _hours: deque[Owed] = field(default_factory=lambda: deque(maxlen=HOURS + 1))
    _period_us: NDArray[np.int64] = field(init=False)
    _last: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._last = np.zeros(0, np.int64)
        self.use(self.registry)

    def use(self, registry: Registry) -> None:
        """Take a newer registry; devices keep their numbers. A device that speaks on events only owes nothing."""
        self.registry = registry
        size = max(registry.by_number, default=0) + 1
        self._period_us = np.zeros(size, np.int64)
        for number, device in registry.by_number.items():
            if registry.kind_of(device).decl.silent_after_s < np.inf:
                self._period_us[number] = round(period_s(device, registry) * SECOND_US)
        self._last = np.append(self._last, np.zeros(max(0, size - len(self._last)), np.int64))

    def take(self, batch: Batch, now_us: int) -> None:
        """A live batch that is stored now."""
        sound = (batch.quality & np.uint16(DOUBTFUL)) == 0
        hour = self._hour(now_us)
        hour.readings += len(batch)
        hour.sound += int(sound.sum())
        hour.periods += self._periods(batch.device[sound], batch.ordered_us[sound])
        live = batch.time_us[(batch.quality & np.uint16(Quality.LATE | Quality.NO_EVENT_TIME)) == 0]
        if len(live):
            self._delays.append((now_us, (now_us - live[:: -(-len(live) // TOLD_ROWS)]) / SECOND_US))

    def _hour(self, now_us: int) -> Owed:
        if not self._hours or now_us - self._hours[-1].begun_us >= HOUR_US:
            self._hours.append(Owed(now_us))
        return self._hours[-1]

    def _periods(self, device: NDArray[np.int32], time_us: NDArray[np.int64]) -> int:
        """How many periods of devices are new in these readings: one that speaks more often is counted once."""
        owing = self._period_us[device] > 0
        device, slot = device[owing], time_us[owing] // self._period_us[device[owing]]
        new = slot > self._last[device]
        pairs = np.unique(device[new].astype(np.int64) << 40 | slot[new])
        np.maximum.at(self._last, device[new], slot[new])
        return len(pairs)

    def figures(self, now_us: int) -> Mapping[str, float | None]:
        """Figures by name; None where nothing was heard."""
        while self._delays and now_us - self._delays[0][0] > DELAY_US:
            self._delays.popleft()
        since_us = max(self.begun_us, now_us - HOURS * HOUR_US)
        hours = [each for each in self._hours if each.begun_us >= since_us]
        owing = self._period_us[self._period_us > 0]
        readings = sum(each.readings for each in hours)
        delays = [each for _, each in self._delays]
        return {
            "system.delay_p95_s": float(np.percentile(np.concatenate(delays), 95)) if delays else None,
            "system.periods_heard": sum(each.periods for each in hours) if readings else None,
            "system.periods_owed": float(((now_us - since_us) / owing).sum()),
            "system.readings": readings or None,
            "system.readings_sound": sum(each.sound for each in hours),
        }
