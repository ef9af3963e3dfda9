"""A server that a test may kill."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.postgres import EmbeddedPostgres


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    with tempfile.TemporaryDirectory(prefix="cityops-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(
            0o711
        )  # as root the server runs as another user; pytest's own folders are closed to it
        made = EmbeddedPostgres(Path(folder) / "postgres", say=lambda _: None)
        made.start()
        try:
            yield made
        finally:
            made.destroy()
