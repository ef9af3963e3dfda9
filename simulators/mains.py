"""The supply as a part of a scenario: bursts, slow leaks, draws, pump trips and demand on the EPANET model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.clock import SECOND_US
from gis.hydraulics import SECOND_HALF, Hydraulics
from gis.network import Network
from simulators import scenario as acts
from simulators.devices import Device, Say
from simulators.parts import NOBODY, Shown
from simulators.physics.supply import M3H_PER_LPS, Gauge, Supply
from simulators.places import Places, Spot, metres
from simulators.scenario import Act, Scenario
from simulators.streams import Rows

#: A gauge is moved by an action when it shows this much less pressure, or this share more flow, than on a calm day.
MOVED_MPA, MOVED_SHARE = 0.008, 0.05


class Mains:
    """Steps the network; `to_blame` says which action moved which gauge."""

    def __init__(
        self,
        places: Places,
        gauged: Sequence[tuple[Device, Say]],
        scenario: Scenario,
        seed: int,
        offset_us: int,
        network: Network,
    ) -> None:
        rng = np.random.default_rng([77, seed])
        self._places = places
        self._chosen: dict[int, Spot] = {}
        for cause, action in enumerate(scenario.actions):
            if isinstance(action, acts.Burst):
                self._chosen[cause] = _pipe(action, places, rng)
        self._rng = rng
        self._split = {spot.asset for spot in self._chosen.values()}
        model = Hydraulics(places.inp, split=sorted(self._split), live=True)
        gauges = [say.source for _, say in gauged if isinstance(say.source, Gauge)]
        self.supply = Supply(model, places.pattern, gauges, seed=seed, offset_us=offset_us)
        self._spots = [device.spot for device, _ in gauged]
        self._is_flow = np.array([bool(gauge.link) for gauge in gauges], bool)
        self._standing: dict[int, Spot] = {}
        self._growing: dict[int, tuple[int, float, float]] = {}
        self._fading_us: dict[int, int] = {}
        self._now_us = 0
        self._network = network
        self._shut: dict[int, list[str]] = {}

    def close(self) -> None:
        self.supply.model.close()

    # -- a part ----------------------------------------------------------------------------------------------

    def plays(self, device: Device, channel: str) -> bool:
        del device, channel
        return False  # gauges are read from the model itself

    def shown(self, device: Device, channel: str, calm: float, now_us: int) -> Shown:
        del device, channel, now_us
        return calm, NOBODY

    def begin(self, action: Act, cause: int, now_us: int) -> Spot | None:
        if isinstance(action, acts.Burst):
            spot = self._chosen[cause]
            if action.grows:
                self._growing[cause] = (now_us, action.grows, action.flow_m3h)
            else:
                self.supply.burst(spot.asset, action.flow_m3h)
        elif isinstance(action, acts.Draw):
            spot = self._places.hydrants[action.hydrant - 1]
            self._draw(spot, action.flow_m3h)
        elif isinstance(action, acts.PumpTrip):
            spot = next(plant for plant in self._places.plants if plant.link.startswith("WP"))
            self.supply.stopped.add(spot.link)
        elif isinstance(action, acts.Demand):
            spot = Spot("", 0, 0)
            self.supply.extra = action.factor
        else:
            return None
        self._standing[cause] = spot
        self.supply.at_once()
        return spot

    def end(self, cause: int, now_us: int) -> None:
        spot = self._standing.pop(cause, None)
        if spot is None:
            return
        self._growing.pop(cause, None)
        if cause in self._chosen:
            for link in self._shut.pop(cause, []):
                self.supply.model.close_link(link, closed=False)
            self.supply.repair(spot.asset)
        elif spot.link.startswith("WP"):
            self.supply.stopped.discard(spot.link)
            self.supply.model.close_link(spot.link, closed=False)
        elif spot.node:
            self.supply.model.set_emitter(spot.node, 0.0)
        else:
            self.supply.extra = 1.0
        self._fading_us[cause] = now_us
        self.supply.at_once()

    def isolate(self, cause: int) -> None:
        """Shut the valves that the map recommends for a burst, one on the broken pipe itself at its own end."""
        if cause not in self._chosen:
            return
        spot, valves = self._chosen[cause], self._network.valves
        self._shut[cause] = []
        for valve in self._network.isolating_valves(spot.asset).valves:
            row = valves.id.index(valve)
            edge = self._network.edge_ids[valves.edge[row]]
            at_head = valves.node[row] == self._network.head[valves.edge[row]]
            link = edge + SECOND_HALF if at_head and edge in self._split else edge
            self.supply.model.close_link(link)
            self._shut[cause].append(link)
        self.supply.at_once()

    def _draw(self, spot: Spot, flow_m3h: float) -> None:
        head_m = 30.0  # about what stands at a hydrant
        self.supply.model.set_emitter(spot.node, flow_m3h / M3H_PER_LPS / head_m**0.5)

    def step(self, now_us: int, dt_s: float = 0.0) -> None:
        del dt_s
        self._now_us = now_us
        for cause, (begun, grows, flow) in self._growing.items():
            share = min(1.0, (now_us - begun) / SECOND_US / grows)
            middle = self._chosen[cause].asset
            self.supply.burst(middle, max(flow * share, 1e-3))
        self.supply.step(now_us)

    # -- truth -----------------------------------------------------------------------------------------------

    def loss_m3h(self, cause: int) -> float:
        """What an open break loses now."""
        return self.supply.loss_m3h(self._chosen[cause].asset) if cause in self._standing else 0.0

    def to_blame(self, rows: Rows) -> NDArray[np.int64]:
        """For each gauge the standing action that moved it most likely: of several the nearest."""
        if not self._standing:
            return np.full(len(rows), NOBODY, np.int64)
        calm, now = self.supply.calm_now()[rows], self.supply.now[rows]
        flow = self._is_flow[rows]
        moved = np.where(flow, now > calm * (1 + MOVED_SHARE) + 1.0, calm - now > MOVED_MPA)
        causes = list(self._standing)
        found = np.full(len(rows), NOBODY, np.int64)
        for place in np.flatnonzero(moved).tolist():
            here = self._spots[int(rows[place])]
            found[place] = min(causes, key=lambda cause: _away(self._standing[cause], here))
        return found


def _away(spot: Spot, here: Spot) -> float:
    """Distance; an action without a place is everywhere, and so the last to blame."""
    return metres(spot, here) if spot.asset else 50_000.0


def _pipe(action: acts.Burst, places: Places, rng: np.random.Generator) -> Spot:
    """The pipe that the action names, or one of its zone, or any."""
    if action.pipe:
        return next(pipe for pipe in places.pipes if pipe.asset == action.pipe)
    if action.zone == places.pilot:
        return places.burst
    mine = [pipe for pipe in places.pipes if not action.zone or pipe.zone == action.zone]
    return mine[int(rng.integers(len(mine)))]
