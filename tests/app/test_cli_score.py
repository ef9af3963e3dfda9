"""`cityops score` and `cityops simulate scenario` as a person and a machine use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.cli.score import score
from app.cli.simulate import simulate
from simulators import record
from tests.conftest import ROOT

CONFIG = ROOT / "config.yaml"
#: Figures of ours and of every baseline, under these names.
NAMES = (
    "recall", "precision", "delay_p50_s", "delay_p90_s", "localisation_p50_m", "localisation_300m_share", "cause_top1",
    "cause_top3", "b3f", "ari", "ami", "alerts_per_incident", "operator_alarms_10min",
)  # fmt: skip


def figures(*arguments: str) -> dict[str, float | None]:
    result = CliRunner().invoke(score, [*arguments, "--json"], obj=CONFIG, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert set(told) == {"figures", "peers", "machine"}
    found: dict[str, float | None] = told["figures"]
    return found


def test_a_benchmark_prints_one_object_with_our_figures_beside_the_baselines() -> None:
    found = figures("storm-25", "--seeds", "1", "--rate", "50")
    assert (found["b3f"] or 0.0) > 0.9
    assert {"stdbscan_b3f", "label_b3f", "attribute_b3f", "alec_b3f"} <= set(found)


def test_dust_40_scores_the_tracer_beside_the_baselines_of_a_level() -> None:
    found = figures("dust-40", "--level", "easy", "--seeds", "1")
    assert all(value is not None and 0 <= value <= 1 for value in found.values())
    assert {"top3", "nearest_top3", "ceiling"} <= set(found)


@pytest.mark.parametrize("arguments", [["no-such-scenario"], ["dust-40", "--level", "odd"], []])
def test_wrong_use_is_exit_code_2_and_says_what_there_is(arguments: list[str]) -> None:
    result = CliRunner().invoke(score, arguments, obj=CONFIG)
    assert result.exit_code == 2
    assert not arguments or "there are" in result.output


def test_a_scored_scenario_writes_a_page_and_finds_what_it_should(tmp_path: Path) -> None:
    found = figures("dry-blockage", "--report", str(tmp_path))
    assert found["recall"] == 1
    assert {
        f"{method}_{name}" for method in ("label", "attribute", "alec", "stdbscan") for name in NAMES
    } <= set(found)
    assert {*NAMES, "dispatch_p90_s", "cpu_s_per_1000_readings"} <= set(found)
    page, picture = (path.read_text(encoding="utf-8") for path in sorted(tmp_path.iterdir()))
    assert picture.startswith("<svg xmlns")
    assert "sewer" in picture  # the incident's name
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.long
def test_one_seed_gives_the_same_bytes_on_the_wire_and_in_the_truth(tmp_path: Path) -> None:
    for name in ("one", "two"):
        result = CliRunner().invoke(
            simulate,
            ["scenario", "night-burst", "--out", str(tmp_path / name)],
            obj=CONFIG,
            catch_exceptions=False,
        )
        assert result.exit_code == 0, result.output
    for file in ("frames.tape", "truth.jsonl"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert sum(1 for _ in record.play(tmp_path / "one" / "frames.tape")) > 500
