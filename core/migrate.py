"""The schema: numbered SQL files in each room's `migrations/`, applied in order under a lock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.rows import DictRow

from core.db import Lock

LEDGER = b"""
CREATE TABLE IF NOT EXISTS schema_migrations (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


class MigrationChanged(Exception):
    """A file that was applied has another content now: the schema cannot be what the code thinks."""


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    sql: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql).hexdigest()


def find(rooms: Iterable[Path]) -> list[Migration]:
    """The migrations of all rooms; `0004_alerts.sql` comes before `0010_cases.sql` whatever the room."""
    files = sorted(
        (path for room in rooms for path in room.glob("migrations/*.sql")), key=lambda path: path.name
    )
    numbers = [path.name.split("_")[0] for path in files]
    doubled = {number for number in numbers if numbers.count(number) > 1}
    if doubled:
        raise ValueError(f"migration numbers used twice: {sorted(doubled)}")
    return [Migration(path.stem, path.read_bytes()) for path in files]


def migrate(connection: psycopg.Connection[DictRow], migrations: list[Migration]) -> list[str]:
    """Apply what is missing, each file in its own transaction; the names of those applied.

    Raises `MigrationChanged` before anything is done when an applied file has changed.
    """
    connection.execute(b"SELECT pg_advisory_lock(%s)", [int(Lock.MIGRATE)])
    try:
        connection.execute(LEDGER)
        rows = connection.execute(b"SELECT name, sha256 FROM schema_migrations").fetchall()
        applied = {row["name"]: row["sha256"] for row in rows}
        changed = [m.name for m in migrations if applied.get(m.name, m.sha256) != m.sha256]
        if changed:
            raise MigrationChanged(f"applied migrations were edited afterwards: {', '.join(changed)}")
        done = []
        for migration in migrations:
            if migration.name in applied:
                continue
            with connection.transaction():
                connection.execute(migration.sql)
                connection.execute(
                    b"INSERT INTO schema_migrations (name, sha256) VALUES (%s, %s)",
                    [migration.name, migration.sha256],
                )
            done.append(migration.name)
        return done
    finally:
        connection.execute(b"SELECT pg_advisory_unlock(%s)", [int(Lock.MIGRATE)])
