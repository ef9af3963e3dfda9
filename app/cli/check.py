"""`cityops check-config` and `cityops migrate`."""

from __future__ import annotations

from pathlib import Path

import click

from app import declared, place
from app.declared import ROOMS, ROOT
from core import db
from core import migrate as schema


@click.command("check-config")
@click.pass_obj
def check_config(config: Path) -> None:
    """Check settings and declarations; every mistake at once, with file, line, key and what would be right."""
    found = declared.load(config)
    click.echo(
        f"{config.name}: good. {len(found.domains.infos)} domains, {len(found.catalogue.kinds)} device kinds, "
        f"{len(found.catalogue.channels)} channels."
    )


@click.command()
@click.pass_obj
def migrate(config: Path) -> None:
    """Bring the schema of the database up to date."""
    found = declared.load(config)
    with db.connect_sync(place.dsn(found.settings)) as connection:
        done = schema.migrate(connection, schema.find(ROOT / room for room in ROOMS))
    click.echo(f"applied: {', '.join(done)}" if done else "the schema is up to date")
