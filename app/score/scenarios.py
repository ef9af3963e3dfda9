"""One scenario, scored: the simulated city speaks, the product listens, and what it says is held against the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from app.pipes import Pipes
from app.score import baselines, grouping
from app.score.baselines import Alerts
from app.score.grouping import Labels
from app.score.product import Product
from core.clock import MINUTE_US, SECOND_US
from core.domains import Domains
from events.breaks import Located
from events.correlate import Fact
from events.offline import SaidIncident
from events.place import METRES_A_DEGREE, NOWHERE, Place
from events.place import World as Around
from gis.city import City
from simulators.parts import NOBODY, action_of
from simulators.places import Spot, metres
from simulators.scenario import Expected, Scenario
from simulators.scene import Scene
from simulators.world import FactTold, World

#: An incident may stand this long before its cause was logged: ticks and clocks.
EARLY_US = 60 * SECOND_US
TOP = 3


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
            if asset == self.spot.asset or metres(self.spot, Spot("", lon, lat)) <= 300:
                return rank
        return 0


@dataclass(frozen=True)
class Run:
    """A finished run: the world with its truth, the product with what it said."""

    scenario: Scenario
    seed: int
    world: World
    product: Product
    #: Point → what it said, (time µs, value), for pictures.
    heard: dict[str, list[tuple[int, float]]]

    @cached_property
    def live_incidents(self) -> list[SaidIncident]:
        return [said for said in self.product.incidents.values() if not said.merged_into]

    @cached_property
    def matches(self) -> list[Match]:
        """Every expected incident with the said one that fits and came first; each said one serves once."""
        found: list[Match] = []
        used: set[str] = set()
        for expected in self.scenario.expect.incidents:
            cause = self.scenario.names[expected.cause]
            told = self.world.told.get(cause)
            if told is None:
                continue
            free = [said for said in self.live_incidents if said.id not in used]
            fits = sorted(
                (said for said in free if _fits(said, expected, told.from_us, told.spot)),
                key=lambda said: said.opened_us,
            )
            if fits:
                used.add(fits[0].id)
            found.append(Match(expected, cause, told.from_us, told.spot, fits[0] if fits else None))
        return found

    @cached_property
    def false(self) -> list[SaidIncident]:
        """Said incidents that are nobody's, or of something that is no incident."""
        expected = self.scenario.expect
        fine = {
            self.scenario.names[name]
            for name in (*expected.more, *(each.cause for each in expected.incidents))
        }
        right = {match.said.id for match in self.matches if match.said}
        return [
            said for said in self.live_incidents if said.id not in right and self.cause_of(said) not in fine
        ]

    def cause_of(self, said: SaidIncident) -> int:
        """The action that most of an incident's alerts are due to."""
        causes = [action_of(self.truth_of(fact)) for fact in said.facts if fact in self.product.alerts]
        return max(set(causes), key=causes.count) if causes else NOBODY

    def truth_of(self, alert: str) -> int:
        row = self.product.alerts[alert]
        device, _, channel = str(row["subject"]).partition("/")
        raised = int(row["raised_us"])
        return self.world.blame(device, channel, raised - 30 * MINUTE_US, raised)

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


def _fits(said: SaidIncident, expected: Expected, from_us: int, spot: Spot) -> bool:
    in_time = from_us - EARLY_US <= said.opened_us <= from_us + round(expected.within * SECOND_US)
    near = not spot.asset or metres(spot, Spot("", said.lon, said.lat)) <= expected.near_m
    return in_time and near and said.type in expected.types


def run(
    scenario: Scenario,
    scene: Scene,
    domains: Domains,
    city: City | None = None,
    *,
    seed: int | None = None,
    tell: Callable[[float], None] | None = None,
) -> Run:
    """Play a scenario to its end on a virtual clock. Close `Run.world` when done with it."""
    world = World(scene, scenario, seed=seed)
    mine = {device.id for device in world.devices}
    rows = [row for row in scene.rows() if row.id in mine]
    around = Around(Pipes(city), breaks=Located(city)) if city is not None else NOWHERE
    product = Product(domains, rows, scene.zone, around=around)
    product.learn(scene.history(world.begun_us))
    ticks = 0
    while world.now_us < world.ends_us:
        before = world.now_us
        wires = world.advance()
        product.tell((_fact(told) for told in world.facts(before)), world.now_us)
        product.feed(wires, world.now_us)
        product.tick(world.now_us)
        ticks += 1
        if tell is not None and ticks % 100 == 0:
            tell((world.now_us - world.begun_us) / (world.ends_us - world.begun_us))
    return Run(scenario, world.seed, world, product, world.heard)


def _fact(told: FactTold) -> Fact:
    spot = told.spot
    place = Place(spot.lon, spot.lat, "", spot.asset, spot.zone, spot.area)
    return Fact(told.id, told.what, place, told.at_us, told.until_us, speaker=told.id)


def figures(done: Run) -> dict[str, float]:
    """The figures of one run, by the names of the issue; shares are of 1, absent ones are left out."""
    product, matches = done.product, done.matches
    hit = [match for match in matches if match.said]
    found: dict[str, float] = {
        "recall": len(hit) / len(matches) if matches else 1.0,
        "precision": len(hit) / (len(hit) + len(done.false)) if hit or done.false else 1.0,
        "false_incidents": float(len(done.false)),
        "alerts": float(len(product.alerts)),
        "incidents": float(len(done.live_incidents)),
        "operator_alarms_10min": float(busiest(product.alarms_asked())),
        "readings": float(product.counts.readings),
        # a frame of states repeats those that did not change: more than all is all
        "kept": min(product.counts.readings / max(done.world.said, 1), 1.0),
        "refused": float(product.counts.refused),
        "cpu_s_per_1000_readings": 1000 * product.counts.cpu_s / max(product.counts.readings, 1),
    }
    if hit:
        delays, off = [match.delay_s for match in hit], [match.off_m for match in hit if match.spot.asset]
        ranks = [match.cause_rank() for match in hit if match.spot.asset]
        found |= {"delay_p50_s": float(np.median(delays)), "delay_p90_s": float(np.quantile(delays, 0.9))}
        if off:
            found |= {
                "localisation_p50_m": float(np.median(off)),
                "localisation_300m_share": float(np.mean(np.array(off) <= 300)),
                "cause_top1": float(np.mean([rank == 1 for rank in ranks])),
                "cause_top3": float(np.mean([1 <= rank <= TOP for rank in ranks])),
            }
    if len(done.truth):
        found |= grouped(done.truth, done.said)
        found["alerts_per_incident"] = len(product.alerts) / max(len(done.live_incidents), 1)
        truth = done.truth[done.order]
        for name, method in baselines.BASELINES.items():
            found |= {f"{name}_{key}": value for key, value in grouped(truth, method(done.columns)).items()}
    return found


def grouped(truth: Labels, said: Labels) -> dict[str, float]:
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
