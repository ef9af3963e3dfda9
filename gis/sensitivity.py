"""What a district's pressures would be if its model were right, and how they answer to leaks and to doubts about it.

A metered district: water comes in through metered links; a pump whose flow is known may fill a tank whose level is
known, and that tank then feeds a zone of its own. Zone 0 lies behind the meters, zone 1 behind the tank. Demands of
the model are scaled to what each zone was measured to take, hour by hour, so that only its distribution is believed.
Flows are m³/h, pressures metres of water column.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gis.hydraulics import MPA_PER_M, Hydraulics, State

Floats = NDArray[np.float64]

WEEK_H = 168
#: Conditions at which responses are taken: the means of so many equal parts of a working day.
PARTS = 4
#: Sizes of leak at which they are taken, L/s: pipes answer to large leaks out of proportion.
SIZES_LPS = (1.0, 3.0, 6.5)
LPS_M3H = 3.6
ROUGHER = 1.1
#: Feeds the pump's flow out of the node it draws from.
PUMPED = "PUMPED"


@dataclass(frozen=True, slots=True)
class Metering:
    """What is measured in a district: nodes with loggers, inflow links (two), pump, tank and the tank's floor."""

    pressures: tuple[str, ...]
    inflows: tuple[str, str]
    pump: str
    tank: str
    tank_floor_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """Measured hours. pressure_m (n, sensors), inflow_m3h (n, 2), pump_m3h, level_m, and what each zone took (n, 2)."""

    pressure_m: Floats
    inflow_m3h: Floats
    pump_m3h: Floats
    level_m: Floats
    taken_m3h: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """Changes of the signals (pressures in m, then half the difference of the inflows in m³/h).

    leak (sizes, parts, signals, nodes): per m³/h let out. rougher (parts, signals, pipes): per 100 % of roughness.
    demand_m3h (nodes, kinds): base demands; rhythm (kinds, parts): their factors; zone (nodes,).
    """

    nodes: tuple[str, ...]
    pipes: tuple[str, ...]
    leak: Floats
    rougher: Floats
    demand_m3h: Floats
    rhythm: Floats
    zone: NDArray[np.intp]


