"""Sparkplug B 3.0 payloads: protobuf by the library, from the field numbers of the specification (chapter 6).

The codec reads and writes payloads; who is born, which alias means what and which sequence number is due is kept by
`EdgeNode`, one for each edge node. Metrics of the node itself are readings of the device `<edge node>`, those of
a device of `<device>`; a metric name's `/` becomes `.` in the channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from core.batch import Quality
from iot.codecs.frame import NO_TIME, MalformedError

REBIRTH = "Node Control/Rebirth"
BD_SEQ = "bdSeq"
NO_SEQ = -1
#: Property `Quality`: 0 bad, 192 good, 500 stale.
BAD, GOOD, STALE = 0, 192, 500


class Type(IntEnum):
    """Data types of metrics that can be readings (6.4.16); others have no number to give."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14


#: Width of the integers that are carried as two's complement in wider fields.
_SIGNED = {Type.INT8: 8, Type.INT16: 16, Type.INT32: 32, Type.INT64: 64}
_INT, _LONG = {1, 2, 3, 5, 6, 7}, {4, 8, 13}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `value` is None when it is null or of a type that has no single value."""

    name: str = ""
    alias: int | None = None
    time_ms: int | None = None
    datatype: int | None = None
    value: float | str | bool | None = None
    historical: bool = False
    quality: int | None = None


@dataclass(frozen=True, slots=True)
class Payload:
    metrics: tuple[Metric, ...] = ()
    time_ms: int | None = None
    seq: int = NO_SEQ


# -- protobuf --------------------------------------------------------------------------------------------------

_P = descriptor_pb2.FieldDescriptorProto
#: Message → (field, number, type or message, repeated?). Proto2; what we never need is left out and skipped.
_SCHEMA: Mapping[str, tuple[tuple[str, int, _P.Type.ValueType | str, bool], ...]] = {
    "PropertyValue": (
        ("type", 1, _P.TYPE_UINT32, False), ("is_null", 2, _P.TYPE_BOOL, False),
        ("int_value", 3, _P.TYPE_UINT32, False), ("long_value", 4, _P.TYPE_UINT64, False),
    ),
    "PropertySet": (("keys", 1, _P.TYPE_STRING, True), ("values", 2, "PropertyValue", True)),
    "Metric": (
        ("name", 1, _P.TYPE_STRING, False), ("alias", 2, _P.TYPE_UINT64, False),
        ("timestamp", 3, _P.TYPE_UINT64, False), ("datatype", 4, _P.TYPE_UINT32, False),
        ("is_historical", 5, _P.TYPE_BOOL, False),
        ("is_transient", 6, _P.TYPE_BOOL, False), ("is_null", 7, _P.TYPE_BOOL, False),
        ("properties", 9, "PropertySet", False), ("int_value", 10, _P.TYPE_UINT32, False),
        ("long_value", 11, _P.TYPE_UINT64, False), ("float_value", 12, _P.TYPE_FLOAT, False),
        ("double_value", 13, _P.TYPE_DOUBLE, False), ("boolean_value", 14, _P.TYPE_BOOL, False),
        ("string_value", 15, _P.TYPE_STRING, False),
    ),
    "Payload": (
        ("timestamp", 1, _P.TYPE_UINT64, False), ("metrics", 2, "Metric", True), ("seq", 3, _P.TYPE_UINT64, False),
    ),
}  # fmt: skip


@cache
def _payload_class() -> Any:  # noqa: ANN401 - the library makes the class
    """The message class, made once; importing the library is left to processes that meet Sparkplug."""
    file = descriptor_pb2.FileDescriptorProto(
        name="cityops/sparkplug_b.proto", package="cityops", syntax="proto2"
    )
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, repeated in fields:
            label = _P.LABEL_REPEATED if repeated else _P.LABEL_OPTIONAL
            made = message.field.add(name=field_name, number=number, label=label)
            if isinstance(kind, str):
                made.type, made.type_name = _P.TYPE_MESSAGE, f".cityops.{kind}"
            else:
                made.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("cityops.Payload"))


def parse(data: bytes) -> Payload:
    """Read a payload. Raises `MalformedError`."""
    raw = _payload_class()()
    try:
        raw.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError, ValueError) as wrong:
        raise MalformedError(f"no Sparkplug payload: {wrong}") from None
    return Payload(
        tuple(_metric(each) for each in raw.metrics),
        raw.timestamp if raw.HasField("timestamp") else None,
        raw.seq if raw.HasField("seq") else NO_SEQ,
    )


def _metric(raw: Any) -> Metric:  # noqa: ANN401 - the library's class
    has = raw.HasField
    name = raw.name
    return Metric(
        name if isinstance(name, str) else "",  # the library gives bytes that are no UTF-8 as bytes
        raw.alias if has("alias") else None,
        raw.timestamp if has("timestamp") else None,
        raw.datatype if has("datatype") else None,
        None if raw.is_null else _carried(raw),
        raw.is_historical,
        _quality(raw.properties) if has("properties") else None,
    )


def _carried(raw: Any) -> float | str | bool | None:  # noqa: ANN401 - the library's class
    """The value in the field that is set; integers still as the wire has them."""
    for name in ("double_value", "float_value", "boolean_value", "int_value", "long_value", "string_value"):
        if raw.HasField(name):
            value: float | str | bool | bytes = getattr(raw, name)
            return None if isinstance(value, bytes) else value
    return None


def _quality(properties: Any) -> int | None:  # noqa: ANN401 - the library's class
    for key, value in zip(properties.keys, properties.values, strict=False):
        if key == "Quality":
            return int(value.int_value)
    return None


def typed(value: float | str | bool | None, datatype: int) -> float | str | None:  # noqa: FBT001 - as carried
    """The value that a datatype means: integers masked to their width and signed."""
    if isinstance(value, str) or value is None:
        return value
    width = _SIGNED.get(Type(datatype)) if datatype in _SIGNED else None
    if width is None:
        return float(value)
    masked = int(value) & ((1 << width) - 1)
    return float(masked - (1 << width) if masked >> (width - 1) else masked)


def encode(payload: Payload) -> bytes:
    """Write a payload, fields in the order of the specification's examples."""
    raw = _payload_class()()
    if payload.time_ms is not None:
        raw.timestamp = payload.time_ms
    for metric in payload.metrics:
        made = raw.metrics.add()
        if metric.name:
            made.name = metric.name
        if metric.alias is not None:
            made.alias = metric.alias
        if metric.time_ms is not None:
            made.timestamp = metric.time_ms
        if metric.datatype is not None and metric.name:
            made.datatype = metric.datatype
        if metric.historical:
            made.is_historical = True
        _put(made, metric)
        if metric.quality is not None:
            made.properties.keys.append("Quality")
            made.properties.values.add(type=Type.INT32, int_value=metric.quality)
    if payload.seq != NO_SEQ:
        raw.seq = payload.seq
    data: bytes = raw.SerializeToString(deterministic=True)
    return data


