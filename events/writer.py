"""The engine's transactions: moves → alerts → evidence → incidents → news → cursor, all or nothing.

Everything is written through the one connection that holds the ENGINE lock: who lost it cannot write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from core import changes
from core.clock import to_datetime, to_us
from events import store
from events.alert_writer import AlertWriter, Judge
from events.background import MEMORY_US, Background
from events.correlate import Correlator
from events.engine import Engine, Row, fact_of, incident_fact, place_of_row, report_fact
from events.facts import Fact, Group, Standing
from events.guards import PROTECT
from events.incident_writer import IncidentWriter
from events.moves import Move
from events.news import News
from events.permits import PERMIT, SEASON, Permit, Permits

#: Facts that ended so long ago can no more be joined by anything that is not late beyond measure.
KEEP_US = 2 * 3600 * 1_000_000


class Writer:
    """Applies what the engine decided. `load` first; after an exception `load` again, then apply the same again."""

    def __init__(self, connection: AsyncConnection[TupleRow], engine: Engine, permits: Permits) -> None:
        self.connection = connection
        self.engine = engine
        self.permits = permits
        self._alerts = AlertWriter(connection, engine, permits)
        self._incidents = IncidentWriter(connection, engine)
        #: Groups for which an incident that is over was evidence: looked at with the next tick.
        self._left: set[Group] = set()

    async def load(self, now_us: int) -> set[Group]:
        """Build the correlation anew from what is stored; groups whose facts are not those that are stored of them."""
        engine, connection = self.engine, self.connection
        since = to_datetime(now_us - KEEP_US)
        background = Background(engine.speakers)
        came_since = to_datetime(now_us - KEEP_US - MEMORY_US)
        for row in await store.rows(connection, "recent_onsets", since=came_since):
            background.note(row["rule"], row["id"], to_us(row["onset"]))
        correlator = Correlator(engine.model.types.values(), engine.correlator.world, background)
        facts = {row["id"]: fact_of(row) for row in await store.rows(connection, "recent_facts", since=since)}
        reports = await store.rows(connection, "recent_reports", since=since)
        facts |= {row["id"]: report_fact(row) for row in reports}
        for row in await store.rows(connection, "recent_incidents", since=since):
            if correlator.hears(f"incident.{row['type']}"):
                facts[row["id"]] = incident_fact(row)
        self.permits.take(
            _permit(row, now_us) for row in reports if row["kind"].startswith((PERMIT, SEASON, PROTECT))
        )
        evidence: dict[str, list[tuple[Fact, str]]] = {}
        poorer: set[str] = set()
        for row in await store.rows(connection, "live_evidence"):
            if row["fact"] in facts:
                evidence.setdefault(row["incident"], []).append((facts[row["fact"]], row["evidence"]))
            elif row["what"].startswith("incident."):
                poorer.add(row["incident"])
        self._incidents.versions, self._left = {}, set()
        touched: set[Group] = set()
        for row in await store.rows(connection, "live_incidents"):
            self._incidents.versions[row["id"]] = row["version"]
            if row["type"] in correlator.types and row["id"] in evidence:
                group = correlator.place(_standing(row), evidence[row["id"]])
                over = row["clear_since"] is None and all(facts[id_].end_us for id_ in group.anchors)
                if over or row["id"] in poorer:
                    touched.add(group)
        for fact in sorted(facts.values(), key=lambda each: (each.onset_us, each.id)):
            touched |= correlator.enter(fact)
        engine.correlator = correlator
        return touched

    async def refresh(self, incidents: Collection[str], now_us: int) -> News:
        """People changed incidents, alerts or reports: look at everything anew, and say what follows."""
        touched = await self.load(now_us)
        touched |= {group for id_ in incidents if (group := self.engine.correlator.group(id_)) is not None}
        async with self._transaction(now_us) as news:
            await self._incidents.apply(touched, now_us, news)
        return news

    async def apply(
        self, moves: Sequence[Move], cursor: int, now_us: int, *, backdated: bool = False
    ) -> News:
        """What batches led to. Raises `Stale`, and what the database raises; then nothing has happened."""
        async with self._transaction(now_us) as news:
            touched = await self._alerts.apply(moves, now_us, news, backdated=backdated)
            await self._incidents.apply(touched, now_us, news)
            await self._move_cursor(cursor, now_us)
        return news

    async def tick(
        self, moves: Sequence[Move], judge: Judge, linger_us: int, cursor: int, now_us: int
    ) -> News:
        """What time led to: delays that are over, silence, shelves and permits that end, incidents that are over."""
        async with self._transaction(now_us) as news:
            touched = await self._alerts.apply(moves, now_us, news)
            await self._alerts.judge(judge, now_us, news)
            touched |= await self._alerts.expire(now_us, news)
            touched |= await self._alerts.mute(now_us, news) | self._left
            await self._incidents.apply(touched, now_us, news)
            resolved = await self._incidents.resolve_quiet(linger_us, now_us, news)
            await self._move_cursor(cursor, now_us)
        self._left = self._incidents.forget(resolved, now_us)
        self.engine.correlator.forget_before(now_us - KEEP_US)
        return news

    async def _move_cursor(self, cursor: int, now_us: int) -> None:
        await store.rows(self.connection, "move_engine_cursor", cursor=cursor, now=to_datetime(now_us))

    @asynccontextmanager
    async def _transaction(self, now_us: int) -> AsyncIterator[News]:
        """A transaction whose last step is its news."""
        news = News()
        async with self.connection.transaction():
            yield news
            await changes.append(self.connection, news.changes, now_us)


def _standing(row: Row) -> Standing:
    taken_up = row["acknowledged_at"] is not None or row["state"] == "confirmed" or bool(row["cases"])
    return Standing(row["id"], row["type"], taken_up, frozenset(row["apart"]))


def _permit(row: Row, now_us: int) -> Permit:
    """A report of what is allowed; without an end it holds until it is forgotten."""
    until_us = to_us(row["ends_at"]) if row["ends_at"] else now_us + KEEP_US
    return Permit(row["kind"], place_of_row(row, ""), to_us(row["at"]), until_us)
