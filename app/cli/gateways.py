"""`cityops gateway add`: who may send readings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from app import place
from app.auth import new_secret
from core import settings
from core.clock import SystemClock
from core.db import Database
from ingest.gateways_api import GatewayIn, registered


@click.group()
def gateway() -> None:
    """Gateways: what speaks to us on the wire."""


@gateway.command()
@click.argument("gateway_id", metavar="ID")
@click.option("--rotate", is_flag=True, help="Give a known gateway a new secret; the old one ends at once.")
@click.pass_obj
def add(config: Path, gateway_id: str, rotate: bool) -> None:
    """Register gateway ID and print its secret, which is told only now."""
    found = asyncio.run(_put(place.dsn(settings.load(config)), gateway_id, GatewayIn(rotate=rotate)))
    click.echo(found.get("secret", "known already; --rotate gives it a new secret"))


async def _put(dsn: str, gateway_id: str, asked: GatewayIn) -> dict[str, object]:
    database = Database(dsn, 2)
    await database.open()
    try:
        async with database.transaction() as connection:
            return await registered(connection, gateway_id, asked, new_secret, SystemClock().now_us())
    finally:
        await database.close()
