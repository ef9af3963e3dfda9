"""Who acts. Every service is called with an `Actor`; what it may do is decided in `core.access`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, a gateway or a part of ourselves.

    `areas` and `departments` bound what it sees and does; empty means everywhere. `crew` is the crew that
    a responder belongs to, `gateway` the gateway that a credential speaks for.
    """

    id: str
    name: str
    roles: frozenset[str]
    areas: frozenset[str] = field(default_factory=frozenset)
    departments: frozenset[str] = field(default_factory=frozenset)
    crew: str = ""
    gateway: str = ""


NOBODY = Actor("nobody", "", frozenset())


def system(part: str) -> Actor:
    """The actor that our own rules act as, named after the part that decided."""
    return Actor(f"system:{part}", part, frozenset({"system"}))
