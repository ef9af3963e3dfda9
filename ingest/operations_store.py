"""Asking devices: what people want done waits in the database until the device is there, is sent once, and ends with
its answer or without one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from psycopg.types.json import Jsonb

from core.clock import SECOND_US, to_datetime
from core.db import Database
from ingest.gateways_store import QUERIES
from ingest.operations import Answered, Asked, Operation, What, answered, asked, replied
from iot.registry import Registry

#: No answer after this long is none (HJ 212 asks for 10 s and three tries; GB/T 26875.3 for at most 10 s).
ANSWER_S = 30.0
AT_ONCE = 200


@dataclass(slots=True)
class Operator:
    """`send` reaches a device, or says False when it is not there."""

    send: Callable[[str, Asked], bool]
    registry: Callable[[], Registry]
    _open: dict[tuple[str, str, str], int] = field(default_factory=dict)
    _heard: deque[tuple[int, Answered]] = field(default_factory=lambda: deque(maxlen=10_000))
    _waiting: frozenset[str] = frozenset()

    def waits_for(self, station: str) -> bool:
        """Is something to be said to it? Then it is asked to stay on line."""
        return station in self._waiting

    def heard(self, gateway: str, station: str, key: str, frame: bytes) -> None:
        """A device of a field protocol answered something."""
        found = answered(gateway, key, frame)
        if found is not None:
            self._hear((gateway, station, found[0]), found[1])

    def replied(self, gateway: str, payload: bytes) -> bool:
        """A gateway answered on `command/<gateway>/reply`; False when that is somebody else's affair."""
        found = replied(payload)
        if found is not None:
            self._hear((gateway, "", found[0]), found[1])
        return found is not None

    def _hear(self, key: tuple[str, str, str], answer: Answered) -> None:
        number = self._open.get(key)
        if number is not None and answer.good is not None:
            del self._open[key]
            self._heard.append((number, answer))

    async def exchange(self, database: Database, now_us: int) -> None:
        """Once a second: keep answers, end what has none, send what waits."""
        while self._heard:
            number, answer = self._heard[0]
            state, reply = "done" if answer.good else "failed", Jsonb(dict(answer.told))
            now = to_datetime(now_us)
            await database.execute(QUERIES["operation_ended"], id=number, state=state, reply=reply, now=now)
            self._heard.popleft()
        before = to_datetime(now_us - round(ANSWER_S * SECOND_US))
        await database.execute(QUERIES["expire_operations"], now=to_datetime(now_us), sent_before=before)
        rows = await database.fetch(QUERIES["waiting_operations"], limit=AT_ONCE)
        self._waiting = frozenset(row["station"].partition(":")[0] for row in rows)
        for row in rows:
            await self._try(database, self._operation(row), now_us)

    def _operation(self, row: dict[str, object]) -> Operation:
        device = self.registry().devices.get(str(row["device"]))
        value = row["value"]
        assert value is None or isinstance(value, float)
        return Operation(
            int(str(row["id"])), str(row["gateway"]), str(row["station"]), What(str(row["what"])), value,
            device.wire if device else {},
        )  # fmt: skip

    async def _try(self, database: Database, operation: Operation, now_us: int) -> None:
        found = asked(operation, now_us)
        if self.send(operation.gateway, found):
            if len(self._open) > AT_ONCE * 100:
                self._open.clear()  # what nobody answered
            self._open[operation.gateway, found.station, found.key] = operation.id
            await database.execute(QUERIES["operation_sent"], id=operation.id, now=to_datetime(now_us))
