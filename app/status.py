"""How the whole is: roles, counts since the start, spool, store. One answer for `cityops status`, HTTP and metrics."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core import role
from core.clock import SECOND_US, to_us
from core.db import Database
from core.metrics import exposition
from core.role import DOWN_AFTER_S
from core.sql import Queries
from iot import readings

CORE = role.QUERIES
IOT = readings.QUERIES
APP = Queries.of(__file__, "status.sql")
ROLES = ("worker", "web", "sim")


async def gather(database: Database, now_us: int) -> dict[str, Any]:
    """The object of `cityops status --json`; roles that never beat in this run are down."""
    run = await database.fetch_one(CORE["current_run"])
    if run is None:
        return {"roles": {}, "counts": {}, "spool_bytes": 0, "timescale": False, "alarms": {}}
    rows = await database.fetch(CORE["roles"], run=run["id"])
    totals = await database.fetch_one(IOT["totals"], run=run["id"]) or {}
    refused = await database.fetch(IOT["totals_refused"], run=run["id"])
    since: datetime = run["started_at"]
    nouns = await database.fetch_one(APP["counts_since"], since=since) or {}
    roles = {row["role"]: _role(row, now_us) for row in rows}
    details = [row["detail"] for row in rows]
    return {
        "run": run["id"],
        "since": since,
        "roles": {
            name: roles.get(name, {"up": False, "lag_s": None}) for name in dict.fromkeys((*ROLES, *roles))
        },
        "counts": {
            "readings": totals.get("stored", 0),
            "duplicates": totals.get("duplicates", 0),
            "conflicts": totals.get("conflicts", 0),
            "refused": sum(row["n"] for row in refused),
            **{name: nouns.get(name, 0) for name in ("alerts", "incidents", "cases", "orders")},
        },
        "refused": {row["reason"]: row["n"] for row in refused},
        "spool_bytes": sum(int(detail.get("spool_bytes", 0)) for detail in details),
        "alarms": {name: at for detail in details for name, at in detail.get("alarms", {}).items()},
        "timescale": any(detail.get("timescale") for detail in details),
    }


def _role(row: dict[str, Any], now_us: int) -> dict[str, Any]:
    age_s = (now_us - to_us(row["at"])) / SECOND_US
    return {
        "up": age_s < DOWN_AFTER_S,
        "lag_s": row["detail"].get("lag_s", 0.0),
        "pid": row["pid"],
        "since": row["since"],
        "beat_age_s": round(age_s, 3),
    }


async def metrics(database: Database) -> str:
    """All roles' numbers in Prometheus text format."""
    run = await database.fetch_one(CORE["current_run"])
    rows = await database.fetch(CORE["roles"], run=run["id"]) if run else []
    return exposition({row["role"]: row["detail"].get("metrics", {}) for row in rows})
