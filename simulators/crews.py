"""Departments and crews of the sample city, at its depots; all simulated."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from core import text
from gis.city import City


@dataclass(frozen=True, slots=True)
class Department:
    """Who answers for a part of the city. `kind`: department, utility, street, or agency with its own command."""

    id: str
    name_zh: str
    name_en: str
    kind: str


@dataclass(frozen=True, slots=True)
class CrewRow:
    """A crew at its depot (WGS 84 degrees)."""

    id: str
    name_zh: str
    name_en: str
    department: str
    kind: str
    skills: tuple[str, ...]
    equipment: tuple[str, ...]
    members: int
    area: str
    depot_lon: float
    depot_lat: float
    provenance: str = "simulated"


#: id → kind, as rules and plans name who acts.
DEPARTMENTS = {
    "city_center": "department",
    "water_bureau": "department",
    "water_company": "utility",
    "drainage_company": "utility",
    "gas_company": "utility",
    "road_maintenance": "utility",
    "housing_bureau": "department",
    "urban_management": "department",
    "flood_office": "department",
    "device_maintenance": "utility",
    "traffic_police": "agency",
    "fire_brigade": "agency",
}


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
        "water_company", "repair", ("water_main_repair", "valve_operation", "leak_detection", "water_sampling"),
        ("excavator", "pump", "valve_key", "leak_correlator"), 5,
    ),
    "drainage": Service(
        "drainage_company", "drainage", ("pumping", "sewer_cleaning", "pump_station", "manhole_cover"),
        ("pump_truck", "jetting_truck", "gas_detector"), 4,
    ),
    "gas": Service(
        "gas_company", "gas_repair", ("gas_repair", "gas_detection", "cordon"),
        ("gas_detector", "ventilator", "clamp"), 4,
    ),
    "road": Service(
        "road_maintenance", "road", ("road_closure", "road_repair", "underpass", "cordon"),
        ("barrier", "ground_radar", "pump"), 4,
    ),
    "urban_management": Service(
        "urban_management", "enforcement", ("noise_enforcement", "dust_enforcement", "guard", "general"),
        ("sound_level_meter", "camera"), 2,
    ),
}  # fmt: skip


def departments() -> list[Department]:
    """Everybody who may be asked."""
    words = text.load([Path(__file__).parent])
    return [
        Department(key, words(f"sim.department.{key}", "zh"), words(f"sim.department.{key}", "en"), kind)
        for key, kind in DEPARTMENTS.items()
    ]


def crews(city: City) -> list[CrewRow]:
    """A crew at every depot; ids follow the depots' order within their service."""
    words = text.load([Path(__file__).parent])
    numbers: Counter[str] = Counter()
    found = []
    for depot in city.of_kind("depot"):
        key = str(depot.attributes["service"])
        service = SERVICES[key]
        numbers[key] += 1
        zh, en = (words(f"sim.crew.{key}", language, n=numbers[key]) for language in ("zh", "en"))
        lon, lat = depot.lonlat
        found.append(
            CrewRow(
                f"crew-{key.replace('_', '-')}-{numbers[key]}", zh, en, service.department, service.kind,
                service.skills, service.equipment, service.members, depot.area, lon, lat,
            )
        )  # fmt: skip
    return found
