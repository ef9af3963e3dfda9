"""Which incident belongs under which: the storm and its underpasses, the fire and its dry hydrants. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from events.place import Place, World, related
from events.types import IncidentType


@dataclass(frozen=True, slots=True)
class Relative:
    """An open incident as its relatives see it."""

    id: str
    type: str
    place: Place


@dataclass(frozen=True, slots=True)
class Family:
    """Types declare their `children`; near one of theirs is what could have anchored it."""

    types: Mapping[str, IncidentType]
    world: World

    def parents_of(self, type_: str) -> list[str]:
        """The types that an incident of a type may belong under."""
        return [key for key, decl in self.types.items() if type_ in decl.children]

    def belongs(self, child: Relative, parent: Relative) -> bool:
        decl = self.types[parent.type]
        near = decl.together.near
        return child.type in decl.children and related(near, child.place, parent.place, self.world)

    def parent_of(self, child: Relative, open_: Iterable[Relative]) -> str:
        """The first of some open incidents that one belongs under; empty where there is none."""
        return next((each.id for each in open_ if each.id != child.id and self.belongs(child, each)), "")
