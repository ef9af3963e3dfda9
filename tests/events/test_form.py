"""A rule as a form: every shipped rule has its fields, and a changed field changes nothing else."""

from __future__ import annotations

import pytest

from core.domains import Domains
from core.yamlfile import Document
from events import edited
from events.edited import document
from events.form import Field, changed, read
from events.rules import RuleDecl


def texts(domains: Domains) -> dict[str, str]:
    keys = [found.item.key for found in domains.section("rules", RuleDecl)]
    return {key: text for key in keys if (text := (edited.shipped(domains, key) or ("", 0, ""))[2])}


def own(key: str, text: str) -> object:
    return Document(key, document(key, text).at((0,)), {}).data


def test_a_field_of_a_shipped_rule_put_back_changes_nothing(shipped: Domains) -> None:
    """Of every tenth rule another one; all fields of all rules take two minutes and a half."""
    for number, (key, text) in enumerate(texts(shipped).items()):
        if number % 10:
            continue
        fields, wrong = read(key, text)
        assert wrong == []
        given = [field for field in fields if field.value is not None and field.kind != "comparison"]
        field = given[number % len(given)]
        again = changed(text, field.path, field.value)  # type: ignore[arg-type] # as it was read
        assert own(key, again) == own(key, text), (key, field.path)
        assert again.count("#") == text.count("#")


RULE = """\
key: fl.depth.wet
kinds: [fl_underpass]
class: field
level: 4 # low
channel: depth
on: {at_least: 5, for: 2m}
off: {below: {param: dry_cm, default: 3}, for: 10m}
mystery: kept
source: {ref: common practice, mark: P}
seen_within: 60m
act_within: 30m
owner: {lead: drainage_company}
"""


def value_of(text: str, *path: str) -> Field:
    return next(field for field in read("fl.depth.wet", text)[0] if field.path == path)


def test_a_form_shows_what_is_declared_and_what_is_wrong() -> None:
    fields, wrong = read("fl.depth.wet", RULE)
    assert [(mistake.line, mistake.key) for mistake in wrong] == [(8, "[0].mystery")]
    assert value_of(RULE, "level").options == (1, 2, 3, 4)
    assert value_of(RULE, "off", "below", "default").value == 3
    assert value_of(RULE, "schedule", "from").value is None
    assert value_of(RULE, "on", "for").kind == "span"
    assert value_of(RULE, "channel").kind == "text"
    assert {field.kind for field in fields} == {
        "number",
        "text",
        "span",
        "choice",
        "check",
        "list",
        "comparison",
    }
    assert read("fl.depth.wet", "key: [")[0] == []


def test_the_comparison_is_changed_without_its_number_and_unknown_keys_stay() -> None:
    text = changed(RULE, ("on", "comparison"), "above")
    assert text == RULE.replace("at_least: 5", "above: 5")
    assert "mystery: kept" in changed(text, ("level",), 3)
    assert "level: 3 # low" in changed(text, ("level",), 3)


def test_a_text_that_is_no_mapping_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="no keys"):
        changed("- key: x", ("level",), 3)
