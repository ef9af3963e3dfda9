"""`cityops bench store`: what the writer takes, beside the server's own COPY FROM file into the same table."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg

from app.bench.rig import Figures, Measured, Rig, Say, rig
from core.batch import Batch
from core.clock import DAY_US, SystemClock
from core.db import connect
from iot import copyrows
from iot.partitions import ReadingsTable
from iot.readings import QUERIES, Mark, Store

DEVICES = 2000
ROWS = 20_000
BATCHES = 50


def run(say: Say) -> Measured:
    say("the writer, and COPY FROM file")
    with rig(DEVICES, worker=False) as found:
        return Measured(asyncio.run(figures(found)))


async def figures(found: Rig) -> Figures:
    """Each way of storing the same batches, by turns, so that a busy machine is busy for all of them.

    rows_s      `Store.commit`: readings, batch log, counts, one transaction a batch
    copy_ratio  COPY of our records from memory, over the server's COPY of the same rows from a file
    """
    table = ReadingsTable(DAY_US / 1e6)
    clock = SystemClock()
    async with await connect(found.dsn) as connection:
        await table.prepare(connection, "off")
        store = Store(found.dsn, table, "bench")
        store.use(found.registry)
        await store.connect()
        spent = {"commit": 0.0, "ours": 0.0, "file": 0.0}
        for number, (batch, file) in enumerate(batches(found)):
            await table.ensure(connection, batch.time_us)
            began_s = clock.monotonic_s()
            async with connection.transaction(), connection.cursor(binary=True) as cursor:
                await copyrows.copy_in(cursor, QUERIES["copy_readings"], copyrows.readings(batch))
            spent["ours"] += clock.monotonic_s() - began_s
            await connection.execute(b"TRUNCATE readings")
            began_s = clock.monotonic_s()
            await server_copy(connection, file)
            spent["file"] += clock.monotonic_s() - began_s
            await connection.execute(b"TRUNCATE readings")
            began_s = clock.monotonic_s()
            await store.commit(batch, (), clock.now_us(), Mark("live", number + 1))
            spent["commit"] += clock.monotonic_s() - began_s
            await connection.execute(b"TRUNCATE readings")
        await store.close()
    rows = ROWS * BATCHES
    return {
        "rows_s": rows / spent["commit"],
        "copy_rows_s": rows / spent["ours"],
        "copy_from_file_rows_s": rows / spent["file"],
        "copy_ratio": spent["file"] / spent["ours"],
        "commit_ratio": spent["file"] / spent["commit"],
    }


async def server_copy(connection: psycopg.AsyncConnection[object], file: Path) -> None:
    statement = QUERIES["copy_readings"].replace(b"STDIN", b"'%s'" % str(file).encode())
    async with connection.transaction():
        await connection.execute(statement)


def batches(found: Rig) -> Iterator[tuple[Batch, Path]]:
    """Sorted batches, ten readings of every device each, later and later; and the same as a file for the server."""
    registry = found.registry
    rng = np.random.default_rng(1)
    numbers = np.array(sorted(registry.by_number), np.int32)
    channel = next(iter(registry.channels.values())).number
    per_device = ROWS // len(numbers)
    first_us = SystemClock().now_us() // DAY_US * DAY_US
    file = found.folder / "rows.bin"
    for turn in range(BATCHES):
        device = np.repeat(numbers, per_device)
        time_us = first_us + (turn * per_device + np.tile(np.arange(per_device), len(numbers))) * 1_000_000
        value = rng.normal(0.3, 0.01, len(device))
        batch = Batch(
            device, np.full(len(device), channel, np.int16), time_us, time_us, value,
            np.zeros(len(device), np.uint16), np.ones(len(device), np.int32),
        )  # fmt: skip
        records = copyrows.readings(batch)
        file.write_bytes(copyrows.HEADER + records.tobytes() + copyrows.TRAILER)
        file.chmod(0o644)
        yield batch, file
