"""Signing in: passwords, browser sessions, bearer tokens, one-time links, WebSocket tickets, gateway secrets.

Tokens are random and only their hashes are kept. Signing out, disabling a user or changing its roles ends every
open session within `CACHE_S` seconds, open WebSockets included.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.actor import Actor
from core.clock import SECOND_US, Clock, to_datetime
from core.db import AWAY, Database
from core.errors import CityOpsError, NotSignedIn, Unavailable
from core.sql import Queries

QUERIES = Queries.of(__file__)
CACHE_S = 3.0
TICKET_S = 30.0
#: A wall stays signed in: a year and a month.
WALL_S = 400 * 86_400.0
LINK_S = 24 * 3600.0
TRIES = 5
TRIES_PER_SOURCE = 50
TRIES_WINDOW_S = 15 * 60.0
#: A password check costs some 100 ms of a core: more at once would only make a flood of them cheaper.
CHECKS_AT_ONCE = 2
#: A gateway that signs in waits so long for the database.
PATIENCE_S = 2.0


class TooManyTries(CityOpsError):
    key = "error.too_many_tries"


def new_token() -> str:
    return secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def secret_hash(secret: str) -> str:
    """Of a gateway's secret, which is random and long: a fast hash is enough and keeps connecting cheap."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_secret() -> tuple[str, str]:
    """A secret for a gateway, and what is kept of it."""
    secret = new_token()
    return secret, secret_hash(secret)


def as_actor(row: dict[str, Any]) -> Actor:
    return Actor(
        row["id"], row["name"], frozenset(row["roles"]), frozenset(row["areas"]),
        frozenset(row["departments"]), row["crew"],
    )  # fmt: skip


@dataclass(slots=True)
class Auth:
    """All that has to do with being somebody. One per web process."""

    database: Database
    clock: Clock
    session_s: float
    _hasher: PasswordHasher = field(default_factory=PasswordHasher)
    _checks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CHECKS_AT_ONCE))
    _known: dict[tuple[bytes, str], tuple[float, Actor]] = field(default_factory=dict)
    _gateways: dict[str, str] = field(default_factory=dict)

    async def sign_in(self, account: str, password: str, source: str) -> Actor:
        """The user of a right password. Raises `NotSignedIn` without saying what was wrong, or `TooManyTries`."""
        now = self.clock.now_us()
        since = to_datetime(now - round(TRIES_WINDOW_S * SECOND_US))
        tried = await self.database.fetch_one(
            QUERIES["count_failures"], account=account, source=source, since=since
        )
        if tried and (tried["account"] >= TRIES or tried["source"] >= TRIES_PER_SOURCE):
            raise TooManyTries
        row = await self.database.fetch_one(QUERIES["find_user"], id=account)
        good = await self._check(row["password"] if row else "", password)
        if row is None or not good or row["disabled_at"] is not None:
            await self.database.execute(
                QUERIES["add_failure"], account=account, source=source, now=to_datetime(now)
            )
            raise NotSignedIn("error.wrong_password")
        await self.database.execute(QUERIES["forget_failures"], account=account, before=since)
        return as_actor(row)

    async def _check(self, known: str, password: str) -> bool:
        """Takes as long for an unknown account as for a known one."""
        async with self._checks:
            return await asyncio.to_thread(self._verify, known, password)

    def _verify(self, known: str, password: str) -> bool:
        if not known:
            self._hasher.hash(password)
            return False
        try:
            return self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return False

    async def open_session(
        self, user: str, kind: str, lasts_s: float | None = None, target: str = "", source: str = ""
    ) -> str:
        """A new token: `browser` and `bearer` last, `link` and `ticket` can be used once.

        With a `source` it is good from that address only.
        """
        token = new_token()
        now = self.clock.now_us()
        expires = now + round((self.session_s if lasts_s is None else lasts_s) * SECOND_US)
        await self.database.execute(
            QUERIES["put_session"],
            token_hash=digest(token), user=user, kind=kind, target=target, source=source,
            now=to_datetime(now), expires=to_datetime(expires),
        )  # fmt: skip
        return token

    async def actor_of(self, token: str, source: str = "") -> Actor | None:
        """Whose live session this is, asked from an address. Cached for `CACHE_S`."""
        hashed = digest(token)
        now_s = self.clock.monotonic_s()
        known = self._known.get((hashed, source))
        if known and now_s - known[0] < CACHE_S:
            return known[1]
        row = await self.database.fetch_one(
            QUERIES["find_session"],
            token_hash=hashed,
            kinds=["browser", "bearer"],
            source=source,
            now=to_datetime(self.clock.now_us()),
        )
        self._known.pop((hashed, source), None)
        if row is None:
            return None
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[hashed, source] = (now_s, as_actor(row))
        return self._known[hashed, source][1]

    async def use_once(self, token: str, kind: str) -> tuple[Actor, str]:
        """Take a one-time link or a ticket: its user and target. Raises `NotSignedIn` when used or expired."""
        row = await self.database.fetch_one(
            QUERIES["use_session"], token_hash=digest(token), kind=kind, now=to_datetime(self.clock.now_us())
        )
        if row is None:
            raise NotSignedIn("error.link_used")
        return as_actor(row), row["target"]

    async def sign_out(self, token: str) -> None:
        gone = digest(token)
        for known in [key for key in self._known if key[0] == gone]:
            del self._known[known]
        await self.database.execute(QUERIES["end_session"], token_hash=gone)

    async def gateway_of(self, gateway: str, secret: str) -> str | None:
        """The gateway's id when the secret is its own.

        While the database is away those who were known before are let in as they were: their data can be spooled.
        Raises `Unavailable` for the others.
        """
        asking = self.database.fetch_one(QUERIES["gateway_secret"], id=gateway)
        try:
            row = await asyncio.wait_for(asking, PATIENCE_S)
        except (*AWAY, TimeoutError):
            if gateway not in self._gateways:
                raise Unavailable("error.database_away") from None
        else:
            self._gateways[gateway] = row["secret_hash"] if row else ""
        known = self._gateways[gateway]
        if not known:
            del self._gateways[gateway]  # names that somebody invents are not kept
            return None
        return gateway if hmac.compare_digest(known, secret_hash(secret)) else None

    async def put_user(
        self, user: str, name: str, password: str, roles: list[str], *,
        areas: list[str] | None = None, departments: list[str] | None = None, crew: str = "",
    ) -> None:  # fmt: skip
        """Add or change a user; its open sessions end."""
        hashed = await asyncio.to_thread(self._hasher.hash, password)
        async with self.database.transaction() as connection:
            await connection.execute(
                QUERIES["put_user"],
                {
                    "id": user, "name": name, "password": hashed, "roles": roles, "areas": areas or [],
                    "departments": departments or [], "crew": crew, "now": to_datetime(self.clock.now_us()),
                },
            )  # fmt: skip
            await connection.execute(QUERIES["end_sessions"], {"id": user})

    async def disable(self, user: str) -> bool:
        """Shut a user out at once; False when there is none or it was shut out before."""
        async with self.database.transaction() as connection:
            done = await connection.execute(
                QUERIES["disable_user"], {"id": user, "now": to_datetime(self.clock.now_us())}
            )
            await connection.execute(QUERIES["end_sessions"], {"id": user})
        return done.rowcount > 0
