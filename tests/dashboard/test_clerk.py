"""Vital signs end to end in a real database: readings in, rows, history, news and screen items out."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from core import text
from core.batch import Batch
from core.changes import Feed
from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, ManualClock
from core.db import Database, connect
from core.domains import Domains
from dashboard.vitals import declare, index, store
from dashboard.vitals.clerk import Clerk
from dashboard.vitals.declare import Vital
from dashboard.vitals.inputs import Rows
from dashboard.vitals.past import StoredPast
from dashboard.vitals.show import VitalSource
from dashboard.vitals.usual import Local, weekly
from dashboard.vitals.window import QUARTER_US
from iot import kinds, registry_store
from iot.aggregate import Aggregates
from iot.partitions import ReadingsTable
from iot.readings import Logged, Mark, Store
from iot.registry import Registry
from iot.registry_store import DeviceRow

ROOT = Path(__file__).resolve().parents[2]
LOCAL = Local(ZoneInfo("Asia/Shanghai"), weekly)
KEYS = (
    "ws_pressure_min", "fl_depth_max", "dis_unsigned", "dis_handle_ontime", "sys_device_online", "ws_mnf_excess",
    "fl_recede_time",
)  # fmt: skip


@dataclass(slots=True)
class SomeRooms:
    """Rooms whose records a test sets."""

    rows: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    numbers: dict[str, float | None] = field(default_factory=dict)

    async def records(self, now_us: int) -> Rows:
        return self.rows

    async def figures(self, now_us: int) -> Mapping[str, float | None]:
        return self.numbers


@dataclass(slots=True)
class Town:
    """Three pressure loggers and a street gauge, with a store to say things through."""

    database: Database
    clock: ManualClock
    registry: Registry
    vitals: tuple[Vital, ...]
    store: Store
    aggregates: Aggregates
    rooms: SomeRooms
    marks: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def clerk(self) -> Clerk:
        past = StoredPast(self.database)
        return Clerk(
            self.vitals, self.database, self.clock, LOCAL, past, self.rooms, self.registry, index.load()
        )

    async def say(
        self, device: str, channel: str, times_us: list[int], values: list[float], *, history: bool = False
    ) -> Logged:
        """Store readings as the writer and the aggregates do."""
        one = self.registry.devices[device]
        point = self.registry.channel(one, channel)
        assert point is not None
        batch = Batch.of(device=one.number, channel=point.number, time_us=times_us, value=values)
        mark = Mark("live", next(self.marks))
        stored = await self.store.commit(batch, [], self.clock.now_us(), mark, history=history)
        assert stored.logged is not None
        self.aggregates.take(stored.logged)
        async with await connect(self.database.dsn) as connection:
            await self.aggregates.flush(connection)
        return stored.logged

    async def rows(self) -> dict[str, dict[str, object]]:
        async with self.database.transaction() as connection:
            return {row["key"]: row for row in await store.rows(connection)}

    def source(self) -> VitalSource:
        homes = [ROOT / "core", ROOT / "dashboard", *sorted((ROOT / "domains").glob("*"))]
        return VitalSource(self.vitals, self.database, self.clock, LOCAL, text.load(homes))


@pytest.fixture
async def town(database: Database, shipped: Domains) -> AsyncIterator[Town]:
    clock = ManualClock(1_795_246_928 * SECOND_US)
    catalogue = kinds.load(shipped)
    rows = [
        DeviceRow(
            f"p{n}",
            "ws_pressure_logger",
            f"压力点{n}",
            f"Gauge {n}",
            121.5,
            31.2,
            "gw",
            zone="z1",
            params={"period_s": 60},
        )
        for n in (1, 2, 3)
    ]
    rows.append(
        DeviceRow("d1", "fl_street_depth", "积水点", "Gauge", 121.5, 31.2, "gw", params={"period_s": 60})
    )
    rows += [
        DeviceRow(f"q{n}", "ws_flow_meter", "流量", "Meter", 121.5, 31.2, "gw", zone="z1") for n in (1, 2)
    ]
    rows.append(DeviceRow("r1", "fl_rain", "雨量站", "Rain gauge", 121.5, 31.2, "gw"))
    async with database.transaction() as connection:
        await registry_store.put_gateway(connection, "gw", clock.now_us())
        await registry_store.put_devices(connection, rows, catalogue, clock.now_us())
    registry = await registry_store.load(database, catalogue)
    vitals = tuple(each for each in declare.load(shipped, catalogue) if each.key in KEYS)
    table = ReadingsTable(DAY_US / SECOND_US)
    async with await connect(database.dsn) as connection:
        await table.prepare(connection, "off")
    readings = Store(database.dsn, table, "test")
    readings.use(registry)
    await readings.connect()
    yield Town(database, clock, registry, vitals, readings, Aggregates(registry), SomeRooms())
    await readings.close()


async def test_the_shown_value_is_what_a_recomputation_from_raw_readings_gives(town: Town) -> None:
    clerk = town.clerk()
    await clerk.start()
    rng = np.random.default_rng(3)
    now = town.clock.now_us()
    for device in ("p1", "p2", "p3"):
        times = [now - second * SECOND_US for second in range(1190, -10, -10)]
        clerk.take(await town.say(device, "pressure", times, rng.uniform(0.16, 0.4, len(times)).tolist()))
    town.clock.advance(5)
    await clerk.turn()
    row = (await town.rows())["ws_pressure_min"]
    first_minute = town.clock.now_us() // MINUTE_US - 9
    means = await town.database.fetch(
        b"SELECT avg(value) AS mean FROM readings WHERE time >= to_timestamp(%(from)s) GROUP BY device",
        **{"from": first_minute * 60},
    )
    assert row["value"] == pytest.approx(min(each["mean"] for each in means))
    assert (row["state"], row["n"], row["total"], row["confidence"]) == ("ok", 3, 3, 1.0)


async def test_last_night_s_excess_is_that_of_the_hours_that_are_stored(town: Town) -> None:
    now = town.clock.now_us()
    hours = np.arange(now // HOUR_US - 20 * 24, now // HOUR_US) * HOUR_US
    rng = np.random.default_rng(5)
    flows = {device: rng.uniform(20, 40, len(hours)) for device in ("q1", "q2")}
    for device, values in flows.items():
        await town.say(device, "flow", hours.tolist(), values.tolist(), history=True)
    await town.clerk().start()
    sums = flows["q1"] + flows["q2"]
    nights: dict[int, list[float]] = {}
    for begin, value in zip((hours + 8 * HOUR_US).tolist(), sums.tolist(), strict=True):
        if begin % DAY_US in (2 * HOUR_US, 3 * HOUR_US):
            nights.setdefault(begin // DAY_US, []).append(value)
    *before, last = [min(both) for _, both in sorted(nights.items()) if len(both) == 2]
    row = (await town.rows())["ws_mnf_excess"]
    assert row["value"] == pytest.approx(100 * (last / float(np.median(before)) - 1))
    assert (row["state"], row["n"], row["total"]) == ("ok", 2, 2)


async def test_water_is_measured_from_the_end_of_the_rain_until_the_road_is_free(town: Town) -> None:
    now = town.clock.now_us() // (15 * MINUTE_US) * 15 * MINUTE_US
    fives = [now - n * 5 * MINUTE_US for n in range(48, 0, -1)]
    clerk = town.clerk()
    await clerk.start()
    assert clerk.shown["fl_recede_time"].state == "no_data", "nobody has spoken"
    clerk.take(await town.say("r1", "rain_1h", fives, [30.0] * 12 + [0.0] * 36))
    clerk.take(await town.say("d1", "depth", fives, [0.0] * 48))
    await clerk.turn()
    assert (clerk.shown["fl_recede_time"].state, clerk.shown["fl_recede_time"].value) == ("empty", None)
    clerk.take(await town.say("d1", "depth", [at + 1 for at in fives], [20.0] * 30 + [4.0] * 18))
    await clerk.turn()
    assert clerk.shown["fl_recede_time"].value == (30 - 12) * 5, (
        "by hand: rain until step 12, water until step 30"
    )


async def test_the_index_is_a_row_with_its_parts_and_turns_to_the_worst_under_level_1(town: Town) -> None:
    clerk = town.clerk()
    await clerk.start()
    now = town.clock.now_us()
    for device in ("p1", "p2", "p3"):
        clerk.take(await town.say(device, "pressure", [now], [0.3]))
    await clerk.turn()
    (item,) = [each for each in await town.source().all() if each["id"] == index.KEY]
    made_of = item["made_of"]
    assert isinstance(made_of, list)
    assert (item["shows"], item["slot"]) == ("mean", "index")
    assert sum(part["points"] for part in made_of) == pytest.approx(item["value"])
    assert {part["key"]: part["score"] for part in made_of}["water_supply"] == 100
    town.rooms.rows = {"incidents": [{"domain": "gas", "standing": True, "level": 1, "at_us": now}]}
    await clerk.turn()
    (item,) = [each for each in await town.source().all() if each["id"] == index.KEY]
    assert (item["value"], item["shows"]) == (10.0, "worst")


async def test_a_turn_is_one_piece_of_news(town: Town) -> None:
    feed = Feed(town.database)
    await feed.start()
    clerk = town.clerk()
    await clerk.start()
    assert [(change.topic, change.key) for change in await feed.read()] == [("vitals", "now")]


async def test_a_clerk_that_starts_says_at_once_what_is_now_before_it_recalls_what_was(town: Town) -> None:
    now = town.clock.now_us()
    for device in ("p1", "p2", "p3"):
        await town.say(device, "pressure", [now - 60 * SECOND_US, now], [0.30, 0.34])
    clerk = town.clerk()
    await clerk.start()
    assert clerk.shown["ws_pressure_min"].value == pytest.approx(0.32)


async def test_a_batch_read_at_the_start_and_followed_again_counts_once(town: Town) -> None:
    now = town.clock.now_us()
    logged = [
        await town.say(d, "pressure", [now - 60 * SECOND_US, now], [0.30, 0.34]) for d in ("p1", "p2", "p3")
    ]
    clerk = town.clerk()
    await clerk.start()
    for each in logged:
        clerk.take(each)
    clerk.take(await town.say("p1", "pressure", [now + SECOND_US], [0.10]))
    town.clock.advance(2)
    await clerk.turn()
    assert clerk.shown["ws_pressure_min"].value == pytest.approx((0.30 + 0.34 + 0.10) / 3)


async def test_history_of_the_first_day_makes_traces_and_usual_bands(town: Town) -> None:
    now = town.clock.now_us()
    hours = [now // HOUR_US * HOUR_US - n * HOUR_US for n in range(35 * 24, 33, -1)]
    quarters = [now // QUARTER_US * QUARTER_US - n * QUARTER_US + SECOND_US for n in range(130, 0, -1)]
    for number, device in enumerate(("p1", "p2", "p3")):
        base = [0.30 + 0.01 * number + 0.001 * LOCAL.at(t).hour for t in hours]
        await town.say(device, "pressure", hours, base, history=True)
        await town.say(device, "pressure", quarters, [0.30 + 0.01 * number] * len(quarters), history=True)
    clerk = town.clerk()
    await clerk.start()
    await clerk.recall()
    await clerk.turn()
    item = next(each for each in await town.source().all() if each["id"] == "ws_pressure_min")
    trend = item["trend"]
    assert isinstance(trend, dict)
    assert trend["values"] == [0.3] * 96
    assert None not in trend["low"] + trend["high"]
    assert len(trend["ahead_low"]) == 16, "a vital sign with limits also tells what is usual soon"
    assert item["history_days"] == 7, "a Saturday is compared with days of rest"
    hour = LOCAL.at(now).hour
    assert clerk.usuals["ws_pressure_min"]["rest", hour].median == pytest.approx(
        0.30 + 0.001 * hour, abs=0.002
    )
    before = await store.history(town.database, 0, now + DAY_US)
    again = town.clerk()
    await again.start()
    await again.recall()
    after = await store.history(town.database, 0, now + DAY_US)
    assert len(before["ws_pressure_min"].at_us) == len(after["ws_pressure_min"].at_us), (
        "a restart adds nothing"
    )


async def test_screens_that_opened_before_the_history_was_filled_in_show_it_seconds_later(town: Town) -> None:
    now = town.clock.now_us()
    quarters = [now // QUARTER_US * QUARTER_US - n * QUARTER_US + SECOND_US for n in range(130, 0, -1)]
    for device in ("p1", "p2", "p3"):
        await town.say(device, "pressure", quarters, [0.3] * len(quarters), history=True)
    source = town.source()
    first = await source.all()
    assert {(item["id"], item["state"], item["value"]) for item in first} == {
        (key, "no_data", None) for key in (index.KEY, *(v.key for v in town.vitals))
    }
    clerk = town.clerk()
    await clerk.start()
    await clerk.recall()
    town.clock.advance(10)
    item = next(each for each in await source.all() if each["id"] == "ws_pressure_min")
    trend = item["trend"]
    assert isinstance(trend, dict)
    assert trend["values"] == [0.3] * 96


async def test_silence_lowers_coverage_then_makes_the_value_stale_and_then_nothing(town: Town) -> None:
    clerk = town.clerk()
    await clerk.start()
    now = town.clock.now_us()
    for device in ("p1", "p2", "p3"):
        clerk.take(await town.say(device, "pressure", [now], [0.3]))
    await clerk.turn()
    for minute in range(1, 21):
        clerk.take(await town.say("p1", "pressure", [now + minute * MINUTE_US], [0.3]))
    town.clock.advance(20 * 60)
    await clerk.turn()
    row = (await town.rows())["ws_pressure_min"]
    assert (row["state"], row["value"], row["n"]) == ("stale", 0.3, 1)
    assert row["confidence"] == pytest.approx(1 / 3)
    detail = row["detail"]
    assert isinstance(detail, dict)
    item = next(each for each in await town.source().all() if each["id"] == "ws_pressure_min")
    assert item["as_of"] == "2026-11-21T07:42:08Z"
    town.clock.advance(86_400 + 60)
    await clerk.turn()
    assert (await town.rows())["ws_pressure_min"]["state"] == "no_data"


async def test_excluded_points_are_named_with_their_reason(town: Town) -> None:
    clerk = town.clerk()
    await clerk.start()
    now = town.clock.now_us()
    for device in ("p1", "p2"):
        clerk.take(await town.say(device, "pressure", [now], [0.3]))
    await clerk.turn()
    detail = (await town.rows())["ws_pressure_min"]["detail"]
    assert isinstance(detail, dict)
    assert detail["inputs"]["p"]["excluded"] == [{"device": "p3", "why": "never_heard"}]


async def test_records_and_figures_of_rooms_become_vitals(town: Town) -> None:
    now = town.clock.now_us()
    town.rooms.rows = {
        "alarms": [{"id": "a", "level": 1, "acknowledged": False, "at_us": now - 90 * SECOND_US}]
    }
    town.rooms.numbers = {"dispatch.handled_in_time": 9.0, "dispatch.should_be_handled": 10.0}
    clerk = town.clerk()
    await clerk.start()
    await clerk.turn()
    assert (clerk.shown["dis_unsigned"].value, clerk.shown["dis_unsigned"].level) == (1.0, 1)
    assert (clerk.shown["dis_handle_ontime"].value, clerk.shown["dis_handle_ontime"].level) == (90.0, 3)
    detail = (await town.rows())["dis_unsigned"]["detail"]
    assert isinstance(detail, dict)
    assert detail["records"]["i"]["n"] == 1
    assert [each["number"] for each in detail["records"]["i"]["newest"]] == ["a"], (
        "the records behind a count are named"
    )
    town.rooms.numbers = {}
    await clerk.turn()
    assert clerk.shown["dis_handle_ontime"].state == "no_data"


async def test_devices_that_joined_are_seen_after_the_registry_changed(town: Town, shipped: Domains) -> None:
    clerk = town.clerk()
    await clerk.start()
    catalogue = kinds.load(shipped)
    async with town.database.transaction() as connection:
        row = DeviceRow(
            "p4", "ws_pressure_logger", "压力点4", "Gauge 4", 121.5, 31.2, "gw", params={"period_s": 60}
        )
        await registry_store.put_devices(connection, [row], catalogue, town.clock.now_us())
    town.registry = await registry_store.load(town.database, catalogue, town.registry)
    town.store.use(town.registry)
    town.aggregates.use(town.registry)
    clerk.use(town.registry)
    await clerk.turn()
    for device in ("p1", "p2", "p3", "p4"):
        clerk.take(await town.say(device, "pressure", [town.clock.now_us()], [0.3]))
    await clerk.turn()
    assert clerk.shown["ws_pressure_min"].coverage == (4, 4)


async def test_vitals_that_are_declared_no_more_leave(town: Town) -> None:
    clerk = town.clerk()
    await clerk.start()
    await clerk.turn()
    fewer = replace(town, vitals=town.vitals[:1]).clerk()
    await fewer.start()
    assert set(await town.rows()) == {town.vitals[0].key, index.KEY}
