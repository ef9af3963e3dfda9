from __future__ import annotations

import numpy as np
import pytest

from core.errors import NotFound
from gis import roads
from gis.city import City
from gis.crs import Plane
from gis.routing import WALK_MPS, Router, ring

PLANE = Plane(0.0, 0.0)
STEP = 0.001  # about 111 m


def way(osm: int, *places: tuple[int, int], **told: object) -> roads.Way:
    return {"osm": osm, "class": "residential", "name": f"{osm} 路", **told}, [
        [x * STEP, y * STEP] for x, y in places
    ]


def square(**north: object) -> Router:
    """Four sides of a square of one step: west 1, north 2, east 3, south 4."""
    return Router(roads.build([
        way(1, (0, 0), (0, 1)), way(2, (0, 1), (1, 1), **north), way(3, (1, 1), (1, 0)), way(4, (1, 0), (0, 0)),
    ], PLANE))  # fmt: skip


def at(x: float, y: float) -> tuple[float, float]:
    east, north = PLANE.to_xy(x * STEP, y * STEP)
    return float(east), float(north)


def test_the_fastest_way_is_the_shorter_side() -> None:
    found = square().route(at(0, 0.5), at(0.8, 1))
    assert found is not None
    assert found.edges == ("R-1-0", "R-2-0")
    assert found.metres == pytest.approx(1.3 * 111.0, rel=0.01)
    assert found.line[0] == pytest.approx(at(0, 0.5), abs=0.1)
    assert found.line[-1] == pytest.approx(at(0.8, 1), abs=0.1)


def test_a_closed_road_is_gone_around() -> None:
    around = square().route(at(0, 0.5), at(1, 0.5), closed=["R-2-0"])
    assert around is not None
    assert around.edges == ("R-1-0", "R-4-0", "R-3-0")


def test_a_flooded_road_is_gone_around_when_that_is_faster() -> None:
    router = square()
    straight = router.route(at(0, 0.9), at(1, 0.9))
    assert straight is not None
    assert "R-2-0" in straight.edges
    around = router.route(at(0, 0.9), at(1, 0.9), slower={"R-2-0": 10.0})
    assert around is not None
    assert "R-4-0" in around.edges


def test_a_one_way_street_is_not_driven_against_its_direction() -> None:
    router = square(oneway=1)
    there = router.route(at(0, 0.9), at(1, 0.9))
    back = router.route(at(1, 0.9), at(0, 0.9))
    assert there is not None
    assert back is not None
    assert "R-2-0" in there.edges
    assert "R-4-0" in back.edges


def test_one_can_still_get_onto_a_closed_road_where_help_is_needed() -> None:
    found = square().route(at(0, 0.5), at(0.5, 1), closed=["R-2-0"])
    assert found is not None
    assert found.edges[-1] == "R-2-0"


def street() -> Router:
    """One street of four steps from west to east, and a loop around its middle two, far longer."""
    return Router(roads.build([
        way(1, (0, 0), (1, 0)), way(2, (1, 0), (2, 0)), way(3, (2, 0), (3, 0)), way(4, (3, 0), (4, 0)),
        way(5, (1, 0), (1, 9), (3, 9), (3, 0)), way(6, (2, 0), (2, 1)),
    ], PLANE))  # fmt: skip


SUNK = ["R-2-0", "R-3-0", "R-6-0"]


def test_a_place_amid_closed_roads_is_approached_to_the_edge_of_the_closure() -> None:
    found = street().route(at(0.2, 0), at(2, 0.9), closed=SUNK)
    assert found is not None
    assert found.edges == ("R-1-0",)
    assert found.line[-1] == pytest.approx(at(1, 0), abs=0.1), "nobody is led into the water"
    (seconds,) = street().seconds_to(at(2, 0.9), [at(0.2, 0)], SUNK)
    assert seconds == pytest.approx(found.seconds)


def test_who_stands_amid_closed_roads_gets_out() -> None:
    inside, away = at(2, 0.9), at(3.8, 0)
    assert street().seconds_to(away, [inside], SUNK) == pytest.approx(
        street().seconds_from(inside, [away], SUNK)
    )
    out = street().route(inside, away, closed=SUNK)
    assert out is not None
    assert out.line[0] == pytest.approx(at(3, 0), abs=0.1)


def test_nobody_takes_the_closed_roads_of_a_place_as_a_way_through() -> None:
    router = street()
    around = router.route(at(0.2, 0), at(3.8, 0), closed=SUNK)
    assert around is not None
    assert "R-5-0" in around.edges
    assert router.seconds_to(at(3.8, 0), [at(0.2, 0)], SUNK) == pytest.approx([around.seconds])


def test_without_any_way_there_is_no_route() -> None:
    apart = Router(roads.build([
        way(1, (0, 0), (0, 1)), way(2, (0, 1), (0, 2)), way(3, (0, 2), (1, 2), oneway=1), way(4, (1, 2), (1, 0)),
        way(5, (1, 0), (0, 0)),
    ], PLANE))  # fmt: skip
    assert apart.route(at(0, 0.5), at(1, 1), closed=["R-3-0", "R-5-0"]) is None
    seconds = apart.seconds_to(at(1, 1), [at(0, 0.5)], closed=["R-3-0", "R-5-0"])
    assert np.isinf(seconds).all()


def test_an_unknown_road_cannot_be_closed() -> None:
    with pytest.raises(NotFound):
        square().route(at(0, 0), at(1, 1), closed=["R-9-0"])


def test_a_place_aside_of_the_road_is_walked_to() -> None:
    beside = square().route(at(-0.5, 0.5), at(0, 0.9))
    on_road = square().route(at(0, 0.5), at(0, 0.9))
    assert beside is not None
    assert on_road is not None
    assert beside.seconds - on_road.seconds == pytest.approx(0.5 * 111.3 / WALK_MPS, rel=0.01)


def test_many_times_agree_with_single_routes(city: City) -> None:
    rng = np.random.default_rng(3)
    west, south, east, north = city.base.bounds
    places = [(float(x), float(y)) for x, y in rng.uniform((west, south), (east, north), (12, 2))]
    target = places.pop()
    routes = [city.router.route(place, target) for place in places]
    back = [city.router.route(target, place) for place in places]
    assert city.router.seconds_to(target, places) == pytest.approx(
        [r.seconds if r else np.inf for r in routes]
    )
    assert city.router.seconds_from(target, places) == pytest.approx(
        [r.seconds if r else np.inf for r in back]
    )


def test_a_route_is_one_line_that_ends_where_it_should(city: City) -> None:
    bund, tower = (
        tuple(place) for place in city.plane.points([[121.4866, 31.2390], [121.5050, 31.2350]]).tolist()
    )
    found = city.router.route((bund[0], bund[1]), (tower[0], tower[1]))
    assert found is not None
    steps = np.hypot(*np.diff(found.line, axis=0).T)
    assert found.metres == pytest.approx(float(steps.sum()))
    names = {city.asset(edge).name for edge in found.edges}
    assert any("隧道" in name for name in names)  # the river is crossed below it


def test_a_ring_is_the_roads_that_come_near() -> None:
    router = square()
    assert {router.roads.id[row] for row in ring(router.roads, at(0, 1), 5.0)} == {"R-1-0", "R-2-0"}
