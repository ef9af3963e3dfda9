from __future__ import annotations

from pathlib import Path

import pytest

from core import text
from gis import roads
from gis.city import City
from gis.crs import Plane
from gis.place import Gazetteer, Street

PLANE = Plane(0.0, 0.0)
STEP = 0.001
WORDS = text.load([Path(__file__).resolve().parents[2] / "gis"])


@pytest.fixture(scope="module")
def crossroads() -> Gazetteer:
    def way(osm: int, name: str, name_en: str, *places: tuple[float, float]) -> roads.Way:
        told = {"osm": osm, "class": "primary", "name": name, "name_en": name_en}
        return told, [[x * STEP, y * STEP] for x, y in places]

    streets = roads.build([
        way(1, "滨江大道", "Binjiang Avenue", (-5, 0), (0, 0), (5, 0)),
        way(2, "建设路", "Jianshe Road", (0, -5), (0, 0), (0, 5)),
        way(3, "孤路", "", (30, 30), (31, 30)),
    ], PLANE)  # fmt: skip
    return Gazetteer(streets, [(Street("公园", "Park"), *at(30.5, 33.0))])


def at(x: float, y: float) -> tuple[float, float]:
    east, north = PLANE.to_xy(x * STEP, y * STEP)
    return float(east), float(north)


@pytest.mark.parametrize(
    ("place", "zh", "en"),
    [
        ((0.36, 0.02), "滨江大道 / 建设路口 东 40 m", "Binjiang Avenue, 40 m east of Jianshe Road"),
        ((-1.0, 0.02), "滨江大道 / 建设路口 西 110 m", "Binjiang Avenue, 110 m west of Jianshe Road"),
        ((0.02, 0.9), "建设路 / 滨江大道口 北 100 m", "Jianshe Road, 100 m north of Binjiang Avenue"),
        ((0.03, 0.05), "建设路 / 滨江大道口", "Jianshe Road at Binjiang Avenue"),
        ((30.5, 30.1), "孤路", "孤路"),
        ((30.5, 32.9), "公园附近", "near Park"),
        ((60.0, 60.0), "位置不详", "place not known"),
    ],
)
def test_a_place_is_told_as_a_person_would(
    crossroads: Gazetteer, place: tuple[float, float], zh: str, en: str
) -> None:
    found = crossroads.find(*at(*place))
    assert found.told(WORDS, "zh") == zh
    assert found.told(WORDS, "en") == en


def test_every_valve_of_the_city_can_be_told(city: City) -> None:
    for valve in list(city.of_kind("valve"))[::20]:
        zh, en = city.describe(*valve.lonlat)
        assert "⟦" not in zh + en
        assert zh != "位置不详"
