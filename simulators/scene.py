"""The demo scene at rest: gateways, devices, crews of the sample city, and a history that ends at now.

Recorded data stands on the city at places of ours, simulated data beside it; every row says which it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core import text
from core.clock import DAY_US, HOUR_US, MINUTE_US
from gis.hydraulics import Hydraulics
from iot.registry import Provenance
from iot.registry_store import DeviceRow
from simulators import crews as people
from simulators import devices, dialects, scada, streams, tape
from simulators.devices import Device, Rain, Recorded
from simulators.dialects import Speaker
from simulators.physics.supply import Gauge, Supply
from simulators.places import Places
from simulators.scada import EdgeNode
from simulators.streams import Stream, Table

SceneKind = Literal["both", "recorded", "simulated", "off"]
History = tuple[str, str, NDArray[np.int64], NDArray[np.float64]]

#: Every format that the scene's devices can speak beside SenML.
FORMATS = frozenset({*dialects.CODES, "sparkplug"})

#: History on the first day (domains/vitals §12).
HOURLY_US = 35 * DAY_US
DENSE_US = 3 * DAY_US
DENSE_STEP_US = 5 * MINUTE_US
HALF_HOUR_US = HOUR_US // 2
#: Rain of the calm streams ends this long before now: the play brings its own.
DRY_US = 40 * HOUR_US
SHOWER = Stream(shower=9.0, memory_us=3 * HOUR_US, resolution=0.1)


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """A gateway to register."""

    id: str
    provenance: Provenance


class Scene:
    """Everything that stands still. `kind` says which devices take part; one seed, one city, one scene."""

    def __init__(
        self,
        places: Places,
        zone: ZoneInfo,
        *,
        kind: SceneKind = "both",
        seed: int = 1,
        speaks: Collection[str] = (),
    ) -> None:
        self.places = places
        self.zone = zone
        self.seed = seed
        wanted = {"both": ("recorded", "simulated"), "off": ()}.get(kind, (kind,))
        self.devices: tuple[Device, ...] = tuple(
            self._spoken(device, speaks)
            for device in devices.all_devices(places)
            if device.provenance in wanted
        )
        self.gateway_of: Mapping[str, str] = {device.id: device.gateway for device in self.devices}
        self._tapes: dict[str, tape.Tape] = {}

    @staticmethod
    def _spoken(device: Device, speaks: Collection[str]) -> Device:
        """Who speaks a field protocol belongs to the gateway of that protocol, who hangs on SCADA to its node."""
        if device.provenance != "simulated":
            return device
        protocol, node = dialects.protocol_of(device.kind), scada.NODES.get(device.kind, "")
        gateway = (
            protocol if protocol in speaks else node if node and "sparkplug" in speaks else device.gateway
        )
        return replace(device, gateway=gateway)

    def speakers(self) -> dict[str, Speaker]:
        """Who speaks a field protocol, each with nothing said yet."""
        assets = [device.spot.asset for device in self.devices]
        return {
            device.id: dialects.speaker(device.kind, device.number, assets.index(device.spot.asset))
            for device in self.devices
            if device.gateway == dialects.protocol_of(device.kind)
        }

    def nodes(self) -> dict[str, EdgeNode]:
        """The edge nodes of Sparkplug B, each not yet born."""
        channels: dict[str, dict[str, list[str]]] = {}
        for device in self.devices:
            if device.gateway in scada.NODES.values():
                channels.setdefault(device.gateway, {})[device.id] = [say.channel for say in device.says]
        return {node: EdgeNode(node, devices) for node, devices in sorted(channels.items())}

    def gateways(self) -> list[GatewayRow]:
        """Each gateway once; it has the provenance of its devices."""
        found = {device.gateway: device.provenance for device in self.devices}
        return [GatewayRow(gateway, provenance) for gateway, provenance in sorted(found.items())]

    def rows(self) -> list[DeviceRow]:
        """The devices as the registry takes them, named after their place and their number."""
        words = text.load([Path(__file__).parent])
        speakers = self.speakers()
        return [self._row(device, words, speakers.get(device.id)) for device in self.devices]

    def _row(self, device: Device, words: text.Texts, speaker: Speaker | None) -> DeviceRow:
        spot = device.spot
        zh, en = (
            words(f"sim.device.{device.kind}", language, place=place, n=device.number)
            for language, place in (("zh", spot.place_zh), ("en", spot.place_en))
        )
        names, params = (speaker.names, device.params) if speaker else ((device.id,), device.params)
        if len(names) > 1:
            params = {**params, "wire": {"names": list(names[1:])}}
        return DeviceRow(
            device.id, device.kind, zh, en, spot.lon, spot.lat, device.gateway, names[0], spot.asset, spot.zone,
            spot.area, device.provenance, params,
        )  # fmt: skip

    def crews(self) -> list[people.Row]:
        """Crews at their depots; one of them is marked as the demonstration's responder's own."""
        return people.crews(self.places.depots, self.places.burst)

    def departments(self) -> list[people.Row]:
        return people.departments()

    def duties(self) -> list[people.Row]:
        """The duty list (权责清单)."""
        return people.duties()

    def tape(self, name: str) -> tape.Tape:
        if name not in self._tapes:
            self._tapes[name] = tape.load(name)
        return self._tapes[name]

    # -- physics and streams, shared by history and by the play ------------------------------------------------

    def gauges(self) -> list[tuple[str, str, Gauge]]:
        """(device, channel, gauge) of every point that the supply model feeds, in the order of `supply`."""
        return [
            (device.id, say.channel, say.source)
            for device in self.devices
            for say in device.says
            if isinstance(say.source, Gauge)
        ]

    def supply(self, offset_us: int) -> Supply:
        """The supply model with all gauges, calm. Close its model when done."""
        model = Hydraulics(self.places.inp, split=[self.places.burst.asset], live=True)
        gauges = [gauge for _, _, gauge in self.gauges()]
        return Supply(model, self.places.pattern, gauges, seed=self.seed, offset_us=offset_us)

    def streams(self) -> tuple[list[tuple[str, str]], Table]:
        """(device, channel) of every point that is a stream, and their table."""
        found = [
            (device.id, say.channel, say.source)
            for device in self.devices
            for say in device.says
            if isinstance(say.source, Stream)
        ]
        keys = [streams.key_of(self.seed, f"{device}/{channel}") for device, channel, _ in found]
        return [(device, channel) for device, channel, _ in found], Table(
            [stream for *_, stream in found], keys
        )

    # -- history ---------------------------------------------------------------------------------------------

    def history(self, now_us: int) -> Iterator[History]:
        """(device, channel, times µs, values) of every point: 35 days by the hour, the last 3 days by 5 minutes.

        Times ascend and end before `now_us`; recorded series are means over those steps, at their beginning.
        """
        offset_us = tape.offset_us(self.zone, now_us)
        times = history_times(now_us)
        yield from self._stream_history(times, offset_us)
        yield from self._supply_history(times, offset_us)
        for device in self.devices:
            for say in device.says:
                if isinstance(say.source, Recorded):
                    yield (
                        device.id,
                        say.channel,
                        *self._recorded_history(say.source, times, now_us, offset_us),
                    )
                elif isinstance(say.source, Rain):
                    key = streams.key_of(self.seed, f"{device.id}/rain")
                    yield device.id, say.channel, times, fallen(key, times, say.source.window_us, now_us)

    def _stream_history(self, times: NDArray[np.int64], offset_us: int) -> Iterator[History]:
        points, table = self.streams()
        for row, (device, channel) in enumerate(points):
            rows = np.full(len(times), row)
            yield device, channel, times, table.at(rows, times, offset_us)

    def _supply_history(self, times: NDArray[np.int64], offset_us: int) -> Iterator[History]:
        gauges = self.gauges()
        if not gauges:
            return
        supply = self.supply(offset_us)
        with supply.model:
            for number, (device, channel, _) in enumerate(gauges):
                yield device, channel, times, supply.at(number, times)

    def _recorded_history(
        self, source: Recorded, times: NDArray[np.int64], now_us: int, offset_us: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Means over each hour and each 5 minutes; a step without a recording has no value."""
        begins = np.where(times < dense_from(now_us), times - HALF_HOUR_US, times)
        at, value = self.tape(source.tape).between(
            source.device, source.channel, int(begins[0]), now_us, offset_us
        )
        scale = 1e-6
        step = np.searchsorted(begins, at, side="right") - 1
        count = np.bincount(step, minlength=len(times))
        total = np.bincount(step, value, len(times))
        there = count > 0
        mean = np.rint(total[there] / count[there] / scale) * scale
        return times[there], np.round(mean, 3)


