"""Rules that a city has edited: the text of one rule as YAML, with its own lines for mistakes. Pure."""

from __future__ import annotations

from core.domains import Domains
from core.yamlfile import Document, Mistakes, parsed
from events.rules import RuleDecl


def document(key: str, text: str) -> Document:
    """The text as a document that `events.rules.load` takes in place of a shipped rule.

    Raises `Mistakes` when it is not YAML, or is another rule.
    """
    found = parsed(text, key)
    listed = isinstance(found.data, list)
    data = found.data if listed else [found.data]
    lines = found.lines if listed else {(0, *path): line for path, line in found.lines.items()}
    one = Document(key, data, lines)
    if not isinstance(data, list) or len(data) != 1 or one.at((0, "key")) != key:
        raise Mistakes([one.mistake((0, "key"), f"must be the one rule {key}")])
    return one


def shipped(domains: Domains, key: str) -> tuple[str, int, str] | None:
    """(file, line, text) of a rule as it ships; None when there is none."""
    for found in domains.section("rules", RuleDecl):
        if found.item.key == key:
            lines = found.document.lines
            first, last = lines[found.index,], lines.get((found.index + 1,))
            path = domains.folder / found.domain / "rules.yaml"
            block = path.read_text("utf-8").splitlines()[first - 1 : last - 1 if last else None]
            return found.document.file, first, dedented(block)
    return None


def dedented(block: list[str]) -> str:
    """A list item without its dash, and without the comments of the next one."""
    while block and (not block[-1].strip() or block[-1].startswith("#")):
        block = block[:-1]
    return "\n".join(line[2:] for line in block) + "\n"
