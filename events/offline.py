"""The engine in memory, on whatever clock its caller has: for scores, back-tests and shadow runs. Pure.

Everything that decides is the very code that runs live; only the transactions are missing. What the writer does
with moves and groups (`events.writer`) is done here on dictionaries, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.clock import SECOND_US
from events.correlate import Correlator
from events.engine import Engine, Row, fact_of, incident_id
from events.facts import Fact, Group
from events.family import Family, Relative
from events.moves import Does, Move
from events.place import Place
from iot.readings import Logged


@dataclass(slots=True)
class SaidIncident:
    """An incident as it was said. Times µs; `causes` are (asset, lon, lat, probability), best first."""

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
    parent: str = ""
    standing: bool = True
    clear_us: int = 0

    @property
    def live(self) -> bool:
        return not self.resolved_us and not self.merged_into


class Offline:
    """An engine and all that it said. Call with ascending times; then read `alerts` and `incidents`."""

    def __init__(self, engine: Engine, linger_s: float = 600.0) -> None:
        self.engine = engine
        self.alerts: dict[str, Row] = {}
        self.incidents: dict[str, SaidIncident] = {}
        self._asked: list[tuple[int, str]] = []
        self._linger_us = round(linger_s * SECOND_US)
        self._by_key: dict[tuple[str, str, int], str] = {}

    def take(self, logged: Logged, now_us: int) -> None:
        """A batch of readings."""
        moves, _ = self.engine.take(logged)
        self.moved(moves, now_us)

    def tell(self, facts: Iterable[Fact], now_us: int) -> None:
        """Evidence that is no reading of ours: alerts of a prepared storm, reports of people."""
        touched: set[Group] = set()
        for fact in facts:
            touched |= self.engine.correlator.add(fact)
        self._incidents(touched, now_us)

    def tick(self, now_us: int) -> None:
        """Let time pass: detectors that wait for it, and incidents that have been clear for long enough."""
        self.moved(self.engine.advance(now_us), now_us)
        self.settle(now_us)

    def settle(self, now_us: int) -> None:
        """Resolve incidents that have been clear for long enough."""
        touched: set[Group] = set()
        for said in self.incidents.values():
            if said.live and not said.standing and now_us - said.clear_us >= self._linger_us:
                said.resolved_us = now_us
                group = self.engine.correlator.group(said.id)
                if group is not None:
                    self.engine.correlator.close(group)
                touched |= self.engine.correlator.end(said.id, now_us)
        self._incidents({group for group in touched if group.incident}, now_us)

    # -- alerts ----------------------------------------------------------------------------------------------

    def moved(self, moves: Sequence[Move], now_us: int) -> None:
        """What detectors say, as alerts and what follows from them."""
        touched: set[Group] = set()
        for move in moves:
            touched |= self._raise(move, now_us) if move.does is Does.RAISE else self._change(move)
        if touched:
            self._incidents(touched, now_us)

    def _raise(self, move: Move, now_us: int) -> set[Group]:
        row = self.engine.alert_row(move)
        if row is None or row["id"] in self.alerts:
            return set()
        row |= {"standing": True, "returned_at": None, "raised_us": now_us, "returned_us": 0}
        self.alerts[row["id"]] = row
        self._by_key[row["rule"], row["subject"], move.onset_us] = row["id"]
        touched = self.engine.correlator.add(fact_of(row))
        if row["asks"]:
            self._asked.append((now_us, row["id"]))
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
        row["standing"], row["returned_us"] = end is None, end or 0
        return correlator.end(id_, end) if id_ in correlator.facts else set()

    # -- incidents -------------------------------------------------------------------------------------------

    def _incidents(self, touched: set[Group], now_us: int) -> None:
        """Bring the incidents of touched groups up to date, then those for which these are evidence."""
        while touched:
            told: set[Group] = set()
            for group in sorted(touched, key=_order):
                if group.incident and group.into is not None:
                    told |= self._merge(group, now_us)
                elif group.incident and not group.anchors:
                    self.incidents[group.incident].resolved_us = now_us
                    told |= self.engine.correlator.remove(group.incident)
                    group.incident = ""
                elif group.incident:
                    self._update(group, now_us)
                elif group.anchors:
                    told |= self._open(group, now_us)
            touched = told

    def _open(self, group: Group, now_us: int) -> set[Group]:
        """A group becomes an incident when its evidence weighs enough; groups for which that is evidence."""
        correlator = self.engine.correlator
        type_ = correlator.types[group.type]
        if not correlator.opens(group):
            return set()
        first = min((correlator.facts[each] for each in group.anchors), key=lambda f: (f.onset_us, f.id))
        id_ = incident_id(group.type, first.id)
        if id_ in self.incidents:
            return set()
        group.incident = id_
        self.incidents[id_] = SaidIncident(
            id_, group.type, now_us, 0, 0.0, 0.0, "", "", 4, type_.klass, [], set()
        )
        self._asked.append((now_us, id_))
        self._update(group, now_us)
        said = self.incidents[id_]
        self._relate(said)
        return correlator.add(_as_fact(said)) if correlator.hears(f"incident.{said.type}") else set()

    def _relate(self, said: SaidIncident) -> None:
        """A new incident belongs under an open one, and what is open and belongs under it does so."""
        family, me = self.engine.family, _relative(said)
        open_ = [each for each in self.incidents.values() if each.live]
        said.parent = family.parent_of(me, map(_relative, open_))
        for each in open_:
            if not each.parent and family.belongs(_relative(each), me):
                each.parent = said.id

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

    def _merge(self, group: Group, now_us: int) -> set[Group]:
        kept = group
        while kept.into is not None:
            kept = kept.into
        gone = self.incidents[group.incident]
        gone.merged_into, group.incident = kept.incident, ""
        if kept.incident:
            self.incidents[kept.incident].facts |= gone.facts
            self._update(kept, now_us)
        return self.engine.correlator.remove(gone.id)

    def alarms_asked(self) -> list[int]:
        """When something newly asked a person: incidents, and alerts that belong to none (DESIGN §6.2)."""
        owned = {fact for said in self.incidents.values() for fact in said.facts}
        return sorted(at for at, id_ in self._asked if id_ not in owned)


def _as_fact(said: SaidIncident) -> Fact:
    place = Place(said.lon, said.lat, "", said.asset, said.zone)
    return Fact(said.id, f"incident.{said.type}", place, said.started_us, speaker=said.id, level=said.level)


def _relative(said: SaidIncident) -> Relative:
    return Relative(said.id, said.type, Place(said.lon, said.lat, "", said.asset, said.zone))


def _order(group: Group) -> tuple[bool, str, str]:
    """Merged ones last: what takes them in is there then (as in `events.writer`)."""
    return (group.into is not None, group.incident, min(group.anchors, default=""))


@dataclass(frozen=True, slots=True)
class Found:
    """An incident at the end of a run, its children's facts among its own; when the fact came that opened it."""

    name: str
    type: str
    facts: frozenset[str]
    opened_us: int