class Twin:
    """The model of a metered district, from the text of its INP file (flows in m³/h, pattern steps of one length)."""

    def __init__(self, inp: str, metering: Metering) -> None:
        self.metering = metering
        self._parts = _sections(inp)
        (tank,) = (row for row in self._parts["TANKS"] if row[0] == metering.tank)
        (pump,) = (row for row in self._parts["PUMPS"] if row[0] == metering.pump)
        behind = self._connected(tank[0])
        self._demands = [(node, float(base), kind) for node, base, kind in self._parts["DEMANDS"]]
        self._zone = {row[0]: int(row[0] in behind) for row in self._parts["JUNCTIONS"]}
        self._weeks = _weeks(self._parts["PATTERNS"])
        self._inp = self._drivable(inp, pump[1])

    def _connected(self, start: str) -> set[str]:
        near: dict[str, list[str]] = defaultdict(list)
        for row in (*self._parts["PIPES"], *self._parts["VALVES"]):
            near[row[1]].append(row[2])
            near[row[2]].append(row[1])
        seen, todo = {start}, [start]
        while todo:
            fresh = [node for node in near[todo.pop()] if node not in seen]
            seen.update(fresh)
            todo += fresh
        return seen

    def _drivable(self, inp: str, drawn_from: str) -> str:
        """The tank a source of known head, the pump a demand, demands with a rhythm for each kind and zone."""
        names = [_rhythm(kind, zone) for kind in self._weeks for zone in (0, 1)]
        demands = [f" {node} {base} {_rhythm(kind, self._zone[node])}" for node, base, kind in self._demands]
        sources = [" ".join(row) for row in self._parts["RESERVOIRS"]]
        for section, lines in (
            ("DEMANDS", [*demands, f" {drawn_from} 1.0 {PUMPED}"]),
            ("PATTERNS", [f" {name} 1.0" for name in (*names, PUMPED)]),
            ("JUNCTIONS", [f" {row[0]} {row[1]} 0" for row in self._parts["JUNCTIONS"]]),
            ("RESERVOIRS", [*sources, f" {self.metering.tank} {self.metering.tank_floor_m}"]),
            ("TANKS", []), ("PUMPS", []), ("CONTROLS", []),
        ):  # fmt: skip
            inp = _replaced(inp, section, lines)
        for step in ("Pattern", "Hydraulic"):
            inp = re.sub(rf"^ {step} Timestep.*$", f" {step} Timestep 1:00", inp, flags=re.MULTILINE)
        return re.sub(r"^ Pattern\s+1\s*$", "", inp, flags=re.MULTILINE)

    @property
    def usual_m3h(self) -> Floats:
        """(2, 168): what each zone takes in the model's week, Monday 00:00 first."""
        usual = np.zeros((2, WEEK_H))
        for node, base, kind in self._demands:
            usual[self._zone[node]] += base * self._weeks[kind]
        return usual

    def expected(self, hours: Hours) -> tuple[Floats, Floats]:
        """Pressures (n, sensors) and inflows (n, 2) under what the zones took. Raises `HydraulicsFailed`."""
        n = len(hours.level_m)
        at = np.arange(n) % WEEK_H
        scale = np.clip(hours.taken_m3h.T / self.usual_m3h[:, at], 0.1, 5.0)
        pressure, inflow = np.empty((n, len(self.metering.pressures))), np.empty((n, 2))
        with Hydraulics(self._inp, live=True) as model:
            for kind, week in self._weeks.items():
                for zone in (0, 1):
                    model.set_pattern_series(_rhythm(kind, zone), week[at] * scale[zone])
            model.set_pattern_series(PUMPED, hours.pump_m3h)
            nodes, links = self._rows(model)
            for hour in range(n):
                model.set_head(self.metering.tank, self.metering.tank_floor_m + hours.level_m[hour])
                state = model.advance(3600)
                pressure[hour] = state.pressure_mpa[nodes] / MPA_PER_M
                inflow[hour] = state.flow_lps[links] * LPS_M3H
        return pressure, inflow

    def responses(self, level_m: float, pump_m3h: Floats) -> Responses:
        """How the signals answer, in the model's working day, at a tank level and the pump's usual flow (parts,)."""
        nodes = tuple(row[0] for row in self._parts["JUNCTIONS"])
        pipes = {row[0]: float(row[5]) for row in self._parts["PIPES"]}
        kinds = tuple(self._weeks)
        rhythm = np.array([_of_working_day(week) for week in self._weeks.values()])
        signals = len(self.metering.pressures) + 1
        leak = np.empty((len(SIZES_LPS), PARTS, signals, len(nodes)))
        rougher = np.empty((PARTS, signals, len(pipes)))
        with Hydraulics(self._inp, live=True) as model:
            model.set_head(self.metering.tank, self.metering.tank_floor_m + level_m)
            for part in range(PARTS):
                for row, kind in enumerate(kinds):
                    for zone in (0, 1):
                        model.set_pattern_series(_rhythm(kind, zone), rhythm[row, [part]])
                model.set_pattern_series(PUMPED, pump_m3h[[part]])
                model.solve()
                leak[:, part] = self._of_leaks(model, nodes)
                rougher[part] = self._of_roughness(model, pipes)
        demand = np.zeros((len(nodes), len(kinds)))
        row_of = {node: row for row, node in enumerate(nodes)}
        for node, base, kind in self._demands:
            demand[row_of[node], kinds.index(kind)] += base
        zone_of = np.array([self._zone[node] for node in nodes], np.intp)
        return Responses(nodes, tuple(pipes), leak, rougher, demand, rhythm, zone_of)

    def _of_leaks(self, model: Hydraulics, nodes: tuple[str, ...]) -> Floats:
        before = model.solve()
        found = np.empty((len(SIZES_LPS), len(self.metering.pressures) + 1, len(nodes)))
        for column, node in enumerate(nodes):
            row = model.node[node]
            head = max(float(before.pressure_mpa[row] / MPA_PER_M), 5.0)
            for size, lps in enumerate(SIZES_LPS):
                model.set_emitter(node, lps / head**0.5)
                state = model.solve()
                out = float((state.demand_lps[row] - before.demand_lps[row]) * LPS_M3H)
                found[size, :, column] = self._changed(model, before, state) / max(out, 0.1)
            model.set_emitter(node, 0.0)
        return found

    def _of_roughness(self, model: Hydraulics, pipes: dict[str, float]) -> Floats:
        before = model.solve()
        found = np.empty((len(self.metering.pressures) + 1, len(pipes)))
        for column, (pipe, roughness) in enumerate(pipes.items()):
            model.set_roughness(pipe, roughness * ROUGHER)
            found[:, column] = self._changed(model, before, model.solve()) / (ROUGHER - 1)
            model.set_roughness(pipe, roughness)
        return found

    def _rows(self, model: Hydraulics) -> tuple[list[int], list[int]]:
        return [model.node[name] for name in self.metering.pressures], [
            model.link[name] for name in self.metering.inflows
        ]

    def _changed(self, model: Hydraulics, before: State, after: State) -> Floats:
        nodes, links = self._rows(model)
        pressure = (after.pressure_mpa - before.pressure_mpa)[nodes] / MPA_PER_M
        one, other = (after.flow_lps - before.flow_lps)[links] * LPS_M3H
        return np.append(pressure, (other - one) / 2)


def _rhythm(kind: str, zone: int) -> str:
    return f"{kind}|{zone}"


def _sections(inp: str) -> dict[str, list[list[str]]]:
    """Section → the words of its lines, without comments."""
    found: dict[str, list[list[str]]] = defaultdict(list)
    name = ""
    for line in inp.splitlines():
        words = line.split(";")[0].split()
        if words and words[0].startswith("["):
            name = words[0].strip("[]")
        elif words:
            found[name].append(words)
    return found


def _replaced(inp: str, section: str, lines: list[str]) -> str:
    body = "\n".join(lines)
    return re.sub(
        rf"(^\[{section}\]\n).*?(?=^\[)",
        lambda found: f"{found[1]}{body}\n\n",
        inp,
        flags=re.MULTILINE | re.DOTALL,
    )


def _weeks(patterns: list[list[str]]) -> dict[str, Floats]:
    """Each demand pattern as 168 hourly factors; one that never changes may be given by a single factor."""
    values: dict[str, list[float]] = defaultdict(list)
    for name, *factors in patterns:
        values[name] += map(float, factors)
    return {name: _hourly(np.array(factors)) for name, factors in values.items()}


def _hourly(factors: Floats) -> Floats:
    each = max(len(factors) // WEEK_H, 1)
    found: Floats = np.resize(factors, WEEK_H * each).reshape(WEEK_H, each).mean(axis=1)
    return found


def _of_working_day(week: Floats) -> Floats:
    found: Floats = week[: 5 * 24].reshape(5, PARTS, 24 // PARTS).mean(axis=(0, 2))
    return found
