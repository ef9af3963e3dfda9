"""MQTT 3.1.1 and 5.0 as bytes: packets in, packets out. Pure; what they mean to us stands in `ingest.endpoint`.

Sources: OASIS MQTT Version 3.1.1 (2014) and Version 5.0 (2019); numbers in brackets are their sections.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

V311 = 4
V5 = 5
MAX_LENGTH = 268_435_455
ZERO = b"\0\0"


class Kind(IntEnum):
    """Packet types [2.1.2]."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    PUBACK = 4
    PUBREC = 5
    PUBREL = 6
    PUBCOMP = 7
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    UNSUBACK = 11
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14
    AUTH = 15


class Code(IntEnum):
    """Reason codes of 5.0 [2.4] that we give or understand."""

    SUCCESS = 0x00
    GRANTED_QOS_1 = 0x01
    DISCONNECT_WITH_WILL = 0x04
    NO_SUBSCRIPTION = 0x11
    UNSPECIFIED = 0x80
    MALFORMED = 0x81
    PROTOCOL_ERROR = 0x82
    BAD_VERSION = 0x84
    BAD_CLIENT_ID = 0x85
    BAD_CREDENTIALS = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    SHUTTING_DOWN = 0x8B
    KEEP_ALIVE = 0x8D
    TAKEN_OVER = 0x8E
    BAD_FILTER = 0x8F
    BAD_TOPIC = 0x90
    NO_PACKET_ID = 0x92
    RECEIVE_MAXIMUM = 0x93
    BAD_ALIAS = 0x94
    TOO_LARGE = 0x95
    QUOTA = 0x97
    QOS_NOT_SUPPORTED = 0x9B
    NO_SHARED = 0x9E


#: What a 3.1.1 client is told in CONNACK [3.2.2.3] for a reason code.
CONNECT_RETURN: Mapping[Code, int] = {
    Code.SUCCESS: 0,
    Code.BAD_VERSION: 1,
    Code.BAD_CLIENT_ID: 2,
    Code.SERVER_UNAVAILABLE: 3,
    Code.SERVER_BUSY: 3,
    Code.BAD_CREDENTIALS: 4,
    Code.NOT_AUTHORIZED: 5,
}


class ProtocolError(Exception):
    """What the client sent breaks the protocol; the connection ends with this code."""

    def __init__(self, code: Code, detail: str = "") -> None:
        super().__init__(f"{code.name.lower()}: {detail}")
        self.code = code


# -- properties [2.2.2] ------------------------------------------------------------------------------------

Value = int | str | bytes
Properties = dict[str, Value]

#: Identifier → name and type: b byte, 2 and 4 unsigned integers, v variable byte integer, s UTF-8, d binary.
PROPERTIES: Mapping[int, tuple[str, str]] = {
    0x01: ("payload_format", "b"),
    0x02: ("message_expiry", "4"),
    0x03: ("content_type", "s"),
    0x08: ("response_topic", "s"),
    0x09: ("correlation_data", "d"),
    0x0B: ("subscription_identifier", "v"),
    0x11: ("session_expiry", "4"),
    0x12: ("assigned_client_id", "s"),
    0x13: ("server_keep_alive", "2"),
    0x15: ("authentication_method", "s"),
    0x16: ("authentication_data", "d"),
    0x17: ("request_problem_information", "b"),
    0x18: ("will_delay", "4"),
    0x19: ("request_response_information", "b"),
    0x1A: ("response_information", "s"),
    0x1C: ("server_reference", "s"),
    0x1F: ("reason_string", "s"),
    0x21: ("receive_maximum", "2"),
    0x22: ("topic_alias_maximum", "2"),
    0x23: ("topic_alias", "2"),
    0x24: ("maximum_qos", "b"),
    0x25: ("retain_available", "b"),
    0x26: ("user_property", "p"),
    0x27: ("maximum_packet_size", "4"),
    0x28: ("wildcard_subscription_available", "b"),
    0x29: ("subscription_identifier_available", "b"),
    0x2A: ("shared_subscription_available", "b"),
}
_IDENTIFIERS = {name: (number, kind) for number, (name, kind) in PROPERTIES.items()}
_FLAGS = frozenset(
    {"payload_format", "request_problem_information", "request_response_information", "retain_available"}
)
_NOT_ZERO = frozenset({"receive_maximum", "maximum_packet_size", "topic_alias", "subscription_identifier"})
#: Properties of a PUBLISH that the server passes on unchanged [3.3.2.3].
FORWARDED = ("payload_format", "content_type", "response_topic", "correlation_data")


