"""SenML JSON packs (RFC 8428), the default format of gateways on `telemetry/<gateway>` and of HTTP.

Names are `device/channel` after base names are resolved. One extension: `q`, quality bits 9–12 as the gateway
sees them. Times below 2**28 are relative to the moment of receipt (RFC 8428 §4.5.3).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import msgspec

from core.batch import FROM_GATEWAY
from core.clock import SECOND_US
from iot.codecs.frame import Columns, MalformedError, Reason, Refusal

RELATIVE_BELOW_S = 2.0**28
#: Seconds outside this cannot be written as a time of years 1–9999.
SANE_S = 253_402_300_800.0
MAX_RECORDS = 100_000


class Record(msgspec.Struct, gc=False):
    """A record as the RFC defines it; unknown fields are ignored unless their name ends in `_`."""

    bn: str = ""
    bt: float | None = None
    bu: str | None = None
    bv: float | None = None
    n: str = ""
    u: str | None = None
    t: float | None = None
    v: float | None = None
    vb: bool | None = None
    vs: str | None = None
    q: int = 0


_typed = msgspec.json.Decoder(list[Record])


def decode(payload: bytes, index: int, received_us: int, into: Columns) -> None:
    """Append the readings of a pack. Raises `MalformedError` when it is no SenML pack at all."""
    try:
        records = _typed.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        _decode_leniently(payload, index, received_us, into)
        return
    _append(enumerate(records), index, received_us, into)


def _append(records: Iterable[tuple[int, Record]], index: int, received_us: int, into: Columns) -> None:
    base_name, base_unit = "", ""
    base_time: float | None = None
    base_value: float | None = None
    names, units, times, values = into.names, into.units, into.times, into.values
    for number, record in records:
        if record.bn:
            base_name = record.bn
        if record.bt is not None:
            base_time = record.bt
        if record.bu is not None:
            base_unit = record.bu
        if record.bv is not None:
            base_value = record.bv
        value: float | str
        if record.v is not None:
            value = record.v if base_value is None else record.v + base_value
        elif record.vb is not None:
            value = 1.0 if record.vb else 0.0
        elif record.vs is not None:
            value = record.vs
        elif not record.n and record.u is None and record.t is None:
            continue  # a record that only sets bases
        else:
            into.refused.append(Refusal(index, number, Reason.NO_VALUE, base_name + record.n))
            continue
        time = record.t
        if base_time is not None:
            time = base_time if time is None else base_time + time
        if time is not None and time < RELATIVE_BELOW_S:
            time += received_us / SECOND_US
        if time is not None and not -SANE_S < time < SANE_S:
            into.refused.append(Refusal(index, number, Reason.BAD_TIME, f"{base_name}{record.n} t={time:g}"))
            continue
        names.append(base_name + record.n)
        units.append(base_unit if record.u is None else record.u)
        times.append(time)
        values.append(value)
        into.quality.append(record.q & FROM_GATEWAY)
        into.frames.append(index)
        into.records.append(number)


def _decode_leniently(payload: bytes, index: int, received_us: int, into: Columns) -> None:
    """Read a pack record by record: the bad ones are named, and the good ones beside them are not lost."""
    try:
        pack = json.loads(payload)
    except (ValueError, RecursionError) as wrong:
        raise MalformedError(str(wrong)[:200]) from None
    if not isinstance(pack, list):
        raise MalformedError("a SenML pack is a JSON array of records")
    if len(pack) > MAX_RECORDS:
        raise MalformedError(f"more than {MAX_RECORDS} records")
    good: list[tuple[int, Record]] = []
    for number, raw in enumerate(pack):
        if isinstance(raw, dict) and any(_not_finite(raw.get(key)) for key in ("v", "bv", "t", "bt")):
            into.refused.append(Refusal(index, number, Reason.NOT_A_NUMBER, str(raw)[:200]))
            continue
        try:
            good.append((number, msgspec.convert(raw, Record)))
        except msgspec.ValidationError as wrong:
            into.refused.append(Refusal(index, number, Reason.MALFORMED, str(wrong)[:200]))
    _append(good, index, received_us, into)


def _not_finite(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**300


def encode(readings: Iterable[tuple[str, str, int, float]], base_name: str = "") -> bytes:
    """A pack of (device/channel, unit, time µs, value). Times are written relative to the first one's base."""
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
    return msgspec.json.encode(records)
