"""Storm-25, scored: the product's correlation and the baselines on the same alarms of the same nights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.score import baselines, grouping
from app.score.baselines import Alerts
from app.score.grouping import Labels
from app.score.product import cpu_s
from app.score.scenarios import busiest
from core.clock import SECOND_US
from events import offline
from events.background import Background, Speakers
from events.correlate import Correlator
from events.facts import Fact
from events.place import Place, World
from events.types import Kind
from simulators import storms
from simulators.storms import Storm

BEGUN_US = 1_795_300_000_000_000
#: Published for this benchmark (8 seeds): false alarms an hour → method → (B³-F, found, precision).
PUBLISHED = {
    50: {"stdbscan": (0.965, 0.925, 0.93), "typed_topology": (0.981, 0.985, 0.88)},
    300: {"stdbscan": (0.900, 0.904, 0.18), "typed_topology": (0.986, 0.985, 0.79)},
    1500: {"stdbscan": (0.170, 0.030, 0.004), "typed_topology": (0.961, 0.975, 0.09)},
}
#: An alarm of a storm is over after this long.
STANDS_US = 30 * 60 * SECOND_US


class Drains:
    """The storm's drains as the correlation asks for them: from a manhole to the next below it."""

    def __init__(self, storm: Storm) -> None:
        sensors = storm.sensors
        self._row = {str(asset): row for row, asset in enumerate(sensors.asset) if sensors.below[row] >= 0}
        self._sensors = sensors
        self._ways: dict[str, dict[str, float]] = {}

    def downstream_m(self, upper: str, lower: str) -> float | None:
        way = self._ways.get(upper)
        if way is None:
            way = self._ways[upper] = self._way(upper)
        return way.get(lower)

    def _way(self, upper: str) -> dict[str, float]:
        """The sensors below one, with the metres that water flows to them."""
        sensors, at, metres = self._sensors, self._row.get(upper, -1), 0.0
        found: dict[str, float] = {}
        while at >= 0 and len(found) < 12:
            found[str(sensors.asset[at])] = metres
            below = int(sensors.below[at])
            if below >= 0:
                metres += float(
                    np.hypot(sensors.x_m[at] - sensors.x_m[below], sensors.y_m[at] - sensors.y_m[below])
                )
            at = below
        return found

    def along_m(self, one: str, other: str) -> float | None:
        ways = [
            way for way in (self.downstream_m(one, other), self.downstream_m(other, one)) if way is not None
        ]
        return min(ways, default=None)


def facts(storm: Storm) -> list[Fact]:
    """The alarms as the correlation takes them."""
    sensors = storm.sensors
    lon, lat = sensors.lonlat()
    found = []
    for row, (second, sensor, rule) in enumerate(
        zip(storm.time_s.tolist(), storm.sensor.tolist(), storm.rule, strict=True)
    ):
        onset = BEGUN_US + round(second * SECOND_US)
        place = Place(
            float(lon[sensor]), float(lat[sensor]), f"s-{sensor}", str(sensors.asset[sensor]),
            str(sensors.zone[sensor]), str(sensors.area[sensor]),
        )  # fmt: skip
        found.append(Fact(f"{row}", rule, place, onset, onset + STANDS_US, speaker=f"s-{sensor}", level=3))
    return found


@dataclass(frozen=True)
class Night:
    """One storm and what the product made of it."""

    storm: Storm
    said: Labels
    us_per_alert: float
    alarms_us: list[int]

    @cached_property
    def found(self) -> grouping.Found:
        return grouping.incidents_found(self.storm.truth, self.said)


def speakers(storm: Storm) -> dict[str, Speakers]:
    """Who can raise which rule by chance: the sensors of the kind."""
    sensors = storm.sensors
    lon, lat = sensors.lonlat()
    return {
        rule: Speakers(
            Place(
                float(lon[row]), float(lat[row]), f"s-{row}", str(sensors.asset[row]), str(sensors.zone[row]),
                str(sensors.area[row]),
            )
            for row in sensors.of(kind).tolist()
        )
        for kind, (_, _, rule) in storms.KINDS.items()
    }  # fmt: skip


def correlator(
    storm: Storm, types: Mapping[str, Kind], known: dict[str, Speakers] | None = None
) -> Correlator:
    """The product's correlator in the storm's city."""
    world = World(Drains(storm), lambda _place, _time: storm.wind_to_rad)
    return Correlator(types.values(), world, Background(known or speakers(storm)))


def correlate(storm: Storm, types: Mapping[str, Kind]) -> Night:
    """Give the product's correlator the alarms one by one, and take the incidents it opens."""
    made = correlator(storm, types)
    told = facts(storm)
    begun = cpu_s()
    found = offline.correlate(made, told)
    spent = cpu_s() - begun
    said = np.full(len(told), -1, np.int64)
    for number, incident in enumerate(sorted(found, key=lambda each: each.name, reverse=True)):
        said[[int(fact) for fact in incident.facts]] = number
    alarms = sorted(incident.opened_us for incident in found)
    return Night(storm, said, 1e6 * spent / max(len(told), 1), alarms)


def columns(storm: Storm) -> Alerts:
    """The alarms as the baselines take them."""
    sensors, row = storm.sensors, storm.sensor
    return Alerts(
        storm.time_s, sensors.x_m[row], sensors.y_m[row],
        [storms.KINDS[kind][1] for kind in sensors.kind[row].tolist()], storm.rule,
        sensors.zone[row].tolist(), sensors.area[row].tolist(),
    )  # fmt: skip


def score(rate: int, seeds: range, types: Mapping[str, Kind]) -> dict[str, float]:
    """Means over seeds: the product's figures, and the baselines' with their prefixes."""
    rows: list[dict[str, float]] = []
    for seed in seeds:
        storm = storms.make(seed, rate)
        night = correlate(storm, types)
        row = {
            **_grouped(storm.truth, night.said), "us_per_alert": night.us_per_alert,
            "operator_alarms_10min": float(busiest(night.alarms_us)),
            "alerts_per_incident": len(storm) / max(night.found.said, 1),
        }  # fmt: skip
        alerts = columns(storm)
        for name, method in baselines.BASELINES.items():
            row |= {f"{name}_{key}": value for key, value in _grouped(storm.truth, method(alerts)).items()}
        rows.append(row)
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _grouped(truth: Labels, said: Labels) -> dict[str, float]:
    found = grouping.incidents_found(truth, said)
    return {
        "b3f": grouping.b3f(truth, said), "ari": grouping.ari(truth, said), "ami": grouping.ami(truth, said),
        "found": found.recall, "precision": found.precision, "incidents": float(found.said),
    }  # fmt: skip
