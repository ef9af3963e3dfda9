"""`backfill` as a person types it: history of any age, as often as one likes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli.backfill import backfill
from core.clock import SECOND_US
from core.db import Database
from core.domains import Domains
from iot import kinds, registry_store
from iot.registry_store import DeviceRow
from tests.app.test_cli_map import dsn_url
from tests.conftest import ROOT
from tests.iot.sample import NOW_US
from tests.iot.test_files import written

Run = Callable[..., Result]


async def populate(dsn: str, shipped: Domains) -> None:
    database = Database(dsn, 2)
    await database.open()
    async with database.transaction() as connection:
        await registry_store.put_gateway(connection, "old-platform", NOW_US)
        rows = [
            DeviceRow(name, "ws_pressure_logger", name, name, 121.5, 31.2, "old-platform")
            for name in ("d0", "d2")
        ]
        await registry_store.put_devices(connection, rows, kinds.load(shipped), NOW_US)
    await database.close()


@pytest.fixture
def run(dsn: str, shipped: Domains, tmp_path: Path) -> Run:
    asyncio.run(populate(dsn, shipped))
    config = tmp_path / "config.yaml"
    config.write_text(f"database:\n  url: {dsn_url(dsn)}\npaths: {{domains: {ROOT / 'domains'}}}\n", "utf-8")

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(
            backfill, [*map(str, arguments), "--gateway", "old-platform", "--json"], obj=config
        )

    return run


def table(folder: Path, rows: int, name: str = "old.csv") -> Path:
    path = folder / name
    lines = [f"d0,pressure,{NOW_US // SECOND_US - n * 60},0.3" for n in range(rows)]
    path.write_text("\n".join(["device,channel,time,value", *lines]) + "\n", "utf-8")
    return path


def test_a_table_longer_than_a_transaction_is_stored_once(run: Run, tmp_path: Path) -> None:
    file = table(tmp_path, 45_000)
    first = json.loads(run(file).stdout)
    assert (first["stored"], first["refused"]) == (45_000, {})
    again = json.loads(run(file).stdout)
    assert (again["stored"], again["duplicates"], again["conflicts"]) == (0, 45_000, 0)


def test_refused_rows_are_named_by_file_and_number(run: Run, tmp_path: Path) -> None:
    file = table(tmp_path, 20_500)
    lines = file.read_text().splitlines()
    lines[20_101] = "nobody,pressure,2026-01-01T00:00:00Z,1"
    file.write_text("\n".join(lines))
    result = run(file)
    done = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (done["stored"], done["refused"]) == (20_499, {"unknown_device": 1})
    assert done["first"][0].startswith("old.csv row 20101: unknown_device nobody/pressure")


def test_a_parquet_file_of_a_data_tool_is_stored(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "old.parquet"
    file.write_bytes(written())
    done = json.loads(run(file).stdout)
    assert (done["stored"], done["refused"]) == (0, {"unknown_channel": 2})


def test_a_file_of_no_known_kind_is_an_error(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "old.xlsx"
    file.write_bytes(b"PK")
    assert getattr(run(file).exception, "key", "") == "error.unknown_file"
