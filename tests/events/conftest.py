"""A small city in a real database, with the rules as they ship and an engine that is moved step by step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from app.bench.kills import append
from core import db, text
from core.batch import Batch
from core.clock import SECOND_US, ManualClock
from core.db import Database
from core.domains import Domains
from core.metrics import Metrics
from core.text import Texts
from events.engine import Model, load_model
from events.feed import Around, EngineFeed, Timing, _Life
from events.views import EventViews, Filters
from iot import kinds, log, registry_store
from iot.kinds import Catalogue
from iot.registry import Registry
from iot.registry_store import DeviceRow
from tests.conftest import ROOMS, ROOT
from tests.events.world import CITY, NOON_US

#: Loggers of one district metered area that send every five seconds, as in the demonstration scene.
FAST = {"period_s": 5, "drop_hold_s": 5, "low_hold_s": 10}


def _device(kind: str, number: int, **more: object) -> DeviceRow:
    values: dict[str, object] = {
        "id": f"{kind}-{number}", "kind": kind, "name_zh": f"{kind} {number} 号", "name_en": f"{kind} no. {number}",
        "lon": 121.490 + 0.001 * number, "lat": 31.240, "gateway": "gw-1", "area": "外滩街道",
        "provenance": "simulated",
    }  # fmt: skip
    return DeviceRow(**{**values, **more})  # type: ignore[arg-type] # fields of the row


DEVICES = [
    *(_device("ws_pressure_logger", n, zone="DMA-01", asset=f"node-{n}", params=FAST) for n in range(1, 6)),
    *(_device("ws_pressure_logger", n, zone="DMA-02", lon=121.55, asset=f"node-{n}") for n in range(6, 9)),
    *(_device("fl_underpass", n, lon=121.6 + n, asset=f"underpass-{n}", gateway="gw-2") for n in (1, 2)),
    *(_device("con_noise", n, lon=121.52, asset="site-1", gateway="gw-2") for n in (1, 2)),
    _device("ws_hydrant", 1, gateway="gw-2", lon=121.7),
]


@dataclass(slots=True)
class City:
    """The engine of a test: `say` appends readings to the log and lets the engine take them."""

    database: Database
    connection: AsyncConnection[TupleRow]
    clock: ManualClock
    model: Model
    catalogue: Catalogue
    registry: Registry
    texts: Texts
    timing: Timing = field(default_factory=Timing)
    life: _Life | None = None
    feed: EngineFeed | None = None

    @property
    def views(self) -> EventViews:
        return EventViews(self.database, self.texts, CITY.zone)

    async def begin(self) -> None:
        """An engine begins, or begins again from what is stored."""
        self.feed = EngineFeed(self.database, CITY, Around(self.clock, self.timing, Metrics()))
        self.feed.use(self.model, self.registry)
        self.life = await self.feed.begin(self.connection)

    def batch(self, device: str, channel: str, samples: Mapping[float, float]) -> Batch:
        """Readings of a point: seconds after NOON → value."""
        found = self.registry.devices[device]
        number = self.registry.channel(found, channel)
        assert number is not None
        return Batch.of(
            device=found.number, channel=number.number, time_us=[NOON_US + round(s * SECOND_US) for s in samples],
            value=list(samples.values()), gateway=self.registry.gateways[found.gateway].number,
        )  # fmt: skip

    async def say(self, *batches: Batch) -> None:
        """Readings arrive; the clock is at least where they are."""
        assert self.life is not None
        both = Batch.concat(batches)
        last = int(both.received_us.max())
        self.clock.advance(max(0, last - self.clock.now_us()) / SECOND_US)
        await append(self.connection, both, self.clock.now_us())
        await self.follow()

    async def follow(self) -> None:
        """The engine takes what is in the log."""
        assert self.life is not None
        await self.life.step(await log.after(self.connection, self.life.cursor, 1000))

    async def wait(self, seconds: float) -> None:
        assert self.life is not None
        for _ in range(max(1, round(seconds / 30))):
            self.clock.advance(min(seconds, 30))
            await self.life.step([])

    async def alerts(self) -> list[dict[str, object]]:
        return await self.views.alerts(Filters(), 1000)

    async def incidents(self) -> list[dict[str, object]]:
        return await self.views.incidents(Filters(), 1000)


@pytest.fixture(scope="session")
def texts(shipped: Domains) -> Texts:
    homes: Sequence[Path] = [ROOT / room for room in ROOMS]
    return text.load([*homes, *(shipped.folder / info.key for info in shipped)])


@pytest.fixture(scope="session")
def catalogue(shipped: Domains) -> Catalogue:
    return kinds.load(shipped)


@pytest.fixture(scope="session")
def model(shipped: Domains, catalogue: Catalogue, texts: Texts) -> Model:
    return load_model(shipped, catalogue, texts)


@pytest.fixture
async def city(
    database: Database, dsn: str, model: Model, catalogue: Catalogue, texts: Texts
) -> AsyncIterator[City]:
    async with database.transaction() as connection:
        for gateway in ("gw-1", "gw-2"):
            await registry_store.put_gateway(connection, gateway, NOON_US, provenance="simulated")
        await registry_store.put_devices(connection, DEVICES, catalogue, NOON_US)
    reg = await registry_store.load(database, catalogue)
    async with await db.connect(dsn) as connection:
        yield City(database, connection, ManualClock(NOON_US), model, catalogue, reg, texts)
