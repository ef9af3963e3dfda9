"""SenML JSON packs (RFC 8428), the default format of gateways on `telemetry/<gateway>` and of HTTP.

Names are `device/channel` after base names are resolved. One extension: `q`, quality bits 9–12 as the gateway
sees them. Times below 2**28 are relative to the moment of receipt, 0 or none is "now" (RFC 8428 §4.5.3).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec
import numpy as np

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
_firsts = msgspec.json.Decoder(list[First]).decode
_records = msgspec.json.Decoder(list[Record]).decode
#: What msgspec raises on bytes that are not what was asked for.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(parcel: Parcel, into: Columns) -> None:
    """Append the readings of a parcel's packs; see `iot.codecs.frame.Decoder`."""
    received_s = parcel.received_us / SECOND_US
    if _append_numbers(parcel.payloads, received_s, into):
        return
    for payload in parcel.payloads:
        if not _append_numbers([payload], received_s, into):
            rows = len(into)
            _append_any(payload, received_s, into)
            into.counts.append(len(into) - rows)


def _append_numbers(payloads: Sequence[bytes], received_s: float, into: Columns) -> bool:
    """Read packs of numbers, whose bases all stand in their first records, in a few passes over all of them.

    False: there is one among them that must be looked at by itself, and nothing was done.
    """
    for append_all in (_append_plain, _append_based):
        try:
            if append_all(payloads, received_s, into):
                return True
        except UNREADABLE:
            pass  # not of that shape
    return False


def _append_plain(payloads: Sequence[bytes], received_s: float, into: Columns) -> bool:
    """Packs without any bases."""
    packs = list(map(_plain, payloads))
    records = list(chain.from_iterable(packs))
    return _append_records(records, list(map(len, packs)), (), received_s, into)


def _append_based(payloads: Sequence[bytes], received_s: float, into: Columns) -> bool:
    """Packs of which each has a first record with bases, and maybe more without."""
    closes = [payload.find(b"}") + 1 for payload in payloads]
    heads = _firsts(b"[" + b",".join(p[1:close] for p, close in zip(payloads, closes, strict=True)) + b"]")
    if len(heads) != len(payloads) or {payload[:1] for payload in payloads} != {b"["}:
        return False  # a brace in a string, perhaps
    rests = [payload[close:] for payload, close in zip(payloads, closes, strict=True)]
    counts, records = _read(rests) if rests.count(b"]") < len(rests) else ([0] * len(rests), [])
    rows: list[Plain | First] = []
    skips: dict[int, list[int]] = {}
    at = 0
    for pack, head in enumerate(heads):
        end = at + counts[pack]
        if head.v == head.v:
            rows.append(head)
            counts[pack] += 1
        elif head.n or head.u or head.t:
            return False
        else:  # a record that only sets bases
            skips[into.frame + pack] = list(range(1, counts[pack] + 1))
        rows += records[at:end]
        at = end
    if not _append_records(rows, counts, heads, received_s, into):
        return False
    into.skips.update(skips)
    return True


def _read(rests: Sequence[bytes]) -> tuple[list[int], list[Plain]]:
    """How many records there are in what follows the first record of each pack, and all of them.

    They are read as one. That each pack is whole by itself follows from its last bytes and from every brace being the
    end of a record, none part of a string; else `ValidationError`.
    """
    if {rest[-2:] for rest in rests} != {b"}]"} or not rests[0].startswith(b","):
        raise msgspec.ValidationError("look closer")
    counts = [rest.count(b"}") for rest in rests]
    records = _plain(b"[" + b"".join([rest[:-1] for rest in rests])[1:] + b"]")
    if len(records) != sum(counts):
        raise msgspec.ValidationError("look closer")
    return counts, records


def _append_records(
    records: Sequence[Plain | First],
    counts: Sequence[int],
    bases: Sequence[First],
    received_s: float,
    into: Columns,
) -> bool:
    """Append records of numbers, `counts` of each pack; False when there is one among them with an odd time."""
    names = [record.n for record in records]
    units = [record.u for record in records]
    times = np.fromiter([record.t for record in records], np.float64, len(records))
    if any(base.bn for base in bases):
        names = [base + name for base, name in zip(_spread(bases, counts, "bn"), names, strict=True)]
    if any(base.bu for base in bases):
        spread = _spread(bases, counts, "bu")
        units = [unit or base for base, unit in zip(spread, units, strict=True)] if any(units) else spread
    if bases:
        times += np.repeat([base.bt for base in bases], counts)
    if not (np.abs(times) < SANE_S).all():
        return False
    if (times < RELATIVE_BELOW_S).any():
        times = np.where(times < RELATIVE_BELOW_S, np.where(times == 0, NO_TIME, received_s + times), times)
    into.names += names
    into.times += times.tolist()
    into.units += units
    into.values += [record.v for record in records]
    into.counts += counts
    return True


def _spread(bases: Sequence[First], counts: Sequence[int], key: str) -> list[str]:
    """A base of each pack, as often as it has records."""
    spread: list[str] = []
    for base, count in zip(bases, counts, strict=True):
        spread += [getattr(base, key)] * count
    return spread


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
