"""Where the database of an installation is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg

from app.postgres import EmbeddedPostgres, reason
from core.settings import Settings

#: A database that is away is asked again this often, and spoken of this often.
RETRY_S = 0.5
TELL_S = 10.0


def embedded(settings: Settings) -> EmbeddedPostgres | None:
    """The server that we run ourselves; None when the settings name another."""
    return EmbeddedPostgres.beside(settings.data) if settings.database.embedded else None


def dsn(settings: Settings) -> str:
    server = embedded(settings)
    return server.dsn if server else settings.database.url.get_secret_value()


def reachable(bind: str) -> str:
    """The address under which this machine reaches what listens on `bind`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - read, not bound


async def reached(dsn: str, say: Callable[[str], None]) -> None:
    """Wait until the database answers, however long; `say` hears why it is waited for, at once and now and then."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    tell_s = began_s
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(dsn, connect_timeout=5):
                return
        except psycopg.OperationalError as away:
            if loop.time() >= tell_s:
                say(f"waiting for the database since {loop.time() - began_s:.0f} s: {reason(away)}")
                tell_s = loop.time() + TELL_S
        await asyncio.sleep(RETRY_S)
