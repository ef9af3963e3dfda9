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
