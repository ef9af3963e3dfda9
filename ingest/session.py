"""Who hears what: sessions, subscriptions and retained messages of the MQTT endpoint. Pure; time is an argument.

A gateway hears little (notices of refusal, its commands), so what waits for it is bounded and lives in memory;
what must reach it, a command, waits in the database (`ingest.commands`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from ingest import mqtt
from ingest.mqtt import Code, Kind, Message, Properties

#: More than this waiting for one session: the oldest is forgotten.
QUEUE_MESSAGES = 1000
QUEUE_BYTES = 1 << 20
#: Retained messages: one status a gateway.
RETAINED = 100_000


@dataclass(frozen=True, slots=True)
class Subscription:
    """A filter with its options [3.8.3.1 of MQTT 5.0]; `identifier` 0 = none."""

    topic_filter: str
    qos: int
    no_local: bool = False
    as_published: bool = False
    retain_handling: int = 0
    identifier: int = 0

    @classmethod
    def of(cls, topic_filter: str, options: int, identifier: int = 0) -> Subscription:
        return cls(
            topic_filter,
            options & 3,
            bool(options & 4),
            bool(options & 8),
            options >> 4 & 3,
            identifier,
        )


@dataclass(slots=True)
class Waiting:
    """A message on its way to one session."""

    message: Message
    identifiers: tuple[int, ...] = ()
    expires_s: float | None = None
    dup: bool = False


@dataclass(slots=True)
class Session:
    """What outlives a connection: subscriptions, what was sent and not acknowledged, what waits to be sent."""

    client_id: str
    gateway: str
    version: int = mqtt.V311
    window: int = 65_535
    max_packet: int = mqtt.MAX_LENGTH
    keep_s: float = 0.0
    gone_at_s: float | None = None
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    dropped: int = 0
    _waiting: deque[Waiting] = field(default_factory=deque)
    _bytes: int = 0
    _sent: dict[int, Waiting] = field(default_factory=dict)
    _resend: deque[tuple[int, Waiting]] = field(default_factory=deque)
    _released: dict[int, None] = field(default_factory=dict)  # QoS 2: PUBREL went out, PUBCOMP did not come
    _number: int = 0

    def add(self, waiting: Waiting) -> None:
        self._waiting.append(waiting)
        self._bytes += len(waiting.message.payload)
        while len(self._waiting) > QUEUE_MESSAGES or self._bytes > QUEUE_BYTES:
            self._bytes -= len(self._waiting.popleft().message.payload)
            self.dropped += 1

    def resume(self) -> None:
        """A new connection: what was sent and not acknowledged goes out again, first and in order [4.4]."""
        self._resend.extendleft(
            (number, replace(waiting, dup=True)) for number, waiting in reversed(self._sent.items())
        )
        self._sent = {}

    def releases(self) -> bytes:
        """PUBREL again for what the client has and did not complete."""
        return b"".join(
            mqtt.acknowledge(Kind.PUBREL, [number.to_bytes(2, "big")]) for number in self._released
        )

    def acknowledged(self, number: int) -> None:
        """PUBACK, PUBCOMP, or a PUBREC that refuses."""
        self._sent.pop(number, None)
        self._released.pop(number, None)

    def received(self, number: int) -> bytes:
        """PUBREC: the message will not be sent again, its PUBREL will [4.3.3]."""
        if self._sent.pop(number, None) is not None:
            self._released[number] = None
        if number in self._released:
            return mqtt.acknowledge(Kind.PUBREL, [number.to_bytes(2, "big")])
        return mqtt.acknowledge_with(Kind.PUBREL, self.version, number, Code.NO_PACKET_ID)

    @property
    def _full(self) -> bool:
        return len(self._sent) + len(self._released) >= self.window

    def take(self, now_s: float) -> bytes:
        """The packets that may go out now; at most `window` wait for their acknowledgement."""
        parts: list[bytes] = []
        while self._resend and not self._full:
            number, waiting = self._resend.popleft()
            self._sent[number] = waiting
            parts += self._packet(waiting, number, now_s)
        while self._waiting:
            waiting = self._waiting[0]
            if waiting.message.qos and self._full:
                break
            self._waiting.popleft()
            self._bytes -= len(waiting.message.payload)
            if waiting.expires_s is not None and waiting.expires_s <= now_s:
                continue
            number = self._next_number() if waiting.message.qos else 0
            packets = list(self._packet(waiting, number, now_s))
            if packets and number:
                self._sent[number] = waiting
            parts += packets
        return b"".join(parts)

    def _packet(self, waiting: Waiting, number: int, now_s: float) -> Iterator[bytes]:
        """The PUBLISH, or nothing when the client would not take one so large [3.1.2.11.4]."""
        extra: Properties = {}
        if self.version == mqtt.V5 and waiting.expires_s is not None:
            extra["message_expiry"] = max(1, round(waiting.expires_s - now_s))
        packet = mqtt.publish(
            waiting.message,
            version=self.version,
            number=number,
            dup=waiting.dup,
            values=extra,
            identifiers=waiting.identifiers,
        )
        if len(packet) <= self.max_packet:
            yield packet

    def _next_number(self) -> int:
        while True:
            self._number = self._number % 65_535 + 1
            if self._number not in self._sent and self._number not in self._released:
                return self._number


class Board:
    """All sessions of an endpoint. Exact filters, which is nearly all there are, are found by one look-up."""

    def __init__(self) -> None:
        self.sessions: dict[tuple[str, str], Session] = {}
        self.retained: dict[str, Waiting] = {}
        self._exact: dict[str, dict[tuple[str, str], Session]] = {}
        self._wild: dict[str, dict[tuple[str, str], Session]] = {}

    def open(self, client_id: str, gateway: str, *, clean: bool) -> tuple[Session, bool]:
        """The session of a client, and whether it was there before."""
        key = (gateway, client_id)
        known = self.sessions.get(key)
        if known is not None and not clean:
            known.gone_at_s = None
            known.resume()
            return known, True
        if known is not None:
            self.forget(known)
        session = self.sessions[key] = Session(client_id, gateway)
        return session, False

    def leave(self, session: Session, now_s: float) -> None:
        """Its connection ended; the session goes now or in `keep_s` seconds."""
        session.gone_at_s = now_s
        if not session.keep_s:
            self.forget(session)

    def expire(self, now_s: float) -> list[Session]:
        """Forget the sessions whose time is over."""
        over = [
            s for s in self.sessions.values() if s.gone_at_s is not None and s.gone_at_s + s.keep_s <= now_s
        ]
        for session in over:
            self.forget(session)
        return over

    def forget(self, session: Session) -> None:
        for topic_filter in list(session.subscriptions):
            self.unsubscribe(session, topic_filter)
        if self.sessions.get((session.gateway, session.client_id)) is session:
            del self.sessions[session.gateway, session.client_id]

    def subscribe(self, session: Session, subscription: Subscription, now_s: float) -> None:
        """Take or renew a subscription; what is retained under it goes out as its options say."""
        topic_filter = subscription.topic_filter
        new = topic_filter not in session.subscriptions
        session.subscriptions[topic_filter] = subscription
        self._table(topic_filter).setdefault(topic_filter, {})[session.gateway, session.client_id] = session
        if subscription.retain_handling == 2 or (subscription.retain_handling == 1 and not new):
            return
        for kept in list(self._retained(topic_filter)):
            if kept.expires_s is None or kept.expires_s > now_s:
                message = replace(kept.message, qos=min(kept.message.qos, subscription.qos), retain=True)
                numbers = (subscription.identifier,) if subscription.identifier else ()
                session.add(Waiting(message, numbers, kept.expires_s))

    def unsubscribe(self, session: Session, topic_filter: str) -> bool:
        """End a subscription; False when there was none."""
        table = self._table(topic_filter)
        listeners = table.get(topic_filter, {})
        listeners.pop((session.gateway, session.client_id), None)
        if not listeners:
            table.pop(topic_filter, None)
        return session.subscriptions.pop(topic_filter, None) is not None

    def publish(self, message: Message, origin: Session | None, now_s: float) -> list[Session]:
        """Put a message before everybody who subscribed to it; the sessions that now have something to send.

        A client with several fitting subscriptions gets it once, with the highest quality of service.
        """
        expiry = message.properties.get("message_expiry")
        expires_s = now_s + expiry if isinstance(expiry, int) else None
        kept = {
            name: message.properties[name]
            for name in (*mqtt.FORWARDED, "user_property")
            if name in message.properties
        }
        message = replace(message, properties=kept)
        if message.retain:
            self._retain(message, expires_s)
        reached: list[Session] = []
        for session, fitting in self._listeners(message.topic):
            wanted = [s for s in fitting if not (s.no_local and session is origin)]
            if not wanted:
                continue
            qos = min(message.qos, max(s.qos for s in wanted))
            retain = message.retain and any(s.as_published for s in wanted)
            numbers = tuple(s.identifier for s in wanted if s.identifier)
            session.add(Waiting(replace(message, qos=qos, retain=retain), numbers, expires_s))
            reached.append(session)
        return reached

    def _retain(self, message: Message, expires_s: float | None) -> None:
        self.retained.pop(message.topic, None)
        if message.payload and len(self.retained) < RETAINED:
            self.retained[message.topic] = Waiting(message, (), expires_s)

    def _retained(self, topic_filter: str) -> Iterable[Waiting]:
        if topic_filter in self.retained:
            return [self.retained[topic_filter]]
        if not wild(topic_filter):
            return []
        return [kept for topic, kept in self.retained.items() if mqtt.matches(topic_filter, topic)]

    def _listeners(self, topic: str) -> Iterator[tuple[Session, list[Subscription]]]:
        found: dict[tuple[str, str], tuple[Session, list[Subscription]]] = {}
        tables = [(topic, self._exact.get(topic, {}))]
        tables += [(each, sessions) for each, sessions in self._wild.items() if mqtt.matches(each, topic)]
        for topic_filter, sessions in tables:
            for key, session in sessions.items():
                found.setdefault(key, (session, []))[1].append(session.subscriptions[topic_filter])
        yield from found.values()

    def _table(self, topic_filter: str) -> dict[str, dict[tuple[str, str], Session]]:
        return self._wild if wild(topic_filter) else self._exact


def wild(topic_filter: str) -> bool:
    return "+" in topic_filter or "#" in topic_filter
