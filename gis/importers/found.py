"""What a reader gives: features as the file has them, and what could not be read, each by its name in the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.errors import CityOpsError
from gis.lines import Geometry


class FileRefused(CityOpsError):
    """A file cannot be imported at all. `params` hold `file` and what the text of the key says."""

    key = "import.unreadable"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One feature that is not imported: its name in the file, the part that is wrong, and why (a text key)."""

    feature: str
    part: str
    key: str
    params: Mapping[str, object] = field(default_factory=dict)

    def told(self, words: Callable[..., str], language: str, file: str) -> str:
        """`file: feature: part: reason`."""
        return f"{file}: {self.feature}: {self.part}: {words(self.key, language, **self.params)}"


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """A feature in the coordinates of its file. `label` names it to people: `feature 12`, `row 7`, `[PIPES] P-10`.

    Empty `id`: it has none of its own. Empty `kind`: it is of the kind that the import states.
    """

    label: str
    geometry: Geometry | None
    id: str = ""
    kind: str = ""
    name: str = ""
    name_en: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """All of a file. `crs` and `licence` are what it states itself ("" when nothing). `mixed`: points, lines and
    surfaces belong.
    """

    format: str
    features: list[Feature]
    refused: list[Refusal] = field(default_factory=list)
    crs: str = ""
    mixed: bool = False
    licence: str = ""


#: Called with (done, total) while reading; total is 0 while it is not known.
Progress = Callable[[int, int], None]


def quiet(done: int, total: int) -> None:
    """Progress that nobody watches."""
