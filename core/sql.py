"""Named SQL. Queries live in a room's `queries.sql`; none is built from strings.

Format: `-- name: find_open` begins a query, the comment lines below it say what it promises.
"""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"^-- name: ([a-z0-9_]+)\s*$", re.MULTILINE)


class Queries:
    """The queries of one file, by name: `queries["find_open"]` is what psycopg executes."""

    def __init__(self, texts: dict[str, bytes], source: str) -> None:
        self._texts = texts
        self._source = source

    def __getitem__(self, name: str) -> bytes:
        try:
            return self._texts[name]
        except KeyError:
            raise KeyError(f"no query {name} in {self._source}") from None

    def __iter__(self) -> object:
        return iter(self._texts)

    @classmethod
    def of(cls, module_file: str, name: str = "queries.sql") -> Queries:
        """The queries beside a module: `Queries.of(__file__)`."""
        path = Path(module_file).with_name(name)
        pieces = _NAME.split(path.read_text(encoding="utf-8"))
        texts = {key: body.strip().encode() for key, body in zip(pieces[1::2], pieces[2::2], strict=True)}
        if len(texts) != len(pieces) // 2:
            raise ValueError(f"{path} has a query name twice")
        return cls(texts, str(path))
