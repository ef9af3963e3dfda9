"""`POST /api/v1/telemetry`: a pack of readings by HTTP, answered when it is safe (DESIGN §6.1).

The web process runs a pipeline of its own; this only puts the body into its intake and waits for the receipt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from core.access import Scope
from core.actor import Actor
from core.errors import Invalid, Unavailable
from core.http import Allow, Json, Now, language, problem
from core.text import Texts
from ingest.intake import Intake
from iot.codecs.frame import Parcel, Reason, Refusal

#: Media type → format. Anything else is read as SenML JSON.
FORMATS = {
    "application/senml+cbor": "senml-cbor",
    "application/cbor": "senml-cbor",
    "application/vnd.apache.arrow.stream": "arrow",
}
MAX_BYTES = 8 << 20
PATIENCE_S = 20.0
#: More refusals than this are counted and not listed.
LISTED = 1000


@dataclass(slots=True)
class Awaited:
    """The receipt of one request. A request that stopped waiting is not told any more."""

    done: asyncio.Future[tuple[int, Sequence[Refusal]]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def settle(self, accepted: int, refused: Sequence[Refusal]) -> None:
        if not self.done.done():
            self.done.set_result((accepted, refused))


def router(intake: Intake, texts: Texts) -> APIRouter:
    """The routes; mounted under `/api/v1`."""
    routes = APIRouter(tags=["telemetry"])

    @routes.post("/telemetry", status_code=202)
    async def post_telemetry(
        request: Request,
        clock: Now,
        actor: Annotated[Actor, Depends(Allow("telemetry.write"))],
        gateway: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        """Store a SenML pack (JSON, CBOR) or an Arrow stream of the signed-in gateway.

        202 when everything that could be stored is safe; refused records are named with their reasons.
        """
        speaker = actor.gateway or gateway
        if not speaker:
            raise Invalid("error.no_gateway", field="gateway")
        request.app.state.policy.require(actor, "telemetry.write", Scope(gateway=speaker))
        if intake.full:
            raise Unavailable("error.intake_full")
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = await read_body(request, MAX_BYTES)
        receipt = Awaited()
        intake.put(Parcel(speaker, FORMATS.get(media, "senml"), [body], clock.now_us(), receipt))
        try:
            accepted, refused = await asyncio.wait_for(receipt.done, PATIENCE_S)
        except TimeoutError:
            raise Unavailable("error.not_stored_yet") from None
        return answer(request, texts, accepted, refused)

    return routes


def answer(request: Request, texts: Texts, accepted: int, refused: Sequence[Refusal]) -> Response:
    """202 with what was refused; 422 when the body as a whole could not be read."""
    listed = [
        {"index": each.record, "reason": each.reason.value, "detail": each.detail}
        for each in sorted(refused, key=lambda each: each.record)[:LISTED]
    ]
    body: dict[str, object] = {"accepted": accepted, "refused": listed}
    if len(refused) > LISTED:
        body["refused_count"] = len(refused)
    if not accepted and len(refused) == 1 and refused[0].reason in (Reason.MALFORMED, Reason.UNKNOWN_FORMAT):
        told = texts("error.malformed_pack", language(request), detail=refused[0].detail)
        return problem(422, "error.malformed_pack", told, {"field": "body", **body})
    return Json(body, 202)


async def read_body(request: Request, most: int) -> bytes:
    """The whole body. Raises `Invalid` as soon as it is larger than it may be."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise Invalid("error.too_large", field="body", most=most)
        parts.append(part)
    return b"".join(parts)