def _put(made: Any, metric: Metric) -> None:  # noqa: ANN401 - the library's class
    kind, value = metric.datatype, metric.value
    if value is None:
        made.is_null = True
    elif kind in _INT:
        made.int_value = int(value) & 0xFFFFFFFF
    elif kind in _LONG:
        made.long_value = int(value) & 0xFFFFFFFFFFFFFFFF
    elif kind == Type.FLOAT:
        made.float_value = float(value)
    elif kind == Type.BOOLEAN:
        made.boolean_value = bool(value)
    elif kind in (Type.STRING, Type.TEXT):
        made.string_value = str(value)
    else:
        made.double_value = float(value)


def rebirth(now_ms: int) -> bytes:
    """NCMD that asks an edge node to be born again."""
    return encode(Payload((Metric(REBIRTH, None, now_ms, Type.BOOLEAN, value=True),), now_ms))


# -- an edge node's life ---------------------------------------------------------------------------------------


class Kind(StrEnum):
    NBIRTH = "NBIRTH"
    NDEATH = "NDEATH"
    NDATA = "NDATA"
    DBIRTH = "DBIRTH"
    DDEATH = "DDEATH"
    DDATA = "DDATA"
    NCMD = "NCMD"
    DCMD = "DCMD"


@dataclass(frozen=True, slots=True)
class Topic:
    """spBv1.0/group/kind/node[/device]."""

    group: str
    kind: Kind
    node: str
    device: str = ""

    @classmethod
    def of(cls, topic: str) -> Topic:
        """Raises `MalformedError`."""
        parts = topic.split("/")
        if len(parts) not in (4, 5) or parts[0] != "spBv1.0" or parts[2] not in Kind.__members__:
            raise MalformedError(f"no Sparkplug topic: {topic[:100]}")
        return cls(parts[1], Kind(parts[2]), parts[3], parts[4] if len(parts) == 5 else "")

    @property
    def commands(self) -> str:
        """Where this node listens."""
        return f"spBv1.0/{self.group}/{Kind.NCMD}/{self.node}"


@dataclass(frozen=True, slots=True)
class Reading:
    """A metric that became a reading; `record` is its place in the payload."""

    record: int
    name: str
    value: float | str
    time_s: float
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """What a message means: readings, devices that went, and whether the node must be asked to be born again."""

    readings: tuple[Reading, ...] = ()
    unknown: tuple[tuple[int, str], ...] = ()
    ask_rebirth: str = ""
    online: bool | None = None


