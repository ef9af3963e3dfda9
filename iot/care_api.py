"""Calibration, maintenance, twin, replacement and log of devices over HTTP. Mounted under `/api/v1`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat
from starlette.responses import Response

from core.access import Scope as Where
from core.actor import Actor
from core.clock import rfc3339, to_datetime
from core.db import DictConnection
from core.errors import Invalid, NotFound
from core.http import Allow, Db, IdempotencyKey, Json, Now, act, decode_cursor, page
from core.schema import WIRE_ID
from iot import care_store
from iot.api import Sources, found_device
from iot.care import Scope
from iot.care_store import QUERIES, Act, Correction
from iot.latest import Latest
from iot.registry import Device, Registry

Read = Annotated[Actor, Depends(Allow("device.read"))]
Write = Annotated[Actor, Depends(Allow("device.write"))]
Maintain = Annotated[Actor, Depends(Allow("device.maintain"))]
Id = Annotated[str, Path(max_length=64)]
Number = Annotated[int, Path(ge=1, lt=1 << 31)]
Short = Annotated[str, Field(max_length=64)]
Note = Annotated[str, Field(max_length=500)]
Value = bool | int | FiniteFloat | Annotated[str, Field(max_length=500)]
#: Channels that say how a device itself is.
OF_ITSELF = ("battery", "battery_voltage", "rssi", "clock_offset", "fault")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CalibrationIn(Strict):
    """`value * factor + shift`, in the channel's unit, for event times from `since` to before `until`."""

    channel: Short
    factor: Annotated[FiniteFloat, Field(description="not 0")] = 1.0
    shift: FiniteFloat = 0.0
    since: AwareDatetime
    until: AwareDatetime | None = None
    note: Note = ""


class MaintenanceIn(Strict):
    scope: Scope
    name: Annotated[str, Field(min_length=1, max_length=128)]
    since: AwareDatetime
    until: AwareDatetime
    reason: Annotated[str, Field(min_length=1, max_length=500)]


class TwinIn(Strict):
    """What the device shall be set to; a wish takes the place of the one before."""

    desired: Annotated[dict[Short, Value], Field(max_length=64)]


class ReplaceIn(Strict):
    """The new hardware's name on the wire; `gateway` when that changes too."""

    wire_name: Short
    gateway: Short = ""
    note: Note = ""


class PageOf(BaseModel):
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: str = ""

    @property
    def before(self) -> int:
        found = decode_cursor(self.cursor)
        return int(found) if found else (1 << 31) - 1


def router(sources: Sources) -> APIRouter:
    """What is written here is news on topic `registry`: it counts from the next batch on, without a restart."""
    routes = APIRouter(tags=["devices"])
    add_calibrations(routes, sources)
    add_maintenance(routes, sources)
    add_twin(routes, sources)
    add_replacement(routes, sources)
    return routes


def add_calibrations(routes: APIRouter, sources: Sources) -> None:
    @routes.get("/devices/{id}/calibrations")
    async def list_calibrations(database: Db, actor: Read, id: Id) -> Response:  # noqa: A002 - the name in the address
        """All of a device, newest first; withdrawn ones too."""
        device = found_device(sources.registry(), id, actor)
        rows = await database.fetch(QUERIES["calibrations_of"], device=device.number)
        items = [{**row, "channel": row.pop("full_name").partition(".")[2]} for row in rows]
        return Json({"items": items, "next": None})

    @routes.post("/devices/{id}/calibrations")
    async def calibrate(
        request: Request, clock: Now, actor: Write, id: Id, body: CalibrationIn, key: IdempotencyKey = None  # noqa: A002 - the name in the address
    ) -> Response:  # fmt: skip
        """Correct what a point says from now on; what is stored already stays as it came."""
        if not body.factor:
            raise Invalid("error.no_factor", field="factor")
        device = _writable(request, sources, actor, id)

        async def do(connection: DictConnection) -> object:
            step, wanted = Act(connection, actor.id, clock.now_us()), Correction(**body.model_dump())
            return {"number": await care_store.calibrate(step, sources.registry(), device, wanted)}

        return await act(request, actor, do, key, body.model_dump(mode="json"))

    @routes.post("/devices/{id}/calibrations/{number}/withdraw")
    async def withdraw(
        request: Request, clock: Now, actor: Write, id: Id, number: Number, key: IdempotencyKey = None  # noqa: A002 - the name in the address
    ) -> Response:  # fmt: skip
        """It was wrong: readings that come from now on are not corrected by it."""
        device = _writable(request, sources, actor, id)

        async def do(connection: DictConnection) -> object:
            await care_store.withdraw(Act(connection, actor.id, clock.now_us()), device, number)
            return {"number": number}

        return await act(request, actor, do, key, {})


