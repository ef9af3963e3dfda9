"""The rules that make the sample city hang together: each is one test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree
from swmm.toolkit import solver
from swmm.toolkit.shared_enum import NodeResult, ObjectType

from core.errors import NotFound
from core.schema import WIRE_ID
from gis import cells, drainage
from gis.city import City, sample_city
from gis.hydraulics import Hydraulics
from gis.water import OnPipe

#: What no place of a supply network may fall below or rise above in the busiest hour, MPa.
PRESSURE = (0.14, 0.60)


def test_the_same_seed_makes_the_same_city(city: City) -> None:
    again = sample_city(1)
    assert list(again.assets) == list(city.assets)
    assert np.array_equal(again.water.pipes.lines.xy, city.water.pipes.lines.xy)
    assert np.array_equal(again.drainage.drains.upper_m, city.drainage.drains.upper_m)


@pytest.mark.long
def test_another_seed_keeps_the_measured_things_and_their_ids(city: City) -> None:
    other = sample_city(2)
    assert [a.id for a in other.of_kind("building", "road")] == [
        a.id for a in city.of_kind("building", "road")
    ]
    assert not np.array_equal(other.terrain.waves, city.terrain.waves)


def test_every_asset_has_an_id_that_a_wire_could_carry_and_says_where_it_comes_from(city: City) -> None:
    assert len(city.assets) > 10_000
    for asset in city.assets.values():
        assert WIRE_ID.fullmatch(asset.id), asset.id
        assert asset.source
        assert asset.licence
    assert {a.provenance for a in city.of_kind("road", "building", "place")} == {"real"}
    inferred = [a for a in city.of_kind("water") if a.attributes.get("inferred")]
    assert {a.provenance for a in inferred} == {"simulated"}
    assert {a.provenance for a in city.of_kind("pipe", "drain", "gas_pipe", "site")} == {"simulated"}


def test_every_asset_lies_where_the_city_is(city: City) -> None:
    west, south, east, north = city.bounds
    for asset in city.of_kind("pipe", "valve", "hydrant", "manhole", "gas_pipe", "site", "underpass"):
        lon, lat = asset.lonlat
        assert west - 0.002 < lon < east + 0.002, asset.id
        assert south - 0.002 < lat < north + 0.002, asset.id


def test_an_unknown_asset_is_not_found(city: City) -> None:
    with pytest.raises(NotFound):
        city.asset("P-99999")


# -- water supply -----------------------------------------------------------------------------------------------


def test_all_pressures_are_right_in_every_hour_of_the_day(city: City) -> None:
    with Hydraulics(city.water.inp()) as model:
        assert model.node_ids == city.water.nodes.id
        assert model.link_ids[: len(city.water.pipes)] == city.water.pipes.id
        served = np.array([kind == "junction" for kind in city.water.nodes.kind])
        hours = 0
        for state in model.run():
            assert state.pressure_mpa[served].min() >= PRESSURE[0], state.time_s
            assert state.pressure_mpa[served].max() <= PRESSURE[1], state.time_s
            hours += 1
    assert hours >= 24


def test_water_runs_along_its_pipes(city: City) -> None:
    with Hydraulics(city.water.inp(hours=0, pressure_driven=False)) as model:
        flow = model.solve().flow_lps[: len(city.water.pipes)]
    assert flow.min() > -1e-3


def test_each_district_is_fed_only_through_one_to_three_meters(city: City) -> None:
    water = city.water
    assert 6 <= len(water.districts) <= 12
    for row, district in enumerate(water.districts):
        assert 1 <= len(district.inlets) <= 3
        inside = water.nodes.zone == row
        for pipe in np.flatnonzero(
            ~water.pipes.shut & (inside[water.pipes.tail] != inside[water.pipes.head])
        ):
            assert water.pipes.role[pipe] == "inlet"
            assert pipe in water.meters.pipe[list(district.inlets)]


def test_what_flows_in_through_the_meters_is_what_a_district_uses(city: City) -> None:
    water = city.water
    for district in water.districts:
        inflow = water.pipes.flow_lps[water.meters.pipe[list(district.inlets)]].sum()
        assert inflow == pytest.approx(district.demand_lps, rel=0.01)


def test_no_place_of_a_street_pipe_is_more_than_60_m_from_a_hydrant(city: City) -> None:
    """So that hydrants are at most 120 m apart (GB 50974)."""
    water = city.water
    pipes = water.pipes
    rows = np.array([r for r, role in enumerate(pipes.role) if role in {"distribution", "boundary"}])
    gap = _to_nearest(city, water.hydrants, rows)
    own = {int(pipe): np.sort(water.hydrants.offset_m[water.hydrants.pipe == pipe]) for pipe in rows}
    for row in rows.tolist():
        length = float(pipes.length_m[row])
        for at in np.linspace(0.0, length, 9):
            ways = [gap[pipes.tail[row]] + at, gap[pipes.head[row]] + length - at]
            ways += np.abs(own[row] - at).tolist()
            assert min(ways) <= 60.0 + 1e-6, (pipes.id[row], at)


def _to_nearest(city: City, things: OnPipe, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> list[float]:
    """Metres along the pipes from each node to the nearest thing, by brute force."""
    pipes, nodes = city.water.pipes, len(city.water.nodes)
    count = len(things)
    tail = np.concatenate([pipes.tail[rows], np.repeat(np.arange(nodes, nodes + count), 2)])
    at_pipe = np.column_stack([pipes.tail[things.pipe], pipes.head[things.pipe]]).ravel()
    head = np.concatenate([pipes.head[rows], at_pipe])
    left = np.column_stack([things.offset_m, pipes.length_m[things.pipe] - things.offset_m]).ravel()
    weight = np.concatenate([pipes.length_m[rows], np.maximum(left, 1e-6)])
    graph = cells.graph(tail.astype(np.int32), head.astype(np.int32), weight, nodes + count)
    far: list[float] = dijkstra(graph, indices=np.arange(nodes, nodes + count), min_only=True)[
        :nodes
    ].tolist()
    return far


def test_every_pipe_can_be_cut_off_without_cutting_a_source(city: City) -> None:
    network = city.networks["water_supply"]
    sources = {city.water.nodes.id[row] for row in network.sources}
    sizes = []
    for pipe in city.water.pipes.id:
        found = network.isolating_valves(pipe)
        assert pipe in found.edges
        assert not sources & set(found.nodes)
        sizes.append(found.customers)
    assert np.median(sizes) < 0.05 * network.customers.sum()


def test_a_pipe_that_is_cut_off_is_dry_in_the_hydraulic_model_too(city: City) -> None:
    water, network = city.water, city.networks["water_supply"]
    pipe = next(p for p, role in zip(water.pipes.id, water.pipes.role, strict=True) if role == "distribution")
    cut = network.isolating_valves(pipe)
    closed = {water.pipes.id[water.valves.pipe[water.valves.id.index(valve)]] for valve in cut.valves}
    with Hydraulics(water.inp(hours=0)) as model:
        before = model.solve()
        for each in {*closed, *cut.edges}:
            model.close_link(each)
        after = model.solve()
    rows = [water.nodes.id.index(node) for node in cut.nodes]
    assert before.demand_lps[rows].sum() > 0.0 or not rows
    assert after.demand_lps[rows].sum() == pytest.approx(0.0, abs=1e-3)
    others = np.setdiff1d(np.arange(len(water.nodes)), rows)
    served = [r for r in others if water.nodes.demand_lps[r] > 0]
    assert (after.demand_lps[served] > 0.9 * before.demand_lps[served]).all()


# -- drainage ---------------------------------------------------------------------------------------------------


def test_every_drain_falls_to_its_outfall(city: City) -> None:
    drains, holes = city.drainage.drains, city.drainage.manholes
    gravity = np.array([role == "gravity" for role in drains.role])
    assert (drains.upper_m[gravity] > drains.lower_m[gravity]).all()
    below = np.full(len(holes), -1)
    below[drains.tail] = drains.head
    for start in range(len(holes)):
        at, steps = start, 0
        while below[at] >= 0:
            at, steps = int(below[at]), steps + 1
            assert steps <= len(holes)
        assert holes.kind[at] == "outfall", holes.id[start]


def test_no_drain_leaves_a_manhole_higher_than_another_enters_it_or_lies_bare(city: City) -> None:
    drains, holes = city.drainage.drains, city.drainage.manholes
    gravity = np.array([role == "gravity" for role in drains.role])
    assert (drains.upper_m <= holes.invert_m[drains.tail] + 1e-9).all()
    assert (drains.lower_m[gravity] >= holes.invert_m[drains.head[gravity]] - 1e-9).all()
    cover = holes.ground_m[drains.tail] - drains.upper_m - drains.size_mm / 1000.0
    assert cover[gravity].min() >= 1.0 - 1e-9


def test_drains_do_not_get_narrower_downstream(city: City) -> None:
    drains = city.drainage.drains
    out = np.zeros(len(city.drainage.manholes), np.int32)
    gravity = [row for row, role in enumerate(drains.role) if role == "gravity"]
    out[drains.tail[gravity]] = drains.size_mm[gravity]
    for row in gravity:
        after = out[drains.head[row]]
        assert after == 0 or after >= drains.size_mm[row]


@pytest.mark.long
@pytest.mark.parametrize(("years", "least", "most"), [(3.0, 0.0, 0.01), (100.0, 0.10, 1.0)])
def test_drains_hold_a_storm_of_three_years_and_overflow_in_one_of_a_hundred(
    city: City, tmp_path: Path, years: float, least: float, most: float
) -> None:
    flooded = _flooded(city.drainage.inp(rain_mm_h=drainage.storm(years), hours=2.5), tmp_path)
    assert least <= np.mean(flooded) <= most


def _flooded(inp: str, folder: Path) -> list[bool]:
    """Which nodes lose more than 1 L/s at any minute, by SWMM's dynamic wave."""
    (folder / "city.inp").write_text(inp, encoding="utf-8")
    solver.swmm_open(*(str(folder / name) for name in ("city.inp", "city.rpt", "city.out")))
    solver.swmm_start(0)
    worst = [0.0] * solver.project_get_count(ObjectType.NODE)
    while solver.swmm_stride(60) > 0:
        for row, before in enumerate(worst):
            worst[row] = max(before, solver.node_get_result(row, NodeResult.FLOOD))
    solver.swmm_end()
    solver.swmm_close()
    return [lost > 1.0 for lost in worst]


