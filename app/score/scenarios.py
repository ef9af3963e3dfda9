"""One scenario, scored: the simulated city speaks, the product listens, and what it says is held against the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.pipes import Pipes
from app.score import baselines, grouping, response
from app.score.baselines import Alerts
from app.score.grouping import Labels
from app.score.product import Product
from core.clock import MINUTE_US, SECOND_US
from core.domains import Domains
from events.breaks import Located
from events.facts import Fact
from events.offline import SaidIncident
from events.place import METRES_A_DEGREE, Place
from events.place import World as Around
from gis.city import City
from simulators.parts import NOBODY, action_of
from simulators.places import Spot, metres
from simulators.scenario import Expected, Scenario
from simulators.scene import Scene
from simulators.world import FactTold, Told, World

#: An incident may stand this long before its cause was logged: ticks and clocks.
EARLY_US = 60 * SECOND_US
TOP, NEAR_M = 3, 300.0
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Match:
    """An expected incident and what was said of it; None: missed."""

    expected: Expected
    cause: int
    from_us: int
    spot: Spot
    said: SaidIncident | None

    @property
    def delay_s(self) -> float:
        return (self.said.opened_us - self.from_us) / SECOND_US if self.said else float("nan")

    @property
    def off_m(self) -> float:
        return metres(self.spot, Spot("", self.said.lon, self.said.lat)) if self.said else float("nan")

    def cause_rank(self) -> int:
        """The place of the first named cause that lies at the truth (300 m, or the very asset); 0: none."""
        for rank, (asset, lon, lat, _) in enumerate(self.said.causes if self.said else (), 1):
            if asset == self.spot.asset or metres(self.spot, Spot("", lon, lat)) <= NEAR_M:
                return rank
        return 0


@dataclass(frozen=True)
class Judged:
    """Incidents that somebody said in a run, held against its truth. `typed`: a wrong type is a miss."""

    run: Run
    said: list[SaidIncident]
    typed: bool = True

    @cached_property
    def matches(self) -> list[Match]:
        """Every expected incident with the said one that fits and came first; each said one serves once."""
        found: list[Match] = []
        used: set[str] = set()
        for expected in self.run.scenario.expect.incidents:
            cause = self.run.scenario.names[expected.cause]
            told = self.run.world.told.get(cause)
            if told is None:
                continue
            free = [said for said in self.said if said.id not in used]
            fits = sorted(
                (said for said in free if self._fits(said, expected, told)), key=lambda said: said.opened_us
            )
            if fits:
                used.add(fits[0].id)
            found.append(Match(expected, cause, told.from_us, told.spot, fits[0] if fits else None))
        return found

    def _fits(self, said: SaidIncident, expected: Expected, told: Told) -> bool:
        until_us = told.from_us + round(expected.within * SECOND_US)
        in_time = told.from_us - EARLY_US <= said.opened_us <= until_us
        spot = told.spot
        near = not spot.asset or metres(spot, Spot("", said.lon, said.lat)) <= expected.near_m
        return in_time and near and (not self.typed or said.type in expected.types)

    @cached_property
    def false(self) -> list[SaidIncident]:
        """Said incidents that are nobody's, or of something that is no incident."""
        expected, names = self.run.scenario.expect, self.run.scenario.names
        fine = {names[name] for name in (*expected.more, *(each.cause for each in expected.incidents))}
        right = {match.said.id for match in self.matches if match.said}
        return [said for said in self.said if said.id not in right and self.run.cause_of(said) not in fine]

    def figures(self) -> dict[str, float]:
        """How well incidents were said; NaN where there was nothing to measure."""
        hit = [match for match in self.matches if match.said]
        placed = [match for match in hit if match.spot.asset]
        delays, off = [match.delay_s for match in hit], np.array([match.off_m for match in placed])
        ranks = np.array([match.cause_rank() for match in placed])
        return {
            "recall": len(hit) / len(self.matches) if self.matches else 1.0,
            "precision": len(hit) / (len(hit) + len(self.false)) if hit or self.false else 1.0,
            "delay_p50_s": _quantile(delays, 0.5), "delay_p90_s": _quantile(delays, 0.9),
            "localisation_p50_m": _quantile(off, 0.5),
            "localisation_300m_share": _mean(off <= NEAR_M),
            "cause_top1": _mean(ranks == 1), "cause_top3": _mean((ranks >= 1) & (ranks <= TOP)),
            "alerts_per_incident": len(self.run.product.alerts) / len(self.said) if self.said else float("nan"),
        }  # fmt: skip


