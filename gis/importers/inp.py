"""Files in the sections of EPANET and SWMM: `[NAME]`, then rows of words, `;` before comments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from gis.importers.encoding import decode
from gis.importers.found import FileRefused, Refusal
from gis.importers.plan import Plan
from gis.lines import Geometry


@dataclass(frozen=True, slots=True)
class Row:
    """The words of a row and the line of the file that it stands on."""

    line: int
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sections:
    """A file by its sections, upper case, without brackets; SWMM's engine reads only the first letters of a name."""

    file: str
    rows: Mapping[str, Sequence[Row]]

    def __getitem__(self, name: str) -> Sequence[Row]:
        return self.rows.get(name, ())

    def options(self) -> dict[str, str]:
        return {
            row.words[0].upper(): " ".join(row.words[1:]) for row in self["OPTIONS"] if len(row.words) > 1
        }


def sections(path: Path, plan: Plan) -> Sections:
    """Read a file. Raises `FileRefused` when it has no section at all."""
    text, _ = decode(path.read_bytes(), plan.encoding, path.name)
    found: dict[str, list[Row]] = defaultdict(list)
    name = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split(";", 1)[0].strip()
        if line.startswith("["):
            name = line.strip("[]").strip().upper()
        elif line and name and name != "TITLE":
            found[name].append(Row(number, tuple(line.split())))
    if not found:
        raise FileRefused("import.no_sections", file=path.name)
    return Sections(path.name, found)


class Places:
    """Where nodes are, and the corners of links, from the sections COORDINATES and VERTICES."""

    def __init__(self, parts: Sections, refused: list[Refusal], *, more: Sequence[str] = ()) -> None:
        self._refused = refused
        self.nodes = {
            row.words[0]: place
            for section in ("COORDINATES", *more)
            for row, place in self._pairs(parts, section)
        }
        self._corners: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for row, place in self._pairs(parts, "VERTICES"):
            self._corners[row.words[0]].append(place)

    def _pairs(self, parts: Sections, section: str) -> list[tuple[Row, tuple[float, float]]]:
        found = []
        for row in parts[section]:
            numbers = numbers_of(row, (1, 2), f"[{section}]", self._refused)
            if numbers is not None:
                found.append((row, (numbers[0], numbers[1])))
        return found

    def point(self, node: str) -> Geometry | None:
        return shapely.Point(self.nodes[node]) if node in self.nodes else None

    def line(self, link: str, tail: str, head: str) -> Geometry | None:
        """The line of a link by its corners: a point where both ends are one place, None where an end has none."""
        if tail not in self.nodes or head not in self.nodes:
            return None
        places = [self.nodes[tail], *self._corners.get(link, []), self.nodes[head]]
        return shapely.LineString(places) if len(set(places)) > 1 else shapely.Point(places[0])


def numbers_of(row: Row, at: Sequence[int], section: str, refused: list[Refusal]) -> list[float] | None:
    """Words of a row as numbers; None (and a refusal with the line) when one is missing or none."""
    numbers = []
    for place in at:
        word = row.words[place] if place < len(row.words) else ""
        try:
            number = float(word)
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            label = f"{section} {row.words[0]} (line {row.line})"
            refused.append(
                Refusal(label, f"column {place + 1}", "import.not_a_number", {"value": word or "-"})
            )
            return None
        numbers.append(number)
    return numbers
