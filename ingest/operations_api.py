"""Asking a device to set its clock or its period, to report now, to have its keeper answer. Mounted under `/api/v1`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat
from starlette.responses import Response

from core.access import Scope
from core.actor import Actor
from core.clock import MINUTE_US, to_datetime
from core.db import DictConnection
from core.errors import Invalid
from core.http import Allow, Db, IdempotencyKey, Json, Now, act, page
from ingest.gateways_store import QUERIES
from ingest.operations import HAS, RANGES, What
from iot.api import found_device
from iot.care_api import PageOf
from iot.registry import Registry

Id = Annotated[str, Path(max_length=64)]


class OperationIn(BaseModel):
    """`value`: seconds of a period, minutes of a duty check. `minutes`: how long it may wait for the device."""

    model_config = ConfigDict(extra="forbid")

    do: What
    value: FiniteFloat | None = None
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    minutes: Annotated[int, Field(ge=1, le=1440)] = 10


def router(registry: Callable[[], Registry]) -> APIRouter:
    routes = APIRouter(tags=["devices"])

    @routes.get("/devices/{id}/operations")
    async def list_operations(
        database: Db, actor: Annotated[Actor, Depends(Allow("device.read"))], id: Id,  # noqa: A002 - the name in the address
        asked: Annotated[PageOf, Query()],
    ) -> Response:  # fmt: skip
        """What was asked of a device, by whom and why, and what it answered; newest first."""
        found_device(registry(), id, actor)
        rows = await database.fetch(
            QUERIES["operations_of"], device=id, before=asked.before, limit=asked.limit + 1
        )
        return Json(page(rows, asked.limit, lambda row: row["id"]))

    @routes.post("/devices/{id}/operations")
    async def ask_device(
        request: Request, clock: Now, actor: Annotated[Actor, Depends(Allow("device.maintain"))], id: Id,  # noqa: A002 - the name in the address
        body: OperationIn, key: IdempotencyKey = None,
    ) -> Response:  # fmt: skip
        """It is sent when the device is there, once; the answer, or that there was none, stands in the list."""
        device = found_device(registry(), id, actor)
        request.app.state.policy.require(actor, "device.maintain", Scope(area=device.area))
        _check(device.gateway, body)

        async def do(connection: DictConnection) -> object:
            now_us = clock.now_us()
            until = to_datetime(now_us + body.minutes * MINUTE_US)
            values = {
                "device": id, "gateway": device.gateway, "station": device.wire_name, "what": body.do.value,
                "value": body.value, "reason": body.reason, "by": actor.id, "now": to_datetime(now_us),
            }  # fmt: skip
            row = await (
                await connection.execute(QUERIES["ask_device"], {**values, "until": until})
            ).fetchone()
            assert row is not None
            return {"id": row["id"]}

        return await act(request, actor, do, key, body.model_dump(mode="json"))

    return routes


def _check(gateway: str, body: OperationIn) -> None:
    if body.do not in HAS.get(gateway, frozenset(What)):
        raise Invalid("error.protocol_cannot", field="do", what=body.do.value, gateway=gateway)
    least, most = RANGES.get(body.do, (0.0, 0.0))
    if (body.value is None) == bool(most) or not least <= (body.value or 0.0) <= most:
        raise Invalid("error.value_between", field="value", least=f"{least:g}", most=f"{most:g}")
