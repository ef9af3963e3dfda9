"""What `cityops score` can score, by name, and the one object that it prints."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from app import detect
from app.score import battledim, dispatch, dust, leaks, nab, scenarios, sf_replay, storm
from core import domains as reading
from core.domains import Domains
from events.engine import Model, load_model
from gis.city import City, sample_city
from iot import kinds
from simulators import dust40, ltown, scenario
from simulators.ltown import Pipework
from simulators.sample import places_of
from simulators.scene import FORMATS, Scene

Figures = dict[str, float]
#: Benchmarks beside the scenarios.
BENCHMARKS = ("storm-25", "dust-40", "battledim-replica", "flood-csi", "dispatch", "sf-fire", "nab")
Tell = Callable[[str, float], None]


class Unknown(Exception):
    """There is nothing of this name; the text says what there is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run may be asked with; benchmarks take `seeds` seeds from `seed` on."""

    seed: int | None = None
    seeds: int | None = None
    rate: int = 300
    level: str = "normal"
    network: Path | None = None
    table: Path | None = None
    data: Path | None = None
    labels: Path | None = None

    def range(self, usual: int) -> range:
        first = self.seed if self.seed is not None else 1
        return range(first, first + (self.seeds or usual))


@dataclass(slots=True)
class Bench:
    """Everything that runs share: the city, the scene, the declarations. Made once, when something is asked."""

    folder: Path
    zone: ZoneInfo
    tell: Tell
    _scene: Scene | None = None
    _city: City | None = None
    _domains: Domains | None = None
    _model: Model | None = None
    runs: list[scenarios.Run] = field(default_factory=list)

    @property
    def domains(self) -> Domains:
        if self._domains is None:
            self._domains = reading.load(self.folder)
        return self._domains

    @property
    def model(self) -> Model:
        if self._model is None:
            self._model = load_model(self.domains, kinds.load(self.domains))
        return self._model

    @property
    def city(self) -> City:
        if self._city is None:
            self._city = sample_city(1)
        return self._city

    @property
    def scene(self) -> Scene:
        if self._scene is None:
            self._scene = Scene(places_of(self.city), self.zone, speaks=FORMATS)
        return self._scene

    def score(self, name: str, asked: Asked) -> Figures:
        """Score one thing, or `all` scenarios and storm-25. Raises `Unknown`."""
        if name == "all":
            keys = [*(each.key for each in scenario.shipped()), "storm-25"]
            return prefixed((key, self.score(key, asked)) for key in keys)
        if name not in names():
            raise Unknown(f"there is no {name}; there are all, {', '.join(names())}")
        if name == "storm-25":
            return self.storm(asked.rate, asked.range(8))
        if name == "dust-40":
            if asked.level not in dust40.LEVELS:
                raise Unknown(f"there is no level {asked.level}; there are {', '.join(dust40.LEVELS)}")
            return self.dust(asked.level, asked.range(30))
        if name == "battledim-replica":
            return self.battledim(asked.range(2), asked.network)
        if name == "flood-csi":
            return self.flood(asked.range(3))
        if name == "dispatch":
            return dispatch.score(asked.seed or 0, seeds=asked.seeds or dispatch.SEEDS)
        if name == "sf-fire":
            return self.sf_fire(asked.table)
        if name == "nab":
            return self.nab(asked.data, asked.labels)
        return self.scenario(name, asked.seed)

    # -- what can be scored ----------------------------------------------------------------------------------

    def scenario(self, key: str, seed: int | None) -> Figures:
        """One scenario. `quiet-month` gives its own figure beside the common ones. Raises `Unknown`."""
        script = scenario.find(key)
        tell = partial(self.tell, key)
        try:
            done = scenarios.run(script, self.scene, self.domains, self.city, seed=seed, tell=tell)
        except ImportError as missing:
            raise _needs_flood(key, missing) from None
        done.world.close()
        self.runs.append(done)
        found = scenarios.figures(done)
        if key == "quiet-month":
            sensors = len(done.world.devices)
            months = script.lasts / (30 * 86_400)
            found["false_per_100_sensors_30d"] = found["false_incidents"] * 100 / sensors / months
        return found

    def storm(self, rate: int, seeds: range) -> Figures:
        return storm.score(rate, seeds, self.model.types)

    def dust(self, level: str, seeds: range) -> Figures:
        """Top-3 recall of the product's tracer and of the baselines, and what stands out of the noise at all."""
        found = {"top3": dust.recall(dust.product, level, seeds)}
        found |= {
            f"{name}_top3": dust.recall(tracer, level, seeds) for name, tracer in dust.BASELINES.items()
        }
        return found | {"ceiling": dust.ceiling(level, seeds)}

    def flood(self, seeds: range) -> Figures:
        """Needs the extra `flood`. Raises `Unknown` without it."""
        try:
            from app.score import flood
        except ImportError as missing:
            raise _needs_flood("flood-csi", missing) from None
        return flood.score(self.city, seeds, partial(self.tell, "flood-csi"))

    def battledim(self, seeds: range, network: Path | None) -> Figures:
        """Means over seeds of what the product's finder (`events.leaks`) announces."""
        text = ltown.network(network)
        pipework = Pipework.of(text)
        known: leaks.Knowledge | None = None
        rows = []
        for seed in seeds:
            record = ltown.run(text, seed, tell=partial(self.tell, f"L-Town {seed}"))
            known = known or leaks.knowledge(text, pipework, record)
            said = leaks.find(record, known, partial(self.tell, f"leaks of {seed}"))
            rows.append(battledim.figures(record, battledim.judge(record, pipework, said)))
        return {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}

    def sf_fire(self, table: Path | None) -> Figures:
        """A table of real calls through the real dispatch, on a server of its own."""
        if table is None:
            raise Unknown(
                "sf-fire needs --table: DataSF's calls for service as CSV; they do not ship with this"
            )
        return sf_replay.score(table, self.domains, partial(self.tell, "sf-fire"))

    def nab(self, data: Path | None, labels: Path | None) -> Figures:
        """`cityops detect` over the files of the Numenta Anomaly Benchmark that are there."""
        if data is None or labels is None:
            raise Unknown(
                "nab needs --data, the benchmark's folder of files, and --labels, its combined_windows.json"
            )
        try:
            return nab.score(data, labels, self.zone, partial(self.tell, "nab"))
        except detect.Unusable as wrong:
            raise Unknown(str(wrong)) from None


