"""The sample city, made once for all tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest

from gis import tiles
from gis.city import City, sample_city


@pytest.fixture(scope="session")
def city() -> City:
    return sample_city(1)


@pytest.fixture(scope="session")
def made(city: City, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tile file of the sample city."""
    return tiles.build(enumerate(city.assets.values(), 1), tmp_path_factory.mktemp("tiles"))
