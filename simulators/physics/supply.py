"""Water supply: the EPANET model of the sample city under a believable demand, with bursts and valves.

Without an event the network has no memory (sources of fixed head, no tanks), so what a logger showed at any time
in the past is a function of that time's demand. History is read from a table of it, live values from the engine;
the two agree to the millimetre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.clock import HOUR_US, SECOND_US
from gis.hydraulics import MIDDLE, SECOND_HALF, Hydraulics
from simulators import streams
from simulators.streams import Floats, Rows, Stream, Table, Times

#: Demand of the whole network relative to its mean (ours).
DEMAND = Stream(base=1.0, shape="water", swing=1.0, weekends=0.96, slow=0.015, memory_us=HOUR_US, low=0.2)
#: Demand factors at which the table of calm states is solved.
GRID = np.linspace(0.2, 1.8, 17)
STEP_S = 5
M3H_PER_LPS = 3.6
PRESSURE_NOISE_MPA = 0.0008
FLOW_NOISE = 0.004


#: Links whose id begins so are pumps.
PUMP = "WP-"


def pump_speed(factor: float) -> float:
    """Pumps follow the demand, as the works' control would have it: slower at night (ours)."""
    return 0.86 + 0.14 * min(max((factor - 0.3) / 0.9, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Gauge:
    """Where a device measures: the pressure (MPa) at a node, or the flow (m³/h) through a link."""

    node: str = ""
    link: str = ""
    sign: float = 1.0


class Supply:
    """The stepped network and its gauges. `read` and `at` are parallel to `gauges`, `now` is without noise."""

    def __init__(
        self, model: Hydraulics, pattern: str, gauges: Sequence[Gauge], *, seed: int, offset_us: int
    ) -> None:
        self.model = model
        self.gauges = tuple(gauges)
        self._pattern = pattern
        self._offset_us = offset_us
        self._demand = Table([DEMAND], [streams.key_of(seed, "supply.demand")])
        names = (f"gauge/{gauge.node or gauge.link}" for gauge in gauges)
        self._keys = np.array([streams.key_of(seed, name) for name in names], np.uint64)
        self._is_flow = np.array([bool(gauge.link) for gauge in gauges], bool)
        self._node = np.array([model.node[gauge.node] for gauge in gauges if gauge.node], np.intp)
        self._link = np.array([model.link[gauge.link] for gauge in gauges if gauge.link], np.intp)
        self._sign = np.array([gauge.sign for gauge in gauges], np.float64)
        self.stopped: set[str] = set()
        self._pumps = [link for link in model.link_ids if link.startswith(PUMP)]
        self._calm = np.array([self._solve(float(factor)) for factor in GRID])
        self.now: Floats = self._calm[len(GRID) // 2]
        self.extra = 1.0  # what people use beyond a calm day
        self._solved_us = 0
        self._factor = 1.0

    def _solve(self, factor: float) -> Floats:
        self.model.set_pattern(self._pattern, factor)
        for pump in self._pumps:
            if pump in self.stopped:
                self.model.close_link(pump)
            else:
                self.model.set_setting(pump, pump_speed(factor))
        solved = self.model.advance(STEP_S)
        self.pressure_mpa = solved.pressure_mpa
        value = np.empty(len(self.gauges))
        value[~self._is_flow] = solved.pressure_mpa[self._node]
        value[self._is_flow] = solved.flow_lps[self._link] * M3H_PER_LPS
        return np.multiply(value, self._sign)

    def factor(self, time_us: Times) -> Floats:
        """Demand relative to its mean."""
        return self._demand.at(np.zeros(len(time_us), np.intp), time_us, self._offset_us)

    def at(self, gauge: int, time_us: Times) -> Floats:
        """What a gauge showed at times without an event, with its noise."""
        factor = self.factor(time_us)
        calm = np.interp(factor, GRID, self._calm[:, gauge])
        return self._noisy(np.full(len(time_us), gauge), calm, time_us)

    def step(self, now_us: int) -> None:
        """Bring the network to `now`. Cheap when less than a step has passed."""
        if now_us - self._solved_us >= STEP_S * SECOND_US:
            self._factor = float(self.factor(np.array([now_us], np.int64))[0])
            self.now = self._solve(self._factor * self.extra)
            self._solved_us = now_us

    def calm_now(self) -> Floats:
        """What the gauges would show at the last step if nothing had happened."""
        place = int(np.clip(np.searchsorted(GRID, self._factor), 1, len(GRID) - 1))
        share = (self._factor - GRID[place - 1]) / (GRID[place] - GRID[place - 1])
        calm: Floats = self._calm[place - 1] * (1 - share) + self._calm[place] * share
        return calm

    def read(self, rows: Rows, now_us: int) -> Floats:
        """What gauges show at the last step."""
        return self._noisy(rows, self.now[rows], np.full(len(rows), now_us, np.int64))

    def _noisy(self, rows: Rows, value: Floats, time_us: Times) -> Floats:
        drawn = streams.normal(self._keys[rows], time_us // SECOND_US)
        flow = self._is_flow[rows]
        noisy = value + drawn * np.where(flow, np.abs(value) * FLOW_NOISE, PRESSURE_NOISE_MPA)
        return streams.rounded(noisy, np.where(flow, 0.1, 0.001))

    # -- acts ------------------------------------------------------------------------------------------------

    def burst(self, pipe: str, flow_m3h: float) -> None:
        """Break a pipe that the model was opened with as split; the flow is that at the pressure of now."""
        at_mpa = float(self.pressure_mpa[self.model.node[pipe + MIDDLE]])
        self.model.burst(pipe, flow_m3h / M3H_PER_LPS, at_mpa)
        self.at_once()

    def repair(self, pipe: str) -> None:
        """The hole is closed and the pipe carries water again."""
        self.model.burst(pipe, 0.0, 1.0)
        for half in (pipe, pipe + SECOND_HALF):
            self.model.close_link(half, closed=False)
        self.at_once()

    def loss_m3h(self, pipe: str) -> float:
        return self.model.burst_lps(pipe) * M3H_PER_LPS

    def at_once(self) -> None:
        """Something has changed: solve at the next step."""
        self._solved_us = 0
