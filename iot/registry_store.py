"""The registry at rest: rows ↔ `Registry`. A change is news on topic `registry`; every process then loads anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from core import changes
from core.changes import Change
from core.clock import to_datetime, to_us
from core.db import Database
from core.errors import Invalid
from core.schema import WIRE_ID
from core.sql import Queries
from iot.care import FOREVER, Calibration, Care, Window
from iot.kinds import Catalogue, Channel
from iot.registry import Device, Gateway, Provenance, Registry, build

QUERIES = Queries.of(__file__)


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """What a device is registered with; its number is the registry's."""

    id: str
    kind: str
    name_zh: str
    name_en: str
    lon: float
    lat: float
    gateway: str
    wire_name: str = ""
    asset: str = ""
    zone: str = ""
    area: str = ""
    provenance: Provenance = "real"
    params: dict[str, Any] | None = None
    owner: str = ""


async def load(database: Database, catalogue: Catalogue, before: Registry | None = None) -> Registry:
    """The registry as it stands. Channels that the domains declare anew get their numbers here."""
    async with database.transaction() as connection:
        known = {
            row["full_name"] for row in await (await connection.execute(QUERIES["all_channels"])).fetchall()
        }
        for name in sorted(catalogue.channels.keys() - known):
            await connection.execute(QUERIES["add_channel"], {"full_name": name})
        channels = await (await connection.execute(QUERIES["all_channels"])).fetchall()
        gateways = await (await connection.execute(QUERIES["all_gateways"])).fetchall()
        rows = await (await connection.execute(QUERIES["all_devices"])).fetchall()
        calibrations = await (await connection.execute(QUERIES["valid_calibrations"])).fetchall()
        windows = await (await connection.execute(QUERIES["all_maintenance"])).fetchall()
    devices = [_device(row) for row in rows if row["kind"] in catalogue.kinds]
    return build(
        [Gateway(row["number"], row["id"], row["provenance"]) for row in gateways],
        devices,
        [
            Channel(row["number"], row["full_name"].partition(".")[0], catalogue.channels[row["full_name"]])
            for row in channels
            if row["full_name"] in catalogue.channels
        ],
        catalogue,
        before,
        Care([_calibration(row) for row in calibrations], _windows(windows, devices)),
    )


def _device(row: dict[str, Any]) -> Device:
    return Device(
        row["number"], row["id"], row["kind"], row["domain"], {"zh": row["name_zh"], "en": row["name_en"]},
        row["lon"], row["lat"], row["gateway"], row["wire_name"], row["asset"], row["zone"], row["area"],
        row["provenance"], row["params"], row["owner"],
    )  # fmt: skip


def _calibration(row: dict[str, Any]) -> Calibration:
    until_us = FOREVER if row["until"] is None else to_us(row["until"])
    return Calibration(
        row["device"], row["channel"], to_us(row["since"]), until_us, row["factor"], row["shift"]
    )


def _windows(rows: Sequence[dict[str, Any]], devices: Sequence[Device]) -> dict[int, list[Window]]:
    """By device number: its own, its gateway's, its asset's."""
    named: dict[tuple[str, str], list[Window]] = {}
    for row in rows:
        window = Window(to_us(row["since"]), to_us(row["until"]))
        named.setdefault((row["scope"], row["name"]), []).append(window)
    found: dict[int, list[Window]] = {}
    for device in devices if named else ():
        for key in (("device", device.id), ("gateway", device.gateway), ("asset", device.asset)):
            if key in named:
                found.setdefault(device.number, []).extend(named[key])
    return found


async def put_gateway(
    connection: AsyncConnection[Any],
    gateway: str,
    now_us: int,
    *,
    secret_hash: str = "",
    provenance: Provenance = "real",
) -> int:
    """Register a gateway, or give a known one a new secret; its number. Raises `Invalid` on a bad id."""
    if not WIRE_ID.fullmatch(gateway):
        raise Invalid("error.bad_id", field="gateway", value=gateway)
    values = {"id": gateway, "secret_hash": secret_hash, "provenance": provenance, "now": to_datetime(now_us)}
    row = await (await connection.execute(QUERIES["upsert_gateway"], values)).fetchone()
    assert row is not None
    await changes.append(connection, [Change("registry", gateway)], now_us)
    return int(row["number"] if isinstance(row, dict) else row[0])


async def put_devices(
    connection: AsyncConnection[Any], rows: list[DeviceRow], catalogue: Catalogue, now_us: int
) -> None:
    """Register or change devices in one transaction. Raises `Invalid` naming the device and what is wrong."""
    for row in rows:
        _check(row, catalogue)
    gateways = sorted({row.gateway for row in rows})
    known = await (await connection.execute(QUERIES["known_gateways"], {"ids": gateways})).fetchall()
    strange = set(gateways) - {row["id"] if isinstance(row, dict) else row[0] for row in known}
    if strange:
        raise Invalid("error.unknown_gateway", field="gateway", value=", ".join(sorted(strange)))
    try:
        async with connection.cursor() as cursor:
            await cursor.executemany(
                QUERIES["upsert_device"], [_values(row, catalogue, now_us) for row in rows]
            )
    except UniqueViolation as taken:
        raise Invalid("error.wire_name_taken", field="wire_name", detail=taken.diag.message_detail) from None
    await changes.append(connection, [Change("registry", row.id) for row in rows[:1]], now_us)


def _check(row: DeviceRow, catalogue: Catalogue) -> None:
    for field, value in (("id", row.id), ("wire_name", row.wire_name or row.id)):
        if not WIRE_ID.fullmatch(value):
            raise Invalid("error.bad_id", field=field, value=value)
    if row.kind not in catalogue.kinds:
        raise Invalid("error.unknown_kind", field="kind", device=row.id, value=row.kind)
    if not (-180 <= row.lon <= 180 and -90 <= row.lat <= 90):
        raise Invalid("error.bad_place", field="lon", device=row.id, value=f"{row.lon},{row.lat}")


def _values(row: DeviceRow, catalogue: Catalogue, now_us: int) -> dict[str, object]:
    return {
        "id": row.id, "kind": row.kind, "domain": catalogue.kinds[row.kind].domain,
        "name_zh": row.name_zh, "name_en": row.name_en, "lon": row.lon, "lat": row.lat,
        "gateway": row.gateway, "wire_name": row.wire_name or row.id, "asset": row.asset,
        "zone": row.zone, "area": row.area, "provenance": row.provenance,
        "params": Jsonb(row.params or {}), "owner": row.owner, "now": to_datetime(now_us),
    }  # fmt: skip
