"""Frames → one `Batch` and the refusals beside it. Pure: registry, settings and time are arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.batch import Batch, Quality
from core.clock import SECOND_US
from core.schema import WIRE_ID
from iot.codecs import senml
from iot.codecs.frame import Columns, Decoder, Frame, MalformedError, Reason, Refusal
from iot.registry import Registry, WirePoint

DECODERS: Mapping[str, Decoder] = {"senml": senml.decode}


@dataclass(frozen=True, slots=True)
class Limits:
    """What is doubted and what is refused by its time; all in seconds against the moment of receipt."""

    late_after_s: float = 600.0
    future_after_s: float = 300.0
    refuse_future_s: float = 86_400.0
    refuse_older_s: float = 30 * 86_400.0
    #: A declared back-fill may be of any age and is never late.
    history: bool = False


@dataclass(frozen=True, slots=True)
class Assembled:
    """`frames[i]` is the frame that row i of the batch came from; refusals name frame and record."""

    batch: Batch
    frames: NDArray[np.int32]
    refused: list[Refusal]


class Assembler:
    """Turns frames into batches against one registry snapshot; a new snapshot is a new assembler."""

    def __init__(self, registry: Registry, limits: Limits) -> None:
        self.registry = registry
        self.limits = limits
        self._points: dict[str, dict[str, WirePoint]] = {}
        self._devices = {(device.gateway, device.wire_name) for device in registry.devices.values()}
        size = max(registry.channel_by_number, default=0) + 1
        self._low = np.full(size, -np.inf)
        self._high = np.full(size, np.inf)
        for number, channel in registry.channel_by_number.items():
            self._low[number] = channel.decl.low
            self._high[number] = channel.decl.high

    def assemble(self, frames: Sequence[Frame]) -> Assembled:
        """Decode, resolve names and units, judge times, mark quality. Never raises on what a gateway sent."""
        columns = Columns()
        for index, frame in enumerate(frames):
            try:
                DECODERS[frame.source](frame.payload, index, frame.received_us, columns)
            except MalformedError as wrong:
                columns.refused.append(Refusal(index, 0, Reason.MALFORMED, str(wrong)))
        refused = columns.refused
        device: list[int] = []
        channel: list[int] = []
        values: list[float] = []
        rows: list[int] = []
        for row, name in enumerate(columns.names):
            frame_index = columns.frames[row]
            gateway = frames[frame_index].gateway
            points = self._points.get(gateway)
            if points is None:
                points = self._points[gateway] = self.registry.wire_points(gateway)
            point = points.get(name)
            if point is None:
                refused.append(self._unknown(frame_index, columns.records[row], gateway, name))
                continue
            value = columns.values[row]
            if value.__class__ is str:
                known = point.states.get(str(value))
                if known is None:
                    detail = f"{name}={value}"
                    refused.append(Refusal(frame_index, columns.records[row], Reason.UNKNOWN_STATE, detail))
                    continue
                value = known
            unit = columns.units[row]
            if unit:
                conversion = point.conversions.get(unit)
                if conversion is None:
                    detail = f"{name}: {unit}; known are {', '.join(u for u in point.conversions if u)}"
                    refused.append(Refusal(frame_index, columns.records[row], Reason.UNKNOWN_UNIT, detail))
                    continue
                value = float(value) * conversion[0] + conversion[1]
            device.append(point.device)
            channel.append(point.channel)
            values.append(value)  # type: ignore[arg-type] # states became numbers above
            rows.append(row)
        return self._judge(frames, columns, rows, device, channel, values)

    def _unknown(self, frame: int, record: int, gateway: str, name: str) -> Refusal:
        device, _, channel = name.rpartition("/")
        if not WIRE_ID.fullmatch(device) or not WIRE_ID.fullmatch(channel):
            return Refusal(frame, record, Reason.BAD_NAME, name[:200])
        if gateway not in self.registry.gateways:
            return Refusal(frame, record, Reason.UNKNOWN_GATEWAY, gateway)
        known = (gateway, device) in self._devices
        return Refusal(frame, record, Reason.UNKNOWN_CHANNEL if known else Reason.UNKNOWN_DEVICE, name)

    def _judge(
        self,
        frames: Sequence[Frame],
        columns: Columns,
        rows: list[int],
        device: list[int],
        channel: list[int],
        values: list[float],
    ) -> Assembled:
        """Times and values as arrays: what is out of all bounds is refused, what is doubtful is flagged."""
        frame_of = np.array([columns.frames[row] for row in rows], np.int32)
        received_of_frame = np.array([frame.received_us for frame in frames], np.int64)
        gateway_of_frame = np.array(
            [
                self.registry.gateways[f.gateway].number if f.gateway in self.registry.gateways else 0
                for f in frames
            ],
            np.int32,
        )
        received = received_of_frame[frame_of] if rows else np.empty(0, np.int64)
        raw = [columns.times[row] for row in rows]
        missing = np.array([time is None for time in raw], bool)
        seconds = np.array([0.0 if time is None else time for time in raw], np.float64)
        time_us = np.where(missing, received, np.rint(seconds * SECOND_US).astype(np.int64))
        value = np.array(values, np.float64)
        numbers = np.array(channel, np.int16)
        quality = np.array([columns.quality[row] for row in rows], np.uint16)

        age_s = (received - time_us) / SECOND_US
        limits = self.limits
        ahead = age_s < -limits.refuse_future_s
        old = (age_s > limits.refuse_older_s) & (not limits.history)
        not_finite = ~np.isfinite(value)
        bad = ahead | old | not_finite
        for position in np.flatnonzero(bad):
            row = rows[position]
            reason = (
                Reason.NOT_A_NUMBER
                if not_finite[position]
                else Reason.TOO_FAR_AHEAD
                if ahead[position]
                else Reason.TOO_OLD
            )
            detail = f"{columns.names[row]} {-age_s[position]:+.0f} s from now"
            columns.refused.append(Refusal(columns.frames[row], columns.records[row], reason, detail))

        quality[missing] |= np.uint16(Quality.NO_EVENT_TIME)
        quality[age_s < -limits.future_after_s] |= np.uint16(Quality.FUTURE)
        if not limits.history:
            quality[age_s > limits.late_after_s] |= np.uint16(Quality.LATE)
        outside = (value < self._low[numbers]) | (value > self._high[numbers])
        quality[outside] |= np.uint16(Quality.OUT_OF_RANGE)

        keep = ~bad
        batch = Batch(
            np.array(device, np.int32)[keep],
            numbers[keep],
            time_us[keep],
            received[keep],
            value[keep],
            quality[keep],
            (gateway_of_frame[frame_of] if rows else np.empty(0, np.int32))[keep],
        )
        return Assembled(batch, frame_of[keep], columns.refused)
