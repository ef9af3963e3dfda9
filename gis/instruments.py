"""Which devices a well-watched city has, and on which assets: where simulators and load tests put their sensors.

Shares are ours. What a kind measures stands in `domains/<key>/kinds.yaml`; here only its key is known.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import shapely

from gis.asset import Asset
from gis.city import City

RAIN_EVERY_M = 900.0


@dataclass(frozen=True, slots=True)
class Placement:
    """A device to be: its kind, the asset it is on, and where (WGS 84 degrees). `zone`, `area` are the asset's."""

    id: str
    kind: str
    asset: str
    lon: float
    lat: float
    zone: str
    area: str


@dataclass(frozen=True, slots=True)
class Instrument:
    """`share` of the assets of a kind that fit carry `each` devices of a kind."""

    kind: str
    asset: str
    share: float
    each: Callable[[Asset], int] = lambda _: 1
    fits: Callable[[Asset], bool] = lambda _: True


def _floors(asset: Asset) -> int:
    floors = asset.attributes.get("floors")
    return floors if isinstance(floors, int) else 1


def _whole(asset: Asset) -> bool:
    return not asset.attributes.get("part")


def _high(asset: Asset) -> bool:
    return _whole(asset) and _floors(asset) > 6


def _side_by_side(asset: Asset) -> int:
    """Three dust monitors on a site's fence, four on a large site."""
    area = asset.attributes.get("area_m2")
    return 4 if isinstance(area, int) and area > 15_000 else 3


INSTRUMENTS = (
    Instrument("ws_flow_meter", "district_meter", 1.0),
    Instrument("ws_valve", "reducer", 1.0),
    Instrument("ws_quality_station", "water_source", 1.0),
    Instrument("ws_pressure_logger", "junction", 0.15),
    Instrument("ws_burst_logger", "junction", 0.02),
    Instrument("ws_noise_logger", "valve", 0.25),
    Instrument("ws_hydrant", "hydrant", 0.6),
    Instrument("ws_pump_house", "building", 0.6, fits=_high),
    Instrument("ws_big_meter", "building", 0.25, fits=_whole),
    Instrument("dr_manhole_level", "manhole", 0.2),
    Instrument("dr_cover", "manhole", 0.4),
    Instrument("dr_well_gas", "manhole", 0.12),
    Instrument("dr_sewer_flow", "drain", 0.03),
    Instrument("dr_pump_station", "drain_pump_station", 1.0),
    Instrument("dr_outfall", "outfall", 1.0),
    Instrument("gas_station", "gas_station", 1.0),
    Instrument("gas_regulator", "gas_regulator", 1.0),
    Instrument("gas_valve_pit", "gas_valve", 1.0),
    Instrument("gas_space", "manhole", 0.15),
    Instrument("gas_guard", "gas_pipe", 0.2),
    Instrument("fl_street_depth", "low_point", 1.0),
    Instrument("fl_underpass", "underpass", 1.0),
    Instrument("con_dust_noise", "site", 1.0, each=_side_by_side),
    Instrument("con_noise", "site", 1.0),
    Instrument("con_spray", "site", 1.0),
    Instrument("fire_utd", "building", 0.5, fits=_whole),
    Instrument("fire_panel", "building", 0.5, fits=_whole),
    Instrument("fire_detector", "building", 0.5, each=_floors, fits=_whole),
    Instrument("fire_electric", "building", 0.3, fits=_whole),
)


def placements(city: City) -> Iterator[Placement]:
    """Every device of a city, in a stable order. Whether an asset is chosen hangs on its id and the kind alone."""
    by_kind: dict[str, list[Asset]] = {}
    for asset in city.assets.values():
        by_kind.setdefault(asset.kind, []).append(asset)
    for instrument in INSTRUMENTS:
        for asset in by_kind.get(instrument.asset, ()):
            if instrument.fits(asset) and _chance(instrument.kind, asset.id) < instrument.share:
                yield from _on(instrument, asset)
    yield from _rain_gauges(city)


def _chance(kind: str, asset: str) -> float:
    """A number in 0 … 1 that is the same for the same names everywhere."""
    return zlib.crc32(f"{kind} {asset}".encode()) / 2**32


def _on(instrument: Instrument, asset: Asset) -> Iterator[Placement]:
    count = instrument.each(asset)
    lonlat = (
        _around(asset, count) if count > 1 and instrument.kind.startswith("con_") else [asset.lonlat] * count
    )
    for number, (lon, lat) in enumerate(lonlat, 1):
        name = f"{instrument.kind}-{asset.id}" + (f"-{number}" if count > 1 else "")
        yield Placement(name, instrument.kind, asset.id, lon, lat, asset.zone, asset.area)


def _around(asset: Asset, count: int) -> list[tuple[float, float]]:
    """Places spread along a surface's border."""
    fence = asset.geometry.boundary
    spots = [fence.interpolate((row + 0.5) / count, normalized=True) for row in range(count)]
    return [(spot.x, spot.y) for spot in spots]


def _rain_gauges(city: City) -> Iterator[Placement]:
    """Gauges on roofs or beside streets, on a grid over the city."""
    west, south, east, north = city.base.bounds
    x, y = np.meshgrid(
        np.arange(west + RAIN_EVERY_M / 2, east, RAIN_EVERY_M),
        np.arange(south + RAIN_EVERY_M / 2, north, RAIN_EVERY_M),
    )
    xy = np.column_stack([x.ravel(), y.ravel()])
    if city.base.shore is not None:
        xy = xy[~shapely.contains_xy(city.base.shore, xy[:, 0], xy[:, 1])]
    rows = zip(city.plane.lonlats(xy).tolist(), city.area_ids(xy), strict=True)
    for number, ((lon, lat), area) in enumerate(rows, 1):
        yield Placement(f"fl_rain-{number:03d}", "fl_rain", "", lon, lat, "", area)


def counts(city: City) -> Mapping[str, int]:
    """How many devices of each kind."""
    found: dict[str, int] = {}
    for placement in placements(city):
        found[placement.kind] = found.get(placement.kind, 0) + 1
    return found
