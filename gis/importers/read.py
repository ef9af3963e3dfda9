"""Which reader a file needs, and an import from file to report."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from gis.importers import cityjson, epanet, geojson, ifc, osm, pandapipes, swmm, table, vector
from gis.importers.found import FileRefused, Progress, Reading, quiet
from gis.importers.inp import sections
from gis.importers.plan import Plan
from gis.importers.prepare import Prepared, prepare

Reader = Callable[[Path, Plan, Progress], Reading]

#: By the end of the file's name; what is ambiguous is looked into.
SUFFIXES: dict[str, Reader] = {
    ".geojson": geojson.read, ".geojsonl": geojson.read, ".geojsons": geojson.read, ".gpkg": vector.read,
    ".shp": vector.read, ".fgb": vector.read, ".gml": vector.read, ".kml": vector.read, ".zip": vector.read,
    ".csv": table.read, ".tsv": table.read, ".txt": table.read, ".osm": osm.read, ".pbf": osm.read,
    ".ifc": ifc.read, ".jsonl": cityjson.read,
}  # fmt: skip

#: Formats that must be held in memory as text: smaller files only.
IN_MEMORY = (geojson.read, table.read, cityjson.read, pandapipes.read)
LARGEST_TEXT_BYTES = 512 << 20


def read_file(path: Path, plan: Plan, progress: Progress = quiet) -> Prepared:
    """Read, check and convert a file. Raises `FileRefused` when it cannot be imported as a whole."""
    if not path.is_file():
        raise FileRefused("import.no_file", file=str(path))
    size = path.stat().st_size
    if size == 0:
        raise FileRefused("import.empty_file", file=path.name)
    reader = reader_of(path, plan)
    largest = min(plan.largest_bytes, LARGEST_TEXT_BYTES) if reader in IN_MEMORY else plan.largest_bytes
    if size > largest:
        raise FileRefused("import.too_large", file=path.name, size_mb=size >> 20, largest_mb=largest >> 20)
    return prepare(reader(path, plan, progress), plan, path.name)


def reader_of(path: Path, plan: Plan) -> Reader:
    """The reader of a file. Raises `FileRefused` for a format that nobody here reads."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _json(path)
    if suffix == ".inp":
        return epanet.read if epanet.is_epanet(list(sections(path, plan).rows)) else swmm.read
    if suffix not in SUFFIXES:
        raise FileRefused(
            "import.unknown_format", file=path.name, known=", ".join(sorted({*SUFFIXES, ".json", ".inp"}))
        )
    return SUFFIXES[suffix]


def _json(path: Path) -> Reader:
    with path.open("rb") as file:
        head = file.read(4096)
    if b"pandapipes" in head:
        return pandapipes.read
    if b'"CityJSON"' in head or path.name.lower().endswith(".city.json"):
        return cityjson.read
    return _cityjson_or_geojson(path)


def _cityjson_or_geojson(path: Path) -> Reader:
    """CityJSON's `type` may stand behind megabytes of objects."""
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            if b'"CityObjects"' in block:
                return cityjson.read
            if b'"Feature' in block or b'"coordinates"' in block:
                return geojson.read
    return geojson.read


def fingerprint(path: Path) -> str:
    """A digest of the file's content, in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]
