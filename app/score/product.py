"""The product's own deciding parts on a virtual clock: decode, assemble, detect, correlate, in memory.

Everything that decides is the very code of `ingest.assemble` and `events` (`events.offline`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.batch import Batch
from core.clock import HOUR_US, SECOND_US, ManualClock
from core.domains import Domains
from events.citytime import CityTime
from events.engine import Engine, Row, load_model
from events.facts import Fact
from events.offline import Offline, SaidIncident
from events.place import NOWHERE, World
from ingest.assemble import DECODERS, Assembler, Limits
from ingest.sparkplug import SparkplugHost
from iot import kinds
from iot.codecs.frame import Parcel, Refusal
from iot.kinds import Catalogue, Channel
from iot.readings import Logged
from iot.registry import Device, Gateway, Registry, build
from iot.registry_store import DeviceRow
from iot.views import Hours
from simulators.fleet import Wire

#: How a frame's topic begins → its format.
FORMATS = {
    "telemetry": "senml", "spBv1.0": "sparkplug", "hj212": "hj212", "gbt26875": "gbt26875", "sl651": "sl651",
}  # fmt: skip


class _NoReceipt:
    def settle(self, accepted: int, refused: Sequence[Refusal]) -> None:
        pass


@dataclass(slots=True)
class Counts:
    """What went through, and what it cost."""

    readings: int = 0
    refused: int = 0
    batches: int = 0
    cpu_s: float = 0.0


class Product:
    """One city's engine in memory. `feed` and `tick` with ascending times; then read `alerts` and `incidents`."""

    def __init__(
        self,
        domains: Domains,
        rows: Iterable[DeviceRow],
        zone: ZoneInfo,
        *,
        around: World = NOWHERE,
        linger_s: float = 600.0,
    ) -> None:
        catalogue = kinds.load(domains)
        self.registry = registry_of(rows, catalogue)
        model = load_model(domains, catalogue)
        self._lead = {key: kind.decl.lead for key, kind in model.types.items()}
        self.engine = Engine(model, self.registry, CityTime(zone), around)
        self.offline = Offline(self.engine, linger_s)
        self.counts = Counts()
        self._clock = ManualClock(0)
        self._commands: list[tuple[str, bytes]] = []
        host = SparkplugHost(self._clock, lambda topic, payload: self._commands.append((topic, payload)))
        self._assembler = Assembler(self.registry, Limits(), {**DECODERS, "sparkplug": host})

    @property
    def alerts(self) -> dict[str, Row]:
        return self.offline.alerts

    @property
    def incidents(self) -> dict[str, SaidIncident]:
        return self.offline.incidents

    def lead_of(self, incident_type: str) -> str:
        """The department that leads in incidents of a type."""
        return self._lead.get(incident_type, "")

    def alarms_asked(self) -> list[int]:
        return self.offline.alarms_asked()

    def learn(self, history: Iterable[tuple[str, str, NDArray[np.int64], NDArray[np.float64]]]) -> None:
        """What was usual, from (device, channel, times, values) as `Scene.history` gives them."""
        points = self.engine.usual_points()
        wanted = {(int(self.registry.device_of[p]), int(self.registry.channel_of[p])) for p in points}
        parts = []
        for device, channel, times, values in history:
            found = self.registry.devices.get(device)
            number = self.registry.channel(found, channel) if found else None
            if found and number and (found.number, number.number) in wanted:
                parts.append(_hours(found.number, number.number, times, values))
        if parts:
            columns = [np.concatenate([part[n] for part in parts]) for n in range(7)]
            self.engine.learn(points, Hours(*columns))

    # -- what comes in ---------------------------------------------------------------------------------------

    def feed(self, wires: Iterable[Wire], now_us: int) -> None:
        """Frames that arrived at `now`, as one batch."""
        begun = cpu_s()
        self._clock.advance((now_us - self._clock.now_us()) / SECOND_US)
        parcels = [
            Parcel(wire.gateway, FORMATS[said], [wire.payload], now_us, _NoReceipt(), wire.topic)
            for wire in wires
            if (said := wire.topic.partition("/")[0]) in FORMATS
        ]
        if parcels:
            assembled = self._assembler.assemble(parcels)
            self.counts.refused += sum(len(refused) for refused in assembled.refused.values())
            if len(assembled.batch):
                self._take(assembled.batch, now_us)
        self.counts.cpu_s += cpu_s() - begun

    def commands(self) -> list[tuple[str, bytes]]:
        """What gateways were told since somebody asked, as (topic, payload)."""
        told, self._commands = self._commands, []
        return told

    def _take(self, batch: Batch, now_us: int) -> None:
        self.counts.batches += 1
        self.counts.readings += len(batch)
        self.offline.take(Logged(self.counts.batches, batch), now_us)

    def tell(self, facts: Iterable[Fact], now_us: int) -> None:
        """Evidence that is no reading of ours: alerts of a prepared storm, reports of people."""
        begun = cpu_s()
        self.offline.tell(facts, now_us)
        self.counts.cpu_s += cpu_s() - begun

    def tick(self, now_us: int) -> None:
        """Let time pass: detectors that wait for it, and incidents that have been clear for long enough."""
        begun = cpu_s()
        self.offline.tick(now_us)
        self.counts.cpu_s += cpu_s() - begun


def cpu_s() -> float:
    """CPU time of this process."""
    spent = os.times()
    return spent.user + spent.system


def _hours(
    device: int, channel: int, times: NDArray[np.int64], values: NDArray[np.float64]
) -> tuple[NDArray[np.generic], ...]:
    """Columns of `Hours` of one point."""
    bucket = times // HOUR_US
    first = np.flatnonzero(np.concatenate(([True], np.diff(bucket) != 0)))
    n = np.diff(np.append(first, len(times)))
    return (
        np.full(len(first), device, np.int32), np.full(len(first), channel, np.int16), bucket[first] * HOUR_US,
        np.add.reduceat(values, first) / n, np.minimum.reduceat(values, first), np.maximum.reduceat(values, first),
        n.astype(np.int32),
    )  # fmt: skip


def registry_of(rows: Iterable[DeviceRow], catalogue: Catalogue) -> Registry:
    """A registry in memory: numbers in the order of the rows."""
    rows = list(rows)
    gateways = [Gateway(n, id_) for n, id_ in enumerate(sorted({row.gateway for row in rows}), 1)]
    channels = [
        Channel(n, name.partition(".")[0], decl)
        for n, (name, decl) in enumerate(catalogue.channels.items(), 1)
    ]
    devices = [
        Device(
            number, row.id, row.kind, catalogue.kinds[row.kind].domain, {"zh": row.name_zh, "en": row.name_en},
            row.lon, row.lat, row.gateway, row.wire_name or row.id, row.asset, row.zone, row.area, row.provenance,
            row.params or {},
        )
        for number, row in enumerate(rows, 1)
    ]  # fmt: skip
    return build(gateways, devices, channels, catalogue)