# -- reading ------------------------------------------------------------------------------------------------


class Reader:
    """Reads the fields of one packet's body. Raises `ProtocolError` when it ends early or holds nonsense."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def take(self, n: int) -> bytes:
        piece = self.body[self.at : self.at + n]
        if len(piece) != n:
            raise ProtocolError(Code.MALFORMED, "ends early")
        self.at += n
        return piece

    def u8(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
            shift += 7
            if shift > 21:
                raise ProtocolError(Code.MALFORMED, "variable byte integer of five bytes")

    def binary(self) -> bytes:
        return self.take(self.u16())

    def text(self) -> str:
        """UTF-8 without U+0000 [1.5.4]."""
        return utf8(self.binary())

    def rest(self) -> bytes:
        piece = self.body[self.at :]
        self.at = len(self.body)
        return piece

    @property
    def left(self) -> int:
        return len(self.body) - self.at

    def end(self) -> None:
        if self.left:
            raise ProtocolError(Code.MALFORMED, "bytes after the end")

    def properties(self) -> Properties:
        """A property block. A property that stands twice, other than user properties, is an error [2.2.2.2]."""
        stop = self.varint() + self.at
        if stop > len(self.body):
            raise ProtocolError(Code.MALFORMED, "properties end early")
        found: Properties = {}
        users = b""
        while self.at < stop:
            began = self.at
            name, kind = PROPERTIES.get(self.varint(), ("", ""))
            if not name:
                raise ProtocolError(Code.MALFORMED, "unknown property")
            if kind == "p":
                self.text()
                self.text()
                users += self.body[began : self.at]
                continue
            value = self._property(kind)
            if name in found:
                raise ProtocolError(Code.PROTOCOL_ERROR, f"{name} stands twice")
            if (name in _FLAGS and value not in (0, 1)) or (name in _NOT_ZERO and value == 0):
                raise ProtocolError(Code.PROTOCOL_ERROR, f"{name} is {value!r}")
            found[name] = value
        if self.at != stop:
            raise ProtocolError(Code.MALFORMED, "a property crosses the end of its block")
        if users:
            found["user_property"] = users  # as on the wire: they are only passed on
        return found

    def _property(self, kind: str) -> Value:
        match kind:
            case "b":
                return self.u8()
            case "2":
                return self.u16()
            case "4":
                return self.u32()
            case "v":
                return self.varint()
            case "s":
                return self.text()
            case _:
                return self.binary()


def utf8(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ProtocolError(Code.MALFORMED, "not UTF-8") from None
    if "\0" in text:
        raise ProtocolError(Code.MALFORMED, "U+0000 in a string")
    return text


# -- packets that clients send -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """An application message. `properties` are those that travel with it."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connect:
    """CONNECT [3.1]. `will_delay_s` and the properties exist in 5.0 only."""

    version: int
    client_id: str
    clean: bool
    keep_alive_s: int
    username: str | None
    password: bytes | None
    will: Message | None
    will_delay_s: int = 0
    properties: Properties = field(default_factory=dict)

    def limit(self, name: str, otherwise: int) -> int:
        """A number among the properties."""
        value = self.properties.get(name, otherwise)
        assert isinstance(value, int)
        return value


