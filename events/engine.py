"""The engine without its database: batches → moves of alerts → groups of facts. Deterministic in the batches."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.clock import to_datetime, to_us
from core.domains import Domains
from core.text import Texts
from core.yamlfile import Document
from events import rules as rules_
from events import snapshot as snapshots
from events import types as types_
from events import upwind
from events.assess import Assessor
from events.background import Background, Speakers
from events.citytime import CityTime
from events.correlate import Correlator
from events.detectors import Detector
from events.detectors.bonds import Downstream, no_pipes
from events.detectors.build import build, fates
from events.detectors.memory import Memory
from events.detectors.trail import Trail
from events.facts import Fact
from events.family import Family
from events.guards import Switches, asks_usual, nothing_switched, place_of
from events.moves import Move, moves, plain
from events.place import NOWHERE, Place, World
from events.rules import ANY_KIND, Rule, RuleSet
from events.timeline import Rows, Timeline
from events.types import Kind
from events.usual import Usual
from events.wind import Vanes
from iot.kinds import Catalogue
from iot.readings import Logged
from iot.registry import Device, Registry
from iot.views import Hours

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """The declarations in force: rules and incident types."""

    rules: RuleSet
    types: dict[str, Kind]


def load_model(
    domains: Domains, catalogue: Catalogue, texts: Texts | None = None, edited: Iterable[Document] = ()
) -> Model:
    """What the domains declare for the engine, and rules that a city has edited. Raises `core.yamlfile.Mistakes`."""
    rules = rules_.load(domains, catalogue, texts, edited)
    return Model(rules, types_.load(domains, rules, texts))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Settled detector state, and from where the log must be taken again."""

    is_full: bool
    cursor: int
    replay_from: int
    horizon_us: int
    head_us: int
    payload: bytes


