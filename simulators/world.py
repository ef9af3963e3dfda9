"""A scenario in motion on the sample city, on a virtual clock: physics, devices, faults, gateways, and the truth.

`advance` gives the frames that reach the product at a time. The truth stays here: what was done when and where
(`told`), and for every point from when to when which action was to blame for what it showed (`blame`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from core.clock import DAY_US, SECOND_US
from gis.city import City
from simulators import parts as parts_
from simulators import scenario as acts
from simulators import tape
from simulators.devices import Device, Say
from simulators.fleet import Fleet, Point, Sample, Wire, packs
from simulators.hardware import Hardware, Label, Network
from simulators.mains import Mains
from simulators.parts import NOBODY, Part
from simulators.physics.supply import Gauge
from simulators.places import Spot, metres
from simulators.responders import Crews, Job
from simulators.scenario import Act, Lasting, Scenario
from simulators.scene import Scene
from simulators.streams import Floats, Rows, Stream

#: A crew finds a cause within this distance of where it was sent.
VISITED_M = 600.0
#: Devices of these kinds belong to these domains.
PREFIXES = {
    "water_supply": "ws_", "drainage": "dr_", "gas": "gas_", "construction": "con_", "flood": "fl_", "fire": "fire_",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """Something that was done, as the truth log keeps it; `until_us` 0: to the end."""

    cause: int
    name: str
    do: str
    from_us: int
    until_us: int
    spot: Spot


@dataclass(frozen=True, slots=True)
class FactTold:
    """A report or permit that the product is told beside readings."""

    id: str
    what: str
    spot: Spot
    at_us: int
    until_us: int


class World:
    """One run of one scenario on the city of the scene. Close it when done: it holds engines' projects."""

    def __init__(self, scene: Scene, scenario: Scenario, city: City, *, seed: int | None = None) -> None:
        self.scenario = scenario
        self.seed = scenario.seed if seed is None else seed
        self.begun_us = scenario.start_us(scene.zone)
        self.now_us = self.begun_us
        self.told: dict[int, Told] = {}
        self.said = 0
        self.heard: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.devices = [device for device in scene.devices if self._wanted(device)]
        self._places = scene.places
        self._plane = city.plane
        self._offset_us = tape.offset_us(scene.zone, self.begun_us)
        self._speakers = scene.speakers()
        mine = {device.gateway for device in self.devices}
        self._nodes = {name: node for name, node in scene.nodes().items() if name in mine}
        self._gateway_of = {device.id: device.gateway for device in self.devices}
        self._blame: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        roads = [device.spot for device in self.devices if device.role == "road"]
        detectors = [device.id for device in self.devices if device.kind == "fire_detector"]
        hours = scenario.lasts / 3600
        self.parts: list[Part] = parts_.of(scene.places, city, hours, roads, detectors, self.seed)
        gauged = [
            (device, say) for device in self.devices for say in device.says if isinstance(say.source, Gauge)
        ]
        self.mains = None
        if gauged:
            network = city.networks["water_supply"]
            self.mains = Mains(scene.places, gauged, scenario, self.seed, self._offset_us, network)
        where = {device.id: (device.spot.zone, device.spot.area) for device in self.devices}
        self.hardware = Hardware(where, self.seed)
        self.network = Network(self._nodes)
        self.crews = Crews(city) if scenario.crews else None
        self._fleets = [*self._stream_fleets(scene), *self._gauge_fleet(gauged)]

    def _wanted(self, device: Device) -> bool:
        domains = self.scenario.domains or list(PREFIXES)
        return device.provenance == "simulated" and device.kind.startswith(
            tuple(PREFIXES[d] for d in domains)
        )

    def close(self) -> None:
        if self.mains is not None:
            self.mains.close()
        self.roads.close()

    @property
    def roads(self) -> parts_.Roads:
        return next(part for part in self.parts if isinstance(part, parts_.Roads))

    @property
    def ends_us(self) -> int:
        return self.begun_us + round(self.scenario.lasts * SECOND_US)

    @property
    def labels(self) -> list[Label]:
        return self.hardware.labels

    # -- time ------------------------------------------------------------------------------------------------

    def advance(self) -> list[Wire]:
        """One tick: acts that are due, physics, what devices say, and what of it arrives."""
        before, self.now_us = self.now_us, self.now_us + round(self.scenario.tick * SECOND_US)
        dt_s = (self.now_us - before) / SECOND_US
        for cause, action in enumerate(self.scenario.actions):
            self._turn(cause, action)
        self._visits(before)
        for part in self.parts:
            part.step(self.now_us, dt_s)
        if self.mains is not None:
            self.mains.step(self.now_us)
        samples: list[Sample] = []
        for fleet in self._fleets:
            samples += fleet.emit(before, self.now_us)
        self.said += len(samples)
        for sample in samples:
            self.heard[f"{sample.device}/{sample.channel}"].append((sample.time_us, sample.value))
        heard = self.hardware.apply(samples, self.now_us)
        wires = packs(heard, self._gateway_of, self._speakers, self._nodes)
        return self.network.carry(wires, self.now_us, dt_s)

    def _turn(self, cause: int, action: Act) -> None:
        """Begin an action that is due, end one whose time is over."""
        at_us = self.begun_us + round(action.at * SECOND_US)
        lasts = action.lasts if isinstance(action, Lasting | acts.Fact) else 0.0
        if cause not in self._begun and self.now_us >= at_us:
            self._begun.add(cause)
            until = at_us + round(lasts * SECOND_US) if lasts else 0
            spot = self._begin(action, cause)
            name = action.name or f"action_{cause}"
            self.told[cause] = Told(cause, name, str(getattr(action, "do", "")), self.now_us, until, spot)
        over = lasts and self.now_us >= at_us + round(lasts * SECOND_US)
        if over and cause in self._begun and cause not in self._ended:
            self._ended.add(cause)
            self._end(action, cause)

    def _begin(self, action: Act, cause: int) -> Spot:
        if isinstance(action, acts.Fault):
            chosen = self.hardware.begin(action, cause, self.now_us)
            return next((device.spot for device in self.devices if device.id in chosen), Spot("", 0, 0))
        if isinstance(action, acts.GatewayOut):
            self.network.begin(action)
            return Spot("", 0, 0)
        if isinstance(action, acts.Chatter):
            self._hurry(action.devices, action.period)
            return Spot("", 0, 0)
        if isinstance(action, acts.Fact):
            return self._near(action.near)
        parts = self.parts if self.mains is None else [self.mains, *self.parts]
        for part in parts:
            spot = part.begin(action, cause, self.now_us)
            if spot is not None:
                return spot
        raise ValueError(f"nobody in this scenario's domains can do {action!r}")

    def _end(self, action: Act, cause: int) -> None:
        if isinstance(action, acts.Fault):
            self.hardware.end(cause, self.now_us)
        elif isinstance(action, acts.GatewayOut):
            self.network.end(action.gateway)
        elif isinstance(action, acts.Chatter):
            self._hurry(action.devices, 0.0)
        elif not isinstance(action, acts.Fact):
            for part in self.parts if self.mains is None else [self.mains, *self.parts]:
                part.end(cause, self.now_us)

    def send(self, incident: str, department: str, lon: float, lat: float) -> None:
        """The product has said an incident: its department sends a crew, where the scenario has crews."""
        if self.crews is not None:
            self.crews.send(incident, department, lon, lat, self.now_us)

    def _visits(self, before_us: int) -> None:
        """Who arrives at a burst shuts its valves; who is done has ended the cause that lies nearest."""
        if self.crews is None:
            return
        arrived, done = self.crews.due(before_us, self.now_us)
        for job in arrived:
            cause = self._standing_near(job)
            if self.mains is not None and cause is not None:
                self.mains.isolate(cause)
        for job in done:
            cause = self._standing_near(job)
            if cause is not None:
                self._ended.add(cause)
                self.told[cause] = replace(self.told[cause], until_us=self.now_us)
                self._end(self.scenario.actions[cause], cause)

    def _standing_near(self, job: Job) -> int | None:
        lon, lat = self._plane.to_lonlat(*job.to)
        here = Spot("", float(lon), float(lat))
        away = {
            cause: metres(told.spot, here)
            for cause, told in self.told.items()
            if told.spot.asset
            and cause not in self._ended
            and isinstance(self.scenario.actions[cause], Lasting)
        }
        nearest = min(away, key=lambda cause: away[cause], default=None)
        return nearest if nearest is not None and away[nearest] <= VISITED_M else None

    def _hurry(self, devices: str, period_s: float) -> None:
        for fleet in self._fleets:
            fleet.hurry(devices, round(period_s * SECOND_US))

    def facts(self, before_us: int) -> list[FactTold]:
        """Reports and permits that the product hears of in this tick."""
        found = []
        for cause, action in enumerate(self.scenario.actions):
            told = self.told.get(cause)
            if isinstance(action, acts.Fact) and told is not None and before_us < told.from_us <= self.now_us:
                until = told.from_us + round(action.lasts * SECOND_US)
                found.append(FactTold(f"fact-{cause}", action.what, told.spot, told.from_us, until))
        return found

    def _near(self, what: str) -> Spot:
        """Where a fact is: the cause of that name, or a device."""
        row = self.scenario.names.get(what)
        if row is not None and row in self.told:
            return self.told[row].spot
        return next((device.spot for device in self.devices if device.id == what), self._places.burst)

    # -- who is to blame -------------------------------------------------------------------------------------

    def blame(self, device: str, channel: str, from_us: int, to_us: int) -> int:
        """The action that made a point show what it showed between two times; -1 for none."""
        turns = self._blame.get((device, channel), [])
        first = max(0, bisect_right(turns, (from_us, 1 << 60)) - 1)
        for at_us, cause in reversed(turns[first:]):
            if at_us <= to_us and cause != NOBODY:
                return cause
        return NOBODY

    def _note(self, device: str, channel: str, cause: int) -> None:
        turns = self._blame[device, channel]
        if (turns[-1][1] if turns else NOBODY) != cause:
            turns.append((self.now_us, cause))

    # -- devices ---------------------------------------------------------------------------------------------

    def _point(self, device: Device, say: Say) -> Point:
        slowest = max(say.period_us, round(self.scenario.period * SECOND_US))
        return Point(device.id, say.channel, min(slowest, DAY_US), say.deadband, say.alarm_us)

    def _stream_fleets(self, scene: Scene) -> list[Fleet]:
        _, table = scene.streams()
        says = [(d, s) for d in scene.devices for s in d.says if isinstance(s.source, Stream)]
        row_of = {(device.id, say.channel): row for row, (device, say) in enumerate(says)}
        mine = {device.id for device in self.devices}
        calm: list[tuple[Device, Say]] = []
        played: list[tuple[Device, Say, Part]] = []
        for device in scene.devices:
            for say in device.says if device.id in mine else ():
                part = next((part for part in self.parts if part.plays(device, say.channel)), None)
                if part is not None:
                    played.append((device, say, part))
                elif isinstance(say.source, Stream):
                    calm.append((device, say))
        index = np.array([row_of[device.id, say.channel] for device, say in calm], np.intp)
        behind = np.array([row_of.get((device.id, say.channel), -1) for device, say, _ in played], np.intp)

        def read_calm(rows: Rows, now_us: int) -> Floats:
            return table.at(index[rows], np.full(len(rows), now_us, np.int64), self._offset_us)

        def read_played(rows: Rows, now_us: int) -> Floats:
            streams = np.maximum(behind[rows], 0)
            base = table.at(streams, np.full(len(rows), now_us, np.int64), self._offset_us)
            value = np.empty(len(rows))
            for place, (row, calm_value) in enumerate(zip(rows.tolist(), base.tolist(), strict=True)):
                device, say, part = played[row]
                value[place], cause = part.shown(device, say.channel, calm_value, now_us)
                self._note(device.id, say.channel, cause)
            return value

        fleets = [Fleet([self._point(d, s) for d, s in calm], read_calm, seed=self.seed)]
        if played:
            fleets.append(Fleet([self._point(d, s) for d, s, _ in played], read_played, seed=self.seed))
        return fleets

    def _gauge_fleet(self, gauged: list[tuple[Device, Say]]) -> list[Fleet]:
        mains = self.mains
        if mains is None:
            return []

        def read(rows: Rows, now_us: int) -> Floats:
            for row, cause in zip(rows.tolist(), mains.to_blame(rows).tolist(), strict=True):
                device, say = gauged[row]
                self._note(device.id, say.channel, cause)
            return mains.supply.read(rows, now_us)

        return [Fleet([self._point(device, say) for device, say in gauged], read, seed=self.seed)]
