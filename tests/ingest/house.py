"""The ingest side of a worker in one object: endpoint, intake, pipeline, store and spool, as the wiring joins them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from core.clock import Clock, SystemClock
from core.db import connect
from core.metrics import Metrics
from ingest.assemble import DECODERS, Assembler, Limits
from ingest.endpoint import Endpoint, EndpointLimits, Listener
from ingest.intake import BatchSize
from ingest.mqtt import Message
from ingest.pipeline import News, Pipeline
from ingest.rights import Rights
from ingest.spool import Spool
from ingest.tap import TappedIntake
from iot.codecs.frame import Decoder
from iot.partitions import ReadingsTable
from iot.readings import Logged, Store
from iot.registry import Registry

#: Readings of the sample city carry the time of the tests, whatever the wall says.
ANY_TIME = Limits(refuse_older_s=1e9, refuse_future_s=1e9)


async def known(name: str, password: bytes) -> str | None:
    """Everybody whose password is `secret`."""
    return name if name and password == b"secret" else None


async def until(what: Callable[[], bool], patience_s: float = 20.0) -> None:
    """Wait for what has no event of its own."""
    async with asyncio.timeout(patience_s):
        while not what():  # noqa: ASYNC110 - the product has no reason to signal it
            await asyncio.sleep(0.01)


@dataclass
class House(News):
    dsn: str
    registry: Registry
    folder: Path
    clock: Clock = field(default_factory=SystemClock)
    limits: Limits = ANY_TIME
    endpoint_limits: EndpointLimits = field(default_factory=EndpointLimits)
    decoders: Mapping[str, Decoder] = field(default_factory=lambda: DECODERS)
    rights: Rights | None = None
    listener: Listener | None = None
    spool_bytes: int = 1 << 30
    batch: BatchSize = field(default_factory=BatchSize)
    instance: str = "1"
    store_type: type[Store] = Store
    port: int = 0

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.intake = TappedIntake(batch=self.batch)
        self.logged: list[Logged] = []
        self.notices: list[tuple[str, bytes]] = []
        self.spool = Spool(self.folder, self.spool_bytes, reserve_bytes=0)
        self.store = self.store_type(self.dsn, ReadingsTable(86_400.0), "run", self.instance)
        self.endpoint = Endpoint(
            self.intake, known, self.clock, self.metrics,
            limits=self.endpoint_limits, rights=self.rights, listener=self.listener,
        )  # fmt: skip
        assembler = Assembler(self.registry, self.limits, self.decoders)
        self.pipeline = Pipeline(
            self.intake, self.store, assembler, self.spool, self.clock, self.metrics, self
        )

    def stored(self, logged: Logged) -> None:
        self.logged.append(logged)

    def refused(self, gateway: str, notice: bytes) -> None:
        self.notices.append((gateway, notice))
        self.endpoint.publish(Message(f"refused/{gateway}", notice, 1))

    async def __aenter__(self) -> Self:
        async with await connect(self.dsn) as connection:
            await self.store.table.prepare(connection, "off")
        self.port = await self.endpoint.start("127.0.0.1", self.port)
        self.running = asyncio.create_task(self.pipeline.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.endpoint.stop()
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.store.close()
        self.spool.close()
        if not self.running.cancelled():
            self.running.result()

    async def drained(self) -> None:
        """Until the spool is empty."""
        await until(lambda: self.spool.empty, 30)

    @property
    def rows(self) -> int:
        return sum(len(logged.batch) for logged in self.logged)
