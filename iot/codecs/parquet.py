"""Parquet files of history → an Arrow stream of `iot.codecs.arrow`, whatever width or encoding they were written with.

The library under it ends the process on some broken files. Files of strangers go through `ingest.parquet_source`,
which reads them in a process of their own.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from iot.codecs.frame import MalformedError

if TYPE_CHECKING:
    from arro3.core import DataType, RecordBatch, Table


def as_stream(payload: bytes) -> bytes:
    """All readings as one Arrow stream. Raises `MalformedError`, or worse: see above."""
    from arro3.core import Table

    batches = list(batches_of(payload))
    if not batches:
        raise MalformedError("no rows")
    return written(Table.from_batches(batches))


def streams(payload: bytes, rows: int) -> Iterator[bytes]:
    """The readings as Arrow streams of at most so many rows. Raises as `as_stream` does."""
    from arro3.core import Table

    for batch in batches_of(payload, rows):
        yield written(Table.from_batches([batch]))


def batches_of(payload: bytes, rows: int | None = None) -> Iterator[RecordBatch]:
    """Parts of the file with the types of the contract. A time without a zone is UTC."""
    from arro3.core import RecordBatch
    from arro3.io import read_parquet

    for part in read_parquet(io.BytesIO(payload), batch_size=rows):
        yield as_contract(RecordBatch.from_arrow(part))


def written(table: Table) -> bytes:
    from arro3.io import write_ipc_stream

    out = io.BytesIO()
    write_ipc_stream(table, out, compression=None)
    return out.getvalue()


def as_contract(batch: RecordBatch) -> RecordBatch:
    """The named columns, cast to the types of the contract; what else stands in the file is nobody's business."""
    from arro3.core import RecordBatch

    kinds = contract()
    missing = {"device", "channel", "time", "value"} - set(batch.schema.names)
    if missing:
        raise MalformedError(f"no column {', '.join(sorted(missing))}")
    wanted = [name for name in batch.schema.names if name in kinds]
    return RecordBatch.from_arrays([batch.column(name).cast(kinds[name]) for name in wanted], names=wanted)


def contract() -> Mapping[str, DataType]:
    from arro3.core import DataType

    return {
        "device": DataType.utf8(), "channel": DataType.utf8(), "time": DataType.timestamp("us", tz="UTC"),
        "value": DataType.float64(), "quality": DataType.uint16(),
    }  # fmt: skip
