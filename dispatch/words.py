"""Text keys become sentences at the edge: every `{"key": …, "params": …}` in what is shown, however deep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.text import Texts

#: Parameters whose values are themselves keys of a family of texts.
FAMILIES = {
    "skills": "skill",
    "equipment": "equipment",
    "department": "department",
    "why": "dispatch.triage",
    "role": "role",
}


def render(value: object, texts: Texts, language: str) -> object:
    """The same structure with sentences in place of text keys, and `{"text": …}` as its text."""
    if isinstance(value, Mapping):
        if value.keys() == {"text"}:
            return value["text"]
        if value.keys() == {"key", "params"}:
            return sentence(value, texts, language)
        return {name: render(part, texts, language) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [render(part, texts, language) for part in value]
    return value


def sentence(told: Mapping[str, object], texts: Texts, language: str) -> str:
    params = told["params"]
    assert isinstance(params, Mapping)
    values = {name: _param(str(name), value, texts, language) for name, value in params.items()}
    return texts(str(told["key"]), language, **values)


def _param(name: str, value: object, texts: Texts, language: str) -> object:
    if isinstance(value, Mapping):
        return _named(value, texts, language)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return (", " if language == "en" else "、").join(
            str(_param(name, part, texts, language)) for part in value
        )
    family = FAMILIES.get(name)
    key = f"{family}.{value}"
    return texts(key, language) if family and texts.has(key, language) else value


def _named(value: Mapping[str, object], texts: Texts, language: str) -> object:
    """A nested told, a name in two languages, or a reason with how often it was met."""
    if value.keys() == {"key", "params"}:
        return sentence(value, texts, language)
    if "key" in value and "n" in value:
        short = texts(f"{value['key']}_short", language)
        return f"{short} {value['n']}"
    return value.get(language, value)
