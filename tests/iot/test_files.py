"""Files of history: CSV as spreadsheets write it, Parquet as data tools write it."""

from __future__ import annotations

import io
import math

import arro3.io
import pytest
from arro3.core import Array, DataType, RecordBatch, Table

from core.clock import SECOND_US
from ingest.parquet_source import unpacked
from iot.codecs import arrow, table
from iot.codecs.frame import MalformedError
from tests.iot.frames import read, rows, why
from tests.iot.sample import NOW_US

NOW_S = NOW_US // SECOND_US
CSV = """\
time,device,channel,value,unit,quality,备注
2026-02-01T00:00:00Z,d0,temp,8.5,Cel,0,first
2026-02-01 08:00:01,d0,temp,9,,2048,
1769904002,d0,valve,open,,,
"""


def written(
    kinds: tuple[DataType, DataType] = (DataType.utf8(), DataType.timestamp("us", tz="UTC")),
) -> bytes:
    text, time = kinds
    moments = Array([NOW_US, NOW_US + SECOND_US], type=DataType.int64())
    batch = RecordBatch.from_arrays(
        [
            Array(["d0", "d2"], type=DataType.utf8()).cast(text),
            Array(["temp", "temp"], type=DataType.utf8()).cast(text),
            moments.cast(DataType.timestamp("us", tz="UTC")).cast(time),
            Array([8, 9], type=DataType.int32()),
            Array(["x", "y"], type=DataType.utf8()),
        ],
        names=["device", "channel", "time", "value", "note"],
    )
    out = io.BytesIO()
    arro3.io.write_parquet(Table.from_batches([batch]), out)
    return out.getvalue()


def test_csv_is_read_by_the_names_of_its_columns() -> None:
    found = read(table.decode, CSV.encode())
    assert rows(found) == [
        ("d0/temp", NOW_S, 8.5),
        ("d0/temp", NOW_S + 1, 9.0),
        ("d0/valve", NOW_S + 2, "open"),
    ]
    assert found.units == ["Cel", "", ""]
    assert found.marks == {1: 2048}


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_spreadsheets_of_any_country_are_read(separator: str, encoding: str) -> None:
    assert rows(read(table.decode, CSV.replace(",", separator).encode(encoding))) == rows(
        read(table.decode, CSV.encode())
    )


def test_a_bad_row_is_refused_by_its_number_and_its_neighbours_are_kept() -> None:
    lines = [
        "device,channel,time,value",
        "d0,temp,yesterday,1",
        "d0,temp,1769904000,",
        "d0,temp,1769904000,8",
    ]
    found = read(table.decode, "\n".join(lines).encode())
    assert why(found) == [(0, 0, "bad_time"), (0, 1, "no_value")]
    assert rows(found) == [("d0/temp", NOW_S, 8.0)]


@pytest.mark.parametrize("raw", ["nan", "inf", "-inf"])
def test_what_is_no_number_stays_one_that_the_assembler_refuses(raw: str) -> None:
    found = read(table.decode, f"device,channel,time,value\nd0,temp,1769904000,{raw}\n".encode())
    assert not math.isfinite(found.values[0])


@pytest.mark.parametrize(
    "payload", [b"", b"device,value\n", b"\xff\xfe\x00", b"PAR1", b"device;channel;time\n1;2;3"]
)
def test_what_is_no_table_is_refused_whole(payload: bytes) -> None:
    assert why(read(table.decode, payload)) == [(0, 0, "malformed")]


KINDS = [
    (DataType.utf8(), DataType.timestamp("us", tz="UTC")),
    (DataType.large_utf8(), DataType.timestamp("ms", tz="UTC")),
    (DataType.utf8(), DataType.timestamp("ns")),
]


@pytest.mark.parametrize("kinds", KINDS)
async def test_parquet_of_any_width_is_read(kinds: tuple[DataType, DataType]) -> None:
    found = read(arrow.decode, await unpacked(written(kinds)))
    assert why(found) == []
    [block] = found.blocks
    names = [block.names[code] for code in block.codes.tolist()]
    assert [*zip(names, block.time_us.tolist(), block.value.tolist(), strict=True)] == [
        ("d0/temp", NOW_US, 8.0), ("d2/temp", NOW_US + SECOND_US, 9.0),
    ]  # fmt: skip


@pytest.mark.parametrize("payload", [b"", b"PAR1" * 10, written()[:-20]])
async def test_a_broken_parquet_ends_its_reader_and_nobody_else(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        await unpacked(payload)


async def test_a_parquet_without_our_columns_says_which() -> None:
    out = io.BytesIO()
    batch = RecordBatch.from_arrays([Array([1], type=DataType.int32())], names=["value"])
    arro3.io.write_parquet(Table.from_batches([batch]), out)
    with pytest.raises(MalformedError, match="channel, device, time"):
        await unpacked(out.getvalue())
