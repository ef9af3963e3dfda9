"""Parcels become one batch; what cannot be a reading is refused with a reason that names frame and record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from core.batch import Quality
from core.clock import DAY_US, SECOND_US
from ingest.assemble import Assembled, Assembler, Limits
from ingest.stream import NoReceipt
from iot.codecs.frame import Block, Columns, Parcel, Reason
from tests.iot.sample import NOW_US, registry

NOW_S = NOW_US / SECOND_US
CITY = registry()
ASSEMBLER = Assembler(CITY, Limits())


def parcel(*packs: object, gateway: str = "gw-0", history: bool = False) -> Parcel:
    payloads = [pack if isinstance(pack, bytes) else json.dumps(pack).encode() for pack in packs]
    return Parcel(gateway, "senml", payloads, NOW_US, NoReceipt(), "", history)


def one(**fields: object) -> Assembled:
    return ASSEMBLER.assemble([parcel([{"n": "d0/pressure", "v": 300, "t": NOW_S, **fields}])])


def test_names_units_and_times_become_numbers() -> None:
    done = ASSEMBLER.assemble(
        [
            parcel(
                [
                    {"n": "d0/pressure", "u": "MPa", "v": 0.3, "t": NOW_S - 5},
                    {"n": "d2/temp", "v": 9, "t": NOW_S},
                ]
            ),
            parcel([{"n": "d1/valve", "vs": "open", "t": NOW_S}], gateway="gw-1"),
        ]
    )
    batch = done.batch
    assert [CITY.by_number[n].id for n in batch.device.tolist()] == ["d0", "d2", "d1"]
    assert [CITY.channel_by_number[n].name for n in batch.channel.tolist()] == ["pressure", "temp", "valve"]
    np.testing.assert_allclose(batch.value, [300, 9, 1])
    assert (NOW_US - batch.time_us).tolist() == [5 * SECOND_US, 0, 0]
    assert batch.gateway.tolist() == [1, 1, 2]
    assert not batch.quality.any()
    assert done.accepted == [2, 1]
    assert not done.refused


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"n": "nobody/pressure"}, Reason.UNKNOWN_DEVICE),
        ({"n": "d1/pressure"}, Reason.UNKNOWN_DEVICE),  # another gateway's
        ({"n": "d0/wind"}, Reason.UNKNOWN_CHANNEL),
        ({"n": "no channel"}, Reason.BAD_NAME),
        ({"n": "d0/pressure", "u": "furlong"}, Reason.UNKNOWN_UNIT),
        ({"n": "d0/pressure", "u": "Cel"}, Reason.UNKNOWN_UNIT),
        ({"n": "d0/valve", "v": None, "vs": "ajar"}, Reason.UNKNOWN_STATE),
        ({"t": 253_402_300_000}, Reason.TOO_FAR_AHEAD),  # the year 9999
        ({"t": NOW_S * 1000}, Reason.BAD_TIME),  # milliseconds taken for seconds
        ({"t": NOW_S + 2 * 86_400}, Reason.TOO_FAR_AHEAD),
        ({"t": NOW_S - 31 * 86_400}, Reason.TOO_OLD),
        ({"t": 2.0**28}, Reason.TOO_OLD),  # a clock of 1978
    ],
)
def test_each_refusal_has_its_reason_and_names_its_record(fields: Mapping[str, Any], reason: Reason) -> None:
    good = {"n": "d0/temp", "v": 8, "t": NOW_S}
    bad = {
        key: value
        for key, value in {"n": "d0/pressure", "v": 300, "t": NOW_S, **fields}.items()
        if value is not None
    }
    done = ASSEMBLER.assemble([parcel([good]), parcel([good], [good, bad, good])])
    assert {k: [(r.frame, r.record, r.reason) for r in v] for k, v in done.refused.items()} == {
        1: [(1, 1, reason)]
    }
    assert done.accepted == [1, 3]
    assert len(done.batch) == 4


def test_an_unknown_gateway_and_an_unknown_format_are_refused() -> None:
    done = ASSEMBLER.assemble([parcel([{"n": "d0/temp", "v": 8}], gateway="stranger")])
    assert done.refused[0][0].reason == Reason.UNKNOWN_GATEWAY
    strange = parcel(b"??", b"??")
    strange.source = "morse"
    done = ASSEMBLER.assemble([strange])
    assert [(r.frame, r.reason) for r in done.refused[0]] == [
        (0, Reason.UNKNOWN_FORMAT),
        (1, Reason.UNKNOWN_FORMAT),
    ]
    assert done.accepted == [0]


@pytest.mark.parametrize(
    ("fields", "quality"),
    [
        ({}, 0),
        ({"v": 1601}, Quality.OUT_OF_RANGE),
        ({"t": NOW_S - 601}, Quality.LATE),
        ({"t": NOW_S + 301}, Quality.FUTURE),
        ({"t": 0}, Quality.NO_EVENT_TIME),
        ({"q": int(Quality.MAINTENANCE | Quality.SPIKE)}, Quality.MAINTENANCE),  # spikes are ours to find
    ],
)
def test_doubt_is_a_mark_and_never_a_loss(fields: Mapping[str, Any], quality: int) -> None:
    assert one(**fields).batch.quality.tolist() == [quality]


def test_a_back_fill_may_be_old_and_is_not_late() -> None:
    record = {"n": "d0/temp", "v": 8, "t": NOW_S - 400 * 86_400}
    done = ASSEMBLER.assemble([parcel([record], history=True), parcel([record])])
    assert done.accepted == [1, 0]
    assert done.batch.quality.tolist() == [0]
    assert done.refused[1][0].reason == Reason.TOO_OLD


def test_frames_that_came_as_columns_are_screened_like_the_others() -> None:
    def columnar(_: Parcel, into: Columns) -> None:
        block = Block(
            into.frame, ["d0/temp", "nobody/temp"], np.array([0, 1, 0]),
            np.array([NOW_US, NOW_US, NOW_US + 2 * DAY_US]), np.array([7.0, 8.0, 9.0]), np.zeros(3, np.uint16),
        )  # fmt: skip
        into.blocks.append(block)
        into.counts.append(0)

    assembler = Assembler(CITY, Limits(), {"columns": columnar, "senml": ASSEMBLER._decoders["senml"]})
    other = parcel([{"n": "d0/temp", "v": 8, "t": NOW_S}])
    mine = parcel(b"")
    mine.source = "columns"
    done = assembler.assemble([other, mine])
    assert done.batch.value.tolist() == [8.0, 7.0]
    assert [(r.frame, r.record, r.reason) for r in done.refused[1]] == [
        (0, 1, Reason.UNKNOWN_DEVICE),
        (0, 2, Reason.TOO_FAR_AHEAD),
    ]
    assert done.accepted == [1, 1]


def test_a_city_without_devices_refuses_everything_and_stands() -> None:
    empty = Assembler(registry(0, 0), Limits())
    done = empty.assemble([parcel([{"n": "d0/temp", "v": 8}])])
    assert len(done.batch) == 0
    assert done.refused[0][0].reason == Reason.UNKNOWN_GATEWAY
