"""What people do to alerts and incidents: one function a noun, inside a transaction that the edge opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core import changes
from core.access import Policy, Scope
from core.actor import Actor
from core.changes import Change
from core.clock import DAY_US, rfc3339, to_datetime, to_us
from core.db import DictConnection
from core.errors import Invalid, NotFound, WrongState
from events import alarm, incident, store
from events.alarm import Line
from events.engine import Row, incident_id
from events.incident_writer import acknowledge
from events.views import alert_json, incident_json

#: Nobody shelves for longer: who wants to must say so again.
LONGEST_SHELF_US = 7 * DAY_US
_HOLDS = {
    alarm.Action.SHELVE: alarm.State.SHELVED,
    alarm.Action.OUT_OF_SERVICE: alarm.State.OUT_OF_SERVICE,
}
_ENDS = {
    alarm.Action.UNSHELVE: alarm.State.SHELVED,
    alarm.Action.RETURN_TO_SERVICE: alarm.State.OUT_OF_SERVICE,
}


async def act_on_alert(
    connection: DictConnection, id_: str, action: str, actor: Actor, now_us: int, **fields: object
) -> dict[str, Any]:
    """Do an action to an alert; the alert as the API shows it.

    Raises `NotFound`, `Invalid`, `WrongState`. A life-safety alert is shelved when a second person asks the same.
    """
    row = await store.one(connection, "lock_alerts", ids=[id_])
    if row is None:
        raise NotFound(id=id_)
    wanted = _action(alarm.Action, alarm.OF_PEOPLE, action)
    until_us = _until(wanted, fields, now_us)
    named = {**fields, **({"until_us": until_us} if until_us else {})}
    changed, line = alarm.act(store.alarm_of(row), wanted, actor.id, now_us, **named)
    if wanted is alarm.Action.SHELVE and row["class"] == "life" and not _seconded(row, actor):
        row["aside"] = {"asked_by": actor.id, "reason": fields["reason"]}
        line = Line("shelve_asked", actor.id, now_us, row["state"], row["state"], _plain(fields))
        return await _keep(connection, row, line, now_us)
    row = store.after(
        row, changed, Line(line.action, line.actor, now_us, line.before, line.after, _plain(fields))
    )
    if wanted in _HOLDS:
        row["aside"] = {
            "reason": fields["reason"],
            "by": actor.id,
            "until": rfc3339(until_us) if until_us else None,
        }
        await store.rows(
            connection, "put_hold",
            rule=row["rule"], subject=row["subject"], state=_HOLDS[wanted].value, reason=fields["reason"],
            by=actor.id, until=store.moment(until_us), now=to_datetime(now_us),
        )  # fmt: skip
    elif wanted in _ENDS:
        await store.rows(
            connection, "end_hold", rule=row["rule"], subject=row["subject"], state=_ENDS[wanted].value
        )
    line = Line(line.action, line.actor, line.at_us, line.before, line.after, _plain(fields))
    return await _keep(connection, row, line, now_us)


async def _keep(connection: DictConnection, row: Row, line: Line, now_us: int) -> dict[str, Any]:
    await store.update_alerts(connection, [row], now_us)
    await store.log_alerts(connection, [(row["id"], line)])
    body = {"state": row["state"], "action": line.action, "by": "people"}
    await changes.append(connection, [Change("alerts", row["id"], body)], now_us)
    return alert_json(row)


def _action(kind: type[Any], of_people: frozenset[Any], action: str) -> Any:  # noqa: ANN401 - of either table
    try:
        wanted = kind(action)
    except ValueError:
        raise Invalid("error.unknown_action", field="action", value=action) from None
    if wanted not in of_people:
        raise Invalid("error.unknown_action", field="action", value=action)
    return wanted


def _until(action: alarm.Action, fields: Mapping[str, object], now_us: int) -> int | None:
    until = fields.get("until")
    if action is not alarm.Action.SHELVE or until is None:
        return None
    until_us = to_us(until)  # type: ignore[arg-type] # the edge gives a datetime
    if not now_us < until_us <= now_us + LONGEST_SHELF_US:
        raise Invalid("error.shelf_too_long", field="until", days=LONGEST_SHELF_US // DAY_US)
    return until_us


def _seconded(row: Row, actor: Actor) -> bool:
    asked = (row["aside"] or {}).get("asked_by")
    return asked is not None and asked != actor.id


def _plain(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


# -- incidents -----------------------------------------------------------------------------------------------


async def act_on_incident(
    connection: DictConnection, id_: str, action: str, actor: Actor, now_us: int, **fields: object
) -> dict[str, Any]:
    """Do an action to an incident; the incident as the API shows it.

    The dispatch says `case_opened{case}` and `case_closed{case}` as a part of ourselves; an incident with an open
    case is not resolved by its sensors alone. Raises `NotFound`, `Invalid`, `WrongState`.
    """
    of_system = frozenset({incident.Action.CASE_OPENED, incident.Action.CASE_CLOSED})
    allowed = incident.OF_PEOPLE | (of_system if "system" in actor.roles else frozenset())
    wanted = _action(incident.Action, allowed, action)
    into = str(fields["into"]) if wanted is incident.Action.MERGE and fields.get("into") else ""
    locked = {
        row["id"]: row
        for row in await store.rows(connection, "lock_incidents", ids=sorted({id_, into} - {""}))
    }
    row = locked.get(id_)
    if row is None:
        raise NotFound(id=id_)
    if into and (into not in locked or into == id_ or locked[into]["state"] not in incident.LIVE):
        raise Invalid("error.bad_merge", field="into", value=into)
    life, line = incident.act(store.life_of(row), wanted, actor.id, now_us, **_plain(fields))
    changed = store.lived(row, life, now_us)
    if wanted is incident.Action.MERGE:
        changed["merged_into"] = into
        await _move_evidence(connection, row, locked[into], now_us)
    if wanted is incident.Action.SPLIT:
        fields["split_off"] = await _split(connection, changed, fields["alerts"], actor, now_us)
        line = Line(line.action, line.actor, line.at_us, line.before, line.after, _plain(fields))
    if wanted in (incident.Action.ACKNOWLEDGE, incident.Action.CONFIRM) or life.state not in incident.LIVE:
        evidence = await store.rows(connection, "evidence_of", id=id_)
        await acknowledge(connection, [each["fact"] for each in evidence], actor.id, now_us)
    changed["version"] = await store.update_incident(connection, changed, now_us)
    await store.log_incident(connection, id_, line)
    told = [id_, *([into] if into else []), *([str(fields["split_off"])] if "split_off" in fields else [])]
    body = {
        "state": changed["state"],
        "type": row["type"],
        "action": wanted.value,
        "by": "people",
        **_asked(fields),
    }
    await changes.append(connection, [Change("incidents", each, body) for each in told], now_us)
    return incident_json(changed)


def _asked(fields: Mapping[str, object]) -> dict[str, object]:
    """What the dispatch needs to know of an action: the plan to start, the case to open."""
    names = ("plan", "code", "lead", "assisting", "into", "split_off")
    return {name: fields[name] for name in names if fields.get(name) is not None}


async def _move_evidence(connection: DictConnection, row: Row, into: Row, now_us: int) -> None:
    """All evidence of a merged incident becomes that of the one it is part of."""
    now = to_datetime(now_us)
    evidence = await store.rows(connection, "incident_facts", id=row["id"])
    there = {each["fact"] for each in await store.rows(connection, "evidence_of", id=into["id"])}
    standing = [each for each in evidence if each["left_at"] is None]
    facts = [each["fact"] for each in standing]
    values = [
        {"incident": into["id"], "fact": each["fact"], "evidence": each["evidence"], "what": each["what"]}
        for each in standing
        if each["fact"] not in there
    ]
    await store.rows(connection, "leave_evidence", incident=row["id"], facts=facts, now=now)
    await store.rows(connection, "join_evidence", rows=store.records(values), now=now)
    await store.rows(
        connection, "mark_alerts", incident=into["id"], facts=facts, instead=[row["id"]], now=now
    )
    grown = {**into, "level": min(into["level"], row["level"])}
    await store.update_incident(connection, grown, now_us)
    line = Line("take_in", "system:merge", now_us, into["state"], into["state"], {"merged": row["id"]})
    await store.log_incident(connection, into["id"], line)


async def _split(connection: DictConnection, row: Row, alerts: object, actor: Actor, now_us: int) -> str:
    """Some alerts of an incident become one of their own, and the two are never joined by ourselves again."""
    evidence = [
        e for e in await store.rows(connection, "incident_facts", id=row["id"]) if e["left_at"] is None
    ]
    wanted = set(alerts) if isinstance(alerts, list) else set()
    going = [each for each in evidence if each["fact"] in wanted and each["rule"] is not None]
    if not going or len(going) != len(wanted) or len(going) == len(evidence):
        raise Invalid("error.bad_split", field="alerts")
    now = to_datetime(now_us)
    new: Row = {
        **row, "id": incident_id(row["type"], f"{row['id']}/{min(wanted)}"), "state": "open",
        "number": await store.next_number(connection, row["number"].split("-")[1]),
        "level": min(each["level"] for each in going), "priority": row["priority"], "apart": [row["id"]],
        "started_at": min(each["onset"] for each in going),
        "lon": sum(each["lon"] for each in going) / len(going),
        "lat": sum(each["lat"] for each in going) / len(going),
        "clear_since": None if any(each["standing"] for each in going) else now, "causes": [],
    }  # fmt: skip
    if not await store.insert_incident(connection, new, now_us):
        raise WrongState(row["state"], [])
    row["apart"] = [*row["apart"], new["id"]]
    facts = sorted(wanted)
    await store.rows(connection, "leave_evidence", incident=row["id"], facts=facts, now=now)
    values = [
        {"incident": new["id"], "fact": each["fact"], "evidence": each["evidence"], "what": each["what"]}
        for each in going
    ]
    await store.rows(connection, "join_evidence", rows=store.records(values), now=now)
    await store.rows(connection, "mark_alerts", incident=new["id"], facts=facts, instead=[row["id"]], now=now)
    line = Line("open", actor.id, now_us, "", "open", {"split_from": row["id"]})
    await store.log_incident(connection, new["id"], line)
    return str(new["id"])


async def report(
    connection: DictConnection,
    actor: Actor,
    now_us: int,
    **fields: Any,  # noqa: ANN401 - checked at the edge
) -> dict[str, Any]:
    """Keep what a person reports or enters: evidence like any other, which the engine weighs within a second."""
    row = {
        "ends_at": None,
        "words": "",
        "source": "",
        "asset": "",
        "zone": "",
        "area": "",
        "provenance": "real",
        **fields,
    }
    await store.rows(connection, "insert_report", **row, by=actor.id, now=to_datetime(now_us))
    await changes.append(connection, [Change("reports", row["id"], {"kind": row["kind"]})], now_us)
    return {**row, "by": actor.id}


async def require(policy: Policy, actor: Actor, action: str, connection: DictConnection, id_: str) -> None:
    """The service's own question: may this person do this to this very alert or incident?"""
    query = "get_alert" if action.startswith("alert") else "get_incident"
    row = await store.one(connection, query, id=id_)
    if row is None:
        raise NotFound(id=id_)
    policy.require(actor, action, Scope(area=row["area"]))
