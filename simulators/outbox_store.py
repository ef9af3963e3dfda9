"""What a gateway keeps until it is acknowledged: frames in a file, through power cuts, in order.

A boot number and a sequence that never go back are the gateway's own proof of what it has sent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from core.sql import Queries

QUERIES = Queries.of(__file__)


def _sql(name: str) -> str:
    return QUERIES[name].decode()


class Outbox:
    """Unacknowledged frames of one gateway. Without a path it lives in memory and forgets at exit."""

    def __init__(self, path: Path | None = None, *, limit: int = 1_000_000) -> None:
        """Open or create; `limit` is how many frames fit. The number of this start is `boot`."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path or ":memory:", isolation_level=None)
        # the operating system keeps what a killed process has written; a simulated gateway need not fear for more
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = OFF")
        for name in ("create_frames", "create_boots"):
            self._connection.execute(_sql(name))
        self.boot = int(self._connection.execute(_sql("add_boot")).lastrowid or 0)
        self._count = int(self._connection.execute(_sql("count_frames")).fetchone()[0])
        self._limit = limit
        self.lost = 0

    def __len__(self) -> int:
        return self._count

    @property
    def last(self) -> int:
        """The newest frame's sequence number; 0 when nothing waits."""
        return int(self._connection.execute(_sql("last_frame")).fetchone()[0] or 0)

    def put(self, topic: str, payload: bytes) -> int:
        """Keep a frame; its sequence number. A full memory loses its oldest frame and counts it in `lost`."""
        if self._count >= self._limit:
            gone = self._connection.execute(_sql("forget_oldest"), (self._count - self._limit + 1,)).rowcount
            self._count -= gone
            self.lost += gone
        sequence = self._connection.execute(_sql("add_frame"), (topic, payload)).lastrowid
        assert sequence is not None
        self._count += 1
        return sequence

    def after(self, sequence: int, limit: int = 500) -> list[tuple[int, str, bytes]]:
        """(sequence, topic, payload) of the oldest frames after a sequence number."""
        return list(self._connection.execute(_sql("frames_after"), (sequence, limit)))

    def acknowledged(self, sequences: Iterable[int]) -> None:
        """Forget frames that the other side has."""
        self._connection.execute("BEGIN")
        for sequence in sequences:
            self._count -= self._connection.execute(_sql("forget_frame"), (sequence,)).rowcount
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()
