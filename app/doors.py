"""Where readings come into the worker: our own MQTT endpoint or a broker, and the field protocols over TCP.

Settings become parts of `ingest` here. What gateways say that is no reading (status, replies) is passed on.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from app.declared import Declared
from core.clock import Clock, rfc3339
from core.db import AWAY, Database
from core.log import logger
from core.metrics import Metrics
from core.settings import MqttSettings, Settings
from ingest import twin_store
from ingest.assemble import DECODERS, Assembler, Limits
from ingest.broker import BrokerLink, BrokerNews, BrokerSettings
from ingest.endpoint import Authenticate, Endpoint, EndpointLimits, Listener
from ingest.field import PROTOCOLS, FieldProtocol, Sl651
from ingest.gateways_store import States
from ingest.mqtt import Message
from ingest.operations import Asked
from ingest.operations_store import Operator
from ingest.rights import GatewayRights
from ingest.sparkplug import SparkplugHost, state
from ingest.tap import TappedIntake
from ingest.tcp import TcpServer
from ingest.twin_store import Twins
from iot import registry_store
from iot.codecs.frame import Decoder
from iot.codecs.plain import Mapper
from iot.registry import Registry

#: Name of this host among Sparkplug nodes.
HOST = "cityops"
Heard = Callable[[str, bytes], None]


@dataclass(slots=True)
class Doors(Listener, BrokerNews):
    """All doors of a worker. `publish` goes out by the one that the gateway came in by."""

    settings: Settings
    intake: TappedIntake
    clock: Clock
    metrics: Metrics
    authenticate: Authenticate
    registry: Callable[[], Registry]
    replied: Heard = lambda _gateway, _payload: None
    endpoint: Endpoint | None = field(default=None, init=False)
    link: BrokerLink | None = field(default=None, init=False)
    servers: dict[str, TcpServer] = field(default_factory=dict, init=False)
    mappers: list[Mapper] = field(init=False)
    states: States = field(default_factory=States, init=False)
    twins: Twins = field(init=False)
    operator: Operator = field(init=False)
    session_lost_us: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.twins = Twins(self.publish)
        self.operator = Operator(self.send, self.registry)
        mqtt = self.settings.mqtt
        self.mappers = mappers_of(self.settings)
        published = [mapper for mapper in self.mappers if mapper.topic]
        if mqtt.mode == "external":
            self.link = BrokerLink(
                broker_settings(mqtt), self.intake, self.clock, self.metrics, self, published
            )
        else:
            self.endpoint = Endpoint(
                self.intake, self.authenticate, self.clock, self.metrics,
                limits=limits_of_gateways(mqtt), rights=GatewayRights(published), listener=self,
            )  # fmt: skip
        staying: dict[str, Callable[[], FieldProtocol]] = {"sl651": partial(Sl651, self.operator.waits_for)}
        for name in self.settings.tcp.ports:
            server = TcpServer(
                name, staying.get(name, PROTOCOLS[name]), self.intake, self.clock, self.metrics
            )
            server.replied = partial(self.operator.heard, name)
            self.servers[name] = server

    async def open(self) -> None:
        """Listen on every port."""
        mqtt, tcp = self.settings.mqtt, self.settings.tcp
        if self.endpoint is not None:
            await self.endpoint.start(mqtt.bind, mqtt.port)
            if mqtt.tls_port:
                await self.endpoint.start(mqtt.bind, mqtt.tls_port, server_tls(mqtt))
        for name, server in self.servers.items():
            await server.start(tcp.bind, tcp.ports[name])
        self.publish(Message(*state(HOST, self.clock.now_us() // 1000, online=True), 1, retain=True))

    async def close(self) -> None:
        if self.endpoint is not None:
            await self.endpoint.stop()
        for server in self.servers.values():
            await server.stop()

    async def run(self) -> None:
        """What lives as long as the worker: the connection to a broker."""
        if self.link is None:
            await asyncio.Event().wait()
        else:
            await self.link.run()

    def publish(self, message: Message) -> bool:
        """Tell gateways something; False when nobody is there to hear."""
        if self.endpoint is not None:
            return self.endpoint.publish(message) > 0
        return self.link is not None and self.link.publish(message)

    def send(self, gateway: str, asked: Asked) -> bool:
        """Ask a device for something; False when it is not there to hear."""
        if gateway in self.servers:
            return self.servers[gateway].send(asked.station, asked.frame)
        return self.publish(Message(f"command/{gateway}", asked.frame, 1))

    def decoders(self) -> dict[str, Decoder]:
        """Every format that may come in by these doors."""
        host = SparkplugHost(
            self.clock, lambda topic, payload: void(self.publish(Message(topic, payload, 0)))
        )
        return decoders_of(self.mappers) | {"sparkplug": host}

    # -- what gateways say beside readings -----------------------------------------------------------------

    def session_lost(self, at_us: int) -> None:
        """The broker has forgotten what it held for us: `cityops status` says so until our next start."""
        self.session_lost_us = at_us

    def alarms(self) -> dict[str, str]:
        """What somebody must know and look after: its name → since when."""
        lost_us = self.session_lost_us
        return {} if lost_us is None else {"broker_session_lost": rfc3339(lost_us)}

    def connected(self, gateway: str, at_us: int) -> None:
        self.states.connected(gateway, at_us)

    def disconnected(self, gateway: str, at_us: int, why: str) -> None:
        self.states.disconnected(gateway, at_us, why)

    def status(self, gateway: str, payload: bytes, at_us: int) -> None:
        self.states.status(gateway, payload, at_us)

    def twin(self, gateway: str, payload: bytes, at_us: int, *, own: bool) -> None:
        self.twins.reported(twin_store.read(gateway, payload, at_us, own=own))

    def turned_away(self, gateway: str, what: str) -> None:
        self.intake.turned_away(gateway, what)

    def reply(self, gateway: str, payload: bytes, at_us: int) -> None:  # noqa: ARG002 - the desk has its own clock
        if not self.operator.replied(gateway, payload):
            self.replied(gateway, payload)


def void(_result: object) -> None:
    """Nobody asks what became of it."""


def mappers_of(settings: Settings) -> list[Mapper]:
    return [Mapper(mapping) for mapping in settings.ingest.mappings]


def decoders_of(mappers: Iterable[Mapper]) -> dict[str, Decoder]:
    """The formats without a memory of their own, and what is declared in the settings."""
    return {**DECODERS, **{mapper.source: mapper for mapper in mappers}}


def limits_of_gateways(mqtt: MqttSettings) -> EndpointLimits:
    return EndpointLimits(
        packet_bytes=mqtt.max_packet_bytes, in_flight=mqtt.receive_maximum,
        messages_s=mqtt.messages_per_s, bytes_s=mqtt.bytes_per_s,
    )  # fmt: skip


def server_tls(mqtt: MqttSettings) -> ssl.SSLContext:
    """TLS 1.2 or newer; with a CA, only for those who show a certificate of it."""
    assert mqtt.tls_certificate is not None, "the settings have checked it"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(mqtt.tls_certificate, mqtt.tls_key)
    if mqtt.tls_ca is not None:
        context.load_verify_locations(mqtt.tls_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def broker_settings(mqtt: MqttSettings) -> BrokerSettings:
    tls = None
    if mqtt.tls_ca is not None:
        tls = ssl.create_default_context(cafile=str(mqtt.tls_ca))
        if mqtt.tls_certificate is not None:
            tls.load_cert_chain(mqtt.tls_certificate, mqtt.tls_key)
    return BrokerSettings(
        mqtt.host, mqtt.port, mqtt.client_id, mqtt.username, mqtt.password.get_secret_value(),
        receive_maximum=mqtt.receive_maximum, packet_bytes=mqtt.max_packet_bytes, shared=mqtt.shared, tls=tls,
    )  # fmt: skip


def for_the_eye(settings: Settings, clock: Clock) -> dict[str, Decoder]:
    """Every format, with a memory of its own: for frames that are only looked at. Nobody is asked to be born again."""
    host = SparkplugHost(clock, lambda _topic, _payload: None, born=True)
    return decoders_of(mappers_of(settings)) | {"sparkplug": host}


@dataclass(frozen=True, slots=True)
class Assembling:
    """Makes the assembler of a registry snapshot; decoders with a memory outlive it."""

    limits: Limits
    decoders: dict[str, Decoder]

    def __call__(self, registry: Registry) -> Assembler:
        return Assembler(registry, self.limits, self.decoders)


async def register_own(declared: Declared, database: Database, now_us: int) -> None:
    """The gateways that the settings themselves name: those of TCP ports and of pushes. They cannot sign in."""
    settings = declared.settings
    wanted = [*settings.tcp.ports, *(push.gateway for push in settings.ingest.pushes)]
    async with database.transaction() as connection:
        rows = await (
            await connection.execute(registry_store.QUERIES["known_gateways"], {"ids": wanted})
        ).fetchall()
        for gateway in sorted(set(wanted) - {row["id"] for row in rows}):
            await registry_store.put_gateway(connection, gateway, now_us)


async def lasting(run: Callable[[], Awaitable[None]], name: str) -> None:
    """Run for ever; when it ends because the database is away, begin again: the doors must stay open meanwhile."""
    while True:
        try:
            await run()
        except AWAY as away:
            logger("app").warning("waits for the database", what=name, error=str(away).strip())
        await asyncio.sleep(1.0)
