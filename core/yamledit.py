"""Change one value in a YAML text; every other character stays as it was typed: comments, order, layout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from core.yamlfile import KeyPath

#: What can be put: a list is of scalars.
Value = str | int | float | bool | list[str] | Mapping[str, "Value"]


def put(text: str, path: KeyPath, value: Value | None) -> str:
    """The text with this value at a path: in place of the one there, else behind its neighbours; None takes it out.

    Mappings that are missing on the way are made, those that become empty go. Raises `ValueError` for a text that is
    no YAML, and for a path that leads through a scalar.
    """
    root = composed(text)
    if not isinstance(root, MappingNode):
        raise ValueError("the text holds no keys")  # noqa: TRY004 - of a text, not of a type
    node = at(root, path)
    if value is None:
        return text if node is None else without(text, root, path)
    if node is not None:
        return text[: node.start_mark.index] + written(value) + text[end(text, node) :]
    parent = at(root, path[:-1])
    if parent is None:
        return put(text, path[:-1], {str(path[-1]): value})
    if not isinstance(parent, MappingNode):
        raise ValueError(f"{path[-2]} holds no keys")  # noqa: TRY004 - as above
    return inserted(text, parent, f"{path[-1]}: {written(value)}")


def rename(text: str, path: KeyPath, name: str) -> str:
    """The text with another key in the place of the last one of a path. Raises `ValueError` where there is none."""
    for key, _ in entries(at(composed(text), path[:-1])):
        if key.value == path[-1]:
            return text[: key.start_mark.index] + name + text[key.end_mark.index :]
    raise ValueError(f"there is no {path[-1]}")


def written(value: Value) -> str:
    """A value in one line, as a person would type it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(written(each) for each in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else repr(value)
    return value if is_plain(value) else json.dumps(value, ensure_ascii=False)


def is_plain(text: str) -> bool:
    """Whether a text means itself without quotes, in a list too."""
    try:
        found = YAML(typ="safe", pure=True).load(f"{{k: [{text}]}}")
    except YAMLError:
        return False
    return bool(found == {"k": [text]})


def composed(text: str) -> Node | None:
    # not the parser in C: it counts places in bytes
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as wrong:
        raise ValueError(str(wrong)) from None
    return node


def entries(node: Node | None) -> list[tuple[ScalarNode, Node]]:
    return list(node.value) if isinstance(node, MappingNode) else []


def at(node: Node | None, path: KeyPath) -> Node | None:
    for part in path:
        if isinstance(node, SequenceNode) and isinstance(part, int):
            node = node.value[part] if part < len(node.value) else None
        else:
            node = next((each for key, each in entries(node) if key.value == part), None)
    return node


def end(text: str, node: Node) -> int:
    """Where a node's last character stands. The mark of a block stands behind the comments that follow it."""
    if isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return end(text, last[1] if isinstance(node, MappingNode) else last)
    found: int = node.end_mark.index
    return len(text[:found].rstrip()) if isinstance(node, ScalarNode) else found


def line_end(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found


def inserted(text: str, parent: MappingNode, entry: str) -> str:
    known = entries(parent)
    if parent.flow_style:
        index = end(text, known[-1][1]) if known else parent.start_mark.index + 1
        return text[:index] + (", " if known else "") + entry + text[index:]
    index = line_end(text, end(text, known[-1][1]))
    return f"{text[:index]}\n{' ' * known[0][0].start_mark.column}{entry}{text[index:]}"


def without(text: str, root: Node | None, path: KeyPath) -> str:
    parent = at(root, path[:-1])
    known = entries(parent)
    if len(known) == 1 and len(path) > 1 and isinstance(path[-2], str):
        return without(text, root, path[:-1])
    first, last = extent(text, parent, path[-1])
    return text[:first] + text[last:]


def extent(text: str, parent: Node | None, name: str | int) -> tuple[int, int]:
    """What goes with a key: in a flow mapping its comma, in a block its lines."""
    known = entries(parent)
    key, value = next(pair for pair in known if pair[0].value == name)
    if isinstance(parent, MappingNode) and not parent.flow_style:
        return key.start_mark.index - key.start_mark.column, min(
            len(text), line_end(text, end(text, value)) + 1
        )
    for before, (after, found) in pairwise(known):
        if after is key:
            return end(text, before[1]), end(text, found)
    following = known[1][0].start_mark.index if len(known) > 1 else end(text, value)
    return key.start_mark.index, following
