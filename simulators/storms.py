"""Storm-25: a night of alarms with known causes. 25 incidents in six hours on 20 000 sensors, among false alarms.

A city of 8.6 × 8.6 km: metering districts, drains that run to outfalls, buildings full of smoke detectors. Each
incident raises alarms with the lags of its physics; every sensor may raise a false one at any time (Poisson, the
same rate for all). What belongs together is the truth; a false alarm belongs to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HOURS = 6.0
INCIDENTS = 25
SIDE_M = 8600.0
SENSORS = 20_000
DISTRICTS = 9  # a side
OUTFALLS = 10
AREAS = 4  # a side
#: Where the plane's origin lies (WGS 84 degrees).
LON, LAT = 121.40, 31.20

#: kind → (share of the sensors, domain, the rule of its false alarms)
KINDS: dict[str, tuple[float, str, str]] = {
    "ws_pressure_logger": (0.20, "water_supply", "ws.pressure.drop"),
    "ws_flow_meter": (0.01, "water_supply", "ws.flow.jump"),
    "ws_hydrant": (0.14, "water_supply", "ws.hydrant.low"),
    "dr_manhole_level": (0.20, "drainage", "dr.level.rise_dry"),
    "dr_sewer_flow": (0.03, "drainage", "dr.flow.lost"),
    "gas_space": (0.12, "gas", "gas.space.l3"),
    "gas_valve_pit": (0.05, "gas", "gas.pit.l3"),
    "con_dust_noise": (0.04, "construction", "con.dust.over"),
    "fire_detector": (0.16, "fire", "fire.alarm"),
    "fl_street_depth": (0.05, "flood", "fl.depth.dry"),
}
DETECTORS_PER_BUILDING = 16


@dataclass(frozen=True, slots=True, eq=False)
class Sensors:
    """n sensors, parallel: metres of the plane, district or catchment, street, asset (the building of a detector).

    below   for sensors on drains: the row of the sensor that the water reaches next, -1 at an outfall
    """

    kind: NDArray[np.str_]
    x_m: Floats
    y_m: Floats
    zone: NDArray[np.str_]
    area: NDArray[np.str_]
    asset: NDArray[np.str_]
    below: Ints

    def __len__(self) -> int:
        return len(self.kind)

    def of(self, *kinds: str) -> Ints:
        return np.flatnonzero(np.isin(self.kind, kinds))

    def within(self, rows: Ints, x: float, y: float, reach_m: float) -> Ints:
        """Those of some rows that lie within a distance."""
        return rows[np.hypot(self.x_m[rows] - x, self.y_m[rows] - y) <= reach_m]

    def lonlat(self) -> tuple[Floats, Floats]:
        return LON + self.x_m / (111_320 * np.cos(np.radians(LAT))), LAT + self.y_m / 111_320


@dataclass(slots=True)
class Cause:
    """What happened: its kind, where, when (s), and the sensor or asset that a perfect engine names."""

    kind: str
    x_m: float
    y_m: float
    time_s: float
    asset: str
    detail: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Storm:
    """Alarms in order of time; `truth` is the row of the cause, -1 for a false alarm. `wind` is where it blows to."""

    sensors: Sensors
    causes: list[Cause]
    time_s: Floats
    sensor: Ints
    rule: list[str]
    truth: Ints
    wind_to_rad: float

    def __len__(self) -> int:
        return len(self.time_s)


def make(seed: int, false_per_hour: float) -> Storm:
    """One night. The city, the incidents and the false alarms are all drawn from the seed."""
    rng = np.random.default_rng([25, seed])
    sensors = _sensors(rng)
    wind = float(rng.uniform(0, 2 * np.pi))
    draft = _Draft(sensors, rng, wind)
    turns: list[Callable[[], None]] = [draft.burst, draft.blockage, draft.gas, draft.dust, draft.fire]
    for number in range(INCIDENTS):
        turns[number % len(turns)]()
    draft.false_alarms(false_per_hour)
    return draft.finish()


def _sensors(rng: np.random.Generator) -> Sensors:
    counts = {kind: round(share * SENSORS) for kind, (share, _, _) in KINDS.items()}
    kind = np.repeat(list(counts), list(counts.values()))
    x, y = rng.uniform(0, SIDE_M, (2, len(kind)))
    asset = np.array([f"A-{row}" for row in range(len(kind))], dtype="<U12")
    _into_buildings(rng, np.flatnonzero(kind == "fire_detector"), x, y, asset)
    _one_meter_a_district(np.flatnonzero(kind == "ws_flow_meter"), x, y)
    district = (y // (SIDE_M / DISTRICTS)).astype(int) * DISTRICTS + (x // (SIDE_M / DISTRICTS)).astype(int)
    zone = np.array([f"DMA-{number:02d}" for number in district], dtype="<U12")
    drains = np.flatnonzero(np.isin(kind, ["dr_manhole_level", "dr_sewer_flow", "fl_street_depth"]))
    outfall_x, outfall_y = rng.uniform(0, SIDE_M, (2, OUTFALLS))
    away = np.hypot(x[drains, None] - outfall_x, y[drains, None] - outfall_y)
    zone[drains] = [f"CA-{number:02d}" for number in away.argmin(axis=1)]
    area = (y // (SIDE_M / AREAS)).astype(int) * AREAS + (x // (SIDE_M / AREAS)).astype(int)
    below = np.full(len(kind), -1, np.int64)
    pipes = np.flatnonzero(np.isin(kind, ["dr_manhole_level", "dr_sewer_flow"]))
    gap = np.hypot(x[pipes, None] - outfall_x, y[pipes, None] - outfall_y).min(axis=1)
    below[pipes] = _flows_to(pipes, x, y, zone, gap)
    return Sensors(kind, x, y, zone, np.array([f"S-{number:02d}" for number in area]), asset, below)


def _into_buildings(
    rng: np.random.Generator, rows: Ints, x: Floats, y: Floats, asset: NDArray[np.str_]
) -> None:
    """Smoke detectors stand together in buildings of some 40 m."""
    for start in range(0, len(rows), DETECTORS_PER_BUILDING):
        mine = rows[start : start + DETECTORS_PER_BUILDING]
        x[mine] = x[mine[0]] + rng.uniform(-20, 20, len(mine))
        y[mine] = y[mine[0]] + rng.uniform(-20, 20, len(mine))
        asset[mine] = f"B-{mine[0]}"
    np.clip(x, 0, SIDE_M - 1e-6, out=x)
    np.clip(y, 0, SIDE_M - 1e-6, out=y)


def _one_meter_a_district(rows: Ints, x: Floats, y: Floats) -> None:
    """The first meters stand one in each district, the others anywhere."""
    side = SIDE_M / DISTRICTS
    for number, row in enumerate(rows[: DISTRICTS * DISTRICTS].tolist()):
        x[row] = (number % DISTRICTS) * side + x[row] / DISTRICTS
        y[row] = (number // DISTRICTS) * side + y[row] / DISTRICTS


def _flows_to(pipes: Ints, x: Floats, y: Floats, zone: NDArray[np.str_], gap: Floats) -> Ints:
    """For each manhole the nearest of its catchment that is nearer to the outfall; -1 where there is none."""
    found = np.full(len(pipes), -1, np.int64)
    for name in np.unique(zone[pipes]):
        mine = np.flatnonzero(zone[pipes] == name)
        places = np.column_stack([x[pipes[mine]], y[pipes[mine]]])
        _, near = cKDTree(places).query(places, k=min(40, len(mine)))
        for here, neighbours in enumerate(near.tolist()):
            lower = next((n for n in neighbours[1:] if gap[mine[n]] < gap[mine[here]]), None)
            if lower is not None:
                found[mine[here]] = pipes[mine[lower]]
    return found


class _Draft:
    """Causes and their alarms while they are being drawn."""

    def __init__(self, sensors: Sensors, rng: np.random.Generator, wind: float) -> None:
        self.sensors, self.rng, self.wind = sensors, rng, wind
        self.causes: list[Cause] = []
        self.rows: list[tuple[float, int, str, int]] = []
        self._above: dict[int, list[int]] = {}
        for row, lower in enumerate(sensors.below.tolist()):
            self._above.setdefault(lower, []).append(row)

    def _begin(self, kind: str, row: int) -> Cause:
        sensors = self.sensors
        time = float(self.rng.uniform(300, HOURS * 3600 - 3600))
        cause = Cause(kind, float(sensors.x_m[row]), float(sensors.y_m[row]), time, str(sensors.asset[row]))
        self.causes.append(cause)
        return cause

    def _alarm(self, row: int, rule: str, lag_s: float, cause: Cause) -> None:
        self.rows.append((cause.time_s + max(lag_s, 1.0), row, rule, len(self.causes) - 1))

    def burst(self) -> None:
        """Pressures fall in the district, most near the break; its inflow jumps; hydrants and water on the road."""
        sensors, rng = self.sensors, self.rng
        cause = self._begin("burst", int(rng.choice(sensors.of("ws_pressure_logger"))))
        here = int(np.flatnonzero(sensors.asset == cause.asset)[0])
        district = np.flatnonzero(sensors.zone == sensors.zone[here])
        away = np.hypot(sensors.x_m[district] - cause.x_m, sensors.y_m[district] - cause.y_m)
        seen = district[rng.random(len(district)) < np.exp(-away / 400.0)]
        for row in seen.tolist():
            kind = sensors.kind[row]
            if kind == "ws_pressure_logger":
                self._alarm(row, "ws.pressure.drop", rng.uniform(120, 360), cause)
            elif kind == "ws_hydrant" and rng.random() < 0.35:
                self._alarm(row, "ws.hydrant.low", rng.uniform(180, 1500), cause)
        for row in district[sensors.kind[district] == "ws_flow_meter"].tolist():
            self._alarm(row, "ws.flow.jump", rng.uniform(300, 700), cause)
        for row in sensors.within(sensors.of("fl_street_depth"), cause.x_m, cause.y_m, 150.0).tolist():
            self._alarm(row, "fl.depth.dry", rng.uniform(400, 1500), cause)

    def blockage(self) -> None:
        """Levels rise upstream, one manhole after the other; the flow downstream is lost."""
        sensors, rng = self.sensors, self.rng
        for _ in range(200):
            start = int(rng.choice(sensors.of("dr_manhole_level")))
            upper = self._upstream(start, 10)
            if len(upper) >= 5:
                break
        cause = self._begin("blockage", start)
        for row, hops in upper:
            if sensors.kind[row] == "dr_manhole_level":
                self._alarm(row, "dr.level.rise_dry", 300 + 260 * hops + rng.uniform(-80, 200), cause)
        lower = int(sensors.below[start])
        for _ in range(4):
            if lower >= 0 and sensors.kind[lower] == "dr_sewer_flow":
                self._alarm(lower, "dr.flow.lost", rng.uniform(900, 1800), cause)
            lower = int(sensors.below[lower]) if lower >= 0 else -1

    def _upstream(self, start: int, most: int) -> list[tuple[int, int]]:
        found, layer, hops = [(start, 0)], [start], 0
        while layer and len(found) < most:
            hops += 1
            layer = [upper for row in layer for upper in self._above.get(row, [])]
            found += [(row, hops) for row in layer]
        return found[:most]

    def gas(self) -> None:
        """Methane finds its way into the pits and spaces around, the near ones first."""
        sensors, rng = self.sensors, self.rng
        rows = sensors.of("gas_space", "gas_valve_pit")
        for _ in range(200):
            start = int(rng.choice(rows))
            near = sensors.within(rows, float(sensors.x_m[start]), float(sensors.y_m[start]), 150.0)
            if len(near) >= 4:
                break
        cause = self._begin("gas", start)
        for row in near.tolist():
            away = float(np.hypot(sensors.x_m[row] - cause.x_m, sensors.y_m[row] - cause.y_m))
            rule = "gas.space.l3" if sensors.kind[row] == "gas_space" else "gas.pit.l3"
            self._alarm(row, rule, 60 + 6 * away + rng.uniform(0, 240), cause)

    def dust(self) -> None:
        """A site raises dust: its own monitor, then those downwind as the wind brings it (2 to 4 m/s)."""
        sensors, rng = self.sensors, self.rng
        rows = sensors.of("con_dust_noise")
        speed = rng.uniform(2, 4)
        for _ in range(400):
            start = int(rng.choice(rows))
            east, north = sensors.x_m[rows] - sensors.x_m[start], sensors.y_m[rows] - sensors.y_m[start]
            along = east * np.cos(self.wind) + north * np.sin(self.wind)
            aside = np.abs(-east * np.sin(self.wind) + north * np.cos(self.wind))
            hit = (along > 0) & (along < 1100) & (aside < 40 + 0.22 * along)
            if hit.sum() >= 3:
                break
        cause = self._begin("dust", start)
        cause.detail = {"speed_ms": float(speed)}
        self._alarm(start, "con.dust.over", rng.uniform(30, 200), cause)
        for row, metres in zip(rows[hit].tolist(), along[hit].tolist(), strict=True):
            self._alarm(row, "con.dust.over", metres / speed + rng.uniform(60, 400), cause)

    def fire(self) -> None:
        """Detectors of one building, one after the other; hydrants around fall as the brigade takes water."""
        sensors, rng = self.sensors, self.rng
        cause = self._begin("fire", int(rng.choice(sensors.of("fire_detector"))))
        building = np.flatnonzero(sensors.asset == cause.asset)
        rows = rng.permutation(building)[: int(rng.integers(4, 11))]
        for turn, row in enumerate(rows.tolist()):
            self._alarm(row, "fire.alarm", 20 + 35 * turn + rng.uniform(0, 40), cause)
        hydrants = sensors.within(sensors.of("ws_hydrant"), cause.x_m, cause.y_m, 260.0)
        for row in hydrants[: int(rng.integers(2, 7))].tolist():
            self._alarm(row, "ws.hydrant.low", rng.uniform(400, 1400), cause)

    def false_alarms(self, per_hour: float) -> None:
        """Poisson in time, uniform over the sensors."""
        rng = self.rng
        count = int(rng.poisson(per_hour * HOURS))
        for time, row in zip(
            rng.uniform(0, HOURS * 3600, count), rng.integers(0, len(self.sensors), count), strict=True
        ):
            self.rows.append((float(time), int(row), KINDS[str(self.sensors.kind[row])][2], -1))

    def finish(self) -> Storm:
        self.rows.sort()
        time, row, rule, truth = zip(*self.rows, strict=True)
        return Storm(
            self.sensors, self.causes, np.array(time), np.array(row), list(rule), np.array(truth), self.wind
        )
