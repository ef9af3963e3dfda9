from __future__ import annotations

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from gis.asset import Asset
from gis.city import City
from gis.crs import Plane
from gis.search import Search

PLANE = Plane(121.5, 31.24)


def asset(name: str, zh: str, en: str = "", kind: str = "road") -> Asset:
    return Asset(name, kind, shapely.LineString([(121.5, 31.24), (121.51, 31.24)]), zh, en)


SEARCH = Search(
    [
        asset("R-1", "滨江大道", "Binjiang Avenue"), asset("R-2", "滨江大道", "Binjiang Avenue"),
        asset("R-3", "重庆南路", "South Chongqing Road"), asset("R-4", "长乐路", "Changle Road"),
        asset("L-1", "东方医院", "East Hospital", "place"), asset("L-2", "东方明珠", "Oriental Pearl", "place"),
        asset("P-0123", "", kind="pipe"), asset("P-0124", "", kind="pipe"), asset("X-1", "3号线", kind="place"),
    ],
    PLANE,
)  # fmt: skip


def ids(query: str, **more: object) -> list[str]:
    return [found.id for found in SEARCH.find(query, **more)]  # type: ignore[arg-type] # keywords of find


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("滨江大道", "R-1"), ("滨江", "R-1"), ("江大", "R-1"), ("binjiang", "R-1"), ("bin jiang da dao", "R-1"),
        ("bjdd", "R-1"), ("binj", "R-1"), ("bjdad", "R-1"), ("Binjiang Ave", "R-1"), ("dadao", "R-1"),
        ("chongqing", "R-3"), ("zhongqing", "R-3"), ("cqnl", "R-3"), ("changle", "R-4"), ("clr", ""),
        ("东方医院", "L-1"), ("dfyy", "L-1"), ("dongfangming", "L-2"), ("pearl", "L-2"), ("oriental pearl", "L-2"),
        ("P-0123", "P-0123"), ("p-0123", "P-0123"), ("p-012", "P-0123"), ("3haoxian", "X-1"), ("3号线", "X-1"),
        ("不存在", ""), ("", ""), ("   ", ""), ("zzzz", ""),
    ],
)  # fmt: skip
def test_places_are_found_however_they_are_typed(query: str, first: str) -> None:
    found = ids(query)
    assert (found[0] if found else "") == first


def test_a_street_of_many_stretches_is_found_once() -> None:
    assert len(ids("滨江大道")) == 1


def test_kinds_can_be_asked_for() -> None:
    assert ids("东方", kinds=["road"]) == []
    assert set(ids("东方", kinds=["place"])) == {"L-1", "L-2"}


def test_a_whole_name_comes_before_a_part_of_another() -> None:
    both = Search([asset("A", "人民路隧道"), asset("B", "人民路")], PLANE)
    assert [found.id for found in both.find("人民路")] == ["B", "A"]
    assert [found.id for found in both.find("renminlu")] == ["B", "A"]


@given(st.text(max_size=12))
def test_nothing_that_is_typed_is_an_error(query: str) -> None:
    SEARCH.find(query)


def test_the_sample_city_can_be_searched(city: City) -> None:
    search = Search(city.assets.values(), city.plane)
    assert search.find("ljz")[0].name.startswith("陆家嘴")
    assert search.find("lujiazuihuanlu")[0].name == "陆家嘴环路"
    assert search.find("UP-01")[0].id == "UP-01"
    lon, lat = search.find("东方明珠")[0].lon, search.find("东方明珠")[0].lat
    assert (lon, lat) == pytest.approx((121.495, 31.242), abs=0.003)
