"""Arrow IPC streams: columns of readings straight into NumPy, for gateways that gather many (DESIGN §6.1).

Columns: `device` and `channel` (utf8, mostly dictionary-encoded), `time` (timestamp, UTC), `value` (a number),
optional `quality` (uint16). Little-endian, not compressed. Several record batches may follow one schema.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.batch import FROM_GATEWAY
from iot.codecs.flatbuffer import Fields, Pairs, Scalar, Table, Vector, unpack, write
from iot.codecs.frame import Block, Columns, Decoder, MalformedError, Parcel, each

MOST_ROWS = 1_000_000
MOST_NAMES = 200_000
CONTINUATION = b"\xff\xff\xff\xff"
SCHEMA, DICTIONARY, RECORDS = 1, 2, 3
INT, FLOAT, UTF8, TIMESTAMP = 2, 3, 5, 10
VERSION_5 = 4
#: Columns beside the names, and what they may be.
WANTED: Mapping[str, tuple[int, ...]] = {"time": (TIMESTAMP,), "value": (INT, FLOAT), "quality": (INT,)}
#: Timestamp unit → (multiply by, divide by) to µs.
UNITS: Mapping[int, tuple[int, int]] = {0: (1_000_000, 1), 1: (1000, 1), 2: (1, 1), 3: (1, 1000)}
#: Seconds of a time whose µs fit an int64 with room to compute.
_MOST_US = 253_402_300_800_000_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the schema. `dtype` is what its values (or its dictionary's indices) are stored as."""

    name: str
    kind: int
    dtype: np.dtype[np.generic]
    dictionary: int | None = None
    unit: int = 2


@dataclass(slots=True)
class _Stream:
    columns: list[Column] = field(default_factory=list)
    names: dict[int, list[str]] = field(default_factory=dict)


def decode_one(payload: bytes, parcel: Parcel, into: Columns) -> None:  # noqa: ARG001 - all is in the stream
    """Append one block a record batch. Raises `MalformedError` on anything that is not the contract."""
    stream = _Stream()
    rows = 0
    for kind, header, body in messages(payload):
        if kind == SCHEMA:
            stream.columns = [column_of(each_field) for each_field in header.tables(1)]
        elif kind == DICTIONARY:
            _take_dictionary(stream, header, body)
        elif kind == RECORDS:
            block = _block(stream, header, body, into.frame)
            rows += len(block.codes)
            if rows > MOST_ROWS:
                raise MalformedError(f"more than {MOST_ROWS} rows")
            into.blocks.append(block)


def messages(payload: bytes) -> Sequence[tuple[int, Table, memoryview]]:
    """Kind, header and body of the messages of a stream."""
    found: list[tuple[int, Table, memoryview]] = []
    view, at = memoryview(payload), 0
    while at + 8 <= len(payload):
        if payload[at : at + 4] != CONTINUATION:
            raise MalformedError("no Arrow stream")
        size = unpack("<i", payload, at + 4)
        at += 8
        if not size:
            return found
        if size < 0 or at + size > len(payload):
            raise MalformedError("an Arrow message ends early")
        message = Table.root(payload[at : at + size])
        at += size
        length = message.number(3, "<q")
        if not 0 <= length <= len(payload) - at:
            raise MalformedError("an Arrow body ends early")
        header = message.table(2)
        if header is None:
            raise MalformedError("an Arrow message without header")
        found.append((message.number(1, "<B"), header, view[at : at + length]))
        at += length
    if not found:
        raise MalformedError("no Arrow stream")
    return found


def column_of(table: Table) -> Column:
    """A field of the schema. Raises `MalformedError` on types that the contract does not have."""
    name, kind, kind_table = table.text(0), table.number(2, "<B"), table.table(3)
    encoding = table.table(4)
    if encoding is not None:
        index = encoding.table(1)
        return Column(name, kind, integer(index) if index else np.dtype(np.int32), encoding.number(0, "<q"))
    if kind == UTF8:
        return Column(name, kind, np.dtype(np.int32))
    if kind_table is None:
        raise MalformedError(f"column {name} has no type")
    if kind == INT:
        return Column(name, kind, integer(kind_table))
    if kind == FLOAT and kind_table.number(0, "<h") in (1, 2):
        return Column(name, kind, np.dtype(np.float32 if kind_table.number(0, "<h") == 1 else np.float64))
    if kind == TIMESTAMP and kind_table.number(0, "<h") in UNITS:
        return Column(name, kind, np.dtype(np.int64), unit=kind_table.number(0, "<h"))
    raise MalformedError(f"column {name} has a type that is not understood ({kind})")


def integer(table: Table) -> np.dtype[np.generic]:
    width, signed = table.number(0, "<i"), table.number(1, "<B")
    if width not in (8, 16, 32, 64):
        raise MalformedError(f"integers of {width} bits")
    return np.dtype(f"<{'i' if signed else 'u'}{width // 8}")


