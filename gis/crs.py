"""Coordinate reference systems, and the only place that converts between them.

Inside the product positions are WGS 84 longitude, latitude in degrees, and metres of one local plane per city.
What a file or a device says in another system is converted here, on the way in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.errors import Invalid

Floats = NDArray[np.float64]

WGS84_A: Final = 6_378_137.0
WGS84_INVERSE_FLATTENING: Final = 298.257_223_563
RADIANS: Final = math.pi / 180.0


class TransverseMercator:
    """Gauss–Krüger by Krüger's series to n⁴; within 3 µm of PROJ inside a zone of 6°.

    `lon0` is the central meridian in degrees, `scale` the factor on it; easting and northing get the false
    origin added, in metres. `a` and `inverse_flattening` are those of the ellipsoid.
    """

    def __init__(
        self,
        lon0: float,
        false_easting: float = 500_000.0,
        false_northing: float = 0.0,
        *,
        scale: float = 1.0,
        a: float = WGS84_A,
        inverse_flattening: float = WGS84_INVERSE_FLATTENING,
    ) -> None:
        self.lon0, self.false_easting, self.false_northing = lon0, false_easting, false_northing
        f = 1 / inverse_flattening
        n = f / (2 - f)
        self._e = math.sqrt(f * (2 - f))
        self._radius = scale * a / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
        self._alpha = (
            n / 2 - 2 * n**2 / 3 + 5 * n**3 / 16 + 41 * n**4 / 180,
            13 * n**2 / 48 - 3 * n**3 / 5 + 557 * n**4 / 1440,
            61 * n**3 / 240 - 103 * n**4 / 140,
            49561 * n**4 / 161280,
        )
        self._beta = (
            n / 2 - 2 * n**2 / 3 + 37 * n**3 / 96 - n**4 / 360,
            n**2 / 48 + n**3 / 15 - 437 * n**4 / 1440,
            17 * n**3 / 480 - 37 * n**4 / 840,
            4397 * n**4 / 161280,
        )
        self._delta = (
            2 * n - 2 * n**2 / 3 - 2 * n**3 + 116 * n**4 / 45,
            7 * n**2 / 3 - 8 * n**3 / 5 - 227 * n**4 / 45,
            56 * n**3 / 15 - 136 * n**4 / 35,
            4279 * n**4 / 630,
        )

    def forward(self, lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
        """Degrees → (easting, northing) in metres."""
        east, north = self._forward(np, np.asarray(lon, np.float64), np.asarray(lat, np.float64))
        return east, north

    def forward_one(self, lon: float, lat: float) -> tuple[float, float]:
        """The same for a single place, without NumPy ten times as fast."""
        east, north = self._forward(math, lon, lat)
        return east, north

    def inverse(self, easting: ArrayLike, northing: ArrayLike) -> tuple[Floats, Floats]:
        """(easting, northing) in metres → degrees."""
        lon, lat = self._inverse(np, np.asarray(easting, np.float64), np.asarray(northing, np.float64))
        return lon, lat

    def _forward(self, m: Any, lon: Any, lat: Any) -> tuple[Any, Any]:  # noqa: ANN401 - floats or arrays, math or NumPy
        phi, off = lat * RADIANS, (lon - self.lon0) * RADIANS
        sine = m.sin(phi)
        t = m.sinh(m.atanh(sine) - self._e * m.atanh(self._e * sine))
        xi, eta = m.atan2(t, m.cos(off)), m.asinh(m.sin(off) / m.hypot(t, m.cos(off)))
        north, east = xi, eta
        for j, a in enumerate(self._alpha, 1):
            north = north + a * m.sin(2 * j * xi) * m.cosh(2 * j * eta)
            east = east + a * m.cos(2 * j * xi) * m.sinh(2 * j * eta)
        return self.false_easting + self._radius * east, self.false_northing + self._radius * north

    def _inverse(self, m: Any, easting: Any, northing: Any) -> tuple[Any, Any]:  # noqa: ANN401 - as above
        xi = (northing - self.false_northing) / self._radius
        eta = (easting - self.false_easting) / self._radius
        north, east = xi, eta
        for j, b in enumerate(self._beta, 1):
            north = north - b * m.sin(2 * j * xi) * m.cosh(2 * j * eta)
            east = east - b * m.cos(2 * j * xi) * m.sinh(2 * j * eta)
        chi = m.asin(m.sin(north) / m.cosh(east))
        phi = chi
        for j, d in enumerate(self._delta, 1):
            phi = phi + d * m.sin(2 * j * chi)
        return self.lon0 + m.atan2(m.sinh(east), m.cos(north)) / RADIANS, phi / RADIANS


class Plane:
    """The local metres of one city: x east, y north of its centre. Lengths are true within 1e-6 of a 30 km city."""

    def __init__(self, lon0: float, lat0: float) -> None:
        self.lon0, self.lat0 = lon0, lat0
        _, northing = TransverseMercator(lon0).forward_one(lon0, lat0)
        self._grid = TransverseMercator(lon0, 0.0, -northing)

    def xy(self, lon: float, lat: float) -> tuple[float, float]:
        """One place: WGS 84 degrees → metres east and north."""
        return self._grid.forward_one(lon, lat)

    def to_xy(self, lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
        """WGS 84 degrees → metres east and north."""
        return self._grid.forward(lon, lat)

    def to_lonlat(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Metres east and north → WGS 84 degrees."""
        return self._grid.inverse(x, y)

    def points(self, lonlat: ArrayLike) -> Floats:
        """(n, 2) of lon, lat → (n, 2) of x, y."""
        degrees = np.asarray(lonlat, np.float64).reshape(-1, 2)
        return np.column_stack(self.to_xy(degrees[:, 0], degrees[:, 1]))

    def lonlats(self, xy: ArrayLike) -> Floats:
        """(n, 2) of x, y → (n, 2) of lon, lat."""
        metres = np.asarray(xy, np.float64).reshape(-1, 2)
        return np.column_stack(self.to_lonlat(metres[:, 0], metres[:, 1]))


