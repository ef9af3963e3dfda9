"""What the screens of an installation are made of, from the shipped declarations."""

from __future__ import annotations

import pytest

from app import declared
from app.__main__ import ROOT
from app.declared import Declared
from app.screens import screens_of, setup_of, views_of
from core.clock import SystemClock
from core.db import Database
from events.sentence import Speech, sentence
from tests.dashboard import scripted


@pytest.fixture(scope="module")
def shipped() -> Declared:
    return declared.load(ROOT / "config.yaml")


def test_the_wall_is_told_all_that_a_scripted_one_is_told(shipped: Declared) -> None:
    told = setup_of(shipped)
    assert set(scripted.screens("empty", devices=1).setup) <= set(told)
    assert told["scenes"]
    assert told["areas"]


def test_one_vital_sign_can_be_asked_for_in_full(shipped: Declared) -> None:
    known = scripted.registry(devices=1)
    found = screens_of(shipped, Database("postgresql://nowhere"), SystemClock(), known)
    assert found.vitals is found.sources["vitals"]


def test_places_are_told_by_the_names_of_their_areas(shipped: Declared) -> None:
    views = views_of(shipped, Database("postgresql://nowhere"))
    speech = Speech(shipped.texts, "zh", shipped.settings.zone, views.areas)
    said = speech.say(sentence("explain.where.near", name={"zh": "测压点 9", "en": "x"}, area="A-lujiazui"))
    assert "陆家嘴街道" in said
    assert "A-" not in said
