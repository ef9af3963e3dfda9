"""`cityops device import` and `import-layer`: lists of devices into the registry, all of them or none."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

import click
from pydantic import ValidationError

from app import place
from core import domains, settings
from core.clock import SystemClock
from core.db import Database
from core.errors import CityOpsError
from gis import store
from gis.asset import Asset
from iot import device_table, kinds, registry_store
from iot.api import DeviceIn
from iot.codecs.frame import MalformedError
from iot.kinds import Catalogue
from iot.registry_store import DeviceRow

Numbered = Iterable[tuple[int, dict[str, object]]]
#: More mistakes are not listed.
MOST_MISTAKES = 20


@click.group()
def device() -> None:
    """Devices: what measures, and where."""


@device.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check and report only; nothing is written.")
@click.pass_obj
def import_(config: Path, file: Path, *, dry_run: bool) -> None:
    """Register or change the devices of FILE: CSV (headings in either language) or GeoJSON points. All or none."""
    try:
        rows = list(device_table.read(file.read_bytes()))
    except MalformedError as wrong:
        raise click.ClickException(f"{file.name}: {wrong}") from None
    _put(config, rows, dry_run=dry_run)


@device.command("import-layer")
@click.argument("layer")
@click.option("--kind", required=True, help="Kind of the devices.")
@click.option("--gateway", required=True, help="Who speaks for them.")
@click.option("--owner", default="", help="Who owns and keeps them.")
@click.option("--dry-run", is_flag=True, help="Check and report only; nothing is written.")
@click.pass_obj
def import_layer(config: Path, layer: str, *, kind: str, gateway: str, owner: str, dry_run: bool) -> None:
    """Register a device at every feature of a map LAYER (see `cityops import`), which becomes its asset."""
    assets = asyncio.run(_assets(place.dsn(settings.load(config)), layer))
    more = {"kind": kind, "gateway": gateway, "owner": owner}
    rows = [(number, {**of_asset(asset), **more}) for number, asset in enumerate(assets, 1)]
    if not rows:
        raise click.ClickException(f"there is no layer {layer}, or nothing in it")
    _put(config, rows, dry_run=dry_run)


def of_asset(asset: Asset) -> dict[str, object]:
    """What a thing on the map lends to the device that stands on it."""
    lon, lat = asset.lonlat
    name = asset.id.rpartition("/")[2]
    return {
        "id": name, "name": {"zh": asset.name or name, "en": asset.name_en or asset.name or name},
        "lon": lon, "lat": lat, "asset": asset.id, "zone": asset.zone, "area": asset.area,
        "provenance": asset.provenance,
    }  # fmt: skip


async def _assets(dsn: str, layer: str) -> list[Asset]:
    database = Database(dsn, 2)
    await database.open()
    try:
        return [found.asset for found in await store.find(database, layer=layer)]
    finally:
        await database.close()


def _put(config: Path, rows: Numbered, *, dry_run: bool) -> None:
    found = settings.load(config)
    devices, wrong = checked(rows)
    if not wrong and not dry_run:
        try:
            catalogue = kinds.load(domains.load(found.domains))
            asyncio.run(_store(place.dsn(found), devices, catalogue))
        except CityOpsError as refused:
            wrong = [str(refused)]
    for line in wrong[:MOST_MISTAKES]:
        click.echo(line, err=True)
    told = "could be registered" if dry_run else "registered"
    click.echo(
        f"{len(wrong)} mistakes, nothing was registered" if wrong else f"{len(devices)} devices {told}"
    )
    sys.exit(bool(wrong))


def checked(rows: Numbered) -> tuple[list[DeviceRow], list[str]]:
    """The devices, and every mistake with its line."""
    devices, wrong = [], []
    for number, fields in rows:
        try:
            devices.append(DeviceIn.model_validate(fields).row())
        except ValidationError as mistakes:
            wrong += [
                f"{number}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in mistakes.errors()
            ]
    return devices, wrong


async def _store(dsn: str, devices: list[DeviceRow], catalogue: Catalogue) -> None:
    database = Database(dsn, 2)
    await database.open()
    try:
        async with database.transaction() as connection:
            await registry_store.put_devices(connection, devices, catalogue, SystemClock().now_us())
    finally:
        await database.close()
