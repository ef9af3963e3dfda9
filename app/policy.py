"""Reads `policy.yaml` into `core.access.Policy`, and says which action opens a path that is no API route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core import yamlfile
from core.access import Policy
from core.schema import Declared
from core.yamlfile import Document, Mistake, Mistakes

FILE = Path(__file__).with_name("policy.yaml")
#: The word in `paths` for what needs no sign-in.
OPEN = "open"


class PolicyFile(Declared):
    groups: dict[str, list[str]]
    allow: dict[str, list[str]]
    own: dict[str, list[str]]
    paths: dict[str, str]


@dataclass(frozen=True, slots=True)
class Paths:
    """Longest prefix wins; a path that matches none is closed to everybody."""

    actions: Mapping[str, str]

    def action(self, path: str) -> str | None:
        fits = [
            prefix for prefix in self.actions if path == prefix or path.startswith(prefix.rstrip("/") + "/")
        ]
        return self.actions[max(fits, key=len)] if fits else None


def load(file: Path = FILE) -> tuple[Policy, Paths]:
    """The policy as it stands. Raises `Mistakes` with a path whose action nobody declared."""
    document = yamlfile.read(file, f"app/{file.name}")
    read = yamlfile.parse(document, PolicyFile)
    policy = Policy(
        {action: _roles(read, names) for action, names in read.allow.items()},
        {action: _roles(read, names) for action, names in read.own.items()},
    )
    wrong = list(_unknown(document, read, policy))
    if wrong:
        raise Mistakes(wrong)
    return policy, Paths(read.paths)


def _roles(read: PolicyFile, names: list[str]) -> frozenset[str]:
    return frozenset(role for name in names for role in read.groups.get(name, [name]))


def _unknown(document: Document, read: PolicyFile, policy: Policy) -> list[Mistake]:
    return [
        document.mistake(("paths", path), f"action {action} is declared neither in allow nor in own")
        for path, action in read.paths.items()
        if action != OPEN and not policy.knows(action)
    ]
