"""The play on the scene: what happens when, what the devices say about it, and what ends it. Pure: no wire, no clock.

The script runs by the time since the start. Causes end physically: a burst when a crew has handled it for a while,
the underpass when its pumps have power again. Until then it goes on, through restarts too.

By night (22–06 local time) the noisy site bores piles and breaks the night limit; by day it drives piles and breaks
the day limit. The scene never bends the clock to fit a rule.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from core.clock import HOUR_US, SECOND_US, to_datetime
from simulators import tape
from simulators.devices import Device, Rain, Recorded, Say
from simulators.fleet import Emitter, Fleet, Placed, Point, Sample, Tapes, Wire, packs
from simulators.physics import site
from simulators.physics.site import Site, Work
from simulators.physics.supply import Gauge
from simulators.physics.underpass import Underpass
from simulators.places import Spot, metres
from simulators.scene import Scene
from simulators.streams import Floats, Rows, Stream

#: Seconds after the start.
POWER_LOST_S = 40
RAIN_S, RAIN_END_S = 58, 58 + 12 * 60
BURST_S = 30
SITE_S = 120
#: The site stops by itself, and power comes back, if nobody comes.
SITE_END_S = 45 * 60
POWER_BACK_S = 60 * 60

RAIN_MM_H = 150.0
#: A crew's order near the cause must be under way on site for this long.
HANDLED_US = 20 * SECOND_US
NEAR_M = 700.0
ON_SITE = ("handling", "finished")
#: The burst is strong enough to be seen: this drop at this many loggers, or the largest tried.
DROP_MPA, LOGGERS = 0.07, 3
BURST_M3H = (60, 90, 130, 190, 280, 400, 600)
FLOODS = {"depth", "sump_level", "pumps_running", "pumps_available", "barrier_closed", "power_ok"}


class State(msgspec.Struct):
    """What a restart must know: when it began, what has happened (act → time µs), the water in the bowl."""

    started_us: int
    said_until_us: int
    acts: dict[str, int] = {}
    on_road_m3: float = 0.0
    in_sump_m3: float = 12.0


class TruthLine(msgspec.Struct):
    """What really happened; logged beside the wire, never on it."""

    at_us: int
    what: str
    cause: str
    kind: str
    asset: str
    lon: float
    lat: float
    detail: dict[str, float | str] = {}


@dataclass(frozen=True, slots=True)
class Visit:
    """An order as the simulator sees it over HTTP; `since_us` is when it was first seen on site."""

    order: str
    state: str
    lon: float
    lat: float
    since_us: int


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that the script begins and that a crew, or time, ends. `ends_s` 0: never by itself."""

    key: str
    kind: str
    begins_s: int
    ends_s: int
    spot: Spot
    begin: Callable[[int], dict[str, float | str]]
    end: Callable[[], None]


