"""Channels and device kinds: what the domains declare in `channels.yaml` and `kinds.yaml`, checked together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, model_validator

from core.domains import Declaration, Domains
from core.schema import Declared, Key, Span
from core.yamlfile import Mistake, Mistakes
from iot import units

#: The domain whose channels every kind may use: battery, signal strength …
COMMON = "common"


class ChannelDecl(Declared):
    """A quantity. `low` and `high` are the plausible range in `unit`; outside it a reading is flagged."""

    key: Key
    unit: str
    aliases: list[str] = []
    low: float
    high: float
    resolution: Annotated[float, Field(gt=0)] = 1.0
    quantity: Literal["level", "flow", "state", "total", "event"] = "level"
    #: Names of the values 0, 1, 2 …, for channels that accept `vs` on the wire.
    states: list[str] = []
    #: Two readings a minute apart rarely differ by more than this; 0 = no such limit is known.
    spike: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _sound(self) -> ChannelDecl:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        for name in (self.unit, *self.aliases):
            if not units.convertible(name, self.unit):
                raise ValueError(f"{name} cannot be converted to {self.unit}: name both in iot/units.py")
        return self

    def state_of(self, word: str) -> float:
        """The value that a state's name stands for; NaN when there is no such state."""
        return float(self.states.index(word)) if word in self.states else math.nan


class KindDecl(Declared):
    """A device kind: its channels and how often they speak. `period` in calm, `alarm_period` while alarming."""

    key: Key
    channels: Annotated[list[Key], Field(min_length=1)]
    period: Span
    alarm_period: Span | None = None
    #: Kinds that speak only on events say at least this often that they live.
    heartbeat: Span | None = None
    #: Lives may hang on its readings (gas, fire, tunnels): after an outage they are stored and judged first.
    life_safety: bool = False
    asset: str = ""
    formats: list[str] = []
    #: Wire format → code on the wire → channel, e.g. hj212 → a34002 → pm10.
    factors: dict[str, dict[str, str]] = {}
    #: Optical dust heads and the like: which channels lose their meaning where.
    stuck_exempt: list[Key] = []

    @property
    def silent_after_s(self) -> float:
        """Silence that means something: 3 periods, or 1.5 heartbeats of a kind that speaks on events."""
        return 1.5 * self.heartbeat if self.heartbeat else 3 * self.period


@dataclass(frozen=True, slots=True)
class Channel:
    """A declared channel with its persisted number; `name` is what the wire and the API call it."""

    number: int
    domain: str
    decl: ChannelDecl

    @property
    def name(self) -> str:
        return self.decl.key

    @property
    def full_name(self) -> str:
        return f"{self.domain}.{self.decl.key}"


@dataclass(frozen=True, slots=True)
class Kind:
    domain: str
    decl: KindDecl
    #: Channel name → full name (`domain.channel`).
    channels: Mapping[str, str]

    @property
    def key(self) -> str:
        return self.decl.key


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All channels by full name (`domain.key`) and all kinds by key."""

    channels: Mapping[str, ChannelDecl] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)


def load(domains: Domains) -> Catalogue:
    """The catalogue of a set of domains. Raises `Mistakes`: a channel unknown to a kind, a key used twice."""
    wrong: list[Mistake] = []
    channels: dict[str, ChannelDecl] = {}
    for found in domains.section("channels", ChannelDecl):
        name = f"{found.domain}.{found.item.key}"
        if name in channels:
            wrong.append(found.mistake(f"channel {found.item.key} is declared twice", "key"))
        channels[name] = found.item
    kinds: dict[str, Kind] = {}
    for declared in domains.section("kinds", KindDecl):
        wrong += _check_kind(declared, channels, kinds)
        resolved = {key: resolve(channels, declared.domain, key) for key in declared.item.channels}
        kinds[declared.item.key] = Kind(
            declared.domain, declared.item, {key: name for key, name in resolved.items() if name}
        )
    if wrong:
        raise Mistakes(wrong)
    return Catalogue(channels, kinds)


def resolve(channels: Mapping[str, ChannelDecl], domain: str, key: str) -> str:
    """Full name of a channel as a domain sees it: its own first, then a common one; empty when unknown."""
    for home in (domain, COMMON):
        if f"{home}.{key}" in channels:
            return f"{home}.{key}"
    return ""


def _check_kind(
    declared: Declaration[KindDecl], channels: Mapping[str, ChannelDecl], kinds: Mapping[str, Kind]
) -> list[Mistake]:
    kind = declared.item
    wrong = [
        declared.mistake(
            f"channel {key} is declared neither in {declared.domain} nor in {COMMON}", "channels", i
        )
        for i, key in enumerate(kind.channels)
        if not resolve(channels, declared.domain, key)
    ]
    if kind.key in kinds:
        wrong.append(declared.mistake(f"kind {kind.key} is declared twice", "key"))
    for wire, codes in kind.factors.items():
        wrong += [
            declared.mistake(f"channel {key} is none of this kind", "factors", wire, code)
            for code, key in codes.items()
            if key not in kind.channels
        ]
    return wrong
