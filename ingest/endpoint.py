"""The built-in MQTT endpoint: takes what gateways publish, and acknowledges it when it is safe.

PUBACK leaves when the pipeline settles the parcel that a PUBLISH came in: after COMMIT, or after the spool's
fdatasync. QoS 2 is served too: PUBREC means the same, and the identity of a reading makes its effect exactly once.
A gateway that floods is slowed alone: what it has in flight is bounded, and so is its rate.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.clock import Clock
from core.errors import Unavailable
from core.log import logger
from core.metrics import Metrics
from ingest import mqtt, rights
from ingest.intake import Intake
from ingest.mqtt import Code, Connect, Kind, Message, Packet, ProtocolError, Run, Slicer
from ingest.rights import GatewayRights, Rights
from ingest.session import Board, Session, Subscription
from ingest.stream import NoReceipt, Stream
from iot.codecs.frame import Parcel, Receipt

#: User name and password → the id of the gateway that they belong to, or None.
Authenticate = Callable[[str, bytes], Awaitable[str | None]]

#: A connection must say CONNECT within this, and finish a packet that it began.
PATIENCE_S = 10.0
#: Before it is known who speaks, a packet may have this many bytes.
STRANGER_BYTES = 64 << 10
TICK_S = 1.0
#: A client that is told why it is let go may still be writing: what it says is thrown away for so long, so that the
#: network does not take back what we told it.
LINGER_S = 1.0
LINGERING = frozenset(
    {Code.MALFORMED, Code.PROTOCOL_ERROR, Code.RECEIVE_MAXIMUM, Code.TOO_LARGE, Code.BAD_ALIAS}
)


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """What one connection, and by its rates one gateway, may do. Rates allow a burst of two seconds; 0 = no limit."""

    packet_bytes: int = 1 << 20
    in_flight_bytes: int = 4 << 20
    in_flight: int = 65_535
    messages_s: float = 0.0
    bytes_s: float = 0.0
    connections: int = 20_000
    session_s: float = 86_400.0
    topic_aliases: int = 32


class Listener:
    """What the endpoint tells others. The base does nothing; the wiring passes one that does."""

    def connected(self, gateway: str, at_us: int) -> None: ...

    def disconnected(self, gateway: str, at_us: int, why: str) -> None: ...

    def status(self, gateway: str, payload: bytes, at_us: int) -> None: ...

    def reply(self, gateway: str, payload: bytes, at_us: int) -> None: ...

    def twin(self, gateway: str, payload: bytes, at_us: int, *, own: bool) -> None:
        """What devices say they are; `own`: the gateway itself."""

    def turned_away(self, gateway: str, what: str) -> None:
        """It tried what it may not; `gateway` is only what it calls itself when its secret is wrong."""


class Endpoint:
    """All connections of one port. Runs in the worker's event loop."""

    def __init__(
        self,
        intake: Intake,
        authenticate: Authenticate,
        clock: Clock,
        metrics: Metrics,
        *,
        limits: EndpointLimits | None = None,
        rights: Rights | None = None,
        listener: Listener | None = None,
    ) -> None:
        self.intake = intake
        self.authenticate = authenticate
        self.clock = clock
        self.metrics = metrics
        self.limits = limits or EndpointLimits()
        self.rights: Rights = rights or GatewayRights()
        self.listener = listener or Listener()
        self.board = Board()
        self.connections: set[Connection] = set()
        self._by_client: dict[tuple[str, str], Connection] = {}
        self._wills: list[tuple[float, Session, Message]] = []
        self._servers: list[asyncio.Server] = []
        self._ticking: asyncio.Task[None] | None = None
        self._names = 0
        self._rates: dict[str, tuple[Bucket, Bucket]] = {}
        self.log = logger("ingest")

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen; the port, which matters when 0 was asked for. May be called for several ports."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(self), host, port, ssl=tls, backlog=1024)
        self._servers.append(server)
        if self._ticking is None:
            self._ticking = asyncio.create_task(self._tick_for_ever())
        return int(server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and say goodbye. What is not acknowledged yet stays unacknowledged: it comes again."""
        if self._ticking is not None:
            self._ticking.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.end(Code.SHUTTING_DOWN, "shutting down")
        for server in self._servers:
            await server.wait_closed()

    def publish(self, message: Message) -> int:
        """Say something to whoever subscribed to it; how many sessions it reached."""
        return len(self._deliver(message, None))

    def gateways(self) -> set[str]:
        """Who is connected now."""
        return {connection.gateway for connection in self.connections if connection.gateway}

    # -- between connections -----------------------------------------------------------------------------

    def _deliver(self, message: Message, origin: Session | None) -> list[Session]:
        now_s = self.clock.monotonic_s()
        reached = self.board.publish(message, origin, now_s)
        for session in reached:
            self.push(session)
        return reached

    def push(self, session: Session) -> None:
        connection = self._by_client.get((session.gateway, session.client_id))
        if connection is not None:
            connection.write(session.take(self.clock.monotonic_s()))

    def join(self, connection: Connection, client_id: str, *, clean: bool) -> tuple[Session, bool]:
        """A signed-in connection gets its session; one that holds it already is ended [3.1.4]."""
        key = (connection.gateway, client_id)
        old = self._by_client.pop(key, None)
        if old is not None:
            old.end(Code.TAKEN_OVER, "another connection uses this client id")
        self._wills = [entry for entry in self._wills if entry[1] is not self.board.sessions.get(key)]
        session, present = self.board.open(client_id, connection.gateway, clean=clean)
        self._by_client[key] = connection
        return session, present

    def leave(self, connection: Connection, session: Session, will: Message | None, delay_s: float) -> None:
        now_s = self.clock.monotonic_s()
        if self._by_client.get((session.gateway, session.client_id)) is connection:
            del self._by_client[session.gateway, session.client_id]
            self.board.leave(session, now_s)
        if will is not None:
            delay_s = min(delay_s, session.keep_s)
            if delay_s:
                self._wills.append((now_s + delay_s, session, will))
            else:
                self.accept(session, will)

    def accept(self, session: Session, message: Message) -> None:
        """A message in a gateway's name that is not part of its stream: its will."""
        role = self.rights.publish(session.gateway, message.topic)
        now_us = self.clock.now_us()
        if role in rights.SAID:
            self.said(session, role, message, now_us)
        elif role is not None:
            parcel = Parcel(session.gateway, role, [message.payload], now_us, NoReceipt(), message.topic)
            self.intake.put(parcel)

    def rates(self, gateway: str) -> tuple[Bucket, Bucket]:
        """How much a gateway has said of late, in messages and in bytes: of all its connections together."""
        if len(self._rates) > 2 * self.limits.connections:
            self._rates.clear()
        return self._rates.setdefault(gateway, (Bucket(self.limits.messages_s), Bucket(self.limits.bytes_s)))

    def said(self, session: Session, role: str | None, message: Message, now_us: int) -> None:
        """What is no reading: heard by whom it concerns, and passed on where somebody may have subscribed to it."""
        gateway = session.gateway
        match role:
            case rights.STATUS:
                self.listener.status(gateway, message.payload, now_us)
                self._deliver(message, session)
            case rights.REPLY:
                self.listener.reply(gateway, message.payload, now_us)
            case rights.TWIN | rights.OWN_TWIN:
                self.listener.twin(gateway, message.payload, now_us, own=role == rights.OWN_TWIN)
            case _:
                self._deliver(message, session)

    def new_client_id(self) -> str:
        self._names += 1
        return f"auto-{self.clock.now_us():x}-{self._names}"

    async def _tick_for_ever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now_s = self.clock.monotonic_s()
            for connection in list(self.connections):
                connection.check(now_s)
            over = self.board.expire(now_s)
            due = [entry for entry in self._wills if entry[0] <= now_s or entry[1] in over]
            self._wills = [entry for entry in self._wills if entry not in due]
            for _, session, will in due:
                self.accept(session, will)
            self.metrics.set("mqtt_connections", len(self.connections))
            self.metrics.set("mqtt_slowed", sum(c.slowed for c in self.connections))


@dataclass(slots=True)
class Bucket:
    """A rate with a burst: how long to rest after so much."""

    rate: float
    burst_s: float = 2.0
    level: float = 0.0
    at_s: float = 0.0

    def rest_s(self, amount: float, now_s: float) -> float:
        if not self.rate:
            return 0.0
        self.level = max(0.0, self.level - (now_s - self.at_s) * self.rate) + amount
        self.at_s = now_s
        return max(0.0, self.level / self.rate - self.burst_s)


class Connection(Stream):
    """One network connection of a client."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint.limits.in_flight_bytes)
        self.endpoint = endpoint
        self.limits = endpoint.limits
        self.gateway = ""
        self.slowed = False
        self._slicer = Slicer(min(STRANGER_BYTES, self.limits.packet_bytes), self.limits.topic_aliases)
        self._session: Session | None = None
        self._connect: Connect | None = None
        self._will: Message | None = None
        self._backlog: deque[Run | Packet] | None = None
        self._roles: dict[str, str | None] = {}
        self._unreleased: set[bytes] = set()  # QoS 2 identifiers that no PUBREL has freed
        self._messages, self._bytes = Bucket(self.limits.messages_s), Bucket(self.limits.bytes_s)
        self._seen_s = self._packet_s = endpoint.clock.monotonic_s()
        self._why = "connection lost"
        self._ended = False

    # -- the transport's side ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        endpoint = self.endpoint
        endpoint.connections.add(self)
        if len(endpoint.connections) > self.limits.connections:
            endpoint.metrics.count("mqtt_refused_connections")
            self._why = "too many connections"
            self.abort()
            return
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return  # nothing that is still in the pipe counts
        endpoint = self.endpoint
        now_s = self._seen_s = endpoint.clock.monotonic_s()
        if not self._slicer.waiting:
            self._packet_s = now_s
            if self._connect is None and data[0] != Kind.CONNECT << 4:
                self.end(Code.PROTOCOL_ERROR, "no MQTT")
                return
        messages = 0
        try:
            for item in self._slicer.feed(data):
                self._packet_s = now_s
                if self._backlog is not None:
                    self._backlog.append(item)
                elif isinstance(item, Run):
                    messages += len(item.payloads)
                    self._published(item)
                else:
                    self._received(item)
        except ProtocolError as wrong:
            self.end(wrong.code, str(wrong))
            return
        if self.limits.messages_s or self.limits.bytes_s:
            self._slow_down(messages, len(data), now_s)
        if endpoint.intake.full:
            self.pause("intake")
            endpoint.intake.when_room(lambda: self.resume("intake"))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        endpoint = self.endpoint
        endpoint.connections.discard(self)
        if self._session is not None:
            delay = self._connect.will_delay_s if self._connect else 0
            endpoint.leave(self, self._session, self._will, delay)
            self._session = None
            endpoint.listener.disconnected(self.gateway, endpoint.clock.now_us(), self._why)

    def end(self, code: Code, why: str) -> None:
        """Close the connection; a 5.0 client is told the code."""
        if self._transport is None or self._ended:
            return
        self._why = why
        self._ended = True
        told = self._session is not None and self._slicer.version == mqtt.V5
        if told:
            self._transport.write(mqtt.disconnect(code))
        if code not in (Code.SUCCESS, Code.SHUTTING_DOWN, Code.TAKEN_OVER):
            self.endpoint.metrics.count("mqtt_ended", reason=code.name.lower())
            self.endpoint.log.info("mqtt_connection_ended", gateway=self.gateway, reason=why)
        if told and code in LINGERING and self._transport.can_write_eof():
            self._transport.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.close)
        else:
            self._transport.close()

    def write(self, data: bytes) -> None:
        if not self._ended:  # else its last word is said
            super().write(data)

    def check(self, now_s: float) -> None:
        """Once a second: is it still there, and does it get on?"""
        keep_alive = self._connect.keep_alive_s if self._connect else PATIENCE_S / 1.5
        if self.resting:
            return  # we ourselves do not read: silence says nothing
        if keep_alive and now_s - self._seen_s > keep_alive * 1.5:
            self.end(Code.KEEP_ALIVE, "keep-alive time is over")
        elif self._slicer.waiting and now_s - self._packet_s > PATIENCE_S:
            self.end(Code.KEEP_ALIVE, "a packet was not finished")

    # -- back-pressure -----------------------------------------------------------------------------------

    def resume(self, reason: str) -> None:
        super().resume(reason)
        self._seen_s = self._packet_s = (
            self.endpoint.clock.monotonic_s()
        )  # the rest was ours, not the client's

    def _slow_down(self, messages: int, size: int, now_s: float) -> None:
        """A gateway above its rate rests, and is named."""
        rest_s = max(self._messages.rest_s(messages, now_s), self._bytes.rest_s(size, now_s))
        if rest_s <= 0 or self.slowed:
            return
        if not self.slowed:
            self.endpoint.log.warning("gateway_slowed", gateway=self.gateway)
        self.slowed = True
        self.endpoint.metrics.count("gateway_slowed_total", gateway=self.gateway)
        self.pause("rate")
        asyncio.get_running_loop().call_later(rest_s, self._rested)

    def _rested(self) -> None:
        self.slowed = False
        self.resume("rate")

    # -- signing in --------------------------------------------------------------------------------------

    def _received(self, packet: Packet) -> None:
        kind = packet.kind
        if self._session is None:
            if kind != Kind.CONNECT:
                raise ProtocolError(Code.PROTOCOL_ERROR, "the first packet is no CONNECT")
            self._connecting(packet)
            return
        version = self._slicer.version
        match kind:
            case Kind.PINGREQ:
                self.write(mqtt.PINGRESP)
            case Kind.PUBACK | Kind.PUBCOMP:
                self._session.acknowledged(mqtt.read_acknowledgement(packet.body, version)[0])
                self.endpoint.push(self._session)
            case Kind.PUBREC:
                number, code = mqtt.read_acknowledgement(packet.body, version)
                if code < Code.UNSPECIFIED:
                    self.write(self._session.received(number))
                else:
                    self._session.acknowledged(number)
                    self.endpoint.push(self._session)
            case Kind.PUBREL:
                number, _ = mqtt.read_acknowledgement(packet.body, version)
                self._unreleased.discard(number.to_bytes(2, "big"))
                self.write(mqtt.acknowledge(Kind.PUBCOMP, [number.to_bytes(2, "big")]))
            case Kind.SUBSCRIBE:
                self._subscribing(self._session, packet)
            case Kind.UNSUBSCRIBE:
                number, filters = mqtt.read_unsubscribe(packet.body, version)
                board = self.endpoint.board
                ended = [board.unsubscribe(self._session, each) for each in filters]
                codes = [Code.SUCCESS if each else Code.NO_SUBSCRIPTION for each in ended]
                self.write(mqtt.unsuback(version, number, codes))
            case Kind.DISCONNECT:
                self._disconnecting(packet)
            case _:
                raise ProtocolError(Code.PROTOCOL_ERROR, f"packet type {kind}")

    def _connecting(self, packet: Packet) -> None:
        try:
            connect = mqtt.read_connect(packet.body)
        except ProtocolError as wrong:
            if wrong.code == Code.BAD_VERSION:
                self.write(mqtt.connack(mqtt.V311, wrong.code))
            raise
        self._slicer.version = connect.version
        self._connect = connect
        if not connect.client_id and connect.version == mqtt.V311 and not connect.clean:
            self._turn_away(Code.BAD_CLIENT_ID, "no client id and no clean session")
            return
        self._backlog = deque()
        self.pause("signing in")
        task = asyncio.get_running_loop().create_task(self._sign_in(connect))
        task.add_done_callback(_raise)

    async def _sign_in(self, connect: Connect) -> None:
        """Ask who it is; this may take a while, so nothing is read meanwhile."""
        name, password = connect.username or "", connect.password or b""
        try:
            gateway = await self.endpoint.authenticate(name, password)
        except Unavailable:
            self._turn_away(Code.SERVER_UNAVAILABLE, "credentials cannot be checked now")
            return
        if self._transport is None or self._transport.is_closing():
            return
        if gateway is None:
            code = (
                Code.BAD_CREDENTIALS
                if connect.version == mqtt.V5 or connect.username
                else Code.NOT_AUTHORIZED
            )
            self.endpoint.listener.turned_away(name, "bad credentials")
            self._turn_away(code, f"bad credentials of {name[:64]!r}")
            return
        if connect.will is not None and self.endpoint.rights.publish(gateway, connect.will.topic) is None:
            self.endpoint.listener.turned_away(gateway, f"will {connect.will.topic}")
            self._turn_away(Code.NOT_AUTHORIZED, f"may not publish its will to {connect.will.topic[:100]!r}")
            return
        self._signed_in(connect, gateway)
        backlog, self._backlog = self._backlog or deque(), None
        try:
            for item in backlog:
                if isinstance(item, Run):
                    self._published(item)
                else:
                    self._received(item)
        except ProtocolError as wrong:
            self.end(wrong.code, str(wrong))
            return
        self.resume("signing in")

    def _turn_away(self, code: Code, why: str) -> None:
        assert self._connect is not None
        self.write(mqtt.connack(self._connect.version, code))
        self.endpoint.metrics.count("mqtt_turned_away", reason=code.name.lower())
        self.end(code, why)

    def _signed_in(self, connect: Connect, gateway: str) -> None:
        endpoint, limits = self.endpoint, self.limits
        self.gateway = gateway
        self._messages, self._bytes = endpoint.rates(gateway)
        self._will = connect.will
        self._slicer.max_bytes = limits.packet_bytes
        client_id = connect.client_id or endpoint.new_client_id()
        session, present = endpoint.join(self, client_id, clean=connect.clean)
        session.version = connect.version
        session.window = connect.limit("receive_maximum", 65_535)
        session.max_packet = connect.limit("maximum_packet_size", mqtt.MAX_LENGTH)
        asked_s = connect.limit("session_expiry", 0)
        if connect.version == mqtt.V311:
            asked_s = 0 if connect.clean else round(limits.session_s)
        session.keep_s = min(float(asked_s), limits.session_s)
        values: mqtt.Properties = {
            "receive_maximum": limits.in_flight,
            "maximum_packet_size": limits.packet_bytes,
            "topic_alias_maximum": limits.topic_aliases,
            "shared_subscription_available": 0,
        }
        if session.keep_s < asked_s:
            values["session_expiry"] = round(session.keep_s)
        if not connect.client_id:
            values["assigned_client_id"] = client_id
        self._session = session
        self.write(mqtt.connack(connect.version, Code.SUCCESS, present=present, values=values))
        self.write(session.releases())
        endpoint.push(session)
        endpoint.listener.connected(gateway, endpoint.clock.now_us())

    def _disconnecting(self, packet: Packet) -> None:
        code, properties = mqtt.read_disconnect(packet.body, self._slicer.version)
        if code != Code.DISCONNECT_WITH_WILL:
            self._will = None
        assert self._session is not None
        expiry = properties.get("session_expiry")
        if isinstance(expiry, int):
            if expiry and not self._session.keep_s:
                raise ProtocolError(Code.PROTOCOL_ERROR, "a session that was to end cannot be kept")
            self._session.keep_s = min(float(expiry), self.limits.session_s)
        self._why = "said goodbye"
        if self._transport is not None:
            self._transport.close()

    def _subscribing(self, session: Session, packet: Packet) -> None:
        endpoint = self.endpoint
        asked = mqtt.read_subscribe(packet.body, self._slicer.version)
        identifier = asked.properties.get("subscription_identifier", 0)
        assert isinstance(identifier, int)
        codes: list[int] = []
        for topic_filter, options in asked.filters:
            if topic_filter.startswith("$share/"):
                codes.append(Code.NO_SHARED)
            elif not mqtt.check_filter(topic_filter):
                codes.append(Code.BAD_FILTER)
            elif not endpoint.rights.subscribe(self.gateway, topic_filter):
                codes.append(Code.NOT_AUTHORIZED)
                endpoint.metrics.count("mqtt_not_authorized", gateway=self.gateway)
                endpoint.listener.turned_away(self.gateway, f"subscribe {topic_filter}")
            else:
                subscription = Subscription.of(topic_filter, options, identifier)
                endpoint.board.subscribe(session, subscription, endpoint.clock.monotonic_s())
                codes.append(subscription.qos)
        self.write(mqtt.suback(self._slicer.version, asked.id, codes))
        endpoint.push(session)

    # -- publishing --------------------------------------------------------------------------------------

    def _published(self, run: Run) -> None:
        if self._session is None:
            raise ProtocolError(Code.PROTOCOL_ERROR, "the first packet is no CONNECT")
        role = self._roles.get(run.topic, "")
        if role == "":
            role = self._learn_role(run.topic)
        kind = Kind.PUBREC if run.qos == 2 else Kind.PUBACK
        if role is None:
            self._not_authorized(run, kind)
            return
        if run.qos == 2:
            self._unreleased.update(run.ids)
        endpoint = self.endpoint
        now_us = endpoint.clock.now_us()
        if role in rights.SAID:
            for payload in run.payloads:
                message = Message(run.topic, payload, run.qos, run.retain, run.properties or {})
                endpoint.said(self._session, role, message, now_us)
            if run.ids:
                self.answer(mqtt.acknowledge(kind, run.ids))
                self._check_window()
            return
        receipt: Receipt = NoReceipt()
        if run.ids:
            size = sum(map(len, run.payloads))
            receipt = self.promise(mqtt.acknowledge(kind, run.ids), len(run.ids) if run.qos == 1 else 0, size)
            self._check_window()
        endpoint.intake.put(Parcel(self.gateway, role, run.payloads, now_us, receipt, run.topic))

    def _check_window(self) -> None:
        """What is neither acknowledged nor released [3.3.4] stays within what CONNACK said; 3.1.1 has no limit."""
        open_ids = self.in_flight + len(self._unreleased)
        if open_ids > self.limits.in_flight and self._slicer.version == mqtt.V5:
            raise ProtocolError(Code.RECEIVE_MAXIMUM, f"{open_ids} in flight")

    def _learn_role(self, topic: str) -> str | None:
        if len(self._roles) >= 64:
            self._roles.clear()  # a client that invents topics gains nothing by it
        role = self._roles[topic] = self.endpoint.rights.publish(self.gateway, topic)
        return role

    def _not_authorized(self, run: Run, kind: Kind) -> None:
        """5.0 is told so in the acknowledgement; 3.1.1 has no way to be told, so the connection ends [3.3.5]."""
        self.endpoint.metrics.count("mqtt_not_authorized", gateway=self.gateway)
        self.endpoint.listener.turned_away(self.gateway, f"publish {run.topic}")
        if self._slicer.version == mqtt.V311:
            raise ProtocolError(Code.NOT_AUTHORIZED, f"may not publish to {run.topic[:100]!r}")
        packets = b"".join(
            mqtt.acknowledge_with(kind, mqtt.V5, int.from_bytes(number, "big"), Code.NOT_AUTHORIZED)
            for number in run.ids
        )
        self.answer(packets)


def _raise(task: asyncio.Task[None]) -> None:
    """An error in a background task is ours: let it be seen."""
    if not task.cancelled() and task.exception() is not None:
        raise task.exception()  # type: ignore[misc] # it is not None, as just seen
