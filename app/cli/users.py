"""`cityops user add|list|disable`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from app import declared, place
from app.auth import QUERIES, Auth, new_token
from core.clock import SystemClock, rfc3339, to_us
from core.db import Database

T = TypeVar("T")


@click.group()
def user() -> None:
    """People who may sign in."""


def _with_auth(config: Path, do: Callable[[Auth], Awaitable[T]]) -> T:
    async def inside() -> T:
        found = declared.load(config)
        database = Database(place.dsn(found.settings), 2)
        await database.open()
        try:
            return await do(Auth(database, SystemClock(), found.settings.web.session))
        finally:
            await database.close()

    return asyncio.run(inside())


@user.command()
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, help="May be given several times.")
@click.option("--shown", default="", help="Name as people see it.")
@click.option("--area", "areas", multiple=True, help="Only these streets.")
@click.option("--department", "departments", multiple=True, help="Only these departments.")
@click.option("--crew", default="", help="The crew that a responder belongs to.")
@click.pass_obj
def add(
    config: Path, name: str, roles: tuple[str, ...], shown: str, areas: tuple[str, ...],
    departments: tuple[str, ...], crew: str,
) -> None:  # fmt: skip
    """Add a user or give a known one a new password, which is asked for (empty: one is made and shown once)."""
    known = {role for roles_ in declared.load(config).policy.allowed.values() for role in roles_}
    unknown = set(roles) - known - {"responder", "collector", "grid_officer"}
    if unknown:
        click.echo(
            f"unknown role {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}", err=True
        )
        sys.exit(2)
    password = click.prompt(
        "password", default="", hide_input=True, confirmation_prompt=True, show_default=False
    )
    made = password or new_token()[:20]
    _with_auth(
        config,
        lambda auth: auth.put_user(
            name,
            shown or name,
            made,
            list(roles),
            areas=list(areas),
            departments=list(departments),
            crew=crew,
        ),
    )
    click.echo(f"{name}: {'password set' if password else made}")


@user.command("list")
@click.pass_obj
def list_(config: Path) -> None:
    """All users with their roles."""
    for row in _with_auth(config, lambda auth: auth.database.fetch(QUERIES["list_users"])):
        state = f"disabled {rfc3339(to_us(row['disabled_at']))}" if row["disabled_at"] else ""
        click.echo(f"{row['id']:16} {','.join(row['roles']):40} {row['crew']} {state}")


@user.command()
@click.argument("name")
@click.pass_obj
def disable(config: Path, name: str) -> None:
    """Shut a user out; open sessions end within seconds."""
    if not _with_auth(config, lambda auth: auth.disable(name)):
        click.echo(f"{name}: no such user, or disabled before", err=True)
        sys.exit(1)
    click.echo(f"{name}: disabled")
