"""What every connection that we acknowledge on has: reasons to rest from reading, and answers in the right order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from iot.codecs.frame import Refusal


class NoReceipt:
    """Nobody waits for an answer: QoS 0, wills."""

    def settle(self, accepted: int, refused: Sequence[Refusal]) -> None: ...


@dataclass(slots=True, eq=False)
class Answer:
    """Bytes that say "it is safe", to be sent when it is, and not before those that were asked for earlier.

    An answer belongs to one connection: on a later one its packet identifiers mean other messages, or none.
    """

    stream: Stream
    packets: bytes
    count: int = 0
    size: int = 0
    ready: bool = False

    def settle(self, accepted: int, refused: Sequence[Refusal]) -> None:  # noqa: ARG002 - MQTT has no words for it
        self.ready = True
        self.stream.settled(self)


class Stream(asyncio.Protocol):
    """A connection that may rest for several reasons at once and whose answers leave in order."""

    def __init__(self, in_flight_bytes: int) -> None:
        self.in_flight = 0
        self._transport: asyncio.Transport | None = None
        self._most_bytes = in_flight_bytes
        self._in_flight_bytes = 0
        self._answers: deque[Answer] = deque()
        self._reasons: set[str] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        self._transport = None
        self._answers.clear()

    def pause_writing(self) -> None:
        self.pause("writing")  # it does not read its acknowledgements: no more is read from it

    def resume_writing(self) -> None:
        self.resume("writing")

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def resting(self) -> bool:
        return bool(self._reasons)

    def write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        """End the connection at once, whatever is still to be sent."""
        if self._transport is not None:
            self._transport.abort()

    def pause(self, reason: str) -> None:
        if not self._reasons and self._transport is not None:
            self._transport.pause_reading()
        self._reasons.add(reason)

    def resume(self, reason: str) -> None:
        if reason not in self._reasons:
            return
        self._reasons.discard(reason)
        if not self._reasons and self._transport is not None and self.open:
            self._transport.resume_reading()

    def promise(self, packets: bytes, count: int, size: int) -> Answer:
        """An answer to be settled later; too much in flight, and reading rests until half of it is settled."""
        answer = Answer(self, packets, count, size)
        self._answers.append(answer)
        self.in_flight += count
        self._in_flight_bytes += size
        if self._in_flight_bytes > self._most_bytes:
            self.pause("in flight")
        return answer

    def answer(self, packets: bytes) -> None:
        """An answer that is ready at once, behind those that are not."""
        self._answers.append(Answer(self, packets, ready=True))
        self._flush()

    def settled(self, answer: Answer) -> None:
        self.in_flight -= answer.count
        self._in_flight_bytes -= answer.size
        self._flush()
        if "in flight" in self._reasons and self._in_flight_bytes * 2 <= self._most_bytes:
            self.resume("in flight")

    def _flush(self) -> None:
        parts: list[bytes] = []
        while self._answers and self._answers[0].ready:
            parts.append(self._answers.popleft().packets)
        if parts:
            self.write(b"".join(parts))
