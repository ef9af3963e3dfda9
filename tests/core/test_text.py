"""Words: the same keys in both languages, one home each, and a missing one shows itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core import text
from core.text import LANGUAGES, Texts, fill
from core.yamlfile import Mistakes
from tests.conftest import ROOMS, ROOT


def home(folder: Path, name: str, zh: str, en: str) -> Path:
    (folder / name / "text").mkdir(parents=True)
    (folder / name / "text" / "zh.yaml").write_text(zh, encoding="utf-8")
    (folder / name / "text" / "en.yaml").write_text(en, encoding="utf-8")
    return folder / name


def test_nesting_becomes_dots_and_values_take_their_places(tmp_path: Path) -> None:
    texts = text.load(
        [home(tmp_path, "gas", "a:\n  b: 你好 {who}\nc.d: 值\n", "a:\n  b: Hello {who}\nc.d: value\n")]
    )
    assert texts("a.b", "zh", who="城市") == "你好 城市"
    assert texts("a.b", "en", who="city") == "Hello city"
    assert texts("c.d", "en") == "value"
    assert texts.has("a.b")
    assert not texts.has("a")


def test_a_missing_key_and_a_missing_value_show_themselves() -> None:
    texts = Texts({"zh": {"a": "甲 {n}"}, "en": {}})
    assert texts("a", "en") == "⟦a⟧"
    assert texts("b", "zh") == "⟦b⟧"
    assert fill("甲 {n}", {"m": 1}) == "甲 {n}"


def test_a_text_in_one_language_only_is_a_mistake_with_its_line(tmp_path: Path) -> None:
    one = home(
        tmp_path, "gas", "kind:\n  a: {name: 甲}\n  b: {name: 乙}\n", "kind:\n  a: {name: A}\nextra: x\n"
    )
    with pytest.raises(Mistakes) as raised:
        text.load([one])
    assert str(raised.value).splitlines() == [
        "gas/text/en.yaml:3: extra: has no text in zh.yaml",
        "gas/text/zh.yaml:3: kind.b.name: has no text in en.yaml",
    ]


def test_a_key_in_two_homes_is_a_mistake(tmp_path: Path) -> None:
    homes = [home(tmp_path, name, "ok: 好\n", "ok: OK\n") for name in ("gas", "fire")]
    with pytest.raises(Mistakes) as raised:
        text.load(homes)
    assert [(mistake.file, mistake.line) for mistake in raised.value.mistakes] == [
        ("fire/text/en.yaml", 1),
        ("fire/text/zh.yaml", 1),
    ]


def test_everything_shipped_is_in_both_languages_with_the_same_places() -> None:
    domains = sorted(path for path in (ROOT / "domains").iterdir() if path.is_dir())
    texts = text.load([*(ROOT / room for room in ROOMS), *domains])
    places = {
        language: {key: sorted(re.findall(r"{\w+}", words)) for key, words in texts.all(language).items()}
        for language in LANGUAGES
    }
    assert places["zh"] == places["en"]
    assert all(words.strip() for language in LANGUAGES for words in texts.all(language).values())
