"""L-Town for fourteen months: a replica of the BattLeDIM competition whose truth we know.

The network comes with the installed package `epyt` (or from a path); it is not ours and never shipped. One seed
perturbs roughness and demand, draws 23 leaks in the mix and the sizes of the competition, and gives what its 33
pressure sensors, 3 flow meters and 1 tank gauge would have said every five minutes, with noise and rounding.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from core.errors import Unavailable
from gis.hydraulics import MIDDLE, MPA_PER_M, Hydraulics
from simulators import streams

Floats = NDArray[np.float64]

STEP_S = 300
DAY_STEPS = 86_400 // STEP_S
#: Two months of history, then the year that is scored.
HISTORY_DAYS, SCORED_DAYS = 61, 365
WEEK_STEPS = 7 * DAY_STEPS

PRESSURES = tuple(
    f"n{number}"
    for number in (
        1, 4, 31, 54, 105, 114, 163, 188, 215, 229, 288, 296, 332, 342, 410, 415, 429, 458, 469, 495, 506, 516,
        519, 549, 613, 636, 644, 679, 722, 726, 740, 752, 769,
    )
)  # fmt: skip
FLOWS = ("PUMP_1", "p227", "p235")
TANK = "T1"
TANK_FLOOR_M = 98.68

#: A hole lets out Cd · A · √(2 g h) (m³/s); what the competition's organisers state.
DISCHARGE = 0.75
GRAVITY = 9.81
PATTERNS = {"P-Residential": "R", "P-Commercial": "C", "P-Industrial": "I"}
GROUPS = 30


@dataclass(frozen=True, slots=True)
class Leak:
    """A leak in the middle of a pipe. Steps count from the beginning; an abrupt one peaks at its start."""

    pipe: str
    start: int
    peak: int
    end: int
    diameter_m: float

    @property
    def abrupt(self) -> bool:
        return self.peak == self.start

    def area_m2(self, step: int) -> float:
        """The hole grows linearly from start to peak, and is closed at the end."""
        if not self.start <= step < self.end:
            return 0.0
        full = np.pi * self.diameter_m**2 / 4
        grown = 1.0 if step >= self.peak else (step - self.start + 1) / (self.peak - self.start + 1)
        return float(full * grown)


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One run: n steps. pressure_m (n, 33), flow_m3h (n, 3), level_m (n,); leak_m3h (n, leaks) is truth."""

    seed: int
    leaks: tuple[Leak, ...]
    pressure_m: Floats
    flow_m3h: Floats
    level_m: Floats
    leak_m3h: Floats
    scored_from: int

    def __len__(self) -> int:
        return len(self.level_m)


def network(path: Path | None = None) -> str:
    """The text of L-TOWN.inp. Raises `Unavailable` where neither a path nor `epyt` gives it."""
    if path is None:
        found = importlib.util.find_spec("epyt")
        if found is None or not found.submodule_search_locations:
            raise Unavailable("score.no_ltown")
        path = Path(found.submodule_search_locations[0], "networks", "L-TOWN.inp")
    return path.read_text(encoding="utf-8", errors="replace").replace("\r", "")


#: The mix of the competition's year, rounded: day it starts, days it grows (0: abrupt), days it lives (0: to the
#: end), diameter in mm. Four slow ones are there from before.
MIX = (
    (14, 0, 17, 20.2), (23, 0, 14, 20.2), (40, 0, 0, 8.0), (82, 0, 0, 9.3), (91, 0, 51, 15.0), (109, 0, 0, 14.1),
    (162, 0, 35, 19.9), (190, 0, 0, 9.7), (297, 0, 0, 15.0),
    (61, 55, 63, 16.0), (138, 75, 0, 10.0), (149, 90, 0, 7.3), (206, 44, 52, 17.2), (213, 60, 0, 14.1),
    (227, 40, 46, 18.8), (255, 75, 0, 11.9), (275, 65, 0, 12.7), (281, 60, 0, 15.2), (323, 36, 0, 13.2),
    (-340, 150, 0, 11.8), (-310, 250, 0, 9.1), (-150, 100, 0, 10.0), (-180, 120, 0, 8.8),
)  # fmt: skip