class Engine:
    """One model on one registry. A changed model or registry is a new engine that goes on where this one stands."""

    def __init__(
        self,
        model: Model,
        registry: Registry,
        city: CityTime,
        world: World = NOWHERE,
        switches: Switches = nothing_switched,
    ) -> None:
        self.model = model
        self.registry = registry
        self.city = city
        self.rules = model.rules.rules
        self.usual = Usual.nothing(registry.size, city)
        downstream = world.flow.downstream_m if world.flow is not None else no_pipes
        live, settled = (self._detectors(switches, downstream) for _ in range(2))
        self.timeline = Timeline(live, settled, registry, fates(model.rules, registry, live))
        self.speakers = speakers(model.rules, registry)
        if world.wind is None:
            world = replace(world, wind=self._vanes())
        if world.trace is None:
            world = replace(world, trace=self._traces())
        self.correlator = Correlator(model.types.values(), world, Background(self.speakers))
        self.assessor = Assessor(model.rules, registry)
        self.family = Family(self.correlator.types, world)

    def _detectors(self, switches: Switches, downstream: Downstream) -> list[Detector]:
        """Those of the rules, and what is remembered for tracing where the air brought something from."""
        found = build(self.model.rules, self.registry, self.city, self.usual, switches, downstream)
        remembered = upwind.trail(upwind.channels(self.model.types.values(), self.model.rules), self.registry)
        return [*found, remembered] if len(remembered.watches) else found

    def _traces(self) -> upwind.Traces | None:
        remembered = next((each for each in self.timeline.live if isinstance(each, Trail)), None)
        return None if remembered is None else upwind.Traces(self.registry, remembered)

    def _vanes(self) -> Vanes | None:
        """The wind of the city's own vanes, where rules remember what they say."""
        memory = next((each for each in self.timeline.live if isinstance(each, Memory)), None)
        return None if memory is None else Vanes(self.registry, memory)

    # -- readings → moves ----------------------------------------------------------------------------------

    def take(self, logged: Logged) -> tuple[list[Move], Rows | None]:
        """Decide on a batch: what changes about alerts, and what came too late to change anything."""
        if logged.history:
            return [], None
        taken = self.timeline.take(logged.id, logged.batch)
        return moves(taken), taken.too_late

    def advance(self, now_us: int) -> list[Move]:
        return plain(self.timeline.advance(now_us))

    def succeed(self, other: Engine) -> list[Move]:
        """Go on where an engine with another model or registry stands; what that changes about alerts."""
        points = np.arange(min(self.registry.size, other.registry.size), dtype=np.int32)
        payload = snapshots.pack(other.timeline.settled, points, other.model.rules, other.registry)
        states = snapshots.unpack(payload, self.timeline.settled, self.model.rules, self.registry)
        return plain(self.timeline.adopt(other.timeline, states))

    def usual_points(self) -> NDArray[np.int32]:
        """Points whose usual values some rule asks for."""
        points: set[int] = set()
        for rule in self.rules:
            if not rule.decl.enabled:
                continue
            named = {part.channel for part in rule.decl.parts if part.against == "usual"}
            every = asks_usual(rule.decl.guard)
            for device in self.registry.devices.values() if named or every else ():
                if device.kind in rule.decl.kinds:
                    mine = self.registry.points_of(device)
                    points.update(point for name, point in mine.items() if every or name in named)
        return np.array(sorted(points), np.int32)

    def learn(self, points: NDArray[np.int32], hours: Hours) -> None:
        """Take the usual values of some points from hourly sums."""
        self.usual.learn(points, hours, self.registry.point(hours.device, hours.channel))

    # -- snapshots -----------------------------------------------------------------------------------------

    def snapshot(self, *, full: bool) -> Snapshot:
        timeline = self.timeline
        touched = timeline.touched()
        points: NDArray[np.int32] = np.arange(self.registry.size, dtype=np.int32) if full else touched
        payload = snapshots.pack(timeline.settled, points, self.model.rules, self.registry)
        return Snapshot(
            full, timeline.cursor, timeline.replay_from, timeline.horizon_us, timeline.head_us, payload
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Take a snapshot; deltas follow their full one in order."""
        states = snapshots.unpack(snapshot.payload, self.timeline.settled, self.model.rules, self.registry)
        self.timeline.restore(states, snapshot.horizon_us, snapshot.head_us, snapshot.replay_from)

    # -- moves → rows → facts ------------------------------------------------------------------------------

    def subject(self, point: int) -> tuple[Device, str] | None:
        """Device and channel name of a dense point number; None when the device is gone."""
        device = self.registry.by_number.get(int(self.registry.device_of[point]))
        if device is None:
            return None
        return device, self.registry.channel_by_number[int(self.registry.channel_of[point])].name

    def alert_row(self, move: Move, *, backdated: bool = False) -> Row | None:
        """The row of an alert that a move raises, without its state; None when its device is gone."""
        found = self.subject(move.point)
        if found is None:
            return None
        device, channel = found
        rule = self.rules[move.rule]
        row = new_alert(rule, self.model.rules.version, f"{device.id}/{channel}", move.onset_us, move.at_us)
        row.update(placed(device))
        row.update(
            channel=channel, value=move.value, limit_value=move.limit, peak=move.peak, backdated=backdated
        )
        return row


def speakers(rules: RuleSet, registry: Registry) -> dict[str, Speakers]:
    """Who can raise each rule that is in force; rules of the same kinds share one object."""
    places: dict[str, list[Place]] = defaultdict(list)
    for device in registry.devices.values():
        place = place_of(device)
        places[device.kind].append(place)
        places[ANY_KIND].append(place)
    known: dict[tuple[str, ...], Speakers] = {}
    found: dict[str, Speakers] = {}
    for rule in rules:
        kinds = tuple(sorted(set(rule.decl.kinds)))
        if kinds not in known:
            known[kinds] = Speakers(place for kind in kinds for place in places.get(kind, ()))
        if rule.decl.enabled:
            found[rule.key] = known[kinds]
    return found


def new_alert(rule: Rule, version: str, subject: str, onset_us: int, raised_us: int) -> Row:
    """What every alert row begins with. Two instances and a replay give it the same id."""
    return {
        "id": alert_id(rule.key, subject, onset_us), "rule": rule.key, "rule_version": version,
        "domain": rule.domain, "class": rule.decl.klass, "level": rule.decl.level, "subject": subject,
        "device": "", "channel": "", "backdated": False,
        "asks": rule.decl.klass in ("life", "field") or (rule.decl.klass == "device" and rule.decl.level <= 2),
        "onset": to_datetime(onset_us), "raised_at": to_datetime(raised_us),
        "value": 0.0, "limit_value": 0.0, "peak": 0.0, "lon": 0.0, "lat": 0.0,
        "zone": "", "area": "", "asset": "", "provenance": "real", "aside": None,
    }  # fmt: skip


def placed(device: Device) -> Row:
    return {
        "device": device.id, "domain": device.domain, "lon": device.lon, "lat": device.lat, "zone": device.zone,
        "area": device.area, "asset": device.asset, "provenance": device.provenance,
    }  # fmt: skip


def alert_id(rule: str, subject: str, onset_us: int) -> str:
    return hashlib.blake2b(f"{rule}\n{subject}\n{onset_us}".encode(), digest_size=10).hexdigest()


def incident_id(type_: str, first_fact: str) -> str:
    return hashlib.blake2b(f"{type_}\n{first_fact}".encode(), digest_size=10).hexdigest()


def fact_of(row: Row) -> Fact:
    """An alert's row as the correlation sees it."""
    standing = row.get("standing", True)
    return Fact(
        id=row["id"],
        what=row["rule"],
        place=place_of_row(row, row["device"]),
        onset_us=to_us(row["onset"]),
        end_us=None if standing else to_us(row["returned_at"]),
        speaker=row["device"] or row["subject"],
        level=row["level"],
        provenance=row["provenance"],
        value=row["value"],
        limit=row["limit_value"],
        peak=row["peak"],
        channel=row["channel"],
    )


def report_fact(row: Row) -> Fact:
    """A report or an entry of a person as the correlation sees it."""
    return Fact(
        id=row["id"],
        what=row["kind"],
        place=place_of_row(row, ""),
        onset_us=to_us(row["at"]),
        end_us=to_us(row["ends_at"] or row["at"]),
        speaker=row["id"],
        provenance=row["provenance"],
    )


def incident_fact(row: Row) -> Fact:
    """An incident's row as evidence for others."""
    closed = row.get("closed_at")
    return Fact(
        id=row["id"],
        what=f"incident.{row['type']}",
        place=place_of_row(row, ""),
        onset_us=to_us(row["started_at"]),
        end_us=to_us(closed) if closed else None,
        speaker=row["id"],
        level=row["level"],
        provenance=row["provenance"],
    )


def place_of_row(row: Row, device: str) -> Place:
    return Place(row["lon"], row["lat"], device, row["asset"], row["zone"], row["area"])
