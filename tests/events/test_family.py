"""Which incident belongs under which."""

from __future__ import annotations

from events.engine import Model
from events.family import Family, Relative
from events.place import NOWHERE, Place

HERE = Place(121.49, 31.24, asset="B-1")


def test_a_shortage_of_water_belongs_under_the_fire_of_its_building_and_under_no_other(model: Model) -> None:
    family = Family({key: kind.decl for key, kind in model.types.items()}, NOWHERE)
    fire = Relative("f", "building_fire", HERE)
    other = Relative("o", "building_fire", Place(121.49, 31.24, asset="B-2"))
    shortage = Relative("s", "fire_water_shortage", HERE)
    assert family.parents_of("fire_water_shortage") == ["building_fire"]
    assert family.parent_of(shortage, [other, fire]) == "f"
    assert family.parent_of(shortage, [other]) == ""
    assert family.parent_of(fire, [shortage, other]) == ""


def test_every_flood_of_the_city_belongs_under_its_storm(model: Model) -> None:
    family = Family({key: kind.decl for key, kind in model.types.items()}, NOWHERE)
    storm = Relative("s", "storm_waterlogging", Place(121.3, 31.1))
    assert family.belongs(Relative("u", "underpass_flood", HERE), storm)
    assert not family.belongs(Relative("n", "night_noise", HERE), storm)
