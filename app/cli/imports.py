"""`cityops import LAYER FILE`: a file of other people onto the map, or every reason why not."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click

from app import place
from app.declared import ROOMS, ROOT
from core import settings as reading
from core import text
from core.clock import SystemClock
from core.db import Database
from gis import importing
from gis.asset import Provenance
from gis.importers.found import Progress, quiet
from gis.importers.plan import Plan, Shape
from gis.importing import Report


@click.command("import")
@click.argument("layer")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    default="",
    help="What the features are: pipe, valve, building, road …; models say it themselves.",
)
@click.option(
    "--crs",
    default="",
    help="EPSG:4549, CGCS2000, GCJ-02, BD-09, local:LON,LAT …; needed where the file is silent.",
)
@click.option("--encoding", default="", help="Of texts: utf-8, gbk …; found out when left out.")
@click.option("--id-field", default="", help="Field that holds the ids (default: id, 编号 …).")
@click.option("--name-field", default="", help="Field that holds the names (default: name, 名称 …).")
@click.option("--name-en-field", default="", help="Field that holds English names.")
@click.option("--shape", type=click.Choice(get_args(Shape)), default="any", help="Keep only these.")
@click.option("--licence", default="", help="Shown with the map, such as 'CC BY 4.0'.")
@click.option("--source", default="", help="Who made it (default: the file's name).")
@click.option("--provenance", type=click.Choice(get_args(Provenance)), default="real", show_default=True)
@click.option("--anywhere", is_flag=True, help="The features need not lie near what the city has already.")
@click.option("--accept-rest", is_flag=True, help="Import what is good when something is refused.")
@click.option("--dry-run", is_flag=True, help="Check and report only; nothing is written.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
@click.pass_obj
def import_(
    config: Path, /, file: Path, *, anywhere: bool, accept_rest: bool, dry_run: bool, as_json: bool, **plan: Any  # noqa: ANN401 - the options above
) -> None:  # fmt: skip
    """Put FILE onto the map as LAYER, in place of what that layer had. All of it, or nothing with every reason."""
    settings = reading.load(config)
    with _bar(file.name, shown=sys.stderr.isatty() and not as_json) as progress:
        report = asyncio.run(
            _import(
                place.dsn(settings),
                file,
                Plan(**plan),
                progress,
                anywhere=anywhere,
                accept_rest=accept_rest,
                dry=dry_run,
            )
        )
    if as_json:
        click.echo(json.dumps(_as_json(report), ensure_ascii=False))
    else:
        words = text.load(ROOT / room for room in ROOMS)
        for line in report.lines(words, settings.city.language, dry=dry_run):
            click.echo(line)
    if not report.stored and not dry_run:
        sys.exit(1)


async def _import(
    dsn: str, file: Path, plan: Plan, progress: Progress, *, anywhere: bool, accept_rest: bool, dry: bool
) -> Report:
    database = Database(dsn, 2)
    await database.open()
    try:
        near = None if anywhere else await importing.extent(database)
        now_us = SystemClock().now_us()
        return await importing.import_file(
            database,
            file,
            replace(plan, near=near),
            now_us,
            dry=dry,
            accept_rest=accept_rest,
            progress=progress,
        )
    finally:
        await database.close()


@contextmanager
def _bar(name: str, *, shown: bool) -> Iterator[Progress]:
    """A progress bar on a terminal; silence elsewhere."""
    if not shown:
        yield quiet
        return
    with click.progressbar(length=1, label=name, file=sys.stderr) as bar:

        def step(done: int, total: int) -> None:
            bar.length = max(total, done, 1)
            bar.update(done - bar.pos)

        yield step


def _as_json(report: Report) -> dict[str, Any]:
    prepared = report.prepared
    return {
        "file": report.file,
        "layer": report.plan.layer,
        "format": prepared.format,
        "crs": prepared.crs,
        "stored": report.stored,
        "assets": len(prepared.assets),
        "kinds": dict(prepared.counts),
        "refused": [
            {"feature": each.feature, "field": each.part, "reason": each.key, **each.params}
            for each in prepared.refused
        ],
    }
