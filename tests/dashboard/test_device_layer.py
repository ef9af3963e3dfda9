"""Devices as a live layer: clusters with their worst level, and only what somebody may see."""

from __future__ import annotations

import numpy as np

from dashboard.device_layer import DeviceLayer
from dashboard.points import SILENT, PointTable
from tests.dashboard import scripted

EVERYWHERE = (120.0, 30.0, 123.0, 32.0)


async def test_a_cluster_shows_the_worst_level_of_its_devices() -> None:
    table = PointTable(scripted.registry(20))
    table.set_levels({3: 2, 5: 4}, np.array([7, 8], np.int32))
    assert table.levels()[[3, 5, 7, 9]].tolist() == [2, 4, SILENT, 0]
    layer = DeviceLayer(table)
    (all_of_them,) = await layer(EVERYWHERE, 3, frozenset())
    assert all_of_them.properties == {"level": 2, "count": 20}
    assert all_of_them.number == 3
    near = await layer(EVERYWHERE, 17, frozenset())
    assert {each.number: each.properties["level"] for each in near if each.properties["level"]} == {
        3: 2, 5: 4, 7: SILENT, 8: SILENT,
    }  # fmt: skip


async def test_a_newer_registry_is_shown() -> None:
    table = PointTable(scripted.registry(20))
    layer = DeviceLayer(table)
    await layer(EVERYWHERE, 3, frozenset())
    table.use(scripted.registry(30))
    (found,) = await layer(EVERYWHERE, 3, frozenset())
    assert found.properties["count"] == 30


async def test_devices_of_other_areas_are_not_shown() -> None:
    registry = scripted.registry(20)
    table = PointTable(registry)
    layer = DeviceLayer(table)
    (found,) = await layer(EVERYWHERE, 3, frozenset({"A-1"}))
    assert found.properties["count"] == 20, "these devices lie in no area, so everybody sees them"