@dataclass(slots=True)
class _Reader:
    """Takes the buffers of a record batch one after another."""

    body: memoryview
    nodes: list[tuple[int, int]]
    buffers: list[tuple[int, int]]

    @classmethod
    def of(cls, batch: Table, body: memoryview) -> _Reader:
        if batch.table(3) is not None:
            raise MalformedError("compressed Arrow bodies are not understood")
        return cls(body, batch.pairs(1), batch.pairs(2))

    def buffer(self) -> memoryview:
        if not self.buffers:
            raise MalformedError("an Arrow batch lacks buffers")
        offset, length = self.buffers.pop(0)
        if offset < 0 or length < 0 or offset + length > len(self.body):
            raise MalformedError("an Arrow buffer lies outside its body")
        return self.body[offset : offset + length]

    def values(self, dtype: np.dtype[np.generic], length: int) -> NDArray[np.generic]:
        raw = self.buffer()
        if len(raw) < length * dtype.itemsize:
            raise MalformedError("an Arrow buffer is too short")
        return np.frombuffer(raw, dtype, length)

    def start(self, most: int) -> tuple[int, NDArray[np.bool_] | None]:
        """Length of the next column, and which of its values are there (None = all)."""
        if not self.nodes:
            raise MalformedError("an Arrow batch lacks columns")
        length, nulls = self.nodes.pop(0)
        if not 0 <= length <= most:
            raise MalformedError(f"{length} rows")
        bits = self.buffer()
        if not nulls:
            return length, None
        if len(bits) * 8 < length:
            raise MalformedError("an Arrow buffer is too short")
        return length, np.unpackbits(np.frombuffer(bits, np.uint8), count=length, bitorder="little").astype(
            bool
        )

    def texts(self, most: int) -> list[str]:
        length, there = self.start(most)
        if there is not None and not there.all():
            raise MalformedError("an Arrow name is null")
        offsets = self.values(np.dtype("<i4"), length + 1 if length else 0).astype(np.int64)
        raw = bytes(self.buffer())
        if length and (offsets[0] < 0 or offsets[-1] > len(raw) or (np.diff(offsets) < 0).any()):
            raise MalformedError("Arrow names overlap")
        edges = offsets.tolist()
        return [raw[edges[n] : edges[n + 1]].decode("utf-8", "replace") for n in range(length)]


def _take_dictionary(stream: _Stream, header: Table, body: memoryview) -> None:
    batch = header.table(1)
    if batch is None:
        raise MalformedError("an Arrow dictionary without data")
    number = header.number(0, "<q")
    known = stream.names.get(number, []) if header.number(2, "<B") else []
    stream.names[number] = [*known, *_Reader.of(batch, body).texts(MOST_NAMES)]
    if len(stream.names[number]) > MOST_NAMES or len(stream.names) > 16:
        raise MalformedError("an Arrow dictionary is too large")


def _block(stream: _Stream, batch: Table, body: memoryview, frame: int) -> Block:
    reader = _Reader.of(batch, body)
    length = batch.number(0, "<q")
    named: dict[str, tuple[list[str], NDArray[np.int64]]] = {}
    numbers: dict[str, NDArray[np.generic]] = {}
    unit = 2
    for column in stream.columns:
        if column.name in ("device", "channel"):
            named[column.name] = _names(stream, column, reader, length)
            continue
        if column.kind not in WANTED.get(column.name, ()) or column.dictionary is not None:
            raise MalformedError(f"column {column.name} is not of the contract")
        rows, there = reader.start(MOST_ROWS)
        if rows != length:
            raise MalformedError(f"column {column.name} has {rows} of {length} rows")
        values = reader.values(column.dtype, rows)
        if column.name == "value":
            values = values.astype(np.float64)
            if there is not None:
                values[~there] = np.nan
        elif there is not None and not there.all():
            raise MalformedError(f"column {column.name} has nulls")
        if column.name == "time":
            unit = column.unit
        numbers[column.name] = values
    missing = {"device", "channel", "time", "value"} - named.keys() - numbers.keys()
    if missing:
        raise MalformedError(f"no column {', '.join(sorted(missing))}")
    names, codes = _pairs(named["device"], named["channel"])
    quality = numbers.get("quality")
    marks = np.zeros(len(codes), np.uint16) if quality is None else quality.astype(np.uint16)
    time_us = microseconds(numbers["time"].astype(np.int64), unit)
    return Block(
        frame, names, codes, time_us, numbers["value"].astype(np.float64), marks & np.uint16(FROM_GATEWAY)
    )


