"""`cityops detect`: each row scored from what stood before it, whatever else is read with it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from app.cli.detect import detect
from core.errors import Invalid
from tests.conftest import ROOT


def series(path: Path, values: list[float], head: str = "timestamp,value") -> Path:
    rows = [
        f"2026-01-{1 + row // 144:02d} {row // 6 % 24:02d}:{row % 6}0:00,{value}"
        for row, value in enumerate(values)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


def values(count: int, seed: int = 1) -> list[float]:
    found = np.random.default_rng(seed).integers(8, 13, count).astype(float)
    found[count // 2] = 60.0
    return [float(value) for value in found]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(detect, [str(each) for each in arguments], obj=ROOT / "config.yaml")


def told(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.fixture(autouse=True)
def _out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_rows_come_back_with_a_score_and_the_alert_beside_them(tmp_path: Path) -> None:
    given = series(tmp_path / "a.csv", values(400))
    assert run(given).exit_code == 0
    rows = told(tmp_path / "detected/a.csv")
    assert [{name: row[name] for name in ("timestamp", "value")} for row in rows] == told(given)
    assert {row["alert"] for row in rows[:200]} == {"0"}
    assert rows[200]["alert"] == "1"
    assert float(rows[200]["score"]) == max(float(row["score"]) for row in rows) > 0.5
    assert all(0 <= float(row["score"]) <= 1 for row in rows)


def test_a_row_rests_on_the_rows_before_it_alone_and_on_no_other_file(tmp_path: Path) -> None:
    whole = values(400, seed=3)
    series(tmp_path / "in/x/whole.csv", whole)
    series(tmp_path / "in/cut.csv", whole[:260])
    series(tmp_path / "in/other.csv", values(300, seed=4))
    assert run("in").exit_code == 0
    assert run("in/cut.csv", "--out", "alone").exit_code == 0
    first = [row["score"] for row in told(tmp_path / "detected/x/whole.csv")[:260]]
    assert first == [row["score"] for row in told(tmp_path / "detected/cut.csv")]
    assert first == [row["score"] for row in told(tmp_path / "alone/cut.csv")]


def test_folders_are_kept_and_two_of_one_name_do_not_meet(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        series(tmp_path / "in" / folder / "a.csv", values(120))
    assert (
        run(*(tmp_path / "in" / folder / "a.csv" for folder in ("one", "two")), "--out", "files").exit_code
        == 0
    )
    assert (tmp_path / "files/one/a.csv").exists()
    assert (tmp_path / "files/two/a.csv").exists()
    clash = run(tmp_path / "in/one", tmp_path / "in/two")
    assert clash.exit_code == 2
    assert "both" in clash.output


def test_no_input_is_written_over(tmp_path: Path) -> None:
    given = series(tmp_path / "a.csv", values(120))
    before = given.read_bytes()
    assert run(given, "--out", tmp_path).exit_code == 2
    assert given.read_bytes() == before


def test_bad_rows_are_named_with_file_and_line_and_the_others_go_on(tmp_path: Path) -> None:
    given = series(tmp_path / "a.csv", values(150))
    lines = given.read_text(encoding="utf-8").splitlines()
    lines[10], lines[20], lines[30] = "yesterday,1", lines[20].partition(",")[0] + ",nan", lines[29]
    given.write_text("\n".join(lines), encoding="utf-8")
    result = run(given, "--json")
    assert result.exit_code == 0
    assert f"{given}:11: refused, 'yesterday' is no time" in result.stderr
    assert f"{given}:21: refused, 'nan' is no number" in result.stderr
    assert "1 rows not newer" in result.stderr
    assert json.loads(result.stdout)["files"][0]["refused"] == 2
    rows = told(tmp_path / "detected/a.csv")
    assert len(rows) == 150
    assert (rows[9]["score"], rows[9]["alert"]) == ("", "")


def test_a_file_that_is_no_series_is_named_and_the_others_are_scored(tmp_path: Path) -> None:
    series(tmp_path / "in/good.csv", values(120))
    series(tmp_path / "in/odd.csv", [1.0], head="when,what")
    (tmp_path / "in/raw.csv").write_bytes(b"\xff\xfe\x00")
    result = run("in")
    assert result.exit_code == 1
    assert "in/odd.csv: line 1: needs the columns" in result.stderr
    assert "in/raw.csv: cannot be read" in result.stderr
    assert (tmp_path / "detected/good.csv").exists()


def test_a_declared_rule_decides_as_in_the_engine(tmp_path: Path) -> None:
    series(tmp_path / "a.csv", [0.9] * 5 + [0.2] * 5)
    assert run("a.csv", "--rule", "dr.level.near_cover").exit_code == 0
    rows = told(tmp_path / "detected/a.csv")
    assert [row["alert"] for row in rows] == ["0"] * 6 + ["1"] * 4  # two samples, five minutes
    assert float(rows[4]["score"]) < 0.02
    assert float(rows[5]["score"]) > 0.5


def test_a_rule_that_takes_its_limit_from_the_device_takes_it_from_the_command_line(tmp_path: Path) -> None:
    series(tmp_path / "a.csv", [2.0, 2.0, 3.5, 3.5])
    assert run("a.csv", "--rule", "dr.pump.forebay_max", "--param", "max_level_m=3").exit_code == 0
    assert [row["alert"] for row in told(tmp_path / "detected/a.csv")] == ["0", "0", "0", "1"]
    without = run("a.csv", "--rule", "dr.pump.forebay_max")
    assert isinstance(without.exception, Invalid)
    assert without.exception.key == "error.rule_lacks_numbers"
    assert run("a.csv", "--param", "max_level_m").exit_code == 2


@pytest.mark.parametrize(
    ("rule", "key"), [("no.such", "error.no_rule"), ("dev.silent", "error.rule_needs_more")]
)
def test_a_rule_that_is_not_there_or_asks_for_more_is_refused(tmp_path: Path, rule: str, key: str) -> None:
    series(tmp_path / "a.csv", [0.9] * 5)
    result = run("a.csv", "--rule", rule)
    assert isinstance(result.exception, Invalid)
    assert result.exception.key == key
