"""Parts of the city that a scenario acts upon: each steps its physics and says what devices show because of it.

A part answers for devices by `plays`; `shown` takes what a device would show on a calm day and gives what it shows,
with the row of the action that is to blame, -1 for none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from core.clock import MINUTE_US, SECOND_US
from gis import drainage
from gis.city import City
from simulators import scenario as acts
from simulators import streams
from simulators.devices import Device
from simulators.physics import fire, gas, plume, site
from simulators.physics.gas import Chamber
from simulators.physics.plume import Puffs
from simulators.physics.underpass import Underpass, sumps
from simulators.places import Places, Spot, metres
from simulators.scenario import Act

if TYPE_CHECKING:
    from simulators.flood import Flood  # needs the extra `flood`

NOBODY = -1
#: One action may do harm at many places, and each is an incident of its own: labels above this carry the place.
PLACES = 1000


def label(cause: int, place: int) -> int:
    """What is to blame at one of many places of an action; `action_of` gives the action back."""
    return cause if cause == NOBODY else (cause + 1) * PLACES + place


def action_of(label_: int) -> int:
    return label_ // PLACES - 1 if label_ >= PLACES else label_


Shown = tuple[float, int]


class Part(Protocol):
    """A piece of the city."""

    def plays(self, device: Device, channel: str) -> bool: ...
    def begin(self, action: Act, cause: int, now_us: int) -> Spot | None:
        """Act; where it happens. None: this action is not for this part."""

    def end(self, cause: int, now_us: int) -> None: ...
    def step(self, now_us: int, dt_s: float) -> None: ...
    def shown(self, device: Device, channel: str, calm: float, now_us: int) -> Shown: ...


@dataclass(slots=True)
class Weather:
    """Wind and rain that other parts feel. `rained` is the action behind the last rain."""

    wind_from_deg: float = 95.0
    wind_ms: float = 2.2
    rains: dict[int, tuple[int, float, float]] = field(default_factory=dict)  # cause → (begin, seconds, peak)
    rained: int = NOBODY
    _turn: tuple[int, float, float, float] = (0, 1.0, 95.0, 95.0)

    def plays(self, device: Device, channel: str) -> bool:
        del device
        return channel in ("wind_dir", "wind_speed")

    def begin(self, action: Act, cause: int, now_us: int) -> Spot | None:
        if isinstance(action, acts.Wind):
            self._turn = (now_us, max(action.turns, 1.0), self.wind_from_deg, action.from_deg)
            self.wind_ms = action.speed_ms
            return Spot("", 0, 0)
        if isinstance(action, acts.Rain):
            peak = drainage.rain_mm_h(action.years, 0.0) if action.years else action.peak_mm_h
            self.rains[cause] = (now_us, action.lasts or 3600.0, peak)
            self.rained = cause
            return Spot("", 0, 0)
        return None

    def end(self, cause: int, now_us: int) -> None:
        del now_us
        self.rains.pop(cause, None)

    def step(self, now_us: int, dt_s: float) -> None:
        del dt_s
        begun, seconds, old, new = self._turn
        share = min(1.0, (now_us - begun) / SECOND_US / seconds) if begun else 0.0
        self.wind_from_deg = (old + ((new - old + 180) % 360 - 180) * share) % 360

    def rain_mm_h(self, now_us: int) -> float:
        return sum(
            chicago(peak, (now_us - begun) / SECOND_US, seconds)
            for begun, seconds, peak in self.rains.values()
        )

    def shown(self, device: Device, channel: str, calm: float, now_us: int) -> Shown:
        del device, now_us
        wobble = (calm * 7) % 1 - 0.5
        told = (
            round(self.wind_from_deg + 12 * wobble) % 360
            if channel == "wind_dir"
            else self.wind_ms + 0.4 * wobble
        )
        return round(max(told, 0.0), 1), NOBODY


def chicago(peak_mm_h: float, seconds: float, lasts_s: float, at: float = 0.4) -> float:
    """Intensity of a storm of the Chicago shape (Keifer & Chu 1957) of the city's own formula (`gis.drainage`)."""
    if not 0 <= seconds < lasts_s:
        return 0.0
    away = (at * lasts_s - seconds) / at if seconds < at * lasts_s else (seconds - at * lasts_s) / (1 - at)
    return float(drainage.chicago(peak_mm_h, np.array([away / 60]))[0])


