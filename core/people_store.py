"""The names of people beside their ids: an id says who answers for it, a name is what a screen shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from core.sql import Queries

QUERIES = Queries.of(__file__)


async def named(
    connection: AsyncConnection[Any], rows: Sequence[Mapping[str, Any]], key: str
) -> list[dict[str, Any]]:
    """The rows with `<key>_name` beside the id under `key`; who has no account (our own parts) goes by the id."""
    ids = sorted({row[key] for row in rows if row[key]})
    names: dict[str, str] = {}
    if ids:
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(QUERIES["names_of_people"], {"ids": ids})
            names = {each["id"]: each["name"] for each in await cursor.fetchall()}
    return [{**row, f"{key}_name": names.get(row[key]) or row[key]} for row in rows]
