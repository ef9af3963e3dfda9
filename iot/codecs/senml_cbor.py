"""SenML CBOR packs (RFC 8428 §6): the records of `iot.codecs.senml` with numbers for names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import cbor2

from core.clock import SECOND_US
from iot.codecs import senml
from iot.codecs.frame import Columns, Decoder, MalformedError, Parcel, each

#: Labels of table 4; `q` is ours and stays text, so that no later edition can mean something else by it.
LABELS: Mapping[int, str] = {
    -6: "bs", -5: "bv", -4: "bu", -3: "bt", -2: "bn", -1: "bver",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
NUMBERS = {name: number for number, name in LABELS.items()}
#: A pack is an array of maps of plain values.
DEPTH = 4


def decode_one(payload: bytes, parcel: Parcel, into: Columns) -> None:
    """Append the readings of a pack; single bad records are refused by their index."""
    try:
        pack = cbor2.loads(payload, max_depth=DEPTH)
    except (cbor2.CBORError, ValueError, OverflowError, MemoryError) as wrong:
        raise MalformedError(str(wrong)) from None
    if not isinstance(pack, list):
        raise MalformedError("a SenML pack is an array of records")
    senml.append(senml.convert([_named(raw) for raw in pack], into), parcel.received_us / SECOND_US, into)


def _named(raw: object) -> object:
    if not isinstance(raw, Mapping):
        return raw
    return {LABELS.get(key, str(key)) if isinstance(key, int) else key: value for key, value in raw.items()}


decode: Decoder = each(decode_one)


def encode(readings: Iterable[tuple[str, str, int, float]], base_name: str = "") -> bytes:
    """A pack of (device/channel, unit, time µs, value)."""
    records = senml.resolved(readings, base_name)
    return cbor2.dumps([{NUMBERS[key]: value for key, value in record.items()} for record in records])