def test_underpasses_and_low_points_are_real_roads_and_low_ground(city: City) -> None:
    found = list(city.of_kind("underpass"))
    assert len(found) >= 2
    roads = {road.id: road for road in city.of_kind("road")}
    for underpass in found:
        names = underpass.attributes["roads"]
        assert isinstance(names, list)
        assert all(roads[name].attributes["tunnel"] for name in names)
    ground = city.terrain.height_m(*city.base.streets.node_xy.T)
    for low in city.of_kind("low_point"):
        height = low.attributes["ground_m"]
        assert isinstance(height, float)
        assert height <= np.median(ground)


# -- gas --------------------------------------------------------------------------------------------------------


def test_every_gas_pipe_is_fed_from_a_station(city: City) -> None:
    network = city.networks["gas"]
    fed = np.zeros(len(network.node_ids), bool)
    for station in network.sources:
        fed[network.downstream(network.node_ids[station]).nodes] = True
    assert fed.all()


def test_medium_pressure_reaches_homes_only_through_a_regulator(city: City) -> None:
    gas = city.gas
    kind = np.array(gas.node_kind)
    for row, level in enumerate(gas.level):
        ends = {kind[gas.tail[row]], kind[gas.head[row]]}
        assert ends <= ({"low"} if level == "low" else {"medium", "station"})
    assert set(kind[gas.regulator_tail]) == {"medium"}
    assert set(kind[gas.regulator_head]) == {"low"}


