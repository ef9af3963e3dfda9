"""Rows of incidents as their evidence changes: open, grow, merge, clear, withdraw, resolve. Inside a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from core.clock import to_datetime
from events import alarm, incident, store
from events.alarm import Line
from events.alert_writer import ENGINE
from events.assess import Assessment
from events.engine import Engine, Row, incident_fact, incident_id, place_of_row
from events.facts import Group
from events.family import Relative
from events.news import News


class Stale(Exception):
    """People changed an incident after we last looked: look again, then decide again."""


class IncidentWriter:
    """The engine's hand on incidents. `versions` are those that its correlation rests on."""

    def __init__(self, connection: AsyncConnection[TupleRow], engine: Engine) -> None:
        self.connection = connection
        self.engine = engine
        self.versions: dict[str, int] = {}
        #: Groups for which an incident that has just begun or gone is evidence.
        self._told: set[Group] = set()

    async def apply(self, touched: set[Group], now_us: int, news: News) -> None:
        """Bring the incidents of touched groups up to date, then those for which these are evidence."""
        while touched:
            self._told = set()
            await self._bring(touched, now_us, news)
            touched = self._told

    async def _bring(self, touched: set[Group], now_us: int, news: News) -> None:
        """Open, grow, merge, clear, withdraw."""
        wanted = sorted({group.incident for group in touched if group.incident})
        locked = {row["id"]: row for row in await store.rows(self.connection, "lock_incidents", ids=wanted)}
        for id_ in wanted:
            row = locked.get(id_)
            if row is None or row["version"] != self.versions.get(id_) or row["state"] not in incident.LIVE:
                raise Stale(id_)
        for group in sorted(touched, key=_order):
            if group.incident and group.into is not None:
                await self._merge(group, locked, now_us, news)
            elif group.incident and not group.anchors:
                await self._withdraw(group, locked, now_us, news)
            elif group.incident:
                await self._update(group, locked[group.incident], now_us, news)
            elif group.anchors:
                await self._open(group, now_us, news)

    async def _open(self, group: Group, now_us: int, news: News) -> None:
        """A group becomes an incident when its evidence weighs enough."""
        correlator = self.engine.correlator
        type_ = correlator.types[group.type]
        if not correlator.opens(group):
            return
        first = min(
            (correlator.facts[fact_id] for fact_id in group.anchors), key=lambda f: (f.onset_us, f.id)
        )
        seen = self.engine.assessor.assess(correlator, group)
        kind = self.engine.model.types[group.type]
        row: Row = {
            **_assessed(seen), "id": incident_id(group.type, first.id), "type": group.type, "domain": kind.domain,
            "class": type_.klass, "state": "open", "priority": seen.priority, "backdated": False,
            "clear_since": None if seen.standing else to_datetime(now_us),
            "case_code": type_.case_code, "plan": type_.plan, "lead": type_.lead, "assisting": type_.assisting,
            "apart": [], "rule_version": self.engine.model.rules.version, "consequences": {},
            "number": await store.next_number(self.connection, self.engine.city.day(now_us)), "parent": None,
        }  # fmt: skip
        row["parent"] = await self._parent(row)
        if not await store.insert_incident(self.connection, row, now_us):
            return  # it was opened by these facts before, and is over
        group.incident = row["id"]
        self.versions[row["id"]] = 1
        news.incidents += 1
        line = Line("open", ENGINE, now_us, "", "open", {"score": round(seen.score, 2)})
        await store.log_incident(self.connection, row["id"], line)
        await self._evidence(group, {}, now_us)
        news.incident(row, "open")
        await self._adopt(row, now_us, news)
        if correlator.hears(f"incident.{group.type}"):
            self._told |= correlator.add(incident_fact(row))

    async def _parent(self, row: Row) -> str | None:
        """The open incident that a new one belongs under."""
        family = self.engine.family
        parents = await store.rows(self.connection, "live_incidents_of", types=family.parents_of(row["type"]))
        return family.parent_of(_relative(row), [_relative(each) for each in parents]) or None

    async def _adopt(self, row: Row, now_us: int, news: News) -> None:
        """What is open and belongs under a new incident."""
        family, types = self.engine.family, self.engine.model.types[row["type"]].decl.children
        open_ = await store.rows(self.connection, "live_incidents_of", types=types)
        ids = [
            each["id"]
            for each in open_
            if each["parent"] is None and family.belongs(_relative(each), _relative(row))
        ]
        for child in await store.rows(self.connection, "lock_incidents", ids=ids):
            if child["version"] != self.versions.get(child["id"]):
                raise Stale(child["id"])
            life, line = incident.act(
                store.life_of(child), incident.Action.REVISE, ENGINE, now_us, parent=row["id"]
            )
            changed = store.lived(child, life, now_us) | {"parent": row["id"]}
            self.versions[child["id"]] = await store.update_incident(self.connection, changed, now_us)
            await store.log_incident(self.connection, child["id"], line)
            news.incident(changed, "adopt")

    async def _update(self, group: Group, row: Row, now_us: int, news: News) -> None:
        """The evidence of an incident has changed."""
        known = {
            each["fact"]: each["evidence"]
            for each in await store.rows(self.connection, "evidence_of", id=group.incident)
        }
        seen = self.engine.assessor.assess(self.engine.correlator, group)
        members = group.members.keys()
        joined, left = members - known.keys(), known.keys() - members
        was_clear = row["clear_since"] is not None
        action = _what_changed(
            grown=bool(joined), shrunk=bool(left), was_clear=was_clear, clear=not seen.standing
        )
        life, line = incident.act(
            store.life_of(row), action, ENGINE, now_us,
            score=round(seen.score, 2), **({"joined": sorted(joined)} if joined else {}),
            **({"left": sorted(left)} if left else {}),
        )  # fmt: skip
        changed = store.lived(row, life, now_us) | _assessed(seen)
        changed["level"] = min(row["level"], seen.level)
        changed["clear_since"] = None if seen.standing else row["clear_since"] or to_datetime(now_us)
        if not row["priority_by"]:
            changed["priority"] = min(seen.priority, row["priority"])
        self.versions[group.incident] = await store.update_incident(self.connection, changed, now_us)
        await store.log_incident(self.connection, group.incident, line)
        await self._evidence(group, known, now_us, acknowledged=row["acknowledged_at"] is not None)
        news.incident(changed, action.value)

    async def _merge(self, group: Group, locked: dict[str, Row], now_us: int, news: News) -> None:
        """A group was taken into another; its incident goes with it."""
        kept = group
        while kept.into is not None:
            kept = kept.into
        row = locked[group.incident]
        life, line = incident.act(
            store.life_of(row), incident.Action.MERGE, ENGINE, now_us, into=kept.incident
        )
        changed = store.lived(row, life, now_us) | {"merged_into": kept.incident}
        await store.update_incident(self.connection, changed, now_us)
        await store.log_incident(self.connection, group.incident, line)
        facts = [each["fact"] for each in await store.rows(self.connection, "evidence_of", id=group.incident)]
        await self._leave(group.incident, facts, now_us)
        await store.rows(
            self.connection, "mark_alerts",
            incident=kept.incident, facts=facts, instead=[group.incident], now=to_datetime(now_us),
        )  # fmt: skip
        self.versions.pop(group.incident, None)
        self._told |= self.engine.correlator.remove(group.incident)
        group.incident = ""
        news.incident(changed, "merge")

    async def _withdraw(self, group: Group, locked: dict[str, Row], now_us: int, news: News) -> None:
        """Late readings took all its evidence away: it is dismissed, unless people have found it true."""
        row = locked[group.incident]
        action = incident.Action.WITHDRAW if row["state"] == "open" else incident.Action.SHRINK
        life, line = incident.act(store.life_of(row), action, ENGINE, now_us, reason="evidence withdrawn")
        changed = store.lived(row, life, now_us) | {"clear_since": to_datetime(now_us)}
        self.versions[group.incident] = await store.update_incident(self.connection, changed, now_us)
        await store.log_incident(self.connection, group.incident, line)
        known = await store.rows(self.connection, "evidence_of", id=group.incident)
        await self._leave(group.incident, [each["fact"] for each in known], now_us)
        news.incident(changed, "withdraw")
        self._told |= self.engine.correlator.remove(group.incident)
        group.incident = ""

    async def _evidence(
        self, group: Group, known: dict[str, str], now_us: int, *, acknowledged: bool = False
    ) -> None:
        """Record who joined and who left; alerts that join what a person has seen are seen."""
        facts, members = self.engine.correlator.facts, group.members
        joined = sorted(members.keys() - known.keys())
        if joined:
            values = [
                {
                    "incident": group.incident,
                    "fact": id_,
                    "evidence": members[id_],
                    "what": facts[id_].what,
                }
                for id_ in joined
            ]
            now = to_datetime(now_us)
            await store.rows(self.connection, "join_evidence", rows=store.records(values), now=now)
            await store.rows(
                self.connection, "mark_alerts", incident=group.incident, facts=joined, instead=[], now=now
            )
        if acknowledged and joined:
            await acknowledge(self.connection, joined, ENGINE, now_us)
        left = sorted(known.keys() - members.keys())
        if left:
            await self._leave(group.incident, left, now_us)

    async def _leave(self, incident_: str, facts: list[str], now_us: int) -> None:
        now = to_datetime(now_us)
        await store.rows(self.connection, "leave_evidence", incident=incident_, facts=facts, now=now)
        await store.rows(self.connection, "unmark_alerts", incident=incident_, facts=facts, now=now)

    async def resolve_quiet(self, linger_us: int, now_us: int, news: News) -> list[str]:
        """Resolve incidents none of whose anchors has stood for the linger, and that no case holds open."""
        before = to_datetime(now_us - linger_us)
        due = [
            row["id"]
            for row in await store.rows(self.connection, "incidents_to_resolve", before=before)
            if row["id"] in self.versions
        ]
        for row in await store.rows(self.connection, "lock_incidents", ids=due):
            if row["version"] != self.versions[row["id"]]:
                raise Stale(row["id"])
            life, line = incident.act(
                store.life_of(row), incident.Action.RESOLVE, ENGINE, now_us, reason="evidence clear"
            )
            changed = store.lived(row, life, now_us)
            await store.update_incident(self.connection, changed, now_us)
            await store.log_incident(self.connection, row["id"], line)
            known = await store.rows(self.connection, "evidence_of", id=row["id"])
            await acknowledge(self.connection, [each["fact"] for each in known], ENGINE, now_us)
            news.incident(changed, "resolve")
        return due

    def forget(self, incidents: Sequence[str], now_us: int) -> set[Group]:
        """These are over, and that is committed; the incidents' groups for which they are evidence."""
        touched: set[Group] = set()
        for id_ in incidents:
            group = self.engine.correlator.group(id_)
            if group is not None:
                self.engine.correlator.close(group)
            self.versions.pop(id_, None)
            touched |= self.engine.correlator.end(id_, now_us)
        return {group for group in touched if group.incident}


