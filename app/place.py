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
