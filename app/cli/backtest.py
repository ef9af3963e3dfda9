"""`cityops backtest RULE…`: what rules would have said over the stored readings."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from app import backtest as tests
from app import declared, place
from app.pipes import world_of
from app.town import ground_of
from core import domains as reading
from core.clock import DAY_US, SystemClock, to_us
from core.db import Database
from core.http import to_json
from events.citytime import CityTime
from events.engine import Model, load_model
from events.load import Load
from iot import kinds, registry_store

#: Without `--from`: the last week.
USUAL_DAYS = 7


@click.command()
@click.argument("rules", nargs=-1, required=True)
@click.option("--from", "since", type=click.DateTime(), help="UTC; default: a week before --to.")
@click.option("--to", "until", type=click.DateTime(), help="UTC; default: now.")
@click.option(
    "--domains", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A changed copy of the declarations, shown beside those in force.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.pass_obj
def backtest(
    config: Path,
    rules: tuple[str, ...],
    since: dt.datetime | None,
    until: dt.datetime | None,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Run RULES (keys, patterns such as 'dr.*', or all) over stored readings; nothing is written or sent."""
    found = declared.load(config)
    span = _span(since, until)
    models = {"in_force": tests.chosen(found.model, rules)}
    if folder is not None:
        changed = reading.load(folder)
        models["changed"] = tests.chosen(load_model(changed, kinds.load(changed), found.texts), rules)
    loads = asyncio.run(_run(found, models, span, quiet=as_json or not sys.stderr.isatty()))
    if as_json:
        click.echo(to_json({name: asdict(load) for name, load in loads.items()}).decode())
        return
    for line in table(loads):
        click.echo(line)


def _span(since: dt.datetime | None, until: dt.datetime | None) -> tests.Span:
    end_us = to_us(until.replace(tzinfo=dt.UTC)) if until else SystemClock().now_us()
    begin_us = to_us(since.replace(tzinfo=dt.UTC)) if since else end_us - USUAL_DAYS * DAY_US
    if begin_us >= end_us:
        raise click.BadParameter("--from must lie before --to")
    return tests.Span(begin_us, end_us)


async def _run(
    found: declared.Declared, models: dict[str, Model], span: tests.Span, *, quiet: bool
) -> dict[str, Load]:
    database = Database(place.dsn(found.settings), 2)
    await database.open()
    try:
        registry = await registry_store.load(database, found.catalogue)
        make = ground_of(found.settings, database.dsn, SystemClock())
        world = await asyncio.to_thread(lambda: world_of(make()))
        loads = {}
        for name, model in models.items():
            load, _ = await tests.run(
                database, model, registry, span, city=CityTime(found.settings.zone), world=world,
                tell=lambda share, name=name: None if quiet else _tell(name, share),  # type: ignore[misc] # bound now
            )  # fmt: skip
            loads[name] = load
        return loads
    finally:
        await database.close()


def _tell(name: str, share: float) -> None:
    click.echo(f"\r{name} {round(100 * share):3d} %", nl=share >= 1, err=True)


def table(loads: dict[str, Load]) -> list[str]:
    """One line a figure, one column a model."""
    rows: list[tuple[str, list[Any]]] = [
        (name, [getattr(load, name) for load in loads.values()])
        for name in (
            "days", "alerts", "incidents", "operator_alarms", "busiest_10min", "flood_share", "top_share",
            "chattering", "fleeting", "stale",
        )
    ]  # fmt: skip
    for part in ("by_rule", "by_type", "by_level"):
        keys = dict.fromkeys(key for load in loads.values() for key in getattr(load, part))
        rows += [
            (f"{part[3:]} {key}", [getattr(load, part).get(key, 0) for load in loads.values()])
            for key in keys
        ]
    sources = dict.fromkeys(source for load in loads.values() for source, _ in load.top)
    rows += [
        (f"top {source}", [dict(load.top).get(source, 0) for load in loads.values()]) for source in sources
    ]
    width = max(len(name) for name, _ in rows)
    head = f"{'':{width}}  " + "  ".join(f"{name:>10}" for name in loads)
    return [
        head,
        *(f"{name:{width}}  " + "  ".join(f"{value:>10.4g}" for value in values) for name, values in rows),
    ]
