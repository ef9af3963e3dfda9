"""SenML JSON: the vectors of the RFC's rules, refusals that name their record, and that the fast ways agree."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import SECOND_US
from ingest.stream import NoReceipt
from iot.codecs import senml
from iot.codecs.frame import Columns, Parcel, Reason
from tests.iot.sample import NOW_US

NOW_S = NOW_US / SECOND_US


def read(*packs: object) -> Columns:
    """Columns of packs, given as what their JSON stands for or as bytes."""
    payloads = [pack if isinstance(pack, bytes) else json.dumps(pack).encode() for pack in packs]
    into = Columns()
    senml.decode(Parcel("gw-0", "senml", payloads, NOW_US, NoReceipt()), into)
    assert len(into.counts) == len(payloads)
    assert sum(into.counts) == len(into.names) == len(into.units) == len(into.times) == len(into.values)
    return into


def rows(columns: Columns) -> list[tuple[str, float, float | str, str]]:
    return [
        (name, time, columns.states.get(row, value), unit)
        for row, (name, time, value, unit) in enumerate(
            zip(columns.names, columns.times, columns.values, columns.units, strict=True)
        )
    ]


VECTORS = [
    (
        [
            {"bn": "urn:dev:ow:10e2073a01080063:", "bt": 1769900400, "bu": "m", "n": "level", "v": 1.2},
            {"n": "level", "t": 60, "v": 1.25},
            {"n": "temp", "u": "Cel", "t": 60, "v": 18.5},
        ],
        [
            ("urn:dev:ow:10e2073a01080063:level", 1769900400.0, 1.2, "m"),
            ("urn:dev:ow:10e2073a01080063:level", 1769900460.0, 1.25, "m"),
            ("urn:dev:ow:10e2073a01080063:temp", 1769900460.0, 18.5, "Cel"),
        ],
    ),
    (
        [
            {"bn": "pump1/", "n": "flow", "t": -120, "v": 0.5},
            {"n": "flow", "t": -60, "v": 0.52},
            {"n": "flow", "v": 0.51},
        ],
        [
            ("pump1/flow", 1769903880.0, 0.5, ""),
            ("pump1/flow", 1769903940.0, 0.52, ""),
            ("pump1/flow", math.nan, 0.51, ""),
        ],
    ),
    (
        [
            {"bn": "s1:", "bt": 1.77e9, "bv": 20, "n": "temp", "v": 1.5},
            {"n": "temp", "t": 10, "v": -0.5},
            {"bn": "s2:", "bt": 1770000020, "bv": 0, "n": "st", "vs": "ok"},
        ],
        [("s1:temp", 1.77e9, 21.5, ""), ("s1:temp", 1.77e9 + 10, 19.5, ""), ("s2:st", 1770000020.0, "ok", "")],
    ),
    (
        [{"bn": "d1/", "bt": 1.77e9}, {"n": "a", "v": 1}, {"n": "b", "vb": True}],
        [("d1/a", 1.77e9, 1.0, ""), ("d1/b", 1.77e9, 1.0, "")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("pack", "expected"), VECTORS)
def test_packs_resolve_as_the_rfc_says(pack: object, expected: list[tuple[Any, ...]]) -> None:
    assert repr(rows(read(pack))) == repr(expected)


def test_a_base_that_is_named_with_an_escape_still_counts() -> None:
    pack = b'[{"n":"a/x","v":1,"t":1770000000},{"\\u0062n":"b/","n":"x","v":2,"t":1770000000}]'
    assert [row[0] for row in rows(read(pack))] == ["a/x", "b/x"]


@pytest.mark.parametrize(
    ("pack", "record", "reason"),
    [
        (b"{", 0, Reason.MALFORMED),
        (b"", 0, Reason.MALFORMED),
        (b'{"n":"a/b","v":1}', 0, Reason.MALFORMED),
        (b"[" * 100_000, 0, Reason.MALFORMED),
        (b'[{"n":"a/b","v":"\xff"}]', 0, Reason.MALFORMED),
        (b'[{"n":"a/b","v":1},{"n":"a/c","v":NaN}]', 1, Reason.NOT_A_NUMBER),
        (b'[{"n":"a/b","v":1},{"n":"a/c","v":1e999}]', 1, Reason.NOT_A_NUMBER),
        (b'[{"n":"a/b","v":1},{"n":"a/c","v":"12"}]', 1, Reason.MALFORMED),
        (b'[{"n":"a/b","v":1},{"n":"a/c","v":null}]', 1, Reason.NO_VALUE),
        (b'[{"n":"a/b","v":1},{"n":"a/c"}]', 1, Reason.NO_VALUE),
        (b'[{"n":"a/b","v":1},7]', 1, Reason.MALFORMED),
        (b'[{"n":"a/b","v":1},{"n":"a/c","v":1,"t":1e18}]', 1, Reason.BAD_TIME),
        (b'[{"n":"a/b","v":1,"x_":1}]', 0, Reason.MALFORMED),
        (b'[{"n":"a/b","v":1,"bver":11}]', 0, Reason.MALFORMED),
        (b'[{"n":"a/b","v":1' + b"0" * 400 + b"}]", 0, Reason.NOT_A_NUMBER),
        (b'[{"n":"a/b","v":1' + b"0" * 5000 + b"}]", 0, Reason.MALFORMED),
    ],
)
def test_what_cannot_be_a_reading_is_refused_by_record_and_the_rest_is_kept(
    pack: bytes, record: int, reason: Reason
) -> None:
    columns = read(pack, [{"n": "ok/x", "v": 5, "t": 1.77e9}])
    assert [(r.frame, r.record, r.reason) for r in columns.refused] == [(0, record, reason)]
    assert columns.names == ["a/b"] * record + ["ok/x"]


numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
moments = st.sampled_from([0, 5, -30, 1.77e9, 1.77e9 + 0.25]) | st.floats(1.7e9, 1.8e9)
record = st.fixed_dictionaries(
    {},
    optional={
        "n": st.sampled_from(["a", "b", "temp"]), "v": numbers, "t": moments, "u": st.sampled_from(["", "m", "Cel"]),
        "bn": st.sampled_from(["d1/", "d2/"]), "bt": moments, "bu": st.sampled_from(["m", ""]), "bv": numbers,
        "vb": st.booleans(), "vs": st.sampled_from(["open", "closed"]), "q": st.integers(0, 1 << 14),
    },
)  # fmt: skip


def unsigned(columns: Columns) -> list[tuple[object, ...]]:
    """Rows whose zeros have no sign: a base value of 0 that is added takes it away."""
    return [tuple(part + 0.0 if isinstance(part, float) else part for part in row) for row in rows(columns)]


@given(st.lists(st.lists(record, min_size=1, max_size=5), min_size=1, max_size=4))
def test_the_fast_ways_say_the_same_as_the_slow_one(packs: list[list[dict[str, Any]]]) -> None:
    payloads = [json.dumps(pack).encode() for pack in packs]
    slow = Columns()
    for payload in payloads:
        before = len(slow)
        senml._append_any(payload, NOW_S, slow)
        slow.counts.append(len(slow) - before)
    fast = read(*payloads)
    assert repr(unsigned(fast)) == repr(unsigned(slow))
    assert fast.refused == slow.refused
    assert fast.marks == slow.marks
    assert fast.counts == slow.counts


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    columns = read(payload)
    assert len(columns) or columns.refused or payload.strip() in (b"[]", b"[{}]") or b"{" in payload


def test_what_is_encoded_is_decoded() -> None:
    later = NOW_US + 60 * SECOND_US
    readings = [
        ("d1/temp", "Cel", NOW_US, 20.5),
        ("d1/temp", "Cel", later, 21.0),
        ("d2/level", "", NOW_US, 3.2),
    ]
    columns = read(senml.encode(readings))
    assert [
        (name, unit, round(time * SECOND_US), value) for name, time, value, unit in rows(columns)
    ] == readings
