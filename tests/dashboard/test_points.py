"""Frames of points: what a browser reads is what was stored, newest wins, only changes travel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.batch import Batch, Quality
from core.clock import SECOND_US
from dashboard.points import DELTA, SILENT, SNAPSHOT, PointTable, read_frame
from tests.dashboard import scripted


@pytest.fixture
def table() -> PointTable:
    return PointTable(scripted.registry(20))


def said(device: int, second: int, value: float, quality: int = 0) -> Batch:
    return Batch.of(device=[device], channel=1, time_us=second * SECOND_US, value=value, quality=quality)


def test_a_frame_says_what_was_read(table: PointTable) -> None:
    table.add(said(3, 10, 1.25, Quality.LATE))
    frame = read_frame(table.frame(SNAPSHOT, 7, table.latest.known(), 12 * SECOND_US))
    assert (frame.kind, frame.seq, frame.at_ms) == (SNAPSHOT, 7, 12_000.0)
    assert frame.device.tolist() == [3]
    assert frame.channel.tolist() == [1]
    assert frame.value.tolist() == [1.25]
    assert frame.time_ms.tolist() == [10_000.0]
    assert frame.quality.tolist() == [Quality.LATE]


def test_every_column_begins_where_a_browser_can_read_it(table: PointTable) -> None:
    for device in range(1, 8):
        table.add(said(device, 10, 1.0))
    rows = table.latest.known()
    data = table.frame(SNAPSHOT, 1, rows, 0)
    at = 24
    for width in (8, 8, 4, 2, 2, 1):
        assert at % width == 0
        at += width * len(rows)
    assert at == len(data)


def test_an_older_reading_does_not_replace_a_newer_one(table: PointTable) -> None:
    table.add(said(3, 10, 1.0))
    table.add(said(3, 9, 2.0))
    assert table.columns(table.registry.point(np.array([3]), np.array([1])))[1].tolist() == [1.0]


def test_only_what_changed_is_taken_and_only_once(table: PointTable) -> None:
    table.add(said(3, 10, 1.0))
    table.add(said(4, 10, 1.0))
    assert len(table.take()) == 2
    assert len(table.take()) == 0
    table.add(said(4, 11, 1.0))
    assert table.registry.device_of[table.take()].tolist() == [4]


def test_a_changed_level_is_news_though_no_reading_came(table: PointTable) -> None:
    table.add(said(3, 10, 1.0))
    table.take()
    table.set_levels({3: 2})
    frame = read_frame(table.frame(DELTA, 1, table.take(), 0))
    assert (frame.device.tolist(), frame.level.tolist()) == ([3], [2])
    table.set_levels({}, np.array([3], np.int32))
    assert read_frame(table.frame(DELTA, 2, table.take(), 0)).level.tolist() == [SILENT]


def test_points_keep_their_rows_when_the_registry_grows(table: PointTable) -> None:
    table.add(said(3, 10, 1.5))
    table.use(scripted.registry(40))
    assert table.columns(table.registry.point(np.array([3]), np.array([1])))[1].tolist() == [1.5]


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="not a frame"):
        read_frame(bytes(64))


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(0, 50), st.floats(-1e6, 1e6)), max_size=60))
def test_the_table_holds_the_newest_of_each_point_however_readings_come(
    readings: list[tuple[int, int, float]],
) -> None:
    table = PointTable(scripted.registry(20))
    newest: dict[int, tuple[int, float]] = {}
    for chunk in (readings[:20], readings[20:]):
        if chunk:
            device, second, value = zip(*chunk, strict=True)
            table.add(Batch.of(device=device, channel=1, time_us=np.array(second) * SECOND_US, value=value))
        for one, at, number in chunk:
            if at >= newest.get(one, (-1, 0.0))[0]:
                newest[one] = (at, number)
    frame = read_frame(table.frame(SNAPSHOT, 0, table.latest.known(), 0))
    held = {
        int(d): (int(t // 1000), float(v))
        for d, t, v in zip(frame.device, frame.time_ms, frame.value, strict=True)
    }
    assert held == newest