def dense_from(now_us: int) -> int:
    """Where hours end and 5 minutes begin."""
    return (now_us - DENSE_US) // HOUR_US * HOUR_US


def history_times(now_us: int) -> NDArray[np.int64]:
    """The middles of hours from 35 to 3 days ago, then whole 5 minutes; the last one lies before now.

    The middle, because one value stands for its hour: at the beginning of a steep hour it would mislead.
    """
    dense_begin = dense_from(now_us)
    hourly = (
        np.arange(dense_begin - (HOURLY_US - DENSE_US), dense_begin, HOUR_US, dtype=np.int64) + HALF_HOUR_US
    )
    dense = np.arange(dense_begin, now_us, DENSE_STEP_US, dtype=np.int64)
    return np.concatenate([hourly, dense])


def fallen(
    key: int, times: NDArray[np.int64], window_us: int, now_us: int, dry_us: int = DRY_US
) -> NDArray[np.float64]:
    """Rain in mm that fell within `window_us` before each time; dry in the last `dry_us` before now."""
    step = DENSE_STEP_US
    first = int(times[0] - window_us) // step * step
    slots = np.arange(first, int(times[-1]) + step, step, dtype=np.int64)
    table = Table([SHOWER], [key])
    rain = table.at(np.zeros(len(slots), np.intp), slots, 0) / 4  # SHOWER is by the quarter of an hour's look
    rain[slots >= now_us - dry_us] = 0.0
    total = np.concatenate([[0.0], np.cumsum(np.round(rain, 1))])
    end = np.searchsorted(slots, times, side="right")
    begin = np.searchsorted(slots, times - window_us, side="right")
    depth: NDArray[np.float64] = np.round(total[end] - total[begin], 1)
    return depth
