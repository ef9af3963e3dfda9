"""What is known of gateways beside their readings: on line or not, what they said that was refused, strangers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
from psycopg.types.json import Jsonb

from core.clock import DAY_US, to_datetime, to_us
from core.db import Database, DictConnection
from core.sql import Queries
from ingest.endpoint import Listener
from ingest.stream import NoReceipt
from iot.codecs.frame import Parcel

QUERIES = Queries.of(__file__)
#: A status is a small object; a larger one is not kept.
STATUS_BYTES = 4096
#: Letters that one action touches at most.
MOST_LETTERS = 1000
#: Strangers that were silent for this long are forgotten.
STRANGERS_US = 30 * DAY_US


@dataclass(frozen=True, slots=True)
class State:
    """A gateway as the wire knows it. `said` is its own status, None when it did not say one since the last."""

    online: bool
    at_us: int
    why: str = ""
    said: object = None
    said_us: int = 0


@dataclass(slots=True)
class States(Listener):
    """Gathers what connections tell; `flush` makes it durable, once for each gateway however often it came and went."""

    _changed: dict[str, State] = field(default_factory=dict)
    _now: dict[str, State] = field(default_factory=dict)
    _lines: Counter[str] = field(default_factory=Counter)

    def connected(self, gateway: str, at_us: int) -> None:
        self._lines[gateway] += 1
        self._put(gateway, State(online=True, at_us=at_us))

    def disconnected(self, gateway: str, at_us: int, why: str) -> None:
        """A gateway whose session was taken over, or that has another connection, is still there."""
        self._lines[gateway] -= 1
        if self._lines[gateway] <= 0:
            del self._lines[gateway]
            self._put(gateway, State(online=False, at_us=at_us, why=why))

    def status(self, gateway: str, payload: bytes, at_us: int) -> None:
        """Also as a last will, when the connection is gone already."""
        try:
            said = msgspec.json.decode(payload) if len(payload) <= STATUS_BYTES else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            said = None
        known = self._now.get(gateway) or State(online=True, at_us=at_us)
        online = said["state"] == "online" if isinstance(said, dict) and "state" in said else known.online
        self._put(gateway, replace(known, online=online, said=said, said_us=at_us))

    def _put(self, gateway: str, state: State) -> None:
        self._changed[gateway] = state
        self._now[gateway] = replace(state, said=None)

    async def flush(self, database: Database) -> None:
        """Nothing is forgotten when the database is away."""
        changed, self._changed = self._changed, {}
        try:
            async with database.transaction() as connection:
                for gateway, state in sorted(changed.items()):
                    await connection.execute(QUERIES["put_state"], _row(gateway, state))
        except BaseException:
            self._changed = changed | self._changed
            raise


def _row(gateway: str, state: State) -> dict[str, object]:
    said = state.said is not None
    return {
        "gateway": gateway, "online": state.online, "at": to_datetime(state.at_us), "why": state.why[:200],
        "said": Jsonb(state.said) if said else None, "said_at": to_datetime(state.said_us) if said else None,
    }  # fmt: skip


async def all_gone(database: Database, now_us: int) -> None:
    await database.execute(QUERIES["all_gone"], now=to_datetime(now_us))


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter that is to be read again, as it came."""

    id: int
    parcel: Parcel


async def open_letters(connection: DictConnection, ids: Sequence[int]) -> list[Letter]:
    """Letters that nobody has settled. A record without a time gets the one at which the letter was put aside."""
    rows = await (await connection.execute(QUERIES["letters_by_id"], {"ids": list(ids)})).fetchall()
    return [
        Letter(
            row["id"],
            Parcel(
                row["gateway"], row["source"], [bytes(row["payload"])], to_us(row["at"]), NoReceipt(), row["topic"],
                history=True,
            ),
        )
        for row in rows
    ]  # fmt: skip


async def settle(connection: DictConnection, ids: Sequence[int], outcome: str, now_us: int) -> int:
    """Mark letters `replayed` or `dropped`; how many were open."""
    values = {"ids": list(ids), "outcome": outcome, "now": to_datetime(now_us)}
    return (await connection.execute(QUERIES["settle_letters"], values)).rowcount


async def letters_of(connection: DictConnection, gateway: str, wire_name: str) -> list[int]:
    """Open letters of a stranger, oldest first."""
    values = {"gateway": gateway, "wire_name": wire_name, "limit": MOST_LETTERS}
    return [
        row["id"]
        for row in await (await connection.execute(QUERIES["letters_of_stranger"], values)).fetchall()
    ]
