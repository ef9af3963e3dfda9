"""Channels and device kinds: what the domains declare in `channels.yaml` and `kinds.yaml`, checked together."""

from __future__ import annotations

import difflib
import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from core.domains import Declaration, Domains
from core.schema import Declared, Key, Span
from core.yamlfile import Mistake, Mistakes
from iot import units

#: The domain whose channels every kind may use: battery, signal strength …
COMMON = "common"


#: How a kind's words reach us; `push` is a carrier's or maker's platform that calls us over HTTP.
Format = Literal[
    "senml", "arrow", "sparkplug", "thingsboard", "push", "modbus", "opcua",
    "hj212", "sl651", "gbt26875", "video", "connector",
]  # fmt: skip


class ChannelDecl(Declared):
    """A quantity. `low` and `high` are the plausible range in `unit`; outside it a reading is flagged."""

    key: Key
    unit: str
    aliases: list[str] = []
    low: float
    high: float
    resolution: Annotated[float, Field(gt=0)] = 1.0
    #: level: a value at an instant; flow: a rate whose integral is an amount; state: a switch, a mode, a text;
    #: total: a counter that never falls; event: something happened, or an amount of one period after the other.
    quantity: Literal["level", "flow", "state", "total", "event"] = "level"
    #: Names of the values 0, 1, 2 …, for channels that accept `vs` on the wire.
    states: list[str] = []
    #: Two readings a minute apart rarely differ by more than this; 0 = no such limit is known.
    spike: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _sound(self) -> ChannelDecl:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        if self.states and (self.low, self.high) != (0, len(self.states) - 1):
            raise ValueError(f"{len(self.states)} states are the values 0 to {len(self.states) - 1}")
        return self

    @field_validator("unit")
    @classmethod
    def _known(cls, unit: str) -> str:
        if not units.known(unit):
            near = difflib.get_close_matches(unit, units.names(), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"is not a unit of iot/units.py{hint}")
        return unit

    @field_validator("aliases")
    @classmethod
    def _convertible(cls, aliases: list[str], info: ValidationInfo) -> list[str]:
        unit = info.data.get("unit")
        strange = [alias for alias in aliases if unit and not units.convertible(alias, unit)]
        if strange:
            raise ValueError(f"{', '.join(strange)} cannot be converted to {unit}")
        return aliases

    def state_of(self, word: str) -> float:
        """The value that a state's name stands for; NaN when there is no such state."""
        return float(self.states.index(word)) if word in self.states else math.nan


class KindDecl(Declared):
    """A device kind: its channels and how often they speak.

    `period` is from one message to the next in calm, `alarm_period` while alarming; None: it speaks on events only.
    """

    key: Key
    channels: Annotated[list[Key], Field(min_length=1)]
    period: Span | None = None
    #: Between two readings of a channel, where one message carries several; None: a message carries one.
    sample: Span | None = None
    alarm_period: Span | None = None
    #: Kinds that speak only on events, or keep readings back, say at least this often that they live.
    heartbeat: Span | None = None
    #: Lives may hang on its readings (gas, fire, tunnels): after an outage they are stored and judged first.
    life_safety: bool = False
    #: What it is mounted on.
    asset: Key
    formats: Annotated[list[Format], Field(min_length=1)]
    #: Wire format → what the standard calls such a device: HJ 212 system codes (ST), SL 651 station classes,
    #: GB/T 26875.3 component types.
    wire_types: dict[Format, list[str]] = {}
    #: Wire format → code on the wire → channel. Codes: HJ 212 `a34002`, without suffix; SL 651 guide byte `39H`,
    #: of a status word its bit, `45H.0`; GB/T 26875.3 `type flag.bit`, of analogue values `3.analogue type`.
    #: A `!` before a bit: the wire's 0 is the channel's 1 (main power fault → main_power).
    factors: dict[Format, dict[str, Key]] = {}
    #: Channels that may rightly stay the same for days: switches, counters, what rests at zero.
    stuck_exempt: list[Key] = []

    @property
    def silent_after_s(self) -> float:
        """Silence that means something: 1.5 heartbeats, else 3 periods; of kinds with neither it never does."""
        if self.heartbeat:
            return 1.5 * self.heartbeat
        return 3 * self.period if self.period else math.inf


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
    """The catalogue of a set of domains. Raises `Mistakes` with every mistake of channels and kinds."""
    wrong: list[Mistake] = []
    channels: dict[str, ChannelDecl] = {}
    for found in domains.gather("channels", ChannelDecl, wrong):
        name = f"{found.domain}.{found.item.key}"
        if name in channels:
            wrong.append(found.mistake(f"channel {found.item.key} is declared twice", "key"))
        channels[name] = found.item
    named = channels.keys() | domains.keys("channels")  # what is declared wrongly is not unknown, too
    kinds: dict[str, Kind] = {}
    for declared in domains.gather("kinds", KindDecl, wrong):
        wrong += _check_kind(declared, named, kinds)
        resolved = {key: resolve(named, declared.domain, key) for key in declared.item.channels}
        kinds[declared.item.key] = Kind(
            declared.domain, declared.item, {key: name for key, name in resolved.items() if name}
        )
    if wrong:
        raise Mistakes(wrong)
    return Catalogue(channels, kinds)


def resolve(channels: Container[str], domain: str, key: str) -> str:
    """Full name of a channel as a domain sees it: its own first, then a common one; empty when unknown."""
    for home in (domain, COMMON):
        if f"{home}.{key}" in channels:
            return f"{home}.{key}"
    return ""


def _check_kind(
    declared: Declaration[KindDecl], channels: Container[str], kinds: Mapping[str, Kind]
) -> Iterator[Mistake]:
    kind = declared.item
    if kind.key in kinds:
        yield declared.mistake(f"kind {kind.key} is declared twice", "key")
    for i, key in enumerate(kind.channels):
        if not resolve(channels, declared.domain, key):
            reason = f"channel {key} is declared neither in {declared.domain} nor in {COMMON}"
            yield declared.mistake(reason, "channels", i)
    for i, key in enumerate(kind.stuck_exempt):
        if key not in kind.channels:
            yield declared.mistake(f"channel {key} is none of this kind", "stuck_exempt", i)
    for section, codes in (("factors", kind.factors), ("wire_types", kind.wire_types)):
        for wire in codes.keys() - set(kind.formats):
            yield declared.mistake(f"{wire} is none of this kind's formats", section, wire)
    for wire, factors in kind.factors.items():
        for code, key in factors.items():
            if key not in kind.channels:
                yield declared.mistake(f"channel {key} is none of this kind", "factors", wire, code)
