"""Parcels → one `Batch` and the refusals beside it. Pure: registry, limits and decoders are arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.batch import FROM_GATEWAY, Batch, Quality
from core.clock import SECOND_US
from core.schema import WIRE_ID
from iot import units, wire
from iot.codecs import arrow, gbt26875, hj212, senml, senml_cbor, sl651, table, thingsboard
from iot.codecs.frame import SANE_S, Block, Columns, Decoder, Parcel, Reason, Refusal
from iot.kinds import ChannelDecl, Format
from iot.registry import Registry
from iot.wire import IGNORED, UNKNOWN, WireTable

#: Formats whose names are codes of a standard, looked up in `factors` of the device's kind.
CODED: Mapping[str, Format] = {"hj212": "hj212", "gbt26875": "gbt26875", "sl651": "sl651"}
#: Formats whose makers have names of their own, which `factors` may translate.
FOREIGN: Mapping[str, Format] = {
    "sparkplug": "sparkplug", "thingsboard-device": "thingsboard", "thingsboard-gateway": "thingsboard",
    "plain": "push",
}  # fmt: skip

#: Formats that need no state of their own. Others are made by who wires the pipeline.
DECODERS: Mapping[str, Decoder] = {
    "senml": senml.decode,
    "senml-cbor": senml_cbor.decode,
    "arrow": arrow.decode,
    "csv": table.decode,
    "thingsboard-device": thingsboard.device,
    "thingsboard-gateway": thingsboard.gateway,
    "hj212": hj212.decode,
    "gbt26875": gbt26875.decode,
    "sl651": sl651.decode,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What is doubted and what is refused by its time; all in seconds against the moment of receipt.

    `kept_s`: how long readings are kept; what is older is refused as history too.
    """

    late_after_s: float = 600.0
    future_after_s: float = 300.0
    refuse_future_s: float = 86_400.0
    refuse_older_s: float = 30 * 86_400.0
    kept_s: float = np.inf


@dataclass(frozen=True, slots=True)
class Assembled:
    """One batch of some parcels; by parcel number how many rows are its, and its refusals (frames counted in it)."""

    batch: Batch
    accepted: Sequence[int]
    refused: Mapping[int, list[Refusal]]


