"""A wrong configuration stops the start, names every mistake at once, and exits with 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize("command", ["check-config", "run"])
def test_every_mistake_is_named_with_file_key_value_and_what_would_be_right(
    tmp_path: Path, command: str
) -> None:
    text = (ROOT / "config.yaml").read_text("utf-8")
    wrong = tmp_path / "config.yaml"
    wrong.write_text(
        text.replace("port: 8050", "port: 99999").replace("timescale: auto", "timescale: perhaps")
        .replace("domains: domains", f"domains: {ROOT / 'domains'}") + "\nunheard: 1\n",
        "utf-8",
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "app", "--config", str(wrong), command],
        cwd=ROOT, text=True, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    told = done.stderr.splitlines()
    assert any(
        "config.yaml" in line and "web.port" in line and "99999" in line and "65535" in line for line in told
    )
    assert any("database.timescale" in line and "perhaps" in line and "auto" in line for line in told)
    assert any("unheard" in line for line in told)
    assert not (tmp_path / "var").exists()
