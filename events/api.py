"""Alerts and incidents over HTTP (DESIGN §6.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.actor import Actor
from core.clock import DAY_US, rfc3339, to_datetime, to_us
from core.db import DictConnection
from core.errors import Invalid
from core.http import Allow, IdempotencyKey, Json, Limit, Moment, Now, act, bbox, decode_cursor, levels, page
from events import actions
from events.views import EventViews, Filters


class AlertAction(BaseModel):
    """`{"action": "shelve", "until": "…", "reason": "…"}`"""

    model_config = ConfigDict(extra="forbid")

    action: str
    reason: str | None = None
    until: AwareDatetime | None = None
    text: str | None = None


class IncidentAction(BaseModel):
    """`{"action": "set_priority", "priority": 2, "reason": "…"}`"""

    model_config = ConfigDict(extra="forbid")

    action: str
    reason: str | None = None
    text: str | None = None
    priority: int | None = None
    grade: str | None = None
    criterion: str | None = None
    into: str | None = None
    alerts: list[str] | None = None
    plan: str | None = None
    code: str | None = None
    lead: str | None = None
    assisting: list[str] | None = None


class Report(BaseModel):
    """Something that a person saw or was told, at a place and a time; or a season or protected event that begins."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, Field(pattern=r"^(report|permit|operator|season|protect)\.[a-z0-9_]+$")]
    at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    words: Annotated[str, Field(max_length=2000)] = ""
    source: Annotated[str, Field(max_length=100)] = ""
    lon: Annotated[float, Field(ge=-180, le=180)]
    lat: Annotated[float, Field(ge=-90, le=90)]
    asset: str = ""
    zone: str = ""
    area: str = ""


#: Of a span whose load is counted.
LONGEST_US = 92 * DAY_US

Many = Annotated[list[str] | None, Query()]


def _filters(
    domain: Many = None,
    level: str | None = None,
    state: Many = None,
    provenance: Many = None,
    from_: Annotated[Moment, Query(alias="from")] = None,
    to: Moment = None,
    box: Annotated[str | None, Query(alias="bbox")] = None,
) -> Filters:
    """The filters that alerts and incidents share; `domain=a,b` and `domain=a&domain=b` are the same."""
    return Filters(_split(domain), levels(level), _split(state), _split(provenance), from_, to, bbox(box))


def _split(values: list[str] | None) -> list[str] | None:
    return [part for value in values for part in value.split(",")] if values else None


def _of_alerts(
    class_: Annotated[list[str] | None, Query(alias="class")] = None,
    rule: str | None = None,
    device: str | None = None,
    incident: str | None = None,
    as_of: Moment = None,
) -> dict[str, object]:
    """What only alerts are asked for."""
    return {
        "classes": _split(class_), "rule": rule, "device": device, "incident": incident, "as_of": as_of,
    }  # fmt: skip


Asked = Annotated[Filters, Depends(_filters)]
AskedOfAlerts = Annotated[dict[str, object], Depends(_of_alerts)]


def router(views: EventViews) -> APIRouter:
    """The routes of this room."""
    routes = APIRouter(prefix="/api/v1")
    _alerts(routes, views)
    _incidents(routes, views)
    return routes


def _cursor(cursor: str | None) -> list[Any] | None:
    found = decode_cursor(cursor)
    return found if isinstance(found, list) and len(found) == 2 else None


def _key(name: str) -> Callable[[dict[str, Any]], object]:
    """What a page ends with: a time with all its digits, and an id."""
    return lambda item: [item[name].isoformat(), item["id"]]


