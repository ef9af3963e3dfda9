"""`mqtt.mode: external`: readings from a broker of somebody else, acknowledged to it when they are safe.

The same slicer as the endpoint's reads the other direction (ADR 0021): about thirty times less processor time a
message than paho, and reads can be coalesced. QoS 1 and a persistent session; PUBACK after COMMIT. An answer
belongs to the connection that its message came by: on a later connection the same packet identifier may mean
another message, and acknowledging that would lose it.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from core.clock import Clock
from core.log import logger
from core.metrics import Metrics
from ingest import mqtt
from ingest.intake import Intake
from ingest.mqtt import Code, Kind, Message, Packet, Properties, ProtocolError, Run, Slicer
from ingest.rights import REPLY, SAID, STATUS, TELEMETRY, TWIN
from ingest.stream import NoReceipt, Stream
from iot.codecs.frame import Parcel, Receipt
from iot.codecs.plain import Mapper

#: Seconds between attempts, doubling from the first to the last.
RETRY_S = (0.5, 10.0)
PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is and how we meet it.

    receive_maximum  messages that it may leave unacknowledged; a hint, some brokers overshoot it
    coalesce_s       rest between two reads: fewer and larger reads cost less; 0 for brokers with small windows
    shared           group of a shared subscription, for several workers behind one broker (5.0 only)
    """

    host: str
    port: int
    client_id: str
    username: str = ""
    password: str = ""
    version: int = mqtt.V5
    receive_maximum: int = 2000
    coalesce_s: float = 0.01
    keep_alive_s: int = 30
    session_s: int = 14 * 86_400
    packet_bytes: int = 1 << 20
    shared: str = ""
    tls: ssl.SSLContext | None = None
    topics: Sequence[str] = (
        "telemetry/+", "telemetry/+/cbor", "telemetry/+/arrow", "status/+", "command/+/reply",
        "twin/+", "spBv1.0/#", "tb/+/telemetry", "tb/+/gateway",
    )  # fmt: skip