class Stage:
    """The scene in motion. `advance` moves it to a time and gives the frames; `truth` is drained by who logs it."""

    def __init__(self, scene: Scene, state: State) -> None:
        self.scene = scene
        self.state = state
        self.offset_us = tape.offset_us(scene.zone, state.started_us)
        self.truth: list[TruthLine] = []
        self._speakers = scene.speakers()
        self.nodes = scene.nodes()
        self.pit = Underpass(on_road_m3=state.on_road_m3, in_sump_m3=state.in_sump_m3)
        self.site = Site()
        self.supply = scene.supply(self.offset_us) if scene.gauges() else None
        self._rain: deque[tuple[int, float]] = deque()
        self._moved_us = state.said_until_us
        self._now_us = state.said_until_us
        self.causes = self._causes()
        self._burst_m3h = self._choose_burst()
        for cause in self.causes:
            if cause.key in state.acts and f"{cause.key}.end" not in state.acts:
                cause.begin(state.acts[cause.key])
        self._emitters: list[Emitter] = [self._streams(), self._gauges(), self._played(), self._tapes()]

    def close(self) -> None:
        if self.supply is not None:
            self.supply.model.close()

    # -- time ------------------------------------------------------------------------------------------------

    def advance(self, now_us: int) -> list[Wire]:
        """Everything up to `now`: acts that are due, physics, and what the devices say."""
        since_us = self.state.said_until_us
        self._now_us = now_us
        self._act(now_us)
        self._move(now_us)
        samples: list[Sample] = []
        for emitter in self._emitters:
            samples += emitter.emit(since_us, now_us)
        self.state.said_until_us = now_us
        self.state.on_road_m3, self.state.in_sump_m3 = self.pit.on_road_m3, self.pit.in_sump_m3
        return packs(samples, self.scene.gateway_of, self._speakers, self.nodes)

    def _act(self, now_us: int) -> None:
        elapsed_s = (now_us - self.state.started_us) / SECOND_US
        for cause in self.causes:
            if cause.key not in self.state.acts and elapsed_s >= cause.begins_s:
                self.state.acts[cause.key] = now_us
                self._tell(now_us, "begin", cause, cause.begin(now_us))
            if self.stands(cause.key) and cause.ends_s and elapsed_s >= cause.ends_s:
                self.end(cause, now_us, "time")

    def stands(self, key: str) -> bool:
        return key in self.state.acts and f"{key}.end" not in self.state.acts

    def end(self, cause: Cause, now_us: int, by: str) -> None:
        self.state.acts[f"{cause.key}.end"] = now_us
        cause.end()
        self._tell(now_us, "end", cause, {"by": by})

    def visited(self, visits: Iterable[Visit], now_us: int) -> None:
        """Crews on site: after a while the nearest standing cause near each of them ends."""
        for visit in visits:
            if visit.state not in ON_SITE or now_us - visit.since_us < HANDLED_US:
                continue
            near = [
                (metres(cause.spot, Spot(visit.order, visit.lon, visit.lat)), cause)
                for cause in self.causes
                if self.stands(cause.key)
            ]
            distance, cause = min(near, key=lambda pair: pair[0], default=(np.inf, None))
            if cause is not None and distance <= NEAR_M:
                self.end(cause, now_us, visit.order)

    def _tell(self, now_us: int, what: str, cause: Cause, detail: dict[str, float | str]) -> None:
        spot = cause.spot
        self.truth.append(
            TruthLine(now_us, what, cause.key, cause.kind, spot.asset, spot.lon, spot.lat, detail)
        )

    def _move(self, now_us: int) -> None:
        """Step the physics by at most a second at a time; what was missed while down is not made up."""
        begun = max(self._moved_us, now_us - 10 * SECOND_US)
        while begun < now_us:
            until = min(begun + SECOND_US, now_us)
            rain = self.rain_mm_h(until)
            self.pit.step((until - begun) / SECOND_US, rain)
            self._rain.append((until, rain * (until - begun) / HOUR_US))
            begun = until
        while self._rain and self._rain[0][0] < now_us - 24 * HOUR_US:
            self._rain.popleft()
        self._moved_us = now_us
        if self.supply is not None:
            self.supply.step(now_us)

    def rain_mm_h(self, now_us: int) -> float:
        """The cloudburst over the underpass."""
        elapsed_s = (now_us - self.state.started_us) / SECOND_US
        return RAIN_MM_H if RAIN_S <= elapsed_s < RAIN_END_S else 0.0

    # -- causes ----------------------------------------------------------------------------------------------

    def _causes(self) -> list[Cause]:
        roles = {device.role: device.spot for device in self.scene.devices if device.role}
        found: list[Cause] = []
        if self.supply is not None:
            found.append(
                Cause("burst", "water_burst", BURST_S, 0, self.scene.places.burst, self._break, self._repair)
            )
        if "underpass" in roles:
            found.append(
                Cause("underpass", "underpass_flood", POWER_LOST_S, POWER_BACK_S, roles["underpass"],
                      self._lose_power, self._restore_power)
            )  # fmt: skip
        if "site" in roles:
            found.append(
                Cause("site", "night_noise", SITE_S, SITE_END_S, roles["site"], self._work, self._stop_work)
            )
        return found

    def _choose_burst(self) -> float:
        """The smallest flow that lowers enough loggers of the pilot district enough; tried and undone."""
        if self.supply is None:
            return 0.0
        pilot = {d.id for d in self.scene.devices if d.spot.zone == self.scene.places.pilot}
        rows = [n for n, (device, channel, _) in enumerate(self.scene.gauges())
                if device in pilot and channel == "pressure"]  # fmt: skip
        pipe = self.scene.places.burst.asset
        calm = self.supply.now[rows].copy()
        chosen = float(BURST_M3H[-1])
        for flow in BURST_M3H:
            self.supply.burst(pipe, flow)
            self.supply.step(self._now_us)
            drops = calm - self.supply.now[rows]
            if np.count_nonzero(drops >= DROP_MPA) >= LOGGERS:
                chosen = float(flow)
                break
        self.supply.repair(pipe)
        return chosen

    def _break(self, now_us: int) -> dict[str, float | str]:
        assert self.supply is not None
        del now_us
        self.supply.burst(self.scene.places.burst.asset, self._burst_m3h)
        return {"flow_m3h": self._burst_m3h, "zone": self.scene.places.pilot}

    def _repair(self) -> None:
        assert self.supply is not None
        self.supply.repair(self.scene.places.burst.asset)

    def _lose_power(self, now_us: int) -> dict[str, float | str]:
        del now_us
        self.pit.power_ok = False
        self.pit.running = 0
        self.pit.in_sump_m3 = max(self.pit.in_sump_m3, 0.66 * self.pit.sump_m3)
        return {"rain_mm_h": RAIN_MM_H, "reason": "power lost"}

    def _restore_power(self) -> None:
        self.pit.power_ok = True
        self.pit.barrier_closed = True

    def _work(self, now_us: int) -> dict[str, float | str]:
        self.site.work = site.NIGHT_BORING if is_night(now_us, self.scene.zone) else site.DAY_PILING
        return {"fence_db": round(site.at_distance(self.site.work.sound_db, self.site.fence_m), 1)}

    def _stop_work(self) -> None:
        self.site.work = site.IDLE

    # -- devices ---------------------------------------------------------------------------------------------

    def _streams(self) -> Fleet:
        """Calm streams of devices that play no part."""
        _, table = self.scene.streams()
        says = self._says(Stream)
        calm = [row for row, (device, _) in enumerate(says) if not device.role]
        index = np.array(calm, np.intp)

        def read(rows: Rows, now_us: int) -> Floats:
            return table.at(index[rows], np.full(len(rows), now_us, np.int64), self.offset_us)

        return Fleet([point(*says[row]) for row in calm], read, seed=self.scene.seed)

    def _gauges(self) -> Fleet:
        supply = self.supply

        def read(rows: Rows, now_us: int) -> Floats:
            assert supply is not None
            return supply.read(rows, now_us)

        return Fleet([point(device, say) for device, say in self._says(Gauge)], read, seed=self.scene.seed)

    def _played(self) -> Fleet:
        """Devices with a role, and the rain: what they show is the stream of a calm day and the play together."""
        _, table = self.scene.streams()
        row_of = {(device.id, say.channel): row for row, (device, say) in enumerate(self._says(Stream))}
        played = [(d, s) for d, s in self._says(Stream) if d.role] + self._says(Rain)

        def read(rows: Rows, now_us: int) -> Floats:
            value = np.empty(len(rows))
            for place, row in enumerate(rows.tolist()):
                device, say = played[row]
                if isinstance(say.source, Rain):
                    value[place] = self._fallen(device, say.source.window_us, now_us)
                    continue
                stream_row = np.array([row_of[device.id, say.channel]], np.intp)
                calm = table.at(stream_row, np.array([now_us], np.int64), self.offset_us)[0]
                value[place] = self._shown(device, say.channel, float(calm))
            return value

        return Fleet([point(device, say) for device, say in played], read, seed=self.scene.seed)

    def _shown(self, device: Device, channel: str, calm: float) -> float:
        if device.role == "underpass" and channel in FLOODS:
            shown = {
                "depth": round(self.pit.depth_m * 100), "sump_level": round(self.pit.sump_level_m, 2),
                "pumps_running": self.pit.running, "pumps_available": self.pit.available,
                "barrier_closed": self.pit.barrier_closed, "power_ok": self.pit.power_ok,
            }  # fmt: skip
            return float(shown[channel])
        work: Work = self.site.work
        if device.role == "site":
            if channel == "laeq_1m":
                return round(self.site.level_db(calm), 1)
            if channel in ("pm10", "tsp", "power_kw"):
                extra = (
                    work.power_kw if channel == "power_kw" else work.pm10 * (1.8 if channel == "tsp" else 1.0)
                )
                return round(calm + extra, 1)
        return calm

    def _fallen(self, device: Device, window_us: int, now_us: int) -> float:
        if device.role != "rain":
            return 0.0
        return round(sum(mm for at_us, mm in self._rain if at_us > now_us - window_us), 1)

    def _tapes(self) -> Tapes:
        placed = [
            Placed(device.id, say.channel, self.scene.tape(source.tape), source.device, source.channel)
            for device, say in self._says(Recorded)
            if isinstance(source := say.source, Recorded)
        ]
        return Tapes(placed, self.offset_us)

    def _says(self, kind: type) -> list[tuple[Device, Say]]:
        return [(d, s) for d in self.scene.devices for s in d.says if isinstance(s.source, kind)]


def point(device: Device, say: Say) -> Point:
    return Point(device.id, say.channel, say.period_us, say.deadband)


def is_night(now_us: int, zone: ZoneInfo) -> bool:
    """22–06 local time, as GB 12523 divides the day."""
    return not 6 <= to_datetime(now_us).astimezone(zone).hour < 22


def fresh(now_us: int) -> State:
    """A play that begins now."""
    return State(started_us=now_us, said_until_us=now_us)
