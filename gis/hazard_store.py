"""Hazards at rest, and as a live layer of the map."""

from __future__ import annotations

from collections.abc import Sequence

import shapely
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from core import changes
from core.changes import Change
from core.clock import Clock, to_datetime, to_us
from core.db import Database, DictConnection
from gis.hazard import Hazard, Zone
from gis.mvt import Value
from gis.store import QUERIES
from gis.views import BBox, LiveFeature


async def put(connection: DictConnection, hazard: Hazard, now_us: int) -> None:
    """Record a hazard, in place of what it was until now. To be called inside a transaction."""
    await connection.execute(QUERIES["end_hazard"], {"id": hazard.id, "at": to_datetime(hazard.begins_us)})
    for zone in hazard.zones:
        west, south, east, north = zone.geometry.bounds
        await connection.execute(
            QUERIES["add_hazard"],
            {"id": hazard.id, "kind": hazard.kind, "class": zone.cls, "incident": hazard.incident,
             "geometry": shapely.to_wkb(zone.geometry), "west": west, "south": south, "east": east, "north": north,
             "attributes": Jsonb(dict(zone.attributes)), "provenance": hazard.provenance,
             "begins": to_datetime(hazard.begins_us),
             "ends": None if hazard.ends_us is None else to_datetime(hazard.ends_us)},
        )  # fmt: skip
    await changes.append(connection, _news(hazard.id, hazard.incident), now_us)


async def end(connection: DictConnection, hazard: str, at_us: int, now_us: int, incident: str = "") -> None:
    """The hazard is over from a time on; ending it again changes nothing."""
    await connection.execute(QUERIES["end_hazard"], {"id": hazard, "at": to_datetime(at_us)})
    await changes.append(connection, _news(hazard, incident), now_us)


def _news(hazard: str, incident: str) -> list[Change]:
    """Who shows the incident shows its hazard too, and looks again."""
    return [Change("hazards", hazard), *([Change("incidents", incident)] if incident else [])]


async def current(database: Database, at_us: int, bbox: BBox | None = None) -> list[Hazard]:
    """The hazards of a moment, in a box of degrees."""
    return _hazards(await _rows(database, at_us, bbox))


async def now(connection: DictConnection, now_us: int) -> list[Hazard]:
    """The hazards of this moment, as a transaction sees them."""
    found = await connection.execute(QUERIES["hazards_at"], _asked(now_us, None))
    return _hazards(await found.fetchall())


def _hazards(rows: Sequence[DictRow]) -> list[Hazard]:
    found: dict[tuple[str, int], list[DictRow]] = {}
    for row in rows:
        found.setdefault((row["id"], to_us(row["begins"])), []).append(row)
    return [_hazard(group) for group in found.values()]


async def standing(database: Database, prefix: str, at_us: int) -> list[tuple[str, str]]:
    """(hazard, incident) of the hazards of a moment whose ids begin so."""
    rows = await database.fetch(QUERIES["standing_hazards"], prefix=prefix, at=to_datetime(at_us))
    return [(row["id"], row["incident"]) for row in rows]


async def _rows(database: Database, at_us: int, bbox: BBox | None) -> list[DictRow]:
    return await database.fetch(QUERIES["hazards_at"], **_asked(at_us, bbox))


def _asked(at_us: int, bbox: BBox | None) -> dict[str, object]:
    west, south, east, north = bbox or (None, None, None, None)
    return {"at": to_datetime(at_us), "west": west, "south": south, "east": east, "north": north}


def _hazard(rows: Sequence[DictRow]) -> Hazard:
    first = rows[0]
    zones = tuple(
        Zone(row["class"], shapely.from_wkb(bytes(row["geometry"])), row["attributes"]) for row in rows
    )
    ends = None if first["ends"] is None else to_us(first["ends"])
    return Hazard(
        first["id"],
        first["kind"],
        zones,
        to_us(first["begins"]),
        ends,
        first["incident"],
        first["provenance"],
    )


class HazardLayer:
    """The live layer `hazards`: the worst classes last, so that they are drawn on top."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def __call__(self, box: BBox, zoom: int, areas: frozenset[str]) -> Sequence[LiveFeature]:
        del zoom, areas  # a danger is everybody's affair
        rows = await _rows(self._database, self._clock.now_us(), box)
        rows.sort(key=lambda row: -row["class"])
        return [
            LiveFeature(row["number"], shapely.from_wkb(bytes(row["geometry"])), _told(row)) for row in rows
        ]


def _told(row: DictRow) -> dict[str, Value]:
    plain = {
        key: value for key, value in row["attributes"].items() if isinstance(value, bool | int | float | str)
    }
    return {"id": row["id"], "kind": row["kind"], "class": row["class"], "incident": row["incident"],
            "provenance": row["provenance"], **plain}  # fmt: skip
