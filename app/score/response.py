"""When a crew would stand where an incident was said: the sample city's crews on its roads, one incident by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.clock import SECOND_US
from events.offline import SaidIncident
from gis.city import City
from simulators.crews import SERVICES

#: From the order to the road, and how long a crew is busy with an incident (ours).
TURN_OUT_S, BUSY_S = 120.0, 3600.0


def seconds(city: City, lead_of: Callable[[str], str], said: Sequence[SaidIncident]) -> list[float]:
    """From saying to arrival, of every incident whose department has crews: its nearest free one by road goes.

    Nobody free: the one that is free first.
    """
    homes = _homes(city)
    free_us = {department: [0] * len(places) for department, places in homes.items()}
    found = []
    for incident in sorted(said, key=lambda each: each.opened_us):
        department = lead_of(incident.type)
        if department not in homes:
            continue
        at = city.plane.xy(incident.lon, incident.lat)
        drives = city.router.seconds_to(at, homes[department]).tolist()
        waits = [max(0, free - incident.opened_us) / SECOND_US for free in free_us[department]]
        arrive = [wait + TURN_OUT_S + drive for wait, drive in zip(waits, drives, strict=True)]
        crew = arrive.index(min(arrive))
        free_us[department][crew] = incident.opened_us + round((arrive[crew] + BUSY_S) * SECOND_US)
        found.append(arrive[crew])
    return found


def _homes(city: City) -> dict[str, list[tuple[float, float]]]:
    """Department → where its crews stand: depots of its service, and fire stations."""
    homes: dict[str, list[tuple[float, float]]] = {}
    for asset in city.of_kind("depot"):
        department = SERVICES[str(asset.attributes["service"])].department
        homes.setdefault(department, []).append(city.plane.xy(*asset.lonlat))
    homes["fire_brigade"] = [city.plane.xy(*asset.lonlat) for asset in city.of_kind("fire_station")]
    return homes
