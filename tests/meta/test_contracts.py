"""The house's own rules: each contract holds and can fail, packaging is sound, settings are documented."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from core.settings import Settings
from tests.conftest import ROOMS, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}

#: For each contract a file and a line that break it.
BREAKS = {
    "layers": ("core/clock.py", "import iot.units"),
    "pure": ("ingest/assemble.py", "import asyncio"),
    "wire": ("simulators/__init__.py", "import events"),
    "clock": ("core/text.py", "import time"),
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [program, "--no-cache", "--config", "pyproject.toml"],
        cwd=folder,
        text=True,
        capture_output=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the rooms' Python files that may be broken."""
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            if "node_modules" not in file.parts:
                place = tmp_path / file.relative_to(ROOT)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, place)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_has_a_line_that_breaks_it() -> None:
    assert BREAKS.keys() == CONTRACTS.keys()


@pytest.mark.parametrize("contract", sorted(BREAKS))
def test_a_contract_fails_when_it_is_broken(contract: str, copy: Path) -> None:
    file, line = BREAKS[contract]
    path = copy / file
    path.write_text(path.read_text() + f"\n{line}\n")
    done = lint_imports(copy)
    assert done.returncode != 0
    assert re.search(re.escape(CONTRACTS[contract]["name"]) + r".*BROKEN", done.stdout), done.stdout


def test_the_contracts_hold_in_the_copy_that_the_test_breaks(copy: Path) -> None:
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout


def test_every_room_is_a_root_package_of_the_import_contracts() -> None:
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == set(ROOMS)
    assert set(PROJECT["tool"]["uv"]["build-backend"]["module-name"]) == set(ROOMS)
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders == {*ROOMS, "tests"}


def test_no_installed_package_has_a_room_s_name() -> None:
    owners = metadata.packages_distributions()
    assert {room: owners.get(room, ["cityops"]) for room in ROOMS} == {room: ["cityops"] for room in ROOMS}


def keys(model: type, path: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():  # type: ignore[attr-defined] # a pydantic model
        if field.exclude:
            continue
        inner = field.annotation
        nested = isinstance(inner, type) and hasattr(inner, "model_fields")
        found += keys(inner, f"{path}{name}.") if nested else [f"{path}{name}"]
    return found


def test_every_setting_stands_in_config_yaml_with_a_comment_and_a_default() -> None:
    above: list[tuple[int, str]] = []
    commented = set()
    for line in (ROOT / "config.yaml").read_text().splitlines():
        if match := re.match(r"^(\s*)(\w+):", line):
            above = [(depth, key) for depth, key in above if depth < len(match[1])] + [
                (len(match[1]), match[2])
            ]
            if re.search(r"#.*default", line):
                commented.add(".".join(key for _, key in above))
    assert commented == set(keys(Settings))


def test_every_direct_dependency_is_explained() -> None:
    told = (ROOT / "docs" / "DEPENDENCIES.md").read_text()
    rows = {name for row in re.findall(r"^\| ([^|]+) \|", told, re.MULTILINE) for name in row.split(", ")}
    for name in ("run", "dev", "uv", "node"):
        for line in (ROOT / "requirements" / f"{name}.in").read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                package = re.split(r"[\[<>=; ]", line)[0]
                assert package in rows, f"{package} is missing in docs/DEPENDENCIES.md"


def test_locks_hold_hashes_and_no_address() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        pinned = re.findall(r"^[a-z0-9][^\s=]*==\S+", text, re.MULTILINE)
        assert pinned
        assert "://" not in text
        assert len(re.findall(r"^[a-z0-9][^\n]*\\\n\s+--hash", text, re.MULTILINE)) == len(pinned)
    for folder in ("dashboard/web", "tests/timescale"):
        npm = (ROOT / folder / "package-lock.json").read_text()
        assert '"integrity"' in npm
        assert '"resolved"' not in npm
