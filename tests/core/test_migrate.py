"""The schema is applied once, in order, and an edited file is refused."""

from __future__ import annotations

import pytest

from core import db, migrate
from core.migrate import Migration, MigrationChanged

ONE = Migration("9001_one", b"CREATE TABLE one (id integer)")
TWO = Migration("9002_two", b"CREATE TABLE two (id integer)")


def test_what_is_missing_is_applied_and_nothing_twice(dsn: str) -> None:
    with db.connect_sync(dsn) as connection:
        assert migrate.migrate(connection, [ONE]) == ["9001_one"]
        assert migrate.migrate(connection, [ONE, TWO]) == ["9002_two"]
        assert migrate.migrate(connection, [ONE, TWO]) == []


def test_an_applied_file_that_was_edited_stops_everything(dsn: str) -> None:
    with db.connect_sync(dsn) as connection:
        migrate.migrate(connection, [ONE])
        edited = Migration(ONE.name, b"CREATE TABLE other (id integer)")
        with pytest.raises(MigrationChanged, match="9001_one"):
            migrate.migrate(connection, [edited, TWO])
        assert connection.execute(b"SELECT to_regclass('two') AS two").fetchone() == {"two": None}


def test_a_file_that_fails_leaves_nothing_behind(dsn: str) -> None:
    broken = Migration("9003_broken", b"CREATE TABLE half (id integer); SELECT 1/0")
    with db.connect_sync(dsn) as connection:
        with pytest.raises(Exception, match="division by zero"):
            migrate.migrate(connection, [broken])
        assert connection.execute(b"SELECT to_regclass('half') AS half").fetchone() == {"half": None}
        assert migrate.migrate(connection, []) == []
