"""Batches that wait on disk while the database is away: frames of length and checksum, synced before anyone is told.

Two lanes, so that life-safety readings are drained first. A torn tail or a flipped bit costs what it hit and
nothing else: frames after it are found again by their mark. At the cap, or with the disk nearly full, `append`
refuses; then nothing is acknowledged any more, and nothing is dropped.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from core.batch import PACKED, Batch
from iot.codecs.frame import Reason
from iot.readings import DeadLetter

MARK = b"\xc5SP1"
HEAD = struct.Struct("<4sII")  # mark, length of the body, its CRC-32
BODY = struct.Struct("<QBI")  # id, 1 = back-fill, rows
#: A segment that has grown beyond this is followed by a new one; drained segments are deleted whole.
SEGMENT_BYTES = 32 << 20
#: So much of the disk stays free for the database and the rest of the machine.
RESERVE_BYTES = 256 << 20
LANES = ("life", "rest")


class SpoolFull(Exception):
    """The cap is reached, or the disk is nearly full: stop acknowledging."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one batch left behind. `id` is unique for ever: the database remembers the last one it took."""

    id: int
    batch: Batch
    dead: Sequence[DeadLetter] = ()
    history: bool = False


def pack(entry: Entry) -> bytes:
    """One frame."""
    letters = msgspec.msgpack.encode([_flat(letter) for letter in entry.dead]) if entry.dead else b""
    body = BODY.pack(entry.id, entry.history, len(entry.batch)) + entry.batch.to_bytes() + letters
    return HEAD.pack(MARK, len(body), zlib.crc32(body)) + body


def unpack(body: bytes) -> Entry:
    """The entry of a frame's body, whose checksum was right."""
    number, history, rows = BODY.unpack_from(body)
    end = BODY.size + rows * PACKED.itemsize
    batch = Batch.from_bytes(memoryview(body)[BODY.size : end])
    letters: list[Flat] = msgspec.msgpack.decode(body[end:], type=list[Flat]) if len(body) > end else []
    dead = [DeadLetter(g, s, t, r, Reason(why), told, data, n) for g, s, t, r, why, told, data, n in letters]
    return Entry(number, batch, dead, bool(history))


Flat = tuple[str, str, str, int, str, str, bytes, int]


