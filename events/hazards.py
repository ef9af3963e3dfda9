"""What an incident endangers → a surface of the map. Pure: what is known is surveyed, a survey is drawn.

Two surveys that are equal draw the same surface; numbers are rounded so that it does not flicker.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from events.types import Endangers
from gis import hazard
from gis.asset import Provenance
from gis.ground import Ground
from gis.hazard import Kind, Zone

DEPTH_STEP_CM = 5
WIND_STEP_DEG = 15


@dataclass(frozen=True, slots=True)
class Danger:
    """A live incident that endangers something; the place is WGS 84."""

    incident: str
    declared: Endangers
    lon: float
    lat: float
    asset: str
    sure: bool
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Depth:
    """How deep water stands at a device."""

    cm: float
    lon: float
    lat: float
    asset: str


@dataclass(frozen=True, slots=True)
class Wind:
    """Where the wind comes from (degrees from north, clockwise) and how fast."""

    from_deg: float
    mps: float


@dataclass(frozen=True, slots=True)
class Survey:
    """All that a surface is drawn from."""

    incident: str
    kind: Kind
    provenance: Provenance
    lon: float
    lat: float
    asset: str = ""
    depth_cm: int = 0
    wind_from_deg: int = 0
    wind_mps: int = 0
    reach_m: float = 0.0
    network: str = ""


def survey(danger: Danger, depths: Sequence[Depth], wind: Wind | None) -> Survey | None:
    """What is known of a danger; None when that is not enough to draw it."""
    declared, about = danger.declared, (danger.incident, danger.declared.kind, danger.provenance)
    if declared.kind == "flood":
        deepest = max(depths, key=lambda each: each.cm, default=None)
        if deepest is None or deepest.cm < DEPTH_STEP_CM:
            return None
        cm = round(deepest.cm / DEPTH_STEP_CM) * DEPTH_STEP_CM
        return Survey(*about, deepest.lon, deepest.lat, deepest.asset, depth_cm=cm)
    if declared.kind == "plume":
        blows = wind or Wind(0.0, 0.0)
        sector = round(blows.from_deg / WIND_STEP_DEG) * WIND_STEP_DEG % 360
        place = round(danger.lon, 4), round(danger.lat, 4)
        mps = round(blows.mps)
        return Survey(
            *about, *place, wind_from_deg=sector if mps else 0, wind_mps=mps, reach_m=declared.reach_m
        )
    if not danger.sure or not danger.asset:
        return None
    return Survey(*about, 0.0, 0.0, danger.asset, network=declared.network)


def drawn(found: Survey, city: Ground) -> tuple[Zone, ...]:
    """The classes of the hazard, the worst first; none when the map knows too little."""
    if found.kind == "flood":
        return hazard.flood(city, found.lon, found.lat, found.depth_cm / 100, found.asset)
    if found.kind == "plume":
        return hazard.plume(
            city, found.lon, found.lat, wind_from_deg=found.wind_from_deg, wind_mps=found.wind_mps,
            reach_m=found.reach_m,
        )  # fmt: skip
    network = city.networks.get(found.network)
    if network is None or found.asset not in network:
        return ()
    return hazard.isolated(city, network.isolating_valves(found.asset))
