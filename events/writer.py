"""The engine's transactions: moves → alerts → evidence → incidents → news → cursor, all or nothing.

Everything is written through the one connection that holds the ENGINE lock: who lost it cannot write.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from core import changes
from core.changes import Change
from core.clock import to_datetime, to_us
from core.errors import WrongState
from events import alarm, incident, store
from events.alarm import Line
from events.assess import Assessment
from events.correlate import Correlator, Fact, Group, Standing
from events.engine import Engine, Row, fact_of, incident_id, new_alert, placed, report_fact
from events.moves import Does, Move
from events.rules import TIME_DRIVEN
from events.silence import Silent
from iot.registry import Device

ENGINE = "system:engine"
#: Facts that ended so long ago can no more be joined by anything that is not late beyond measure.
KEEP_US = 2 * 3600 * 1_000_000

_ACTIONS = {
    Does.CLEAR: alarm.Action.CLEAR,
    Does.REVIVE: alarm.Action.REVIVE,
    Does.AMEND: alarm.Action.AMEND,
    Does.WITHDRAW: alarm.Action.WITHDRAW,
}


#: (rule, subject) → onset of what stands ↦ what should stand.
Judge = Callable[[Mapping[tuple[str, str], int]], Sequence[Silent]]


class Stale(Exception):
    """People changed an incident after we last looked: look again, then decide again."""


@dataclass(slots=True)
class News:
    """What a transaction tells the others, and what it did."""

    changes: list[Change] = field(default_factory=list)
    alerts: int = 0
    incidents: int = 0

    def alert(self, row: Row, action: str) -> None:
        body = {"state": row["state"], "level": row["level"], "domain": row["domain"], "action": action}
        self.changes.append(Change("alerts", row["id"], body))

    def incident(self, row: Row, action: str) -> None:
        body = {"state": row["state"], "type": row["type"], "level": row["level"], "action": action}
        self.changes.append(Change("incidents", row["id"], body))


class Writer:
    """Applies what the engine decided. `load` first; after an exception `load` again, then apply the same again."""

    def __init__(self, connection: AsyncConnection[TupleRow], engine: Engine) -> None:
        self.connection = connection
        self.engine = engine
        self._versions: dict[str, int] = {}

    async def load(self, now_us: int) -> set[Group]:
        """Build the correlation anew from what is stored; groups with facts that were not grouped before."""
        engine, connection = self.engine, self.connection
        correlator = Correlator(engine.model.types.values(), engine.correlator.flow)
        since = to_datetime(now_us - KEEP_US)
        facts = {row["id"]: fact_of(row) for row in await store.rows(connection, "recent_facts", since=since)}
        for row in await store.rows(connection, "recent_reports", since=since):
            facts[row["id"]] = report_fact(row)
        evidence: dict[str, list[tuple[Fact, str]]] = {}
        for row in await store.rows(connection, "live_evidence"):
            if row["fact"] in facts:
                evidence.setdefault(row["incident"], []).append((facts[row["fact"]], row["evidence"]))
        self._versions = {}
        for row in await store.rows(connection, "live_incidents"):
            self._versions[row["id"]] = row["version"]
            if row["type"] in correlator.types and row["id"] in evidence:
                correlator.place(_standing(row), evidence[row["id"]])
        touched: set[Group] = set()
        for fact in sorted(facts.values(), key=lambda each: (each.onset_us, each.id)):
            touched |= correlator.enter(fact)
        engine.correlator = correlator
        return touched

    async def refresh(self, incidents: Collection[str], now_us: int) -> News:
        """People changed incidents, alerts or reports: look at everything anew, and say what follows."""
        touched = await self.load(now_us)
        touched |= {group for id_ in incidents if (group := self.engine.correlator.group(id_)) is not None}
        news = News()
        async with self.connection.transaction():
            await self._incidents(touched, now_us, news)
            await changes.append(self.connection, news.changes, now_us)
        return news

    async def apply(
        self, moves: Sequence[Move], cursor: int, now_us: int, *, backdated: bool = False
    ) -> News:
        """One transaction. Raises `Stale`, and what the database raises; then nothing has happened."""
        news = News()
        async with self.connection.transaction():
            touched = await self._alerts(moves, now_us, news, backdated=backdated)
            await self._incidents(touched, now_us, news)
            await store.rows(self.connection, "move_engine_cursor", cursor=cursor, now=to_datetime(now_us))
            await changes.append(self.connection, news.changes, now_us)
        return news

    # -- alerts --------------------------------------------------------------------------------------------

    async def _alerts(self, moves: Sequence[Move], now_us: int, news: News, *, backdated: bool) -> set[Group]:
        touched = await self.raise_rows(
            [
                row
                for move in moves
                if move.does is Does.RAISE and (row := self.engine.alert_row(move, backdated=backdated))
            ],
            now_us,
            news,
        )
        others = [move for move in moves if move.does is not Does.RAISE]
        if others:
            touched |= await self._change(others, now_us, news)
        return touched

    async def raise_rows(self, new: list[Row], now_us: int, news: News) -> set[Group]:
        """Store alerts that have risen, put aside where their rule is; the groups that they are in."""
        if not new:
            return set()
        held = {
            (row["rule"], row["subject"]): row
            for row in await store.rows(
                self.connection,
                "holds_of",
                rules=[row["rule"] for row in new],
                subjects=[row["subject"] for row in new],
                now=to_datetime(now_us),
            )
        }
        for row in new:
            hold = held.get((row["rule"], row["subject"]))
            design = row.pop("held", None)
            aside = alarm.State(hold["state"]) if hold else design
            state = alarm.first(aside=aside, asks=row["asks"])
            row["state"] = state.state.value
            row["aside"] = _aside(hold)
        fresh = await store.insert_alerts(self.connection, new, now_us)
        new = [row for row in new if row["id"] in fresh]
        news.alerts += len(new)
        lines = [
            (row["id"], Line("raise", ENGINE, now_us, alarm.State.NORMAL.value, row["state"], {}))
            for row in new
        ]
        await store.log_alerts(self.connection, lines)
        touched: set[Group] = set()
        for row in new:
            news.alert(row, "raise")
            if row["aside"] is None and not row["backdated"]:
                touched |= self.engine.correlator.add(fact_of(row))
        return touched

    async def _change(self, moves: Sequence[Move], now_us: int, news: News) -> set[Group]:
        """Clear, amend, revive, withdraw; what is not there or not possible any more is left as it is."""
        named = [(self._key(move), move) for move in moves]
        known = [(key, move) for key, move in named if key is not None]
        found = await store.rows(
            self.connection,
            "lock_alerts_of",
            rules=[key[0] for key, _ in known],
            subjects=[key[1] for key, _ in known],
            onsets=[to_datetime(key[2]) for key, _ in known],
        )
        by_key = {(row["rule"], row["subject"], to_us(row["onset"])): row for row in found}
        changed: dict[str, Row] = {}
        lines: list[tuple[str, Line]] = []
        touched: set[Group] = set()
        for key, move in known:
            row = by_key.pop(key, None)
            if row is None:
                continue
            try:
                state, line = alarm.act(store.alarm_of(row), _ACTIONS[move.does], ENGINE, now_us)
            except WrongState:
                by_key[key] = row
                continue
            row = _moved(store.after(row, state, line), move)
            by_key[row["rule"], row["subject"], to_us(row["onset"])] = row
            changed[row["id"]] = row
            lines.append((row["id"], line))
            touched |= self._tell_correlator(row, move)
        await store.update_alerts(self.connection, changed.values(), now_us)
        await store.log_alerts(self.connection, lines)
        for row in changed.values():
            news.alert(row, "change")
        return touched

    def _key(self, move: Move) -> tuple[str, str, int] | None:
        found = self.engine.subject(move.point)
        if found is None:
            return None
        return self.engine.rules[move.rule].key, f"{found[0].id}/{found[1]}", move.onset_us

    def _tell_correlator(self, row: Row, move: Move) -> set[Group]:
        correlator = self.engine.correlator
        if row["id"] not in correlator.facts:
            return set()
        if move.does is Does.WITHDRAW:
            return correlator.remove(row["id"])
        if move.does is Does.AMEND:
            return correlator.add(fact_of(row))
        return correlator.end(row["id"], to_us(row["returned_at"]) if row["returned_at"] else None)

    # -- incidents -----------------------------------------------------------------------------------------

    async def _incidents(self, touched: set[Group], now_us: int, news: News) -> None:
        """Bring the incidents of touched groups up to date: open, grow, merge, clear, withdraw."""
        wanted = sorted({group.incident for group in touched if group.incident})
        locked = {row["id"]: row for row in await store.rows(self.connection, "lock_incidents", ids=wanted)}
        for id_ in wanted:
            row = locked.get(id_)
            if row is None or row["version"] != self._versions.get(id_) or row["state"] not in incident.LIVE:
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
        if correlator.score(group).total < type_.open:
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
            "number": await store.next_number(self.connection, self.engine.city.day(now_us)),
        }  # fmt: skip
        if not await store.insert_incident(self.connection, row, now_us):
            return  # it was opened by these facts before, and is over
        group.incident = row["id"]
        self._versions[row["id"]] = 1
        news.incidents += 1
        line = Line("open", ENGINE, now_us, "", "open", {"score": round(seen.score, 2)})
        await store.log_incident(self.connection, row["id"], line)
        await self._evidence(group, {}, now_us)
        news.incident(row, "open")

    async def _update(self, group: Group, row: Row, now_us: int, news: News) -> None:
        """The evidence of an incident has changed."""
        known = {
            each["fact"]: each["evidence"]
            for each in await store.rows(self.connection, "evidence_of", id=group.incident)
        }
        seen = self.engine.assessor.assess(self.engine.correlator, group)
        joined, left = group.members.keys() - known.keys(), known.keys() - group.members.keys()
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
        self._versions[group.incident] = await store.update_incident(self.connection, changed, now_us)
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
        self._versions.pop(group.incident, None)
        group.incident = ""
        news.incident(changed, "merge")

    async def _withdraw(self, group: Group, locked: dict[str, Row], now_us: int, news: News) -> None:
        """Late readings took all its evidence away: it is dismissed, unless people have found it true."""
        row = locked[group.incident]
        action = incident.Action.WITHDRAW if row["state"] == "open" else incident.Action.SHRINK
        life, line = incident.act(store.life_of(row), action, ENGINE, now_us, reason="evidence withdrawn")
        changed = store.lived(row, life, now_us) | {"clear_since": to_datetime(now_us)}
        self._versions[group.incident] = await store.update_incident(self.connection, changed, now_us)
        await store.log_incident(self.connection, group.incident, line)
        known = await store.rows(self.connection, "evidence_of", id=group.incident)
        await self._leave(group.incident, [each["fact"] for each in known], now_us)
        news.incident(changed, "withdraw")
        group.incident = ""

    async def _evidence(
        self, group: Group, known: dict[str, str], now_us: int, *, acknowledged: bool = False
    ) -> None:
        """Record who joined and who left; alerts that join what a person has seen are seen."""
        facts = self.engine.correlator.facts
        joined = sorted(group.members.keys() - known.keys())
        if joined:
            values = [
                {
                    "incident": group.incident,
                    "fact": id_,
                    "evidence": group.members[id_],
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
        left = sorted(known.keys() - group.members.keys())
        if left:
            await self._leave(group.incident, left, now_us)

    async def _leave(self, incident_: str, facts: list[str], now_us: int) -> None:
        now = to_datetime(now_us)
        await store.rows(self.connection, "leave_evidence", incident=incident_, facts=facts, now=now)
        await store.rows(self.connection, "unmark_alerts", incident=incident_, facts=facts, now=now)

    # -- what time does ------------------------------------------------------------------------------------

    async def silence(self, judge: Judge, now_us: int) -> News:
        """Bring the alerts of what is driven by time up to what is so now. They are the only memory of it."""
        news = News()
        rules = [rule.key for rule in self.engine.rules if rule.decl.detector in TIME_DRIVEN]
        async with self.connection.transaction():
            rows = await store.rows(self.connection, "standing_of_rules", rules=rules)
            known = {(row["rule"], row["subject"]): row for row in rows}
            silent = judge({key: to_us(row["onset"]) for key, row in known.items()})
            wanted = {(each.rule.key, each.subject): each for each in silent}
            new = [self._silent_row(each) for key, each in wanted.items() if key not in known]
            await self.raise_rows(new, now_us, news)
            changed: dict[str, Row] = {}
            lines: list[tuple[str, Line]] = []
            for key, row in known.items():
                action = _due(row, wanted.get(key))
                if action is None:
                    continue
                state, line = alarm.act(store.alarm_of(row), action, ENGINE, now_us)
                new_row = store.after(row, state, line)
                if action is alarm.Action.CLEAR:
                    new_row["returned_at"] = to_datetime(now_us)
                changed[row["id"]] = new_row
                lines.append((row["id"], line))
                news.alert(new_row, action.value)
            await store.update_alerts(self.connection, changed.values(), now_us)
            await store.log_alerts(self.connection, lines)
            await changes.append(self.connection, news.changes, now_us)
        return news

    async def expire(self, now_us: int) -> News:
        """End shelves whose time is over: what still stands is there again, for the correlation too."""
        news = News()
        async with self.connection.transaction():
            touched: set[Group] = set()
            for hold in await store.rows(self.connection, "expired_holds", now=to_datetime(now_us)):
                for row in await store.rows(self.connection, "lock_alerts_aside", **hold):
                    state, line = alarm.act(store.alarm_of(row), alarm.Action.EXPIRE, ENGINE, now_us)
                    new_row = store.after(row, state, line)
                    await store.update_alerts(self.connection, [new_row], now_us)
                    await store.log_alerts(self.connection, [(row["id"], line)])
                    news.alert(new_row, line.action)
                    if row["standing"] and row["incident"] is None:
                        touched |= self.engine.correlator.add(fact_of(new_row))
            await self._incidents(touched, now_us, news)
            await changes.append(self.connection, news.changes, now_us)
        return news

    def _silent_row(self, silent: Silent) -> Row:
        version = self.engine.model.rules.version
        row = new_alert(silent.rule, version, silent.subject, silent.since_us, silent.since_us)
        row.update(level=silent.level, held=alarm.State.SUPPRESSED if silent.suppressed else None)
        devices = [silent.device] if silent.device else self._behind(silent.subject)
        if devices:
            row.update(placed(devices[0]))
            row.update(
                lon=float(np.mean([d.lon for d in devices])), lat=float(np.mean([d.lat for d in devices]))
            )
        if silent.device is None:
            row.update(device="", zone="", asset="", domain=silent.rule.domain)
        return row

    def _behind(self, subject: str) -> list[Device]:
        """The devices that a gateway, a street or the city stands for."""
        what, _, name = subject.partition(":")
        devices = list(self.engine.registry.devices.values())
        if what in ("gateway", "area"):
            return [device for device in devices if getattr(device, what) == name]
        return devices

    async def resolve_quiet(self, linger_us: int, now_us: int) -> News:
        """Resolve incidents none of whose anchors has stood for the linger, and that no case holds open."""
        news = News()
        async with self.connection.transaction():
            before = to_datetime(now_us - linger_us)
            due = [
                row["id"]
                for row in await store.rows(self.connection, "incidents_to_resolve", before=before)
                if row["id"] in self._versions
            ]
            for row in await store.rows(self.connection, "lock_incidents", ids=due):
                if row["version"] != self._versions[row["id"]]:
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
            await changes.append(self.connection, news.changes, now_us)
        for change in news.changes:
            group = self.engine.correlator.group(change.key)
            if group is not None:
                self.engine.correlator.close(group)
            self._versions.pop(change.key, None)
        return news


async def acknowledge(
    connection: AsyncConnection[TupleRow] | store.Any_, alerts: Sequence[str], actor: str, now_us: int
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


def _standing(row: Row) -> Standing:
    taken_up = row["acknowledged_at"] is not None or row["state"] == "confirmed" or bool(row["cases"])
    return Standing(row["id"], row["type"], taken_up, frozenset(row["apart"]))


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


def _moved(row: Row, move: Move) -> Row:
    """What a move says about an alert beside its state."""
    if move.does is Does.CLEAR:
        return {**row, "returned_at": to_datetime(move.returned_us or move.at_us), "peak": move.peak}
    if move.does is Does.AMEND:
        return {**row, "onset": to_datetime(move.to_us)}
    if move.does is Does.REVIVE:
        return {**row, "returned_at": None}
    return {**row, "withdrawn": True, "returned_at": row["returned_at"] or row["onset"]}


def _due(row: Row, silent: Silent | None) -> alarm.Action | None:
    """What must happen to a standing alert of silence."""
    if silent is None:
        return alarm.Action.CLEAR
    if silent.suppressed and row["state"] not in alarm.ASIDE:
        return alarm.Action.SUPPRESS
    if not silent.suppressed and row["state"] == alarm.State.SUPPRESSED:
        return alarm.Action.UNSUPPRESS
    return None


def _aside(hold: Row | None) -> dict[str, object] | None:
    if hold is None:
        return None
    until = hold["until"]
    return {"reason": hold["reason"], "by": hold["by"], "until": until.isoformat() if until else None}


def _order(group: Group) -> tuple[bool, str, str]:
    """Merged ones last: what takes them in is there then."""
    return (group.into is not None, group.incident, min(group.anchors, default=""))
