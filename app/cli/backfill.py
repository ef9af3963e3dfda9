"""`cityops backfill FILE…`: history into the store."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click

from app import place
from app.backfill import Done, Into
from app.backfill import backfill as store
from core import domains, settings
from core.clock import SystemClock
from iot import kinds


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--gateway", required=True, help="Whose devices the files name.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.pass_obj
def backfill(config: Path, files: tuple[Path, ...], gateway: str, as_json: bool) -> None:
    """Store FILES (CSV, Parquet, Arrow, SenML) as history. It raises no alarm; what is known already changes nothing.

    Exit code 1 when a row was refused; all others are stored nevertheless.
    """
    found = settings.load(config)
    into = Into(place.dsn(found), found, kinds.load(domains.load(found.domains)))
    say = tell if sys.stderr.isatty() and not as_json else quiet
    done = asyncio.run(store(into, gateway, list(files), SystemClock(), say))
    click.echo(json.dumps(as_object(done)) if as_json else in_words(done))
    for told in done.told if not as_json else ():
        click.echo(f"  {told}", err=True)
    sys.exit(1 if done.refused else 0)


def as_object(done: Done) -> dict[str, object]:
    return {
        "stored": done.stored, "duplicates": done.duplicates, "conflicts": done.conflicts,
        "refused": dict(done.refused), "first": done.told,
    }  # fmt: skip


def in_words(done: Done) -> str:
    refused = f", {done.refused.total()} refused" if done.refused else ""
    return f"{done.stored} stored, {done.duplicates} known already, {done.conflicts} conflicts{refused}"


def tell(file: str, rows: int) -> None:
    click.echo(f"\r{file}: {rows} rows", nl=False, err=True)


def quiet(_file: str, _rows: int) -> None:
    """Nobody watches."""
