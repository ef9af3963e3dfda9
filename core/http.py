"""The HTTP edge that every room's `api.py` shares: who asks, what may be asked, how errors and lists look.

A route names its action with `Allow("incident.read")`; a route that names none fails the policy test.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from psycopg.types.json import Jsonb
from pydantic import AwareDatetime
from starlette.exceptions import HTTPException
from starlette.responses import Response

from core.access import Policy
from core.actor import NOBODY, Actor
from core.clock import Clock, rfc3339, to_datetime, to_us
from core.db import Database, DictConnection
from core.errors import (
    CityOpsError,
    Invalid,
    NotAllowed,
    NotFound,
    NotSignedIn,
    SensorsDisagree,
    Unavailable,
    WrongState,
)
from core.sql import Queries
from core.text import Texts

QUERIES = Queries.of(__file__)

#: One table from errors to status codes; the first class that fits counts.
STATUS: tuple[tuple[type[CityOpsError], int], ...] = (
    (NotSignedIn, 401),
    (NotAllowed, 403),
    (NotFound, 404),
    (WrongState, 409),
    (Invalid, 422),
    (Unavailable, 503),
    (CityOpsError, 400),
)


class Allow:
    """The dependency of a route that says what it does: `Depends(Allow("alert.read"))` gives the `Actor`.

    It asks whether the actor may do this to anything at all; the service asks again for the very object.
    """

    def __init__(self, action: str) -> None:
        self.action = action

    def __call__(self, request: Request) -> Actor:
        actor: Actor = getattr(request.state, "actor", NOBODY)
        policy: Policy = request.app.state.policy
        if not policy.may_ask(actor, self.action):
            raise NotAllowed(action=self.action) if actor.roles else NotSignedIn()
        return actor


class Open:
    """Marks a route that everybody may ask, with the reason why; the policy test lists them."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __call__(self) -> None:
        return None


def database(request: Request) -> Database:
    found: Database = request.app.state.database
    return found


def clock(request: Request) -> Clock:
    found: Clock = request.app.state.clock
    return found


def language(request: Request) -> str:
    """`?lang=`, else the cookie, else the first language of the browser that we speak, else Chinese."""
    asked = request.query_params.get("lang") or request.cookies.get("lang")
    if asked in ("zh", "en"):
        return asked
    return "en" if request.headers.get("accept-language", "").lower().startswith("en") else "zh"


Db = Annotated[Database, Depends(database)]
Now = Annotated[Clock, Depends(clock)]
Lang = Annotated[str, Depends(language)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Moment = AwareDatetime | None


class Json(Response):
    """JSON by orjson: NumPy arrays and datetimes as they are, no validation of what we ourselves made."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - anything that is JSON
        return to_json(content)


def to_json(content: object) -> bytes:
    return orjson.dumps(
        content, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_DATETIME
    )


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(to_us(value))
    raise TypeError(f"{type(value).__name__} is not JSON")


def page(items: list[Any], limit: int, key: Callable[[Any], object]) -> dict[str, Any]:
    """A list as the API gives it. Ask the store for `limit + 1` rows: one more means that there is a next page."""
    more = len(items) > limit
    shown = items[:limit]
    return {"items": shown, "next": encode_cursor(key(shown[-1])) if more else None}


def encode_cursor(value: object) -> str:
    return base64.urlsafe_b64encode(to_json(value)).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> Any:  # noqa: ANN401 - what `key` gave
    """What a cursor stands for. Raises `Invalid` on one that we did not give."""
    if not cursor:
        return None
    try:
        return orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        raise Invalid("error.bad_cursor", field="cursor") from None


def levels(level: str | None) -> list[int] | None:
    """The filter `level=1,2`. Raises `Invalid`."""
    if not level:
        return None
    try:
        return [int(part) for part in level.split(",")]
    except ValueError:
        raise Invalid("error.bad_level", field="level", value=level) from None


def bbox(text: str | None) -> tuple[float, float, float, float] | None:
    """The filter `bbox=west,south,east,north` in WGS 84 degrees. Raises `Invalid`."""
    if not text:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise Invalid("error.bad_bbox", field="bbox", value=text) from None
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise Invalid("error.bad_bbox", field="bbox", value=text)
    return west, south, east, north


Act = Callable[[DictConnection], Awaitable[object]]


async def act(request: Request, actor: Actor, do: Act, key: str | None, asked: object) -> Response:
    """Do an action in one transaction, once: the same Idempotency-Key gets the same answer and no second effect.

    Raises `Invalid` when the key was used for another request.
    """
    clock_: Clock = request.app.state.clock
    async with request.app.state.database.transaction() as connection:
        if not key:
            return Json(await do(connection))
        digest = hashlib.sha256(request.url.path.encode() + b"\0" + to_json(asked)).hexdigest()
        names = {"actor": actor.id, "key": key}
        claimed = await (
            await connection.execute(
                QUERIES["claim_idempotency"], {**names, "digest": digest, "now": to_datetime(clock_.now_us())}
            )
        ).fetchone()
        if claimed is None:
            known = await (await connection.execute(QUERIES["find_idempotency"], names)).fetchone()
            if known is None or known["digest"] != digest:
                raise Invalid("error.idempotency_reused", field="Idempotency-Key")
            return Json(known["body"], known["status"])
        body = orjson.loads(to_json(await do(connection)))
        await connection.execute(QUERIES["keep_idempotency"], {**names, "status": 200, "body": Jsonb(body)})
        return Json(body)


IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", max_length=200)]


# -- errors as RFC 9457 problem details ---------------------------------------------------------------------


def install_errors(app: FastAPI, texts: Texts) -> None:
    """Map every error to a problem document, in the language of who asks."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, CityOpsError)
        status = next(code for kind, code in STATUS if isinstance(error, kind))
        told = texts(error.key, language(request), **error.params)
        more: dict[str, object] = {}
        if isinstance(error, WrongState):
            more = {"state": error.state, "allowed": error.allowed}
        if isinstance(error, SensorsDisagree):
            more["objections"] = error.objections
        if isinstance(error, Invalid):
            more["field"] = error.field
        return problem(status, error.key, told, more)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        fields = [
            {
                "field": ".".join(str(part) for part in item["loc"][1:]) or str(item["loc"][0]),
                "reason": item["msg"],
            }
            for item in error.errors()
        ]
        told = texts("error.invalid", language(request), field=fields[0]["field"])
        return problem(422, "error.invalid", told, {"field": fields[0]["field"], "errors": fields})

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        key = {404: "error.not_found", 405: "error.method"}.get(error.status_code, "error.failed")
        return problem(error.status_code, key, texts(key, language(request)), headers=error.headers)

    app.add_exception_handler(CityOpsError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)


def problem(
    status: int,
    kind: str,
    told: str,
    more: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem document; `type` is the text key, stable for machines."""
    body = {"type": f"urn:cityops:{kind}", "title": told, "status": status, **(more or {})}
    extra = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return Response(
        to_json(body), status, {**(headers or {}), **extra}, media_type="application/problem+json"
    )
