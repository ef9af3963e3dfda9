"""The spool: what was synced comes back, in order and once; what is torn costs itself only; a full one says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.batch import Batch
from ingest import spool
from ingest.spool import Entry, Lane, Spool, SpoolFull
from iot.codecs.frame import Reason
from iot.readings import DeadLetter


def entry(number: int, rows: int = 3, *, history: bool = False) -> Entry:
    batch = Batch.of(
        device=1, channel=2, time_us=np.arange(rows) + 1000 * number, value=np.arange(rows) + 0.5
    )
    letter = DeadLetter("gw", "senml", "telemetry/gw", 4, Reason.UNKNOWN_UNIT, "火", b"\x00\xff", 2)
    return Entry(number, batch, [letter] if number % 2 else [], history)


def same(one: Entry, other: Entry) -> bool:
    return (
        one.id == other.id
        and one.batch.to_bytes() == other.batch.to_bytes()
        and list(one.dead) == list(other.dead)
        and one.history == other.history
    )


def drained(lane: Lane) -> list[int]:
    ids: list[int] = []
    while entries := lane.peek(100):
        ids += [each.id for each in entries]
        lane.done(len(entries))
    return ids


def test_what_is_packed_is_found_again() -> None:
    entries = [entry(n, n, history=n > 3) for n in range(6)]
    data = b"".join(map(spool.pack, entries))
    found = [spool.unpack(each.body) for each in spool.scan(data)]
    assert all(same(one, other) for one, other in zip(entries, found, strict=True))


def test_torn_at_any_byte_the_frames_before_stand_and_nothing_wrong_is_read() -> None:
    frames = [spool.pack(entry(n)) for n in range(1, 4)]
    data = b"".join(frames)
    for cut in range(len(data)):
        whole = sum(sum(map(len, frames[: n + 1])) <= cut for n in range(3))
        assert [spool.unpack(f.body).id for f in spool.scan(data[:cut])] == list(range(1, whole + 1))


def test_a_flipped_bit_costs_its_own_frame_only() -> None:
    rng = np.random.default_rng(1)
    entries = [entry(n) for n in range(1, 7)]
    frames = [spool.pack(each) for each in entries]
    data = b"".join(frames)
    ends = np.cumsum([len(frame) for frame in frames])
    for _ in range(3000):
        bit = int(rng.integers(len(data) * 8))
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        hit = int(np.searchsorted(ends, bit // 8, "right"))
        found = [spool.unpack(f.body) for f in spool.scan(bytes(flipped))]
        assert [each.id for each in found] == [n for n in range(1, 7) if n != hit + 1]
        assert all(same(each, entries[each.id - 1]) for each in found)


def test_a_lane_survives_its_process_and_is_empty_when_drained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 600)  # several segments
    lane = Lane(tmp_path / "lane")
    lane.open()
    for number in range(1, 21):
        lane.write(spool.pack(entry(number)))
    assert len(list(lane.folder.glob("*.seg"))) > 3
    lane.close()

    lane = Lane(tmp_path / "lane")
    lane.open()
    assert lane.size
    assert lane.skip_through(4) == 4  # the database has these
    seen: list[int] = []
    while entries := lane.peek(7):
        assert sum(len(each.batch) for each in entries) <= 7
        seen += [each.id for each in entries]
        lane.done(len(entries))
        if len(seen) == 8:  # it is written to while it is read
            lane.write(spool.pack(entry(21)))
    assert seen == list(range(5, 22))
    assert lane.size == 0
    assert lane.lost_bytes == 0
    assert not list(lane.folder.glob("*.seg"))


def test_live_and_back_fill_do_not_share_a_transaction(tmp_path: Path) -> None:
    lane = Lane(tmp_path)
    lane.open()
    for number in range(6):
        lane.write(spool.pack(entry(number, history=number in (2, 3))))
    groups: list[list[int]] = []
    while entries := lane.peek(1000):
        groups.append([each.id for each in entries])
        lane.done(len(entries))
    assert groups == [[0, 1], [2, 3], [4, 5]]


def test_a_torn_tail_is_cut_off_and_counted(tmp_path: Path) -> None:
    lane = Lane(tmp_path)
    lane.open()
    lane.write(spool.pack(entry(1)))
    lane.close()
    [segment] = tmp_path.glob("*.seg")
    with segment.open("ab") as file:
        file.write(spool.pack(entry(2))[:-5])
    lane = Lane(tmp_path)
    lane.open()
    assert lane.lost_bytes == len(spool.pack(entry(2))) - 5
    lane.write(spool.pack(entry(3)))
    assert drained(lane) == [1, 3]


def test_rubbish_in_the_middle_is_stepped_over(tmp_path: Path) -> None:
    (tmp_path / "000000000001.seg").write_bytes(b"rubbish" * 50)
    (tmp_path / "000000000002.seg").write_bytes(b"??" + spool.pack(entry(2)) + b"!!")
    lane = Lane(tmp_path)
    lane.open()
    assert [each.id for each in lane.peek(100)] == [2]
    lane.done(1)
    assert lane.peek(100) == []
    assert lane.size == 0
    assert lane.lost_bytes == 350 + 4


async def test_at_its_cap_it_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    full = Spool(tmp_path, cap_bytes=1000, reserve_bytes=0)
    full.open()
    taken = 0
    with pytest.raises(SpoolFull):
        while True:
            await full.append({"rest": entry(taken)})
            taken += 1
    assert full.size <= 1000
    assert [each.id for each in full.lanes["rest"].peek(1000)] == list(range(taken))
    full.lanes["rest"].done(taken)
    await full.append({"rest": entry(99)})  # there is room again


async def test_a_nearly_full_disk_is_refused_before_it_is_full(tmp_path: Path) -> None:
    nearly = Spool(tmp_path, cap_bytes=1 << 30, reserve_bytes=1 << 60)
    nearly.open()
    with pytest.raises(SpoolFull):
        await nearly.append({"life": entry(1)})