def read_connect(body: bytes) -> Connect:
    """Raises `ProtocolError`; `BAD_VERSION` for a protocol that is neither 3.1.1 nor 5.0."""
    reader = Reader(body)
    name = reader.binary()
    version = reader.u8()
    if name != b"MQTT" or version not in (V311, V5):
        raise ProtocolError(Code.BAD_VERSION, f"{name!r} {version}")
    flags = reader.u8()
    will_qos = flags >> 3 & 3
    if flags & 1 or will_qos == 3 or (not flags & 4 and flags & 0x38):
        raise ProtocolError(Code.MALFORMED, f"connect flags {flags:#x}")
    if version == V311 and flags & 0x40 and not flags & 0x80:
        raise ProtocolError(Code.MALFORMED, "a password without a user name")
    keep_alive = reader.u16()
    properties = reader.properties() if version == V5 else {}
    client_id = reader.text()
    will = None
    delay = 0
    if flags & 4:
        will_properties = reader.properties() if version == V5 else {}
        will_delay = will_properties.pop("will_delay", 0)
        assert isinstance(will_delay, int)
        delay = will_delay
        topic = reader.text()
        check_topic(topic)
        will = Message(topic, reader.binary(), will_qos, bool(flags & 0x20), will_properties)
    username = reader.text() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    reader.end()
    return Connect(
        version, client_id, bool(flags & 2), keep_alive, username, password, will, delay, properties
    )


@dataclass(frozen=True, slots=True)
class Subscribe:
    """SUBSCRIBE [3.8]: an identifier and (filter, options) in order."""

    id: int
    filters: tuple[tuple[str, int], ...]
    properties: Properties = field(default_factory=dict)


def read_subscribe(body: bytes, version: int) -> Subscribe:
    reader = Reader(body)
    number = _identifier(reader)
    properties = reader.properties() if version == V5 else {}
    filters: list[tuple[str, int]] = []
    while reader.left:
        topic_filter, options = reader.text(), reader.u8()
        if options & 3 == 3 or options & (0xC0 if version == V5 else 0xFC) or options >> 4 & 3 == 3:
            raise ProtocolError(Code.MALFORMED, f"subscription options {options:#x}")
        filters.append((topic_filter, options))
    if not filters:
        raise ProtocolError(Code.PROTOCOL_ERROR, "SUBSCRIBE without a filter")
    return Subscribe(number, tuple(filters), properties)


def read_unsubscribe(body: bytes, version: int) -> tuple[int, list[str]]:
    reader = Reader(body)
    number = _identifier(reader)
    if version == V5:
        reader.properties()
    filters: list[str] = []
    while reader.left:
        filters.append(reader.text())
    if not filters:
        raise ProtocolError(Code.PROTOCOL_ERROR, "UNSUBSCRIBE without a filter")
    return number, filters


def read_acknowledgement(body: bytes, version: int) -> tuple[int, int]:
    """Identifier and reason code of PUBACK, PUBREC, PUBREL, PUBCOMP [3.4]."""
    reader = Reader(body)
    number = _identifier(reader)
    code = 0
    if version == V5 and reader.left:
        code = reader.u8()
        if reader.left:
            reader.properties()
    reader.end()
    return number, code


def read_disconnect(body: bytes, version: int) -> tuple[int, Properties]:
    """Reason code and properties of DISCONNECT [3.14]."""
    reader = Reader(body)
    if version == V311:
        reader.end()
        return 0, {}
    code = reader.u8() if reader.left else 0
    properties = reader.properties() if reader.left else {}
    reader.end()
    return code, properties


def _identifier(reader: Reader) -> int:
    number = reader.u16()
    if not number:
        raise ProtocolError(Code.MALFORMED, "packet identifier 0")
    return number


def check_topic(topic: str) -> None:
    """A name that messages are published to [4.7]. Raises `ProtocolError`."""
    if not topic or "+" in topic or "#" in topic:
        raise ProtocolError(Code.BAD_TOPIC, topic[:100])


def check_filter(topic_filter: str) -> bool:
    """Is this a filter that a subscription may have [4.7.1]?"""
    levels = topic_filter.split("/")
    if not topic_filter or "#" in "/".join(levels[:-1]) or (levels[-1] != "#" and "#" in levels[-1]):
        return False
    return all(level == "+" or "+" not in level for level in levels)


