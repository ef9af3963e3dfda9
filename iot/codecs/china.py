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


@dataclass(frozen=True, slots=True)
class Cut:
    """What a place in a stream turned out to be: `size` bytes, a frame or rubbish; 0 = more bytes are needed."""

    size: int
    frame: bool = False


@dataclass(slots=True)
class Framer:
    """Finds frames by their head and length. Rubbish between them is stepped over and counted; memory is bounded.

    `cut` looks at bytes that begin with `head`.
    """

    head: bytes
    cut: Callable[[bytes], Cut]
    most: int
    rubbish: int = 0
    _held: bytearray = field(default_factory=bytearray)

    @property
    def waiting(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._held)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that became whole. One good frame after any rubbish is found."""
        self._held += data
        while True:
            at = self._held.find(self.head)
            if at < 0:
                keep = len(self.head) - 1 if self._held.endswith(self.head[:-1]) else 0
                self._drop(len(self._held) - keep)
                return
            self._drop(at)
            found = self.cut(bytes(self._held[: self.most]))
            if not found.size:
                if len(self._held) < self.most:
                    return
                found = Cut(1)
            if found.frame:
                frame = bytes(self._held[: found.size])
                del self._held[: found.size]
                yield frame
            else:
                self._drop(found.size)

    def _drop(self, count: int) -> None:
        self.rubbish += count
        del self._held[:count]
