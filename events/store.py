"""Rows of alerts, incidents, reports and the engine's own state. Callers hold the transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from core.clock import to_datetime, to_us
from core.http import to_json
from core.sql import Queries
from events import alarm, incident
from events.alarm import Alarm, Line
from events.engine import Row, Snapshot
from events.incident import Life

QUERIES = Queries.of(__file__)
Any_ = AsyncConnection[Any]


async def rows(connection: Any_, query: str, **params: object) -> list[Row]:
    """Rows of a named query as dicts, whatever rows the connection makes."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(QUERIES[query], params)
        return await cursor.fetchall() if cursor.description else []


async def one(connection: Any_, query: str, **params: object) -> Row | None:
    found = await rows(connection, query, **params)
    return found[0] if found else None


def records(values: Sequence[Mapping[str, object]]) -> str:
    """Rows as one JSON parameter: a statement a table, however many rows (times keep their microseconds)."""
    return to_json([{name: _plain(value) for name, value in row.items()} for row in values]).decode()


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def moment(time_us: int | None) -> datetime | None:
    return None if time_us is None else to_datetime(time_us)


# -- alerts --------------------------------------------------------------------------------------------------


def alarm_of(row: Row) -> Alarm:
    return Alarm(alarm.State(row["state"]), row["standing"], row["asks"])


def after(row: Row, changed: Alarm, line: Line) -> Row:
    """The row of an alert after an action."""
    row = {**row, "state": changed.state.value, "standing": changed.standing}
    if line.action == alarm.Action.ACKNOWLEDGE and row["acknowledged_at"] is None:
        row |= {"acknowledged_at": to_datetime(line.at_us), "acknowledged_by": line.actor}
    if changed.state not in alarm.ASIDE:
        row["aside"] = None
    return row


async def insert_alerts(connection: Any_, new: Sequence[Row], now_us: int) -> set[str]:
    """Store new alerts; the ids that were not there before."""
    if not new:
        return set()
    found = await rows(connection, "insert_alerts", rows=records(new), now=to_datetime(now_us))
    return {row["id"] for row in found}


_CHANGEABLE = (
    "id", "state", "standing", "withdrawn", "onset", "returned_at", "acknowledged_at", "acknowledged_by", "peak",
    "incident", "aside",
)  # fmt: skip


async def update_alerts(connection: Any_, changed: Iterable[Row], now_us: int) -> None:
    values = [{name: row[name] for name in _CHANGEABLE} for row in changed]
    if values:
        await rows(connection, "update_alerts", rows=records(values), now=to_datetime(now_us))


async def log_alerts(connection: Any_, lines: Sequence[tuple[str, Line]]) -> None:
    if lines:
        values = [{"alert": alert, **_line(line)} for alert, line in lines]
        await rows(connection, "log_alerts", rows=records(values))


def _line(line: Line) -> dict[str, object]:
    return {
        "at": to_datetime(line.at_us), "action": line.action, "actor": line.actor, "before": line.before,
        "after": line.after, "fields": line.fields,
    }  # fmt: skip


# -- incidents -----------------------------------------------------------------------------------------------


def life_of(row: Row) -> Life:
    return Life(
        incident.State(row["state"]),
        to_us(row["acknowledged_at"]) if row["acknowledged_at"] else None,
        row["acknowledged_by"],
        row["priority"],
        row["priority_by"],
        row["grade"],
        frozenset(row["cases"]),
    )


def lived(row: Row, life: Life, now_us: int) -> Row:
    """The row of an incident after an action."""
    closed = life.state not in incident.LIVE
    was_closed = row["state"] not in incident.LIVE
    return {
        **row,
        "state": life.state.value,
        "acknowledged_at": moment(life.acknowledged_us),
        "acknowledged_by": life.acknowledged_by,
        "priority": life.priority,
        "priority_by": life.priority_by,
        "grade": life.grade,
        "cases": sorted(life.cases),
        "closed_at": (row["closed_at"] if was_closed else to_datetime(now_us)) if closed else None,
    }


_JSON = ("parts", "causes", "explanation", "consequences", "cases", "assisting", "apart")


async def insert_incident(connection: Any_, row: Row, now_us: int) -> bool:
    """Store a new incident; False when its id is taken."""
    values = {name: Jsonb(value, to_json) if name in _JSON else value for name, value in row.items()}
    return bool(await rows(connection, "insert_incident", **values, now=to_datetime(now_us)))


async def update_incident(connection: Any_, row: Row, now_us: int) -> int:
    """Store a changed incident; its new version."""
    values = {name: Jsonb(value, to_json) if name in _JSON else value for name, value in row.items()}
    found = await one(connection, "update_incident", **values, now=to_datetime(now_us))
    assert found is not None
    return int(found["version"])


async def log_incident(connection: Any_, id_: str, line: Line) -> None:
    values = {**_line(line), "fields": Jsonb(line.fields, to_json)}
    await rows(connection, "log_incident", incident=id_, **values)


async def next_number(connection: Any_, day: str) -> str:
    found = await one(connection, "next_number", day=day)
    assert found is not None
    return f"SJ-{day}-{found['last']:04d}"


# -- the engine's own state ----------------------------------------------------------------------------------


async def cursor(connection: Any_) -> int | None:
    """The last batch whose outcome is stored; None before the first start."""
    found = await one(connection, "engine_cursor")
    return int(found["cursor"]) if found else None


async def put_snapshot(connection: Any_, snapshot: Snapshot, now_us: int) -> None:
    """Keep a snapshot, and the batches that it needs."""
    values = {
        "is_full": snapshot.is_full, "cursor": snapshot.cursor, "replay_from": snapshot.replay_from,
        "horizon_us": snapshot.horizon_us, "head_us": snapshot.head_us, "payload": snapshot.payload,
    }  # fmt: skip
    async with connection.transaction():
        await rows(connection, "put_snapshot", **values, now=to_datetime(now_us))
        await rows(connection, "hold_batches", cursor=snapshot.replay_from)
        if snapshot.is_full:
            await rows(connection, "prune_snapshots")


async def snapshots(connection: Any_) -> list[Snapshot]:
    """The newest full snapshot and the deltas after it, in order; empty before the first."""
    return [Snapshot(**row) for row in await rows(connection, "snapshots")]