class BrokerNews:
    """What the link tells others. The base does nothing."""

    def session_lost(self, at_us: int) -> None:
        """The broker has forgotten our session: what it held for us may be lost. Gateways should be asked again."""

    def status(self, gateway: str, payload: bytes, at_us: int) -> None: ...

    def reply(self, gateway: str, payload: bytes, at_us: int) -> None: ...

    def twin(self, gateway: str, payload: bytes, at_us: int, *, own: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """What a topic of the broker means: who spoke, and in which format (or STATUS, REPLY)."""

    gateway: str
    source: str


def understand(topic: str, mappers: Sequence[Mapper] = ()) -> Heard | None:
    """None for topics that mean nothing to us."""
    for mapper in mappers:
        gateway = mapper.gateway_of(topic)
        if gateway is not None:
            return Heard(gateway, mapper.source)
    first, _, rest = topic.partition("/")
    gateway, _, what = rest.partition("/")
    match first:
        case "telemetry" if what in TELEMETRY:
            return Heard(gateway, TELEMETRY[what])
        case "status" if not what:
            return Heard(gateway, STATUS)
        case "twin" if not what:
            return Heard(gateway, TWIN)
        case "command" if what == "reply":
            return Heard(gateway, REPLY)
        case "tb" if what in ("telemetry", "gateway"):
            return Heard(gateway, "thingsboard-device" if what == "telemetry" else "thingsboard-gateway")
        case "spBv1.0":
            parts = topic.split("/")
            return Heard(parts[3], "sparkplug") if len(parts) in (4, 5) else None
    return None


class BrokerLink:
    """Stays connected to a broker for as long as `run` runs."""

    def __init__(
        self,
        settings: BrokerSettings,
        intake: Intake,
        clock: Clock,
        metrics: Metrics,
        news: BrokerNews | None = None,
        mappers: Sequence[Mapper] = (),
    ) -> None:
        self.settings = settings
        self.mappers = mappers
        self.intake = intake
        self.clock = clock
        self.metrics = metrics
        self.news = news or BrokerNews()
        self.log = logger("ingest")
        self.connected = False
        self._wire: Wire | None = None
        self._met_before = False

    async def run(self) -> None:
        """Connect, and again whenever the connection ends."""
        pause_s = RETRY_S[0]
        while True:
            began_s = self.clock.monotonic_s()
            try:
                await self._once()
            except (OSError, ProtocolError, TimeoutError) as away:
                self.log.warning("broker_away", reason=str(away) or type(away).__name__)
            finally:
                self.connected = False
                self._wire = None
                self.metrics.set("broker_up", 0)
            if self.clock.monotonic_s() - began_s > RETRY_S[1]:
                pause_s = RETRY_S[0]
            await asyncio.sleep(pause_s)
            pause_s = min(RETRY_S[1], pause_s * 2)

    async def _once(self) -> None:
        """One connection, until it ends. Raises what ended it."""
        settings = self.settings
        loop = asyncio.get_running_loop()
        _, wire = await asyncio.wait_for(
            loop.create_connection(lambda: Wire(self), settings.host, settings.port, ssl=settings.tls),
            PATIENCE_S,
        )
        self._wire = wire
        try:
            present = await asyncio.wait_for(wire.welcomed, PATIENCE_S)
            if self._met_before and not present:
                self.metrics.count("broker_session_lost_total")
                self.log.error("broker_session_lost", client_id=settings.client_id)
                self.news.session_lost(self.clock.now_us())
            self._met_before = True
            await asyncio.wait_for(wire.subscribe(), PATIENCE_S)
            self.connected = True
            self.metrics.set("broker_up", 1)
            await wire.keep_alive()
        finally:
            wire.hang_up()

    def publish(self, message: Message) -> bool:
        """Send something (a notice, a command) at QoS 0; False when the broker is away."""
        if self._wire is None or not self.connected:
            return False
        self._wire.write(mqtt.publish(message, version=self.settings.version))
        return True


class Wire(Stream):
    """One connection to the broker. Its answers die with it."""

    def __init__(self, link: BrokerLink) -> None:
        # the broker is told our window; what it sends beyond is bounded here, by not reading
        super().__init__(in_flight_bytes=max(8 << 20, link.settings.receive_maximum * 512))
        loop = asyncio.get_running_loop()
        self.link = link
        self.settings = link.settings
        self.welcomed: asyncio.Future[bool] = loop.create_future()
        self._subscribed: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[Exception | None] = loop.create_future()
        self._slicer = Slicer(self.settings.packet_bytes)
        self._slicer.version = self.settings.version
        self._heard: dict[str, Heard | None] = {}
        self._spoke_s = self._seen_s = link.clock.monotonic_s()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.write(connect_packet(self.settings))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._fail(exc or ConnectionError("the broker closed the connection"))

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()
        for future in (self.welcomed, self._subscribed, self._ended):
            if not future.cancel() and not future.cancelled():
                future.exception()  # seen: nobody else asks any more

    def data_received(self, data: bytes) -> None:
        link = self.link
        self._seen_s = link.clock.monotonic_s()
        now_us = link.clock.now_us()
        try:
            for item in self._slicer.feed(data):
                if isinstance(item, Run):
                    self._published(item, now_us)
                else:
                    self._received(item)
        except ProtocolError as wrong:
            self._fail(wrong)
            if self._transport is not None:
                self._transport.close()
            return
        if link.intake.full:
            self.pause("intake")
            link.intake.when_room(lambda: self.resume("intake"))
        if self.settings.coalesce_s and link.connected:
            self.pause("coalesce")
            asyncio.get_running_loop().call_later(self.settings.coalesce_s, self.resume, "coalesce")

    def _published(self, run: Run, now_us: int) -> None:
        heard = self._heard.get(run.topic, _UNHEARD)
        if heard is _UNHEARD:
            heard = understand(run.topic, self.link.mappers)
            if len(self._heard) < 100_000:
                self._heard[run.topic] = heard
        acknowledged = (
            mqtt.acknowledge(Kind.PUBREC if run.qos == 2 else Kind.PUBACK, run.ids) if run.ids else b""
        )
        if heard is None or heard.source in SAID:
            if heard is not None:
                for payload in run.payloads:
                    self._said(heard, payload, now_us)
            self.answer(acknowledged)
            return
        receipt: Receipt = NoReceipt()
        if run.ids:
            receipt = self.promise(acknowledged, len(run.ids), sum(map(len, run.payloads)))
        self.link.intake.put(Parcel(heard.gateway, heard.source, run.payloads, now_us, receipt, run.topic))

    def _said(self, heard: Heard, payload: bytes, now_us: int) -> None:
        news = self.link.news
        if heard.source == STATUS:
            news.status(heard.gateway, payload, now_us)
        elif heard.source == REPLY:
            news.reply(heard.gateway, payload, now_us)
        else:
            news.twin(heard.gateway, payload, now_us, own=False)

    def _received(self, packet: Packet) -> None:
        version = self.settings.version
        match packet.kind:
            case Kind.CONNACK:
                present, code = packet.body[0] & 1, packet.body[1]
                if code:
                    raise ProtocolError(Code.NOT_AUTHORIZED, f"the broker answers CONNECT with code {code}")
                if not self.welcomed.done():
                    self.welcomed.set_result(bool(present))
            case Kind.SUBACK:
                codes = suback_codes(packet.body, version)
                refused = [t for t, code in zip(self._filters, codes, strict=False) if code >= 0x80]
                if refused:
                    raise ProtocolError(Code.NOT_AUTHORIZED, f"the broker refuses {', '.join(refused)}")
                if not self._subscribed.done():
                    self._subscribed.set_result(None)
            case Kind.PUBREL:
                number, _ = mqtt.read_acknowledgement(packet.body, version)
                self.write(mqtt.acknowledge(Kind.PUBCOMP, [number.to_bytes(2, "big")]))
            case Kind.DISCONNECT:
                code, properties = mqtt.read_disconnect(packet.body, version)
                why = properties.get("reason_string", "no reason given")
                raise ProtocolError(Code.UNSPECIFIED, f"the broker disconnects with code {code:#x}: {why!r}")

    @property
    def _filters(self) -> list[str]:
        group = self.settings.shared
        topics = [
            *self.settings.topics,
            *(mapper.topic_filter for mapper in self.link.mappers if mapper.topic),
        ]
        return [f"$share/{group}/{topic}" if group else topic for topic in topics]

    async def subscribe(self) -> None:
        """All topics at QoS 1. Raises `ProtocolError` when the broker refuses one."""
        self.write(subscribe_packet(1, self._filters, self.settings.version))
        await self._subscribed

    async def keep_alive(self) -> None:
        """Until the connection ends; raises why. A broker that says nothing for 1.5 keep-alive times is gone."""
        while True:
            rest_s = self.settings.keep_alive_s / 2
            done, _ = await asyncio.wait([self._ended], timeout=rest_s)
            if done:
                raise self._ended.result() or ConnectionError("ended")
            self.write(mqtt.packet(Kind.PINGREQ, 0, b""))
            if (
                not self.resting
                and self.link.clock.monotonic_s() - self._seen_s > self.settings.keep_alive_s * 1.5
            ):
                raise TimeoutError("the broker is silent")

    def _fail(self, why: Exception) -> None:
        if not self._ended.done():
            self._ended.set_result(why)
        for future in (self.welcomed, self._subscribed):
            if not future.done():
                future.set_exception(why)


_UNHEARD = Heard("", "")


def connect_packet(settings: BrokerSettings) -> bytes:
    """CONNECT [3.1] that asks for the session we had."""
    flags = 0
    tail = mqtt.text(settings.client_id)
    if settings.username:
        flags |= 0x80
        tail += mqtt.text(settings.username)
        if settings.password:
            flags |= 0x40
            tail += mqtt.text(settings.password)
    body = mqtt.text("MQTT") + struct.pack(">BBH", settings.version, flags, settings.keep_alive_s)
    if settings.version == mqtt.V5:
        wanted: Properties = {
            "session_expiry": settings.session_s,
            "receive_maximum": settings.receive_maximum,
            "maximum_packet_size": settings.packet_bytes,
        }
        body += mqtt.properties(wanted)
    return mqtt.packet(Kind.CONNECT, 0, body + tail)


def subscribe_packet(number: int, filters: Sequence[str], version: int) -> bytes:
    body = struct.pack(">H", number) + (b"\0" if version == mqtt.V5 else b"")
    return mqtt.packet(Kind.SUBSCRIBE, 2, body + b"".join(mqtt.text(each) + b"\1" for each in filters))


def suback_codes(body: bytes, version: int) -> bytes:
    reader = mqtt.Reader(body)
    reader.u16()
    if version == mqtt.V5:
        reader.properties()
    return reader.rest()
