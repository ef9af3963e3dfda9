"""An import from file to database: read, check, and put in place of the layer in one transaction, or say why not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.db import Database
from gis import store
from gis.importers.found import Progress, quiet
from gis.importers.plan import BBox, Plan
from gis.importers.prepare import Prepared
from gis.importers.read import fingerprint, read_file
from gis.store import Counts, Layer

#: A layer may reach this far beyond what the city has already, in degrees.
MARGIN_DEG = 0.5
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Report:
    """What an import did. `counts` is None when nothing was written."""

    file: str
    plan: Plan
    prepared: Prepared
    counts: Counts | None

    @property
    def stored(self) -> bool:
        return self.counts is not None

    def lines(self, words: Callable[..., str], language: str, *, dry: bool = False) -> Iterator[str]:
        """The report as a person reads it: a summary, then what was refused and why."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.prepared.counts.items())) or "-"
        told = {"file": self.file, "assets": len(self.prepared.assets), "counts": kinds, "layer": self.plan.layer,
                "refused": len(self.prepared.refused),
                "changed": self.counts.kept_versions if self.counts else 0}  # fmt: skip
        key = "done" if self.stored else "dry" if dry else "nothing"
        yield words(f"import.report.{key}", language, **told)
        for refusal in self.prepared.refused[:SHOWN]:
            yield "  " + refusal.told(words, language, self.file)
        if len(self.prepared.refused) > SHOWN:
            yield "  " + words("import.report.more", language, count=len(self.prepared.refused) - SHOWN)


async def extent(database: Database) -> BBox | None:
    """Where the city is, by what is stored of it, with a margin; None in an empty database."""
    row = await database.fetch_one(store.QUERIES["extent"])
    if row is None or row["west"] is None:
        return None
    return (
        row["west"] - MARGIN_DEG,
        row["south"] - MARGIN_DEG,
        row["east"] + MARGIN_DEG,
        row["north"] + MARGIN_DEG,
    )


async def import_file(
    database: Database,
    path: Path,
    plan: Plan,
    now_us: int,
    *,
    dry: bool = False,
    accept_rest: bool = False,
    progress: Progress = quiet,
) -> Report:
    """Import a file as the layer of the plan. With anything refused nothing is written, unless the rest is accepted.

    Raises `gis.importers.found.FileRefused` when the file is wrong as a whole, `core.errors.Invalid` when an id
    belongs to another layer; then nothing is written either.
    """
    prepared = read_file(path, plan, progress)
    if dry or not prepared.assets or (prepared.refused and not accept_rest):
        return Report(path.name, plan, prepared, None)
    layer = Layer(plan.layer, plan.source or path.name, prepared.crs, prepared.licence, fingerprint(path))
    async with database.transaction() as connection:
        counts = await store.replace_layer(connection, layer, prepared.assets, now_us)
    return Report(path.name, plan, prepared, counts)
