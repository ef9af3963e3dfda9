"""What dispatch needs to know of an incident and of its sensors; `joints_source.py` says where it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert of the incident's evidence whose own condition still holds."""

    device: str
    channel: str
    value: float
    limit: float
    since_us: int


@dataclass(frozen=True, slots=True)
class Incident:
    """`sure`: its evidence suffices to act on; `life`: orders may go before a person verified. WGS 84 degrees.

    `code`, `lead` and `assisting` are what its type declares. `points` are (device id, channel name) of its evidence;
    `title` is a text key with parameters.
    """

    id: str
    number: str
    type: str
    domain: str
    state: str
    level: int
    priority: int
    sure: bool
    life: bool
    provenance: str
    lon: float
    lat: float
    place: str
    area: str
    title: Mapping[str, object]
    code: str = ""
    lead: str = ""
    assisting: tuple[str, ...] = ()
    plan: str = ""
    points: tuple[tuple[str, str], ...] = ()
    standing: tuple[Standing, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)
    score: float = 0.0
    acknowledged: bool = False
    opened_us: int = 0


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
