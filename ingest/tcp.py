"""TCP servers for devices that speak a field protocol: HJ 212, GB/T 26875.3, SL 651.

The device dials us. What it sends is answered as its protocol says, after COMMIT or the spool's fdatasync; what it
sends wrongly is kept with its reason. Devices are registered under the gateway that a server is configured with.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass

from core.clock import Clock
from core.log import logger
from core.metrics import Metrics
from ingest.field import FieldProtocol, Heard
from ingest.intake import Intake
from ingest.stream import NoReceipt, Stream
from iot.codecs.frame import Parcel, Receipt

TICK_S = 5.0


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """What one connection may do. A frame that was begun must be finished in `frame_s`; silence may last `idle_s`."""

    connections: int = 10_000
    frame_s: float = 30.0
    idle_s: float = 7200.0
    in_flight_bytes: int = 256 << 10
    rubbish_bytes: int = 1 << 20


class TcpServer:
    """All connections of one port. `replied(station, key, frame)` hears answers to what we asked."""

    def __init__(
        self,
        gateway: str,
        protocol: Callable[[], FieldProtocol],
        intake: Intake,
        clock: Clock,
        metrics: Metrics,
        limits: TcpLimits | None = None,
    ) -> None:
        self.gateway = gateway
        self.protocol = protocol
        self.intake = intake
        self.clock = clock
        self.metrics = metrics
        self.limits = limits or TcpLimits()
        self.connections: set[Line] = set()
        self.stations: dict[str, Line] = {}
        self.replied: Callable[[str, str, bytes], None] = lambda _station, _key, _frame: None
        self.log = logger("ingest")
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; the port, which matters when 0 was asked for."""
        self._server = await asyncio.get_running_loop().create_server(lambda: Line(self), host, port)
        self._ticking = asyncio.create_task(self._tick_for_ever())
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        if self._server is not None:
            self._server.close()
        for line in list(self.connections):
            line.close("shutting down")
        if self._server is not None:
            await self._server.wait_closed()

    def send(self, station: str, frame: bytes) -> bool:
        """Say something to a station; False when it is not on line."""
        line = self.stations.get(station)
        if line is None or not line.open:
            return False
        line.write(frame)
        return True

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now_s = self.clock.monotonic_s()
            for line in list(self.connections):
                line.check(now_s)
            self.metrics.set("tcp_connections", len(self.connections), gateway=self.gateway)


class Line(Stream):
    """One device's connection."""

    def __init__(self, server: TcpServer) -> None:
        super().__init__(server.limits.in_flight_bytes)
        self.server = server
        self.station = ""
        self._protocol = server.protocol()
        self._framer = self._protocol.framer()
        self._heard_s = self._frame_s = server.clock.monotonic_s()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        server = self.server
        server.connections.add(self)
        if len(server.connections) > server.limits.connections:
            server.metrics.count("tcp_refused_connections", gateway=server.gateway)
            self.abort()
            return
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.server.connections.discard(self)
        if self.server.stations.get(self.station) is self:
            del self.server.stations[self.station]

    def data_received(self, data: bytes) -> None:
        server = self.server
        now_s = self._heard_s = server.clock.monotonic_s()
        now_us = server.clock.now_us()
        if not self._framer.waiting:
            self._frame_s = now_s
        rubbish = self._framer.rubbish
        for frame in self._framer.feed(data):
            self._frame_s = now_s
            self._take(frame, self._protocol.hear(frame, now_us), now_us)
        if self._framer.rubbish > rubbish:
            server.metrics.count("tcp_rubbish_bytes", self._framer.rubbish - rubbish, gateway=server.gateway)
            if self._framer.rubbish > server.limits.rubbish_bytes:
                self.close("speaks another protocol")
        if server.intake.full:
            self.pause("intake")
            server.intake.when_room(lambda: self.resume("intake"))

    def _take(self, frame: bytes, heard: Heard, now_us: int) -> None:
        server = self.server
        if heard.station and heard.station != self.station:
            self.station = heard.station
            server.stations[heard.station] = self
        if heard.now:
            self.answer(heard.now)
        if heard.reply:
            server.replied(heard.station, heard.reply, frame)
        if heard.payload is None:
            return
        receipt: Receipt = NoReceipt()
        if heard.safe:
            receipt = self.promise(heard.safe, 1, len(heard.payload))
        source = self._protocol.source
        server.intake.put(Parcel(server.gateway, source, [heard.payload], now_us, receipt, heard.topic))

    def check(self, now_s: float) -> None:
        """Now and then: does it get on, and is it still there?"""
        if self.resting:
            return
        if self._framer.waiting and now_s - self._frame_s > self.server.limits.frame_s:
            self.close("a frame was not finished")
        elif now_s - self._heard_s > self.server.limits.idle_s:
            self.close("silent for too long")

    def close(self, why: str) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self.server.log.info("tcp_closed", gateway=self.server.gateway, station=self.station, reason=why)
        self.server.metrics.count("tcp_closed", gateway=self.server.gateway)
        self._transport.close()
