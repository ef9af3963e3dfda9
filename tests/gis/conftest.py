"""The sample city, made once for all tests of this room."""

from __future__ import annotations

import pytest

from gis.city import City, sample_city


@pytest.fixture(scope="session")
def city() -> City:
    return sample_city(1)
