"""Devices, readings and last values over HTTP (DESIGN §6.2). Mounted under `/api/v1`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.access import Scope
from core.actor import Actor
from core.clock import DAY_US, rfc3339, to_us
from core.errors import Invalid, NotFound
from core.http import Allow, Db, Json, Moment, Now, bbox, decode_cursor, encode_cursor, page
from iot import registry_store, views
from iot.latest import Latest
from iot.registry import Device, Registry
from iot.registry_store import DeviceRow
from iot.views import Bucket, DeviceFilter, Series

Read = Annotated[Actor, Depends(Allow("device.read"))]
ReadReadings = Annotated[Actor, Depends(Allow("reading.read"))]
Write = Annotated[Actor, Depends(Allow("device.write"))]
Id = Annotated[str, Path(max_length=64)]
Short = Annotated[str, Field(max_length=64)]


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the routes find what changes: snapshots that the process keeps up to date."""

    registry: Callable[[], Registry]
    latest: Callable[[], Latest]
    zone: str


class DeviceIn(BaseModel):
    """A device as it is registered. lon and lat are WGS 84 degrees; `wire_name` defaults to the id."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(max_length=64)]
    kind: str
    name: Annotated[dict[Literal["zh", "en"], Annotated[str, Field(max_length=200)]], Field(min_length=1)]
    lon: Annotated[float, Field(ge=-180, le=180)]
    lat: Annotated[float, Field(ge=-90, le=90)]
    gateway: Annotated[str, Field(max_length=64)]
    wire_name: Annotated[str, Field(max_length=64)] = ""
    asset: Annotated[str, Field(max_length=128)] = ""
    zone: Annotated[str, Field(max_length=128)] = ""
    area: Annotated[str, Field(max_length=128)] = ""
    provenance: Literal["real", "recorded", "simulated", "drill"] = "real"
    params: dict[str, Any] = {}
    #: Who owns and keeps it.
    owner: Annotated[str, Field(max_length=128)] = ""

    def row(self) -> DeviceRow:
        zh = self.name.get("zh") or self.name.get("en") or self.id
        return DeviceRow(
            self.id, self.kind, zh, self.name.get("en") or zh, self.lon, self.lat, self.gateway, self.wire_name,
            self.asset, self.zone, self.area, self.provenance, self.params, self.owner,
        )  # fmt: skip


class DeviceBody(DeviceIn):
    """The same in `PUT /devices/{id}`, whose id stands in the address."""

    id: Annotated[str, Field(max_length=64)] = ""


class Which(BaseModel):
    """Which devices are meant; what is not given does not narrow."""

    domain: Short | None = None
    kind: Short | None = None
    gateway: Short | None = None
    asset: Short | None = None
    area: Short | None = None
    zone: Short | None = None
    provenance: Short | None = None
    bbox: Short | None = None

    def filter(self) -> DeviceFilter:
        return DeviceFilter(**{**self.model_dump(include=set(Which.model_fields)), "bbox": bbox(self.bbox)})


class WhichPage(Which):
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: str = ""


class Span(BaseModel):
    """One point and a time: `from` inclusive, `to` exclusive; the last day when neither is given."""

    device: Short
    channel: Short
    begin: Annotated[Moment, Field(alias="from")] = None
    end: Annotated[Moment, Field(alias="to")] = None
    bucket: Bucket = "raw"
    form: Annotated[Literal["json", "csv"], Field(alias="format")] = "json"
    limit: Annotated[int, Field(ge=1, le=views.MOST_ROWS)] = 10_000
    cursor: str = ""

    def between_us(self, now_us: int) -> tuple[int, int]:
        end_us = to_us(self.end) if self.end else now_us + DAY_US
        begin_us = to_us(self.begin) if self.begin else (end_us if self.end else now_us) - DAY_US
        after = decode_cursor(self.cursor)
        return (int(after) + 1 if after else begin_us), end_us


def router(sources: Sources) -> APIRouter:
    """The routes. Writing a device is news on topic `registry`: every process takes it up without a restart."""
    routes = APIRouter()
    add_devices(routes, sources)
    add_readings(routes, sources)
    return routes


def add_devices(routes: APIRouter, sources: Sources) -> None:
    @routes.get("/devices", tags=["devices"])
    async def list_devices(actor: Read, which: Annotated[WhichPage, Query()]) -> Response:
        """Devices by id."""
        after, wanted, limit = str(decode_cursor(which.cursor) or ""), which.filter(), which.limit
        found = [
            device
            for key, device in sorted(sources.registry().devices.items())
            if key > after and wanted.takes(device) and may_see(actor, device)
        ]
        return Json(page([shown(device) for device in found[: limit + 1]], limit, lambda item: item["id"]))

    @routes.get("/devices/{id}", tags=["devices"])
    async def get_device(actor: Read, id: Id) -> Response:  # noqa: A002 - the name in the address
        registry = sources.registry()
        device = found_device(registry, id, actor)
        channels = [
            {"channel": name, "unit": registry.channels[full].decl.unit, "name": full}
            for name, full in registry.kind_of(device).channels.items()
        ]
        return Json({**shown(device), "channels": channels})

    @routes.put("/devices/{id}", tags=["devices"])
    async def put_device(
        request: Request,
        database: Db,
        clock: Now,
        actor: Write,
        id: Id,  # noqa: A002 - the name in the address
        body: DeviceBody,
    ) -> Response:
        """Register a device or change it; it counts from the next batch on."""
        if body.id not in ("", id):
            raise Invalid("error.two_ids", field="id", one=id, other=body.id)
        row = body.model_copy(update={"id": id}).row()
        request.app.state.policy.require(actor, "device.write", Scope(area=row.area))
        async with database.transaction() as connection:
            await registry_store.put_devices(connection, [row], sources.registry().catalogue, clock.now_us())
        return Json({"id": id})

    @routes.put("/devices", tags=["devices"])
    async def put_devices(
        request: Request,
        database: Db,
        clock: Now,
        actor: Write,
        body: Annotated[list[DeviceIn], Field(max_length=10_000)],
    ) -> Response:
        """Register or change many devices in one transaction: all or none."""
        rows = [item.row() for item in body]
        for row in rows:
            request.app.state.policy.require(actor, "device.write", Scope(area=row.area))
        async with database.transaction() as connection:
            await registry_store.put_devices(connection, rows, sources.registry().catalogue, clock.now_us())
        return Json({"count": len(rows)})


def add_readings(routes: APIRouter, sources: Sources) -> None:
    @routes.get("/readings", tags=["readings"])
    async def get_readings(
        database: Db, clock: Now, actor: ReadReadings, span: Annotated[Span, Query()]
    ) -> Response:
        """One point over time, oldest first."""
        registry = sources.registry()
        device = found_device(registry, span.device, actor)
        channel = registry.channel(device, span.channel)
        if channel is None:
            raise NotFound("error.no_channel", device=span.device, channel=span.channel)
        begin_us, end_us = span.between_us(clock.now_us())
        point = (device.number, channel.number)
        series = await views.series(
            database, point, begin_us, end_us, span.bucket, zone=sources.zone, limit=span.limit + 1
        )
        if span.form == "csv":
            return Response(series_csv(series, span.limit), media_type="text/csv; charset=utf-8")
        more = len(series) > span.limit
        body = {
            "device": span.device, "channel": span.channel, "unit": channel.decl.unit, "bucket": span.bucket,
            "items": series_items(series, span.limit),
            "next": encode_cursor(int(series.time_us[span.limit - 1])) if more else None,
        }  # fmt: skip
        return Json(body)

    @routes.get("/latest", tags=["readings"])
    async def get_latest(actor: ReadReadings, which: Annotated[Which, Query()]) -> Response:
        """The last reading of every point, as columns; from memory."""
        found = views.latest(sources.latest(), which.filter())
        if actor.areas or actor.departments:
            registry = sources.registry()
            keep = np.array([may_see(actor, registry.devices[name]) for name in found.device], bool)
            found = views.LatestColumns(*(getattr(found, name)[keep] for name in found.__slots__))
        body = {
            "device": found.device.tolist(),
            "channel": found.channel.tolist(),
            "time": moments(found.time_us),
            "value": found.value,
            "quality": found.quality,
        }
        options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
        return Response(orjson.dumps(body, option=options), media_type="application/json")


def may_see(actor: Actor, device: Device) -> bool:
    return not (actor.areas and device.area and device.area not in actor.areas)


def found_device(registry: Registry, name: str, actor: Actor) -> Device:
    device = registry.devices.get(name)
    if device is None or not may_see(actor, device):
        raise NotFound("error.no_device", device=name)
    return device


def shown(device: Device) -> dict[str, object]:
    """A device as the API gives it."""
    return {
        "id": device.id, "kind": device.kind, "domain": device.domain, "name": dict(device.name),
        "lon": device.lon, "lat": device.lat, "gateway": device.gateway, "wire_name": device.wire_name,
        "asset": device.asset, "zone": device.zone, "area": device.area, "provenance": device.provenance,
        "owner": device.owner, "params": dict(device.params),
    }  # fmt: skip


def moments(time_us: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """What orjson writes as RFC 3339."""
    return time_us.astype("datetime64[us]")


def series_rows(series: Series, limit: int) -> Iterable[dict[str, object]]:
    columns: dict[str, list[Any]] = {"value": series.value[:limit].tolist()}
    for name in ("quality", "low", "high", "n"):
        column: NDArray[Any] | None = getattr(series, name)
        if column is not None:
            columns[name] = column[:limit].tolist()
    names = list(columns)
    for time_us, *values in zip(series.time_us[:limit].tolist(), *columns.values(), strict=True):
        yield {"time": rfc3339(time_us), **dict(zip(names, values, strict=True))}


def series_items(series: Series, limit: int) -> list[dict[str, object]]:
    return list(series_rows(series, limit))


def series_csv(series: Series, limit: int) -> str:
    """RFC 4180 with a header. Only numbers and times stand in it, nothing that a spreadsheet would run."""
    out = io.StringIO()
    rows = series_items(series, limit)
    names = (
        ["time", "value", "quality"] if series.quality is not None else ["time", "value", "low", "high", "n"]
    )
    writer = csv.DictWriter(out, names)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
