"""What the Chinese field protocols share: their clock, and finding frames in a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

#: Field devices of all three protocols tell the time of China, without saying so.
CHINA = timezone(timedelta(hours=8))


def seconds(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> float | None:
    """Seconds since 1970 UTC of a moment in China; None when there is no such moment."""
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=CHINA).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def local(time_us: int) -> datetime:
    """The moment in China, to the microsecond."""
    return datetime(1970, 1, 1, tzinfo=UTC).astimezone(CHINA) + timedelta(microseconds=time_us)


def crc_table() -> list[int]:
    """Eight steps of the reflected polynomial A001, for every byte."""
    table: list[int] = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = (register >> 1) ^ 0xA001 if register & 1 else register >> 1
        table.append(register)
    return table


CRC_TABLE = crc_table()


def crc16_modbus(data: bytes) -> int:
    """CRC-16/MODBUS: `123456789` gives 4B37."""
    register = 0xFFFF
    for byte in data:
        register = (register >> 8) ^ CRC_TABLE[(register ^ byte) & 0xFF]
    return register


@dataclass(frozen=True, slots=True)
class Cut:
    """What a place in a stream turned out to be: `size` bytes, a frame (sound or not) or rubbish; 0 = need more."""

    size: int
    frame: bool = False
    sound: bool = False


#: A long unfinished frame is searched for a sound one inside it only when so many bytes have come since.
LONG, SEARCH_EVERY = 2048, 256


@dataclass(slots=True)
class Framer:
    """Finds frames by their head and length. Rubbish between them is stepped over and counted; memory is bounded.

    A frame whose check is right is believed. One whose check is wrong, or whose length promises more than comes,
    may have swallowed good ones: those are looked for inside it, so that no length ever costs a good frame.
    `cut` looks at bytes that begin with `head`; bytes of `between` may stand between frames.
    """

    head: bytes
    cut: Callable[[bytes], Cut]
    most: int
    between: bytes = b""
    rubbish: int = 0
    _held: bytearray = field(default_factory=bytearray)
    _searched: int = 0

    @property
    def waiting(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._held)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that became whole, sound ones and those whose check is wrong."""
        self._held += data
        while True:
            at = self._held.find(self.head)
            if at < 0:
                keep = len(self.head) - 1 if self._held.endswith(self.head[:-1]) else 0
                self._drop(len(self._held) - keep)
                return
            self._drop(at)
            found = self.cut(bytes(self._held[: self.most]))
            if found.sound:
                yield self._cut_off(found.size)
                continue
            held = len(self._held)
            if not found.size and LONG < held < self.most and held - self._searched < SEARCH_EVERY:
                return
            sound = self._sound_inside(found.size or len(self._held))
            if sound:
                self._drop(sound)
            elif found.frame:
                yield self._cut_off(found.size)
            elif found.size or len(self._held) >= self.most:
                self._drop(found.size or 1)
            else:
                self._searched = len(self._held)
                return

    def _sound_inside(self, end: int) -> int:
        """Where a sound frame begins behind the first head; 0 = nowhere."""
        at = 1
        while (at := self._held.find(self.head, at, end)) > 0:
            if self.cut(bytes(self._held[at : at + self.most])).sound:
                return at
            at += 1
        return 0

    def _cut_off(self, size: int) -> bytes:
        frame = bytes(self._held[:size])
        del self._held[:size]
        self._searched = 0
        return frame

    def _drop(self, count: int) -> None:
        if count:
            self.rubbish += len(
                self._held[:count].strip(self.between) if self.between else self._held[:count]
            )
            del self._held[:count]
            self._searched = 0
