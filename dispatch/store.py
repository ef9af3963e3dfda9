"""Cases, orders, crews and what belongs to them at rest. Every change is stored with its log line and its news.

All functions work inside the caller's transaction; rows come as dicts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from psycopg.types.json import Jsonb

from core import changes
from core.changes import Change
from core.clock import to_datetime, to_us
from core.db import DictConnection
from core.errors import NotFound
from core.sql import Queries
from dispatch.cases import Application, Asked, Case, CaseState, Part, Source
from dispatch.city import City
from dispatch.crews import Crew
from dispatch.limits import Limit, Running
from dispatch.machine import LogLine
from dispatch.messages import Message
from dispatch.orders import Order, OrderState

QUERIES = Queries.of(__file__)
Row = Mapping[str, Any]


def natural_id(kind: str, *parts: object) -> str:
    """An opaque id derived from what makes a thing what it is: two instances agree on it."""
    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode()).hexdigest()
    return f"{kind}_{digest[:20]}"


def when(time_us: int | None) -> datetime | None:
    return None if time_us is None else to_datetime(time_us)


def us(moment: datetime | None) -> int | None:
    return None if moment is None else to_us(moment)


async def rows(connection: DictConnection, query: str, **params: object) -> list[dict[str, Any]]:
    return await (await connection.execute(QUERIES[query], params)).fetchall()


async def row(connection: DictConnection, query: str, **params: object) -> dict[str, Any] | None:
    return await (await connection.execute(QUERIES[query], params)).fetchone()


async def one(connection: DictConnection, query: str, **params: object) -> dict[str, Any]:
    """The row. Raises `NotFound`."""
    found = await row(connection, query, **params)
    if found is None:
        raise NotFound
    return found


async def run(connection: DictConnection, query: str, **params: object) -> int:
    return (await connection.execute(QUERIES[query], params)).rowcount


async def take_number(connection: DictConnection, prefix: str, now_us: int, zone: ZoneInfo) -> str:
    """The next number of a series as people see it: `AJ-20261121-0007`."""
    day = to_datetime(now_us).astimezone(zone).strftime("%Y%m%d")
    taken = await row(connection, "take_number", prefix=prefix, day=day)
    assert taken is not None
    return f"{prefix}-{day}-{taken['last']:04d}"


# -- cases --------------------------------------------------------------------------------------------------


async def lock_case(connection: DictConnection, case: str) -> Case:
    """The case, held to the end of the transaction. Raises `NotFound`."""
    found = await row(connection, "lock_case", id=case)
    if found is None:
        raise NotFound
    return (await _with_parts(connection, [found]))[0]


async def find_case(connection: DictConnection, case: str) -> Case:
    """By id or number. Raises `NotFound`."""
    found = await row(connection, "find_case", id=case)
    if found is None:
        raise NotFound
    return (await _with_parts(connection, [found]))[0]


async def cases_by(connection: DictConnection, query: str, **params: object) -> list[Case]:
    """The cases that a query of `queries.sql` lists."""
    return await _with_parts(connection, await rows(connection, query, **params))


async def _with_parts(connection: DictConnection, found: Sequence[Row]) -> list[Case]:
    if not found:
        return []
    ids = [each["id"] for each in found]
    parts = await rows(connection, "parts_of", ids=ids)
    applications = await rows(connection, "applications_of", ids=ids)
    return [_case(each, parts, applications) for each in found]


def _case(found: Row, parts: Iterable[Row], applications: Iterable[Row]) -> Case:
    return Case(
        id=found["id"],
        number=found["number"],
        code=found["code"],
        source=Source(found["source"]),
        state=CaseState(found["state"]),
        incident=found["incident"],
        incident_type=found["incident_type"],
        domain=found["domain"],
        title=found["title"],
        priority=found["priority"],
        level=found["level"],
        provenance=found["provenance"],
        drill=found["drill"],
        plan=found["plan"],
        lon=found["lon"],
        lat=found["lat"],
        place=found["place"],
        area=found["area"],
        limit=Limit.model_validate(found["limits"]),
        reported_us=to_us(found["created_at"]),
        since_us=to_us(found["since"]),
        verified=found["verified"],
        checked=found["checked"],
        claimed_by=found["claimed_by"],
        claimed_us=found["claimed_us"],
        parts=tuple(_part(each) for each in parts if each["case_id"] == found["id"]),
        applications=tuple(_application(each) for each in applications if each["case_id"] == found["id"]),
        dispatchers=frozenset(found["dispatchers"]),
        times_us=found["times"],
        returns=found["returns"],
        reworks=found["reworks"],
        extensions=found["extensions"],
        suspensions=found["suspensions"],
        supervised=found["supervised"],
        forced=found["forced"],
        exempt=found["exempt"],
        ruled=found["ruled"],
        satisfied=found["satisfied"],
        overruled=found["overruled"],
    )


def _part(found: Row) -> Part:
    limit = Limit.model_validate(found["limits"])
    clock = Running(limit, to_us(found["from_at"]), found["left_us"], us(found["stopped_at"]))
    return Part(
        found["department"],
        found["lead"],
        clock,
        found["attempt"],
        us(found["accepted_at"]),
        us(found["finished_at"]),
        found["late"],
        to_us(found["due_at"]),
        to_us(found["yellow_at"]),
    )


def _application(found: Row) -> Application:
    return Application(
        found["id"],
        Asked(found["kind"]),
        found["department"],
        found["by"],
        to_us(found["at"]),
        found["reason"],
        found["amount"],
        found["granted"],
        tuple(found["approvals"]),
        us(found["decided_at"]),
        found["answer"],
    )


async def insert_case(connection: DictConnection, case: Case, line: LogLine) -> bool:
    """A new case with its first log line; False when it exists already, and then nothing happened."""
    made = await row(
        connection, "insert_case",
        id=case.id, number=case.number, code=case.code, source=case.source, state=case.state,
        incident=case.incident, incident_type=case.incident_type, domain=case.domain,
        title=Jsonb(case.title), priority=case.priority, level=case.level, provenance=case.provenance,
        drill=case.drill, plan=case.plan, lon=case.lon, lat=case.lat, place=case.place, area=case.area,
        limits=Jsonb(case.limit.model_dump()), times=Jsonb(case.times_us), now=to_datetime(case.reported_us),
    )  # fmt: skip
    if made is not None:
        await log(connection, "log_case", case.id, line)
    return made is not None


async def save_case(connection: DictConnection, before: Case, case: Case, line: LogLine, city: City) -> None:
    """Store a step of a case: its row, what changed of its parts and applications, and the log line."""
    closed = case.times_us.get(CaseState.CLOSED) if case.state == CaseState.CLOSED else None
    await run(
        connection, "update_case",
        id=case.id, state=case.state, since=to_datetime(case.since_us), code=case.code,
        incident=case.incident, priority=case.priority, level=case.level,
        limits=Jsonb(case.limit.model_dump()), verified=case.verified, checked=case.checked,
        claimed_by=case.claimed_by, claimed_us=case.claimed_us, dispatchers=sorted(case.dispatchers),
        times=Jsonb(case.times_us), returns=case.returns, reworks=case.reworks, extensions=case.extensions,
        suspensions=case.suspensions, supervised=case.supervised, forced=case.forced, exempt=case.exempt,
        ruled=case.ruled, satisfied=case.satisfied, overruled=case.overruled, closed_at=when(closed),
        now=to_datetime(line.at_us),
    )  # fmt: skip
    if case.parts != before.parts:
        await _save_parts(connection, case, city)
    for application in case.applications:
        if application not in before.applications:
            await _save_application(connection, case.id, application)
    await log(connection, "log_case", case.id, line)


async def _save_parts(connection: DictConnection, case: Case, city: City) -> None:
    await run(connection, "delete_parts", id=case.id)
    for part in case.parts:
        clock, calendar = part.clock, city.calendar
        await run(
            connection, "insert_part",
            case_id=case.id, department=part.department, lead=part.lead, attempt=part.attempt,
            limits=Jsonb(clock.limit.model_dump()), from_at=to_datetime(clock.from_us),
            left_us=clock.left_us, stopped_at=when(clock.stopped_us),
            due_at=to_datetime(clock.due_us(calendar)),
            yellow_at=to_datetime(clock.share_us(calendar, city.rules.yellow_share)),
            accepted_at=when(part.accepted_us), finished_at=when(part.finished_us), late=part.late,
        )  # fmt: skip


async def _save_application(connection: DictConnection, case: str, application: Application) -> None:
    await run(
        connection, "upsert_application",
        case_id=case, id=application.id, kind=application.kind, department=application.department,
        by=application.by, at=to_datetime(application.at_us), reason=application.reason,
        amount=application.amount, granted=application.granted, approvals=list(application.approvals),
        decided_at=when(application.decided_us), answer=application.answer,
    )  # fmt: skip


async def log(connection: DictConnection, query: str, subject: str, line: LogLine) -> None:
    await run(
        connection, query,
        id=subject, at=to_datetime(line.at_us), by=line.by, action=line.action, before=line.before,
        after=line.after, reason=line.reason, detail=Jsonb(line.detail),
    )  # fmt: skip


# -- orders -------------------------------------------------------------------------------------------------


async def lock_order(connection: DictConnection, order: str) -> Order:
    """The order, held to the end of the transaction. Raises `NotFound`."""
    found = await row(connection, "lock_order", id=order)
    if found is None:
        raise NotFound
    return order_of(found)


async def find_order(connection: DictConnection, order: str) -> Order:
    """By id or number. Raises `NotFound`."""
    found = await row(connection, "find_order", id=order)
    if found is None:
        raise NotFound
    return order_of(found)


async def orders_by(connection: DictConnection, query: str, **params: object) -> list[Order]:
    return [order_of(found) for found in await rows(connection, query, **params)]


def order_of(found: Row) -> Order:
    return Order(
        id=found["id"],
        number=found["number"],
        case=found["case_id"],
        incident=found["incident"],
        crew=found["crew"],
        department=found["department"],
        task=found["task"],
        attempt=found["attempt"],
        state=OrderState(found["state"]),
        priority=found["priority"],
        level=found["level"],
        provenance=found["provenance"],
        lon=found["lon"],
        lat=found["lat"],
        place=found["place"],
        created_us=to_us(found["created_at"]),
        proposed_by=found["proposed_by"],
        arrive_by_us=us(found["arrive_by"]),
        travel_s=found["travel_s"],
        why=tuple(found["why"]),
        times_us=found["times"],
        support=found["support"],
        overruled=found["overruled"],
    )


async def insert_order(connection: DictConnection, order: Order, line: LogLine) -> None:
    await run(
        connection, "insert_order",
        id=order.id, number=order.number, case_id=order.case, incident=order.incident, crew=order.crew,
        department=order.department, task=order.task, attempt=order.attempt, state=order.state,
        priority=order.priority, level=order.level, provenance=order.provenance, lon=order.lon, lat=order.lat,
        place=order.place, proposed_by=order.proposed_by, arrive_by=when(order.arrive_by_us), travel_s=order.travel_s,
        why=Jsonb(list(order.why)), times=Jsonb(order.times_us), now=to_datetime(order.created_us),
    )  # fmt: skip
    await log(connection, "log_order", order.id, line)


async def save_order(connection: DictConnection, order: Order, line: LogLine) -> None:
    """Store a step of an order and its log line."""
    await run(
        connection, "update_order",
        id=order.id, state=order.state, times=Jsonb(order.times_us), support=order.support,
        overruled=order.overruled, sent_by=line.by if line.action == "send" else "",
        now=to_datetime(line.at_us),
    )  # fmt: skip
    await log(connection, "log_order", order.id, line)


# -- crews, departments, duty list --------------------------------------------------------------------------


async def crews(
    connection: DictConnection, crew: str | None = None, provenance: str | None = "real"
) -> list[Crew]:
    """Crews, or one; those of drills only where `provenance` is `drill`, all when it is None."""
    found = await rows(connection, "all_crews", id=crew, provenance=provenance)
    return [crew_of(each) for each in found]


def crew_of(found: Row) -> Crew:
    placed = found["lon"] is not None and found["lat"] is not None
    return Crew(
        id=found["id"],
        name={"zh": found["name_zh"], "en": found["name_en"]},
        department=found["department"],
        kind=found["kind"],
        skills=frozenset(found["skills"]),
        equipment=frozenset(found["equipment"]),
        members=found["members"],
        area=found["area"],
        depot=(found["depot_lon"], found["depot_lat"]),
        duty=found["duty"],
        duty_since_us=to_us(found["duty_since"]),
        position=(found["lon"], found["lat"]) if placed else None,
        position_us=us(found["position_at"]),
        provenance=found["provenance"],
        phone=found["phone"],
        order=found["order_id"] or "",
        order_state=found["order_state"] or "",
        case=found["order_case"] or "",
        finished_us=us(found["finished_at"]),
        orders_this_duty=found["orders_this_duty"],
    )


async def put_crews(connection: DictConnection, crew_rows: Iterable[Row], now_us: int) -> None:
    """Insert or change crews. Keys: id, name_zh, name_en, department, kind, skills, equipment, depot_lon, depot_lat;
    optional members, area, duty, lon, lat, provenance, phone.
    """
    changed: list[Change] = []
    for given in crew_rows:
        placed = given.get("lon") is not None
        await run(
            connection, "upsert_crew",
            id=given["id"], name_zh=given["name_zh"], name_en=given["name_en"],
            department=given["department"], kind=given.get("kind", ""), skills=list(given.get("skills", ())),
            equipment=list(given.get("equipment", ())), members=given.get("members", 2),
            area=given.get("area", ""), depot_lon=given["depot_lon"], depot_lat=given["depot_lat"],
            duty=given.get("duty", "on"), lon=given.get("lon"), lat=given.get("lat"),
            position_at=to_datetime(now_us) if placed else None, provenance=given.get("provenance", "real"),
            phone=given.get("phone", ""), now=to_datetime(now_us),
        )  # fmt: skip
        changed.append(Change("crews", given["id"]))
    await changes.append(connection, changed, now_us)


async def put_departments(connection: DictConnection, departments: Iterable[Row], now_us: int) -> None:
    """Insert or change departments. Keys: id, name_zh, name_en; optional kind, phone."""
    for given in departments:
        await run(
            connection, "upsert_department",
            id=given["id"], name_zh=given["name_zh"], name_en=given["name_en"],
            kind=given.get("kind", "department"), phone=given.get("phone", ""), now=to_datetime(now_us),
        )  # fmt: skip


async def put_duty_list(connection: DictConnection, duties: Iterable[Row], now_us: int) -> None:
    """Insert or change rows of the duty list. Keys: code ('' = any), lead; optional area, assisting, fallback."""
    for given in duties:
        await run(
            connection, "upsert_duty",
            code=given["code"], area=given.get("area", ""), lead=given["lead"],
            assisting=list(given.get("assisting", ())), fallback=given.get("fallback", ""),
            now=to_datetime(now_us),
        )  # fmt: skip


# -- deadlines, messages, switches --------------------------------------------------------------------------


async def set_deadlines(
    connection: DictConnection, subject: str, subject_id: str, due: Mapping[str, int]
) -> None:
    """Make these the deadlines of a subject: new ones are set, moved ones may fire again, others are dropped."""
    await run(connection, "drop_deadlines", subject=subject, id=subject_id, keep=list(due))
    for kind, due_us in due.items():
        await run(
            connection, "set_deadline", subject=subject, id=subject_id, kind=kind, due=to_datetime(due_us)
        )


async def put_message(connection: DictConnection, message: Message, now_us: int) -> None:
    """Write a message that must leave, in the transaction of what it tells."""
    await run(
        connection, "put_message",
        key=message.key, channel=message.channel, receiver=message.receiver, subject=message.subject,
        subject_id=message.subject_id, payload=Jsonb(message.payload), provenance=message.provenance,
        now=to_datetime(now_us),
    )  # fmt: skip


async def is_on(connection: DictConnection, switch: str) -> bool:
    found = await row(connection, "switch", name=switch)
    return bool(found and found["on_"])