async def acknowledge(
    connection: AsyncConnection[Any], alerts: Sequence[str], actor: str, now_us: int
) -> list[Row]:
    """Acknowledge those of some alerts that wait for it, except life-safety ones that still stand."""
    changed: list[Row] = []
    lines: list[tuple[str, Line]] = []
    for row in await store.rows(connection, "lock_alerts", ids=list(alerts)):
        waits = row["state"] in (alarm.State.UNACKNOWLEDGED, alarm.State.RETURNED)
        if not waits or (row["class"] == "life" and row["standing"]):
            continue
        state, line = alarm.act(store.alarm_of(row), alarm.Action.ACKNOWLEDGE, actor, now_us, by="incident")
        changed.append(store.after(row, state, line))
        lines.append((row["id"], line))
    await store.update_alerts(connection, changed, now_us)
    await store.log_alerts(connection, lines)
    return changed


def _relative(row: Row) -> Relative:
    return Relative(row["id"], row["type"], place_of_row(row, ""))


def _assessed(seen: Assessment) -> Row:
    """The columns of an incident that its evidence decides."""
    return {
        "level": seen.level, "score": seen.score, "parts": dict(seen.parts), "sure": seen.sure,
        "started_at": to_datetime(seen.started_us), "lon": seen.lon, "lat": seen.lat, "zone": seen.zone,
        "area": seen.area, "asset": seen.asset, "provenance": seen.provenance, "causes": seen.causes,
        "explanation": seen.explanation,
    }  # fmt: skip


def _what_changed(*, grown: bool, shrunk: bool, was_clear: bool, clear: bool) -> incident.Action:
    if grown:
        return incident.Action.GROW
    if shrunk:
        return incident.Action.SHRINK
    if clear != was_clear:
        return incident.Action.CLEAR if clear else incident.Action.RECUR
    return incident.Action.REVISE


def _order(group: Group) -> tuple[bool, str, str]:
    """Merged ones last: what takes them in is there then."""
    return (group.into is not None, group.incident, min(group.anchors, default=""))
