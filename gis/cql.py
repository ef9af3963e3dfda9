"""CQL2 (OGC 21-065r2), text and JSON, as a PostgreSQL jsonpath and a shape: no SQL is ever built from a request.

Understood: = <> < <= > >=, LIKE, BETWEEN, IN, IS NULL, AND, OR, NOT, CASEI, booleans, dates and timestamps; and
S_INTERSECTS on the geometry, alone or joined by AND.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shapely

from core.errors import Invalid
from gis.lines import Geometry

COMPARE = {"=": "==", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
GEOMETRY = "geometry"


@dataclass(frozen=True, slots=True)
class Filter:
    """What a request asks for: a jsonpath predicate over the properties ("" = everything), and a shape or None."""

    jsonpath: str = ""
    shape: Geometry | None = None


def parse(text: str, language: str = "cql2-text") -> Filter:
    """A filter in `cql2-text` or `cql2-json`. Raises `Invalid` with what was not understood."""
    import cql2

    try:
        parsed = cql2.parse_json(text) if language == "cql2-json" else cql2.parse_text(text)
        tree: Any = parsed.to_json()
    except (cql2.ParseError, cql2.ValidationError, ValueError) as wrong:
        raise Invalid("error.bad_filter", field="filter", reason=" ".join(str(wrong).split())[:200]) from None
    terms, shapes = [], []
    for term in _joined(tree):
        if isinstance(term, Mapping) and term.get("op") == "s_intersects":
            shapes.append(_shape(term["args"]))
        else:
            terms.append(_predicate(term))
    return Filter(
        " && ".join(f"({term})" for term in terms), shapely.intersection_all(shapes) if shapes else None
    )


def equal(name: str, value: str) -> str:
    """The jsonpath of `name=value` in a query string, where nothing says whether the value is a number."""
    options = [_literal(value)]
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        options.append(value)
    if value in {"true", "false"}:
        options.append(value)
    return " || ".join(f"{_property(name)} == {option}" for option in options)


def both(*paths: str) -> str:
    """All of some predicates, without the empty ones."""
    return " && ".join(f"({path})" for path in paths if path)


def _joined(tree: Any) -> Sequence[Any]:  # noqa: ANN401 - CQL2 JSON
    """The terms of an AND at the top, however deep it is nested."""
    if isinstance(tree, Mapping) and tree.get("op") == "and":
        return [term for each in tree["args"] for term in _joined(each)]
    return [tree]


def _predicate(tree: Any) -> str:  # noqa: ANN401 - CQL2 JSON
    if isinstance(tree, bool):
        return "1 == 1" if tree else "1 == 0"
    op, args = _operation(tree)
    if op in {"and", "or"}:
        return f" {'&&' if op == 'and' else '||'} ".join(f"({_predicate(each)})" for each in args)
    if op == "not":
        return f"!({_predicate(args[0])})"
    if op == "isNull":
        return f"!exists({_operand(args[0])})"
    if op == "like":
        return f"{_operand(args[0])} like_regex {_literal(_regex(str(args[1])))}"
    if op == "between":
        value = _operand(args[0])
        return f"{value} >= {_operand(args[1])} && {value} <= {_operand(args[2])}"
    if op == "in":
        return " || ".join(f"{_operand(args[0])} == {_operand(each)}" for each in args[1]) or "1 == 0"
    if op in COMPARE:
        if any(isinstance(each, Mapping) and each.get("op") == "casei" for each in args):
            return _whatever_case(op, args)
        return f"{_operand(args[0])} {COMPARE[op]} {_operand(args[1])}"
    raise _not_understood(op)


def _operation(tree: Any) -> tuple[str, Sequence[Any]]:  # noqa: ANN401 - CQL2 JSON
    if not isinstance(tree, Mapping) or "op" not in tree:
        raise _not_understood(str(tree))
    return str(tree["op"]), tree.get("args", [])


def _whatever_case(op: str, args: Sequence[Any]) -> str:
    """`CASEI(name) = CASEI('x')`: equality without regard to upper and lower case."""
    inner = [
        each["args"][0] if isinstance(each, Mapping) and each.get("op") == "casei" else each for each in args
    ]
    names = [each for each in inner if isinstance(each, Mapping)]
    texts = [each for each in inner if isinstance(each, str)]
    if op not in {"=", "<>"} or len(names) != 1 or len(texts) != 1:
        raise _not_understood("casei")
    found = f'{_operand(names[0])} like_regex {_literal("^" + re.escape(texts[0]) + "$")} flag "i"'
    return found if op == "=" else f"!({found})"


def _operand(tree: Any) -> str:  # noqa: ANN401 - CQL2 JSON
    if isinstance(tree, Mapping):
        if "property" in tree:
            return _property(str(tree["property"]))
        for kind in ("date", "timestamp"):
            if kind in tree:
                return _literal(str(tree[kind]))
        raise _not_understood(str(tree.get("op", tree)))
    if isinstance(tree, bool | int | float | str):
        return _literal(tree)
    raise _not_understood(str(tree))


def _property(name: str) -> str:
    if name == GEOMETRY or not re.fullmatch(r"[\w:.\-]{1,64}", name):
        raise Invalid("error.bad_filter", field="filter", reason=name)
    return f"$.{_literal(name)}"


def _literal(value: object) -> str:
    """A JSON value is a jsonpath literal."""
    return json.dumps(value, ensure_ascii=False)


def _regex(pattern: str) -> str:
    r"""The regular expression of a LIKE pattern: % any text, _ one character, \\ takes the next as it is."""
    told = ""
    escaped = False
    for character in pattern:
        if escaped or character not in "%_\\":
            told += re.escape(character)
            escaped = False
        elif character == "\\":
            escaped = True
        else:
            told += ".*" if character == "%" else "."
    return f"^{told}$"


def _shape(args: Sequence[Any]) -> Geometry:
    """The shape of `S_INTERSECTS(geometry, …)`, in lon, lat."""
    held = [each for each in args if not (isinstance(each, Mapping) and "property" in each)]
    names = [each["property"] for each in args if isinstance(each, Mapping) and "property" in each]
    if names != [GEOMETRY] or len(held) != 1 or not isinstance(held[0], Mapping):
        raise _not_understood("s_intersects")
    if "bbox" in held[0]:
        west, south, east, north = held[0]["bbox"][:4]
        box: Geometry = shapely.box(west, south, east, north)
        return box
    try:
        shape: Geometry = shapely.from_geojson(json.dumps(held[0]))
    except shapely.errors.GEOSException as wrong:
        raise Invalid("error.bad_filter", field="filter", reason=str(wrong)) from None
    return shape


def _not_understood(what: str) -> Invalid:
    return Invalid("error.bad_filter", field="filter", reason=what[:80])
