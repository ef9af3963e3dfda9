"""Every word that our pages and vital signs show exists in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.domains import Domains
from core.text import Texts
from dashboard.vitals import declare
from events.rules import Edge, OfDevice, Owner, RuleDecl, Schedule, Source
from iot import kinds
from tests.dashboard import scripted

ASSETS = scripted.ROOT / "dashboard" / "assets"
LITERAL = re.compile(r"""\bt\(\s*["'`]([a-z_]+(?:\.[a-z0-9_${}.]+)+)["'`]""")


@pytest.fixture(scope="module")
def texts() -> Texts:
    return scripted.words()


def asked() -> Iterator[tuple[Path, str]]:
    """Every text key that a browser module names; `${…}` stands for anything."""
    for path in ASSETS.glob("**/*.mjs"):
        for key in LITERAL.findall(path.read_text("utf-8")):
            yield path, key


def test_every_key_that_a_page_names_has_a_text(texts: Texts) -> None:
    found = list(asked())
    assert len(found) > 60
    known = texts.all("zh")
    missing = [
        f"{path.name}: {key}"
        for path, key in found
        if not any(
            re.fullmatch(re.sub(r"\\\$\\\{[^}]*\\\}", r"[^.]+", re.escape(key)), name) for name in known
        )
    ]
    assert missing == []


def test_every_vital_has_a_name_and_a_formula_in_words(texts: Texts, shipped: Domains) -> None:
    for vital in declare.load(shipped, kinds.load(shipped)):
        for language in ("zh", "en"):
            for part in ("name", "formula"):
                assert texts.has(f"vital.{vital.key}.{part}", language), f"{vital.key}.{part} {language}"
        assert texts.has(f"vital_group.{vital.decl.group}"), vital.decl.group
        if vital.decl.sub is not None:
            assert texts.has(f"vital.{vital.key}.sub"), f"{vital.key} has a sub-line without words"


def test_names_of_the_wall_s_rows_fit_their_column(texts: Texts, shipped: Domains) -> None:
    """15.6 rem at 2.4 rem: six Chinese signs, or sixteen Latin letters of the narrow face."""
    for vital in declare.load(shipped, kinds.load(shipped)):
        if vital.decl.slot in ("row", "reserve"):
            name = texts(f"vital.{vital.key}.name", "zh")
            assert sum(0.5 if sign.isascii() else 1 for sign in name) <= 6, vital.key
            assert len(texts(f"vital.{vital.key}.name", "en")) <= 17, vital.key


def test_every_field_of_the_form_of_a_rule_has_a_name(texts: Texts) -> None:
    parts = (RuleDecl, Edge, OfDevice, Schedule, Source, Owner)
    names = {each.alias or name for part in parts for name, each in part.model_fields.items()}
    shown = names - {"key", "any", "each", "on", "off", "source", "owner", "schedule"} | {"comparison"}
    assert [name for name in sorted(shown) if not texts.has(f"rules.field.{name}", "en")] == []
