"""`device import` and `import-layer` as a person types them: all devices of a list, or none and every reason."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from app.cli.devices import device
from app.cli.gateways import gateway
from app.cli.imports import import_
from iot import device_table
from iot.codecs.frame import MalformedError
from tests.app.test_cli_map import Run, dsn_url, wells
from tests.conftest import ROOT

HEAD = "编号,类型,名称,name_en,经度,纬度,网关,上线名称,权属"


@pytest.fixture
def run(dsn: str, tmp_path: Path) -> Run:
    config = tmp_path / "config.yaml"
    config.write_text(
        f"database: {{url: '{dsn_url(dsn)}'}}\npaths: {{domains: {ROOT / 'domains'}}}\n", "utf-8"
    )
    return lambda command, *given: CliRunner().invoke(command, [str(each) for each in given], obj=config)


def sheet(folder: Path, *rows: str) -> Path:
    path = folder / "devices.csv"
    path.write_text("\n".join([HEAD, *rows]), "gb18030")
    return path


def known(dsn: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT id, name_zh, wire_name, owner, asset, lon FROM devices ORDER BY id"
        ).fetchall()


def test_a_sheet_of_devices_is_registered_whole_or_not_at_all(run: Run, tmp_path: Path, dsn: str) -> None:
    run(gateway, "add", "gw-1")
    good = "m-1,ws_pressure_logger,人民路,Renmin Road,121.47,31.23,gw-1,,供水公司"
    wrong = run(device, "import", sheet(tmp_path, good, "m-2,ws_pressure_logger,二,,200,x,gw-1,,"))
    assert wrong.exit_code == 1
    assert "3: lon" in wrong.output
    assert "3: lat" in wrong.output
    assert known(dsn) == []
    path = sheet(tmp_path, good)
    assert "could be registered" in run(device, "import", path, "--dry-run").output
    assert known(dsn) == []
    assert "1 devices registered" in run(device, "import", path).output
    assert known(dsn) == [("m-1", "人民路", "m-1", "供水公司", "", 121.47)]
    stranger = run(device, "import", sheet(tmp_path, good.replace("gw-1", "nobody")))
    assert stranger.exit_code == 1
    assert "unknown_gateway" in stranger.output


def test_every_feature_of_a_layer_gets_its_device(run: Run, tmp_path: Path, dsn: str) -> None:
    run(gateway, "add", "gw-1")
    path = wells(tmp_path, "A,一号井,121.5,31.2", "B,二号井,121.6,31.3")
    assert run(import_, "wells", path, "--kind", "manhole", "--crs", "EPSG:4490", "--anywhere").exit_code == 0
    asked = (
        "import-layer",
        "wells",
        "--kind",
        "ws_pressure_logger",
        "--gateway",
        "gw-1",
        "--owner",
        "排水公司",
    )
    done = run(device, *asked)
    assert done.exit_code == 0, done.output
    found = known(dsn)
    assert [(row[1], row[3]) for row in found] == [("一号井", "排水公司"), ("二号井", "排水公司")]
    assert all(row[4] for row in found)
    assert run(device, "import-layer", "nothing", *asked[2:]).exit_code == 1


def test_points_of_a_map_are_devices_too() -> None:
    properties = {"id": "m-1", "kind": "meter", "gateway": "gw-1", "name": "一", "colour": "red"}
    geometry = {"type": "Point", "coordinates": [121.5, 31.2]}
    found = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "properties": properties, "geometry": geometry}],
    }
    [(number, fields)] = device_table.read(json.dumps(found).encode())
    assert (number, fields["lon"], fields["name"]) == (1, 121.5, {"zh": "一"})
    assert "colour" not in fields


@pytest.mark.parametrize("data", [b"a,b\n1,2", b'{"features": 1}', b"id,id\n1,2", b"\xff\xff\xff"])
def test_what_is_no_list_of_devices_says_so(data: bytes) -> None:
    with pytest.raises(MalformedError):
        list(device_table.read(data))
