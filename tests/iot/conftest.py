"""The store's tests run on both stores; property tests judge what is right, not how fast a busy machine is."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql

from core import db, migrate
from tests import timescale
from tests.conftest import ROOT

settings.register_profile("house", deadline=None)
settings.load_profile("house")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def timescale_server() -> Iterator[str]:
    """Where a server with TimescaleDB listens; tests that need one are skipped where there is none."""
    if why := timescale.missing():
        pytest.skip(why)
    if given := timescale.named():
        yield given.rstrip("/")
    else:
        with timescale.wasm() as address:
            yield address


@pytest.fixture
def timescale_dsn(timescale_server: str) -> Iterator[str]:
    """A database of its own with TimescaleDB and the schema of the lower rooms."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    dsn = f"{timescale_server}/{name}"
    with psycopg.connect(f"{timescale_server}/postgres", autocommit=True) as server:
        if timescale.named():
            server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with closing(db.connect_sync(dsn)) as connection:
            connection.execute(b"CREATE EXTENSION IF NOT EXISTS timescaledb")
            migrate.migrate(connection, migrate.find(ROOT / room for room in ("core", "iot", "ingest")))
        yield dsn
        if timescale.named():
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
