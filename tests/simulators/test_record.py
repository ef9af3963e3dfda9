"""Tapes of frames: what was recorded plays back, and a broken tape is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import record
from simulators.fleet import Wire

WIRES = st.builds(
    Wire, st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=60), st.binary(max_size=400)
)


@given(frames=st.lists(st.tuples(st.integers(0, 1 << 60), WIRES), max_size=20))
def test_a_tape_plays_back_what_was_recorded(
    frames: list[tuple[int, Wire]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("tape") / "frames.tape"
    with record.Recorder(path) as tape:
        for time_us, wire in frames:
            tape.add(time_us, [wire])
    assert list(record.play(path)) == frames


def test_a_tape_that_breaks_off_and_a_file_that_is_none_are_named(tmp_path: Path) -> None:
    path = tmp_path / "frames.tape"
    with record.Recorder(path) as tape:
        tape.add(5, [Wire("gw", "telemetry/gw", b"payload")])
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(record.TapeDamaged, match="breaks off"):
        list(record.play(path))
    path.write_bytes(b"something else")
    with pytest.raises(record.TapeDamaged, match="no tape"):
        list(record.play(path))
