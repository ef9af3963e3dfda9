"""ASGI middleware: who asks, may this path be asked at all, and the headers that every answer carries."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.auth import Auth
from app.policy import OPEN, Paths
from core.access import Policy
from core.actor import NOBODY, Actor
from core.errors import NotSignedIn

COOKIE = "cityops_session"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: Files that everybody may have: who asks for one is not looked up.
FILES = ("/assets/", "/_dash-component-suites/")
#: Paths whose routes name their own action (`core.http.Allow`).
ROUTED = ("/api/", "/login", "/logout", "/once/")


def cookie_of(headers: Headers) -> str:
    try:
        jar = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return jar[COOKIE].value if COOKIE in jar else ""


def source_of(scope: Scope) -> str:
    """The address that asks."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def ticket_of(scope: Scope) -> str:
    """`?ticket=` of a WebSocket; plain requests take none, where addresses end up in logs."""
    if scope["type"] != "websocket":
        return ""
    asked: bytes = scope.get("query_string", b"")
    return parse_qs(asked.decode("latin-1")).get("ticket", [""])[0]


@dataclass(slots=True)
class Identify:
    """Puts the `Actor` into `request.state.actor`; closes what the policy does not open."""

    app: ASGIApp
    auth: Auth
    policy: Policy
    paths: Paths
    origins: frozenset[str] = frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if scope["path"].startswith(FILES):
            scope.setdefault("state", {})["actor"] = NOBODY
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        actor, by_cookie = await self._actor(headers, source_of(scope), ticket_of(scope))
        scope.setdefault("state", {})["actor"] = actor
        refused = self._refusal(scope, headers, actor, by_cookie=by_cookie)
        if refused is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await refused(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "not allowed"})

    async def _actor(self, headers: Headers, source: str, ticket: str = "") -> tuple[Actor, bool]:
        kind, _, credentials = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return await self.auth.actor_of(credentials.strip(), source) or NOBODY, False
        if kind.lower() == "basic":
            return await self._gateway(credentials), False
        if ticket:
            return await self._of_ticket(ticket), False
        token = cookie_of(headers)
        return (await self.auth.actor_of(token, source) or NOBODY, True) if token else (NOBODY, False)

    async def _of_ticket(self, ticket: str) -> Actor:
        """A ticket opens one WebSocket; it is used up by that."""
        try:
            return (await self.auth.use_once(ticket, "ticket"))[0]
        except NotSignedIn:
            return NOBODY

    async def _gateway(self, credentials: str) -> Actor:
        """Gateways that push over HTTP sign in with their id and secret."""
        try:
            name, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return NOBODY
        gateway = await self.auth.gateway_of(name, secret)
        return (
            Actor(f"gateway:{gateway}", gateway, frozenset({"gateway"}), gateway=gateway)
            if gateway
            else NOBODY
        )

    def _refusal(self, scope: Scope, headers: Headers, actor: Actor, *, by_cookie: bool) -> Response | None:
        path: str = scope["path"]
        unsafe = scope["type"] == "websocket" or scope["method"] not in SAFE
        if by_cookie and unsafe and not self._same_origin(headers):
            return Response("cross-site request", 403)
        if path == "/" or path.startswith(ROUTED):
            return None
        action = self.paths.action(path)
        if action == OPEN or (action and self.policy.may_ask(actor, action)):
            return None
        if action and scope["type"] == "http" and "text/html" in headers.get("accept", ""):
            refused = "&refused=1" if actor.roles else ""
            return RedirectResponse(f"/login?next={quote(path)}{refused}", 303)
        return Response("not found" if action is None else "not allowed", 404 if action is None else 403)

    def _same_origin(self, headers: Headers) -> bool:
        """A browser names the page that asks; a cookie may only be used by our own pages."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
        return origin in self.origins or urlsplit(origin).netloc == headers.get("host")


@dataclass(slots=True)
class SafeHeaders:
    """Content-security policy and its companions on every answer. `csp` may be set after the pages are built."""

    app: ASGIApp
    csp: Mapping[str, str]
    extra: dict[str, str] = field(
        default_factory=lambda: {
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "X-Frame-Options": "SAMEORIGIN",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "geolocation=(self), camera=(self), microphone=(), payment=()",
        }
    )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in {**self.extra, **self.csp}.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, with_headers)
