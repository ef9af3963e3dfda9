"""One value of a YAML text is changed and every other character stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.yamledit import Value, put, rename
from core.yamlfile import KeyPath, parsed

TEXT = """\
# why this rule
key: a.b   # its name
kinds:     # of devices
  - one
  - two # the second
on: {at_least: 5, for: 2m} # when
source:
  ref: common practice
  note: >-
    long
    words
# the end
"""
WORDS = st.text("ab1 :,#-{}[]'\"中\\", max_size=12)


def data(text: str) -> object:
    return parsed(text, "test").data


@pytest.mark.parametrize(
    ("path", "value", "before", "after"),
    [
        (("on", "at_least"), 7.5, "at_least: 5,", "at_least: 7.5,"),
        (("on", "min_samples"), 3, "for: 2m}", "for: 2m, min_samples: 3}"),
        (("on", "for"), None, ", for: 2m}", "}"),
        (("on", "at_least"), None, "{at_least: 5, for", "{for"),
        (("kinds",), ["one", "x: y"], "  - one\n  - two # the second", '  [one, "x: y"] # the second'),
        (("schedule", "from"), "22:00", "# the end", None),
        (("source", "note"), "short", ">-\n    long\n    words", "short"),
        (("source", "ref"), None, "  ref: common practice\n", ""),
    ],
)
def test_a_change_leaves_everything_else_as_it_was_typed(
    path: KeyPath, value: Value | None, before: str, after: str | None
) -> None:
    text = put(TEXT, path, value)
    if after is not None:
        assert text == TEXT.replace(before, after)
    else:
        assert text == TEXT.replace("    words\n", "    words\nschedule: {from: 22:00}\n")


def test_what_becomes_empty_goes_and_a_key_can_be_renamed() -> None:
    alone = put(put(TEXT, ("on", "for"), None), ("on", "at_least"), None)
    assert alone == TEXT.replace("on: {at_least: 5, for: 2m} # when\n", "")
    assert rename(TEXT, ("on", "at_least"), "above") == TEXT.replace("at_least", "above")


@pytest.mark.parametrize("text", ["", "- a list", "just words", "a: [", "a: 1\na: 2"])
def test_a_text_without_keys_is_refused_or_left_alone(text: str) -> None:
    try:
        assert put(text, ("key", "deeper"), "x")
    except ValueError:
        return


@given(WORDS, st.sampled_from([("key",), ("source", "note"), ("source", "new"), ("on", "new"), ("a", "b")]))
def test_any_words_come_back_as_they_were_put(words: str, path: KeyPath) -> None:
    assert parsed(put(TEXT, path, words), "test").at(path) == words
    assert put(TEXT, path, words).count("#") >= TEXT.count("#")
