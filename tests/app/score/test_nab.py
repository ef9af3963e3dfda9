"""The benchmark's score, against what its definition says by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from app.score import nab
from app.score.nab import PROFILES, Judged, judged, optimum, together

ROWS, WINDOW = 1000, (500, 599)


def scored(*alarms: int, windows: tuple[tuple[int, int], ...] = (WINDOW,)) -> Judged:
    score = np.zeros(ROWS)
    score[list(alarms)] = 1.0
    return judged(score, windows)


def with_alarms(rows: Judged, profile: str = "standard") -> float:
    """The score with the threshold at 1: what the alarms are worth, good or bad."""
    thresholds, points = nab.curve(rows, PROFILES[profile])
    assert thresholds[0] == 1.0
    return nab.normalised(float(points[0]), rows.windows, PROFILES[profile])


def test_saying_nothing_is_worth_nothing() -> None:
    assert optimum(scored(), PROFILES["standard"]) == (math.inf, 0.0)


def test_the_first_row_of_each_window_and_nothing_else_is_perfect() -> None:
    windows = ((300, 349), (500, 599))
    threshold, points = optimum(scored(300, 500, windows=windows), PROFILES["standard"])
    assert (threshold, points) == pytest.approx((1.0, 100.0))


def test_an_alarm_at_a_windows_end_gains_half_as_the_window_is_not_missed() -> None:
    """The curve at -1/100 widths, of its value at -1."""
    at_end = (2 / (1 + math.exp(-0.05)) - 1) / (2 / (1 + math.exp(-5)) - 1)
    assert with_alarms(scored(599)) == pytest.approx(100 * (1 + at_end) / 2)


def test_only_the_best_alarm_of_a_window_counts() -> None:
    assert with_alarms(scored(510, 540, 599)) == pytest.approx(with_alarms(scored(510)))


def test_an_alarm_before_any_window_costs_the_whole_weight_and_one_close_behind_nearly_nothing() -> None:
    found = with_alarms(scored(500))
    assert with_alarms(scored(200, 500)) == pytest.approx(found - 100 * 0.11 / 2)
    assert with_alarms(scored(500, 600)) == pytest.approx(found, abs=0.2)
    assert with_alarms(scored(500, 900)) == pytest.approx(found - 100 * 0.11 / 2)  # three widths and more


def test_the_first_rows_are_not_judged() -> None:
    assert with_alarms(scored(149, 500)) == with_alarms(scored(500))
    assert len(judged(np.zeros(100_000), [WINDOW]).score) == 100_000 - 750


def test_one_threshold_holds_for_all_files() -> None:
    quiet, loud = scored(500), scored(500)
    loud = Judged(loud.score * 2 + 1, loud.window, loud.worth, loud.windows)
    _, best = optimum(together([quiet, loud]), PROFILES["standard"])
    assert best < 75 < optimum(together([quiet, quiet]), PROFILES["standard"])[1]


def test_held_out_takes_the_threshold_that_others_set() -> None:
    standard = PROFILES["standard"]
    same = {"one": scored(500), "two": scored(500)}
    assert nab.held_out(same, standard) == pytest.approx(100.0)
    shy = Judged(same["two"].score / 2, same["two"].window, same["two"].worth, 1)
    assert nab.held_out({"one": same["one"], "two": shy}, standard) < 100


def test_the_product_is_scored_on_files_that_labels_name(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(10, 1, 600)
    values[400] = 60.0
    rows = [
        f"2026-01-{1 + row // 144:02d} {row // 6 % 24:02d}:{row % 6}0:00,{value}"
        for row, value in enumerate(values)
    ]
    (tmp_path / "one").mkdir()
    (tmp_path / "one/spike.csv").write_text("\n".join(["timestamp,value", *rows]), encoding="utf-8")
    labels = tmp_path / "windows.json"
    window = [rows[395].partition(",")[0] + ".000000", rows[425].partition(",")[0] + ".000000"]
    labels.write_text(json.dumps({"one/spike.csv": [window], "one/absent.csv": []}), encoding="utf-8")
    found = nab.score(tmp_path, labels, ZoneInfo("Asia/Shanghai"), lambda _: None)
    assert found["standard"] > 95
    assert (found["files"], found["windows"], found["rows"]) == (1, 1, 600)
