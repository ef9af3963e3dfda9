"""Declarations: YAML 1.2, and every mistake with the file and line where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BeforeValidator

from core import yamlfile
from core.schema import Declared, Span, span_s
from core.yamlfile import Document, KeyPath, Mistakes


def above_zero(value: object) -> object:
    if isinstance(value, int | float) and value > 0:
        return value
    raise ValueError("must be above 0")


Share = Annotated[float, BeforeValidator(above_zero)]


class Part(Declared):
    name: str
    share: Share = 1.0


class Whole(Declared):
    key: str
    wait: Span = 1.0
    part: Part | None = None
    parts: dict[str, Part] = {}


def read(folder: Path, text: str) -> Document:
    path = folder / "wrong.yaml"
    path.write_text(text, encoding="utf-8")
    return yamlfile.read(path, "domains/x/wrong.yaml")


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(Mistakes) as raised:
        yamlfile.parse_list(read(folder, text), Whole)
    return str(raised.value).splitlines()


def test_words_times_and_quoted_codes_stay_what_they_look_like(tmp_path: Path) -> None:
    data = read(tmp_path, 'a: off\nb: 22:00\nc: "0101"\nd: no\ne: 1e3\nf: null\n').data
    assert data == {"a": "off", "b": "22:00", "c": "0101", "d": "no", "e": 1000.0, "f": None}


TREES: st.SearchStrategy[object] = st.recursive(
    st.integers(0, 99),
    lambda inner: st.dictionaries(st.sampled_from("abcdef"), inner, min_size=1) | st.lists(inner, min_size=1),
    max_leaves=12,
)


def block(tree: object, depth: int, path: KeyPath, lines: list[str], at: dict[KeyPath, int]) -> None:
    """A tree as block YAML, one key or item a line, and the line of each path."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for part, value in pairs:
        leaf = f" {value}" if isinstance(value, int) else ""
        lines.append("  " * depth + ("-" if isinstance(part, int) else f"{part}:") + leaf)
        # a nested item begins where its first content stands
        at[(*path, part)] = len(lines) + (isinstance(part, int) and not leaf)
        block(value, depth + 1, (*path, part), lines, at)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), TREES, min_size=1))
def test_every_key_and_item_knows_its_line(tmp_path: Path, tree: dict[str, object]) -> None:
    lines: list[str] = []
    at: dict[KeyPath, int] = {}
    block(tree, 0, (), lines, at)
    document = read(tmp_path, "\n".join(lines))
    assert document.data == tree
    assert {path: document.line(path) for path in at} == at


def test_a_path_that_is_not_there_has_the_line_of_its_nearest_part(tmp_path: Path) -> None:
    document = read(tmp_path, "# head\na:\n  - b: 1\n    c: 2\n")
    assert document.line(("a", 0, "missing", 3)) == 3
    assert document.line(()) == 2
    assert document.at(("a", 0, "c")) == 2
    assert document.at(("a", 7)) is None


def test_a_key_that_stands_twice_is_a_mistake_each_time(tmp_path: Path) -> None:
    with pytest.raises(Mistakes) as raised:
        read(tmp_path, "a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    assert str(raised.value).splitlines() == [
        "domains/x/wrong.yaml:4: b.c: stands here a second time",
        "domains/x/wrong.yaml:5: a: stands here a second time",
    ]


def test_what_is_no_yaml_no_text_or_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match=r"wrong\.yaml:2: \(file\): is not YAML"):
        read(tmp_path, "a: 1\nb: 1: 2\n")
    (tmp_path / "bytes.yaml").write_bytes(b"a: \xff")
    with pytest.raises(Mistakes, match=r"is not UTF-8 \(byte 3\)"):
        yamlfile.read(tmp_path / "bytes.yaml")
    with pytest.raises(Mistakes, match="does not exist"):
        yamlfile.read(tmp_path / "none.yaml")
    assert read(tmp_path, "").data is None


def test_all_mistakes_of_a_list_come_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    text = """\
- key: good
- kye: bad
- key: parts
  part: {name: a, shrae: 2}
  wait: 5
- key: map
  parts:
    first:
      share: many
"""
    assert mistakes(tmp_path, text) == [
        "domains/x/wrong.yaml:2: [1].key: is missing",
        "domains/x/wrong.yaml:2: [1].kye = 'bad': is not a known key; did you mean key?",
        "domains/x/wrong.yaml:4: [2].part.shrae = 2: is not a known key",
        "domains/x/wrong.yaml:5: [2].wait = 5: must be a span of time such as 30s, 5m, 1h or 28d",
        "domains/x/wrong.yaml:8: [3].parts.first.name: is missing",
        "domains/x/wrong.yaml:9: [3].parts.first.share = 'many': must be above 0",
    ]


def test_the_good_items_are_given_beside_the_mistakes_of_the_others(tmp_path: Path) -> None:
    wrong: list[yamlfile.Mistake] = []
    document = read(tmp_path, "- key: a\n- {}\n- key: b\n")
    found = yamlfile.gather_list(document, Whole, wrong)
    assert [(index, item.key) for index, item in found] == [(0, "a"), (2, "b")]
    assert [mistake.line for mistake in wrong] == [2]


def test_what_should_be_a_list_and_is_none_is_a_mistake(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "key: a\n") == [
        "domains/x/wrong.yaml:1: (file): must be a list (lines that begin with -)"
    ]
    assert yamlfile.parse_list(read(tmp_path, "# nothing yet\n"), Whole) == []


@pytest.mark.parametrize(
    ("written", "seconds"), [("90s", 90), ("5m", 300), ("1h 30m", 5400), ("28d", 2_419_200), ("250ms", 0.25)]
)
def test_a_span_has_its_unit(written: str, seconds: float) -> None:
    assert span_s(written) == seconds


@pytest.mark.parametrize("written", [5, "5", "m", "5 parsecs", "", None, "5m!"])
def test_a_span_without_a_unit_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="span of time"):
        span_s(written)


def test_a_time_in_a_list_needs_no_quotes(tmp_path: Path) -> None:
    assert read(tmp_path, "at: [12:30, 22:00:05]\n").data == {"at": ["12:30", "22:00:05"]}
