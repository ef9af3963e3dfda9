"""What the room shows to rooms above: alerts and incidents, as the API and the screens give them. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from core.clock import DAY_US, to_datetime, to_us
from core.db import Database, DictConnection
from core.errors import NotFound
from core.people_store import named
from core.text import LANGUAGES, Texts
from events import alarm, incident, store
from events.engine import Row
from events.load import Load, Stood, load_of
from events.sentence import Speech

#: Screens start from at most so many; the rest is in the lists.
SNAPSHOT = 2000

_ALERT = (
    "id", "rule", "rule_version", "domain", "class", "level", "subject", "device", "channel", "state", "standing",
    "withdrawn", "backdated", "onset", "raised_at", "recorded_at", "returned_at", "acknowledged_at",
    "acknowledged_by", "acknowledged_by_name", "value", "peak", "lon", "lat", "zone", "area", "asset", "provenance",
    "incident", "aside",
)  # fmt: skip
_INCIDENT = (
    "id", "number", "type", "domain", "class", "state", "level", "priority", "priority_by", "grade", "score", "parts",
    "sure", "started_at", "opened_at", "clear_since", "closed_at", "acknowledged_at", "acknowledged_by",
    "acknowledged_by_name", "lon", "lat",
    "zone", "area", "asset", "provenance", "backdated", "causes", "explanation", "consequences", "cases", "case_code",
    "plan", "lead", "assisting", "merged_into", "parent", "rule_version", "version", "changed_at",
)  # fmt: skip
#: The parts of an explanation, in the order in which people ask.
PARTS = ("what", "where", "since", "why", "against", "affects", "next")


@dataclass(frozen=True, slots=True)
class Filters:
    """Of a list; None lets everything through. Lists hold the values that are let through."""

    domains: list[str] | None = None
    levels: list[int] | None = None
    states: list[str] | None = None
    provenances: list[str] | None = None
    from_: datetime | None = None
    to: datetime | None = None
    bbox: tuple[float, float, float, float] | None = None

    def params(self) -> dict[str, object]:
        west, south, east, north = self.bbox or (None, None, None, None)
        return {
            "domains": self.domains, "levels": self.levels, "states": self.states, "provenances": self.provenances,
            "from": self.from_, "to": self.to, "west": west, "south": south, "east": east, "north": north,
        }  # fmt: skip


def alert_json(row: Row) -> dict[str, Any]:
    """An alert as the API shows it, without names."""
    shown = {name: row[name] for name in _ALERT if name in row}
    shown["limit"] = row["limit_value"]
    shown["allowed"] = alarm.allowed(alarm.State(row["state"]))
    return shown


def incident_json(row: Row) -> dict[str, Any]:
    """An incident as the API shows it, without names."""
    shown = {name: row[name] for name in _INCIDENT if name in row}
    seen = row["acknowledged_at"] is not None
    shown["allowed"] = [
        action
        for action in incident.allowed(incident.State(row["state"]))
        if not (seen and action == "acknowledge")
    ]
    return shown


async def incident_in(connection: DictConnection, id_: str) -> tuple[Row, list[Row]] | None:
    """An incident and its evidence as they stand in a transaction; None when there is none."""
    row = await store.one(connection, "get_incident", id=id_)
    return (row, await store.rows(connection, "incident_facts", id=row["id"])) if row else None


async def live_ids(connection: DictConnection) -> list[str]:
    """Ids of incidents that are open or confirmed, as they stand in a transaction."""
    return [row["id"] for row in await store.rows(connection, "live_incident_ids")]


@dataclass(frozen=True, slots=True)
class EventViews:
    """Alerts and incidents with names and sentences in every language."""

    database: Database
    texts: Texts
    zone: ZoneInfo
    #: The names of areas by id, in every language.
    areas: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    # -- alerts --------------------------------------------------------------------------------------------

    async def alerts(
        self, filters: Filters, limit: int, cursor: list[Any] | None = None, **more: object
    ) -> list[dict[str, Any]]:
        """Newest first, `limit + 1` at most. `more`: classes, rule, device, incident, as_of (as known then)."""
        asked = {"classes": None, "rule": None, "device": None, "incident": None, "as_of": None, **more}
        found = await self._rows("list_alerts", filters, limit, cursor, **asked)
        return [self.alert_shown(row) for row in found]

    async def alert(self, id_: str, as_of: datetime | None = None) -> dict[str, Any]:
        """One alert with its log, as it was known at a moment. Raises `NotFound`, also when it was not known yet."""
        async with self.database.transaction() as connection:
            if as_of is None:
                row = await store.one(connection, "get_alert", id=id_)
            else:
                row = await store.one(connection, "get_alert_as_of", id=id_, as_of=as_of)
            if row is None:
                raise NotFound(id=id_)
            (row,) = await named(connection, [row], "acknowledged_by")
            log = await store.rows(connection, "alert_timeline", id=id_, as_of=as_of)
            log = await named(connection, log, "actor")
        return {**self.alert_shown(row), "timeline": log}

    async def live_alerts(self, limit: int = SNAPSHOT) -> list[dict[str, Any]]:
        """What a screen starts from: every alert that has not ended."""
        async with self.database.transaction() as connection:
            found = await store.rows(connection, "live_alerts", limit=limit)
            return [self.alert_shown(row) for row in await named(connection, found, "acknowledged_by")]

    def alert_shown(self, row: Row) -> dict[str, Any]:
        return {**alert_json(row), "name": self.name_of_rule(row["rule"])}

    def name_of_rule(self, rule: str) -> dict[str, str]:
        return self._both(f"rule.{rule}.name")

    # -- incidents -----------------------------------------------------------------------------------------

    async def incidents(
        self,
        filters: Filters,
        limit: int,
        cursor: list[Any] | None = None,
        types: list[str] | None = None,
        as_of: datetime | None = None,
    ) -> list[dict[str, Any]]:
        """Newest first, `limit + 1` of them at most; as they stood at a moment."""
        found = await self._rows("list_incidents", filters, limit, cursor, types=types, as_of=as_of)
        return [self.incident_shown(row) for row in found]

    async def incident(self, id_: str, as_of: datetime | None = None) -> dict[str, Any]:
        """One incident with its evidence and its log, by id or by number; as it was known at a moment.

        Raises `NotFound`, also when it was not known yet.
        """
        async with self.database.transaction() as connection:
            if as_of is None:
                row = await store.one(connection, "get_incident", id=id_)
            else:
                row = await store.one(connection, "get_incident_as_of", id=id_, as_of=as_of)
            if row is None:
                raise NotFound(id=id_)
            if as_of is None:
                facts = await store.rows(connection, "incident_facts", id=row["id"])
            else:
                facts = await store.rows(connection, "incident_facts_as_of", id=row["id"], as_of=as_of)
            log = await store.rows(connection, "incident_timeline", id=row["id"], as_of=as_of)
            log = await named(connection, log, "actor")
            (row,) = await named(connection, [row], "acknowledged_by")
        evidence = [{name: value for name, value in fact.items() if value is not None} for fact in facts]
        for first in [fact for fact in evidence if "rule" in fact and "left_at" not in fact][:1]:
            first["first_out"] = True  # evidence is in the order of its onsets
        return {**self.incident_shown(row), "evidence": evidence, "timeline": log}

    async def live_incidents(
        self, now_us: int, since_us: int = DAY_US, limit: int = SNAPSHOT
    ) -> list[dict[str, Any]]:
        """What a screen starts from: live incidents, and those that ended lately."""
        async with self.database.transaction() as connection:
            found = await store.rows(
                connection, "snapshot_incidents", since=to_datetime(now_us - since_us), limit=limit
            )
            found = await named(connection, found, "acknowledged_by")
        return [self.incident_shown(row) for row in found]

    def incident_shown(self, row: Row) -> dict[str, Any]:
        said = {language: self._said(row["explanation"], language) for language in LANGUAGES}
        return {**incident_json(row), "name": self._both(f"incident.{row['type']}.name"), "said": said}

    async def counts(self, since: datetime) -> dict[str, int]:
        """How many alerts and incidents arose since a moment."""
        async with self.database.transaction() as connection:
            alerts = await store.one(connection, "count_alerts_since", since=since)
            incidents = await store.one(connection, "count_incidents_since", since=since)
        assert alerts is not None
        assert incidents is not None
        return {"alerts": alerts["n"], "incidents": incidents["n"]}

    async def load(self, from_us: int, to_us_: int, operators: int = 1) -> Load:
        """What alarms asked of the operators in a span, by what is stored."""
        span = {"from": to_datetime(from_us), "to": to_datetime(to_us_)}
        async with self.database.transaction() as connection:
            alerts = await store.rows(connection, "alerts_of_span", **span)
            incidents = await store.rows(connection, "incidents_of_span", **span)
        stood: dict[bool, list[Stood]] = {False: [], True: []}
        for row in alerts:
            returned_us = to_us(row["returned_at"]) if row["returned_at"] else None
            source, raised_us = f"{row['rule']} {row['subject']}", to_us(row["raised_at"])
            stood[row["before"]].append(Stood(row["rule"], source, row["level"], raised_us, returned_us))
        asked = [to_us(row["recorded_at"]) for row in alerts if row["asked"]]
        asked += [to_us(row["opened_at"]) for row in incidents if row["asked"]]
        types = [row["type"] for row in incidents]
        return load_of((from_us, to_us_), stood[False], types, asked, operators, stood[True])

    async def verdicts(self, rules: list[str], since: datetime) -> list[dict[str, Any]]:
        """What alarms of these rules turned out to be, in the order of the words: `key` is one alarm or incident."""
        async with self.database.transaction() as connection:
            return await store.rows(connection, "verdicts", rules=rules, since=since)

    async def reports(self, since: datetime, now: datetime) -> list[dict[str, Any]]:
        """What citizens and patrols reported, with place and time."""
        async with self.database.transaction() as connection:
            return await store.rows(connection, "reports_since", since=since, now=now)

    # -- shared --------------------------------------------------------------------------------------------

    async def _rows(
        self, query: str, filters: Filters, limit: int, cursor: list[Any] | None, **more: object
    ) -> list[Row]:
        at, id_ = cursor or (None, None)
        async with self.database.transaction() as connection:
            found = await store.rows(
                connection, query, **filters.params(), **more, limit=limit + 1, before_at=at, before_id=id_
            )
            return await named(connection, found, "acknowledged_by")

    def _both(self, key: str) -> dict[str, str]:
        return {language: self.texts(key, language) for language in LANGUAGES}

    def _said(self, explanation: dict[str, Any], language: str) -> dict[str, Any]:
        """Every sentence of an explanation in words."""
        speech = Speech(self.texts, language, self.zone, self.areas)
        said: dict[str, Any] = {}
        for part in PARTS:
            spoken = explanation.get(part)
            if isinstance(spoken, list):
                said[part] = [speech.say(each) for each in spoken]
            elif spoken:
                said[part] = speech.say(spoken)
        return said