# -- the offset systems of Chinese public maps ------------------------------------------------------------------
# Formula and vectors: two public implementations (standards/cim_gis §3.2). Stored data never are in these.

GCJ_A: Final = 6_378_245.0
GCJ_EE: Final = 0.006_693_421_622_965_943_23
GCJ_BOX: Final = (72.004, 0.8293, 137.8347, 55.8271)  # west, south, east, north; outside nothing is shifted
BD_K: Final = np.pi * 3000.0 / 180.0
INVERSE_ROUNDS: Final = 6


def _shift(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """What GCJ-02 adds to WGS 84 longitude and latitude, in degrees."""
    x, y, pi = lon - 105.0, lat - 35.0, np.pi
    waves = (20.0 * np.sin(6 * pi * x) + 20.0 * np.sin(2 * pi * x)) * 2 / 3
    north = -100.0 + 2 * x + 3 * y + 0.2 * y**2 + 0.1 * x * y + 0.2 * np.sqrt(np.abs(x)) + waves
    north += (20.0 * np.sin(pi * y) + 40.0 * np.sin(pi * y / 3)) * 2 / 3
    north += (160.0 * np.sin(pi * y / 12) + 320.0 * np.sin(pi * y / 30)) * 2 / 3
    east = 300.0 + x + 2 * y + 0.1 * x**2 + 0.1 * x * y + 0.1 * np.sqrt(np.abs(x)) + waves
    east += (20.0 * np.sin(pi * x) + 40.0 * np.sin(pi * x / 3)) * 2 / 3
    east += (150.0 * np.sin(pi * x / 12) + 300.0 * np.sin(pi * x / 30)) * 2 / 3
    phi = np.radians(lat)
    m = 1 - GCJ_EE * np.sin(phi) ** 2
    d_lat = np.degrees(north / (GCJ_A * (1 - GCJ_EE) / (m * np.sqrt(m))))
    d_lon = np.degrees(east / (GCJ_A / np.sqrt(m) * np.cos(phi)))
    west, south, right, top = GCJ_BOX
    inside = (lon > west) & (lon < right) & (lat > south) & (lat < top)
    return np.where(inside, d_lon, 0.0), np.where(inside, d_lat, 0.0)


def wgs84_to_gcj02(lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
    """Degrees → degrees; only inside China's box anything is shifted."""
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    d_lon, d_lat = _shift(lon, lat)
    return lon + d_lon, lat + d_lat


def gcj02_to_wgs84(lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
    """The inverse, by iteration: within a micrometre, save within a shift's length of the border of China's box."""
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    w_lon, w_lat = lon, lat
    for _ in range(INVERSE_ROUNDS):
        d_lon, d_lat = _shift(w_lon, w_lat)
        w_lon, w_lat = lon - d_lon, lat - d_lat
    return w_lon, w_lat


def gcj02_to_bd09(lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
    """Degrees → degrees."""
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    z = np.hypot(lon, lat) + 0.000_02 * np.sin(BD_K * lat)
    theta = np.arctan2(lat, lon) + 0.000_003 * np.cos(BD_K * lon)
    return z * np.cos(theta) + 0.0065, z * np.sin(theta) + 0.006


def bd09_to_gcj02(lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
    """The inverse, by iteration; the usual closed form is 0.1 m off."""
    lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    g_lon, g_lat = lon - 0.0065, lat - 0.006
    for _ in range(INVERSE_ROUNDS):
        b_lon, b_lat = gcj02_to_bd09(g_lon, g_lat)
        g_lon, g_lat = g_lon + lon - b_lon, g_lat + lat - b_lat
    return g_lon, g_lat


# -- any system, by its name ------------------------------------------------------------------------------------

Convert = Callable[[ArrayLike, ArrayLike], tuple[Floats, Floats]]

_LOCAL = re.compile(r"local:(-?[0-9.]+),(-?[0-9.]+)(?:,([0-9.]+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, eq=False)
class Crs:
    """A coordinate reference system as a file states it, and the way from it to WGS 84 and back.

    `geographic`: its coordinates are degrees (lon, lat); otherwise they are lengths (easting, northing).
    """

    name: str
    to_wgs84: Convert
    from_wgs84: Convert
    geographic: bool = True


def crs(name: str) -> Crs:
    """The system of a name: `EPSG:4490`, `CGCS2000`, `GCJ-02`, `BD-09`, `local:LON,LAT[,UNIT_M]`, or any of PROJ's.

    `local` is a plane in units of UNIT_M metres (1 when left out) around a place. Order is always lon, lat or
    easting, northing, whatever the authority says. Raises `Invalid` with field `crs`.
    """
    wanted = name.strip()
    plain = wanted.upper().replace("-", "").replace("_", "").replace(" ", "")
    local = _LOCAL.fullmatch(wanted)
    if local:
        return _local(wanted, float(local[1]), float(local[2]), float(local[3] or 1.0))
    if plain in {"WGS84", "EPSG:4326", "CRS84", "OGC:CRS84"}:
        return Crs("EPSG:4326", _same, _same)
    if plain in {"CGCS2000", "EPSG:4490"}:
        return Crs("EPSG:4490", _same, _same)  # less than a metre apart; PROJ takes them as one too
    if plain in {"GCJ02", "MARS"}:
        return Crs("GCJ-02", gcj02_to_wgs84, wgs84_to_gcj02)
    if plain in {"BD09", "BD09LL"}:
        return Crs("BD-09", _bd09_to_wgs84, _wgs84_to_bd09)
    return _by_proj(wanted)


def gauss_krueger(lon: float, *, zone_width: int = 3, numbered: bool = False) -> str:
    """The CGCS2000 / Gauss–Krüger system for a longitude: EPSG 4491–4501, 4502–4512, 4513–4533 or 4534–4554.

    `zone_width` is 3 or 6 degrees; `numbered` puts the zone's number before the easting.
    """
    if zone_width == 6:
        zone = int(np.floor(lon / 6)) + 1
        first, low, high = (4491 if numbered else 4502), 13, 23
    else:
        zone = round(lon / 3)
        first, low, high = (4513 if numbered else 4534), 25, 45
    if not low <= zone <= high:
        raise Invalid("error.no_zone", field="crs", value=lon)
    return f"EPSG:{first + zone - low}"


def _same(lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
    return np.asarray(lon, np.float64), np.asarray(lat, np.float64)


def _bd09_to_wgs84(lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
    return gcj02_to_wgs84(*bd09_to_gcj02(lon, lat))


def _wgs84_to_bd09(lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
    return gcj02_to_bd09(*wgs84_to_gcj02(lon, lat))


def _local(name: str, lon: float, lat: float, unit_m: float) -> Crs:
    if not (-180 <= lon <= 180 and -85 <= lat <= 85) or unit_m <= 0:
        raise Invalid("error.unknown_crs", field="crs", value=name)
    plane = Plane(lon, lat)

    def there(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        return plane.to_lonlat(np.asarray(x, np.float64) * unit_m, np.asarray(y, np.float64) * unit_m)

    def back(lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
        x, y = plane.to_xy(lon, lat)
        return x / unit_m, y / unit_m

    return Crs(name, there, back, geographic=False)


@lru_cache(maxsize=16)
def _by_proj(name: str) -> Crs:
    import pyproj

    try:
        system = pyproj.CRS.from_user_input(name)
        there = pyproj.Transformer.from_crs(system, 4326, always_xy=True)
    except pyproj.exceptions.ProjError:
        raise Invalid("error.unknown_crs", field="crs", value=name) from None

    def forward(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        lon, lat = there.transform(np.asarray(x, np.float64), np.asarray(y, np.float64))
        return np.asarray(lon), np.asarray(lat)

    def inverse(lon: ArrayLike, lat: ArrayLike) -> tuple[Floats, Floats]:
        x, y = there.transform(np.asarray(lon, np.float64), np.asarray(lat, np.float64), direction="INVERSE")
        return np.asarray(x), np.asarray(y)

    authority = system.to_authority()
    shown = ":".join(authority) if authority else name
    return Crs(shown, forward, inverse, geographic=bool(system.is_geographic))
