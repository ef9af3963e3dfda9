"""Facts, and the groups of those that belong together. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from events.place import Place


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that may be evidence. `what`: a rule's key, `report.<kind>`, `incident.<type>`, `permit.<kind>`."""

    id: str
    what: str
    place: Place
    onset_us: int
    #: When it ended; None while it stands.
    end_us: int | None = None
    #: Who says it: weights count distinct speakers.
    speaker: str = ""
    level: int = 4
    provenance: str = "real"
    #: What it says, for explanations: the value that counted, the limit it passed, the most extreme since.
    value: float = 0.0
    limit: float = 0.0
    peak: float = 0.0
    channel: str = ""


@dataclass(slots=True, eq=False)
class Group:
    """Facts that belong together under one type, by the key of the evidence that each is."""

    type: str
    anchors: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    #: Who says each kind of evidence: kept while facts come, so that nobody need count them.
    said: dict[str, set[str]] = field(default_factory=dict)
    #: The incident that it has become, empty before.
    incident: str = ""
    #: People have taken it up: it may take others in, but is taken in by none of itself.
    pinned: bool = False
    #: Incidents that people have said are something else.
    apart: frozenset[str] = frozenset()
    #: The group that took it in.
    into: Group | None = None

    @property
    def members(self) -> dict[str, str]:
        return {**self.anchors, **self.others}

    def keeps_from(self, other: Group) -> bool:
        """True when the two are never joined by ourselves."""
        both = bool(self.incident and other.incident)
        return both and (
            (self.pinned and other.pinned) or other.incident in self.apart or self.incident in other.apart
        )

    def hear(self, key: str, speaker: str) -> None:
        """Somebody says a kind of evidence."""
        who = self.said.get(key)
        if who is None:
            self.said[key] = {speaker}
        else:
            who.add(speaker)

    def take_in(self, other: Group) -> None:
        """Everything of another group is of this one now."""
        self.anchors.update(other.anchors)
        self.others.update(other.others)
        for key, who in other.said.items():
            self.said.setdefault(key, set()).update(who)
        self.apart |= other.apart
        other.anchors, other.others, other.said, other.into = {}, {}, {}, self

    def bequeath(self, heir: Group) -> None:
        """Another group is the incident from now on, and what was merged into this one goes with it."""
        heir.incident, heir.pinned, heir.apart = self.incident, self.pinned, self.apart
        self.incident, self.into = "", heir


@dataclass(frozen=True, slots=True)
class Standing:
    """An incident that is known already."""

    id: str
    type: str
    pinned: bool = False
    apart: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Score:
    """Nats for and against, by evidence key; what is zero is left out."""

    parts: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values())
