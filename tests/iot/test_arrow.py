"""Arrow IPC: what we write others read, what others write we read, and broken streams are refused, never fatal."""

from __future__ import annotations

import io

import arro3.io
import numpy as np
import pytest
from arro3.core import Array, DataType, RecordBatch, Table
from hypothesis import given
from hypothesis import strategies as st

from core.batch import Quality
from iot.codecs import arrow
from iot.codecs.frame import Block
from tests.iot.frames import read, why
from tests.iot.sample import NOW_US


def ours(n: int = 3, *, quality: bool = True) -> bytes:
    return arrow.encode(
        (["d0", "d1", "表"], np.arange(n) % 3),
        (["temp", "pressure"], np.arange(n) % 2),
        NOW_US + np.arange(n) * 1000,
        np.arange(n).astype(np.float64) / 2,
        np.full(n, int(Quality.MAINTENANCE | Quality.SPIKE), np.uint16) if quality else None,
    )


def theirs(**changes: Array) -> bytes:
    """The contract's columns as another library writes them."""
    text, wide = DataType.utf8(), DataType.dictionary(DataType.int8(), DataType.utf8())
    columns = {
        "device": Array(["a", "b", "a"], text).cast(wide),
        "channel": Array(["x", "x", "y"], text).cast(DataType.dictionary(DataType.uint16(), text)),
        "time": Array([1, 2, 3], DataType.int64()).cast(DataType.timestamp("ms", tz="UTC")),
        "value": Array([1.5, 2.5, 3.5], DataType.float64()),
    } | changes
    batch = RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    out = io.BytesIO()
    arro3.io.write_ipc_stream(Table.from_batches([batch]), out, compression=None)
    return out.getvalue()


def block_of(payload: bytes) -> Block:
    columns = read(arrow.decode, payload)
    assert not columns.refused, columns.refused
    [block] = columns.blocks
    return block


def named(block: Block) -> list[str]:
    return [block.names[code] for code in block.codes.tolist()]


def test_another_library_reads_what_we_write() -> None:
    [batch] = arro3.io.read_ipc_stream(io.BytesIO(ours()))
    assert batch.schema.names == ["device", "channel", "time", "value", "quality"]
    assert batch.column("device").to_pylist() == ["d0", "d1", "表"]
    assert batch.column("channel").to_pylist() == ["temp", "pressure", "temp"]
    assert batch.column("value").to_pylist() == [0.0, 0.5, 1.0]
    assert [round(t.timestamp() * 1e6) for t in batch.column("time").to_pylist()] == [
        NOW_US,
        NOW_US + 1000,
        NOW_US + 2000,
    ]


def test_what_we_write_we_read() -> None:
    block = block_of(ours(100))
    assert named(block)[:4] == ["d0/temp", "d1/pressure", "表/temp", "d0/pressure"]
    assert block.time_us.tolist() == [NOW_US + n * 1000 for n in range(100)]
    assert block.value.tolist() == [n * 0.5 for n in range(100)]
    assert set(block.quality.tolist()) == {int(Quality.MAINTENANCE)}  # spikes are ours to find
    assert set(block_of(ours(5, quality=False)).quality.tolist()) == {0}


def test_what_another_library_writes_we_read() -> None:
    block = block_of(theirs())
    assert named(block) == ["a/x", "b/x", "a/y"]
    assert block.time_us.tolist() == [1000, 2000, 3000]
    assert block.value.tolist() == [1.5, 2.5, 3.5]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("device", Array(["a", "b", "a"], DataType.utf8())),
        ("value", Array([1, 2, 3], DataType.int32())),
        ("value", Array([1.0, 2.0, 3.0], DataType.float32())),
        ("time", Array([1, 2, 3], DataType.int64()).cast(DataType.timestamp("s", tz="UTC"))),
        ("quality", Array([0, 0, 0], DataType.uint16())),
    ],
)
def test_other_types_of_the_same_meaning_are_read(column: str, values: Array) -> None:
    assert len(block_of(theirs(**{column: values})).codes) == 3


def test_a_value_that_is_null_is_not_a_number() -> None:
    block = block_of(theirs(value=Array([1.0, None, 3.0], DataType.float64())))
    assert np.isnan(block.value).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("time", Array([1, 2, 3], DataType.int64())),
        ("time", Array([1, None, 3], DataType.int64()).cast(DataType.timestamp("us", tz="UTC"))),
        ("device", Array([1, 2, 3], DataType.int64())),
        ("value", Array(["1", "2", "3"], DataType.utf8())),
        ("device", Array(["a", None, "a"], DataType.utf8())),
    ],
)
def test_other_meanings_are_refused_whole(column: str, values: Array) -> None:
    assert why(read(arrow.decode, theirs(**{column: values}))) == [(0, 0, "malformed")]


def test_a_compressed_stream_is_refused_with_its_reason() -> None:
    batch = RecordBatch.from_arrays([Array(["a"] * 1000, DataType.utf8())], names=["device"])
    out = io.BytesIO()
    arro3.io.write_ipc_stream(Table.from_batches([batch]), out, compression="LZ4")
    [refusal] = read(arrow.decode, out.getvalue()).refused
    assert "compressed" in refusal.detail


def test_absurd_times_do_not_overflow() -> None:
    times = Array([2**62, -(2**62), 5], DataType.int64()).cast(DataType.timestamp("s", tz="UTC"))
    block = block_of(theirs(time=times))
    assert abs(block.time_us[0]) < 2**60
    assert block.time_us[2] == 5_000_000


@given(st.data())
def test_a_broken_stream_is_refused_and_nothing_else_happens(data: st.DataObject) -> None:
    whole = bytearray(theirs() if data.draw(st.booleans()) else ours())
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    columns = read(arrow.decode, bytes(whole[: data.draw(st.integers(0, len(whole)))]), ours())
    assert columns.blocks[-1].frame == 1
    for block in columns.blocks:
        assert len(block.codes) == len(block.time_us) == len(block.value) == len(block.quality)
        assert not len(block.codes) or block.codes.max() < len(block.names)
