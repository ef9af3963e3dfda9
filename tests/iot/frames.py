"""Reading frames in tests as the assembler does it."""

from __future__ import annotations

from ingest.stream import NoReceipt
from iot.codecs.frame import Columns, Decoder, Parcel
from tests.iot.sample import NOW_US


def read(decoder: Decoder, *payloads: bytes, gateway: str = "gw-0", topic: str = "") -> Columns:
    """The columns of some frames; their invariants hold."""
    into = Columns()
    decoder(Parcel(gateway, "test", list(payloads), NOW_US, NoReceipt(), topic), into)
    assert len(into.counts) == len(payloads)
    assert sum(into.counts) == len(into.names) == len(into.units) == len(into.times) == len(into.values)
    return into


def rows(columns: Columns) -> list[tuple[str, float, float | str]]:
    """(name, seconds, value or word); zero has no sign here, it has none in a reading."""
    return [
        (name, time, columns.states.get(row, value + 0.0))
        for row, (name, time, value) in enumerate(
            zip(columns.names, columns.times, columns.values, strict=True)
        )
    ]


def why(columns: Columns) -> list[tuple[int, int, str]]:
    return [(refusal.frame, refusal.record, refusal.reason.value) for refusal in columns.refused]
