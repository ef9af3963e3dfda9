"""The product's own deciding parts on a virtual clock: decode, assemble, detect, correlate, in memory.

Everything that decides is the very code of `ingest.assemble` and `events`; only the transactions are missing. What
the writer does with moves and groups (`events.writer`) is done here on dictionaries, in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from core.batch import Batch
from core.clock import HOUR_US, SECOND_US
from core.domains import Domains
from events.citytime import CityTime
from events.correlate import Fact, Group
from events.engine import Engine, Row, fact_of, incident_id, load_model
from events.moves import Does, Move
from events.place import NOWHERE, World
from ingest.assemble import Assembler, Limits
from iot import kinds
from iot.codecs.frame import Parcel, Refusal
from iot.kinds import Catalogue, Channel
from iot.readings import Logged
from iot.registry import Device, Gateway, Registry, build
from iot.registry_store import DeviceRow
from iot.views import Hours
from simulators.fleet import Wire


@dataclass(slots=True)
class SaidIncident:
    """An incident as the product said it. Times µs; `causes` are (asset, lon, lat, probability), best first."""

    id: str
    type: str
    opened_us: int
    started_us: int
    lon: float
    lat: float
    zone: str
    asset: str
    level: int
    klass: str
    causes: list[tuple[str, float, float, float]]
    facts: set[str]
    resolved_us: int = 0
    merged_into: str = ""
    standing: bool = True
    clear_us: int = 0

    @property
    def live(self) -> bool:
        return not self.resolved_us and not self.merged_into


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
        self.engine = Engine(load_model(domains, catalogue), self.registry, CityTime(zone), around)
        self.alerts: dict[str, Row] = {}
        self.incidents: dict[str, SaidIncident] = {}
        self.operator_alarms: list[tuple[int, str]] = []
        self.counts = Counts()
        self._assembler = Assembler(self.registry, Limits())
        self._linger_us = round(linger_s * SECOND_US)
        self._by_key: dict[tuple[str, str, int], str] = {}

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
        parcels = [
            Parcel(wire.gateway, "senml", [wire.payload], now_us, _NoReceipt())
            for wire in wires
            if wire.topic.startswith("telemetry/")
        ]
        if parcels:
            assembled = self._assembler.assemble(parcels)
            self.counts.refused += sum(len(refused) for refused in assembled.refused.values())
            if len(assembled.batch):
                self._take(assembled.batch, now_us)
        self.counts.cpu_s += cpu_s() - begun

    def _take(self, batch: Batch, now_us: int) -> None:
        self.counts.batches += 1
        self.counts.readings += len(batch)
        moves, _ = self.engine.take(Logged(self.counts.batches, batch))
        self._moved(moves, now_us)

    def tell(self, facts: Iterable[Fact], now_us: int) -> None:
        """Evidence that is no reading of ours: alerts of a prepared storm, reports of people."""
        begun = cpu_s()
        touched: set[Group] = set()
        for fact in facts:
            touched |= self.engine.correlator.add(fact)
        self._incidents(touched, now_us)
        self.counts.cpu_s += cpu_s() - begun

    def tick(self, now_us: int) -> None:
        """Let time pass: detectors that wait for it, and incidents that have been clear for long enough."""
        begun = cpu_s()
        self._moved(self.engine.advance(now_us), now_us)
        for said in self.incidents.values():
            if said.live and not said.standing and now_us - said.clear_us >= self._linger_us:
                said.resolved_us = now_us
                group = self.engine.correlator.group(said.id)
                if group is not None:
                    self.engine.correlator.close(group)
        self.counts.cpu_s += cpu_s() - begun

    # -- alerts ----------------------------------------------------------------------------------------------

    def _moved(self, moves: Sequence[Move], now_us: int) -> None:
        touched: set[Group] = set()
        for move in moves:
            touched |= self._raise(move, now_us) if move.does is Does.RAISE else self._change(move)
        if touched:
            self._incidents(touched, now_us)

    def _raise(self, move: Move, now_us: int) -> set[Group]:
        row = self.engine.alert_row(move)
        if row is None or row["id"] in self.alerts:
            return set()
        row |= {"standing": True, "returned_at": None, "raised_us": now_us}
        self.alerts[row["id"]] = row
        self._by_key[row["rule"], row["subject"], move.onset_us] = row["id"]
        touched = self.engine.correlator.add(fact_of(row))
        if row["asks"]:
            self.operator_alarms.append((now_us, row["id"]))
        return touched

    def _change(self, move: Move) -> set[Group]:
        found = self.engine.subject(move.point)
        if found is None:
            return set()
        key = (self.engine.rules[move.rule].key, f"{found[0].id}/{found[1]}", move.onset_us)
        id_ = self._by_key.get(key)
        if id_ is None:
            return set()
        row, correlator = self.alerts[id_], self.engine.correlator
        if move.does is Does.WITHDRAW:
            row["withdrawn"] = True
            return correlator.remove(id_) if id_ in correlator.facts else set()
        if move.does is Does.AMEND:
            self._by_key[key[0], key[1], move.to_us] = id_
            return set()
        end = (move.returned_us or move.at_us) if move.does is Does.CLEAR else None
        row["standing"] = end is None
        return correlator.end(id_, end) if id_ in correlator.facts else set()

    # -- incidents -------------------------------------------------------------------------------------------

    def _incidents(self, touched: set[Group], now_us: int) -> None:
        for group in sorted(touched, key=_order):
            if group.incident and group.into is not None:
                self._merge(group, now_us)
            elif group.incident and not group.anchors:
                self.incidents[group.incident].resolved_us = now_us
                group.incident = ""
            elif group.incident:
                self._update(group, now_us)
            elif group.anchors:
                self._open(group, now_us)

    def _open(self, group: Group, now_us: int) -> None:
        correlator = self.engine.correlator
        type_ = correlator.types[group.type]
        if not correlator.opens(group):
            return
        first = min((correlator.facts[each] for each in group.anchors), key=lambda f: (f.onset_us, f.id))
        id_ = incident_id(group.type, first.id)
        if id_ in self.incidents:
            return
        group.incident = id_
        self.incidents[id_] = SaidIncident(
            id_, group.type, now_us, 0, 0.0, 0.0, "", "", 4, type_.klass, [], set()
        )
        self.operator_alarms.append((now_us, id_))
        self._update(group, now_us)

    def _update(self, group: Group, now_us: int) -> None:
        said = self.incidents[group.incident]
        seen = self.engine.assessor.assess(self.engine.correlator, group)
        said.started_us, said.lon, said.lat = seen.started_us, seen.lon, seen.lat
        said.zone, said.asset, said.level = seen.zone, seen.asset, min(said.level, seen.level)
        said.causes = [
            (str(c["asset"]), float(str(c["lon"])), float(str(c["lat"])), float(str(c["probability"])))
            for c in seen.causes
        ]
        said.facts |= group.members.keys()
        if said.standing and not seen.standing:
            said.clear_us = now_us
        said.standing = seen.standing

    def _merge(self, group: Group, now_us: int) -> None:
        kept = group
        while kept.into is not None:
            kept = kept.into
        gone = self.incidents[group.incident]
        gone.merged_into, group.incident = kept.incident, ""
        if kept.incident:
            self.incidents[kept.incident].facts |= gone.facts
            self._update(kept, now_us)

    def alarms_asked(self) -> list[int]:
        """When something newly asked a person: incidents, and alerts that belong to none (DESIGN §6.2)."""
        owned = {fact for said in self.incidents.values() for fact in said.facts}
        return sorted(at for at, id_ in self.operator_alarms if id_ not in owned)


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


def _order(group: Group) -> tuple[bool, str, str]:
    """Merged ones last: what takes them in is there then (as in `events.writer`)."""
    return (group.into is not None, group.incident, min(group.anchors, default=""))
