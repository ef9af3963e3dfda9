"""What the screens of an installation are made of, from the shipped declarations."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import declared
from app.__main__ import ROOT
from app.declared import Declared
from app.screens import screens_of, setup_of, views_of
from app.town import Town
from core.clock import SystemClock
from core.db import Database
from events.sentence import Speech, sentence
from gis.city import sample_city
from gis.views import CityMap
from tests.dashboard import scripted


@pytest.fixture(scope="module")
def shipped() -> Declared:
    return declared.load(ROOT / "config.yaml")


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(CityMap(sample_city, tmp_path))


def test_the_wall_is_told_all_that_a_scripted_one_is_told(shipped: Declared, town: Town) -> None:
    told = setup_of(shipped, town)
    assert set(scripted.screens("empty", devices=1).setup) <= set(told)
    assert told["scenes"]
    assert told["areas"]


def test_one_vital_sign_can_be_asked_for_in_full(shipped: Declared, town: Town) -> None:
    known = scripted.registry(devices=1)
    found = screens_of(shipped, Database("postgresql://nowhere"), SystemClock(), known, town)
    assert found.vitals is found.sources["vitals"]


def test_places_are_told_by_the_names_of_their_areas(shipped: Declared, town: Town) -> None:
    views = views_of(shipped, Database("postgresql://nowhere"), town.areas)
    speech = Speech(shipped.texts, "zh", shipped.settings.zone, views.areas)
    said = speech.say(sentence("explain.where.near", name={"zh": "测压点 9", "en": "x"}, area="A-lujiazui"))
    assert "陆家嘴街道" in said
    assert "A-" not in said
