"""Cities from nothing keep the rules of the sample city."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from core.domains import Domains
from core.schema import WIRE_ID
from gis import generate, instruments
from gis.city import City
from gis.hydraulics import Hydraulics
from gis.water import peak_factor
from iot import kinds


@pytest.fixture(scope="module", params=[(1, 2_000), (2, 12_000)], ids=["small", "larger"])
def made(request: pytest.FixtureRequest) -> City:
    seed, sensors = request.param
    return generate.city(seed, sensors)


def test_the_same_seed_and_size_make_the_same_city() -> None:
    one, other = generate.city(5, 1_500), generate.city(5, 1_500)
    assert list(one.assets) == list(other.assets)
    assert np.array_equal(one.water.nodes.xy, other.water.nodes.xy)
    assert list(generate.city(6, 1_500).water.nodes.xy[0]) != list(one.water.nodes.xy[0])


def test_everything_says_that_it_is_simulated(made: City) -> None:
    assert {asset.provenance for asset in made.assets.values()} == {"simulated"}


def test_pressures_are_right_in_the_busiest_hour(made: City) -> None:
    with Hydraulics(made.water.inp(hours=0, peak=peak_factor())) as model:
        pressure = model.solve().pressure_mpa
    served = np.array([kind == "junction" for kind in made.water.nodes.kind])
    assert pressure[served].min() >= 0.14
    assert pressure[served].max() <= 0.60


def test_each_district_has_one_to_three_inlets(made: City) -> None:
    assert made.water.districts
    assert all(1 <= len(district.inlets) <= 3 for district in made.water.districts)


def test_every_drain_falls(made: City) -> None:
    drains = made.drainage.drains
    gravity = np.array([role == "gravity" for role in drains.role])
    assert (drains.upper_m[gravity] > drains.lower_m[gravity]).all()
    assert len(made.drainage.catchments) >= 1


def test_only_bridges_cross_the_river(made: City) -> None:
    river = made.base.shore
    assert river is not None
    pipes = shapely.STRtree(made.water.pipes.lines.shapes())
    assert not len(pipes.query(river.buffer(-20.0), predicate="intersects"))
    roads = made.base.roads
    crossing = shapely.STRtree(roads.lines.shapes()).query(river.buffer(-20.0), predicate="intersects")
    assert len(crossing)
    assert roads.bridge[crossing].all()


def test_no_building_stands_in_the_water_or_on_another(made: City) -> None:
    shapes = made.base.buildings.shape
    assert not shapely.intersects(shapes, made.base.shore).any()
    left, right = shapely.STRtree(shapes).query(shapes, predicate="overlaps")
    assert not len(left), (left[:3], right[:3])


def test_names_do_not_repeat_and_stand_in_both_languages(made: City) -> None:
    areas = list(made.of_kind("area"))
    assert len({area.name for area in areas}) == len(areas)
    for asset in [*areas, *made.of_kind("road"), *made.of_kind("site", "depot", "underpass")]:
        assert asset.name
        assert asset.name_en
        assert "⟦" not in asset.name + asset.name_en


def test_instruments_stand_on_assets_of_the_city(city: City, made: City) -> None:
    for each in (city, made):
        placed = list(instruments.placements(each))
        assert len({placement.id for placement in placed}) == len(placed)
        for placement in placed:
            assert WIRE_ID.fullmatch(placement.id)
            if placement.asset:
                asset = each.asset(placement.asset)
                assert (placement.zone, placement.area) == (asset.zone, asset.area)
    assert len(list(instruments.placements(city))) > 10_000


def test_a_site_has_three_or_four_dust_monitors_on_its_fence_and_one_for_noise(city: City) -> None:
    placed = list(instruments.placements(city))
    for site in city.of_kind("site"):
        dust = [p for p in placed if p.asset == site.id and p.kind == "con_dust_noise"]
        assert 3 <= len(dust) <= 4
        assert len([p for p in placed if p.asset == site.id and p.kind == "con_noise"]) == 1
        fence = site.geometry.boundary
        assert all(fence.distance(shapely.Point(p.lon, p.lat)) < 1e-9 for p in dust)


def test_the_size_is_about_what_was_asked() -> None:
    for seed, sensors in ((1, 3_000), (3, 15_000)):
        found = sum(instruments.counts(generate.city(seed, sensors)).values())
        assert found == pytest.approx(sensors, rel=0.25)


def test_kinds_of_instruments_are_declared(shipped: Domains) -> None:
    declared = set(kinds.load(shipped).kinds)
    assert {each.kind for each in instruments.INSTRUMENTS} | {"fl_rain"} <= declared