def draw_leaks(pipes: tuple[str, ...], rng: np.random.Generator, steps: int, scored_from: int) -> list[Leak]:
    """The competition's mix on other pipes: starts moved by some days, holes by some per cent."""
    leaks = []
    for row, (day, grow, life, diameter_mm) in zip(
        rng.choice(len(pipes), len(MIX), replace=False), MIX, strict=True
    ):
        start = scored_from + round((day + rng.uniform(-6, 6)) * DAY_STEPS)
        start = min(start, steps - DAY_STEPS)
        end = steps if not life else min(steps, start + round(life * rng.uniform(0.9, 1.1) * DAY_STEPS))
        peak = start + round(grow * rng.uniform(0.9, 1.1) * DAY_STEPS)
        leaks.append(Leak(pipes[row], start, peak, end, diameter_mm / 1000 * float(rng.uniform(0.97, 1.03))))
    return leaks


def run(
    inp: str,
    seed: int,
    *,
    days: int = HISTORY_DAYS + SCORED_DAYS,
    tell: Callable[[float], None] | None = None,
) -> Record:
    """Simulate a seed. `tell` hears the share that is done. One seed gives the same record."""
    rng = np.random.default_rng([2020, seed])
    steps = days * DAY_STEPS
    scored_from = min(HISTORY_DAYS, days // 4) * DAY_STEPS
    text, patterns = _regrouped(inp, rng)
    leaks = draw_leaks(_pipes(inp), rng, steps, scored_from)
    with Hydraulics(text, split=[leak.pipe for leak in leaks], live=True) as model:
        _perturb(model, inp, rng)
        for name, shape in patterns.items():
            model.set_pattern_series(name, _demand(shape, steps, streams.key_of(seed, name)))
        return _sensed(_stepped(model, leaks, steps, tell), leaks, seed, scored_from, rng)


def _section(inp: str, name: str) -> list[str]:
    body = re.search(rf"^\[{name}\]\n(.*?)(?=^\[)", inp, re.MULTILINE | re.DOTALL)
    assert body is not None, name
    return [line for line in body.group(1).splitlines() if line.strip() and not line.lstrip().startswith(";")]


def _pipes(inp: str) -> tuple[str, ...]:
    """Pipes that may leak: not the meters' own."""
    return tuple(name for line in _section(inp, "PIPES") if (name := line.split()[0]) not in FLOWS)


def _regrouped(inp: str, rng: np.random.Generator) -> tuple[str, dict[str, Floats]]:
    """The model with demand patterns of its own for each of `GROUPS` groups of nodes, and their weekly shapes."""
    weekly: dict[str, list[float]] = {}
    for line in _section(inp, "PATTERNS"):
        name, *values = line.split()
        weekly.setdefault(name, []).extend(map(float, values))
    group = {}
    demands = []
    for line in _section(inp, "DEMANDS"):
        node, base, pattern = line.split()[:3]
        if node not in group:
            group[node] = int(rng.integers(GROUPS))
        scaled = float(base) * float(np.exp(rng.normal(0, 0.12)))
        if scaled > 0:
            demands.append(f" {node} {scaled:.6f} {PATTERNS[pattern]}{group[node]:02d}")
    names = {f"{short}{number:02d}": long for long, short in PATTERNS.items() for number in range(GROUPS)}
    junctions = [" ".join([*line.split(";")[0].split()[:2], "0"]) for line in _section(inp, "JUNCTIONS")]
    for section, lines in (
        ("DEMANDS", demands), ("PATTERNS", [f" {name} 1.0" for name in names]), ("JUNCTIONS", junctions)
    ):  # fmt: skip
        body = "\n".join(lines)
        inp = re.sub(
            rf"(^\[{section}\]\n).*?(?=^\[)", rf"\g<1>{body}\n\n", inp, flags=re.MULTILINE | re.DOTALL
        )
    driven = (
        " Demand Model PDA\n Minimum Pressure 0\n Required Pressure 15\n"  # else some leaks suck at dead ends
    )
    inp = re.sub(r"^ Pattern\s+1\s*$", driven, inp, flags=re.MULTILINE)
    return inp, {name: np.resize(np.array(weekly[long]), WEEK_STEPS) for name, long in names.items()}


def _perturb(model: Hydraulics, inp: str, rng: np.random.Generator) -> None:
    for line in _section(inp, "PIPES"):
        name, *_, roughness = line.split(";")[0].split()[:6]
        changed = float(roughness) * float(np.clip(rng.normal(1.0, 0.06), 0.8, 1.2))
        model.set_roughness(name, changed)
        if name + "~b" in model.link:
            model.set_roughness(name + "~b", changed)


def _demand(shape: Floats, steps: int, key: int) -> Floats:
    """A year of a group's demand: the weekly shape, a season, noise of a day's and of five minutes' memory."""
    at = np.arange(steps, dtype=np.int64)
    keys = np.full(steps, key, np.uint64)
    season = 1.0 + 0.08 * np.sin(2 * np.pi * (at / DAY_STEPS - 110) / 365)
    slow = streams.wander(keys, at, np.full(steps, DAY_STEPS))
    quick = streams.normal(keys, at)
    made: Floats = np.clip(np.resize(shape, steps) * season * (1 + 0.05 * slow + 0.10 * quick), 0.0, None)
    return made


def _stepped(
    model: Hydraulics, leaks: list[Leak], steps: int, tell: Callable[[float], None] | None
) -> tuple[Floats, Floats, Floats, Floats]:
    """What is true at every step: pressures (m), flows (m³/h), level (m), leak flows (m³/h)."""
    nodes = [model.node[name] for name in PRESSURES]
    links = [model.link[name] for name in FLOWS]
    middles = np.array([model.node[leak.pipe + MIDDLE] for leak in leaks])
    pressure, flow = np.empty((steps, len(nodes))), np.empty((steps, len(links)))
    level, leaked = np.empty(steps), np.empty((steps, len(leaks)))
    open_now = np.full(len(leaks), -1.0)
    for step in range(steps):
        for row, leak in enumerate(leaks):
            if step in (0, leak.start, leak.peak, leak.end) or (
                leak.start < step < leak.peak and step % 12 == 0
            ):
                area = leak.area_m2(step)
                if area != open_now[row]:
                    model.set_emitter(leak.pipe + MIDDLE, 1000 * DISCHARGE * area * (2 * GRAVITY) ** 0.5)
                    open_now[row] = area
        state = model.advance(STEP_S)
        pressure[step] = state.pressure_mpa[nodes] / MPA_PER_M
        flow[step] = state.flow_lps[links] * 3.6
        level[step] = state.pressure_mpa[model.node[TANK]] / MPA_PER_M
        leaked[step] = np.where(open_now > 0, state.demand_lps[middles] * 3.6, 0.0)
        if tell is not None and step % 2000 == 0:
            tell(step / steps)
    return pressure, flow, level, leaked


def _sensed(
    true: tuple[Floats, Floats, Floats, Floats],
    leaks: list[Leak],
    seed: int,
    scored_from: int,
    rng: np.random.Generator,
) -> Record:
    """Noise and the rounding of the competition's files: 0.01 m, 0.01 m³/h."""
    pressure, flow, level, leaked = true
    return Record(
        seed,
        tuple(leaks),
        np.round(pressure + rng.normal(0, 0.015, pressure.shape), 2),
        np.round(flow * (1 + rng.normal(0, 0.004, flow.shape)), 2),
        np.round(level + rng.normal(0, 0.005, level.shape), 2),
        leaked,
        scored_from,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Pipework:
    """Distances along the pipes, from the middle of one pipe to the middle of another."""

    pipes: tuple[str, ...]
    length_m: Floats
    tail: NDArray[np.intp]
    head: NDArray[np.intp]
    between_m: Floats  # of nodes
    nodes: dict[str, int]

    @classmethod
    def of(cls, inp: str) -> Pipework:
        rows = [line.split(";")[0].split() for line in _section(inp, "PIPES")]
        rows += [[*line.split()[:3], "1"] for part in ("PUMPS", "VALVES") for line in _section(inp, part)]
        nodes = {name: row for row, name in enumerate(sorted({name for row in rows for name in row[1:3]}))}
        tail, head = (np.array([nodes[row[end]] for row in rows], np.intp) for end in (1, 2))
        length = np.array([float(row[3]) for row in rows])
        graph = coo_matrix((length, (tail, head)), shape=(len(nodes), len(nodes))).tocsr()
        return cls(tuple(row[0] for row in rows), length, tail, head, dijkstra(graph, directed=False), nodes)

    def metres(self, one: str, other: str) -> float:
        """Centre to centre along the pipes."""
        if one == other:
            return 0.0
        a, b = self.pipes.index(one), self.pipes.index(other)
        ends = self.between_m[np.ix_([self.tail[a], self.head[a]], [self.tail[b], self.head[b]])]
        return float(ends.min() + (self.length_m[a] + self.length_m[b]) / 2)
