"""`cityops backtest`: rules over what is in the store."""

from __future__ import annotations

import numpy as np
import pytest

from app import backtest
from app.cli.backtest import table
from core.batch import Batch, Quality
from core.clock import DAY_US, MINUTE_US, SECOND_US
from core.db import Database, connect
from core.domains import Domains
from core.errors import Invalid
from events.citytime import CityTime
from events.engine import Model, load_model
from events.load import Load
from events.place import NOWHERE
from iot import kinds, registry_store
from iot.partitions import ReadingsTable
from iot.readings import Mark, Store
from iot.registry import Registry
from iot.registry_store import DeviceRow
from tests.events.world import CITY, NOON_US


@pytest.fixture(scope="module")
def model(shipped: Domains) -> Model:
    return load_model(shipped, kinds.load(shipped))


@pytest.fixture
async def registry(database: Database, shipped: Domains) -> Registry:
    """Three loggers of one area whose pressure falls one after the other, and a doubtful fall of a fourth."""
    catalogue = kinds.load(shipped)
    rows = [
        DeviceRow(
            f"p{n}", "ws_pressure_logger", f"压力点{n}", f"Gauge {n}", 121.5 + n / 1000, 31.2, "gw", zone="DMA-01",
            asset=f"node-{n}", params={"period_s": 60},
        )
        for n in (1, 2, 3, 4)
    ]  # fmt: skip
    async with database.transaction() as connection:
        await registry_store.put_gateway(connection, "gw", NOON_US)
        await registry_store.put_devices(connection, rows, catalogue, NOON_US)
    found = await registry_store.load(database, catalogue)
    table = ReadingsTable(DAY_US / SECOND_US)
    async with await connect(database.dsn) as connection:
        await table.prepare(connection, "off")
    store = Store(database.dsn, table, "test")
    store.use(found)
    await store.connect()
    times = NOON_US + np.arange(180, dtype=np.int64) * MINUTE_US
    for n in (1, 2, 3, 4):
        value = np.where(times < NOON_US + (90 + n) * MINUTE_US, 0.30, 0.20)
        one = found.devices[f"p{n}"]
        point = found.channel(one, "pressure")
        assert point is not None
        batch = Batch.of(
            device=one.number, channel=point.number, time_us=times, value=value, received_us=times,
            quality=int(Quality.SPIKE) if n == 4 else 0,
        )  # fmt: skip
        await store.commit(batch, [], NOON_US, Mark("live", n), history=True)
    await store.close()
    return found


async def load_of(database: Database, model: Model, registry: Registry, begin_us: int, end_us: int) -> Load:
    told: list[float] = []
    load, readings = await backtest.run(
        database, model, registry, backtest.Span(begin_us, end_us), city=CityTime(CITY.zone), world=NOWHERE,
        tell=told.append,
    )  # fmt: skip
    assert told[-1] == 1.0
    assert readings <= 540
    return load


async def test_a_burst_in_the_store_is_found_again_and_doubtful_readings_are_not_believed(
    database: Database, model: Model, registry: Registry
) -> None:
    whole = backtest.chosen(model, ["all"])
    load = await load_of(database, whole, registry, NOON_US, NOON_US + 180 * MINUTE_US)
    assert load.by_rule["ws.pressure.drop"] == 3
    assert load.by_type == {"water_burst": 1}
    assert any("p1/pressure" in source for source, _ in load.top)
    assert not any("p4/pressure" in source for source, _ in load.top)
    async with database.transaction() as connection:
        (row,) = await (await connection.execute(b"SELECT count(*) AS n FROM alerts")).fetchall()
    assert row["n"] == 0


async def test_only_the_rules_and_the_span_that_were_asked_for_are_run(
    database: Database, model: Model, registry: Registry
) -> None:
    drop = backtest.chosen(model, ["ws.pressure.drop"])
    assert (await load_of(database, drop, registry, NOON_US, NOON_US + 180 * MINUTE_US)).alerts == 3
    assert (await load_of(database, drop, registry, NOON_US, NOON_US + 60 * MINUTE_US)).alerts == 0


def test_a_rule_that_does_not_exist_is_refused(model: Model) -> None:
    assert len(backtest.chosen(model, ["ws.*", "gas.space.l3"]).rules) > 5
    with pytest.raises(Invalid):
        backtest.chosen(model, ["ws.presure.drop"])


async def test_the_table_shows_two_rule_sets_side_by_side(
    database: Database, model: Model, registry: Registry
) -> None:
    span = (NOON_US, NOON_US + 180 * MINUTE_US)
    one = await load_of(database, backtest.chosen(model, ["ws.pressure.drop"]), registry, *span)
    other = await load_of(database, backtest.chosen(model, ["ws.flow.*"]), registry, *span)
    lines = table({"in_force": one, "changed": other})
    assert lines[0].split() == ["in_force", "changed"]
    assert next(line for line in lines if line.startswith("rule ws.pressure.drop")).split()[-2:] == ["3", "0"]
