"""Who asks: a ticket opens one WebSocket and nothing else."""

from __future__ import annotations

import pytest
from starlette.types import Message, Receive, Scope, Send

from app import policy
from app.auth import Auth
from app.identify import Identify
from core.actor import Actor
from core.clock import ManualClock
from core.db import Database


@pytest.fixture
async def auth(database: Database, clock: ManualClock) -> Auth:
    made = Auth(database, clock, 3600)
    await made.put_user("lin", "林静", "right horse", ["shift_leader"])
    return made


async def asked_by(auth: Auth, kind: str, query: str) -> Actor:
    """Who the application sees behind the middleware."""
    seen: list[Actor] = []

    async def app(scope: Scope, _: Receive, __: Send) -> None:
        seen.append(scope["state"]["actor"])

    async def receive() -> Message:
        return {"type": f"{kind}.disconnect"}

    async def send(_: Message) -> None:
        pass

    rules, paths = policy.load()
    scope = {
        "type": kind,
        "path": "/api/v1/stream",
        "headers": [],
        "query_string": query.encode(),
        "method": "GET",
    }
    await Identify(app, auth, rules, paths)(scope, receive, send)
    return seen[0]


async def test_a_ticket_opens_one_websocket(auth: Auth) -> None:
    ticket = await auth.open_session("lin", "ticket", 30)
    assert (await asked_by(auth, "websocket", f"ticket={ticket}")).id == "lin"
    assert (await asked_by(auth, "websocket", f"ticket={ticket}")).roles == frozenset(), "it is used up"


async def test_a_ticket_is_worth_nothing_for_plain_requests_or_after_its_time(
    auth: Auth, clock: ManualClock
) -> None:
    ticket = await auth.open_session("lin", "ticket", 30)
    assert (await asked_by(auth, "http", f"ticket={ticket}")).roles == frozenset()
    clock.advance(31)
    assert (await asked_by(auth, "websocket", f"ticket={ticket}")).roles == frozenset()


async def test_a_browser_without_the_right_is_led_to_the_sign_in_that_says_so(auth: Auth) -> None:
    """A page that a signed-in person may not open is no dead end; a program gets a plain 403."""
    token = await auth.open_session("lin", "bearer")

    async def answer(accept: str) -> tuple[int, str]:
        sent: list[Message] = []

        async def app(_: Scope, __: Receive, ___: Send) -> None:
            raise AssertionError("nobody may get here")

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {token}".encode()), (b"accept", accept.encode())]
        scope = {
            "type": "http",
            "path": "/department",
            "headers": headers,
            "query_string": b"",
            "method": "GET",
        }
        await Identify(app, auth, *policy.load())(scope, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"]).get(b"location", b"").decode()

    assert await answer("text/html") == (303, "/login?next=/department&refused=1")
    assert await answer("application/json") == (403, "")
