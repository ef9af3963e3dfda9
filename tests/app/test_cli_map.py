"""`import` and `city generate` as a person types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import psycopg
import pytest
from click.testing import CliRunner, Result

from app.cli.city import city
from app.cli.imports import import_
from app.cli.layers import layers

Run = Callable[..., Result]


@pytest.fixture
def run(dsn: str, tmp_path: Path) -> Run:
    config = tmp_path / "config.yaml"
    config.write_text(f"database:\n  url: {dsn_url(dsn)}\n", "utf-8")

    def with_config(command: click.Command, *arguments: object) -> Result:
        return CliRunner().invoke(command, [str(each) for each in arguments], obj=config)

    return with_config


def dsn_url(dsn: str) -> str:
    told = psycopg.conninfo.conninfo_to_dict(dsn)
    return f"postgresql://{told.get('user', '')}@/{told['dbname']}?host={told['host']}"


def wells(folder: Path, *rows: str) -> Path:
    path = folder / "wells.csv"
    path.write_text("\n".join(["编号,名称,lon,lat", *rows]), "gbk")
    return path


def test_a_file_is_imported_or_every_reason_is_told(run: Run, tmp_path: Path) -> None:
    path = wells(tmp_path, "A,一号井,121.5,31.2", "B,二号井,x,31.2", "A,又一,121.5,31.2")
    arguments = ("wells", path, "--kind", "manhole", "--crs", "EPSG:4490", "--anywhere")
    refused = run(import_, *arguments)
    assert refused.exit_code == 1
    assert "没有导入" in refused.output
    assert "row 3" in refused.output
    assert "row 4" in refused.output
    dry = run(import_, *arguments, "--dry-run")
    assert dry.exit_code == 0
    assert "没有写入" in dry.output
    told = json.loads(run(import_, *arguments, "--accept-rest", "--json").output)
    assert told["stored"]
    assert told["assets"] == 1
    assert [each["field"] for each in told["refused"]] == ["lon", "编号"] or len(told["refused"]) == 2


def test_what_lies_far_from_the_city_needs_to_be_said(run: Run, tmp_path: Path) -> None:
    here = ("--kind", "manhole", "--crs", "EPSG:4326")
    assert run(import_, "wells", wells(tmp_path, "A,井,121.5,31.2"), *here).exit_code == 0
    far = run(import_, "others", wells(tmp_path, "B,井,104.07,30.6"), *here)
    assert far.exit_code == 1
    assert run(import_, "others", wells(tmp_path, "B,井,104.07,30.6"), *here, "--anywhere").exit_code == 0


def test_layers_are_listed_and_can_be_taken_away(run: Run, tmp_path: Path) -> None:
    here = ("--kind", "manhole", "--crs", "EPSG:4326", "--anywhere", "--licence", "CC BY 4.0")
    assert run(import_, "drains", wells(tmp_path, "A,井,121.5,31.2"), *here).exit_code == 0
    assert "drains" in run(layers).output
    assert "EPSG:4326" in run(layers).output
    assert "drains" not in run(layers, "--remove", "drains").output
    assert run(layers, "--remove", "drains").exit_code != 0
    again = run(import_, "other", wells(tmp_path, "A,井,121.5,31.2"), *here)
    assert again.exit_code == 0, "its ids are free again"


def test_a_city_is_generated_as_files_and_onto_the_map(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "made"
    told = json.loads(
        run(city, "generate", "--seed", 4, "--size", 1500, "--out", out, "--store", "--json").output
    )
    assert told["sensors"] == pytest.approx(1500, rel=0.25)
    assert sorted(path.suffix for path in out.iterdir()) == [".csv", ".geojsonl", ".inp", ".inp", ".pmtiles"]
    again = json.loads(run(city, "generate", "--seed", 4, "--size", 1500, "--json").output)
    assert again["assets"] == told["assets"]
    path = out / "assets.geojsonl"
    back = run(
        import_, "back", path, "--shape", "point", "--kind", "thing", "--accept-rest", "--dry-run", "--json"
    )
    assert json.loads(back.output)["assets"] > 500  # what we write others, and we, can read
