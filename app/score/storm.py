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
from events.correlate import Correlator, Fact
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

    def downstream_m(self, upper: str, lower: str) -> float | None:
        sensors, at, metres = self._sensors, self._row.get(upper, -1), 0.0
        for _ in range(12):
            if at < 0:
                return None
            if str(sensors.asset[at]) == lower:
                return metres
            below = int(sensors.below[at])
            if below >= 0:
                metres += float(
                    np.hypot(sensors.x_m[at] - sensors.x_m[below], sensors.y_m[at] - sensors.y_m[below])
                )
            at = below
        return None

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


def correlate(storm: Storm, types: Mapping[str, Kind]) -> Night:
    """Give the product's correlator the alarms one by one; an incident is a group whose evidence weighs enough."""
    correlator = Correlator(types.values(), World(Drains(storm), lambda _place, _time: storm.wind_to_rad))
    told = facts(storm)
    alarms: list[int] = []
    begun = cpu_s()
    for fact in told:
        for group in correlator.add(fact):
            if (
                group.anchors
                and not group.incident
                and correlator.score(group).total >= correlator.types[group.type].open
            ):
                group.incident = f"{group.type}/{fact.id}"
                alarms.append(fact.onset_us)
    spent = cpu_s() - begun
    said = np.full(len(told), -1, np.int64)
    names: dict[str, int] = {}
    for row, fact in enumerate(told):
        own = sorted(group.incident for group in correlator.groups_of(fact.id) if group.incident)
        if own:
            said[row] = names.setdefault(own[0], len(names))
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
