"""What screens and vital signs take from the rooms below: items of live topics, records and figures.

One file knows how `events` and `dispatch` show their nouns; pages and formulas know only what stands here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import shapely

from core.clock import MINUTE_US, Clock, to_datetime, to_us
from core.db import Database
from core.errors import NotFound
from core.text import LANGUAGES
from dashboard.lately import Lately
from dashboard.stream import Item
from dashboard.vitals.inputs import Rows
from dispatch import views as dispatch
from events.load import WINDOW_US
from events.views import EventViews
from gis import hazard_store as hazards
from gis.hazard import Hazard
from gis.lines import Geometry
from iot.registry import Registry

#: What has ended stays on screens this long.
LINGER_US = 5 * MINUTE_US
LIVE = ("open", "confirmed")
OVER = ("closed", "refused", "void")
#: An alert in one of these states is put aside: it stands, and counts for no vital sign.
ASIDE = ("shelved", "suppressed", "out_of_service")


@dataclass(slots=True)
class Incidents:
    """Live incidents, and those that ended in the last minutes, in the words of both languages."""

    views: EventViews
    clock: Clock

    async def all(self) -> Sequence[Item]:
        now_us = self.clock.now_us()
        found = await self.views.live_incidents(now_us, LINGER_US)
        drawn = {each.incident: overlay(each) for each in await hazards.current(self.views.database, now_us)}
        return [{**incident_item(each), "overlay": drawn.get(each["id"], [])} for each in found]

    async def some(self, keys: Collection[str]) -> Sequence[Item]:
        return [item for item in await self.all() if item["id"] in keys]


def incident_item(shown: Mapping[str, Any]) -> Item:
    """An incident as the wall and the queue need it; the workbench asks the API for all of it."""
    kept = (
        "id", "number", "type", "domain", "class", "state", "level", "priority", "grade", "sure", "opened_at",
        "closed_at", "changed_at", "acknowledged_at", "acknowledged_by", "acknowledged_by_name",
        "lon", "lat", "area", "asset", "zone", "provenance", "cases", "lead",
    )  # fmt: skip
    said = shown["said"]
    return {
        **{name: shown[name] for name in kept},
        "title": shown["name"],
        "place": _part(said, "where"),
        "found": _part(said, "since"),
        "why": _part(said, "why"),
        "impact": _part(said, "affects"),
        "next": _part(said, "next"),
    }


#: What the wall calls each kind of hazard, and how strongly it paints the worst and the other classes.
DRAWN: Mapping[str, tuple[str, float, float]] = {
    "flood": ("flood", 0.45, 0.2), "plume": ("plume", 0.3, 0.12), "isolated": ("ring", 0.1, 0.1),
}  # fmt: skip


def overlay(hazard: Hazard) -> list[Item]:
    """A hazard as the GeoJSON features that the wall draws around its incident; the worst class last."""
    if hazard.kind not in DRAWN:
        return []
    kind, worst, other = DRAWN[hazard.kind]
    drawn = [
        feature(kind, zone.geometry, opacity=worst if zone.cls == 1 else other)
        for zone in sorted(hazard.zones, key=lambda zone: -zone.cls)
    ]
    pipes, valves = (
        [each for zone in hazard.zones for each in zone.attributes.get(name, ())]  # type: ignore[attr-defined]
        for name in ("pipes", "valves")
    )
    if pipes:
        drawn.append(feature("pipe", shapely.MultiLineString(pipes)))
    return drawn + [feature("valve", shapely.Point(lon, lat), label=both(name)) for name, lon, lat in valves]


def feature(kind: str, shape: Geometry, **more: object) -> Item:
    """A shape (WGS 84) as GeoJSON, to a tenth of a metre."""
    rounded = shapely.set_precision(shape, 1e-6)
    return {
        "type": "Feature", "geometry": json.loads(shapely.to_geojson(rounded)), "properties": {"kind": kind, **more}
    }  # fmt: skip


def both(name: str) -> dict[str, str]:
    """An id is the same in every language."""
    return dict.fromkeys(LANGUAGES, name)


def _part(said: Mapping[str, Any], name: str) -> dict[str, str] | None:
    """One part of an explanation in both languages: its first sentence."""
    words = {}
    for language in LANGUAGES:
        given = said.get(language, {}).get(name)
        words[language] = given if isinstance(given, str) else (given or [""])[0]
    return words if any(words.values()) else None


@dataclass(slots=True)
class Alerts:
    """Alerts that have not ended."""

    views: EventViews

    async def all(self) -> Sequence[Item]:
        return await self.views.live_alerts()

    async def some(self, keys: Collection[str]) -> Sequence[Item]:
        found = []
        for key in keys:
            try:
                alert = await self.views.alert(key)
            except NotFound:
                continue
            if alert["state"] != "normal":
                found.append({name: value for name, value in alert.items() if name != "timeline"})
        return found


@dataclass(slots=True)
class Cases:
    """Cases that stand, and what was closed within the last minute."""

    database: Database
    clock: Clock

    async def all(self) -> Sequence[Item]:
        async with self.database.transaction() as connection:
            return await dispatch.open_cases(connection, self.clock.now_us())

    async def some(self, keys: Collection[str]) -> Sequence[Item]:
        return [item for item in await self.all() if item["id"] in keys]


@dataclass(slots=True)
class Orders:
    """Orders that live, and what ended within the last minute."""

    database: Database
    clock: Clock

    async def all(self) -> Sequence[Item]:
        async with self.database.transaction() as connection:
            return await dispatch.open_orders(connection, self.clock.now_us())

    async def some(self, keys: Collection[str]) -> Sequence[Item]:
        return [item for item in await self.all() if item["id"] in keys]


@dataclass(slots=True)
class Crews:
    """All crews with what binds them."""

    database: Database

    async def all(self) -> Sequence[Item]:
        async with self.database.transaction() as connection:
            return await dispatch.crews(connection)

    async def some(self, keys: Collection[str]) -> Sequence[Item]:
        async with self.database.transaction() as connection:
            return [crew for key in keys for crew in await dispatch.crews(connection, key)]


@dataclass(slots=True)
class Today:
    """What the status of the wall says beside the state of the data."""

    views: EventViews
    clock: Clock
    zone: ZoneInfo

    async def now(self, now_us: int) -> Mapping[str, object]:
        counts = await self.views.counts(midnight(now_us, self.zone))
        async with self.views.database.transaction() as connection:
            return {"incidents_today": counts["incidents"], **await dispatch.posture(connection, now_us)}


def midnight(now_us: int, zone: ZoneInfo) -> Any:  # noqa: ANN401 - a datetime with a zone
    return to_datetime(now_us).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)


@dataclass(slots=True)
class Records:
    """Records and figures for vital signs. `provenances` are those that this city counts."""

    database: Database
    views: EventViews
    zone: ZoneInfo
    registry: Callable[[], Registry]
    provenances: Sequence[str] = ("real",)
    lately: Lately = field(init=False)

    def __post_init__(self) -> None:
        self.lately = Lately(self.database, self.views)

    async def records(self, now_us: int) -> Rows:
        alerts = [each for each in await self.views.live_alerts() if each["state"] not in ASIDE]
        incidents = await self.views.live_incidents(now_us, 0)
        async with self.database.transaction() as connection:
            cases = await dispatch.open_cases(connection, now_us)
            crews = await dispatch.crews(connection)
        counted = set(self.provenances)
        shown = [_incident(each) for each in incidents]
        stood = [_alert(each) for each in alerts]
        rows: dict[str, Sequence[Mapping[str, Any]]] = {
            "alerts": stood,
            "incidents": shown,
            "cases": [_case(each) for each in cases],
            "crews": [_crew(each) for each in crews],
            "alarms": [
                *(each for each in shown if each["standing"]),
                *(each for each in stood if each["asks"] and not each["incident"]),
            ],
            **await self.lately.records(now_us, self.registry()),
        }
        return {
            topic: [each for each in found if each["provenance"] in counted] for topic, found in rows.items()
        }

    async def figures(self, now_us: int) -> Mapping[str, float | None]:
        asked = await self.views.load(now_us - WINDOW_US, now_us)
        async with self.database.transaction() as connection:
            found = await dispatch.kpis(connection, now_us, self.zone, self.provenances)
            undelivered = await dispatch.undelivered(connection, now_us, self.provenances)
            seats = await dispatch.seats(connection, now_us)
        arrive_s = found["arrive_p90_s"]
        return {
            "dispatch.received_today": found["accepted_today"],
            "dispatch.handled_in_time": found["handled_in_time"],
            "dispatch.should_be_handled": found["should_be_handled"],
            "dispatch.arrive_p90_s": math.nan
            if arrive_s is None
            else arrive_s,  # nobody arrived yet: nothing to measure
            "dispatch.undelivered": undelivered,
            "system.alarms_10min": asked.operator_alarms,
            "system.operators": seats,
        }


def _alert(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **shown,
        "at_us": to_us(shown["raised_at"]),
        "acknowledged": shown["acknowledged_at"] is not None,
        "asks": shown["class"] in ("field", "life") and shown["state"] in ("unacknowledged", "returned"),
    }


def _incident(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **shown,
        "at_us": to_us(shown["opened_at"]),
        "standing": shown["state"] in LIVE,
        "acknowledged": shown["acknowledged_at"] is not None,
        "households": shown["consequences"].get("households"),
    }


def _case(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **shown,
        "at_us": to_us(shown["created_at"]),
        "open": shown["state"] not in OVER,
        "overdue": shown["light"] == "red",
    }


def _crew(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **shown,
        "at_us": to_us(shown["duty_since"]),
        "on_duty": shown["state"] in ("free", "busy"),
        "free": shown["state"] == "free",
    }
