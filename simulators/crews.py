"""Departments, duty list and crews of the sample city, at its depots; all simulated. Rows as dispatch stores them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import text
from simulators.places import Depot, Spot, metres

Row = dict[str, Any]

#: id → kind. Ids are those that rules, incident types and the duty list name.
DEPARTMENTS = {
    "city_center": "department",
    "water_bureau": "department",
    "water_company": "utility",
    "drainage_company": "utility",
    "gas_company": "utility",
    "road_maintenance": "utility",
    "housing_bureau": "department",
    "city_management": "department",
    "environment_bureau": "department",
    "flood_headquarters": "department",
    "device_maintenance": "utility",
    "street_office": "street",
    "traffic_police": "agency",
    "police": "agency",
    "fire_brigade": "agency",
}

#: case code → lead and assisting departments (权责清单), everywhere in the city.
DUTIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "event/0301": ("city_management", ("housing_bureau", "police")),
    "event/0304": ("housing_bureau", ("city_management", "environment_bureau")),
    "event/0501": ("water_company", ("traffic_police", "road_maintenance", "street_office")),
    "event/0506": ("road_maintenance", ("traffic_police", "drainage_company", "street_office")),
}
FALLBACK = "city_center"


@dataclass(frozen=True, slots=True)
class Service:
    """What the crews of a depot's service are."""

    department: str
    kind: str
    skills: tuple[str, ...]
    equipment: tuple[str, ...]
    members: int


SERVICES = {
    "water_supply": Service(
        "water_company", "repair", ("water_main_repair", "valve_operation", "leak_detection", "guard"),
        ("excavator", "pump", "welder", "barrier"), 5,
    ),
    "drainage": Service(
        "drainage_company", "drainage",
        ("drainage", "pumping", "sewer_cleaning", "pump_station", "manhole_cover", "guard"),
        ("pump", "pump_truck", "jetting_truck", "cover", "gas_detector", "barrier"), 4,
    ),
    "gas": Service(
        "gas_company", "gas_repair", ("gas_repair", "gas_detection", "cordon", "guard"), ("gas_detector", "barrier"), 4
    ),
    "road": Service(
        "road_maintenance", "road", ("road_repair", "road_closure", "pumping", "guard", "cordon"),
        ("barrier", "pump", "pump_truck", "ground_radar"), 4,
    ),
    "urban_management": Service(
        "city_management", "enforcement",
        ("enforcement", "noise_enforcement", "dust_enforcement", "noise_measurement", "guard", "cordon", "general"),
        ("sound_meter", "sound_level_meter", "camera"), 2,
    ),
}  # fmt: skip


def departments() -> list[Row]:
    """Everybody who may be asked."""
    words = text.load([Path(__file__).parent])
    return [
        {"id": key, "kind": kind, **_named(words, f"sim.department.{key}")}
        for key, kind in DEPARTMENTS.items()
    ]


def duties() -> list[Row]:
    """Who answers for which code; the centre where nobody else does."""
    return [
        {"code": code, "lead": lead, "assisting": list(assisting), "fallback": FALLBACK}
        for code, (lead, assisting) in DUTIES.items()
    ]


def crews(depots: Sequence[Depot], near: Spot) -> list[Row]:
    """A crew at every depot; ids follow the depots' order within their service.

    The water crew nearest to a place (that of the burst) is the one that the demonstration's responder belongs to.
    """
    words = text.load([Path(__file__).parent])
    water = [depot for depot in depots if depot.service == "water_supply"]
    own = min(water, key=lambda depot: metres(depot.spot, near), default=None)
    numbers: Counter[str] = Counter()
    found: list[Row] = []
    for depot in depots:
        service = SERVICES[depot.service]
        numbers[depot.service] += 1
        number = numbers[depot.service]
        found.append(
            {
                "id": f"crew-{depot.service.replace('_', '-')}-{number}",
                **_named(words, f"sim.crew.{depot.service}", n=number),
                "department": service.department, "kind": service.kind, "skills": list(service.skills),
                "equipment": list(service.equipment), "members": service.members, "area": depot.spot.area,
                "depot_lon": depot.spot.lon, "depot_lat": depot.spot.lat, "provenance": "simulated",
                "responder": depot is own,
            }
        )  # fmt: skip
    return found


def _named(words: text.Texts, key: str, **values: object) -> Row:
    return {f"name_{language}": words(key, language, **values) for language in ("zh", "en")}
