"""ThingsBoard telemetry, so that existing devices and gateways work unchanged (its MQTT API documentation).

`v1/devices/me/telemetry`: the device is whoever is signed in. `{key: value}`, `{"ts": ms, "values": {…}}` or a list
of either. `v1/gateway/telemetry`: `{device: [ {"ts": ms, "values": {…}} | {key: value}, … ]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from iot.codecs.frame import NO_TIME, SANE_S, Columns, Decoder, MalformedError, Parcel, Reason, each

MOST_RECORDS = 100_000


def load(payload: bytes) -> object:
    """What JSON stands for, NaN included. Raises `MalformedError`."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return json.loads(payload)  # knows NaN, so that it can be refused by name
    except (ValueError, RecursionError) as wrong:
        raise MalformedError(str(wrong)) from None


def decode_device(payload: bytes, parcel: Parcel, into: Columns) -> None:
    """Telemetry of the device that is the gateway itself."""
    for number, entry in enumerate(_entries(load(payload))):
        _add(number, parcel.gateway, entry, into)


def decode_gateway(payload: bytes, parcel: Parcel, into: Columns) -> None:  # noqa: ARG001 - all is in the payload
    """Telemetry of a gateway's devices."""
    whole = load(payload)
    if not isinstance(whole, dict):
        raise MalformedError("an object of devices is expected")
    number = 0
    for device, entries in whole.items():
        for entry in _entries(entries):
            _add(number, str(device), entry, into)
            number += 1


def _entries(whole: object) -> Iterator[object]:
    if isinstance(whole, list):
        if len(whole) > MOST_RECORDS:
            raise MalformedError(f"more than {MOST_RECORDS} entries")
        yield from whole
    else:
        yield whole


def _add(number: int, device: str, entry: object, into: Columns) -> None:
    """One entry: values of one moment."""
    if not isinstance(entry, dict):
        into.refuse(number, Reason.MALFORMED, str(entry))
        return
    time_s, values = NO_TIME, entry
    if "ts" in entry and isinstance(entry.get("values"), dict):
        values = entry["values"]
        found = number_of(entry["ts"])
        if found is None or not 0 <= found / 1000 < SANE_S:
            into.refuse(number, Reason.BAD_TIME, f"{device} ts={entry['ts']}")
            return
        time_s = found / 1000
    for key, raw in values.items():
        add_value(number, f"{device}/{key}", raw, time_s, into)


def add_value(number: int, name: str, raw: object, time_s: float, into: Columns, unit: str = "") -> None:
    """A value as JSON gives it: a number, a truth, a word; a word that is a number counts as one."""
    if isinstance(raw, str):
        found = number_of(raw)
        into.add(number, name, raw if found is None else found, time_s, unit)
        return
    value = number_of(raw)
    if value is None:
        reason = Reason.NO_VALUE if raw is None else Reason.NOT_A_NUMBER
        into.refuse(number, reason, f"{name} {raw!r}")
        return
    into.add(number, name, value, time_s, unit)


def number_of(raw: object) -> float | None:
    """A finite number, of a number, a truth or plain decimal text."""
    if isinstance(raw, bool):
        return float(raw)
    if isinstance(raw, str):
        if not raw.isascii() or "_" in raw or not raw.strip():
            return None
        try:
            raw = float(raw)
        except ValueError:
            return None
    if not isinstance(raw, int | float) or abs(raw) > 1e300 or raw != raw:  # noqa: PLR0124 - NaN
        return None
    return float(raw)


device: Decoder = each(decode_device)
gateway: Decoder = each(decode_gateway)
