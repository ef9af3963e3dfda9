"""What an incident affects, as the map and its networks know it, in both languages."""

from __future__ import annotations

import pytest

from core.text import Texts
from events.affected import Affected
from events.engine import Model
from events.place import Place, World
from events.sentence import Speech
from events.types import Affects
from gis.city import City, sample_city
from tests.events.test_assess import ON_THE_PIPE, assessed, kind, manhole
from tests.events.world import CITY

NOWHERE = Place(120.0, 30.0)


@pytest.fixture(scope="module")
def city() -> City:
    return sample_city()


@pytest.fixture(scope="module")
def affected(city: City) -> Affected:
    return Affected(city)


def at(city: City, asset: str) -> Place:
    held = city.asset(asset)
    return Place(*held.lonlat, asset=asset, zone=held.zone)


def said(told: list[dict[str, object]], texts: Texts) -> list[str]:
    """Chinese and English of the only sentence."""
    (one,) = told
    return [Speech(texts, language, CITY.zone).say(one) for language in ("zh", "en")]


def test_a_burst_affects_the_homes_and_hydrants_that_its_valves_cut_off(
    city: City, affected: Affected, texts: Texts
) -> None:
    told = affected([Affects(kind="cut")], at(city, "J-0418"))
    dry = city.networks["water_supply"].isolating_valves("J-0418")
    hydrants = [each for each in city.of_kind("hydrant") if each.attributes["pipe"] in dry.edges]
    assert dry.customers > 0
    assert hydrants
    zh, en = said(told, texts)
    assert (
        zh
        == f"关闭 {len(dry.valves)} 个阀门后，停水 {dry.customers} 户、消火栓 {len(hydrants)} 个（按管网图）"
    )
    assert f"{dry.customers} homes and {len(hydrants)} hydrants" in en


def test_a_stopped_pump_affects_its_district(city: City, affected: Affected, texts: Texts) -> None:
    told = affected([Affects(kind="district")], at(city, "J-0418"))
    homes = sum(
        int(str(each.attributes["households"])) for each in city.of_kind("junction") if each.zone == "DMA-07"
    )
    assert said(told, texts) == [
        f"DMA-07 片区 {homes} 户（按管网图）", f"District DMA-07: {homes} homes (by the network map)"
    ]  # fmt: skip


def test_a_flood_affects_the_underpass_and_elsewhere_the_roads(
    city: City, affected: Affected, texts: Texts
) -> None:
    roads = [Affects(kind="roads", within_m=60)]
    assert said(affected(roads, at(city, "UP-02")), texts) == [
        "浦东南路下立交通行", "Traffic through South Pudong Road underpass"
    ]  # fmt: skip
    zh, en = said(affected(roads, at(city, "LP-01")), texts)
    assert "小石桥路" in zh
    assert "Xiaoshiqiao Road" in en


def test_gas_affects_the_buildings_within_reach(city: City, affected: Affected, texts: Texts) -> None:
    place = at(city, "LP-02")
    few, many = (
        int(str(told["params"]["n"]))  # type: ignore[index] # a sentence
        for reach in (100, 200)
        for told in affected([Affects(kind="buildings", within_m=reach)], place)
    )
    assert 0 < few < many
    zh, en = said(affected([Affects(kind="buildings", within_m=100)], place), texts)
    assert (zh, en) == (f"100 米内建筑 {few} 栋", f"{few} buildings within 100 m")


def test_hospitals_and_schools_nearby_are_named(city: City, affected: Affected, texts: Texts) -> None:
    hospital = next(each for each in city.of_kind("place") if each.attributes["class"] == "hospital")
    told = affected([Affects(kind="key_users", within_m=50)], at(city, hospital.id))
    zh, en = said(told, texts)
    assert zh.startswith("50 米内重点单位：")
    assert hospital.name in zh
    assert (hospital.name_en or hospital.name) in en


def test_of_what_the_map_does_not_know_nothing_is_said(affected: Affected) -> None:
    every = [Affects(kind=each) for each in ("cut", "district", "roads", "buildings", "key_users")]
    assert affected(every, NOWHERE) == []


def test_the_explanation_says_what_is_affected_where_the_cause_is() -> None:
    asked: list[Place] = []

    def tell(_declared: object, place: Place) -> list[dict[str, object]]:
        asked.append(place)
        return [{"key": "told"}]

    facts = [manhole(4, 10, peak=2.2), manhole(5, 4, peak=1.3)]
    seen = assessed(kind("strongest", ON_THE_PIPE), facts, World(affected=tell))
    assert seen.explanation["affects"] == [{"key": "told"}]
    assert [place.asset for place in asked] == [seen.asset]
    assert assessed(kind("strongest", ON_THE_PIPE), facts, World()).explanation["affects"] == []


@pytest.mark.parametrize(
    "type_", ["water_burst", "water_leak", "pump_failure", "underpass_flood", "street_ponding", "gas_leak"]
)
def test_the_types_of_water_and_gas_declare_what_they_affect(model: Model, type_: str) -> None:
    assert model.types[type_].decl.affects
