"""What dispatch needs to know of an incident and of its sensors, whoever tells it.

The two protocols are the only joints to `events` and `iot`; `joints_source.py` implements them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from core.actor import Actor
from core.db import DictConnection


@dataclass(frozen=True, slots=True)
class Incident:
    """`score` is the evidence in nats; `life` that orders may go before a person verified. WGS 84 degrees.

    `points` are (device id, channel name) of its evidence; `title` and `place` are text keys with parameters.
    """

    id: str
    number: str
    type: str
    domain: str
    state: str
    level: int
    priority: int
    score: float
    life: bool
    provenance: str
    lon: float
    lat: float
    place: str
    area: str
    title: Mapping[str, object]
    code: str = ""
    points: tuple[tuple[str, str], ...] = ()
    facts: Mapping[str, object] = field(default_factory=dict)


class Incidents(Protocol):
    """Where incidents are read and resolved."""

    async def get(self, connection: DictConnection, incident: str) -> Incident | None:
        """The incident as it stands in this transaction."""

    async def open(self, connection: DictConnection) -> list[str]:
        """Ids of incidents that are open or confirmed."""

    async def resolve(self, connection: DictConnection, incident: str, by: Actor, now_us: int) -> None:
        """Resolve it when it is open and its evidence has cleared; otherwise nothing happens."""


@dataclass(frozen=True, slots=True)
class Sample:
    time_us: int
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """What one point said lately, oldest first, without doubtful readings.

    `usual` is the typical value of this hour, None when not enough is known; `silent_after_s` the silence that means
    something.
    """

    device: str
    name: Mapping[str, str]
    kind: str
    channel: str
    unit: str
    params: Mapping[str, object]
    silent_after_s: float
    samples: Sequence[Sample]
    usual: float | None = None


class Readings(Protocol):
    """Where the readings of a case's own sensors come from."""

    async def series(
        self, connection: DictConnection, points: Sequence[tuple[str, str]], from_us: int, to_us: int
    ) -> list[Series]:
        """Every known point with its readings in [from, to), and the newest one before."""
