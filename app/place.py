"""Where the database of an installation is."""

from __future__ import annotations

from app.postgres import EmbeddedPostgres
from core.settings import Settings


def embedded(settings: Settings) -> EmbeddedPostgres | None:
    """The server that we run ourselves; None when the settings name another."""
    return EmbeddedPostgres.beside(settings.data) if settings.database.embedded else None


def dsn(settings: Settings) -> str:
    server = embedded(settings)
    return server.dsn if server else settings.database.url.get_secret_value()


def reachable(bind: str) -> str:
    """The address under which this machine reaches what listens on `bind`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - read, not bound
