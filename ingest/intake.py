"""The bounded queue between the wire and the pipeline. When it is full, sources stop reading; nothing is dropped."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from iot.codecs.frame import Parcel


@dataclass(frozen=True, slots=True)
class BatchSize:
    """How much is assembled at a stroke (frames, bytes), and about how many rows one transaction takes."""

    frames: int = 4_000
    bytes: int = 256 << 10
    rows: int = 20_000


class Intake:
    """Parcels in the order in which they came, bounded by frames and by bytes.

    `put` never refuses: a source asks `full` first, and takes back what it has already read by one parcel.
    """

    def __init__(self, frames: int = 200_000, size: int = 64 << 20, batch: BatchSize | None = None) -> None:
        self.batch = batch or BatchSize()
        self._most_frames = frames
        self._most_bytes = size
        self._parcels: deque[tuple[Parcel, int]] = deque()
        self.frames = 0
        self.bytes = 0
        self._some = asyncio.Event()
        self._room: deque[Callable[[], None]] = deque()

    @property
    def full(self) -> bool:
        return self.frames >= self._most_frames or self.bytes >= self._most_bytes

    def put(self, parcel: Parcel) -> None:
        size = parcel.size
        self._parcels.append((parcel, size))
        self.frames += len(parcel.payloads)
        self.bytes += size
        self._some.set()

    def when_room(self, call: Callable[[], None]) -> None:
        """Call once, when half of the queue is free again. In the order of asking."""
        self._room.append(call)

    async def wait(self) -> None:
        """Until there is something to take."""
        await self._some.wait()

    def take(self) -> list[Parcel]:
        """The oldest parcels, at least one, up to a stroke's size; back-fill is not mixed with live."""
        frames, size = self.batch.frames, self.batch.bytes
        taken: list[Parcel] = []
        while self._parcels:
            parcel, cost = self._parcels[0]
            if taken and (frames < len(parcel.payloads) or size < cost or parcel.history != taken[0].history):
                break
            self._parcels.popleft()
            taken.append(parcel)
            frames -= len(parcel.payloads)
            size -= cost
            self.frames -= len(parcel.payloads)
            self.bytes -= cost
        if not self._parcels:
            self._some.clear()
        self._tell_room()
        return taken

    def _tell_room(self) -> None:
        while self._room and self.frames * 2 <= self._most_frames and self.bytes * 2 <= self._most_bytes:
            self._room.popleft()()
