"""Wire tapes: frames with their times, as they went out; a tape plays back byte for byte.

A record is: 8 bytes time (µs, little-endian), 2 + 2 + 4 bytes lengths of gateway, topic and payload, then those.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from core.clock import rfc3339
from simulators.fleet import Wire
from simulators.world import World

HEAD = struct.Struct("<qHHI")
MAGIC = b"cityops-tape-1\n"


class TapeDamaged(Exception):
    """The file is no tape, or breaks off in the middle of a record."""


class Recorder:
    """Writes a tape. Use in a `with`."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb")
        self._file.write(MAGIC)
        self.frames = 0

    def add(self, time_us: int, wires: Iterable[Wire]) -> None:
        """Frames that went out at a time; times must not go back."""
        for wire in wires:
            gateway, topic = wire.gateway.encode(), wire.topic.encode()
            head = HEAD.pack(time_us, len(gateway), len(topic), len(wire.payload))
            self._file.write(head + gateway + topic + wire.payload)
            self.frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def play(path: Path) -> Iterator[tuple[int, Wire]]:
    """(time µs, frame) in the order in which they went out. Raises `TapeDamaged`."""
    data = memoryview(path.read_bytes())
    if bytes(data[: len(MAGIC)]) != MAGIC:
        raise TapeDamaged(f"{path} is no tape")
    at = len(MAGIC)
    while at < len(data):
        if at + HEAD.size > len(data):
            raise TapeDamaged(f"{path} breaks off at byte {at}")
        time_us, gateway, topic, payload = HEAD.unpack_from(data, at)
        at += HEAD.size
        end = at + gateway + topic + payload
        if end > len(data):
            raise TapeDamaged(f"{path} breaks off at byte {at}")
        yield (
            time_us,
            Wire(
                bytes(data[at : at + gateway]).decode(),
                bytes(data[at + gateway : at + gateway + topic]).decode(),
                bytes(data[at + gateway + topic : end]),
            ),
        )
        at = end


def write_truth(path: Path, world: World) -> None:
    """What was done and which hardware failed, a line each."""
    lines = [
        {
            "at": rfc3339(told.from_us), "until": rfc3339(told.until_us) if told.until_us else None,
            "name": told.name, "do": told.do, "asset": told.spot.asset, "lon": told.spot.lon, "lat": told.spot.lat,
        }
        for told in world.told.values()
    ]  # fmt: skip
    lines += [
        {
            "at": rfc3339(label.from_us), "until": rfc3339(label.to_us) if label.to_us else None,
            "name": f"fault_{label.cause}", "do": label.kind, "asset": label.device, "lon": 0.0, "lat": 0.0,
        }
        for label in world.labels
    ]  # fmt: skip
    path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
