"""Parquet files of history → an Arrow stream of `iot.codecs.arrow`, whatever width or encoding they were written with.

The library under it ends the process on some broken files. Files of strangers go through `ingest.parquet_source`,
which reads them in a process of their own.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from iot.codecs.frame import MalformedError

if TYPE_CHECKING:
    from arro3.core import DataType, RecordBatch


def as_stream(payload: bytes) -> bytes:
    """The readings as one Arrow stream. A time without a zone is UTC. Raises `MalformedError`, or worse: see above."""
    from arro3.core import RecordBatch, Table
    from arro3.io import read_parquet, write_ipc_stream

    batches = [as_contract(RecordBatch.from_arrow(part)) for part in read_parquet(io.BytesIO(payload))]
    if not batches:
        raise MalformedError("no rows")
    out = io.BytesIO()
    write_ipc_stream(Table.from_batches(batches), out, compression=None)
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
