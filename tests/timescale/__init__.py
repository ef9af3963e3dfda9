"""TimescaleDB for the store's tests: a server that is named, or one in WebAssembly that set-up has brought."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
#: What `deploy/setup.py dev` runs npm with.
NODE = HERE.parent.parent / ".tools" / "node-for-tests"
#: A server with the extension, whose user may create databases.
NAMED = "CITYOPS_TEST_TIMESCALE_URL"


def named() -> str | None:
    return os.environ.get(NAMED)  # noqa: TID251 - tests have no settings


def missing() -> str:
    """Why there is no TimescaleDB here; empty where there is one."""
    if named() or (NODE.exists() and (HERE / "node_modules").is_dir()):
        return ""
    return f"no TimescaleDB: `python3 deploy/setup.py dev` could not bring it, and {NAMED} names none"


@contextmanager
def wasm() -> Iterator[str]:
    """A server of our own; the address of it without a database. Any name of a database makes one, empty."""
    server = subprocess.Popen(
        [NODE, HERE / "server.mjs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        yield f"postgresql://postgres@127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.stdin.close()
        server.wait(10)
        server.stdout.close()
