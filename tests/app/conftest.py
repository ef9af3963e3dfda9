"""A server that a test may kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.postgres import EmbeddedPostgres


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    folder = tmp_path_factory.mktemp("pg")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o711)  # as root the server runs as another user
    made = EmbeddedPostgres(folder / "postgres", say=lambda _: None)
    made.start()
    try:
        yield made
    finally:
        made.destroy()
