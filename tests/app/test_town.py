"""The city of an installation follows what is imported, without a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

from anyio import fail_after

from app import declared
from app.__main__ import ROOT
from app.keeper import Keeper
from app.screens import setup_of
from app.town import SAMPLE_VIEW, Town, map_of
from core.clock import ManualClock
from core.db import Database
from core.settings import Paths
from gis import sample
from gis.store import Layer
from gis.stored import NOWHERE, StoredCity
from iot import kinds
from tests.gis.test_store import NOW
from tests.gis.test_stored import TOWN, put


def town_of(database: Database, folder: Path, scene: str) -> Town:
    shipped = declared.load(ROOT / "config.yaml").settings
    settings = shipped.model_copy(update={"scene": scene, "paths": Paths(data=folder)})
    return Town(map_of(settings, database, ManualClock(NOW)))


async def test_a_demonstration_plays_in_the_sample_city_whatever_is_imported(
    database: Database, tmp_path: Path
) -> None:
    town = town_of(database, tmp_path, "both")
    await put(database, Layer("town", "survey"), TOWN)
    await town.renew()
    assert town.view == SAMPLE_VIEW
    assert town.areas == sample.area_names()
    assert not isinstance(town.map.city, StoredCity)


async def test_a_real_city_is_renewed_by_every_import(database: Database, tmp_path: Path) -> None:
    town = town_of(database, tmp_path, "off")
    await town.renew()
    assert (town.view, town.credit, town.areas) == (NOWHERE, "", {})
    shipped = declared.load(ROOT / "config.yaml")
    renewed = asyncio.Event()

    async def renew() -> None:
        await town.renew()
        renewed.set()

    keeper = Keeper(database, kinds.load(shipped.domains))
    keeper.imported.append(renew)
    await keeper.start()
    following = asyncio.create_task(keeper.follow_registry())
    await put(database, Layer("town", "survey", licence="ODbL"), TOWN)
    with fail_after(10):
        await renewed.wait()
    following.cancel()
    assert town.areas == {"A-1": {"zh": "城中街道", "en": "城中街道"}}
    told = setup_of(shipped, town)
    assert (told["map"]["name"], told["areas"]) == ("ODbL", town.areas)  # type: ignore[index] # plain JSON
    west, south, east, north = town.view
    assert west < TOWN[0].lonlat[0] < east
    assert south < TOWN[0].lonlat[1] < north
