"""Device twins on the wire: what devices say they are, and what they shall be, told until they say that they took it.

`twin/<gateway>`          {"<wire name>": {"firmware": "1.4", "period_s": 60, "version": 3}, …}, from the gateway
`twin/<gateway>/desired`  {"<wire name>": {"version": 3, "desired": {"period_s": 60}}, …}, retained, to the gateway

A report is acknowledged when it is in memory: it is a state, said anew at every connect, and must not hold up the
acknowledgements of readings while the database is away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import msgspec
from psycopg.types.json import Jsonb

from core.clock import to_datetime
from core.db import Database
from core.http import to_json
from ingest.mqtt import Message
from iot.care_store import QUERIES

#: A device says this much of itself at most; so many devices a message, and while the database is away.
MOST_BYTES = 4096
MOST_DEVICES = 1000
MOST_WAITING = 100_000
#: Wishes that are told at once.
MOST_WISHES = 10_000

_read = msgspec.json.Decoder(dict[str, dict[str, object]]).decode
_read_one = msgspec.json.Decoder(dict[str, object]).decode


@dataclass(frozen=True, slots=True)
class Said:
    gateway: str
    wire_name: str
    reported: dict[str, object]
    version: int
    at_us: int


def read(gateway: str, payload: bytes, at_us: int, *, own: bool) -> list[Said]:
    """What stands in a report; `own`: the gateway is the device. Empty when it cannot be read, or says too much."""
    try:
        devices = {gateway: _read_one(payload)} if own else _read(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    if len(payload) > MOST_BYTES * min(len(devices), MOST_DEVICES):
        return []
    return [_said(gateway, name, reported, at_us) for name, reported in devices.items()]


def _said(gateway: str, name: str, reported: dict[str, object], at_us: int) -> Said:
    version = reported.pop("version", 0)
    known = isinstance(version, int) and 0 <= version < 1 << 31
    return Said(gateway, name, reported, int(str(version)) if known else 0, at_us)


@dataclass(slots=True)
class Twins:
    """`publish` reaches a gateway."""

    publish: Callable[[Message], object]
    _waiting: dict[tuple[str, str], Said] = field(default_factory=dict)
    _told: dict[str, bytes] = field(default_factory=dict)

    def reported(self, said: Iterable[Said]) -> None:
        """Kept until the database takes it; of devices beyond what fits nothing is."""
        for each in said:
            key = each.gateway, each.wire_name
            known = self._waiting.get(key, each)
            if known is not each or len(self._waiting) < MOST_WAITING:
                version = max(known.version, each.version)
                self._waiting[key] = replace(each, reported=known.reported | each.reported, version=version)

    async def exchange(self, database: Database) -> None:
        """Once a second: keep what was said, tell what is wished."""
        if self._waiting:
            await self._keep(database)
        await self._tell(database)

    async def _keep(self, database: Database) -> None:
        waiting, self._waiting = self._waiting, {}
        rows = [
            {
                "gateway": each.gateway, "wire_name": each.wire_name, "reported": Jsonb(each.reported),
                "version": each.version, "now": to_datetime(each.at_us),
            }
            for each in waiting.values()
        ]  # fmt: skip
        try:
            async with database.transaction() as connection, connection.cursor() as cursor:
                await cursor.executemany(QUERIES["report"], rows)
        except BaseException:
            newer, self._waiting = self._waiting, waiting
            self.reported(newer.values())
            raise

    async def _tell(self, database: Database) -> None:
        """One retained message a gateway; an empty one takes it back when nothing is open any more."""
        wishes: dict[str, dict[str, object]] = {}
        for row in await database.fetch(QUERIES["open_wishes"], limit=MOST_WISHES):
            wish = {"version": row["version"], "desired": row["desired"]}
            wishes.setdefault(row["gateway"], {})[row["wire_name"]] = wish
        for gateway in wishes.keys() | self._told.keys():
            payload = to_json(wishes[gateway]) if gateway in wishes else b""
            if self._told.get(gateway) != payload:
                self.publish(Message(f"twin/{gateway}/desired", payload, 1, retain=True))
                self._told[gateway] = payload
        self._told = {gateway: payload for gateway, payload in self._told.items() if payload}
