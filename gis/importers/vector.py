"""GeoPackage, Shapefile, FlatGeobuf and the other vector formats that GDAL reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gis.importers.encoding import mend
from gis.importers.found import Feature, FileRefused, Progress, Reading, Refusal
from gis.importers.plan import Plan

STEP = 20_000


def read(path: Path, plan: Plan, progress: Progress) -> Reading:
    """The layer of the plan's name, otherwise the only one with geometries. Read in steps, not as a whole."""
    import pyogrio

    source = _source(path)
    try:
        table = _table(pyogrio.list_layers(source), plan, path.name)
        latin = _guess_texts(path, plan)
        options = {"layer": table, "encoding": "ISO-8859-1" if latin else plan.encoding or None}
        total = int(pyogrio.read_info(source, layer=table, encoding=options["encoding"])["features"])
        features: list[Feature] = []
        refused: list[Refusal] = []
        system = ""
        for first in range(0, max(total, 1), STEP):
            meta, _, shapes, columns = pyogrio.raw.read(
                source, **options, skip_features=first, max_features=STEP
            )
            system = system or str(meta.get("crs") or "")
            _add(features, refused, (meta["fields"], shapes, columns), first, latin=latin)
            progress(min(first + STEP, total), total)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, UnicodeDecodeError) as wrong:
        raise FileRefused("import.unreadable", file=path.name, reason=str(wrong)) from wrong
    return Reading(path.suffix.lstrip(".").upper(), features, refused, system)


def _source(path: Path) -> str:
    """A zipped Shapefile is read where it lies."""
    return f"/vsizip/{path}" if path.suffix.lower() == ".zip" else str(path)


def _table(layers: NDArray[Any], plan: Plan, file: str) -> str:
    with_shapes = [str(name) for name, kind in layers if kind is not None]
    if plan.layer in with_shapes:
        return plan.layer
    if len(with_shapes) != 1:
        raise FileRefused("import.which_layer", file=file, layers=", ".join(with_shapes) or "-")
    return with_shapes[0]


def _guess_texts(path: Path, plan: Plan) -> bool:
    """True when a Shapefile says nothing of its encoding: its texts are then guessed one by one."""
    return path.suffix.lower() == ".shp" and not plan.encoding and not path.with_suffix(".cpg").exists()


def _add(
    features: list[Feature],
    refused: list[Refusal],
    table: tuple[Sequence[str], NDArray[Any], Sequence[NDArray[Any]]],
    first: int,
    *,
    latin: bool,
) -> None:
    names, shapes, columns = table
    fields = [mend(str(name)) or str(name) for name in names] if latin else [str(name) for name in names]
    for row, wkb in enumerate(shapes if shapes is not None else [None] * len(columns[0])):
        label = f"feature {first + row + 1}"
        told: dict[str, object] = {}
        broken = ""
        for name, column in zip(fields, columns, strict=True):
            value = column[row]
            if latin and isinstance(value, str):
                value = mend(value)
                broken = broken or (name if value is None else "")
            told[name] = None if value is None or (isinstance(value, float) and np.isnan(value)) else value
        if broken:
            refused.append(Refusal(label, broken, "import.broken_text"))
            continue
        try:
            shape = None if wkb is None else shapely.from_wkb(wkb)
        except shapely.errors.GEOSException as wrong:
            refused.append(Refusal(label, "geometry", "import.bad_geometry", {"reason": str(wrong)}))
            continue
        features.append(Feature(label, shape, attributes=told))
