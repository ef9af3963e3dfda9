"""Every device with its highest standing level, as a live layer of the map: clusters from afar, single ones near."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dashboard.points import PointTable
from gis.cluster import Points
from gis.views import BBox, LiveFeature
from iot.registry import Registry


class DeviceLayer:
    """The live layer `devices`. `number` of a feature is that of the device, or of the worst one of a cluster."""

    def __init__(self, table: PointTable) -> None:
        self._table = table
        self._registry: Registry | None = None
        self._places: dict[frozenset[str], Points] = {}

    async def __call__(self, box: BBox, zoom: int, areas: frozenset[str]) -> Sequence[LiveFeature]:
        places = self._of(areas)
        level = self._table.levels()[places.number].astype(np.int8)
        return places.features(box, zoom, level)

    def _of(self, areas: frozenset[str]) -> Points:
        """The devices of these areas, or of all; ones without an area belong to everybody."""
        if self._registry is not self._table.registry:
            self._registry, self._places = self._table.registry, {}
        if areas not in self._places:
            devices = [
                device
                for device in self._table.registry.devices.values()
                if not areas or not device.area or device.area in areas
            ]
            self._places[areas] = Points(
                np.array([device.number for device in devices], np.int32),
                np.array([device.lon for device in devices], np.float64),
                np.array([device.lat for device in devices], np.float64),
            )
        return self._places[areas]
