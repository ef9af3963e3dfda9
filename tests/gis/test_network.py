"""Walks on small networks that one can draw on paper, and against brute force on random ones."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import NotFound
from gis.network import Network, Place, Valves

#     S ──e0──▶ a ──e1──▶ b ──e2──▶ c
#               └──e3──▶ d ──e4──▶ c
TAIL, HEAD = [0, 1, 2, 1, 4], [1, 2, 3, 4, 3]
LENGTH = [100.0, 50.0, 60.0, 40.0, 45.0]


def paper(**more: object) -> Network:
    return Network(
        "water_supply", ["S", "a", "b", "c", "d"], [f"e{n}" for n in range(5)],
        np.array(TAIL), np.array(HEAD), np.array(LENGTH),
        things={"valve": Place(edge=1, offset_m=10.0), "meter": Place(edge=1, offset_m=45.0)},
        sources=[0], customers=np.array([0, 10, 20, 30, 5]), **more,  # type: ignore[arg-type] # keyword arguments
    )  # fmt: skip


def names(network: Network, rows: np.ndarray[tuple[int], np.dtype[np.int32]]) -> set[str]:
    return {network.node_ids[row] for row in rows}


def test_downstream_follows_the_flow_and_upstream_goes_against_it() -> None:
    network = paper()
    assert names(network, network.downstream("b").nodes) == {"b", "c"}
    assert names(network, network.upstream("b").nodes) == {"b", "a", "S"}
    assert {network.edge_ids[row] for row in network.upstream("c").edges} == {"e0", "e1", "e2", "e3", "e4"}


def test_a_walk_can_be_bounded_in_metres() -> None:
    network = paper()
    found = network.downstream("a", within_m=50.0)
    assert dict(zip(found.nodes.tolist(), found.distance_m.tolist(), strict=True)) == {
        1: 0.0,
        2: 50.0,
        4: 40.0,
    }
    assert names(network, network.around("valve", within_m=15.0).nodes) == {"a"}


def test_distance_along_knows_the_direction() -> None:
    network = paper()
    assert network.distance_m("S", "c") == pytest.approx(185.0)
    assert network.distance_m("c", "S") == np.inf
    assert network.distance_m("c", "S", "against") == pytest.approx(185.0)
    assert network.distance_m("b", "d") == np.inf
    assert network.distance_m("b", "d", "either") == pytest.approx(90.0)


def test_things_on_one_pipe_are_as_far_apart_as_they_lie_on_it() -> None:
    network = paper()
    assert network.distance_m("valve", "meter") == pytest.approx(35.0)
    assert network.distance_m("meter", "valve") == np.inf
    assert network.distance_m("meter", "valve", "either") == pytest.approx(35.0)
    assert network.distance_m("valve", "c") == pytest.approx(100.0)
    assert network.distance_m("S", "valve") == pytest.approx(110.0)


def test_between_is_every_way_from_one_to_the_other() -> None:
    network = paper()
    assert network.between("a", "c") == ("e1", "e2", "e3", "e4")
    assert network.between("b", "c") == ("e2",)
    assert network.between("valve", "b") == ("e1",)
    assert network.between("c", "a") == ()


def test_nothing_flows_through_a_shut_pipe_but_a_crew_walks_along_it() -> None:
    network = paper(shut=np.array([False, True, False, False, False]))
    assert names(network, network.downstream("a").nodes) == {"a", "d", "c"}
    assert network.distance_m("a", "b", "either") == pytest.approx(50.0)


def test_an_asset_that_is_not_on_the_network_is_named() -> None:
    with pytest.raises(NotFound, match="X-1"):
        paper().downstream("X-1")


def test_reachable_is_what_is_left_when_edges_are_closed() -> None:
    network = paper()
    assert network.reachable("S").all()
    left = network.reachable("S", ["e1", "e3"])
    assert names(network, np.flatnonzero(left).astype(np.int32)) == {"S", "a"}


def valves(*at: tuple[int, int], shut: tuple[int, ...] = ()) -> Valves:
    edge, node = (np.array(column, np.int32) for column in zip(*at, strict=True))
    return Valves(
        tuple(f"v{n}" for n in range(len(at))), edge, node, np.isin(np.arange(len(at)), np.array(shut, int))
    )


def test_a_pipe_between_two_valves_needs_those_two() -> None:
    found = paper(valves=valves((1, 1), (1, 2), (0, 0))).isolating_valves("e1")
    assert set(found.valves) == {"v0", "v1"}
    assert found.edges == ("e1",)
    assert found.customers == 0


def test_what_lies_beyond_the_valves_without_another_feed_is_dry_too() -> None:
    found = paper(valves=valves((0, 0), (0, 1))).isolating_valves("e0")
    assert set(found.valves) == {"v0", "v1"}
    assert found.customers == 65


def test_a_stuck_valve_moves_the_cut_outwards() -> None:
    at = ((1, 1), (1, 2), (2, 3), (0, 0))
    assert set(paper(valves=valves(*at)).isolating_valves("e1").valves) == {"v0", "v1"}
    found = paper(valves=valves(*at)).isolating_valves("e1", stuck=["v1"])
    assert set(found.valves) == {"v0", "v2"}
    assert set(found.nodes) == {"b"}
    assert found.customers == 20


def test_a_valve_that_is_shut_already_needs_no_hand() -> None:
    found = paper(valves=valves((1, 1), (1, 2), shut=(1,))).isolating_valves("e1")
    assert found.valves == ("v0",)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    nodes = draw(st.integers(2, 12))
    pairs = st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)).filter(lambda p: p[0] != p[1])
    return nodes, draw(st.lists(pairs, min_size=1, max_size=30))


@given(graphs(), st.data())
@settings(max_examples=60, deadline=None)
def test_walks_and_distances_agree_with_networkx(
    graph: tuple[int, list[tuple[int, int]]], data: st.DataObject
) -> None:
    nodes, edges = graph
    length = [float(data.draw(st.integers(1, 50))) for _ in edges]
    tail, head = np.array(edges).T
    ours = Network("drainage", [f"n{i}" for i in range(nodes)], [f"e{i}" for i in range(len(edges))], tail, head,
                   np.array(length))  # fmt: skip
    theirs = nx.MultiDiGraph()
    theirs.add_nodes_from(range(nodes))
    theirs.add_weighted_edges_from((a, b, w) for (a, b), w in zip(edges, length, strict=True))
    start, end = data.draw(st.integers(0, nodes - 1)), data.draw(st.integers(0, nodes - 1))
    assert set(ours.downstream(f"n{start}").nodes.tolist()) == nx.descendants(theirs, start) | {start}
    assert set(ours.upstream(f"n{start}").nodes.tolist()) == nx.ancestors(theirs, start) | {start}
    try:
        expected = nx.shortest_path_length(theirs, start, end, weight="weight")
    except nx.NetworkXNoPath:
        expected = np.inf
    assert ours.distance_m(f"n{start}", f"n{end}") == pytest.approx(expected)
    reach = nx.node_connected_component(theirs.to_undirected(), start)
    assert set(np.flatnonzero(ours.reachable(f"n{start}")).tolist()) == reach


@given(graphs(), st.data())
@settings(max_examples=60, deadline=None)
def test_shutting_the_named_valves_separates_the_pipe_from_every_source(
    graph: tuple[int, list[tuple[int, int]]], data: st.DataObject
) -> None:
    nodes, edges = graph
    tail, head = np.array(edges, np.int32).T
    joints = [(row, node) for row, pair in enumerate(edges) for node in pair]
    at = data.draw(st.lists(st.sampled_from(joints), unique=True, min_size=1))
    network = Network(
        "water_supply", [f"n{i}" for i in range(nodes)], [f"e{i}" for i in range(len(edges))], tail, head,
        np.ones(len(edges)), valves=valves(*at), sources=[0], customers=np.ones(nodes, np.int32),
    )  # fmt: skip
    row = data.draw(st.integers(0, len(edges) - 1))
    found = network.isolating_valves(f"e{row}")
    shut = {at[int(name[1:])] for name in found.valves}
    world = nx.Graph()
    world.add_nodes_from([("n", i) for i in range(nodes)] + [("e", i) for i in range(len(edges))])
    world.add_edges_from((("e", e), ("n", n)) for e, n in joints if (e, n) not in shut)
    fed = nx.node_connected_component(world, ("n", 0))
    whole = nx.Graph(world)
    whole.add_edges_from((("e", e), ("n", n)) for e, n in joints if (e, n) not in set(at))
    piece = nx.Graph()
    piece.add_nodes_from(world)
    piece.add_edges_from((("e", e), ("n", n)) for e, n in joints if (e, n) not in set(at))
    if ("n", 0) not in nx.node_connected_component(piece, ("e", row)):
        assert ("e", row) not in fed
    assert {int(name[1:]) for name in found.nodes} == {
        i for kind, i in world if kind == "n" and (kind, i) not in fed
    }
    for valve in found.valves:  # none of them is needless: each touches the piece that is cut off
        edge, node = at[int(valve[1:])]
        inside = nx.node_connected_component(piece, ("e", row))
        assert (("e", edge) in inside) != (("n", node) in inside)
