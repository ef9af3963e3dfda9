"""Calibrations, maintenance, twins and replacement at rest. Each act writes a line of the device's log and its news."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from core import changes
from core.changes import Change
from core.clock import to_datetime
from core.db import DictConnection
from core.errors import Invalid, NotFound
from core.sql import Queries
from iot.care import Scope
from iot.registry import Device, Registry

QUERIES = Queries.of(__file__)


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something, when, and through which open transaction."""

    connection: DictConnection
    by: str
    now_us: int

    async def run(self, query: str, /, **values: object) -> list[dict[str, Any]]:
        """The rows of a query; `now` and `by` are given to every one."""
        cursor = await self.connection.execute(
            QUERIES[query], {"now": to_datetime(self.now_us), "by": self.by, **values}
        )
        return await cursor.fetchall() if cursor.description else []

    async def noted(self, device: str, what: str, body: Mapping[str, object]) -> None:
        """Into the log of a device (or of what it names), and out as news: every process takes it up."""
        await self.run("log_device", device=device, what=what, body=Jsonb(dict(body)))
        await changes.append(self.connection, [Change("registry", device)], self.now_us)


@dataclass(frozen=True, slots=True)
class Correction:
    """What a point's readings are corrected by; event times."""

    channel: str
    factor: float
    shift: float
    since: datetime
    until: datetime | None
    note: str


async def calibrate(act: Act, registry: Registry, device: Device, wanted: Correction) -> int:
    """The number of the new calibration. What is stored already stays as it is. Raises `NotFound`, `Invalid`."""
    channel = registry.channel(device, wanted.channel)
    if channel is None:
        raise NotFound("error.no_channel", device=device.id, channel=wanted.channel)
    if wanted.until is not None and wanted.until <= wanted.since:
        raise Invalid("error.ends_before_it_begins", field="until")
    span = {"since": wanted.since, "until": wanted.until}
    change = {"factor": wanted.factor, "shift": wanted.shift, "note": wanted.note}
    [row] = await act.run("add_calibration", device=device.number, channel=channel.number, **span, **change)
    told = {name: at.isoformat() for name, at in span.items() if at is not None}
    await act.noted(
        device.id,
        "calibrated",
        {"number": row["number"], "channel": wanted.channel, **change, **told},
    )
    return int(row["number"])


async def withdraw(act: Act, device: Device, number: int) -> None:
    """A calibration was wrong: later readings are not corrected by it. Raises `NotFound`."""
    values = {"device": device.number, "number": number, "now": to_datetime(act.now_us)}
    if not (await act.connection.execute(QUERIES["withdraw_calibrations"], values)).rowcount:
        raise NotFound("error.no_calibration", number=number)
    await act.noted(device.id, "calibration_withdrawn", {"number": number})


async def maintain(act: Act, scope: Scope, name: str, span: tuple[datetime, datetime], reason: str) -> int:
    """The number of a new maintenance window. Raises `Invalid`."""
    since, until = span
    if until <= since:
        raise Invalid("error.ends_before_it_begins", field="until")
    [row] = await act.run("add_maintenance", scope=scope, name=name, since=since, until=until, reason=reason)
    told = {"number": row["number"], "since": since.isoformat(), "until": until.isoformat(), "reason": reason}
    await act.noted(name, f"maintenance_of_{scope}", told)
    return int(row["number"])


async def end_maintenance(act: Act, number: int) -> None:
    """It is done earlier than planned. Raises `NotFound` when there is none, or it is over."""
    rows = await act.run("end_maintenance", number=number)
    if not rows:
        raise NotFound("error.no_maintenance", number=number)
    await act.noted(rows[0]["name"], "maintenance_ended", {"number": number})


async def wish(act: Act, device: Device, desired: Mapping[str, object]) -> int:
    """What the device shall be set to from now on; the number of this wish."""
    [row] = await act.run("wish", device=device.number, desired=Jsonb(dict(desired)))
    await act.noted(device.id, "wished", {"version": row["version"], "desired": dict(desired)})
    return int(row["version"])


async def replace_device(act: Act, device: Device, gateway: str, wire_name: str, note: str) -> None:
    """Other hardware at the same place: the point's history goes on, calibrations of the old one end now.

    Raises `Invalid` when the name on the wire is somebody else's.
    """
    try:
        await act.run("replace_device", device=device.number, gateway=gateway, wire_name=wire_name)
    except UniqueViolation as taken:
        raise Invalid("error.wire_name_taken", field="wire_name", detail=taken.diag.message_detail) from None
    await act.run("end_calibrations", device=device.number)
    before = {"gateway": device.gateway, "wire_name": device.wire_name}
    await act.noted(
        device.id, "replaced", {"gateway": gateway, "wire_name": wire_name, "before": before, "note": note}
    )