def _alerts(routes: APIRouter, views: EventViews) -> None:
    @routes.get("/alerts", tags=["alerts"])
    async def alerts(
        filters: Asked,
        more: AskedOfAlerts,
        _: Annotated[Actor, Depends(Allow("alert.read"))],
        limit: Limit = 100,
        cursor: str | None = None,
    ) -> Response:
        """As they stand; with `as_of` as they were known then."""
        found = await views.alerts(filters, limit, _cursor(cursor), **more)
        return Json(page(found, limit, _key("recorded_at")))

    @routes.get("/alarm-load", tags=["alerts"])
    async def alarm_load(
        now: Now,
        _: Annotated[Actor, Depends(Allow("alert.read"))],
        from_: Annotated[Moment, Query(alias="from")] = None,
        to: Moment = None,
        operators: Annotated[int, Query(ge=1, le=1000)] = 1,
    ) -> Response:
        """What alarms asked of each operator (ISA-18.2): of the last 24 hours, or of a span."""
        end_us = to_us(to) if to else now.now_us()
        begin_us = to_us(from_) if from_ else end_us - DAY_US
        if not 0 < end_us - begin_us <= LONGEST_US:
            raise Invalid(field="from")
        load = await views.load(begin_us, end_us, operators)
        return Json({**asdict(load), "by_level": {str(level): n for level, n in load.by_level.items()}})

    @routes.get("/alerts/{id_}", tags=["alerts"])
    async def alert(
        id_: str, _: Annotated[Actor, Depends(Allow("alert.read"))], as_of: Moment = None
    ) -> Response:
        """With its log; with `as_of` as all that was known then."""
        return Json(await views.alert(id_, as_of))

    @routes.post("/alerts/{id_}/actions", tags=["alerts"])
    async def act_on_alert(
        id_: str,
        asked: AlertAction,
        request: Request,
        now: Now,
        actor: Annotated[Actor, Depends(Allow("alert.act"))],
        key: IdempotencyKey = None,
    ) -> Response:
        fields = asked.model_dump(exclude={"action"}, exclude_none=True)

        async def do(connection: DictConnection) -> object:
            await actions.require(request.app.state.policy, actor, "alert.act", connection, id_)
            done = await actions.act_on_alert(connection, id_, asked.action, actor, now.now_us(), **fields)
            return {**done, "name": views.name_of_rule(done["rule"])}

        return await act(request, actor, do, key, asked.model_dump(mode="json"))


def _incidents(routes: APIRouter, views: EventViews) -> None:
    @routes.get("/incidents", tags=["incidents"])
    async def incidents(
        filters: Asked,
        _: Annotated[Actor, Depends(Allow("incident.read"))],
        type_: Annotated[list[str] | None, Query(alias="type")] = None,
        as_of: Moment = None,
        limit: Limit = 100,
        cursor: str | None = None,
    ) -> Response:
        """As they stand; with `as_of` as they were known then."""
        found = await views.incidents(filters, limit, _cursor(cursor), _split(type_), as_of)
        return Json(page(found, limit, _key("opened_at")))

    @routes.get("/incidents/{id_}", tags=["incidents"])
    async def incident(
        id_: str, _: Annotated[Actor, Depends(Allow("incident.read"))], as_of: Moment = None
    ) -> Response:
        """With evidence, causes, explanation and timeline; with `as_of` as all that was known then."""
        return Json(await views.incident(id_, as_of))

    @routes.post("/incidents/{id_}/actions", tags=["incidents"])
    async def act_on_incident(
        id_: str,
        asked: IncidentAction,
        request: Request,
        now: Now,
        actor: Annotated[Actor, Depends(Allow("incident.act"))],
        key: IdempotencyKey = None,
    ) -> Response:
        fields = asked.model_dump(exclude={"action"}, exclude_none=True)

        async def do(connection: DictConnection) -> object:
            await actions.require(request.app.state.policy, actor, "incident.act", connection, id_)
            done = await actions.act_on_incident(connection, id_, asked.action, actor, now.now_us(), **fields)
            return views.incident_shown(done)

        return await act(request, actor, do, key, asked.model_dump(mode="json"))

    @routes.post("/reports", tags=["incidents"], status_code=200)
    async def report(
        asked: Report,
        request: Request,
        now: Now,
        actor: Annotated[Actor, Depends(Allow("incident.create"))],
        key: IdempotencyKey = None,
    ) -> Response:
        """A call, a patrol's word, a permit: evidence like any other."""
        now_us = now.now_us()
        at_us = to_us(asked.at) if asked.at else now_us
        said = f"{actor.id}\n{at_us}\n{asked.model_dump_json()}".encode()
        id_ = hashlib.blake2b(said, digest_size=10).hexdigest()
        fields = {**asked.model_dump(), "id": id_, "at": to_datetime(at_us)}

        async def do(connection: DictConnection) -> object:
            done = await actions.report(connection, actor, now_us, **fields)
            return {**done, "at": rfc3339(at_us)}

        return await act(request, actor, do, key, asked.model_dump(mode="json"))