def _names(
    stream: _Stream, column: Column, reader: _Reader, length: int
) -> tuple[list[str], NDArray[np.int64]]:
    """Names of a column and the index of each row's."""
    if column.kind != UTF8:
        raise MalformedError(f"column {column.name} is no text")
    if column.dictionary is None:
        texts = reader.texts(MOST_NAMES)
        if len(texts) != length:
            raise MalformedError(f"column {column.name} has {len(texts)} of {length} rows")
        unique = dict.fromkeys(texts)
        number = {name: place for place, name in enumerate(unique)}
        return list(unique), np.array([number[name] for name in texts], np.int64)
    rows, there = reader.start(MOST_ROWS)
    codes = reader.values(column.dtype, rows).astype(np.int64)
    names = stream.names.get(column.dictionary)
    if names is None or rows != length or (there is not None and not there.all()):
        raise MalformedError(f"column {column.name} lacks names")
    if rows and (codes.min() < 0 or codes.max() >= len(names)):
        raise MalformedError(f"column {column.name} names what its dictionary has not")
    return names, codes


def _pairs(
    device: tuple[list[str], NDArray[np.int64]], channel: tuple[list[str], NDArray[np.int64]]
) -> tuple[list[str], NDArray[np.int64]]:
    """`device/channel` of every pair that occurs, and the index of each row's."""
    width = len(channel[0])
    both = device[1] * width + channel[1]
    if len(device[0]) * width <= 4 * len(both) + 100_000:
        seen = np.zeros(len(device[0]) * width, bool)
        seen[both] = True
        used = np.flatnonzero(seen)
        codes = (np.cumsum(seen) - 1)[both]
    else:
        used, codes = np.unique(both, return_inverse=True)
    names = [f"{device[0][pair // width]}/{channel[0][pair % width]}" for pair in used.tolist()]
    return names, codes.astype(np.int64)


def microseconds(raw: NDArray[np.int64], unit: int) -> NDArray[np.int64]:
    """Times in µs; what would not fit becomes a time far outside of everything."""
    factor, divisor = UNITS[unit]
    limit = _MOST_US // factor
    times: NDArray[np.int64] = np.clip(raw, -limit, limit) * factor // divisor
    return times


decode: Decoder = each(decode_one)


# -- writing ---------------------------------------------------------------------------------------------------


def encode(
    device: tuple[Sequence[str], NDArray[np.integer]],
    channel: tuple[Sequence[str], NDArray[np.integer]],
    time_us: NDArray[np.int64],
    value: NDArray[np.float64],
    quality: NDArray[np.uint16] | None = None,
) -> bytes:
    """A stream of one batch. `device` and `channel` are (names, index of each row's)."""
    text: Fields = []
    fields = [
        _field("device", UTF8, text, dictionary=0),
        _field("channel", UTF8, text, dictionary=1),
        _field("time", TIMESTAMP, [Scalar("<h", 2), "UTC"]),
        _field("value", FLOAT, [Scalar("<h", 2)]),
    ]
    columns: list[NDArray[np.generic]] = [
        device[1].astype("<i4"), channel[1].astype("<i4"), time_us.astype("<i8"), value.astype("<f8"),
    ]  # fmt: skip
    if quality is not None:
        fields.append(_field("quality", INT, [Scalar("<i", 16), Scalar("<B", 0)]))
        columns.append(quality.astype("<u2"))
    parts = [_message(SCHEMA, [Scalar("<h", 0), Vector(fields)], b"")]
    for number, names in enumerate((device[0], channel[0])):
        raw = [name.encode() for name in names]
        offsets = np.cumsum([0, *map(len, raw)], dtype="<i4")
        batch, body = _batch(len(names), [[offsets, np.frombuffer(b"".join(raw), np.uint8)]])
        parts.append(_message(DICTIONARY, [Scalar("<q", number), batch], body))
    batch, body = _batch(len(time_us), [[column] for column in columns])
    parts.append(_message(RECORDS, batch, body))
    return b"".join(parts) + CONTINUATION + bytes(4)


def _field(name: str, kind: int, type_fields: Fields, dictionary: int | None = None) -> Fields:
    encoding: Fields | None = (
        None if dictionary is None else [Scalar("<q", dictionary), [Scalar("<i", 32), Scalar("<B", 1)]]
    )
    return [name, Scalar("<B", 0), Scalar("<B", kind), type_fields, encoding, Vector([])]


def _batch(length: int, columns: Sequence[Sequence[NDArray[np.generic]]]) -> tuple[Fields, bytes]:
    """The table and the body of a record batch; no column has nulls."""
    body = bytearray()
    buffers: list[tuple[int, int]] = []
    for column in columns:
        buffers.append((len(body), 0))  # no bitmap: all values are there
        for array in column:
            buffers.append((len(body), array.nbytes))
            body += array.tobytes()
            body += bytes(-len(body) % 8)
    nodes = [(length, 0)] * len(columns)
    return [Scalar("<q", length), Pairs(nodes), Pairs(buffers)], bytes(body)


def _message(kind: int, header: Fields, body: bytes) -> bytes:
    metadata = write((Scalar("<h", VERSION_5), Scalar("<B", kind), header, Scalar("<q", len(body))))
    return CONTINUATION + struct.pack("<i", len(metadata)) + metadata + body
