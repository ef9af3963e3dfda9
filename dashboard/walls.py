"""What consoles ask walls to do: show a scene or an incident for a while, be silent for at most ten minutes.

Both are rows with a name and a reason, stored and told on topic `walls`; the wall hears of them in its status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core import changes
from core.actor import Actor
from core.changes import Change
from core.clock import MINUTE_US, rfc3339, to_datetime, to_us
from core.db import Database, DictConnection
from core.errors import Invalid
from core.sql import Queries
from dashboard.stream import Item

QUERIES = Queries.of(__file__)
TOPIC = "walls"
LONGEST_MUTE_MIN = 10
LONGEST_VIEW_MIN = 240


async def direct(
    connection: DictConnection,
    name: str,
    actor: Actor,
    now_us: int,
    *,
    scene: str,
    incident: str,
    minutes: float,
) -> Item:
    """Let a wall show a scene or an incident; 0 minutes lets it go. Raises `Invalid`."""
    if not 0 <= minutes <= LONGEST_VIEW_MIN:
        raise Invalid("error.bad_minutes", field="minutes", most=LONGEST_VIEW_MIN)
    return await _keep(
        connection, "direct_wall", name, actor, now_us, minutes, scene=scene, incident=incident
    )


async def mute(
    connection: DictConnection, name: str, actor: Actor, now_us: int, *, reason: str, minutes: float
) -> Item:
    """Silence a wall, with name and reason, for at most ten minutes. Raises `Invalid`."""
    if not 0 <= minutes <= LONGEST_MUTE_MIN:
        raise Invalid("error.bad_minutes", field="minutes", most=LONGEST_MUTE_MIN)
    if minutes and not reason.strip():
        raise Invalid("error.reason_needed", field="reason")
    return await _keep(connection, "mute_wall", name, actor, now_us, minutes, why=reason.strip())


async def _keep(
    connection: DictConnection,
    query: str,
    name: str,
    actor: Actor,
    now_us: int,
    minutes: float,
    **fields: object,
) -> Item:
    until = to_datetime(now_us + round(minutes * MINUTE_US))
    values = {
        "name": name,
        "by": actor.name or actor.id,
        "now": to_datetime(now_us),
        "until": until,
        **fields,
    }
    row = await (await connection.execute(QUERIES[query], values)).fetchone()
    assert row is not None
    await changes.append(connection, [Change(TOPIC, name)], now_us)
    return shown(row)


async def all_walls(database: Database) -> Sequence[Item]:
    return [shown(row) for row in await database.fetch(QUERIES["all_walls"])]


def shown(row: Mapping[str, Any]) -> Item:
    """A wall's orders as an item of topic `status`."""
    silent = row["mute_until"]
    return {
        "id": f"wall/{row['name']}",
        "scene": row["scene"] or None,
        "incident": row["incident"] or None,
        "until": rfc3339(to_us(row["until"])) if row["until"] else None,
        "by": row["by"],
        "mute": {"name": row["mute_by"], "reason": row["mute_why"], "until": rfc3339(to_us(silent))}
        if silent
        else None,
    }