class Place(NamedTuple):
    """Where a reading stood and what stood there, for whoever has to mend it."""

    frame: int
    record: int
    name: str
    unit: str = ""
    word: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Readings on their way into a batch, parallel arrays.

    point    dense point number, -1 = the name leads nowhere
    value    in the channel's unit; NaN = not a number, or see `unit_ok`
    unit_ok  False where the unit is none that the channel accepts
    time_us  event time; the moment of receipt where `missing`
    parcel   number of the parcel that it came in
    """

    point: NDArray[np.int32]
    value: NDArray[np.float64]
    unit_ok: NDArray[np.bool_]
    time_us: NDArray[np.int64]
    missing: NDArray[np.bool_]
    quality: NDArray[np.uint16]
    parcel: NDArray[np.int32]

    def take(self, keep: NDArray[np.bool_]) -> Rows:
        return Rows(*(getattr(self, column.name)[keep] for column in fields(self)))

    @classmethod
    def concat(cls, parts: Sequence[Rows]) -> Rows:
        if len(parts) == 1:
            return parts[0]
        return cls(
            *(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls))
        )


class Assembler:
    """Turns parcels into batches against one registry snapshot; a new snapshot is a new assembler."""

    def __init__(
        self, registry: Registry, limits: Limits, decoders: Mapping[str, Decoder] = DECODERS
    ) -> None:
        self.registry = registry
        self.limits = limits
        self._decoders = decoders
        self._tables: dict[tuple[str, Format | None], WireTable] = {}
        channels = [channel.decl for channel in registry.channel_by_number.values()]
        self._units = _unit_codes(channels)
        size = max(registry.channel_by_number, default=0) + 1
        self._low = np.full(size, -np.inf)
        self._high = np.full(size, np.inf)
        self._factor = np.full((size, len(self._units) + 1), np.nan)  # the last column is "unknown unit"
        self._offset = np.zeros((size, len(self._units) + 1))
        for number, channel in registry.channel_by_number.items():
            self._low[number] = channel.decl.low
            self._high[number] = channel.decl.high
            for unit, (factor, offset) in conversions(channel.decl).items():
                self._factor[number, self._units[unit]] = factor
                self._offset[number, self._units[unit]] = offset

    def assemble(self, parcels: Sequence[Parcel]) -> Assembled:
        """Decode, resolve names and units, judge times, mark quality. Never raises on what a gateway sent."""
        columns = Columns()
        points: list[int] = []
        frames_of: list[int] = []
        rows_of: list[int] = []
        for parcel in parcels:
            rows, frames = len(columns), columns.frame
            decoder = self._decoders.get(parcel.source)
            if decoder is None:
                for _ in parcel.payloads:
                    columns.refuse(0, Reason.UNKNOWN_FORMAT, parcel.source)
                    columns.counts.append(0)
            else:
                decoder(parcel, columns)
            points += self._find(parcel, columns, rows)
            rows_of.append(len(columns) - rows)
            frames_of.append(columns.frame - frames)
        return _Work(self, parcels, columns, frames_of, rows_of).finish(points)

    def _find(self, parcel: Parcel, columns: Columns, first: int) -> Iterable[int]:
        """Dense points of a parcel's rows; units and senses that only the registry knows are filled in."""
        table = self.table_of(parcel)
        names = columns.names[first:]
        if table.plain:
            return map(table.points.get, names, repeat(UNKNOWN))
        for row, name in enumerate(names, first):
            if name in table.inverted:
                columns.values[row] = 1.0 - columns.values[row]
            if name in table.units:
                columns.units[row] = table.units[name]
        return table.find(names)

    def table_of(self, parcel: Parcel) -> WireTable:
        """What a gateway may name in this format; made when it first speaks."""
        source = parcel.source.partition(":")[0]
        form = CODED.get(source) or FOREIGN.get(source)
        table = self._tables.get((parcel.gateway, form))
        if table is None:
            make = wire.coded if source in CODED else wire.named
            table = self._tables[parcel.gateway, form] = make(self.registry, parcel.gateway, form)
        return table

    def unit_codes(self, names: Sequence[str]) -> NDArray[np.int16]:
        """Columns of the conversion tables; unknown units lead to the last one, which converts nothing."""
        if names and names.count(names[0]) == len(names):
            return np.full(len(names), self._units.get(names[0], len(self._units)), np.int16)
        return np.fromiter(map(self._units.get, names, repeat(len(self._units))), np.int16, len(names))

    def convert(
        self, value: NDArray[np.float64], channel: NDArray[np.int16], unit: NDArray[np.int16]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Values in their channels' units, and whether the channel accepts the unit."""
        factor = self._factor[channel, unit]
        return value * factor + self._offset[channel, unit], ~np.isnan(factor)

    def outside(self, value: NDArray[np.float64], channel: NDArray[np.int16]) -> NDArray[np.bool_]:
        return (value < self._low[channel]) | (value > self._high[channel])


def conversions(decl: ChannelDecl) -> dict[str, units.Conversion]:
    """Unit on the wire → conversion, for every unit that a channel accepts ("" = its own)."""
    accepted = {"": units.SAME, decl.unit: units.SAME}
    for alias in decl.aliases:
        found = units.conversion(alias, decl.unit)
        if found is not None:
            accepted[alias] = found
    return accepted


def _unit_codes(channels: Sequence[ChannelDecl]) -> dict[str, int]:
    codes: dict[str, int] = {"": 0}
    for decl in channels:
        for unit in conversions(decl):
            codes.setdefault(unit, len(codes))
    return codes


class _Work:
    """One call of `assemble`, after decoding."""

    def __init__(
        self,
        assembler: Assembler,
        parcels: Sequence[Parcel],
        columns: Columns,
        frames_of: list[int],
        rows_of: list[int],
    ) -> None:
        self.assembler = assembler
        self.registry = assembler.registry
        self.parcels = parcels
        self.columns = columns
        self.received_us = np.array([parcel.received_us for parcel in parcels], np.int64)
        self.rows_of = np.array(rows_of, np.int64)
        self.first_frame = np.cumsum([0, *frames_of])
        self.refused: dict[int, list[Refusal]] = {}
        self.strangers: set[tuple[int, str]] = set()

    def finish(self, points: list[int]) -> Assembled:
        for refusal in self.columns.refused:
            self.refuse(refusal.frame, refusal.record, refusal.reason, refusal.detail)
        listed = self.listed(np.fromiter(points, np.int32, len(points)))
        parts = [self.screened(listed, self.place_of_row)]
        for block in self.columns.blocks:
            parts += [self.screened(self.block(block), partial(self.place_in_block, block))]
        rows = Rows.concat(parts)
        accepted = np.bincount(rows.parcel, minlength=len(self.parcels)).tolist()
        return Assembled(self.judged(rows), accepted, self.refused)

    # -- the two shapes in which readings come -------------------------------------------------------------

    def listed(self, point: NDArray[np.int32]) -> Rows:
        """The rows that came record by record."""
        columns = self.columns
        channel = self.channel_of(point)
        value = np.fromiter(columns.values, np.float64, len(point))
        for row, word in columns.states.items():
            if point[row] >= 0:
                value[row] = self.registry.channel_by_number[int(channel[row])].decl.state_of(word)
        unit = self.assembler.unit_codes(columns.units)
        unit_ok = np.ones(len(point), bool)
        if unit.any():
            value, unit_ok = self.assembler.convert(value, channel, unit)
        seconds = np.fromiter(columns.times, np.float64, len(point))
        missing = np.isnan(seconds)
        parcel = np.repeat(np.arange(len(self.parcels), dtype=np.int32), self.rows_of)
        if missing.any():
            seconds[missing] = self.received_us[parcel[missing]] / SECOND_US
        time_us = np.rint(np.clip(seconds, -SANE_S, SANE_S) * SECOND_US).astype(np.int64)
        quality = np.zeros(len(point), np.uint16)
        for row, mark in columns.marks.items():
            quality[row] = mark
        return Rows(point, value, unit_ok, time_us, missing, quality, parcel)

    def block(self, block: Block) -> Rows:
        """The rows of a frame that came as columns."""
        parcel = self.parcel_of(block.frame)
        points = self.assembler.table_of(self.parcels[parcel]).points
        of_name = np.array([points.get(name, UNKNOWN) for name in block.names], np.int32)
        n = len(block.codes)
        return Rows(
            of_name[block.codes],
            block.value,
            np.ones(n, bool),
            block.time_us,
            np.zeros(n, bool),
            block.quality & np.uint16(FROM_GATEWAY),
            np.full(n, parcel, np.int32),
        )

    def channel_of(self, point: NDArray[np.int32]) -> NDArray[np.int16]:
        """Channel numbers; anything where the point is unknown."""
        return self.registry.channel_of[point] if self.registry.size else np.zeros(len(point), np.int16)

    # -- refusing ----------------------------------------------------------------------------------------

    def screened(self, rows: Rows, place: Callable[[int], Place]) -> Rows:
        """The rows that can be readings; the others are refused by name, or left out when nobody wants them."""
        limits = self.assembler.limits
        age_s = (self.received_us[rows.parcel] - rows.time_us) / SECOND_US
        old = age_s > limits.refuse_older_s
        if old.any():
            old &= ~np.array([parcel.history for parcel in self.parcels], bool)[rows.parcel]
        old |= age_s > limits.kept_s
        ahead = age_s < -limits.refuse_future_s
        good = (rows.point >= 0) & rows.unit_ok & np.isfinite(rows.value) & ~ahead & ~old
        if good.all():
            return rows
        for row in np.flatnonzero(~good & (rows.point != IGNORED)).tolist():
            where = place(row)
            if rows.point[row] < 0:
                self.refuse_unknown(where)
            elif not rows.unit_ok[row]:
                accepted = conversions(self.decl_of(rows, row))
                told = f"{where.name}: {where.unit}; known are {', '.join(filter(None, accepted))}"
                self.refuse(where.frame, where.record, Reason.UNKNOWN_UNIT, told)
            elif ahead[row] or old[row]:
                reason = Reason.TOO_FAR_AHEAD if ahead[row] else Reason.TOO_OLD
                self.refuse(where.frame, where.record, reason, f"{where.name} {-age_s[row]:+.0f} s from now")
            elif where.word:
                self.refuse(where.frame, where.record, Reason.UNKNOWN_STATE, f"{where.name}={where.word}")
            else:
                told = f"{where.name} {rows.value[row]}"
                self.refuse(where.frame, where.record, Reason.NOT_A_NUMBER, told)
        return rows.take(good)

    def refuse_unknown(self, where: Place) -> None:
        """A name that leads nowhere: why, in the order in which somebody would look."""
        parcel = self.parcels[self.parcel_of(where.frame)]
        table = self.assembler.table_of(parcel)
        device, _, channel = where.name.rpartition("/")
        if table.strict and not (WIRE_ID.fullmatch(device) and WIRE_ID.fullmatch(channel)):
            reason, told = Reason.BAD_NAME, where.name
        elif parcel.gateway not in self.registry.gateways:
            reason, told = Reason.UNKNOWN_GATEWAY, parcel.gateway
        elif device in table.devices:
            reason, told = Reason.UNKNOWN_CHANNEL, where.name
        else:
            reason, told = Reason.UNKNOWN_DEVICE, where.name
            if not table.strict and (where.frame, device) in self.strangers:
                return  # a frame full of codes of one device that we do not know is one refusal
            self.strangers.add((where.frame, device))
        self.refuse(where.frame, where.record, reason, told)

    def decl_of(self, rows: Rows, row: int) -> ChannelDecl:
        return self.registry.channel_by_number[int(self.registry.channel_of[rows.point[row]])].decl

    def refuse(self, frame: int, record: int, reason: Reason, told: str) -> None:
        parcel = self.parcel_of(frame)
        within = frame - int(self.first_frame[parcel])
        self.refused.setdefault(parcel, []).append(Refusal(within, record, reason, told[:200]))

    def parcel_of(self, frame: int) -> int:
        return int(np.searchsorted(self.first_frame, frame, "right")) - 1

    def place_of_row(self, row: int) -> Place:
        """Frame, record and name of a listed row."""
        ends = self.row_ends
        frame = int(np.searchsorted(ends, row, "right"))
        within = row - (int(ends[frame - 1]) if frame else 0)
        columns = self.columns
        records = columns.skips.get(frame)
        record = records[within] if records else within
        return Place(frame, record, columns.names[row], columns.units[row], columns.states.get(row, ""))

    @cached_property
    def row_ends(self) -> NDArray[np.int64]:
        return np.cumsum(self.columns.counts)

    @staticmethod
    def place_in_block(block: Block, row: int) -> Place:
        return Place(block.frame, row, block.names[int(block.codes[row])])

    # -- judging -----------------------------------------------------------------------------------------

    def judged(self, rows: Rows) -> Batch:
        """The batch, with the marks that need no memory: range and time."""
        limits = self.assembler.limits
        channel = self.channel_of(rows.point)
        received = self.received_us[rows.parcel]
        age_s = (received - rows.time_us) / SECOND_US
        quality = rows.quality
        quality[rows.missing] |= np.uint16(Quality.NO_EVENT_TIME)
        quality[age_s < -limits.future_after_s] |= np.uint16(Quality.FUTURE)
        device = self.registry.device_of[rows.point] if self.registry.size else np.empty(0, np.int32)
        value = self.registry.care.applied(device, channel, rows.time_us, rows.value, quality)
        quality[self.assembler.outside(value, channel)] |= np.uint16(Quality.OUT_OF_RANGE)
        late = age_s > limits.late_after_s
        if late.any():
            late &= ~np.array([parcel.history for parcel in self.parcels], bool)[rows.parcel]
            quality[late] |= np.uint16(Quality.LATE)
        gateways = [self.registry.gateways.get(parcel.gateway) for parcel in self.parcels]
        gateway = np.array([found.number if found else 0 for found in gateways], np.int32)
        return Batch(
            device,
            channel,
            rows.time_us,
            received,
            value,
            quality,
            gateway[rows.parcel],
        )
