"""Assets at rest, in a real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest
import shapely

from core.db import Database
from core.errors import Invalid, NotFound
from gis import store
from gis.asset import Asset
from gis.city import City
from gis.store import Layer

NOW = 1_750_000_000_000_000
HOUR = 3_600_000_000
HYDRANTS = Layer("hydrants", "file.geojson", licence="ours")


def hydrant(name: str, lon: float = 121.5, **told: object) -> Asset:
    return Asset(
        name, "hydrant", shapely.Point(lon, 31.24), "消火栓", attributes={"dn": 100, **told}, source="file"
    )


async def put(database: Database, *assets: Asset, layer: Layer = HYDRANTS, now_us: int = NOW) -> store.Counts:
    async with database.transaction() as connection:
        return await store.replace_layer(connection, layer, assets, now_us)


async def test_an_asset_comes_back_as_it_was(database: Database) -> None:
    ours = replace(hydrant("H-1"), zone="DMA-01", area="A-x", valid_from_us=NOW, provenance="simulated")
    await put(database, ours)
    found = (await store.get(database, "H-1")).asset
    assert found.geometry.equals(ours.geometry)
    assert replace(found, geometry=ours.geometry, attributes=dict(ours.attributes)) is not None
    for field in (
        "id",
        "kind",
        "name",
        "zone",
        "area",
        "source",
        "provenance",
        "valid_from_us",
        "valid_to_us",
    ):
        assert getattr(found, field) == getattr(ours, field)
    assert found.attributes == ours.attributes


async def test_a_layer_is_replaced_and_what_it_was_is_kept(database: Database) -> None:
    await put(database, hydrant("H-1"), hydrant("H-2"), hydrant("H-3"))
    numbers = {a.asset.id: a.number for a in await store.find(database)}
    done = await put(database, hydrant("H-1"), hydrant("H-2", dn=150), hydrant("H-4"), now_us=NOW + HOUR)
    assert (done.stored, done.kept_versions, done.removed) == (3, 2, 1)
    after = {a.asset.id: a for a in await store.find(database)}
    assert set(after) == {"H-1", "H-2", "H-4"}
    assert after["H-2"].number == numbers["H-2"]
    assert after["H-4"].number not in numbers.values()
    [(_, was)] = await store.versions(database, "H-2")
    assert was.attributes["dn"] == 100
    [(_, gone)] = await store.versions(database, "H-3")
    assert gone.id == "H-3"
    assert not await store.versions(database, "H-1")


async def test_storing_the_same_again_changes_nothing(database: Database) -> None:
    await put(database, hydrant("H-1"))
    done = await put(database, hydrant("H-1"), now_us=NOW + HOUR)
    assert (done.kept_versions, done.removed) == (0, 0)


async def test_a_layer_may_not_take_the_ids_of_another(database: Database) -> None:
    await put(database, hydrant("H-1"))
    with pytest.raises(Invalid, match="H-1"):
        await put(database, hydrant("H-0"), hydrant("H-1"), layer=Layer("others", "x"))
    assert [a.asset.id for a in await store.find(database)] == ["H-1"]  # nothing half-imported
    assert [row["layer"] for row in await store.layers(database)] == ["hydrants"]


async def test_an_id_that_stands_twice_is_refused(database: Database) -> None:
    with pytest.raises(Invalid, match="H-1"):
        await put(database, hydrant("H-1"), hydrant("H-1"))


async def test_assets_are_found_by_kind_box_and_time(database: Database) -> None:
    old = replace(hydrant("H-9"), valid_to_us=NOW)
    await put(
        database, hydrant("H-1", 121.5), hydrant("H-2", 121.6), replace(hydrant("V-1"), kind="valve"), old
    )
    assert [a.asset.id for a in await store.find(database, kinds=["valve"])] == ["V-1"]
    assert [a.asset.id for a in await store.find(database, bbox=(121.55, 31.0, 121.65, 31.5))] == ["H-2"]
    assert "H-9" not in {a.asset.id for a in await store.find(database, at_us=NOW + 1)}
    assert "H-9" in {a.asset.id for a in await store.find(database, at_us=NOW - 1)}
    first = await store.find(database, limit=2)
    rest = await store.find(database, after=first[-1].asset.id, limit=9)
    assert [a.asset.id for a in [*first, *rest]] == ["H-1", "H-2", "H-9", "V-1"]


async def test_an_unknown_asset_is_not_found(database: Database) -> None:
    with pytest.raises(NotFound):
        await store.get(database, "H-404")


async def test_the_sample_city_is_stored_once(database: Database, city: City) -> None:
    layer = Layer("sample", "sample", fingerprint="seed 1")
    assets = list(city.assets.values())
    assert await store.seed_city(database, assets, layer, NOW)
    assert not await store.seed_city(database, assets, layer, NOW + HOUR)
    pipe = (await store.get(database, "P-0001")).asset
    assert pipe.geometry.equals_exact(city.asset("P-0001").geometry, 1e-12)
    found = await store.find(database, kinds=["pipe"])
    assert len(found) == len(list(city.of_kind("pipe")))
