"""A city of what was imported answers what the sample city answers, and says so where it knows nothing."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest
import shapely

from core.db import Database
from core.errors import NotFound
from dispatch.travel import Roads, StraightLine
from events.affected import Affected
from gis import mvt, store, stored
from gis.asset import Asset
from gis.store import Layer
from gis.stored import StoredCity
from gis.views import CityMap
from tests.gis.test_store import NOW, hydrant

WEST, SOUTH, STEP = 121.50, 31.20, 0.002  # a street every 200 m or so


def street(name: str, *places: tuple[float, float], **told: object) -> Asset:
    line = shapely.LineString([(WEST + STEP * x, SOUTH + STEP * y) for x, y in places])
    return Asset(name, "road", line, f"{name}路", attributes={"class": "primary", **told}, licence="ODbL")


def spot(name: str, kind: str, x: float, y: float, **told: object) -> Asset:
    return Asset(name, kind, shapely.Point(WEST + STEP * x, SOUTH + STEP * y), name, attributes=told)


def pipe(name: str, *places: tuple[float, float]) -> Asset:
    return Asset(name, "pipe", shapely.LineString([(WEST + STEP * x, SOUTH + STEP * y) for x, y in places]))


#: Three streets east, three north; the middle one may only be driven east.
TOWN = [
    *(street(f"east{y}", (0, y), (1, y), (2, y), oneway=1 if y == 1 else 0) for y in range(3)),
    *(street(f"north{x}", (x, 0), (x, 1), (x, 2)) for x in range(3)),
    street("path", (0, 0), (2, 2), **{"class": "footway"}),
    pipe("P1", (0, 0), (1, 0)), pipe("P2", (1, 0), (2, 0)),
    spot("works", "water_source", 0, 0), spot("V1", "valve", 0.9, 0), spot("house", "junction", 2, 0, households=40),
    spot("医院", "place", 1.5, 0.2, **{"class": "hospital"}),
    Asset("A-1", "area", shapely.box(WEST - 0.001, SOUTH - 0.001, WEST + 0.005, SOUTH + 0.005), "城中街道",
          attributes={"code": "310101", "district": "某区"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def town() -> StoredCity:
    return StoredCity(TOWN)


def place(x: float, y: float) -> tuple[float, float]:
    return WEST + STEP * x, SOUTH + STEP * y


def test_streets_are_cut_where_they_meet_and_each_stretch_is_still_its_street(town: StoredCity) -> None:
    driven = [name for name, on in zip(town.roads.id, town.roads.driven, strict=True) if on]
    assert len(driven) == 12
    assert town.asset("north1.1").id == "north1"
    with pytest.raises(NotFound):
        town.asset("north9.1")


def test_ways_keep_to_directions_and_closures_and_off_footpaths(town: StoredCity) -> None:
    def way(start: tuple[float, float], end: tuple[float, float], *closed: str) -> Sequence[str]:
        found = town.router.route(town.plane.xy(*start), town.plane.xy(*end), closed)
        assert found is not None
        return found.edges

    assert set(way(place(0.1, 1), place(1.9, 1))) == {"east1.0", "east1.1"}
    back = way(place(1.9, 1), place(0.1, 1))
    assert "north2.0" in back or "north2.1" in back, "round by another street: this one runs east only"
    assert "path.0" not in way(place(0, 0.1), place(2, 1.9))
    assert "north0.0" not in way(place(0.5, 0), place(0.5, 2), "north0.0")


def test_pipes_are_walked_and_cut_off(town: StoredCity) -> None:
    supply = town.networks["water_supply"]
    assert set(town.networks) == {"water_supply"}
    assert supply.distance_m("works", "house") == pytest.approx(381, abs=3)
    found = supply.isolating_valves("P2")
    assert (found.valves, found.customers) == (("V1",), 40)


def test_places_have_words_areas_and_a_grid(town: StoredCity) -> None:
    zh, en = town.describe(*place(1.02, 0.5))
    assert "north1路" in zh
    assert "east0路" in zh
    assert "north1路" in en
    assert town.area_ids(town.plane.points([place(1, 1)])) == ["A-1"]
    found = town.grid.responsible(*town.plane.xy(*place(1, 1)))
    assert found is not None
    assert found.cell.code.startswith("310101")


def test_a_city_of_which_nothing_is_known_says_nothing(tmp_path: Path) -> None:
    nothing = StoredCity([])
    assert (
        len(nothing.roads),
        dict(nothing.networks),
        nothing.area_ids(nothing.plane.points([(121, 31)])),
    ) == (0, {}, [""])
    assert nothing.describe(121.0, 31.0)[0]
    Affected(nothing)
    travel = Roads(lambda: nothing)
    assert not travel.network
    assert travel.seconds([(121.0, 31.0)], (121.1, 31.0)) == StraightLine().seconds(
        [(121.0, 31.0)], (121.1, 31.0)
    )
    assert CityMap(lambda: nothing, tmp_path, own=True).base_tile(12, 3400, 1600) is None


async def test_an_import_is_on_the_map_at_once(database: Database, dsn: str, tmp_path: Path) -> None:
    """The city of an installation is read anew after an import, with its tiles, its names and its networks."""
    city_map = CityMap(lambda: stored.read(dsn, NOW), tmp_path, database=database, own=True)
    assert city_map.frame()[1] == ""
    empty = city_map.tiles()
    await put(database, Layer("town", "survey", licence="ODbL"), TOWN)
    city_map.renew()
    centre, credit = city_map.frame()
    assert centre == pytest.approx(place(1, 1), abs=1e-3)
    assert credit == "ODbL"
    x, y = next(iter(mvt.tiles_of((*place(1, 1), *place(1, 1)), 14)))
    assert b"roads" in gzip.decompress(city_map.base_tile(14, x, y) or b"")
    assert city_map.tiles() != empty
    assert [each.id for each in await city_map.find("东", 5, [])] == []
    assert [each.id for each in await city_map.find("yiyuan", 5, [])] == ["医院"]


async def test_what_lies_on_the_sample_city_is_found_too(database: Database, tmp_path: Path) -> None:
    city_map = CityMap(lambda: StoredCity(TOWN), tmp_path, database=database)
    assert await city_map.find("H-77", 5, []) == []
    await put(database, Layer("hydrants", "survey"), [hydrant("H-77")])
    city_map.renew()
    assert [each.id for each in await city_map.find("h-77", 5, [])] == ["H-77"]
    assert await city_map.stored_layers() == ["hydrants"]


async def test_layers_of_an_own_city_lie_on_it_only_where_the_base_map_does_not_draw_them(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    lamp = spot("L1", "street_lamp", 1, 1)
    await put(database, Layer("town", "survey"), TOWN)
    await put(database, Layer("lamps", "survey"), [lamp])
    own = CityMap(lambda: stored.read(dsn, NOW), tmp_path, database=database, own=True)
    assert await own.stored_layers() == ["lamps"]


async def put(database: Database, layer: Layer, assets: Sequence[Asset]) -> None:
    async with database.transaction() as connection:
        await store.replace_layer(connection, layer, assets, NOW)