def _flat(letter: DeadLetter) -> Flat:
    return (
        letter.gateway, letter.source, letter.topic, letter.record,
        letter.reason.value, letter.detail, letter.payload, letter.count,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A sound frame: its body and where it ends; `lost` bytes before it were none."""

    body: bytes
    end: int
    lost: int


def scan(data: bytes | memoryview, at: int = 0) -> Iterator[Found]:
    """Every sound frame from a place on. Never raises; what is torn or flipped is stepped over and counted."""
    view = memoryview(data)
    raw = bytes(data) if isinstance(data, memoryview) else data
    good = at
    while (at := raw.find(MARK, at)) >= 0:
        if at + HEAD.size > len(raw):
            return
        _, length, checksum = HEAD.unpack_from(raw, at)
        end = at + HEAD.size + length
        if length >= BODY.size and end <= len(raw) and zlib.crc32(view[at + HEAD.size : end]) == checksum:
            yield Found(raw[at + HEAD.size : end], end, at - good)
            good = at = end
        else:
            at += 1


@dataclass(slots=True)
class Lane:
    """Segments of one folder, oldest first. Written at the end, read from the beginning."""

    folder: Path
    lost_bytes: int = 0
    size: int = 0
    _segments: list[Path] = field(default_factory=list)
    _written: int = 0  # bytes of the last segment
    _file: int = -1
    _at: int = 0  # how far the first segment was read
    _read: bytes | None = None  # the first segment's bytes, while it is drained

    def open(self) -> None:
        """Find what an earlier life left. A torn tail was never acknowledged: it is cut off."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._segments = sorted(self.folder.glob("*.seg"))
        if self._segments:
            last = self._segments[-1]
            data = last.read_bytes()
            end = 0
            for found in scan(data):
                end = found.end
            if end < len(data):
                self.lost_bytes += len(data) - end
                os.truncate(last, end)
            self._written = end
        self.size = sum(segment.stat().st_size for segment in self._segments)

    def write(self, data: bytes) -> None:
        """Append and sync. Raises OSError, after which nothing of `data` counts. Blocks: call it in a thread."""
        if self._file < 0 or self._written > SEGMENT_BYTES:
            self._next()
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fdatasync(self._file)
        except OSError:
            self._give_up()
            raise
        self._written += len(data)
        self.size += len(data)

    def _give_up(self) -> None:
        """After a failed write or sync nothing is known of this file's end: cut it and never write to it again."""
        try:
            os.ftruncate(self._file, self._written)
        except OSError:
            pass  # what stays there was acknowledged to nobody; drained, it is a resend
        self.close()

    def _next(self) -> None:
        """A new segment; its name is durable before its content is."""
        self.close()
        number = int(self._segments[-1].stem) + 1 if self._segments else 1
        path = self.folder / f"{number:012d}.seg"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._segments.append(path)
        self._written = 0

    def peek(self, rows: int) -> list[Entry]:
        """The oldest entries, up to so many rows but at least one; all live or all back-fill."""
        entries: list[Entry] = []
        while self._segments:
            for found in scan(self._bytes(), self._at):
                entry = unpack(found.body)
                if entries and (rows < len(entry.batch) or entry.history != entries[0].history):
                    return entries
                entries.append(entry)
                rows -= len(entry.batch)
            if entries:
                return entries
            self.lost_bytes += len(self._bytes()) - self._at
            self._drop_first()
        return entries

    def done(self, count: int) -> None:
        """The database has taken the oldest `count` entries."""
        for found in scan(self._bytes(), self._at):
            if not count:
                return
            count -= 1
            self.lost_bytes += found.lost
            self.size -= found.end - self._at
            self._at = found.end
        if self._at >= len(self._bytes()) or len(self._segments) > 1:
            self._drop_first()

    def skip_through(self, number: int) -> int:
        """Leave out everything up to the entry that the database took last; how many entries that were."""
        for place, found in enumerate(scan(self._bytes(), self._at), 1):
            if BODY.unpack_from(found.body)[0] == number:
                self.done(place)
                return place
        return 0

    def _bytes(self) -> bytes:
        if not self._segments:
            return b""
        last = len(self._segments) == 1
        if self._read is None or (last and len(self._read) < self._written):
            self._read = self._segments[0].read_bytes()
        return self._read

    def _drop_first(self) -> None:
        if not self._segments:
            return
        self.size -= max(0, len(self._bytes()) - self._at)
        if len(self._segments) == 1:
            self.close()
            self._written = 0
        self._segments.pop(0).unlink(missing_ok=True)
        self._at, self._read = 0, None
        if not self._segments:
            self.size = 0

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


@dataclass(slots=True)
class Spool:
    """The lanes of one pipeline under one cap."""

    folder: Path
    cap_bytes: int
    reserve_bytes: int = RESERVE_BYTES
    lanes: dict[str, Lane] = field(init=False)

    def __post_init__(self) -> None:
        self.lanes = {name: Lane(self.folder / name) for name in LANES}

    def open(self) -> None:
        for lane in self.lanes.values():
            lane.open()

    def close(self) -> None:
        for lane in self.lanes.values():
            lane.close()

    @property
    def size(self) -> int:
        return sum(lane.size for lane in self.lanes.values())

    @property
    def lost_bytes(self) -> int:
        return sum(lane.lost_bytes for lane in self.lanes.values())

    @property
    def empty(self) -> bool:
        return not self.size

    async def append(self, entries: dict[str, Entry]) -> None:
        """Lane → entry; on disk when this returns. Raises `SpoolFull` or OSError; then it may be tried again.

        When the second lane fails the first is safe already: it is not in `entries` any more.
        """
        for name, entry in list(entries.items()):
            data = pack(entry)
            if self.size + len(data) > self.cap_bytes:
                raise SpoolFull(f"{self.size} of {self.cap_bytes} bytes are used")
            free = shutil.disk_usage(self.folder).free
            if free < self.reserve_bytes + len(data):
                raise SpoolFull(f"only {free} bytes of the disk are free")
            await asyncio.to_thread(self.lanes[name].write, data)
            del entries[name]
