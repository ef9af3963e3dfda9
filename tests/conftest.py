"""What all tests share: a real PostgreSQL, a fresh database a test, texts and domains as they ship."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql

from app.postgres import EmbeddedPostgres
from core import db, domains, migrate
from core.clock import ManualClock
from core.domains import Domains

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("core", "iot", "gis", "ingest", "events", "dispatch", "dashboard", "simulators", "app")
#: What a long test may take that names no limit itself: one of a minute took three on a machine with a load of 10.
LONG_S = 1200
_numbers = itertools.count(1)
# The default run tries the same examples every time; `make test-all` searches for new ones. Machines may be slow.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None, max_examples=40)
hypothesis.settings.register_profile("search", deadline=None, max_examples=500)
hypothesis.settings.load_profile("steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The limit of the settings is for tests of seconds."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_S))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def shipped() -> Domains:
    """The domains as they ship."""
    return domains.load(ROOT / "domains")


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One server a session, with a template database that has the whole schema."""
    with tempfile.TemporaryDirectory(prefix="cityops-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)  # as root the server runs as another user
        server = EmbeddedPostgres(Path(folder) / "postgres")
        server.start()
        with psycopg.connect(server.dsn_of("postgres"), autocommit=True) as connection:
            connection.execute(b"ALTER SYSTEM SET fsync = off")
            connection.execute(b"SELECT pg_reload_conf()")
            connection.execute(b"CREATE DATABASE template_cityops")
        with db.connect_sync(server.dsn_of("template_cityops")) as connection:
            migrate.migrate(connection, migrate.find(ROOT / room for room in ROOMS))
        try:
            yield server
        finally:
            server.destroy()


@contextmanager
def fresh_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database made from the template in some 30 ms of a quiet machine, dropped afterwards."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres.dsn_of("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template_cityops").format(sql.Identifier(name))
        )
        try:
            yield postgres.dsn_of(name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def dsn(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database of its own for one test."""
    with fresh_database(postgres) as made:
        yield made


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[db.Database]:
    opened = db.Database(dsn)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()