def matches(topic_filter: str, topic: str) -> bool:
    """Does a filter take a topic? Topics that begin with $ are taken by no wildcard at the start [4.7.2]."""
    if topic.startswith("$") and topic_filter[:1] in "+#":
        return False
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(levels) or level not in ("+", levels[place]):
            return False
    return len(wanted) == len(levels)


# -- slicing the stream --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Run:
    """PUBLISH packets that came one after another to one topic with one quality of service.

    ids are their packet identifiers as on the wire, empty at QoS 0. `properties` is None where all are empty.
    """

    topic: str
    qos: int
    retain: bool
    payloads: list[bytes] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    properties: Properties | None = None


@dataclass(frozen=True, slots=True)
class Packet:
    """Any other packet: its type, the flags of its first byte and its body."""

    kind: int
    flags: int
    body: bytes


#: The flags that the fixed header of a packet must have [2.1.3]; PUBLISH has its own.
_FLAGS_OF = {Kind.PUBREL: 2, Kind.SUBSCRIBE: 2, Kind.UNSUBSCRIBE: 2}


class Slicer:
    """Cuts the bytes of one connection into packets. PUBLISH, which is nearly all there is, is gathered in runs."""

    def __init__(self, max_bytes: int = MAX_LENGTH, alias_maximum: int = 0) -> None:
        self.version = V311
        self.max_bytes = max_bytes
        self.alias_maximum = alias_maximum
        self.waiting = 0  # bytes of a packet that is not whole yet
        self._aliases: dict[int, str] = {}
        self._parts: list[bytes] = []
        self._needed = 0
        self._way: tuple[int, bytes] = (-1, b"")  # the first byte and the topic that `_begins` belongs to
        self._begins: dict[bytes, int] = {}

    def feed(self, data: bytes) -> Iterator[Run | Packet]:
        """Take bytes, give what became whole. Raises `ProtocolError`, after everything sound that came before."""
        if self._parts:
            self._parts.append(data)
            self.waiting += len(data)
            if self.waiting < self._needed:
                return  # joined once, when it is whole: a dripping peer costs no copies
            data = b"".join(self._parts)
            self._parts = []
        at, end, needed = 0, len(data), 2
        while at + 2 <= end:
            found = body_of(data, at)
            if found is None:
                needed = end - at + 1
                break
            body, stop = found
            if stop - body > self.max_bytes:
                raise ProtocolError(Code.TOO_LARGE, f"{stop - body} bytes")
            if stop > end:
                needed = stop - at
                break
            if data[at] & 0xF0 != 0x30:
                yield other(data[at], data[body:stop])
                at = stop
                continue
            run = self._publish(data[at], data[body:stop])
            at = self._gather(run, data, at, body, stop)
            wrong = run.ids.index(ZERO) if ZERO in run.ids else -1
            if wrong >= 0:
                del run.ids[wrong:], run.payloads[wrong:]
            if run.payloads:
                yield run
            if wrong >= 0:
                raise ProtocolError(Code.MALFORMED, "packet identifier 0")
        self._parts = [data[at:]] if at < end else []
        self.waiting, self._needed = end - at, needed

    def _gather(self, run: Run, data: bytes, at: int, body: int, stop: int) -> int:
        """Add to a run the packets after its first that go the same way; where they end.

        What such a packet begins with (first byte, length, topic) is looked up, and says how long the packet is;
        beginnings not seen before are read once.
        """
        head = data[body : body + 2 + int.from_bytes(data[body : body + 2], "big")]
        if len(head) == 2 or run.properties is not None:
            return stop  # an alias or properties: each is read for itself
        flags = data[at] & 0xF7 if run.qos else data[at]
        if (flags, head) != self._way:
            self._way, self._begins = (flags, head), {}
        begins, end = self._begins, len(data)
        width = body - at + len(head)
        numbered = 2 if run.qos else 0
        five = self.version == V5
        skip = numbered + five
        at = stop
        ids, payloads = run.ids, run.payloads
        while True:
            size = begins.get(data[at : at + width])
            if size is None:  # a length of two bytes instead of one, or the other way round?
                width = 2 * len(head) + 5 - width
                size = begins.get(data[at : at + width])
            if size is None:
                found = self._begin(data, at, flags, head, skip)
                if found is None:
                    return at
                width, size = found
            stop, cut = at + size, at + width + skip
            if stop > end or (five and data[cut - 1]):
                return at
            if numbered:
                ids.append(data[cut - skip : cut - skip + 2])
            payloads.append(data[cut:stop])
            at = stop

    def _begin(self, data: bytes, at: int, flags: int, head: bytes, skip: int) -> tuple[int, int] | None:
        """Learn a beginning: its width and the whole packet's size; None when it goes another way or is not sound."""
        try:
            found = body_of(data, at)
        except ProtocolError:
            return None  # it is met again, after what is sound before it
        if found is None:
            return None
        body, stop = found
        first = data[at]
        width = body - at + len(head)
        same = (first & 0xF7 if first & 6 else first) == flags and data.startswith(head, body)
        if not same or stop - body > self.max_bytes or stop - at < width + skip:
            return None
        if len(self._begins) > 10_000:
            self._begins.clear()
        self._begins[data[at : at + width]] = stop - at
        return width, stop - at

    def _publish(self, first: int, body: bytes) -> Run:
        """PUBLISH [3.3] with all that it may carry."""
        qos = first >> 1 & 3
        if qos == 3 or (first & 8 and not qos):
            raise ProtocolError(Code.MALFORMED, f"first byte {first:#x}")
        reader = Reader(body)
        topic = reader.text()
        ids = [_identifier(reader).to_bytes(2, "big")] if qos else []
        properties = reader.properties() if self.version == V5 else {}
        alias = properties.pop("topic_alias", None)
        if alias is not None:
            topic = self._aliased(int(alias), topic)
        if "subscription_identifier" in properties:
            raise ProtocolError(Code.PROTOCOL_ERROR, "a client sent a subscription identifier")
        check_topic(topic)
        return Run(topic, qos, bool(first & 1), [reader.rest()], ids, properties or None)

    def _aliased(self, alias: int, topic: str) -> str:
        """The topic that an alias stands for from now on [3.3.2.3.4]."""
        if alias > self.alias_maximum:
            raise ProtocolError(Code.BAD_ALIAS, str(alias))
        if topic:
            self._aliases[alias] = topic
        elif alias not in self._aliases:
            raise ProtocolError(Code.PROTOCOL_ERROR, f"topic alias {alias} stands for nothing")
        return self._aliases[alias]


