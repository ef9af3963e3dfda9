"""The small city and its routes as fixtures.

Tests of one module share a city: its database, connections and routes are made once, and before each test it is as
if nothing had happened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from starlette.middleware.base import RequestResponseEndpoint

from app.postgres import EmbeddedPostgres
from core.actor import NOBODY
from core.db import Database
from core.http import install_errors
from core.text import Texts
from dispatch import api
from dispatch.plans import Plans
from tests.conftest import fresh_database
from tests.dispatch.world import LINKS, PEOPLE, World, declared, world


@pytest.fixture
def words() -> Texts:
    return declared().words


@pytest.fixture
def plans() -> Plans:
    return declared().plans


@pytest.fixture(scope="module")
async def town(postgres: EmbeddedPostgres) -> AsyncIterator[World]:
    with fresh_database(postgres) as dsn:
        database = Database(dsn)
        await database.open()
        try:
            async with world(database) as made:
                yield made
        finally:
            await database.close()


@pytest.fixture
async def city(town: World) -> World:
    await town.forget()
    return town


@pytest.fixture
async def own_city(database: Database) -> AsyncIterator[World]:
    """A city in the test's own database, for tests of other rooms that have more in it."""
    async with world(database) as made:
        yield made


@pytest.fixture(scope="module")
def site(town: World) -> FastAPI:
    """All routes of the room; who asks stands in the header `x-test-actor`."""
    app = FastAPI()
    app.state.policy, app.state.database, app.state.clock = town.actions.policy, town.database, town.clock
    install_errors(app, declared().words)
    app.include_router(api.router(town.actions, declared().words, LINKS))

    @app.middleware("http")
    async def who(request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.state.actor = PEOPLE.get(request.headers.get("x-test-actor", ""), NOBODY)
        return await call_next(request)

    return app


@pytest.fixture
async def http(site: FastAPI, city: World) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://city") as client:
        yield client
