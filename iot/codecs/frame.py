"""What every codec takes and gives: frames in, columns of still-named readings out, refusals beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Reason(StrEnum):
    """Why a record cannot be a reading. Dead letters, metrics, the gateway's notice and tests use these words."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    BAD_NAME = "bad_name"
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
    """A record that was refused: its index in its frame (from 0), why, and the words that help to mend it."""

    frame: int
    record: int
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of a gateway as it came off the wire."""

    gateway: str
    source: str
    payload: bytes
    received_us: int
    topic: str = ""


@dataclass(slots=True)
class Columns:
    """Readings of many frames with the names they have on the wire; parallel lists.

    names    `device/channel`
    units    as on the wire; "" = the channel's own
    times    seconds since 1970 UTC; None = none was given
    values   float, or str for a declared state
    quality  bits that the gateway set
    frames   index of the frame, records the index in it
    """

    names: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    times: list[float | None] = field(default_factory=list)
    values: list[float | str] = field(default_factory=list)
    quality: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    records: list[int] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.names)


class MalformedError(Exception):
    """A payload that cannot be read at all. The only exception that a decoder may raise."""


class Decoder(Protocol):
    """Appends the readings of one frame to the columns; single bad records become refusals.

    Raises `MalformedError` when the frame as a whole cannot be read; then nothing was appended.
    """

    def __call__(self, payload: bytes, index: int, received_us: int, into: Columns) -> None: ...
