"""What an import is told beside its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gis.asset import Provenance

BBox = tuple[float, float, float, float]
Shape = Literal["any", "point", "line", "surface"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to read a file and what to make of it.

    `crs` overrules what the file says of itself; empty: the file must say it. `near` is where its features must
    lie (WGS 84 degrees), None: anywhere. `shape` keeps only points, lines or surfaces.
    """

    layer: str
    kind: str = ""
    crs: str = ""
    encoding: str = ""
    id_field: str = ""
    name_field: str = ""
    name_en_field: str = ""
    near: BBox | None = None
    shape: Shape = "any"
    source: str = ""
    licence: str = ""
    provenance: Provenance = "real"
    valid_from_us: int | None = None
    valid_to_us: int | None = None
    #: A file larger than this is refused: it would not fit into memory beside a running city.
    largest_bytes: int = 2 << 30
