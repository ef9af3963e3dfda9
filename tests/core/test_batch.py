"""The batch: the same after a trip through bytes, read-only, and strict about its columns."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.batch import PACKED, Batch, Quality

COLUMNS = [column.name for column in fields(Batch)]
NUMBERS = st.integers(0, 2**31 - 1)
TIMES = st.integers(0, 4_102_444_800_000_000)  # to the year 2100
ROWS = st.tuples(
    NUMBERS,
    st.integers(0, 2**15 - 1),
    TIMES,
    TIMES,
    st.floats(allow_nan=False),
    st.integers(0, 2**14 - 1),
    NUMBERS,
)


@st.composite
def batches(draw: st.DrawFn, rows: st.SearchStrategy[tuple[float, ...]] = ROWS) -> Batch:
    records = np.array(draw(st.lists(rows, max_size=20)), PACKED)
    return Batch(*(np.array(records[name]) for name in COLUMNS))


def same(one: Batch, other: Batch) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)


@given(batches())
def test_a_batch_survives_bytes(batch: Batch) -> None:
    data = batch.to_bytes()
    assert len(data) == len(batch) * PACKED.itemsize
    assert same(Batch.from_bytes(data), batch)
    assert same(Batch.from_bytes(memoryview(data)), batch)


@given(batches())
def test_no_column_of_a_batch_can_be_written(batch: Batch) -> None:
    for made in (batch, Batch.from_bytes(batch.to_bytes()), batch.take(batch.order()), Batch.concat([batch])):
        for name in COLUMNS:
            with pytest.raises(ValueError, match="read-only"):
                getattr(made, name)[...] = 0


def test_a_batch_does_not_change_with_the_buffer_it_came_from() -> None:
    buffer = bytearray(Batch.of(device=1, channel=1, time_us=5, value=2.5).to_bytes())
    batch = Batch.from_bytes(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert batch.value.tolist() == [2.5]


def test_half_a_record_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple"):
        Batch.from_bytes(b"\0" * (PACKED.itemsize + 1))


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_another_type_is_refused(name: str) -> None:
    columns = {column: np.zeros(2, PACKED[column]) for column in COLUMNS}
    columns[name] = np.zeros(2, np.float32)
    with pytest.raises(TypeError, match=f"{name} is float32"):
        Batch(**columns)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_of_another_length_is_refused(name: str) -> None:
    columns = {column: np.zeros(2, PACKED[column]) for column in COLUMNS}
    columns[name] = np.zeros(3, PACKED[name])
    with pytest.raises(ValueError, match="unequal length"):
        Batch(**columns)


FEW = st.tuples(
    st.integers(0, 2), st.integers(0, 2), st.integers(0, 3), TIMES, st.floats(-9, 9), st.just(0), st.just(0)
)


@given(batches(FEW))
def test_order_sorts_by_device_channel_and_time_and_keeps_equal_keys_in_place(batch: Batch) -> None:
    keys = [*zip(batch.device.tolist(), batch.channel.tolist(), batch.time_us.tolist(), strict=True)]
    assert batch.order().tolist() == sorted(range(len(batch)), key=keys.__getitem__)


@given(batches(), st.data())
def test_take_gives_the_rows_of_an_index_or_of_a_mask(batch: Batch, data: st.DataObject) -> None:
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(batch), max_size=len(batch))), bool)
    rows = np.flatnonzero(mask)
    assert same(batch.take(mask), batch.take(rows))
    assert batch.take(rows[::-1]).packed().tolist() == batch.packed()[rows[::-1]].tolist()


@given(batches(), batches())
def test_concat_puts_batches_one_after_the_other(one: Batch, other: Batch) -> None:
    assert Batch.concat([one, other]).to_bytes() == one.to_bytes() + other.to_bytes()


def test_of_spreads_scalars_and_takes_the_event_time_as_receipt() -> None:
    batch = Batch.of(device=7, channel=2, time_us=[10, 20], value=[1, 2])
    assert batch.device.tolist() == [7, 7]
    assert batch.received_us.tolist() == [10, 20]
    assert batch.quality.tolist() == [0, 0]
    assert len(Batch.empty()) == len(Batch.concat([])) == 0


def test_a_reading_of_the_future_takes_part_when_it_was_received() -> None:
    batch = Batch.of(
        device=1,
        channel=1,
        time_us=[900, 10],
        received_us=[50, 50],
        value=0,
        quality=[Quality.FUTURE, Quality.LATE],
    )
    assert batch.ordered_us.tolist() == [50, 10]
