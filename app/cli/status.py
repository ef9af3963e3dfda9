"""`cityops status` and `cityops doctor`."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import psycopg

from app import declared, place
from app import status as whole
from core import settings as reading
from core.clock import SystemClock
from core.db import Database, connect
from core.http import to_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.pass_obj
def status(config: Path, as_json: bool) -> None:
    """How the running product is: roles, counts since its start, spool, store."""
    settings = reading.load(config)
    try:
        found = asyncio.run(_gather(place.dsn(settings)))
    except psycopg.OperationalError as away:
        click.echo(f"the database does not answer: {away}", err=True)
        sys.exit(1)
    if as_json:
        click.echo(to_json(found).decode())
        return
    for name, role in found["roles"].items():
        click.echo(f"{name:8} {'up' if role['up'] else 'down':5} lag {role['lag_s'] or 0:.2f} s")
    click.echo("  ".join(f"{name} {count}" for name, count in found["counts"].items()))
    for name, at in found["alarms"].items():
        click.echo(f"ALARM {name} since {at}")
    click.echo(f"spool {found['spool_bytes']} B  timescale {'yes' if found['timescale'] else 'no'}")


async def _gather(dsn: str) -> dict[str, Any]:
    async with await connect(dsn):
        pass  # a database that is away says why here, at once
    database = Database(dsn, 2)
    await database.open()
    try:
        return await whole.gather(database, SystemClock().now_us())
    finally:
        await database.close()


@click.command()
@click.pass_obj
def doctor(config: Path) -> None:
    """Look for what would keep the product from running, and say what to do about it."""
    found = declared.load(config)
    settings = found.settings
    wrong = 0
    for good, told in _checks(settings):
        click.echo(f"{'ok  ' if good else 'FAIL'} {told}")
        wrong += not good
    sys.exit(1 if wrong else 0)


def _checks(settings: reading.Settings) -> list[tuple[bool, str]]:
    free = shutil.disk_usage(settings.home).free
    vendor = Path(__file__).resolve().parents[2] / "dashboard" / "vendor" / "maplibre-gl.mjs"
    try:
        with psycopg.connect(place.dsn(settings), connect_timeout=5) as connection:
            version = connection.info.server_version
        database = version >= 150_000, f"PostgreSQL {version // 10_000} answers (15 or newer is needed)"
    except psycopg.OperationalError as away:
        database = False, f"PostgreSQL does not answer (is `cityops run` running?): {str(away).strip()}"
    return [
        (free > 2 << 30, f"{free >> 30} GiB free on the disk of the data folder (2 are needed)"),
        (vendor.exists(), "browser libraries are installed (make setup)"),
        database,
    ]
