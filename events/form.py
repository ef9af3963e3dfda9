"""The text of a rule as the fields of a form, as `events.rules.RuleDecl` declares them, and a field put back. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator

from core.schema import span_s
from core.yamledit import Value, put, rename
from core.yamlfile import Document, KeyPath, Mistake, Mistakes, parse
from events.edited import document
from events.rules import Edge, Part, RuleDecl

COMPARISON = "comparison"
COMPARISONS = ("above", "at_least", "below", "at_most", "equals")
#: Parts that a rule has or has not: their fields are offered only where they stand.
OPTIONAL = ("each", "on", "off")
NUMBERS = (int, float)
#: Whole numbers between bounds no farther apart are chosen from a list.
FEW = 10

FieldKind = Literal["number", "text", "span", "choice", "check", "list", "comparison"]


@dataclass(frozen=True, slots=True)
class Field:
    """One control of the form: `value` is None where the text leaves it out and `default` holds."""

    path: KeyPath
    kind: FieldKind
    value: object
    default: object = None
    required: bool = False
    options: tuple[object, ...] = ()


def fields(rule: Document) -> list[Field]:
    """All that a rule may say, in the order of its declaration; alternatives say for themselves what they watch."""
    apart = rule.at(("any",)) is not None
    return [
        each for each in _of(RuleDecl, rule, ())
        if each.path != ("key",) and not (apart and len(each.path) == 1 and each.path[0] in Part.model_fields)
    ]  # fmt: skip


def _of(model: type[BaseModel], rule: Document, path: KeyPath) -> Iterator[Field]:
    if model is Edge:
        yield from _edge(rule, path)
    for name, declared in model.model_fields.items():
        if model is Edge and name in COMPARISONS:
            continue
        here = (*path, declared.alias or name)
        value = rule.at(here)
        members = list(_members(declared.annotation, declared.metadata))
        if name in OPTIONAL and value is None:
            continue
        yield from _one(members, rule, here, required=declared.is_required(), default=declared.default)


def _edge(rule: Document, path: KeyPath) -> Iterator[Field]:
    """A decision says one comparison, and to what."""
    given = next((name for name in COMPARISONS if rule.at((*path, name)) is not None), None)
    yield Field((*path, COMPARISON), "comparison", given, None, required=True, options=COMPARISONS)
    if given:
        declared = Edge.model_fields[given]
        members = list(_members(declared.annotation, declared.metadata))
        yield from _one(members, rule, (*path, given), required=True, default=None)


def _one(
    members: list[tuple[Any, list[Any]]], rule: Document, path: KeyPath, *, required: bool, default: object
) -> Iterator[Field]:
    value = rule.at(path)
    nested = next(
        (kind for kind, _ in members if isinstance(kind, type) and issubclass(kind, BaseModel)), None
    )
    if nested is not None and (isinstance(value, dict) or len(members) == 1):
        yield from _of(nested, rule, path)
        return
    lists = next((kind for kind, _ in members if get_origin(kind) is list), None)
    item = get_args(lists)[0] if lists else None
    if isinstance(item, type) and issubclass(item, BaseModel):
        for index in range(len(value) if isinstance(value, list) else 0):
            yield from _of(item, rule, (*path, index))
        return
    kind, options = _kind(members)
    told = default if isinstance(default, str | int | float | list) else None
    yield Field(path, kind, _shown(value), told, required, options)


def _members(annotation: Any, metadata: list[Any]) -> Iterator[tuple[Any, list[Any]]]:  # noqa: ANN401 - a type
    """The members of a union, each with what is said about it."""
    if get_origin(annotation) in {Union, UnionType}:
        for member in get_args(annotation):
            yield from _members(member, metadata)
    elif get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        yield from _members(inner, [*metadata, *more])
    elif annotation is not NoneType:
        yield annotation, metadata


def _kind(members: list[tuple[Any, list[Any]]]) -> tuple[FieldKind, tuple[object, ...]]:
    if any(annotation is str for annotation, _ in members):
        return "text", ()
    for annotation, metadata in members:
        if any(isinstance(each, BeforeValidator) and each.func is span_s for each in metadata):
            return "span", ()
        if annotation is int and (bounds := _bounds(metadata)):
            return "choice", tuple(range(bounds[0], bounds[1] + 1))
        if get_origin(annotation) is Literal:
            return "choice", get_args(annotation)
        if get_origin(annotation) is list:
            return "list", ()
        if annotation is bool:
            return "check", ()
        if annotation in NUMBERS:
            return "number", ()
    return "text", ()


def _bounds(metadata: list[Any]) -> tuple[int, int] | None:
    """Least and most of a whole number, where they lie close enough to choose from."""
    least = next((each.ge for each in metadata if hasattr(each, "ge")), None)
    most = next((each.le for each in metadata if hasattr(each, "le")), None)
    near = isinstance(least, int) and isinstance(most, int) and most - least < FEW
    return (least, most) if near else None  # type: ignore[return-value] # both are int where they are near


def _shown(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.date) else value


def changed(text: str, path: KeyPath, value: Value | None) -> str:
    """The text after a field was changed; None leaves a field out. Raises `ValueError` as `core.yamledit.put`."""
    if path[-1] != COMPARISON:
        return put(text, path, value)
    given = next((each for each in COMPARISONS if put(text, (*path[:-1], each), None) != text), None)
    if given is None:
        return put(text, (*path[:-1], str(value)), 0)
    return rename(text, (*path[:-1], given), str(value))


def read(key: str, text: str) -> tuple[list[Field], list[Mistake]]:
    """Fields of a text, and what its declaration alone can tell to be wrong; what is no YAML has no fields."""
    try:
        found = document(key, text)
    except Mistakes as wrong:
        return [], wrong.mistakes
    told = fields(Document(key, found.at((0,)), {}))
    try:
        parse(found, RuleDecl, (0,))
    except Mistakes as wrong:
        return told, wrong.mistakes
    return told, []
