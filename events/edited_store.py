"""Rows of edited rules and of what they would have said before they were put in force."""

from __future__ import annotations

from core.changes import Change, append
from core.clock import to_datetime
from core.db import Database, DictConnection
from core.log import logger
from core.sql import Queries
from core.yamlfile import Document, Mistakes
from events.edited import document

QUERIES = Queries.of(__file__)
TOPIC = "rules"


async def current(database: Database) -> dict[str, str]:
    """The text of every edited rule, by its key."""
    rows = await database.fetch(QUERIES["edited_rules"])
    return {str(row["rule"]): str(row["yaml"]) for row in rows}


def documents(texts: dict[str, str]) -> list[Document]:
    """Those texts that are rules at all; the others are named in the log and the shipped rules stay in force."""
    found = []
    for key, text in texts.items():
        try:
            found.append(document(key, text))
        except Mistakes as wrong:
            logger("events").error("edited_rule_broken", rule=key, mistakes=str(wrong))
    return found


async def put_trial(database: Database, **row: object) -> int:
    """Keep what a trial found; its id is what `activate` asks for."""
    kept = await database.fetch_one(QUERIES["put_trial"], **row)
    assert kept is not None
    return int(kept["id"])


async def activate(connection: DictConnection, now_us: int, **row: object) -> None:
    """Put a tried text in force: the newest version of its rule, and news for whoever decides by it."""
    await connection.execute(QUERIES["put_edited"], {**row, "at": to_datetime(now_us)})
    await append(connection, [Change(TOPIC, str(row["rule"]))], now_us)