@dataclass(slots=True)
class EdgeNode:
    """What is known of one edge node since its birth (clause 5 and 6 of the specification)."""

    node: str
    born: bool = False
    bd_seq: int | None = None
    seq: int = NO_SEQ
    devices: set[str] = field(default_factory=set)
    #: alias → (device, metric, datatype); unique over the node and its devices
    aliases: dict[int, tuple[str, str, int]] = field(default_factory=dict)
    types: dict[tuple[str, str], int] = field(default_factory=dict)

    def hear(self, topic: Topic, payload: Payload) -> Heard:
        """One message in the order of arrival. A gap in the sequence asks for a rebirth; what came is still used."""
        match topic.kind:
            case Kind.NDEATH:
                return self._death(payload)
            case Kind.NBIRTH:
                self._begin(payload)
            case Kind.DBIRTH | Kind.NDATA | Kind.DDATA | Kind.DDEATH:
                if not self.born:
                    return Heard(ask_rebirth="not born")
                gap = payload.seq != (self.seq + 1) % 256
                if payload.seq != NO_SEQ:
                    self.seq = payload.seq
                if topic.kind == Kind.DDEATH:
                    self.devices.discard(topic.device)
                    return Heard(ask_rebirth="sequence gap" if gap else "", online=False)
                if topic.kind == Kind.DDATA and topic.device not in self.devices:
                    return Heard(ask_rebirth="device not born")
                if topic.kind == Kind.DBIRTH:
                    self.devices.add(topic.device)
                heard = self._read(topic, payload)
                return Heard(
                    heard.readings, heard.unknown, heard.ask_rebirth or ("sequence gap" if gap else "")
                )
            case _:
                return Heard()
        return self._read(topic, payload)

    def _begin(self, payload: Payload) -> None:
        self.born, self.seq = True, payload.seq
        self.devices, self.aliases, self.types = set(), {}, {}
        found = [metric.value for metric in payload.metrics if metric.name == BD_SEQ]
        self.bd_seq = int(found[0]) & 0xFF if found and isinstance(found[0], int | float) else None

    def _death(self, payload: Payload) -> Heard:
        """Valid only with the bdSeq of the last birth: an older will must not end a new session."""
        found = [metric.value for metric in payload.metrics if metric.name == BD_SEQ]
        number = int(found[0]) & 0xFF if found and isinstance(found[0], int | float) else None
        if not self.born or number != self.bd_seq:
            return Heard()
        self.born = False
        return Heard(online=False)

    def _read(self, topic: Topic, payload: Payload) -> Heard:
        birth = topic.kind in (Kind.NBIRTH, Kind.DBIRTH)
        readings: list[Reading] = []
        unknown: list[tuple[int, str]] = []
        ask = ""
        for number, metric in enumerate(payload.metrics):
            if birth:
                self._learn(topic.device, metric)
            known = self._which(topic.device, metric)
            if known is None:
                ask = "unknown alias" if metric.alias is not None and not metric.name else ask
                unknown.append((number, metric.name or f"alias {metric.alias}"))
                continue
            device, name, datatype = known
            if name in (BD_SEQ, REBIRTH) or name.startswith("Node Control/"):
                continue
            value = typed(metric.value, datatype)
            if value is None:
                continue  # null: missing is absence
            time_ms = metric.time_ms if metric.time_ms is not None else payload.time_ms
            readings.append(
                Reading(
                    number, f"{device or self.node}/{name.replace('/', '.')}", value,
                    NO_TIME if time_ms is None else time_ms / 1000, _mark(metric.quality),
                )
            )  # fmt: skip
        return Heard(tuple(readings), tuple(unknown), ask, online=True if birth else None)

    def _learn(self, device: str, metric: Metric) -> None:
        if not metric.name or metric.datatype is None:
            return
        self.types[device, metric.name] = metric.datatype
        if metric.alias is not None:
            self.aliases[metric.alias] = (device, metric.name, metric.datatype)

    def _which(self, device: str, metric: Metric) -> tuple[str, str, int] | None:
        if metric.name:
            datatype = metric.datatype or self.types.get((device, metric.name))
            return None if datatype is None else (device, metric.name, datatype)
        return None if metric.alias is None else self.aliases.get(metric.alias)


def _mark(quality: int | None) -> int:
    """BAD is a device's own fault; STALE is a value kept from before."""
    if quality is None or quality == GOOD:
        return 0
    return int(Quality.ESTIMATED if quality == STALE else Quality.DEVICE_FAULT)
