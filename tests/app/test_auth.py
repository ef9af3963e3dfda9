"""Signing in and what ends it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from app import auth_api
from app.auth import QUERIES, TRIES, Auth, TooManyTries, secret_hash
from core import text
from core.clock import ManualClock
from core.db import Database
from core.errors import NotSignedIn, Unavailable
from core.text import Texts
from iot import registry_store


@pytest.fixture
async def auth(database: Database, clock: ManualClock) -> Auth:
    made = Auth(database, clock, 3600)
    await made.put_user("lin", "林静", "right horse", ["shift_leader"], crew="")
    return made


async def test_the_right_password_signs_in_and_the_token_names_the_user(auth: Auth) -> None:
    actor = await auth.sign_in("lin", "right horse", "10.0.0.1")
    token = await auth.open_session(actor.id, "bearer")
    again = await auth.actor_of(token)
    assert again is not None
    assert (again.id, again.name, again.roles) == ("lin", "林静", frozenset({"shift_leader"}))


async def test_a_wrong_password_and_an_unknown_user_are_told_the_same(auth: Auth) -> None:
    with pytest.raises(NotSignedIn) as wrong:
        await auth.sign_in("lin", "wrong horse", "10.0.0.1")
    with pytest.raises(NotSignedIn) as unknown:
        await auth.sign_in("nobody", "right horse", "10.0.0.1")
    assert wrong.value.key == unknown.value.key


async def test_guessing_is_stopped_for_the_account_and_forgiven_after_a_while(
    auth: Auth, clock: ManualClock
) -> None:
    for _ in range(TRIES):
        with pytest.raises(NotSignedIn):
            await auth.sign_in("lin", "guess", "10.0.0.1")
    with pytest.raises(TooManyTries):
        await auth.sign_in("lin", "right horse", "10.0.0.2")
    clock.advance(16 * 60)
    assert (await auth.sign_in("lin", "right horse", "10.0.0.2")).id == "lin"


async def test_a_session_ends_with_its_time(auth: Auth, clock: ManualClock) -> None:
    token = await auth.open_session("lin", "browser")
    clock.advance(3601)
    assert await auth.actor_of(token) is None


async def test_disabling_a_user_ends_its_open_sessions_within_seconds(auth: Auth, clock: ManualClock) -> None:
    token = await auth.open_session("lin", "browser")
    assert await auth.actor_of(token) is not None
    assert await auth.disable("lin")
    clock.advance(5)
    assert await auth.actor_of(token) is None
    with pytest.raises(NotSignedIn):
        await auth.sign_in("lin", "right horse", "10.0.0.1")


async def test_a_one_time_link_works_once_and_keeps_its_target(auth: Auth) -> None:
    link = await auth.open_session("lin", "link", 60, "/wall")
    actor, target = await auth.use_once(link, "link")
    assert (actor.id, target) == ("lin", "/wall")
    with pytest.raises(NotSignedIn):
        await auth.use_once(link, "link")


async def test_a_link_is_no_session_and_a_session_no_link(auth: Auth) -> None:
    link = await auth.open_session("lin", "link", 60)
    session = await auth.open_session("lin", "browser")
    assert await auth.actor_of(link) is None
    with pytest.raises(NotSignedIn):
        await auth.use_once(session, "link")


async def test_the_database_holds_no_token_and_no_password(auth: Auth, database: Database) -> None:
    token = await auth.open_session("lin", "bearer")
    rows = await database.fetch(b"SELECT encode(token_hash, 'escape') AS hash FROM sessions")
    user = await database.fetch_one(QUERIES["find_user"], id="lin")
    assert user is not None
    assert all(token not in row["hash"] for row in rows)
    assert user["password"].startswith("$argon2id$")


async def test_a_gateway_speaks_for_itself_only_with_its_own_secret(auth: Auth, database: Database) -> None:
    async with database.transaction() as connection:
        await registry_store.put_gateway(connection, "gw-1", 1, secret_hash=secret_hash("s3cret"))
        await registry_store.put_gateway(connection, "gw-2", 1)
    assert await auth.gateway_of("gw-1", "s3cret") == "gw-1"
    assert await auth.gateway_of("gw-1", "other") is None
    assert await auth.gateway_of("gw-2", "") is None
    assert await auth.gateway_of("gw-9", "s3cret") is None


async def test_a_gateway_that_was_known_signs_in_while_the_database_is_away(
    auth: Auth, database: Database
) -> None:
    async with database.transaction() as connection:
        await registry_store.put_gateway(connection, "gw", 0, secret_hash=secret_hash("right"))
    assert await auth.gateway_of("gw", "right") == "gw"
    auth.database = Database("host=/nowhere dbname=none")
    assert await auth.gateway_of("gw", "right") == "gw"
    assert await auth.gateway_of("gw", "wrong") is None
    with pytest.raises(Unavailable):
        await auth.gateway_of("another", "right")


async def test_a_wall_that_only_looks_stays_signed_in_and_only_where_its_link_was_opened(
    auth: Auth, clock: ManualClock, shipped_texts: Texts
) -> None:
    await auth.put_user("hall", "hall", "right horse", ["viewer"])
    app = FastAPI()
    app.include_router(auth_api.router(auth, shipped_texts))
    cookies = {}
    for user, target in (("hall", "/wall?profile=hall"), ("lin", "/wall"), ("hall", "/cockpit")):
        link = await auth.open_session(user, "link", target=target)
        transport = httpx.ASGITransport(app, client=("10.0.0.7", 5000))
        async with httpx.AsyncClient(transport=transport, base_url="http://city.test") as http:
            answer = await http.get(f"/once/{link}")
        assert answer.headers["location"] == target
        cookies[user, target] = answer.cookies["cityops_session"]
    clock.advance(30 * 86_400)
    here, there = "10.0.0.7", "10.0.0.8"
    wall, operator, cockpit = cookies.values()
    assert await auth.actor_of(wall, here) is not None
    assert await auth.actor_of(wall, there) is None
    assert await auth.actor_of(operator, here) is None
    assert await auth.actor_of(cockpit, here) is None


@pytest.fixture(scope="module")
def shipped_texts() -> Texts:
    root = Path(auth_api.__file__).parents[1]
    return text.load([root / "core", root / "app"])
