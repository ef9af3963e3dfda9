"""`cityops layers`: what was imported onto the map, and how to take it away again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from app import place
from core import settings as reading
from core.clock import SystemClock
from core.db import Database
from gis import store


@click.command()
@click.option("--remove", default="", help="Take this layer off the map; its assets are kept as versions.")
@click.pass_obj
def layers(config: Path, remove: str) -> None:
    """List the layers of the map: name, assets, coordinates they came in, source, licence."""
    for row in asyncio.run(_layers(place.dsn(reading.load(config)), remove)):
        click.echo(
            f"{row['layer']:20} {row['assets']:>8} {row['crs']:12} {row['source']} {row['licence']}".rstrip()
        )


async def _layers(dsn: str, remove: str) -> list[dict[str, Any]]:
    """The layers that are there, after one was removed. Raises `NotFound`."""
    database = Database(dsn, 2)
    await database.open()
    try:
        if remove:
            async with database.transaction() as connection:
                await store.remove_layer(connection, remove, SystemClock().now_us())
        return await store.layers(database)
    finally:
        await database.close()