def _needs_flood(name: str, missing: ImportError) -> Unknown:
    return Unknown(f"{name} needs the extra `flood` (pip install 'cityops[flood]'): {missing}")


def peers(name: str, rate: int) -> dict[str, float]:
    """Published figures of the same benchmark, where there are any."""
    if name == "storm-25":
        nearest = min(storm.PUBLISHED, key=lambda known: abs(known - rate))
        parts = ("b3f", "found", "precision")
        return {
            f"{method}_{part}": value
            for method, values in storm.PUBLISHED[nearest].items()
            for part, value in zip(parts, values, strict=True)
        }
    if name == "battledim-replica":
        perfect = battledim.PUBLISHED["perfect"]
        return {f"{team}_share": value / perfect for team, value in battledim.PUBLISHED.items()}
    if name == "nab":
        return {"artime_standard": 74.9, "htm_standard": 70.1}  # on the whole corpus, tuned on all of it
    if name == "dust-40":
        return {"nearest_easy": 0.47, "nearest_normal": 0.47, "nearest_hard": 0.29}
    return {}


def machine() -> dict[str, object]:
    return {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}


def names() -> list[str]:
    return [*(each.key for each in scenario.shipped()), *BENCHMARKS]


def prefixed(parts: Iterable[tuple[str, Figures]]) -> Figures:
    """The figures of several runs in one object, each name after its run."""
    return {f"{name}.{key}": value for name, found in parts for key, value in found.items()}
