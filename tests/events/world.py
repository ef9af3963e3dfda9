"""A small city for tests: channels, kinds, devices and rules made in code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from events.citytime import CityTime
from events.rules import Rule, RuleDecl, RuleSet
from iot.kinds import Catalogue, Channel, ChannelDecl, Kind, KindDecl
from iot.registry import Device, Gateway, Registry, build

CITY = CityTime(ZoneInfo("Asia/Shanghai"))
#: 2026-11-23 04:00 UTC, a Monday noon in Shanghai.
NOON_US = 1_795_406_400_000_000

CHANNELS = {
    "water.pressure": ChannelDecl(key="pressure", unit="MPa", low=-0.1, high=1.6, resolution=0.001),
    "water.flow": ChannelDecl(key="flow", unit="m3/h", low=-5000, high=50_000, resolution=0.1),
    "flood.depth": ChannelDecl(key="depth", unit="cm", low=-5, high=500),
    "flood.barrier": ChannelDecl(key="barrier", unit="1", low=0, high=1, quantity="state"),
    "flood.rain_1h": ChannelDecl(key="rain_1h", unit="mm", low=0, high=300),
    "site.laeq": ChannelDecl(key="laeq", unit="dB", low=25, high=130, resolution=0.1),
    "fire.alarm": ChannelDecl(key="alarm", unit="1", low=0, high=1, quantity="event"),
}


def _kind(key: str, channels: Sequence[str], period: str, heartbeat: str | None = None) -> Kind:
    names = [channel.partition(".")[2] for channel in channels]
    decl = KindDecl.model_validate(
        {
            "key": key,
            "channels": names,
            "period": period,
            "heartbeat": heartbeat,
            "asset": "pipe",
            "formats": ["senml"],
        }
    )
    return Kind(channels[0].partition(".")[0], decl, dict(zip(names, channels, strict=True)))


KINDS = {
    kind.key: kind
    for kind in (
        _kind("logger", ["water.pressure"], "60s"),
        _kind("meter", ["water.flow", "water.pressure"], "60s"),
        _kind("gauge", ["flood.depth", "flood.barrier"], "60s"),
        _kind("rain", ["flood.rain_1h"], "5m"),
        _kind("noise", ["site.laeq"], "60s"),
        _kind("detector", ["fire.alarm"], "24h", "24h"),
    )
}
CATALOGUE = Catalogue(CHANNELS, KINDS)


def device(number: int, kind: str, **more: object) -> Device:
    values: dict[str, Any] = {
        "id": f"{kind}-{number}", "domain": KINDS[kind].domain, "name": {"zh": f"{kind}{number}", "en": kind},
        "lon": 121.49, "lat": 31.24, "gateway": "gw", "wire_name": f"{kind}-{number}",
    }  # fmt: skip
    return Device(number=number, kind=kind, **{**values, **more})


def registry(devices: Sequence[Device]) -> Registry:
    channels = [
        Channel(number, name.partition(".")[0], decl)
        for number, (name, decl) in enumerate(CHANNELS.items(), 1)
    ]
    gateways = [Gateway(1, "gw"), Gateway(2, "gw2")]
    return build(gateways, devices, channels, CATALOGUE)


def rule(key: str, kinds: Sequence[str], **more: object) -> RuleDecl:
    values: dict[str, Any] = {
        "key": key, "kinds": list(kinds), "class": "field", "level": 3, "source": {"ref": "test", "mark": "ours"},
        "seen_within": "10m", "act_within": "30m", "owner": {"lead": "tester"},
    }  # fmt: skip
    return RuleDecl.model_validate({**values, **more})


def rules(*decls: RuleDecl) -> RuleSet:
    return RuleSet(tuple(Rule(number, "test", decl) for number, decl in enumerate(decls)), "test")


def minutes(values: Sequence[float], start: float = 0.0) -> dict[float, float]:
    """One sample a minute."""
    return {start + 60.0 * place: value for place, value in enumerate(values)}


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)
