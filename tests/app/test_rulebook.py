"""Files of rules are taken anew while the product runs; what is wrong is refused, and what runs stays in force."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app import declared
from app.rulebook import Rulebook
from core.db import Database
from core.yamlfile import Mistakes


@pytest.fixture
def book(tmp_path: Path, database: Database) -> Rulebook:
    shutil.copytree(declared.ROOT / "domains", tmp_path / "domains")
    config = tmp_path / "config.yaml"
    config.write_text(f"paths: {{data: var, domains: {tmp_path / 'domains'}}}\n", "utf-8")
    return Rulebook(declared.load(config), database)


def change(book: Rulebook, file: str, old: str, new: str) -> None:
    path = book.declared.domains.folder / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


async def test_changed_files_are_in_force_without_a_restart_and_wrong_ones_never(book: Rulebook) -> None:
    before = book.model
    await book.load()
    assert book.model is before

    change(book, "water_supply/rules.yaml", "on: {below: 0.14,", "on: {below: 0.15,")
    await book.load()
    better = book.model
    assert better.rules.version != before.rules.version
    assert better.rules.by_key["ws.pressure.low3"].decl.parts[0].on.limit == 0.15  # type: ignore[union-attr]

    change(book, "water_supply/incidents.yaml", "rules: [ws.flow.jump]", "rules: [ws.flow.jumped]")
    await book.load()
    assert book.model is better
    with pytest.raises(Mistakes, match=r"incidents\.yaml:\d+: .*no rule ws\.flow\.jumped is declared"):
        declared.reread(book.declared)

    change(book, "water_supply/incidents.yaml", "rules: [ws.flow.jumped]", "rules: [ws.flow.jump]")
    change(book, "water_supply/incidents.yaml", "along_m: 800", "along_m: 900")
    await book.load()
    assert book.model.types["water_burst"].decl.together.near.along_m == 900
    change(book, "water_supply/channels.yaml", "resolution: ", "resolution: 1")
    with pytest.raises(Mistakes, match="start anew"):
        declared.reread(book.declared)
