"""Replaying a table of real calls: a small table in the same shape here; the real week is in docs/BENCHMARKS.md."""

from __future__ import annotations

from pathlib import Path

from app.score import sf_replay
from core.db import Database
from dispatch.led_source import connect
from tests.dispatch.world import world

HEAD = "Call Number,Unit ID,Dispatch DtTm,Response DtTm,On Scene DtTm,Available DtTm,Address,Location\n"
ROWS = [
    # a plain trip; released in the second in which the next call takes it
    "1,E1,01/01/2017 12:00:00 AM,01/01/2017 12:01:07 AM,01/01/2017 12:05:13 AM,01/01/2017 12:20:00 AM",
    "2,E1,01/01/2017 12:20:00 AM,01/01/2017 12:20:30 AM,01/01/2017 12:29:59 AM,01/01/2017 12:40:00 AM",
    # two units on one call; the second is turned back on its way
    "1,T1,01/01/2017 12:00:05 AM,01/01/2017 12:01:00 AM,,01/01/2017 12:04:00 AM",
    # diverted while under way, and the table says that it arrived there all the same
    "3,M1,01/01/2017 01:00:00 AM,01/01/2017 01:01:00 AM,01/01/2017 01:09:00 AM,01/01/2017 01:20:00 AM",
    "4,M1,01/01/2017 01:05:00 AM,01/01/2017 01:05:30 AM,01/01/2017 01:11:00 AM,01/01/2017 01:30:00 AM",
    # called, arrived and released in one second, and in that second called again
    "6,M3,01/01/2017 02:00:00 AM,01/01/2017 02:00:00 AM,01/01/2017 02:00:00 AM,01/01/2017 02:00:00 AM",
    "7,M3,01/01/2017 02:00:00 AM,01/01/2017 02:01:00 AM,01/01/2017 02:02:00 AM,01/01/2017 02:02:00 AM",
    # arrival noted before departure
    "5,M2,01/01/2017 01:00:00 AM,01/01/2017 01:03:00 AM,01/01/2017 01:02:30 AM,01/01/2017 01:30:00 AM",
]  # fmt: skip


async def test_what_dispatch_tells_of_response_times_is_the_table_to_the_second(
    tmp_path: Path, database: Database
) -> None:
    table = tmp_path / "calls.csv"
    table.write_text(HEAD + "".join(f'{row},1 MAIN ST,"(37.78, -122.42)"\n' for row in ROWS))
    async with world(database) as city, await connect(database.dsn) as connection:
        figures = await sf_replay.replay(city.actions, connection, sf_replay.read(table))
    assert figures["different"] == 0
    assert figures["assigned_twice"] == 0
    assert (figures["trips"], figures["compared"]) == (8, 6)
    assert (figures["diverted"], figures["out_of_turn"]) == (1, 3)
    assert figures["mean_s"] == figures["mean_s_table"] == (313 + 599 + 360 + 0 + 120 + 150) / 6
