"""The small city as a fixture."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from core.db import Database
from core.domains import Domains
from tests.dispatch.world import World, world


@pytest.fixture
async def city(database: Database, shipped: Domains) -> AsyncIterator[World]:
    async with world(database, shipped) as made:
        yield made