# -- where things lie -------------------------------------------------------------------------------------------


def test_every_pipe_lies_in_its_street(city: City) -> None:
    streets = city.base.streets.lines.shapes()
    for lines, street, aside in (
        (city.water.pipes.lines, city.water.pipes.street, 45.0),
        (city.drainage.drains.lines, city.drainage.drains.street, 20.0),
        (city.gas.lines, city.gas.street, 45.0),
    ):
        inner = [r for r in range(len(lines)) if not _leads_out(city, lines, r)]
        near = shapely.covers(shapely.buffer(streets[street[inner]], aside), lines.shapes()[inner])
        assert near.mean() == 1.0


def _leads_out(city: City, lines: object, row: int) -> bool:
    """The rising mains to the water are the only drains outside streets."""
    return lines is city.drainage.drains.lines and city.drainage.drains.role[row] == "rising"


def test_gas_valves_and_manholes_share_streets(city: City) -> None:
    """What lets gas be found in the manholes beside a leak."""
    drained = set(city.drainage.drains.street.tolist())
    with_gas = set(city.gas.street.tolist())
    assert len(drained & with_gas) > 0.8 * len(with_gas)
    holes = cKDTree(city.drainage.manholes.xy)
    assert np.percentile(holes.query(city.gas.valve_xy)[0], 90) < 60.0


def test_every_building_has_a_street_junction_with_water_and_a_drain(city: City) -> None:
    junction = city.base.buildings.junction
    assert (city.water.junction[junction] >= 0).all()
    assert (city.drainage.junction[junction] >= 0).all()
    for building in city.of_kind("building"):
        assert building.zone.startswith("DMA-")
        assert building.area


def test_a_fire_engine_reaches_every_building_within_five_minutes(city: City) -> None:
    stations = [each.xy for each in city.facilities if each.kind == "fire_station"]
    places = np.unique(city.base.streets.node_xy[city.base.buildings.junction], axis=0)
    ends = [(float(x), float(y)) for x, y in places]
    best = np.min([city.router.seconds_from(station, ends) for station in stations], axis=0)
    assert best.max() <= 300.0


def test_construction_sites_lie_on_blocks_clear_of_buildings_and_water(city: City) -> None:
    sites = [each for each in city.facilities if each.kind == "site"]
    assert len(sites) >= 6
    standing = shapely.STRtree(city.base.buildings.shape[~city.base.buildings.part])
    streets = shapely.STRtree(city.base.streets.lines.shapes())
    for site in sites:
        assert not len(standing.query(site.shape, predicate="intersects")), site.id
        assert not len(streets.query(site.shape, predicate="intersects")), site.id


def test_the_streets_of_one_bank_are_one_network(city: City) -> None:
    streets = city.base.streets
    graph = coo_matrix((np.ones(len(streets)), (streets.tail, streets.head)), shape=(streets.nodes,) * 2)
    count, label = connected_components(graph, directed=False)
    assert count == 3  # Bund, Hongkou and Pudong: between them only bridges and tunnels
    assert np.bincount(label).min() >= 12