def body_of(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the body of the packet at `at` begins and ends; None = its length is not there yet.

    Raises `ProtocolError` on a length of more than four bytes.
    """
    length = 0
    for place in range(1, 5):
        if at + place >= len(data):
            return None
        byte = data[at + place]
        length |= (byte & 0x7F) << 7 * (place - 1)
        if not byte & 0x80:
            body = at + place + 1
            return body, body + length
    raise ProtocolError(Code.MALFORMED, "a length of five bytes")


def other(first: int, body: bytes) -> Packet:
    """A packet that is no PUBLISH. Raises `ProtocolError` on a type or flags that do not exist."""
    kind, flags = first >> 4, first & 0x0F
    if not kind or flags != _FLAGS_OF.get(Kind(kind), 0):
        raise ProtocolError(Code.MALFORMED, f"first byte {first:#x}")
    return Packet(kind, flags, body)


# -- writing -------------------------------------------------------------------------------------------------


def packet(kind: Kind, flags: int, body: bytes) -> bytes:
    return bytes((kind << 4 | flags,)) + varint(len(body)) + body


def varint(value: int) -> bytes:
    """A variable byte integer [1.5.5]."""
    if not 0 <= value <= MAX_LENGTH:
        raise ValueError(f"{value} is no variable byte integer")
    encoded = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        encoded.append(low | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def text(value: str) -> bytes:
    return binary(value.encode())


def binary(value: bytes) -> bytes:
    return struct.pack(">H", len(value)) + value


def properties(values: Mapping[str, Value]) -> bytes:
    """A property block with its length."""
    block = property_bytes(values)
    return varint(len(block)) + block


def property_bytes(values: Mapping[str, Value]) -> bytes:
    parts: list[bytes] = []
    for name, value in values.items():
        number, kind = _IDENTIFIERS[name]
        if kind == "p":
            assert isinstance(value, bytes)
            parts.append(value)  # user properties, kept as on the wire
            continue
        parts.append(varint(number))
        match value, kind:
            case int(), "b":
                parts.append(bytes((value,)))
            case int(), "2":
                parts.append(struct.pack(">H", value))
            case int(), "4":
                parts.append(struct.pack(">I", value))
            case int(), _:
                parts.append(varint(value))
            case str(), _:
                parts.append(text(value))
            case bytes(), _:
                parts.append(binary(value))
            case _:
                raise ValueError(f"{name} is {value!r}")
    return b"".join(parts)


def user_property(name: str, value: str) -> bytes:
    """One user property, for `{"user_property": …}`."""
    return varint(_IDENTIFIERS["user_property"][0]) + text(name) + text(value)


def connack(
    version: int, code: Code, *, present: bool = False, values: Mapping[str, Value] | None = None
) -> bytes:
    if version == V5:
        return packet(Kind.CONNACK, 0, bytes((present, code)) + properties(values or {}))
    return packet(Kind.CONNACK, 0, bytes((present, CONNECT_RETURN.get(code, 3))))


def publish(
    message: Message,
    *,
    version: int,
    number: int = 0,
    dup: bool = False,
    values: Mapping[str, Value] | None = None,
    identifiers: Sequence[int] = (),
) -> bytes:
    """PUBLISH; `number` is its identifier at QoS 1 and 2.

    In 5.0 it carries the message's properties, `values` and the identifiers of the subscriptions it fits.
    """
    head = text(message.topic) + (struct.pack(">H", number) if message.qos else b"")
    if version == V5:
        block = property_bytes({**message.properties, **(values or {})})
        block += b"".join(varint(0x0B) + varint(each) for each in identifiers)
        head += varint(len(block)) + block
    flags = dup << 3 | message.qos << 1 | message.retain
    return packet(Kind.PUBLISH, flags, head + message.payload)


def acknowledge(kind: Kind, ids: Sequence[bytes]) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP for many packets at once; success needs no more than this in 5.0 too."""
    head = bytes((kind << 4 | _FLAGS_OF.get(kind, 0), 2))
    return head + head.join(ids)


def acknowledge_with(kind: Kind, version: int, number: int, code: Code) -> bytes:
    """One acknowledgement that says why; 3.1.1 has no place for that."""
    if version == V311 or code == Code.SUCCESS:
        return acknowledge(kind, [number.to_bytes(2, "big")])
    return packet(kind, _FLAGS_OF.get(kind, 0), struct.pack(">HB", number, code))


def suback(version: int, number: int, codes: Sequence[int]) -> bytes:
    """SUBACK [3.9]; 3.1.1 knows one code for every failure."""
    told = bytes(code if version == V5 or code < 0x80 else 0x80 for code in codes)
    return packet(Kind.SUBACK, 0, struct.pack(">H", number) + (b"\0" if version == V5 else b"") + told)


def unsuback(version: int, number: int, codes: Sequence[int]) -> bytes:
    told = b"\0" + bytes(codes) if version == V5 else b""
    return packet(Kind.UNSUBACK, 0, struct.pack(">H", number) + told)


def disconnect(code: Code, values: Mapping[str, Value] | None = None) -> bytes:
    """DISCONNECT of the server, which exists in 5.0 only."""
    return packet(Kind.DISCONNECT, 0, bytes((code,)) + properties(values or {}))


PINGRESP = packet(Kind.PINGRESP, 0, b"")
