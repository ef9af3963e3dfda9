"""The code broken on purpose, in a copy of the checkout: the test that guards the promise must fail there.

`docs/RELIABILITY.md` shows what came out. The copy unbroken passes the same tests: nothing fails for being a copy.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOMS, ROOT

pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Broken:
    """Texts of a file and what stands there instead; the test that must notice, and a word of how it says so."""

    file: str
    changes: tuple[tuple[str, str], ...]
    noticed_by: str
    says: str


#: What is settled goes out on whatever connection there is now.
ON_ANY = """    def settled(self, answer):
        self.link._wire.write(answer.packets)

    def hang_up("""

BROKEN = {
    "acknowledged before COMMIT": Broken(
        "ingest/pipeline.py",
        (
            ("self._ready.append(portion)\n", "self._ready.append(portion)\n            portion.settle()\n"),
            ("        for portion in work.portions:\n            portion.settle()\n", ""),
        ),
        "tests/ingest/test_durability.py::test_killed_workers_lose_nothing_that_they_acknowledged",
        "Outcome(lost=",
    ),
    "clean session at the broker": Broken(
        "ingest/broker.py",
        (("    flags = 0\n", "    flags = 2\n"),),
        "tests/ingest/test_broker.py::test_messages_for_a_worker_that_is_away_wait_in_its_session[iotcore]",
        "TimeoutError",
    ),
    "no unique key": Broken(
        "iot/queries.sql",
        (
            (",\n    UNIQUE (device, channel, time)\n) PARTITION", "\n) PARTITION"),
            ("ON CONFLICT (device, channel, time) DO NOTHING\n", ""),
        ),
        "tests/iot/test_readings.py::test_a_resend_changes_nothing_and_a_contradiction_is_flagged[partitions]",
        "assert (3, 0, 0) == (1, 1, 1)",
    ),
    "answers not bound to their connection": Broken(
        "ingest/broker.py",
        (("    def hang_up(", ON_ANY),),
        "tests/ingest/test_broker.py::test_an_identifier_of_the_old_connection_is_not_acknowledged_on_the_new_one",
        "assert [[], [7]] == [[], []]",
    ),
}  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the tests need of the checkout."""
    made = tmp_path / "copy"
    unneeded = shutil.ignore_patterns("node_modules", "vendor", "__pycache__", "screens")
    for name in (*ROOMS, "domains", "tests"):
        shutil.copytree(ROOT / name, made / name, ignore=unneeded)
    for name in ("pyproject.toml", "config.yaml"):
        shutil.copy(ROOT / name, made / name)
    return made


def run(copy: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--timeout=300", *tests],
        cwd=copy, text=True, capture_output=True, check=False,
    )  # fmt: skip


def test_the_copy_unbroken_passes(copy: Path) -> None:
    done = run(copy, *(broken.noticed_by for broken in BROKEN.values()))
    assert f"{len(BROKEN)} passed" in done.stdout, done.stdout


@pytest.mark.parametrize("what", BROKEN)
def test_it_is_noticed_when_the_code_is(copy: Path, what: str) -> None:
    broken = BROKEN[what]
    file = copy / broken.file
    text = file.read_text()
    for before, after in broken.changes:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    file.write_text(text)
    done = run(copy, broken.noticed_by)
    assert "1 failed" in done.stdout, done.stdout
    assert broken.says in done.stdout, done.stdout