#: From this depth a street is flooded.
FLOODED_M = 0.15
#: Manholes whose inlets are clogged with a low point, and with an underpass.
AT_POINT, AT_UNDERPASS = 10, 30


@dataclass(slots=True)
class Roads:
    """Water on roads, of the storm over the whole city: underpasses with sumps and pumps, gauges at low points.

    `city` is asked for when the first rain falls; a run without rain has dry roads and costs nothing.
    """

    weather: Weather
    underpasses: Sequence[Spot]
    low_points: Sequence[Spot]
    city: City
    hours: float
    sumps: dict[str, Underpass] = field(default_factory=dict)
    storm: Flood | None = None
    #: After the end: lon, lat and greatest depth of streets that stood under water.
    flooded: list[tuple[float, float, float]] = field(default_factory=list)
    _cells: dict[str, int] = field(default_factory=dict)
    _clogged: dict[int, tuple[float, list[Spot]]] = field(default_factory=dict)
    _unpowered: dict[int, Spot] = field(default_factory=dict)
    _fallen: list[tuple[int, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sumps = sumps(self.city)

    def plays(self, device: Device, channel: str) -> bool:
        del channel
        return device.kind in ("fl_underpass", "fl_street_depth", "fl_rain")

    def close(self) -> None:
        if self.storm is not None:
            self.flooded = self.storm.flooded(FLOODED_M)
            self.storm.close()
            self.storm = None

    def begin(self, action: Act, cause: int, now_us: int) -> Spot | None:
        del now_us
        if isinstance(action, acts.PowerLost):
            self._unpowered[cause] = spot = self.underpasses[action.underpass - 1]
            self.sumps[spot.asset].power_ok = False
            return spot
        if isinstance(action, acts.Clog):
            low = [self.underpasses[action.underpass - 1]] if action.underpass else []
            chosen = [*low, *self.low_points[: action.points]]
            self._clogged[cause] = (action.share, chosen)
            self._clog(action.share, chosen)
            return chosen[0]
        return None

    def end(self, cause: int, now_us: int) -> None:
        del now_us
        if cause in self._unpowered:
            self.sumps[self._unpowered.pop(cause).asset].power_ok = True
        if cause in self._clogged:
            self._clog(1.0, self._clogged.pop(cause)[1])

    def _clog(self, share: float, spots: Sequence[Spot]) -> None:
        if self.storm is None:
            return
        for spot in spots:
            many = AT_UNDERPASS if spot.asset in self.sumps else AT_POINT
            self.storm.clog(self.storm.around(*self.city.plane.xy(spot.lon, spot.lat), many), share)

    def _begin_storm(self) -> None:
        from simulators.flood import Flood, ground_of  # the extra `flood`: only who has rain needs it

        ground = ground_of(self.city)
        self.storm = Flood(self.city, ground, hours=self.hours, sumps=self.sumps)
        self._cells = {
            spot.asset: ground.gauge(*self.city.plane.xy(spot.lon, spot.lat)) for spot in self.low_points
        }
        for share, spots in self._clogged.values():
            self._clog(share, spots)

    def step(self, now_us: int, dt_s: float) -> None:
        rain = self.weather.rain_mm_h(now_us)
        if rain > 0 and self.storm is None:
            self._begin_storm()
        if self.storm is not None:
            self.storm.advance(dt_s, rain)
        self._fallen.append((now_us, rain * dt_s / 3600))
        if len(self._fallen) > 4096 and self._fallen[1024][0] < now_us - 24 * 3600 * SECOND_US:
            del self._fallen[:1024]

    def depth_m(self, asset: str) -> float:
        """On the road of an underpass, or at a low point."""
        if self.storm is None:
            return 0.0
        return (
            self.storm.underpass_m(asset) if asset in self.sumps else self.storm.depth_at(self._cells[asset])
        )

    def sewer_m(self, manhole: str) -> float:
        """What the storm adds in a manhole or a forebay."""
        return 0.0 if self.storm is None else self.storm.sewer_m(manhole)

    def shown(self, device: Device, channel: str, calm: float, now_us: int) -> Shown:
        if device.kind == "fl_rain":
            window = {"rain_5m": 300, "rain_1h": 3600, "rain_24h": 86_400}[channel] * SECOND_US
            depth = sum(mm for at, mm in reversed(self._fallen) if at > now_us - window)
            return round(depth, 1), self.weather.rained if depth > 0.2 else NOBODY
        asset = device.spot.asset
        depth_m = self.depth_m(asset)
        pit = self.sumps.get(asset)
        if channel == "depth":
            shown = float(round(depth_m * 100))
        elif pit is None:
            return calm, NOBODY
        else:
            shown = {
                "sump_level": round(pit.sump_level_m, 2), "pumps_running": float(pit.running),
                "pumps_available": float(pit.available), "barrier_closed": float(pit.barrier_closed),
                "power_ok": float(pit.power_ok),
            }[channel]  # fmt: skip
        powered = pit is None or pit.power_ok
        place = next(n for n, spot in enumerate((*self.underpasses, *self.low_points)) if spot.asset == asset)
        return shown, label(self._cause(asset), place) if depth_m > 0.01 or not powered else NOBODY

    def _cause(self, asset: str) -> int:
        """Lost power before clogged inlets, and those before the rain on all."""
        unpowered = [cause for cause, spot in self._unpowered.items() if spot.asset == asset]
        clogged = [
            cause for cause, (_, spots) in self._clogged.items() if any(s.asset == asset for s in spots)
        ]
        return min(unpowered or clogged or [self.weather.rained], default=NOBODY)


@dataclass(slots=True)
class Sewers:
    """Levels in manholes and forebays: what is there on a calm day, and the storm's water on top."""

    roads: Roads
    spots: Sequence[Spot]

    def plays(self, device: Device, channel: str) -> bool:
        manhole = device.kind == "dr_manhole_level" and device.role != "chain"
        return manhole or (device.kind, channel) == ("dr_pump_station", "forebay_level")

    def begin(self, action: Act, cause: int, now_us: int) -> Spot | None: ...
    def end(self, cause: int, now_us: int) -> None: ...
    def step(self, now_us: int, dt_s: float) -> None: ...

    def shown(self, device: Device, channel: str, calm: float, now_us: int) -> Shown:
        del now_us
        risen = self.roads.sewer_m(device.spot.asset)
        level = max(calm - risen, 0.0) if channel == "depth_below_cover" else calm + risen
        place = next(n for n, spot in enumerate(self.spots) if spot.asset == device.spot.asset)
        return round(level, 2), label(self.roads.weather.rained, 100 + place) if risen > RISEN_M else NOBODY


#: Less than this is no rise in a sewer.
RISEN_M = 0.05


@dataclass(slots=True)
class Chain:
    """Manholes one below the other, and the pump station that they run to. A closed drain turns those above it into one
    pool that rises.
    """

    roads: Roads
    spots: Sequence[Spot]
    pool_m2: float = 25.0
    base_m3h: float = 72.0
    _blocked: dict[int, int] = field(default_factory=dict)
    _pumped: dict[int, tuple[int, float]] = field(default_factory=dict)
    _held_m3: float = 0.0
    _depth_m: float = 0.26

    def plays(self, device: Device, channel: str) -> bool:
        below = (device.kind, channel) == ("dr_pump_station", "flow")
        return device.role == "chain" or (below and device.spot.zone == self.spots[-1].zone)

    def begin(self, action: Act, cause: int, now_us: int) -> Spot | None:
        del now_us
        if isinstance(action, acts.Blockage):
            self._blocked[cause] = action.below - 1
            return self.spots[action.below - 1]
        if isinstance(action, acts.Discharge):
            self._pumped[cause] = (action.into - 1, action.flow_m3h)
            return self.spots[action.into - 1]
        return None

    def end(self, cause: int, now_us: int) -> None:
        del now_us
        self._blocked.pop(cause, None)
        self._pumped.pop(cause, None)

    def step(self, now_us: int, dt_s: float) -> None:
        del now_us
        if self._blocked:
            self._held_m3 += self.base_m3h / 3600 * dt_s
        else:
            self._held_m3 = max(0.0, self._held_m3 - 0.05 * dt_s)

    def _surface_m(self, last: int) -> float:
        """Level of the pool above the blockage: it fills the lowest first."""
        surface = self.spots[last].invert_m + self._depth_m
        left = self._held_m3
        for count in range(1, last + 2):
            above = self.spots[last - count].invert_m if count <= last else float("inf")
            room = max(0.0, above + self._depth_m - surface) * self.pool_m2 * count
            if left <= room:
                return surface + left / (self.pool_m2 * count)
            left -= room
            surface = above + self._depth_m
        return surface

    def shown(self, device: Device, channel: str, calm: float, now_us: int) -> Shown:
        del now_us
        if device.kind == "dr_pump_station":  # it gets what comes out of the chain, more or less than usual
            level, cause = self._level(len(self.spots) - 1, 0.26)
            return round(calm + self.base_m3h * ((level / 0.26) ** 1.6 - 1)), cause
        row = next(n for n, spot in enumerate(self.spots) if spot.asset == device.spot.asset)
        level, cause = self._level(row, calm if channel == "level" else 0.26)
        risen = self.roads.sewer_m(device.spot.asset)
        if risen > RISEN_M:
            level, cause = level + risen, self.roads.weather.rained if cause == NOBODY else cause
        if channel == "flow":
            return round(calm * (level / 0.26) ** 1.6, 1), cause
        if channel == "depth_below_cover":
            spot = self.spots[row]
            return round(max(spot.ground_m - spot.invert_m - level, 0.0), 2), cause
        return round(level, 2), cause

    def _level(self, row: int, calm: float) -> Shown:
        for cause, last in self._blocked.items():
            surface = self._surface_m(last)
            if row <= last:
                risen = surface - self.spots[row].invert_m
                return (risen, cause) if risen > calm + 0.02 else (calm, NOBODY)
            return 0.35 * calm, cause
        for cause, (into, flow) in self._pumped.items():
            if row >= into:
                return calm * ((self.base_m3h + flow) / self.base_m3h) ** 0.6, cause
        return calm, NOBODY


@dataclass(slots=True)
class Gas:
    """Leaks at the cluster of valves, which reach the wells around it; and sewer gas in wells elsewhere."""

    cluster: Sequence[Spot]
    wells: Sequence[Spot]
    elsewhere: Sequence[Spot]
    _leaks: dict[int, tuple[int, float]] = field(default_factory=dict)
    _chambers: dict[str, Chamber] = field(default_factory=dict)
    _bio: dict[int, tuple[str, int, float]] = field(default_factory=dict)
    _last: int = NOBODY

    def __post_init__(self) -> None:
        middle = self.cluster[0]
        for spot in (*self.cluster, *self.wells):
            share, delay = gas.through_soil(max(metres(spot, middle), 4.0))
            self._chambers[spot.asset] = Chamber(share=share, delay_s=delay)

    def plays(self, device: Device, channel: str) -> bool:
        mine = device.spot.asset in self._chambers or device.kind == "dr_well_gas"
        return mine and channel == "ch4_lel"

    def begin(self, action: Act, cause: int, now_us: int) -> Spot | None:
        if isinstance(action, acts.GasLeak):
            self._leaks[cause] = (now_us, gas.orifice_m3h(action.hole_mm, action.pressure_pa))
            self._last = cause
            return self.cluster[0]
        if isinstance(action, acts.Biogas):
            well = self.elsewhere[action.well - 1]
            self._bio[cause] = (well.asset, now_us, action.lel_pct)
            return well
        return None

    def end(self, cause: int, now_us: int) -> None:
        del now_us
        self._leaks.pop(cause, None)
        self._bio.pop(cause, None)

    def step(self, now_us: int, dt_s: float) -> None:
        leak = sum(flow for _, flow in self._leaks.values())
        since = min((begun for begun, _ in self._leaks.values()), default=now_us)
        for chamber in self._chambers.values():
            chamber.step(dt_s, leak, (now_us - since) / SECOND_US)

    def shown(self, device: Device, channel: str, calm: float, now_us: int) -> Shown:
        del channel
        chamber = self._chambers.get(device.spot.asset)
        lel = chamber.lel_pct if chamber else 0.0
        cause = self._last if lel > 1.0 else NOBODY
        for row, (asset, begun, most) in self._bio.items():
            if asset == device.spot.asset:
                hours = (now_us - begun) / SECOND_US / 3600
                lel += most * float(np.sin(np.pi * min(hours / 6, 1.0)) ** 2)
                cause = row
        return round(min(calm + lel, 100.0), 1), cause


#: A puff of dust is released at least this often; the wind's direction wavers by this standard deviation.
PUFF_S, WAVER_DEG = 15.0, 8.0
_WAVER = np.array([streams.key_of(0, "wind")], np.uint64)


@dataclass(slots=True)
class Sites:
    """Construction sites: dust on the wind, noise, power; and haze over all."""

    weather: Weather
    sites: Sequence[Spot]
    _dust: dict[int, tuple[Spot, float]] = field(default_factory=dict)
    _puffs: dict[int, Puffs] = field(default_factory=dict)
    _haze: dict[int, float] = field(default_factory=dict)
    _noise: dict[int, tuple[Spot, float, float]] = field(default_factory=dict)

    def plays(self, device: Device, channel: str) -> bool:
        if device.kind == "con_dust_noise":
            return channel in ("pm10", "tsp", "pm25", "laeq_1m")
        return (device.kind, channel) in (("con_power", "power_kw"), ("con_background", "pm10"))

    def begin(self, action: Act, cause: int, now_us: int) -> Spot | None:
        del now_us
        if isinstance(action, acts.Dust):
            self._dust[cause] = (self.sites[action.site - 1], action.rate_gs)
            self._puffs[cause] = Puffs()
            return self.sites[action.site - 1]
        if isinstance(action, acts.Haze):
            self._haze[cause] = action.pm10
            return Spot("", 0, 0)
        if isinstance(action, acts.Noise):
            self._noise[cause] = (self.sites[action.site - 1], action.sound_db, action.power_kw)
            return self.sites[action.site - 1]
        return None

    def end(self, cause: int, now_us: int) -> None:
        del now_us
        self._haze.pop(cause, None)
        self._noise.pop(cause, None)
        if cause in self._dust:  # what is in the air goes on
            self._dust[cause] = (self._dust[cause][0], 0.0)

    def step(self, now_us: int, dt_s: float) -> None:
        """Puffs of every dusty site drift with the wind of now, which wavers from minute to minute."""
        waver = streams.normal(_WAVER, np.array([now_us // MINUTE_US]))
        wind = self.weather.wind_from_deg + WAVER_DEG * float(waver[0])
        steps = max(1, math.ceil(dt_s / PUFF_S))
        for cause, (_, rate) in self._dust.items():
            for _ in range(steps):
                self._puffs[cause].step(dt_s / steps, wind, self.weather.wind_ms, rate * dt_s / steps)

    def shown(self, device: Device, channel: str, calm: float, now_us: int) -> Shown:
        del now_us
        if channel == "laeq_1m":
            return self._level(device, calm)
        if channel == "power_kw":
            for cause, (spot, _, power) in self._noise.items():
                if spot.asset == device.spot.asset:
                    return round(calm + power, 1), cause
            return calm, NOBODY
        factor = {"tsp": 1.8, "pm10": 1.0, "pm25": 0.35}[channel]
        added, cause = 0.0, NOBODY
        for row in self._dust:
            here = self._dust_at(row, device.spot)
            if here > 15:
                cause = row
            added += here
        added += sum(self._haze.values())
        if self._haze and cause == NOBODY:
            cause = next(iter(self._haze))
        return float(round(calm + factor * added)), cause

    def _level(self, device: Device, calm: float) -> Shown:
        for cause, (spot, power, _) in self._noise.items():
            distance = 25.0 if spot.asset == device.spot.asset else metres(spot, device.spot)
            level = site.together(calm, site.at_distance(power, distance))
            if level > calm + 3:
                return round(level, 1), cause
        return calm, NOBODY

    def _dust_at(self, cause: int, monitor: Spot) -> float:
        """µg/m³ of a site's dust; the site's own monitor stands 40 m downwind of the work at most times."""
        source, rate = self._dust[cause]
        if source.asset == monitor.asset:
            return rate * 60.0 / max(self.weather.wind_ms, plume.CALM_MS)
        east = (monitor.lon - source.lon) * 95_200.0
        north = (monitor.lat - source.lat) * 111_320.0
        return self._puffs[cause].at(east, north)


@dataclass(slots=True)
class Fires:
    """A fire in the first building, and detectors that alarm for nothing."""

    building: Spot
    seed: int
    detectors: Sequence[str] = ()
    _fire: dict[int, tuple[int, list[float]]] = field(default_factory=dict)
    _false: dict[int, list[tuple[int, str]]] = field(default_factory=dict)

    def plays(self, device: Device, channel: str) -> bool:
        return device.kind == "fire_detector" and channel == "alarm"

    def begin(self, action: Act, cause: int, now_us: int) -> Spot | None:
        if isinstance(action, acts.Fire):
            radii = [1.5 + 2.2 * n for n in range(action.detectors)]
            self._fire[cause] = (now_us, [fire.smoke_seconds(action.growth, 3.0, radius) for radius in radii])
            return self.building
        if isinstance(action, acts.Nuisance):
            rng = np.random.default_rng([self.seed, cause])
            spread = max(action.lasts, 60.0) * SECOND_US
            self._false[cause] = [
                (now_us + int(rng.uniform(0, spread)), str(rng.choice(self.detectors)))
                for _ in range(action.count)
            ]
            return Spot("", 0, 0)
        return None

    def end(self, cause: int, now_us: int) -> None:
        del now_us
        self._fire.pop(cause, None)

    def step(self, now_us: int, dt_s: float) -> None: ...

    def shown(self, device: Device, channel: str, calm: float, now_us: int) -> Shown:
        del channel
        for cause, (begun, seconds) in self._fire.items():
            number = int(device.id.rpartition("-")[2]) if device.id.count("-") == 3 else 1
            there = device.spot.asset == self.building.asset and number <= len(seconds)
            if there and (now_us - begun) / SECOND_US >= seconds[number - 1]:
                return 1.0, cause
        for alarms in self._false.values():  # nobody is to blame: each stands alone
            if any(name == device.id and 0 <= now_us - at < 120 * SECOND_US for at, name in alarms):
                return 1.0, NOBODY
        return calm, NOBODY


def of(
    places: Places, city: City, hours: float, roads: Sequence[Spot], detectors: Sequence[str], seed: int
) -> list[Part]:
    """The parts of a city for a run of so many hours; the supply has a file of its own."""
    weather = Weather()
    wet = Roads(weather, places.underpasses, roads, city, hours)
    return [
        weather, wet, Sewers(wet, (*places.manholes, *places.pump_stations)), Chain(wet, places.drain_chain),
        Gas(places.gas_cluster, places.well_cluster, places.manholes), Sites(weather, places.sites),
        Fires(places.buildings[0], seed, detectors),
    ]  # fmt: skip
