"""SenML JSON packs (RFC 8428), the default format of gateways on `telemetry/<gateway>` and of HTTP.

Names are `device/channel` after base names are resolved. One extension: `q`, quality bits 9–12 as the gateway
sees them. Times below 2**28 are relative to the moment of receipt, 0 or none is "now" (RFC 8428 §4.5.3).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from itertools import chain

import msgspec

from core.batch import FROM_GATEWAY
from core.clock import SECOND_US
from iot.codecs.frame import NO_TIME, SANE_S, Columns, MalformedError, Parcel, Reason

RELATIVE_BELOW_S = 2.0**28
MAX_RECORDS = 100_000
VERSION = 10


class Plain(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What most records are. A pack that has anything else is read in another way."""

    n: str
    v: float
    t: float = 0.0
    u: str = ""


class First(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The first record of a pack of numbers, which carries its bases."""

    n: str = ""
    v: float = math.nan
    t: float = 0.0
    u: str = ""
    bn: str = ""
    bt: float = 0.0
    bu: str = ""


class Record(msgspec.Struct, gc=False):
    """A record as the RFC defines it; None = not there."""

    bn: str | None = None
    bt: float | None = None
    bu: str | None = None
    bv: float | None = None
    bver: int | None = None
    n: str = ""
    u: str | None = None
    t: float = 0.0
    v: float | None = None
    vb: bool | None = None
    vs: str | None = None
    q: int = 0


_plain = msgspec.json.Decoder(list[Plain]).decode
_first = msgspec.json.Decoder(First).decode
_records = msgspec.json.Decoder(list[Record]).decode
#: What msgspec raises on bytes that are not what was asked for.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(parcel: Parcel, into: Columns) -> None:
    """Append the readings of a parcel's packs; see `iot.codecs.frame.Decoder`."""
    received_s = parcel.received_us / SECOND_US
    if _append_plain(parcel.payloads, received_s, into):
        return
    for payload in parcel.payloads:
        rows = len(into)
        if not _append_based(payload, received_s, into):
            _append_any(payload, received_s, into)
        into.counts.append(len(into) - rows)


def _append_plain(payloads: list[bytes], received_s: float, into: Columns) -> bool:
    """Read packs of plain records in a few passes over all of them. False: they are not, and nothing was done."""
    try:
        packs = list(map(_plain, payloads))
    except UNREADABLE:
        return False
    counts = list(map(len, packs))
    if not _append_records(list(chain.from_iterable(packs)), received_s, into):
        return False
    into.counts += counts
    return True


def _append_based(payload: bytes, received_s: float, into: Columns) -> bool:
    """Read a pack of numbers whose bases all stand in its first record. False: it is not one, nothing was done."""
    close = payload.find(b"}") + 1  # of the first record, or in a string of it: then it cannot be read
    try:
        first = _first(payload[1:close])
        records = _plain(b"[" + payload[close + 1 :]) if payload[close : close + 1] == b"," else []
    except UNREADABLE:
        return False
    if not payload.startswith(b"[") or (not records and payload[close:].strip() != b"]"):
        return False
    only_bases = first.v != first.v
    if only_bases:
        if first.n or first.u or first.t:
            return False
        into.skips[into.frame] = list(range(1, len(records) + 1))
    else:
        records.insert(0, Plain(first.n, first.v, first.t, first.u))
    if _append_records(records, received_s, into, first):
        return True
    into.skips.pop(into.frame, None)
    return False


def _append_records(
    records: list[Plain], received_s: float, into: Columns, bases: First | None = None
) -> bool:
    """Append records of numbers; False when there is one among them that must be looked at by itself."""
    if not records:
        return False
    names = [record.n for record in records]
    times = [record.t for record in records]
    units = [record.u for record in records]
    if bases is not None:
        if bases.bn:
            names = [bases.bn + name for name in names]
        if bases.bt:
            times = [bases.bt + t for t in times] if any(times) else [bases.bt] * len(times)
        if bases.bu:
            units = [unit or bases.bu for unit in units] if any(units) else [bases.bu] * len(units)
    if max(times) >= SANE_S:
        return False
    if min(times) < RELATIVE_BELOW_S:
        times = [_moment(t, received_s) for t in times]
    into.names += names
    into.times += times
    into.units += units
    into.values += [record.v for record in records]
    return True


def _moment(time_s: float, received_s: float) -> float:
    """Absolute seconds of a resolved time; `NO_TIME` for "now"."""
    if time_s >= RELATIVE_BELOW_S:
        return time_s
    return received_s + time_s if time_s else NO_TIME


def _append_any(payload: bytes, received_s: float, into: Columns) -> None:
    """Read any pack, record by record; what cannot be read becomes refusals."""
    try:
        records = _records(payload)
        if b'_"' in payload or b'"bver"' in payload or len(records) > MAX_RECORDS:
            raise msgspec.ValidationError("look closer")
        numbered: Iterable[tuple[int, Record]] = enumerate(records)
    except UNREADABLE:
        try:
            numbered = _leniently(payload, into)
        except MalformedError as wrong:
            into.refuse(0, wrong.reason, str(wrong))
            return
    append(numbered, received_s, into)


def append(numbered: Iterable[tuple[int, Record]], received_s: float, into: Columns) -> None:
    """Append records after the rules of RFC 8428 §4.6; `numbered` gives each with its index in the pack."""
    base, unit, base_s, base_v = "", "", 0.0, 0.0
    for number, record in numbered:
        base = base if record.bn is None else record.bn
        base_s = base_s if record.bt is None else record.bt
        unit = unit if record.bu is None else record.bu
        base_v = base_v if record.bv is None else record.bv
        name = base + record.n
        value = _value(record, base_v)
        if value is None:
            if record.n or record.u is not None or record.t:
                into.refuse(number, Reason.NO_VALUE, name)
            continue  # else a record that only sets bases
        time_s = base_s + record.t
        if not -SANE_S < time_s < SANE_S:
            into.refuse(number, Reason.BAD_TIME, f"{name} t={time_s:g}")
            continue
        into.add(
            number, name, value, _moment(time_s, received_s),
            unit if record.u is None else record.u, record.q & FROM_GATEWAY,
        )  # fmt: skip


def _value(record: Record, base: float) -> float | str | None:
    if record.v is not None:
        return base + record.v
    if record.vb is not None:
        return 1.0 if record.vb else 0.0
    return record.vs


def _leniently(payload: bytes, into: Columns) -> list[tuple[int, Record]]:
    """The good records of a pack with their numbers; the bad ones are refused by name, not lost with the rest."""
    try:
        pack = json.loads(payload)
    except (ValueError, RecursionError) as wrong:
        raise MalformedError(str(wrong)) from None
    return convert(pack, into)


def convert(pack: object, into: Columns) -> list[tuple[int, Record]]:
    """Records of what a pack's bytes stand for. Raises `MalformedError` when it is no pack at all."""
    if not isinstance(pack, list):
        raise MalformedError("a SenML pack is an array of records")
    if len(pack) > MAX_RECORDS:
        raise MalformedError(f"more than {MAX_RECORDS} records")
    good: list[tuple[int, Record]] = []
    for number, raw in enumerate(pack):
        if isinstance(raw, dict):
            if any(_not_finite(raw.get(key)) for key in ("v", "bv", "t", "bt")):
                into.refuse(number, Reason.NOT_A_NUMBER, str(raw))
                continue
            if any(isinstance(key, str) and key.endswith("_") for key in raw):
                raise MalformedError(
                    "a field whose name ends in _ must be understood (RFC 8428 §4.4); none is"
                )
        try:
            record = msgspec.convert(raw, Record)
        except msgspec.ValidationError as wrong:
            into.refuse(number, Reason.MALFORMED, str(wrong))
            continue
        if (record.bver or VERSION) > VERSION:
            raise MalformedError(f"SenML version {record.bver}; {VERSION} is understood")
        good.append((number, record))
    return good


def _not_finite(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**300


def encode(readings: Iterable[tuple[str, str, int, float]], base_name: str = "") -> bytes:
    """A pack of (device/channel, unit, time µs, value). Times are written relative to the first one's base."""
    return msgspec.json.encode(resolved(readings, base_name))


def resolved(readings: Iterable[tuple[str, str, int, float]], base_name: str = "") -> list[dict[str, object]]:
    """The records of `encode` as plain values, shared with the CBOR form."""
    records: list[dict[str, object]] = []
    base_us: int | None = None
    for name, unit, time_us, value in readings:
        record: dict[str, object] = {}
        if base_us is None:
            base_us = time_us
            record["bt"] = time_us / SECOND_US
            if base_name:
                record["bn"] = base_name
        record["n"] = name
        if unit:
            record["u"] = unit
        if time_us != base_us:
            record["t"] = (time_us - base_us) / SECOND_US
        record["v"] = value
        records.append(record)
    return records
