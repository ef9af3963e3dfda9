from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

from gis import graphs
from gis.asset import Asset
from gis.city import City
from gis.crs import Plane
from gis.importers.plan import Plan
from gis.importers.read import read_file
from tests.gis.test_importers import EPANET, SWMM, pandapipes

PLANE = Plane(121.5, 31.2)


def line(name: str, *places: tuple[float, float], kind: str = "pipe", **told: object) -> Asset:
    return Asset(name, kind, shapely.LineString(PLANE.lonlats(places)), attributes=told)


def spot(name: str, kind: str, x: float, y: float, **told: object) -> Asset:
    return Asset(name, kind, shapely.Point(PLANE.lonlats([[x, y]])[0]), attributes=told)


def test_pipes_that_only_touch_become_a_network() -> None:
    """As a Shapefile gives them: lines without ends, drawn in any direction, with valves beside them."""
    net = graphs.network(
        [
            line("a", (100, 0), (0, 0)), line("b", (100, 0.2), (200, 0)), line("c", (100, 0), (100, 90)),
            spot("works", "water_source", 0, 0), spot("v1", "valve", 104, 0.5), spot("v2", "valve", 190, 0.5),
            spot("far", "valve", 150, 60), spot("house", "junction", 200, 0, households=7),
        ],
        "water_supply", PLANE,
    )  # fmt: skip
    assert net.distance_m("works", "house") == pytest.approx(200.0, abs=0.5)
    assert net.distance_m("house", "works") == np.inf  # water runs away from the source, however it was drawn
    found = net.isolating_valves("b")
    assert set(found.valves) == {"v1", "v2"}
    assert found.customers == 7
    assert "far" not in net


def test_an_imported_epanet_network_can_be_walked(tmp_path: Path) -> None:
    path = tmp_path / "net.inp"
    path.write_text(EPANET, "utf-8")
    assets = read_file(path, Plan("n", crs="local:121.5,31.2,0.3048")).assets
    net = graphs.network(assets, "water_supply", PLANE)
    assert net.distance_m("n.node.R1", "n.node.J1") == pytest.approx(304.8)
    assert not np.isin(
        net.downstream("n.node.R1").nodes, [net.node_ids.index("n.node.J2")]
    ).any()  # P2 is shut
    assert net.distance_m("n.node.T1", "n.node.J2") < np.inf


def test_an_imported_swmm_network_runs_downhill(tmp_path: Path) -> None:
    path = tmp_path / "d.inp"
    path.write_text(SWMM, "utf-8")
    net = graphs.network(read_file(path, Plan("d", crs="local:121.5,31.2")).assets, "drainage", PLANE)
    assert net.between("d.node.A", "d.node.O") == ("d.link.C1", "d.link.C2")
    uphill = [line("x", (0, 0), (50, 0), kind="drain", upper_m=1.0, lower_m=2.0)]
    turned = graphs.network(uphill, "drainage", PLANE)
    assert turned.node_ids[int(turned.tail[0])] == "x.head"


def test_imported_gas_and_heat_run_from_their_stations(tmp_path: Path) -> None:
    assets = read_file(pandapipes(tmp_path, [["p", 1, 0, 0.088, 0.1]]), Plan("g", crs="EPSG:4549")).assets
    net = graphs.network(assets, "gas", PLANE)
    assert net.distance_m("g.node.0", "g.node.1") == pytest.approx(88.0)
    heat = read_file(
        pandapipes(tmp_path, [["p", 1, 0, 0.088, 0.1]]), Plan("h", kind="heat", crs="EPSG:4549")
    ).assets
    assert {asset.kind for asset in heat} == {"heat_node", "heat_pipe", "heat_source"}
    assert graphs.network(heat, "heat", PLANE).distance_m("h.node.0", "h.node.1") == pytest.approx(88.0)


def test_the_sample_city_read_back_from_its_assets_is_the_same_network(city: City) -> None:
    kinds = ("pipe", "junction", "water_source", "valve", "hydrant", "district_meter")
    again = graphs.network(list(city.of_kind(*kinds)), "water_supply", city.plane)
    ours = city.networks["water_supply"]
    some = [f"P-{n:04d}" for n in range(40, 60)]
    for pipe in some:
        assert set(again.isolating_valves(pipe).valves) == set(ours.isolating_valves(pipe).valves)
    assert again.distance_m("H-0100", "H-0101", "either") == pytest.approx(
        ours.distance_m("H-0100", "H-0101", "either"), abs=1.0
    )


def test_without_anything_there_is_an_empty_network() -> None:
    net = graphs.network([], "gas", PLANE)
    assert net.node_ids == ()
