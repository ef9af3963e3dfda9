"""What a live topic knows and what of it is news: pure state, one encoding for everybody who may see the same.

A `delta` carries `seq` one higher than the message before it; a `snapshot` carries the `seq` it stands for. A reader
that sees a gap asks for a snapshot. Items are JSON objects with an `id`; a delta names those that left, and leaves out
`slow` fields (traces) that are as they were: a reader lays the item over the one it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from core.access import Policy, Scope
from core.actor import Actor
from core.http import to_json
from dashboard.points import DELTA, SNAPSHOT, PointTable

Item = Mapping[str, object]
Message = bytes | str

#: Topics, and the policy action that following one needs; the same action decides about each item's place.
ACTIONS = {
    topic: f"stream.{topic}"
    for topic in ("points", "alerts", "incidents", "cases", "orders", "crews", "vitals", "status")
}


@dataclass(frozen=True, slots=True)
class View:
    """Who sees the same: actors with equal rights share one encoding. The default sees all."""

    roles: frozenset[str] = frozenset()
    areas: frozenset[str] = frozenset()
    departments: frozenset[str] = frozenset()
    crew: str = ""

    def actor(self) -> Actor:
        return Actor("view", "", self.roles, self.areas, self.departments, self.crew)


EVERYTHING = View()


def view_of(policy: Policy, actor: Actor, action: str) -> View:
    """`EVERYTHING` for those whom the action is allowed without bounds, else the bounds of this actor."""
    if not actor.areas and not actor.departments and policy.permits(actor, action):
        return EVERYTHING
    return View(actor.roles, actor.areas, actor.departments, actor.crew)


class Stream(Protocol):
    """One topic."""

    @property
    def seq(self) -> int: ...

    def snapshot(self, view: View) -> Message:
        """Everything the view may see, as of now."""

    def delta(self) -> Callable[[View], Message] | None:
        """None when nothing is new; else moves `seq` on and gives what encodes the news for a view."""


def scope_of(item: Item) -> Scope:
    """Where an item is and whose it is, for the policy."""
    return Scope(*(str(item.get(name) or "") for name in ("area", "department", "crew")))


@dataclass(slots=True)
class Nouns:
    """A topic of JSON items by id."""

    topic: str
    policy: Policy
    slow: frozenset[str] = frozenset()
    seq: int = 0
    items: dict[str, Item] = field(default_factory=dict)
    _changed: dict[str, Item | None] = field(default_factory=dict)
    _snapshots: dict[View, tuple[int, Message]] = field(default_factory=dict)

    def put(self, items: Iterable[Item]) -> None:
        """New or changed items; one that says the same as before is no news."""
        for item in items:
            key = str(item["id"])
            known = self.items.get(key)
            if known != item:
                self.items[key] = item
                self._changed[key] = self._news(known, item, self._changed.get(key))

    def remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            if self.items.pop(key, None) is not None:
                self._changed[key] = None

    def replace(self, items: Sequence[Item]) -> None:
        """All of it anew: what is not named any more has left."""
        named = {str(item["id"]) for item in items}
        self.remove([key for key in self.items if key not in named])
        self.put(items)

    def snapshot(self, view: View) -> Message:
        kept = self._snapshots.get(view)
        if kept is not None and kept[0] == self.seq and not self._changed:
            return kept[1]
        shown = [item for item in self.items.values() if self._sees(view, item)]
        message = _text({"topic": self.topic, "type": "snapshot", "seq": self.seq, "items": shown})
        self._snapshots[view] = (self.seq, message)
        return message

    def delta(self) -> Callable[[View], Message] | None:
        if not self._changed:
            return None
        changed, self._changed = self._changed, {}
        self._snapshots.clear()
        self.seq += 1
        seq = self.seq

        def encode(view: View) -> Message:
            shown = [item for item in changed.values() if item is not None and self._sees(view, item)]
            seen = {str(item["id"]) for item in shown}
            gone = [key for key in changed if key not in seen]
            body = {"topic": self.topic, "type": "delta", "seq": seq, "items": shown, "gone": gone}
            return _text(body)

        return encode

    def _news(self, known: Item | None, item: Item, waiting: Item | None) -> Item:
        """The item without the slow fields that every reader has already."""
        if known is None:
            return item
        kept = {
            name
            for name in self.slow & item.keys()
            if known.get(name) == item[name] and (waiting is None or name not in waiting)
        }
        return {name: value for name, value in item.items() if name not in kept} if kept else item

    def _sees(self, view: View, item: Item) -> bool:
        return view is EVERYTHING or self.policy.permits(view.actor(), ACTIONS[self.topic], scope_of(item))


@dataclass(slots=True)
class Points:
    """The topic `points`: binary frames of the rows that changed."""

    table: PointTable
    policy: Policy
    now_us: Callable[[], int]
    seq: int = 0

    def snapshot(self, view: View) -> Message:
        return self._encode(SNAPSHOT, self.seq, self.table.latest.known(), view)

    def delta(self) -> Callable[[View], Message] | None:
        rows = self.table.take()
        if not len(rows):
            return None
        self.seq += 1
        seq = self.seq
        return lambda view: self._encode(DELTA, seq, rows, view)

    def _encode(self, kind: int, seq: int, rows: np.ndarray, view: View) -> Message:
        if view is not EVERYTHING:
            actor = view.actor()
            devices = [
                device.number
                for device in self.table.registry.devices.values()
                if self.policy.permits(actor, ACTIONS["points"], Scope(area=device.area))
            ]
            rows = self.table.of_devices(rows, np.array(devices, np.int32))
        return self.table.frame(kind, seq, rows, self.now_us())


def _text(body: object) -> str:
    return to_json(body).decode()
