"""The L-Town replica: physics, determinism, and the perfect score that tells a right benchmark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.score import battledim
from app.score.battledim import Detection
from core.errors import Unavailable
from simulators import ltown
from simulators.ltown import DAY_STEPS, Leak, Pipework, Record

pytest.importorskip("epyt", reason="L-Town comes with the package epyt")


@pytest.fixture(scope="module")
def inp() -> str:
    return ltown.network()


@pytest.fixture(scope="module")
def record(inp: str) -> Record:
    return ltown.run(inp, 7, days=12)


@pytest.fixture(scope="module")
def pipework(inp: str) -> Pipework:
    return Pipework.of(inp)


def test_a_day_of_l_town_looks_like_l_town(record: Record) -> None:
    assert record.pressure_m.shape == (12 * DAY_STEPS, 33)
    assert record.flow_m3h.shape == (12 * DAY_STEPS, 3)
    assert 20 < record.pressure_m.min() < record.pressure_m.max() < 65
    assert 2.2 < record.level_m.min() < record.level_m.max() < 4.1, (
        "the pump keeps the tank between its limits"
    )
    inflow = record.flow_m3h[:, 1:].sum(axis=1)
    by_hour = inflow.reshape(-1, 12).mean(axis=1).reshape(-1, 24).mean(axis=0)
    assert by_hour.argmin() in (2, 3, 4, 5)


def test_one_seed_gives_the_same_bytes_and_another_seed_others(inp: str) -> None:
    one, same, other = (ltown.run(inp, seed, days=2) for seed in (1, 1, 2))
    assert one.pressure_m.tobytes() == same.pressure_m.tobytes()
    assert one.leaks == same.leaks
    assert one.pressure_m.tobytes() != other.pressure_m.tobytes()


def test_the_mix_is_that_of_the_competition() -> None:
    pipes = tuple(f"p{n}" for n in range(900))
    steps, scored = 426 * DAY_STEPS, 61 * DAY_STEPS
    leaks = ltown.draw_leaks(pipes, np.random.default_rng(1), steps, scored)
    assert len(leaks) == len({leak.pipe for leak in leaks}) == 23
    assert sum(leak.abrupt for leak in leaks) == 9
    assert sum(leak.start < scored for leak in leaks) == 4
    assert all(leak.start < leak.end <= steps for leak in leaks)


def test_a_slow_leak_grows_and_an_abrupt_one_is_there_at_once() -> None:
    slow, abrupt = Leak("p", 10, 20, 40, 0.02), Leak("p", 10, 10, 40, 0.02)
    assert [slow.area_m2(step) for step in (9, 40)] == [0, 0]
    assert 0 < slow.area_m2(10) < slow.area_m2(15) < slow.area_m2(20) == slow.area_m2(39)
    assert abrupt.area_m2(10) == slow.area_m2(39) == pytest.approx(np.pi * 0.01**2)


def test_distance_is_from_centre_to_centre_along_the_pipes(pipework: Pipework) -> None:
    row = pipework.pipes.index("p331")
    shared = {pipework.tail[row], pipework.head[row]}
    next_row = next(
        other
        for other in range(len(pipework.pipes))
        if other != row and {pipework.tail[other], pipework.head[other]} & shared
    )
    half = (pipework.length_m[row] + pipework.length_m[next_row]) / 2
    assert pipework.metres("p331", pipework.pipes[next_row]) == pytest.approx(half)
    assert pipework.metres("p331", "p331") == 0
    assert pipework.metres("p1", "p800") == pytest.approx(pipework.metres("p800", "p1"))


def test_the_rule_of_the_competition(record: Record, pipework: Pipework) -> None:
    row, leak = next((n, one) for n, one in enumerate(record.leaks) if one.start < record.scored_from)
    at = record.scored_from
    exact = battledim.judge(record, pipework, [Detection(at, leak.pipe)])
    assert exact.value_eur == pytest.approx(battledim.saved_eur(record, row, at))
    assert (exact.found, exact.false) == (1, 0)
    again = battledim.judge(record, pipework, [Detection(at, leak.pipe), Detection(at + 5, leak.pipe)])
    assert again.value_eur == exact.value_eur, "saying it again is free"
    early = battledim.judge(record, pipework, [Detection(at - 10, leak.pipe)])
    assert (early.found, early.false, early.value_eur) == (0, 0, 0.0)
    far = max(
        pipework.pipes, key=lambda pipe: min(pipework.metres(pipe, other.pipe) for other in record.leaks)
    )
    wrong = battledim.judge(record, pipework, [Detection(at, far)])
    assert (wrong.value_eur, wrong.false) == (-500.0, 1)
    near = min(
        (pipe for pipe in pipework.pipes if pipe != leak.pipe),
        key=lambda pipe: pipework.metres(pipe, leak.pipe),
    )
    beside = battledim.judge(record, pipework, [Detection(at, near)])
    expected = exact.value_eur - 500 * pipework.metres(near, leak.pipe) / 300
    assert beside.value_eur == pytest.approx(expected)


def test_a_machine_without_epyt_is_told_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable):
        ltown.network()
    with pytest.raises(FileNotFoundError):
        ltown.network(Path("/nowhere.inp"))


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_the_perfect_score_is_about_522_000_euro(inp: str, seed: int) -> None:
    record = ltown.run(inp, seed)
    assert battledim.perfect_eur(record) == pytest.approx(522_000, rel=0.03)
