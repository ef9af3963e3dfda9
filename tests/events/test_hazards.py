"""What live incidents endanger reaches the map: surveyed from readings, drawn once, ended with the incident."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.batch import Batch
from core.clock import MINUTE_US
from core.db import connect
from events.hazard_feed import HazardFeed
from events.hazards import Danger, Depth, Survey, Wind, drawn, survey
from events.types import Endangers
from gis import hazard_store
from gis.city import sample_city
from gis.hazard import Hazard
from iot import registry_store
from iot.aggregate import Aggregates
from iot.readings import Logged
from tests.events.conftest import City, _device
from tests.events.world import NOON_US

FLOOD = Danger("i1", Endangers(kind="flood"), 121.5, 31.24, "", sure=False, provenance="real")
PLUME = replace(FLOOD, declared=Endangers(kind="plume", reach_m=200))
BURST = replace(FLOOD, declared=Endangers(kind="isolated"), asset="P-0300", sure=True)


def test_a_flood_is_drawn_where_it_is_deepest() -> None:
    found = survey(FLOOD, [Depth(12, 121.50, 31.24, "a"), Depth(31, 121.51, 31.23, "b")], None)
    assert found is not None
    assert (found.lon, found.asset, found.depth_cm) == (121.51, "b", 30)
    assert found == survey(FLOOD, [Depth(29, 121.51, 31.23, "b")], None), "a ripple draws nothing anew"


@pytest.mark.parametrize("depths", [[], [Depth(3, 121.5, 31.24, "a")]])
def test_nothing_is_drawn_of_a_depth_that_is_unknown_or_nothing(depths: list[Depth]) -> None:
    assert survey(FLOOD, depths, None) is None


def test_a_plume_follows_the_wind_and_is_a_disc_without_one() -> None:
    blown = survey(PLUME, [], Wind(92.0, 3.4))
    assert blown is not None
    assert (blown.wind_from_deg, blown.wind_mps, blown.reach_m) == (90, 3, 200)
    calm = survey(PLUME, [], None)
    assert calm is not None
    assert calm.wind_mps == 0
    assert {"calm": True} in [dict(zone.attributes) for zone in drawn(calm, sample_city())]


def test_a_zone_is_cut_off_only_on_the_map_of_a_sure_burst_on_a_known_pipe() -> None:
    assert survey(replace(BURST, sure=False), [], None) is None
    found = survey(BURST, [], None)
    assert found is not None
    (zone,) = drawn(found, sample_city())
    assert zone.geometry.contains(sample_city().asset("P-0300").geometry)
    valves = zone.attributes["valves"]
    assert isinstance(valves, list)
    assert [name for name, _, _ in valves] == list(
        sample_city().networks["water_supply"].isolating_valves("P-0300").valves
    )
    elsewhere = Survey("i1", "isolated", "real", 0, 0, "nowhere", network="water_supply")
    assert drawn(elsewhere, sample_city()) == ()


async def stored(city: City, *batches: Batch, first: int = 1) -> None:
    """The readings are the newest that the database knows, as the worker keeps them."""
    newest = Aggregates(city.registry)
    async with await connect(city.database.dsn) as connection:
        await newest.load(connection)
        for number, batch in enumerate(batches, first):
            newest.take(Logged(number, batch))
        await newest.flush(connection)


async def test_a_flooded_underpass_is_on_the_map_until_it_is_over(city: City) -> None:
    feed = HazardFeed(city.database, city.clock, lambda: city.registry, sample_city, city.model.types)
    await city.begin()
    deep = city.batch("fl_underpass-1", "depth", {60.0 * n: v for n, v in enumerate((0, 4, 18, 27, 44, 45))})
    await city.say(deep)
    await feed.survey()
    assert await hazard_store.current(city.database, city.clock.now_us()) == [], "no depth is known yet"
    await stored(city, deep)
    await feed.survey()
    (found,) = await hazard_store.current(city.database, city.clock.now_us())
    (incident,) = await city.incidents()
    assert (found.kind, found.incident, found.provenance) == ("flood", incident["id"], "simulated")
    assert [zone.cls for zone in found.zones] == [1, 2, 3, 4]
    city.clock.advance(60)
    await feed.survey()
    assert (await hazard_store.current(city.database, city.clock.now_us()))[0].begins_us == found.begins_us
    city.clock.advance(31 * MINUTE_US / 1e6)
    await feed.survey()
    assert await hazard_store.current(city.database, city.clock.now_us()) == [], "old readings say nothing"


async def test_after_a_restart_what_is_over_is_ended(city: City) -> None:
    await city.begin()
    now_us = city.clock.now_us()
    old = Hazard("incident/gone", "flood", drawn(Survey("gone", "flood", "real", 121.5, 31.24,
                              depth_cm=20), sample_city()), now_us - 1, incident="gone")  # fmt: skip
    other = replace(old, id="drill/1", incident="")
    async with city.database.transaction() as connection:
        await hazard_store.put(connection, old, now_us)
        await hazard_store.put(connection, other, now_us)
    await HazardFeed(city.database, city.clock, lambda: city.registry, sample_city, city.model.types).survey()
    assert [each.id for each in await hazard_store.current(city.database, now_us)] == ["drill/1"]


async def test_a_plume_drifts_as_the_nearest_station_says(city: City) -> None:
    stations = [
        _device("con_dust_noise", number, lon=121.5 + number / 100, asset="site-1") for number in (1, 2)
    ]
    async with city.database.transaction() as connection:
        await registry_store.put_devices(connection, stations, city.catalogue, NOON_US)
    city.registry = await registry_store.load(city.database, city.catalogue)
    feed = HazardFeed(city.database, city.clock, lambda: city.registry, sample_city, city.model.types)
    far = [
        city.batch("con_dust_noise-2", "wind_speed", {0.0: 9.0}),
        city.batch("con_dust_noise-2", "wind_dir", {0.0: 10.0}),
    ]
    await stored(city, *far, city.batch("con_dust_noise-1", "wind_speed", {0.0: 3.0}))
    assert await feed._wind(PLUME) == Wind(10.0, 9.0), "one that does not say where from is of no use"
    await stored(city, city.batch("con_dust_noise-1", "wind_dir", {0.0: 45.0}), first=10)
    assert await feed._wind(PLUME) == Wind(45.0, 3.0)