def _quantile(values: Sequence[float] | Floats, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else float("nan")


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else float("nan")


@dataclass(frozen=True)
class Run:
    """A finished run: the world with its truth, the product with what it said."""

    scenario: Scenario
    seed: int
    world: World
    product: Product
    city: City
    #: Point → what it said, (time µs, value), for pictures.
    heard: dict[str, list[tuple[int, float]]]

    @cached_property
    def live_incidents(self) -> list[SaidIncident]:
        return [said for said in self.product.incidents.values() if not said.merged_into]

    @cached_property
    def ours(self) -> Judged:
        return Judged(self, self.live_incidents)

    def cause_of(self, said: SaidIncident) -> int:
        """The action that most of an incident's alerts are due to."""
        causes = [action_of(self.truth_of(fact)) for fact in said.facts if fact in self.product.alerts]
        if not causes:  # one that rests on other incidents alone
            told = self.product.incidents
            causes = [self.cause_of(told[fact]) for fact in said.facts if fact in told]
        return max(set(causes), key=causes.count) if causes else NOBODY

    def truth_of(self, alert: str) -> int:
        row = self.product.alerts[alert]
        device, _, channel = str(row["subject"]).partition("/")
        raised = int(row["raised_us"])
        return self.world.blame(device, channel, raised - 30 * MINUTE_US, raised)

    def as_incidents(self, labels: Labels) -> list[SaidIncident]:
        """Groups of a public method as if each were an incident: it begins with its first alert and lies in the middle.

        The method names no cause: its alerts in order of time stand for that. `labels` are in the order of `order`.
        """
        rows = [list(self.product.alerts.items())[at] for at in self.order]
        found = []
        for label in sorted(set(labels[labels >= 0].tolist())):
            mine = [rows[at] for at in np.flatnonzero(labels == label).tolist()]
            first = int(mine[0][1]["raised_us"])
            places = [(float(row["lon"]), float(row["lat"])) for _, row in mine]
            lon, lat = np.mean(places, axis=0).tolist()
            causes = [(str(row["asset"]), *place, 0.0) for (_, row), place in zip(mine, places, strict=True)]
            facts = {name for name, _ in mine}
            found.append(SaidIncident(str(label), "", first, first, lon, lat, "", "", 0, "", causes, facts))
        return found

    @cached_property
    def truth(self) -> Labels:
        """The action behind each alert, in the order of `alerts`."""
        return np.array([self.truth_of(alert) for alert in self.product.alerts], np.int64)

    @cached_property
    def said(self) -> Labels:
        """The incident of each alert, in the order of `alerts`; -1 for none."""
        of = {fact: n for n, incident in enumerate(self.live_incidents) for fact in sorted(incident.facts)}
        return np.array([of.get(alert, -1) for alert in self.product.alerts], np.int64)

    @cached_property
    def columns(self) -> Alerts:
        """The alerts as baselines take them, in order of time, with the index that sorts them in `order`."""
        rows = [list(self.product.alerts.values())[at] for at in self.order]
        lat0 = np.radians(31.24)
        return Alerts(
            np.array([row["raised_us"] / SECOND_US for row in rows], np.float64),
            np.array([row["lon"] * METRES_A_DEGREE * np.cos(lat0) for row in rows], np.float64),
            np.array([row["lat"] * METRES_A_DEGREE for row in rows], np.float64),
            [str(row["domain"]) for row in rows], [str(row["rule"]) for row in rows],
            [str(row["zone"]) for row in rows], [str(row["area"]) for row in rows],
        )  # fmt: skip

    @cached_property
    def order(self) -> list[int]:
        raised = [int(row["raised_us"]) for row in self.product.alerts.values()]
        return sorted(range(len(raised)), key=lambda at: (raised[at], at))


def run(
    scenario: Scenario,
    scene: Scene,
    domains: Domains,
    city: City,
    *,
    seed: int | None = None,
    tell: Callable[[float], None] | None = None,
) -> Run:
    """Play a scenario to its end on a virtual clock. Close `Run.world` when done with it."""
    world = World(scene, scenario, city, seed=seed)
    mine = {device.id for device in world.devices}
    rows = [row for row in scene.rows() if row.id in mine]
    around = Around(Pipes(city), breaks=Located(city))
    product = Product(domains, rows, scene.zone, around=around)
    product.learn(scene.history(world.begun_us))
    ticks, sent = 0, set[str]()
    while world.now_us < world.ends_us:
        before = world.now_us
        wires = world.advance()
        product.tell((_fact(told) for told in world.facts(before)), world.now_us)
        product.feed(wires, world.now_us)
        world.network.hear(product.commands())
        product.tick(world.now_us)
        for said in [each for each in product.incidents.values() if each.id not in sent]:
            sent.add(said.id)
            world.send(said.id, product.lead_of(said.type), said.lon, said.lat)
        ticks += 1
        if tell is not None and ticks % 100 == 0:
            tell((world.now_us - world.begun_us) / (world.ends_us - world.begun_us))
    return Run(scenario, world.seed, world, product, city, world.heard)


def _fact(told: FactTold) -> Fact:
    spot = told.spot
    place = Place(spot.lon, spot.lat, "", spot.asset, spot.zone, spot.area)
    return Fact(told.id, told.what, place, told.at_us, told.until_us, speaker=told.id)


def figures(done: Run) -> dict[str, float]:
    """The figures of one run, by the names of the guide; shares are of 1, NaN is what there was nothing of."""
    product = done.product
    found = done.ours.figures() | grouped(done.truth, done.said)
    found |= {
        "operator_alarms_10min": float(busiest(product.alarms_asked())),
        "dispatch_p90_s": _quantile(response.seconds(done.city, product.lead_of, done.live_incidents), 0.9),
        "cpu_s_per_1000_readings": 1000 * product.counts.cpu_s / max(product.counts.readings, 1),
        "false_incidents": float(len(done.ours.false)),
        "alerts": float(len(product.alerts)),
        "incidents": float(len(done.live_incidents)),
        "readings": float(product.counts.readings),
        # a frame of states repeats those that did not change: more than all is all
        "kept": min(product.counts.readings / max(done.world.said, 1), 1.0),
        "refused": float(product.counts.refused),
    }
    found["asked_met"] = _mean(np.array(list(asked(done, found).values())))
    truth = done.truth[done.order]
    for name, method in baselines.BASELINES.items():
        said = method(done.columns)
        groups = done.as_incidents(said)
        theirs = Judged(done, groups, typed=False).figures() | grouped(truth, said)
        theirs["operator_alarms_10min"] = float(busiest([each.opened_us for each in groups]))
        found |= {f"{name}_{key}": value for key, value in theirs.items()}
    return found


def asked(done: Run, found: Mapping[str, float]) -> dict[str, bool]:
    """What the scenario asks of a perfect engine, and whether it was so."""
    expect = done.scenario.expect
    met = {
        "recall": found["recall"] == 1,
        "precision": found["precision"] == 1,
        "kept": found["kept"] >= expect.kept,
    }
    if expect.alarms_10min is not None:
        met["operator_alarms_10min"] = found["operator_alarms_10min"] <= expect.alarms_10min
    return met


def grouped(truth: Labels, said: Labels) -> dict[str, float]:
    if not len(truth):
        return dict.fromkeys(("b3f", "ari", "ami"), float("nan"))
    return {
        "b3f": grouping.b3f(truth, said), "ari": grouping.ari(truth, said), "ami": grouping.ami(truth, said),
    }  # fmt: skip


def busiest(times_us: list[int], window_us: int = 10 * MINUTE_US) -> int:
    """The most alarms in any ten minutes."""
    most, first = 0, 0
    for last, at in enumerate(times_us):
        while at - times_us[first] >= window_us:
            first += 1
        most = max(most, last - first + 1)
    return most
