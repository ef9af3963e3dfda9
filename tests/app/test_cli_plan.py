"""`cityops plan check` and `plan dry-run` as a person and a machine use them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from app.cli.plan import plan
from tests.conftest import ROOT

CONFIG = ROOT / "config.yaml"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(plan, list(arguments), obj=CONFIG)
    return result.exit_code, result.output


def test_the_shipped_plans_are_without_mistakes() -> None:
    code, said = run("check", "--json")
    assert (code, json.loads(said)["mistakes"]) == (0, [])


def test_a_dry_run_tells_when_each_task_was_done_and_when_the_case_closes() -> None:
    code, said = run("dry-run", "water_burst", "--scenario", "burst_at_night")
    assert code == 0
    assert "派供水抢修队" in said
    assert "closed at T+" in said


def test_all_plans_are_played_and_their_twins_do_not_start() -> None:
    code, said = run("dry-run", "--json")
    played = json.loads(said)["played"]
    assert code == 0
    assert len({each["plan"] for each in played}) >= 10
    assert {each["started"] for each in played} == {True, False}


@pytest.mark.parametrize(
    "arguments", [("dry-run", "no_such_plan"), ("dry-run", "water_burst", "--scenario", "none")]
)
def test_wrong_use_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments)[0] == 2
