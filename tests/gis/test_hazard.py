from __future__ import annotations

import copy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapely

from core.clock import ManualClock
from core.db import Database
from gis import hazard, hazard_store, mvt
from gis.city import City
from gis.hazard import Hazard, Zone
from gis.lines import Geometry
from gis.views import CityMap

NOW = 1_750_000_000_000_000
HOUR = 3_600_000_000


def metres(city: City, shape: Geometry) -> Geometry:
    return shapely.transform(shape, city.plane.points)


def test_deeper_water_covers_more_street_and_deep_lies_within_shallow(city: City) -> None:
    low = next(iter(city.of_kind("low_point")))
    shallow, deep = (hazard.flood(city, *low.lonlat, depth) for depth in (0.2, 0.5))
    assert [zone.cls for zone in shallow] == [3, 4]
    assert [zone.cls for zone in deep] == [1, 2, 3, 4]
    areas = [metres(city, zone.geometry).area for zone in deep]
    assert areas == sorted(areas)
    assert all(a.geometry.within(b.geometry.buffer(1e-4)) for a, b in pairwise(deep))
    assert metres(city, shallow[-1].geometry).area <= areas[-1]
    assert all(zone.geometry.buffer(1e-5).contains(shapely.Point(low.lonlat)) for zone in deep)
    assert areas[-1] < 0.5 * np.pi * hazard.FILL_M**2, "water follows the streets"


def test_water_is_level_where_heights_are_known(city: City) -> None:
    low = next(iter(city.of_kind("low_point")))
    x, y = city.plane.xy(*low.lonlat)
    [_, zone] = hazard.flood(city, *low.lonlat, 0.2)
    wet = shapely.difference(metres(city, zone.geometry), shapely.Point(x, y).buffer(30))
    edge = shapely.get_coordinates(wet)
    level = float(city.terrain.height_m(x, y)) + 0.2 - 0.03
    assert city.terrain.height_m(*edge.T).max() < level + 0.05, "of the interpolation between manholes"


def test_without_heights_water_falls_as_streets_usually_do(city: City) -> None:
    bare = copy.copy(city)
    bare.__dict__["levels"] = (np.empty((0, 2)), np.empty(0))
    low = next(iter(city.of_kind("low_point")))
    shallow, deep = (hazard.flood(bare, *low.lonlat, depth) for depth in (0.2, 0.5))
    assert [zone.cls for zone in shallow] == [3, 4]
    areas = [metres(city, zone.geometry).area for zone in deep]
    assert areas == sorted(areas)
    assert areas[-1] < 0.5 * np.pi * 160**2


def test_the_water_of_an_underpass_stays_on_its_ramps_and_closes_them(city: City) -> None:
    under = city.asset("UP-01")
    zones = hazard.flood(city, *under.lonlat, 0.45, "UP-01")
    flood = Hazard("f", "flood", zones, NOW)
    closed = hazard.impassable([flood])
    assert closed
    assert closed <= set(under.attributes["roads"])  # type: ignore[call-overload]
    x, y = city.plane.xy(*under.lonlat)
    assert shapely.Point(x, y).hausdorff_distance(metres(city, zones[-1].geometry)) < 40
    ankle = Hazard("g", "flood", hazard.flood(city, *under.lonlat, 0.2, "UP-01"), NOW)
    assert hazard.impassable([ankle]) == frozenset()
    shut = Hazard("h", "closed", hazard.closed(city, ["R-47281526-0"]), NOW)
    assert hazard.impassable([shut]) == {"R-47281526-0"}


def test_no_water_floods_nothing(city: City) -> None:
    assert hazard.flood(city, 121.5, 31.24, 0.0) == ()


