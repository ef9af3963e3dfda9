"""The one structure that flows: a read-only columnar micro-batch of readings (DESIGN §3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntFlag
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Quality(IntFlag):
    """Bits of doubt on a reading. A reading is flagged, never deleted."""

    OUT_OF_RANGE = 1 << 0
    LATE = 1 << 1
    FUTURE = 1 << 2
    CLOCK_SKEW = 1 << 3
    CONFLICT = 1 << 4
    UNIT_SUSPECT = 1 << 5
    SPIKE = 1 << 6
    RATE = 1 << 7
    STUCK = 1 << 8
    CALIBRATING = 1 << 9
    DEVICE_FAULT = 1 << 10
    MAINTENANCE = 1 << 11
    ESTIMATED = 1 << 12
    NO_EVENT_TIME = 1 << 13
    CORRECTED = 1 << 14  # by a calibration of the registry; not a doubt


#: Bits that a gateway may set itself.
FROM_GATEWAY = Quality.CALIBRATING | Quality.DEVICE_FAULT | Quality.MAINTENANCE | Quality.ESTIMATED

#: No rule decides on a reading with one of these (domains/rules §0, "On-delay").
DOUBTFUL = (
    Quality.OUT_OF_RANGE
    | Quality.SPIKE
    | Quality.STUCK
    | Quality.CALIBRATING
    | Quality.DEVICE_FAULT
    | Quality.MAINTENANCE
)

#: One reading in the batch log and in the spool, 35 bytes.
PACKED = np.dtype(
    [
        ("device", "<i4"),
        ("channel", "<i2"),
        ("time_us", "<i8"),
        ("received_us", "<i8"),
        ("value", "<f8"),
        ("quality", "<u2"),
        ("gateway", "<i4"),
    ]
)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Parallel columns of equal length n; the arrays are read-only.

    device       int32    number of the device in the registry
    channel      int16    number of the channel; unit and kind of quantity follow from it
    time_us      int64    event time, µs since 1970-01-01 UTC
    received_us  int64    when it reached us
    value        float64  in the channel's unit; always finite: what cannot be a reading is a dead letter
    quality      uint16   `Quality` bits
    gateway      int32    number of the gateway that sent it
    """

    device: NDArray[np.int32]
    channel: NDArray[np.int16]
    time_us: NDArray[np.int64]
    received_us: NDArray[np.int64]
    value: NDArray[np.float64]
    quality: NDArray[np.uint16]
    gateway: NDArray[np.int32]

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, column.name)) for column in fields(self)}
        if len(lengths) != 1:
            raise ValueError(f"columns of unequal length: {sorted(lengths)}")
        for column in fields(self):
            array: NDArray[np.generic] = getattr(self, column.name)
            if array.dtype != PACKED[column.name]:
                raise TypeError(f"{column.name} is {array.dtype}, not {PACKED[column.name]}")
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.device)

    @classmethod
    def of(
        cls,
        *,
        device: ArrayLike,
        channel: ArrayLike,
        time_us: ArrayLike,
        value: ArrayLike,
        received_us: ArrayLike | None = None,
        quality: ArrayLike = 0,
        gateway: ArrayLike = 0,
    ) -> Self:
        """Build from anything array-like; scalars are spread, `received_us` defaults to the event time."""
        times = np.atleast_1d(np.array(time_us, np.int64))
        n = len(times)
        received = times if received_us is None else received_us
        return cls(
            device=np.array(np.broadcast_to(np.asarray(device, np.int32), n)),
            channel=np.array(np.broadcast_to(np.asarray(channel, np.int16), n)),
            time_us=times,
            received_us=np.array(np.broadcast_to(np.asarray(received, np.int64), n)),
            value=np.array(np.broadcast_to(np.asarray(value, np.float64), n)),
            quality=np.array(np.broadcast_to(np.asarray(quality, np.uint16), n)),
            gateway=np.array(np.broadcast_to(np.asarray(gateway, np.int32), n)),
        )

    @classmethod
    def empty(cls) -> Self:
        return cls.from_bytes(b"")

    @classmethod
    def concat(cls, batches: Iterable[Batch]) -> Self:
        parts = list(batches)
        if not parts:
            return cls.empty()
        return cls(
            *(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls))
        )

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> Self:
        """The rows of a mask or of an index, in that order."""
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))

    def order(self) -> NDArray[np.intp]:
        """Index that sorts by (device, channel, time); equal keys keep their order."""
        return np.lexsort((self.time_us, self.channel, self.device))

    @property
    def ordered_us(self) -> NDArray[np.int64]:
        """When each reading takes part: its event time, or its receipt where the event time lies in the future."""
        future = (self.quality & np.uint16(Quality.FUTURE)) != 0
        return np.where(future, self.received_us, self.time_us)

    def packed(self) -> NDArray[np.void]:
        """One record array of `PACKED`, for the batch log and the spool."""
        records = np.empty(len(self), PACKED)
        for column in fields(self):
            records[column.name] = getattr(self, column.name)
        return records

    def to_bytes(self) -> bytes:
        return self.packed().tobytes()

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> Self:
        """The batch of a record array; its columns are copies, so the buffer may be used again."""
        records = np.frombuffer(data, PACKED)
        return cls(*(np.array(records[column.name]) for column in fields(cls)))