def add_maintenance(routes: APIRouter, sources: Sources) -> None:
    @routes.get("/maintenance", dependencies=[Depends(Allow("device.read"))])
    async def list_maintenance(database: Db, clock: Now, asked: Annotated[PageOf, Query()]) -> Response:
        """Windows that are open or to come, newest first."""
        rows = await database.fetch(
            QUERIES["maintenance"], since=to_datetime(clock.now_us()), before=asked.before, limit=asked.limit + 1
        )  # fmt: skip
        return Json(page(rows, asked.limit, lambda row: row["number"]))

    @routes.post("/maintenance")
    async def begin_maintenance(
        request: Request, clock: Now, actor: Maintain, body: MaintenanceIn, key: IdempotencyKey = None
    ) -> Response:
        """Somebody works on a device, a gateway's devices or an asset's: readings are marked, silence is no alarm."""
        _require_all(request, sources, actor, body.scope, body.name)

        async def do(connection: DictConnection) -> object:
            step, span = Act(connection, actor.id, clock.now_us()), (body.since, body.until)
            return {"number": await care_store.maintain(step, body.scope, body.name, span, body.reason)}

        return await act(request, actor, do, key, body.model_dump(mode="json"))

    @routes.post("/maintenance/{number}/end")
    async def end_maintenance(
        request: Request,
        database: Db,
        clock: Now,
        actor: Maintain,
        number: Number,
        key: IdempotencyKey = None,
    ) -> Response:
        """It is done earlier than planned."""
        row = await database.fetch_one(QUERIES["maintenance_window"], number=number)
        if row is None:
            raise NotFound("error.no_maintenance", number=number)
        _require_all(request, sources, actor, row["scope"], row["name"])

        async def do(connection: DictConnection) -> object:
            await care_store.end_maintenance(Act(connection, actor.id, clock.now_us()), number)
            return {"number": number}

        return await act(request, actor, do, key, {})


def add_twin(routes: APIRouter, sources: Sources) -> None:
    @routes.get("/devices/{id}/twin")
    async def get_twin(database: Db, actor: Read, id: Id) -> Response:  # noqa: A002 - the name in the address
        """What the device shall be, what it says it is, what of the wish is open; its battery and signal."""
        registry = sources.registry()
        device = found_device(registry, id, actor)
        row = await database.fetch_one(QUERIES["twin"], device=device.number)
        return Json({"id": id, **_twin(row or {}), **condition(registry, sources.latest(), device)})

    @routes.put("/devices/{id}/twin")
    async def put_twin(
        request: Request, clock: Now, actor: Write, id: Id, body: TwinIn, key: IdempotencyKey = None  # noqa: A002 - the name in the address
    ) -> Response:  # fmt: skip
        """Wish; the gateway is told (`twin/<gateway>/desired`) until the device says that it has taken it."""
        device = _writable(request, sources, actor, id)

        async def do(connection: DictConnection) -> object:
            return {
                "version": await care_store.wish(
                    Act(connection, actor.id, clock.now_us()), device, body.desired
                )
            }

        return await act(request, actor, do, key, body.model_dump())


def add_replacement(routes: APIRouter, sources: Sources) -> None:
    @routes.post("/devices/{id}/replace")
    async def replace(
        request: Request, clock: Now, actor: Write, id: Id, body: ReplaceIn, key: IdempotencyKey = None  # noqa: A002 - the name in the address
    ) -> Response:  # fmt: skip
        """Other hardware at the same place: the history goes on, calibrations of the old one end now."""
        device = _writable(request, sources, actor, id)
        gateway = body.gateway or device.gateway
        if gateway not in sources.registry().gateways:
            raise Invalid("error.unknown_gateway", field="gateway", value=gateway)
        if not WIRE_ID.fullmatch(body.wire_name):
            raise Invalid("error.bad_id", field="wire_name", value=body.wire_name)

        async def do(connection: DictConnection) -> object:
            step = Act(connection, actor.id, clock.now_us())
            await care_store.replace_device(step, device, gateway, body.wire_name, body.note)
            return {"id": device.id}

        return await act(request, actor, do, key, body.model_dump())

    @routes.get("/devices/{id}/log")
    async def log(database: Db, actor: Read, id: Id, asked: Annotated[PageOf, Query()]) -> Response:  # noqa: A002 - the name in the address
        """What people did to the device, newest first."""
        found_device(sources.registry(), id, actor)
        rows = await database.fetch(
            QUERIES["device_log"], device=id, before=asked.before, limit=asked.limit + 1
        )
        return Json(page(rows, asked.limit, lambda row: row["id"]))


def _writable(request: Request, sources: Sources, actor: Actor, name: str) -> Device:
    device = found_device(sources.registry(), name, actor)
    request.app.state.policy.require(actor, "device.write", Where(area=device.area))
    return device


def _require_all(request: Request, sources: Sources, actor: Actor, scope: Scope, name: str) -> None:
    """Every device that it concerns must be the actor's to maintain. Raises `NotFound` when it concerns none."""
    registry = sources.registry()
    concerned = [
        device
        for device in registry.devices.values()
        if {"device": device.id, "gateway": device.gateway, "asset": device.asset}[scope] == name
    ]
    if not concerned:
        raise NotFound("error.nothing_to_maintain", scope=scope, name=name)
    for area in {device.area for device in concerned}:
        request.app.state.policy.require(actor, "device.maintain", Where(area=area))


def _twin(row: Mapping[str, Any]) -> dict[str, Any]:
    desired, reported = row.get("desired", {}), row.get("reported", {})
    return {
        "desired": desired, "reported": reported,
        "open": {name: value for name, value in desired.items() if reported.get(name) != value},
        "version": row.get("version", 0), "reported_version": row.get("reported_version", 0),
        "desired_at": row.get("desired_at"), "desired_by": row.get("desired_by", ""),
        "reported_at": row.get("reported_at"), "firmware": reported.get("firmware"),
    }  # fmt: skip


def condition(registry: Registry, latest: Latest, device: Device) -> dict[str, Any]:
    """How a device says that it itself is: channel → last value, unit and time."""
    points = {name: point for name, point in registry.points_of(device).items() if name in OF_ITSELF}
    found: dict[str, Any] = {}
    for name, point in points.items():
        batch = latest.batch(np.array([point]))
        if len(batch):
            unit = registry.channels[registry.kind_of(device).channels[name]].decl.unit
            found[name] = {
                "value": float(batch.value[0]),
                "unit": unit,
                "time": rfc3339(int(batch.time_us[0])),
            }
    return {"condition": found}