@pytest.mark.parametrize(("wind_from", "towards"), [(0.0, (0, -1)), (90.0, (-1, 0)), (225.0, (0.707, 0.707))])
def test_a_plume_drifts_with_the_wind(city: City, wind_from: float, towards: tuple[float, float]) -> None:
    zones = hazard.plume(city, 121.5, 31.2387, wind_from_deg=wind_from, wind_mps=3.0, reach_m=800.0)
    assert [zone.cls for zone in zones] == [1, 2, 3]
    x, y = city.plane.xy(121.5, 31.2387)
    outer = metres(city, zones[-1].geometry)
    centre = np.array([outer.centroid.x - x, outer.centroid.y - y])
    assert centre / np.hypot(*centre) == pytest.approx(towards, abs=0.02)
    reach = max(np.hypot(px - x, py - y) for px, py in shapely.get_coordinates(outer))
    assert reach == pytest.approx(800.0, rel=0.02)
    sizes = [metres(city, zone.geometry).area for zone in zones]
    assert sizes == sorted(sizes)


def test_without_wind_it_spreads_all_around(city: City) -> None:
    zones = hazard.plume(city, 121.5, 31.2387, wind_from_deg=0.0, wind_mps=0.2, reach_m=300.0)
    assert metres(city, zones[-1].geometry).area == pytest.approx(np.pi * 300**2, rel=0.02)


def test_the_zone_without_water_lies_around_the_dry_pipes(city: City) -> None:
    cut = city.networks["water_supply"].isolating_valves("P-0300")
    [zone] = hazard.isolated(city, cut)
    assert zone.geometry.contains(city.asset("P-0300").geometry)
    assert zone.attributes["customers"] == cut.customers
    assert zone.attributes["pipes"] == [
        [pytest.approx(at, abs=1e-6) for at in city.asset(edge).geometry.coords] for edge in cut.edges
    ]


def square(west: float) -> Geometry:
    box: Geometry = shapely.box(west, 31.23, west + 0.004, 31.234)
    return box


async def put(database: Database, *hazards: Hazard) -> None:
    for each in hazards:
        async with database.transaction() as connection:
            await hazard_store.put(connection, each, NOW)


async def test_a_hazard_lasts_until_it_changes_or_ends(database: Database) -> None:
    first = Hazard("flood-UP-01", "flood", (Zone(2, square(121.500), {"depth_cm": 27}),), NOW, incident="I-1",
                   provenance="simulated")  # fmt: skip
    worse = Hazard("flood-UP-01", "flood", (Zone(1, square(121.500)), Zone(2, square(121.499))), NOW + HOUR)
    await put(database, first, worse)
    assert await hazard_store.current(database, NOW - 1) == []
    [early] = await hazard_store.current(database, NOW + 1)
    assert (early.incident, early.provenance, early.zones[0].attributes) == (
        "I-1",
        "simulated",
        {"depth_cm": 27},
    )
    [late] = await hazard_store.current(database, NOW + HOUR)
    assert [zone.cls for zone in late.zones] == [1, 2]
    async with database.transaction() as connection:
        await hazard_store.end(connection, "flood-UP-01", NOW + 2 * HOUR, NOW + 2 * HOUR)
    assert await hazard_store.current(database, NOW + 2 * HOUR) == []
    assert len(await hazard_store.current(database, NOW + 2 * HOUR - 1)) == 1
    assert await hazard_store.current(database, NOW + 1, (0, 0, 1, 1)) == []


async def test_hazards_are_a_live_layer_of_the_map(database: Database, city: City, tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    await put(database, Hazard("plume-1", "plume", (Zone(1, square(121.501), {"wind_mps": 3.0}),), NOW))
    layer = hazard_store.HazardLayer(database, clock)
    shown = CityMap(lambda: city, tmp_path, {"hazards": layer})
    u, v = mvt.mercator(121.503, 31.232)
    tile = await shown.live_tile("hazards", 14, int(u * 2**14), int(v * 2**14))
    assert b"hazards" in tile
    assert b"plume" in tile
    clock.advance(1)
    async with database.transaction() as connection:
        await hazard_store.end(connection, "plume-1", clock.now_us(), clock.now_us())
    assert await shown.live_tile("hazards", 14, int(u * 2**14), int(v * 2**14)) == b""
