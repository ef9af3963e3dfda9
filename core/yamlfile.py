"""Read a YAML 1.2 file and know the line of every key, so that a mistake can be named where it stands.

YAML 1.1 would read `off` as false, `22:00` as 1320 and `0101` as 65; ruamel.yaml reads 1.2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

KeyPath = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong in a declaration: where it stands, what it is, and what would be right."""

    file: str
    line: int
    key: str
    value: str
    reason: str

    def __str__(self) -> str:
        shown = f" = {self.value}" if self.value else ""
        return f"{self.file}:{self.line}: {self.key}{shown}: {self.reason}"


class Mistakes(Exception):
    """All mistakes of a set of files at once; nothing of the set may be used."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = sorted(mistakes)
        super().__init__("\n".join(str(mistake) for mistake in self.mistakes))


@dataclass(frozen=True, slots=True)
class Document:
    """The content of one file and the line (from 1) of every key and list item."""

    file: str
    data: object
    lines: dict[KeyPath, int] = field(repr=False)

    def line(self, path: KeyPath) -> int:
        """The line of a path, or of the nearest part of it that exists."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1

    def mistake(self, path: KeyPath, reason: str) -> Mistake:
        value = self.at(path)
        shown = "" if value is None or isinstance(value, dict | list) else repr(value)
        return Mistake(self.file, self.line(path), dotted(path), shown, reason)

    def at(self, path: KeyPath) -> object:
        """The value at a path, None where there is none."""
        value = self.data
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value


def dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "(file)"


def read(path: Path, shown_as: str | None = None) -> Document:
    """Read a file. Raises `Mistakes` when it is missing, not YAML, or has a key twice."""
    name = shown_as or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Mistakes([Mistake(name, 1, "(file)", "", "does not exist")]) from None
    except UnicodeDecodeError as wrong:
        raise Mistakes([Mistake(name, 1, "(file)", "", f"is not UTF-8 (byte {wrong.start})")]) from None
    return parsed(text, name)


def parsed(text: str, name: str) -> Document:
    """A text as a document of that name. Raises `Mistakes` when it is not YAML, or has a key twice."""
    yaml = YAML(typ="safe", pure=True)
    try:
        node = _compose(yaml, text)
    except MarkedYAMLError as wrong:
        line = wrong.problem_mark.line + 1 if wrong.problem_mark else 1
        raise Mistakes([Mistake(name, line, "(file)", "", f"is not YAML: {wrong.problem}")]) from None
    except YAMLError as wrong:
        raise Mistakes([Mistake(name, 1, "(file)", "", f"is not YAML: {wrong}")]) from None
    lines: dict[KeyPath, int] = {}
    twice: list[Mistake] = []
    builder = yaml.constructor
    data = _build(node, (), lines, twice, name, builder) if node is not None else None
    if twice:
        raise Mistakes(twice)
    return Document(name, data, lines)


def _compose(yaml: YAML, text: str) -> Node | None:
    """By the parser in C, six times as fast; what it stumbles over (`[12:30]` in a list) the whole one judges."""
    node: Node | None
    try:
        node = YAML(typ="safe").compose(text)
    except YAMLError:
        node = yaml.compose(text)
    return node


def _build(
    node: Node,
    path: KeyPath,
    lines: dict[KeyPath, int],
    twice: list[Mistake],
    name: str,
    builder: SafeConstructor,
) -> object:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            lines[(*path, key)] = key_node.start_mark.line + 1
            if key in mapping:
                line = key_node.start_mark.line + 1
                twice.append(Mistake(name, line, dotted((*path, key)), "", "stands here a second time"))
            mapping[key] = _build(value_node, (*path, key), lines, twice, name, builder)
        return mapping
    if isinstance(node, SequenceNode):
        return [
            _build(item, (*path, index), lines, twice, name, builder) for index, item in enumerate(node.value)
        ]
    assert isinstance(node, ScalarNode)
    value: object = builder.construct_object(node)
    return value


def parse(document: Document, model: type[ModelT], path: KeyPath = ()) -> ModelT:
    """Validate a part of a document against a model. Raises `Mistakes` with every one of them."""
    try:
        return model.model_validate(document.at(path) if path else document.data)
    except ValidationError as wrong:
        raise Mistakes([*_mistakes(document, wrong, model, path)]) from None


def parse_list(document: Document, model: type[ModelT], path: KeyPath = ()) -> list[ModelT]:
    """Validate a list of items; mistakes of all items are gathered before raising."""
    wrong: list[Mistake] = []
    good = [item for _, item in gather_list(document, model, wrong, path)]
    if wrong:
        raise Mistakes(wrong)
    return good


def gather_list(
    document: Document, model: type[ModelT], wrong: list[Mistake], path: KeyPath = ()
) -> list[tuple[int, ModelT]]:
    """The valid items of a list with their index; the mistakes of the others are added to `wrong`."""
    items = document.at(path) if path else document.data
    if items is None:
        return []
    if not isinstance(items, list):
        wrong.append(document.mistake(path, "must be a list (lines that begin with -)"))
        return []
    good: list[tuple[int, ModelT]] = []
    for index in range(len(items)):
        try:
            good.append((index, parse(document, model, (*path, index))))
        except Mistakes as found:
            wrong += found.mistakes
    return good


def _mistakes(
    document: Document, wrong: ValidationError, model: type[BaseModel], path: KeyPath
) -> Iterator[Mistake]:
    for error in wrong.errors(include_url=False):
        where = _real_path(document, (*path, *error["loc"]))
        reason = error["msg"]
        if error["type"] == "extra_forbidden":
            reason = "is not a known key" + _did_you_mean(str(where[-1]), model, error["loc"][:-1])
        elif error["type"] == "missing":
            reason = "is missing"
        elif error["type"] == "value_error":  # our own words
            reason = reason.removeprefix("Value error, ")
        else:
            reason = reason[0].lower() + reason[1:]
        yield document.mistake(where, reason)


def _real_path(document: Document, loc: KeyPath) -> KeyPath:
    """Pydantic puts names of union members and `[key]` into its paths; keep only what stands in the file."""
    kept: list[str | int] = []
    loc = tuple(part for part in loc if part != "[key]")
    for part in loc:
        here = document.at(tuple(kept))
        known = (isinstance(here, dict) and part in here) or (
            isinstance(here, list) and isinstance(part, int)
        )
        if known or part == loc[-1]:
            kept.append(part)
    return tuple(kept)


def _did_you_mean(key: str, model: type[BaseModel], loc: KeyPath) -> str:
    known = model
    for part in loc:
        annotation = known.model_fields[part].annotation if part in known.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ""
        known = annotation
    near = difflib.get_close_matches(key, known.model_fields, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known.model_fields)}"
