"""When gateways and devices were last heard, in memory, from the batches that pass. For the watch over silence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.batch import Batch
from iot.registry import Registry

#: Never heard.
NEVER = np.iinfo(np.int64).min


class Health:
    """Times of receipt, µs, by the numbers of gateways and devices; `NEVER` where nothing was heard."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.device_us = np.empty(0, np.int64)
        self.gateway_us = np.empty(0, np.int64)
        self.use(registry)

    def use(self, registry: Registry) -> None:
        """Take a later snapshot; what was heard stays."""
        self.registry = registry
        gateways = max((each.number for each in registry.gateways.values()), default=0) + 1
        self.device_us = _grown(self.device_us, max(registry.by_number, default=0) + 1)
        self.gateway_us = _grown(self.gateway_us, gateways)

    def take(self, batch: Batch) -> None:
        """Any reading is a sign of life, a doubtful one too."""
        known = batch.device < len(self.device_us)
        np.maximum.at(self.device_us, batch.device[known], batch.received_us[known])
        heard = batch.gateway < len(self.gateway_us)
        np.maximum.at(self.gateway_us, batch.gateway[heard], batch.received_us[heard])

    def last_of_device(self, device: str) -> int | None:
        """µs, None when it was never heard."""
        heard = int(self.device_us[self.registry.devices[device].number])
        return None if heard == NEVER else heard

    def last_of_gateway(self, gateway: str) -> int | None:
        heard = int(self.gateway_us[self.registry.gateways[gateway].number])
        return None if heard == NEVER else heard


def _grown(column: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.append(column, np.full(max(0, size - len(column)), NEVER, np.int64))
