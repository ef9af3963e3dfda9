"""Every way in × every role: what the policy does not allow is refused. Generated from the application itself."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts
from starlette.routing import Mount

from app import declared as reading
from app.auth import Auth
from app.declared import Declared
from app.policy import OPEN
from app.web_role import Web
from core.access import Policy
from core.clock import SystemClock
from core.http import Allow, Open
from dashboard import dash_app
from dashboard.stream import ACTIONS
from tests.conftest import ROOMS, ROOT

#: Ways in that are open to everybody. A new one must be added here by hand, and be seen in a review.
OPEN_ROUTES = {
    "GET /api/v1/push/{name}", "POST /api/v1/push/{name}",
    "GET /", "GET /login", "POST /login", "POST /logout", "GET /once/{link}", "GET /api/v1/health",
    "GET /api/v1/ready", "DELETE,GET,PATCH,POST,PUT /api/{rest}",
    "GET /vendors", "GET /api/v1/vendors",
    "POST /api/v1/auth/token", "GET /api/v1/auth/me", "GET /api/v1/texts/{language}",
}  # fmt: skip


@pytest.fixture(scope="module")
def declared() -> Declared:
    return reading.load(ROOT / "config.yaml")


@pytest.fixture
async def web(declared: Declared, dsn: str, tmp_path: Path) -> AsyncIterator[tuple[FastAPI, Auth]]:
    settings = declared.settings.model_copy(update={"data": tmp_path})
    object.__setattr__(declared, "settings", settings)
    role = Web(declared, dsn, "run", SystemClock())
    app = await role.open()
    try:
        yield app, Auth(role.database, role.clock, 3600)
    finally:
        await role.close()


@dataclass(frozen=True, slots=True)
class Way:
    """A route as it is reached: with every prefix and every dependency of the routers around it."""

    name: str
    methods: frozenset[str]
    path: str
    marks: tuple[Allow | Open, ...]
    ours: bool


def ways(app: FastAPI) -> list[Way]:
    found = []
    for context in iter_route_contexts(app.routes):
        if not isinstance(context.original_route, APIRoute):
            continue
        path, methods = str(context.path), frozenset(context.methods or ())
        ours = any(str(getattr(context.endpoint, "__module__", "")).startswith(f"{room}.") for room in ROOMS)
        name = f"{','.join(sorted(methods))} {re.sub(r':[a-z]+}', '}', path)}"
        found.append(Way(name, methods, re.sub(r"{[^}]*}", "1", path), tuple(marks(context.dependant)), ours))
    return found


def marks(dependant: Dependant) -> Iterator[Allow | Open]:
    for inner in dependant.dependencies:
        if isinstance(inner.call, Allow | Open):
            yield inner.call
        yield from marks(inner)


async def test_every_route_names_its_action_or_says_why_it_is_open(web: tuple[FastAPI, Auth]) -> None:
    app, _ = web
    found = [way for way in ways(app) if way.ours]
    assert len(found) > 100, "the walk finds the routes"
    assert [way.name for way in found if not way.marks] == []
    assert {way.name for way in found if any(isinstance(mark, Open) for mark in way.marks)} == OPEN_ROUTES
    actions = {mark.action for way in found for mark in way.marks if isinstance(mark, Allow)}
    assert {action for action in actions if not app.state.policy.knows(action)} == set()


async def test_what_is_no_api_route_is_a_folder_of_files_or_the_stream(
    web: tuple[FastAPI, Auth], declared: Declared
) -> None:
    app, _ = web
    others = [c.original_route for c in iter_route_contexts(app.routes)]
    for route in others:
        if isinstance(route, Mount):
            assert declared.paths.action(f"{route.path}/x") == OPEN
        elif isinstance(route, APIWebSocketRoute):
            assert route.path.endswith("/stream") or declared.paths.action(route.path) is None
        else:
            assert isinstance(route, APIRoute), f"{route}: nobody asks who comes"


def test_every_topic_and_callback_needs_an_action_that_exists(declared: Declared) -> None:
    wanted = {*ACTIONS.values(), *dash_app.CALLBACKS.values()}
    assert {action for action in wanted if not declared.policy.knows(action)} == set()


async def test_every_dash_callback_of_the_application_is_listed(web: tuple[FastAPI, Auth]) -> None:
    app, auth = web
    await auth.put_user("walker", "Walker", "a long password", ["admin"], crew="")
    headers = {"Authorization": f"Bearer {await auth.open_session('walker', 'bearer')}"}
    async with client(app) as http:
        answer = await http.get("/_dash-dependencies", headers=headers)
    assert {callback["output"] for callback in answer.json()} == set(dash_app.CALLBACKS)


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://city.test")


async def test_nobody_gets_in_anywhere_without_signing_in(
    web: tuple[FastAPI, Auth], declared: Declared
) -> None:
    app, _ = web
    async with client(app) as http:
        for way in ways(app):
            if way.name in OPEN_ROUTES or (not way.ours and declared.paths.action(way.path) == OPEN):
                continue
            for method in way.methods:
                answer = await http.request(method, way.path)
                assert answer.status_code in ((401, 403) if way.ours else (403, 404)), (
                    way,
                    answer.status_code,
                )


async def test_what_the_policy_does_not_allow_is_refused_to_every_role(
    web: tuple[FastAPI, Auth], declared: Declared
) -> None:
    app, auth = web
    policy = declared.policy
    roles = frozenset[str]().union(*policy.allowed.values(), *policy.own.values()) - {"gateway"}
    refused = 0
    async with client(app) as http:
        for role in sorted(roles):
            await auth.put_user(role, role, "a long password", [role], crew="c")
            headers = {"Authorization": f"Bearer {await auth.open_session(role, 'bearer')}"}
            for way in ways(app):
                wanted = [mark.action for mark in way.marks if isinstance(mark, Allow)]
                if all(role in roles_of(policy, action) for action in wanted):
                    continue
                for method in way.methods:
                    answer = await http.request(method, way.path, headers=headers)
                    assert answer.status_code == 403, (role, way.name, answer.status_code)
                    refused += 1
    assert refused > 500


def roles_of(policy: Policy, action: str) -> frozenset[str]:
    """Written anew from the table, so that a hole in `may_ask` is seen."""
    return policy.allowed.get(action, frozenset()) | policy.own.get(action, frozenset())
