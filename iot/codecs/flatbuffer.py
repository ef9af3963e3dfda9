"""The little of FlatBuffers that Arrow's metadata needs, read and written in plain Python.

Compiled readers trust their input: fuzzed frames ended the whole process in two libraries that were tried
(ADR 0022). Here every access is a bounded read, so the worst that a frame can do is be refused.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from iot.codecs.frame import MalformedError


class Table:
    """A table in a buffer. Fields are asked for by their index in the schema; absent ones have their default."""

    __slots__ = ("_at", "_data", "_slots")

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        vtable = at - unpack("<i", data, at)
        size = unpack("<H", data, vtable)
        count = (size - 4) // 2
        if size < 4 or count > 64 or vtable < 0 or vtable + size > len(data):
            raise MalformedError("Arrow metadata is broken")
        self._slots = struct.unpack_from(f"<{count}H", data, vtable + 4)

    @classmethod
    def root(cls, data: bytes) -> Table:
        return cls(data, unpack("<I", data, 0))

    def _slot(self, index: int) -> int:
        """Where a field's value stands; 0 = absent."""
        offset = self._slots[index] if index < len(self._slots) else 0
        return self._at + offset if offset else 0

    def number(self, index: int, form: str, default: int = 0) -> int:
        at = self._slot(index)
        return unpack(form, self._data, at) if at else default

    def table(self, index: int) -> Table | None:
        at = self._follow(index)
        return Table(self._data, at) if at else None

    def text(self, index: int) -> str:
        at = self._follow(index)
        if not at:
            return ""
        length = unpack("<I", self._data, at)
        raw = self._data[at + 4 : at + 4 + length]
        if len(raw) != length:
            raise MalformedError("Arrow metadata ends early")
        return raw.decode("utf-8", "replace")

    def tables(self, index: int, most: int = 1000) -> list[Table]:
        """A vector of tables."""
        at, count = self._vector(index, most)
        places = [at + 4 * n for n in range(count)]
        return [Table(self._data, place + unpack("<I", self._data, place)) for place in places]

    def pairs(self, index: int, most: int = 1000) -> list[tuple[int, int]]:
        """A vector of structs of two 64-bit integers."""
        at, count = self._vector(index, most)
        if at + 16 * count > len(self._data):
            raise MalformedError("Arrow metadata ends early")
        return [struct.unpack_from("<qq", self._data, at + 16 * n) for n in range(count)]

    def _follow(self, index: int) -> int:
        at = self._slot(index)
        return at + unpack("<I", self._data, at) if at else 0

    def _vector(self, index: int, most: int) -> tuple[int, int]:
        at = self._follow(index)
        if not at:
            return 0, 0
        count = unpack("<I", self._data, at)
        if count > most:
            raise MalformedError("Arrow metadata is too large")
        return at + 4, count


def unpack(form: str, data: bytes, at: int) -> int:
    """One number. Raises `MalformedError` outside the buffer."""
    if at < 0 or at + struct.calcsize(form) > len(data):
        raise MalformedError("Arrow metadata ends early")
    value: int = struct.unpack_from(form, data, at)[0]
    return value


# -- writing ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scalar:
    form: str
    value: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """A vector of structs of two 64-bit integers."""

    values: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector of tables."""

    tables: Sequence[Fields]


#: A table is the list of its fields; None = absent.
Fields: TypeAlias = Sequence["Scalar | Pairs | Vector | str | Fields | None"]
Node: TypeAlias = "Scalar | Pairs | Vector | str | Fields"


def write(root: Fields) -> bytes:
    """A buffer with this table, padded to eight bytes."""
    out = bytearray(4)
    at = _table(out, root)
    struct.pack_into("<I", out, 0, at)
    _pad(out, 8)
    return bytes(out)


def _pad(out: bytearray, to: int) -> None:
    out += bytes(-len(out) % to)


def _table(out: bytearray, fields: Fields) -> int:
    """Append a table and what hangs on it; where it stands. Children follow their parents."""
    sizes = [struct.calcsize(field.form) if isinstance(field, Scalar) else 4 for field in fields]
    offsets: list[int] = []
    end = 4
    for field, size in zip(fields, sizes, strict=True):
        end += -end % size if field is not None else 0
        offsets.append(end if field is not None else 0)
        end += size if field is not None else 0
    _pad(out, 2)
    vtable = len(out)
    out += struct.pack(f"<{2 + len(fields)}H", 4 + 2 * len(fields), end, *offsets)
    _pad(out, 8)
    at = len(out)
    out += bytes(end)
    struct.pack_into("<i", out, at, at - vtable)
    for field, offset in zip(fields, offsets, strict=True):
        if isinstance(field, Scalar):
            struct.pack_into(field.form, out, at + offset, field.value)
        elif field is not None:
            place = _child(out, field)
            struct.pack_into("<I", out, at + offset, place - (at + offset))
    return at


def _child(out: bytearray, node: Node) -> int:
    if isinstance(node, str):
        _pad(out, 4)
        at = len(out)
        raw = node.encode()
        out += struct.pack("<I", len(raw)) + raw + b"\0"
        return at
    if isinstance(node, Pairs):
        out += bytes((4 - len(out)) % 8)  # the structs after the count are aligned to eight
        at = len(out)
        out += struct.pack("<I", len(node.values))
        for pair in node.values:
            out += struct.pack("<qq", *pair)
        return at
    if isinstance(node, Vector):
        _pad(out, 4)
        at = len(out)
        out += struct.pack("<I", len(node.tables)) + bytes(4 * len(node.tables))
        for number, fields in enumerate(node.tables):
            place = at + 4 + 4 * number
            struct.pack_into("<I", out, place, _table(out, fields) - place)
        return at
    assert not isinstance(node, Scalar)
    return _table(out, node)
