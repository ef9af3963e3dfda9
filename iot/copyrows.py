"""Columns → the bytes of COPY … BINARY, as one packed big-endian record array (measured: the server's own limit)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import AsyncConnection, AsyncCursor

from core.batch import Batch

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
SMALL = 2000
#: PostgreSQL counts microseconds from 2000-01-01.
POSTGRES_EPOCH_US = 946_684_800_000_000


def record_type(*columns: tuple[str, str]) -> np.dtype[np.void]:
    """The record of a table with these columns: field count, then length and value of each, big-endian."""
    parts: list[tuple[str, str]] = [("_fields", ">i2")]
    for name, kind in columns:
        parts += [(f"_{name}", ">i4"), (name, kind)]
    return np.dtype(parts)


READING = record_type(
    ("device", ">i4"), ("channel", ">i2"), ("time", ">i8"), ("received", ">i8"),
    ("value", ">f8"), ("quality", ">i2"), ("gateway", ">i4"),
)  # fmt: skip
HOUR = record_type(
    ("device", ">i4"), ("channel", ">i2"), ("bucket", ">i8"),
    ("n", ">i4"), ("total", ">f8"), ("low", ">f8"), ("high", ">f8"),
)  # fmt: skip


def blank(kind: np.dtype[np.void], n: int) -> NDArray[np.void]:
    """Records with their counts and lengths filled in; the caller fills the values."""
    records = np.empty(n, kind)
    names = kind.names or ()
    records["_fields"] = len(names) // 2
    for name in names[1::2]:
        records[name] = kind[name[1:]].itemsize
    return records


async def copy_in(cursor: AsyncCursor[Any], query: bytes, records: NDArray[np.void]) -> None:
    """COPY records into what the query names, inside the caller's transaction."""
    async with cursor.copy(query) as copy:
        if len(records) < SMALL:  # each write is a wait of its own, which costs more than a copy of so little
            await copy.write(HEADER + records.tobytes() + TRAILER)
            return
        await copy.write(HEADER)
        await copy.write(records.view(np.uint8).data)
        await copy.write(TRAILER)


async def copy_out(connection: AsyncConnection[Any], query: bytes) -> Batch:
    """What a COPY … TO STDOUT (FORMAT BINARY) of the seven columns of readings gives, none of them NULL."""
    data = bytearray()
    async with connection.cursor() as cursor, cursor.copy(query) as copy:
        async for part in copy:
            data += part
    rows = np.frombuffer(
        data, READING, (len(data) - len(HEADER) - len(TRAILER)) // READING.itemsize, len(HEADER)
    )
    return Batch(
        rows["device"].astype(np.int32),
        rows["channel"].astype(np.int16),
        rows["time"].astype(np.int64) + POSTGRES_EPOCH_US,
        rows["received"].astype(np.int64) + POSTGRES_EPOCH_US,
        rows["value"].astype(np.float64),
        rows["quality"].astype(np.uint16),
        rows["gateway"].astype(np.int32),
    )


def readings(batch: Batch) -> NDArray[np.void]:
    """COPY records of readings, in the batch's order (sort it first: a sorted batch costs the index less)."""
    records = blank(READING, len(batch))
    records["device"] = batch.device
    records["channel"] = batch.channel
    records["time"] = batch.time_us - POSTGRES_EPOCH_US
    records["received"] = batch.received_us - POSTGRES_EPOCH_US
    records["value"] = batch.value
    records["quality"] = batch.quality
    records["gateway"] = batch.gateway
    return records
