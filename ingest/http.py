"""Readings by HTTP, answered when they are safe (DESIGN §6.1): gateways' packs, back-fill, pushes of platforms.

The web process runs a pipeline of its own; this only puts the body into its intake and waits for the receipt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import PlainTextResponse, Response

from core.access import Scope
from core.actor import Actor
from core.errors import Invalid, NotFound, NotSignedIn, Unavailable
from core.http import Allow, Json, Now, Open, language, problem
from core.settings import Push
from core.text import Texts
from ingest import parquet_source, push
from ingest.intake import Intake
from iot.codecs.frame import MalformedError, Parcel, Reason, Refusal

#: Media type → format. Anything else is read as SenML JSON.
FORMATS = {
    "application/senml+cbor": "senml-cbor",
    "application/cbor": "senml-cbor",
    "application/vnd.apache.arrow.stream": "arrow",
}
#: What else is taken as back-fill.
FILES = FORMATS | {"text/csv": "csv", "application/vnd.apache.parquet": "parquet"}
MAX_BYTES = 8 << 20
FILE_BYTES = 64 << 20
PATIENCE_S = 20.0
#: Platforms count a slow answer as a failure (IoTDA after 15 s) and come again.
PUSH_PATIENCE_S = 10.0
#: More refusals than this are counted and not listed.
LISTED = 1000

Name = Annotated[str, Path(max_length=64)]
Short = Annotated[str, Query(max_length=2000)]


@dataclass(slots=True)
class Awaited:
    """The receipt of one request. A request that stopped waiting is not told any more."""

    done: asyncio.Future[tuple[int, Sequence[Refusal]]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def settle(self, accepted: int, refused: Sequence[Refusal]) -> None:
        if not self.done.done():
            self.done.set_result((accepted, refused))


@dataclass(frozen=True, slots=True)
class Desk:
    """Takes a body to the intake and waits until it is safe."""

    intake: Intake
    texts: Texts

    async def store(
        self, parcel: Parcel, receipt: Awaited, patience_s: float = PATIENCE_S
    ) -> tuple[int, Sequence[Refusal]]:
        """How many readings were accepted, and what was refused. Raises `Unavailable` when it is not safe in time."""
        if self.intake.full:
            raise Unavailable("error.intake_full")
        self.intake.put(parcel)
        try:
            return await asyncio.wait_for(receipt.done, patience_s)
        except TimeoutError:
            raise Unavailable("error.not_stored_yet") from None


def router(intake: Intake, texts: Texts, pushes: Sequence[Push] = ()) -> APIRouter:
    """The routes; mounted under `/api/v1`."""
    routes = APIRouter(tags=["telemetry"])
    desk = Desk(intake, texts)
    add_gateways(routes, desk)
    add_pushes(routes, desk, {each.name: each for each in pushes})
    return routes


def add_gateways(routes: APIRouter, desk: Desk) -> None:
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
        speaker = speaker_of(request, actor, "telemetry.write", gateway)
        body, receipt = await read_body(request, MAX_BYTES), Awaited()
        source = FORMATS.get(media_type(request), "senml")
        found = await desk.store(Parcel(speaker, source, [body], clock.now_us(), receipt), receipt)
        return answer(request, desk.texts, *found)

    @routes.post("/backfill", status_code=202)
    async def post_backfill(
        request: Request,
        clock: Now,
        actor: Annotated[Actor, Depends(Allow("telemetry.backfill"))],
        gateway: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        """Store history of any age: CSV, Parquet, Arrow or SenML. It raises no alarm; the engine only learns from it.

        202 when everything that could be stored is safe; what is known already is a duplicate and changes nothing.
        """
        speaker = speaker_of(request, actor, "telemetry.backfill", gateway)
        body, receipt = await read_body(request, FILE_BYTES), Awaited()
        source = FILES.get(media_type(request), "senml")
        if source == "parquet":
            try:
                body, source = await parquet_source.unpacked(body), "arrow"
            except MalformedError as wrong:
                raise Invalid("error.malformed_pack", field="body", detail=str(wrong)) from None
        parcel = Parcel(speaker, source, [body], clock.now_us(), receipt, history=True)
        return answer(request, desk.texts, *await desk.store(parcel, receipt, PATIENCE_S * 3))


def add_pushes(routes: APIRouter, desk: Desk, pushes: Mapping[str, Push]) -> None:
    signed = [Depends(Open("the platform proves by token or signature that it is the one"))]

    @routes.get("/push/{name}", dependencies=signed)
    async def verify_push(name: Name, msg: Short, nonce: Short, signature: Short) -> Response:
        """OneNET asks whether this address knows the token: the message comes back when it does."""
        known = pushes.get(name)
        if known is None or known.check != "onenet":
            raise NotFound(path=f"/push/{name}")
        if not push.same(
            signature, push.onenet_signature(known.secret.get_secret_value(), nonce, msg.encode())
        ):
            raise NotSignedIn
        return PlainTextResponse(msg)

    @routes.post("/push/{name}", dependencies=signed)
    async def take_push(request: Request, clock: Now, name: Name, token: Short = "") -> Response:
        """Take what a platform pushes. 200 when it is safe, what was refused of it too: platforms count anything
        else as a failure, and after too many they pause and drop what their devices say meanwhile.
        """
        known = pushes.get(name)
        if known is None:
            raise NotFound(path=f"/push/{name}")
        body, receipt = await read_body(request, MAX_BYTES), Awaited()
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        given = token or (bearer if scheme.lower() == "bearer" else "")
        payload = push.proven(known, push.Posted(body, given, request.headers.get("x-signature", "")))
        if payload is None:
            raise NotSignedIn
        parcel = Parcel(known.gateway, f"plain:{known.mapping}", [payload], clock.now_us(), receipt)
        accepted, refused = await desk.store(parcel, receipt, PUSH_PATIENCE_S)
        return Json({"accepted": accepted, "refused": listed(refused)})


def speaker_of(request: Request, actor: Actor, action: str, gateway: str) -> str:
    """The gateway whose data this is: the signed-in one, or the one that a person names. Raises what forbids it."""
    speaker = actor.gateway or gateway
    if not speaker:
        raise Invalid("error.no_gateway", field="gateway")
    request.app.state.policy.require(actor, action, Scope(gateway=speaker))
    return speaker


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def listed(refused: Sequence[Refusal]) -> list[dict[str, object]]:
    return [
        {"index": each.record, "reason": each.reason.value, "detail": each.detail}
        for each in sorted(refused, key=lambda each: each.record)[:LISTED]
    ]


def answer(request: Request, texts: Texts, accepted: int, refused: Sequence[Refusal]) -> Response:
    """202 with what was refused; 422 when the body as a whole could not be read."""
    body: dict[str, object] = {"accepted": accepted, "refused": listed(refused)}
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
