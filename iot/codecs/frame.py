"""What every codec takes and gives: frames in, columns of still-named readings out, refusals beside them.

Everything is made for many readings at once: a reading is an entry in parallel lists, never an object.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: "No event time given" in `Columns.times`.
NO_TIME = math.nan
#: Seconds outside this cannot be written as a time of years 1–9999.
SANE_S = 253_402_300_800.0


class Reason(StrEnum):
    """Why a record cannot be a reading. Dead letters, metrics, the gateway's notice and tests use these words."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    BAD_CHECKSUM = "bad_checksum"
    BAD_NAME = "bad_name"
    UNKNOWN_FORMAT = "unknown_format"
    NOT_BORN = "not_born"
    UNKNOWN_GATEWAY = "unknown_gateway"
    UNKNOWN_DEVICE = "unknown_device"
    UNKNOWN_CHANNEL = "unknown_channel"
    UNKNOWN_UNIT = "unknown_unit"
    UNKNOWN_STATE = "unknown_state"
    NO_VALUE = "no_value"
    NOT_A_NUMBER = "not_a_number"
    BAD_TIME = "bad_time"
    TOO_OLD = "too_old"
    TOO_FAR_AHEAD = "too_far_ahead"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that was refused: its frame and its index in it (both from 0), why, and words that help to mend it."""

    frame: int
    record: int
    reason: Reason
    detail: str = ""


class Receipt(Protocol):
    """The way back to who sent a parcel. Called once, when all of it is safe: committed, or synced to the spool."""

    def settle(self, accepted: int, refused: Sequence[Refusal]) -> None:
        """Acknowledge so many readings; `refused` names the records that became dead letters, frames counted here."""


@dataclass(slots=True)
class Parcel:
    """Frames of one gateway in one format, in the order in which they came: one read of a connection, one POST.

    gateway      id of the authenticated gateway
    source       name of the format: senml, senml-cbor, arrow, sparkplug …
    payloads     the frames as they came off the wire
    received_us  when they did
    topic        where they were published to; what it means is the format's business
    history      a declared back-fill: of any age, decided by nobody
    """

    gateway: str
    source: str
    payloads: list[bytes]
    received_us: int
    receipt: Receipt
    topic: str = ""
    history: bool = False

    @property
    def size(self) -> int:
        """Bytes that it holds in memory, roughly."""
        return sum(map(len, self.payloads)) + 64 * len(self.payloads)


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Readings of one frame that came as columns already; `codes` index `names`, times are µs."""

    frame: int
    names: Sequence[str]
    codes: NDArray[np.integer]
    time_us: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint16]


@dataclass(slots=True)
class Columns:
    """Readings of many frames with the names they have on the wire; parallel lists.

    names   `device/channel`
    units   as on the wire; "" = the channel's own
    times   seconds since 1970 UTC; `NO_TIME` where none was given
    values  numbers; NaN where `states` has the word for it
    states  row → word, for channels with declared states
    marks   row → quality bits that the gateway set
    counts  rows of each frame, one entry a frame
    skips   frame → record numbers of its rows, for frames whose rows are not its records 0, 1, 2 …
    blocks  frames that came as columns; they have no rows here
    """

    names: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)
    marks: dict[int, int] = field(default_factory=dict)
    counts: list[int] = field(default_factory=list)
    skips: dict[int, list[int]] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def frame(self) -> int:
        """Number of the frame that is being read."""
        return len(self.counts)

    def add(
        self,
        record: int,
        name: str,
        value: float | str,
        time_s: float = NO_TIME,
        unit: str = "",
        mark: int = 0,
    ) -> None:
        """Append one reading of the frame that is being read. For formats whose speed does not matter."""
        row = len(self.names)
        self.names.append(name)
        self.units.append(unit)
        self.times.append(time_s)
        if isinstance(value, str):
            self.states[row] = value
            value = math.nan
        self.values.append(value)
        if mark:
            self.marks[row] = mark
        self.skips.setdefault(self.frame, []).append(record)

    def refuse(self, record: int, reason: Reason, detail: str = "") -> None:
        """Refuse one record of the frame that is being read."""
        self.refused.append(Refusal(self.frame, record, reason, detail[:200]))

    def rollback(self, rows: int, refusals: int) -> None:
        """Forget what the frame that is being read has appended."""
        for column in (self.names, self.units, self.times, self.values):
            del column[rows:]
        for sparse in (self.states, self.marks):
            for row in [row for row in sparse if row >= rows]:
                del sparse[row]
        while self.blocks and self.blocks[-1].frame == self.frame:
            self.blocks.pop()
        self.skips.pop(self.frame, None)
        del self.refused[refusals:]


class MalformedError(Exception):
    """A payload that cannot be read at all. The only exception that a codec may raise on what came off the wire."""

    def __init__(self, detail: str, reason: Reason = Reason.MALFORMED) -> None:
        super().__init__(detail)
        self.reason = reason


class Decoder(Protocol):
    """Appends the readings of a parcel to the columns, one entry of `counts` a frame. Never raises on content.

    Single bad records become refusals; a frame that cannot be read at all is one refusal and no rows.
    """

    def __call__(self, parcel: Parcel, into: Columns, /) -> None: ...


def each(decode_one: Callable[[bytes, Parcel, Columns], None]) -> Decoder:
    """A decoder from a function that reads one frame and may raise `MalformedError`."""

    def decode(parcel: Parcel, into: Columns) -> None:
        for payload in parcel.payloads:
            rows, refusals = len(into), len(into.refused)
            try:
                decode_one(payload, parcel, into)
            except MalformedError as wrong:
                into.rollback(rows, refusals)
                into.refuse(0, wrong.reason, str(wrong))
            into.counts.append(len(into) - rows)

    return decode