def correlate(correlator: Correlator, facts: Iterable[Fact]) -> list[Found]:
    """Take facts in the order given, as the engine would have; the incidents that came of them."""
    opened: dict[str, tuple[Group, Fact]] = {}
    for fact in facts:
        touched = list(correlator.add(fact))
        for group in touched:
            if group.into is None and group.anchors and not group.incident and correlator.opens(group):
                place = correlator.facts[min(group.anchors)].place
                group.incident = f"{group.type}/{fact.id}"
                told = Fact(group.incident, f"incident.{group.type}", place, fact.onset_us)
                opened[told.id] = group, told
                touched += correlator.add(told)
    return _gathered(
        correlator, {id_: told for id_, (group, told) in opened.items() if not group.into}, opened
    )


def _gathered(
    correlator: Correlator, standing: dict[str, Fact], opened: dict[str, tuple[Group, Fact]]
) -> list[Found]:
    """Incidents that belong under no other, with what belongs under them."""
    family = Family(correlator.types, correlator.world)
    relatives = [Relative(id_, opened[id_][0].type, told.place) for id_, told in standing.items()]
    under = {each.id: family.parent_of(each, relatives) or each.id for each in relatives}
    members: dict[str, set[str]] = {}
    for id_, top in under.items():
        members.setdefault(top, set()).update(opened[id_][0].members.keys() - opened.keys())
    return [
        Found(id_, opened[id_][0].type, frozenset(facts), standing[id_].onset_us)
        for id_, facts in members.items()
        if facts
    ]
