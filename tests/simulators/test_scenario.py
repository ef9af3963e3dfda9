"""Scenario files: those that are shipped, the guide's example, and mistakes with file, line and reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.yamlfile import Mistakes
from simulators import scenario
from tests.conftest import ROOT

GUIDE = ROOT / "docs" / "guide" / "simulators.md"


def example() -> str:
    found = re.search(r"```yaml\n(# A main bursts.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert found
    return found[1]


def written(folder: Path, text: str) -> Path:
    path = folder / "evening-burst.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_all_of_the_list_are_shipped_each_under_its_number() -> None:
    assert [each.number for each in scenario.shipped()] == list(range(1, 24))


def test_the_example_of_the_guide_is_a_scenario(tmp_path: Path) -> None:
    found = scenario.read(written(tmp_path, example()))
    assert [action.at for action in found.actions] == [300, 1200]
    assert found.expect.incidents[0].types == ["water_burst"]


@pytest.mark.parametrize(
    ("right", "wrong", "line", "reason"),
    [
        ("cause: main", "cause: mian", 16, "known: main"),
        ("at: 20m", "at: 20h", 13, "behind the end"),
        ("do: burst", "do: bursts", 13, "burst"),
        ("flow_m3h: 300", "flow_m3h: -300", 13, "greater"),
        ("key: evening-burst", "key: morning-burst", 2, "file's name"),
        ("lasts: 90m", "lasts: ninety", 6, "span of time"),
    ],
)
def test_a_mistake_is_told_with_line_and_reason(  # the guide promises it
    tmp_path: Path, right: str, wrong: str, line: int, reason: str
) -> None:
    with pytest.raises(Mistakes) as told:
        scenario.read(written(tmp_path, example().replace(right, wrong)))
    text = str(told.value.mistakes[0])
    assert f"evening-burst.yaml:{line}:" in text
    assert reason in text
