"""A small city of devices for tests: one kind of water meter, one gas detector, and as many devices as asked for."""

from __future__ import annotations

from core.clock import SECOND_US
from core.db import Database
from iot import registry_store
from iot.kinds import Catalogue, Channel, ChannelDecl, Kind, KindDecl
from iot.registry import Device, Gateway, Registry, build
from iot.registry_store import DeviceRow

#: The moment at which tests happen: 2026-02-01T00:00:00Z.
NOW_US = 1_769_904_000 * SECOND_US


def catalogue() -> Catalogue:
    pressure = ChannelDecl(
        key="pressure", unit="kPa", aliases=["MPa", "Pa"], low=0, high=1600, resolution=0.1
    )
    temp = ChannelDecl(key="temp", unit="Cel", aliases=["K", "°C"], low=-40, high=80, resolution=0.1)
    valve = ChannelDecl(key="valve", unit="/", low=0, high=1, quantity="state", states=["closed", "open"])
    gas = ChannelDecl(key="ch4", unit="%LEL", low=0, high=100)
    channels = {
        "water.pressure": pressure, "water.temp": temp, "water.valve": valve, "gas.ch4": gas,
    }  # fmt: skip
    where = {"asset": "pipe", "formats": ["senml"]}
    meter = KindDecl.model_validate(
        {"key": "meter", "channels": ["pressure", "temp", "valve"], "period": "1m", **where}
    )
    detector = KindDecl.model_validate(
        {"key": "gas_detector", "channels": ["ch4"], "period": "1m", "life_safety": True, **where}
    )
    kinds = {
        "meter": Kind("water", meter, {key: f"water.{key}" for key in meter.channels}),
        "gas_detector": Kind("gas", detector, {"ch4": "gas.ch4"}),
    }
    return Catalogue(channels, kinds)


def registry(devices: int = 10, gateways: int = 2) -> Registry:
    """Devices d0 … of kind meter, taken in turn by gateways gw-0 …; `gas` is a detector of gw-0."""
    known = catalogue()
    names = [f"gw-{number}" for number in range(gateways)]
    rows = [
        Device(
            number + 1, f"d{number}", "meter", "water", {"zh": f"表{number}", "en": f"Meter {number}"},
            121.5, 31.2, names[number % gateways], f"d{number}",
        )
        for number in range(devices)
    ]  # fmt: skip
    rows.append(
        Device(
            devices + 1, "gas", "gas_detector", "gas", {"zh": "气", "en": "Gas"}, 121.5, 31.2, "gw-0", "gas"
        )
    )
    return build(
        [Gateway(number + 1, name) for number, name in enumerate(names)],
        rows,
        [
            Channel(number + 1, full.split(".")[0], decl)
            for number, (full, decl) in enumerate(known.channels.items())
        ],
        known,
    )


async def stored_registry(database: Database, devices: int = 10, gateways: int = 2) -> Registry:
    """The same city, in the database."""
    known = catalogue()
    wanted = registry(devices, gateways)
    async with database.transaction() as connection:
        for gateway in wanted.gateways.values():
            await registry_store.put_gateway(connection, gateway.id, NOW_US)
        rows = [
            DeviceRow(d.id, d.kind, d.name["zh"], d.name["en"], d.lon, d.lat, d.gateway, d.wire_name)
            for d in wanted.devices.values()
        ]
        await registry_store.put_devices(connection, rows, known, NOW_US)
    return await registry_store.load(database, known)
