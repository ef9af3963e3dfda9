"""Vital signs at rest: the row of each, its history in quarters of an hour, what is usual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from core import changes
from core.changes import Change
from core.clock import to_datetime
from core.db import Database, DictConnection
from core.sql import Queries
from dashboard.vitals.evaluate import Reading
from dashboard.vitals.usual import Usual
from dashboard.vitals.window import QUARTER_US

QUERIES = Queries.of(str(Path(__file__).parent))
TOPIC = "vitals"
Slot = tuple[str, int]
Usuals = Mapping[str, Mapping[Slot, Usual]]


@dataclass(frozen=True, slots=True)
class History:
    """Rows of one vital in order: begin of the quarter µs, mean, highest and last value."""

    at_us: NDArray[np.int64]
    value: NDArray[np.float64]
    high: NDArray[np.float64]


async def put(database: Database, readings: Iterable[tuple[Reading, dict[str, object]]], now_us: int) -> None:
    """Store what the vitals are now, and their history, as one piece of news."""
    rows = list(readings)
    async with database.transaction() as connection:
        async with connection.cursor() as cursor:
            await cursor.executemany(QUERIES["put_vital"], [_row(*each, now_us) for each in rows])
            await cursor.executemany(
                QUERIES["add_history"], [_quarter(each, now_us) for each, _ in rows if each.state == "ok"]
            )
        await changes.append(connection, [Change(TOPIC, "now")], now_us)


def _row(reading: Reading, detail: dict[str, object], now_us: int) -> dict[str, Any]:
    return {
        "key": reading.key,
        "at": to_datetime(now_us),
        "as_of": None if reading.as_of_us is None else to_datetime(reading.as_of_us),
        "value": reading.value,
        "level": reading.level,
        "state": reading.state,
        "n": reading.coverage[0],
        "total": reading.coverage[1],
        "confidence": reading.confidence,
        "detail": Jsonb(detail),
    }


def _quarter(reading: Reading, now_us: int) -> dict[str, Any]:
    at = to_datetime(now_us // QUARTER_US * QUARTER_US)
    return {"key": reading.key, "at": at, "value": reading.value, "level": reading.level}


async def fill(database: Database, key: str, at_us: Iterable[int], values: Iterable[float]) -> None:
    """Add recomputed quarters where there are none."""
    rows = [
        {"key": key, "at": to_datetime(moment), "value": value}
        for moment, value in zip(at_us, values, strict=True)
    ]
    async with database.transaction() as connection, connection.cursor() as cursor:
        await cursor.executemany(QUERIES["fill_history"], rows)


async def ends(database: Database) -> dict[str, int]:
    """Begin of the newest quarter of every vital that has history, µs."""
    return {row["key"]: row["at_us"] for row in await database.fetch(QUERIES["history_ends"])}


async def history(database: Database, from_us: int, to_us: int) -> dict[str, History]:
    """The history of all vitals between two times."""
    rows = await database.fetch(
        QUERIES["history_of_all"], **{"from": to_datetime(from_us), "to": to_datetime(to_us)}
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["key"], []).append(row)
    return {
        key: History(
            np.array([row["at_us"] for row in each], np.int64),
            np.array([row["value"] for row in each]),
            np.array([row["high"] for row in each]),
        )
        for key, each in found.items()
    }


async def rows(connection: DictConnection) -> list[dict[str, Any]]:
    return await (await connection.execute(QUERIES["all_vitals"])).fetchall()


async def forget(database: Database, keys: list[str], before_us: int) -> None:
    """Drop the rows of vitals that are declared no more, and history that is too old."""
    await database.execute(QUERIES["drop_vitals"], keys=keys)
    await database.execute(QUERIES["prune_history"], before=to_datetime(before_us))


async def put_usual(database: Database, usuals: Usuals) -> None:
    async with database.transaction() as connection, connection.cursor() as cursor:
        await cursor.executemany(
            QUERIES["put_usual"],
            [
                {
                    "key": key, "day_type": day_type, "hour": hour, "median": usual.median, "mad": usual.mad,
                    "days": usual.days,
                }
                for key, slots in usuals.items()
                for (day_type, hour), usual in slots.items()
            ],
        )  # fmt: skip


async def usual(database: Database) -> dict[str, dict[Slot, Usual]]:
    """What is usual, by vital and (type of day, hour)."""
    found: dict[str, dict[Slot, Usual]] = {}
    for row in await database.fetch(QUERIES["all_usual"]):
        slot = (row["day_type"], row["hour"])
        found.setdefault(row["key"], {})[slot] = Usual(row["median"], row["mad"], row["days"])
    return found
