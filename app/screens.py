"""What the screens of an installation are made of: live topics, vital signs, and what the wall must know at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from app.declared import Declared
from app.town import Town
from core.clock import Clock
from core.db import Database
from dashboard import wall
from dashboard.rooms import Alerts, Cases, Crews, Incidents, Orders, Records, Today
from dashboard.screens import Screens
from dashboard.vitals import index
from dashboard.vitals.clerk import Clerk
from dashboard.vitals.past import StoredPast
from dashboard.vitals.show import VitalSource
from dashboard.vitals.usual import Local
from dispatch.limits import statutory
from events.views import EventViews
from iot.registry import Registry

#: A demonstration counts its own; a real city counts what is real.
DEMONSTRATION = ("real", "recorded", "simulated")
#: How the wall looks at the city: from the south-east.
PITCH, BEARING, SCALE = 45, -14, 3.05


def local_of(declared: Declared) -> Local:
    return Local(declared.settings.zone, day_type)


def day_type(day: date) -> str:
    """Days that are comparable: worked (调休 counted), weekend, holiday."""
    return statutory(day) or ("weekend" if day.weekday() >= 5 else "worked")


def views_of(declared: Declared, database: Database, areas: Mapping[str, Mapping[str, str]]) -> EventViews:
    return EventViews(database, declared.texts, declared.settings.zone, areas)


def clerk_of(
    declared: Declared, database: Database, clock: Clock, registry: Callable[[], Registry], town: Town
) -> Clerk:
    """Who computes the vital signs, in the worker."""
    counted = ("real",) if declared.settings.own_city else DEMONSTRATION
    views = views_of(declared, database, town.areas)
    rooms = Records(database, views, declared.settings.zone, registry, counted)
    past = StoredPast(database)
    return Clerk(declared.vitals, database, clock, local_of(declared), past, rooms, registry(), index.load())


def screens_of(
    declared: Declared, database: Database, clock: Clock, registry: Registry, town: Town
) -> Screens:
    """What pages show, in the web process."""
    settings = declared.settings
    views = views_of(declared, database, town.areas)
    signs = VitalSource(declared.vitals, database, clock, local_of(declared), declared.texts)
    return Screens(
        database=database,
        clock=clock,
        policy=declared.policy,
        texts=declared.texts,
        registry=registry,
        sources={
            "alerts": Alerts(views),
            "incidents": Incidents(views, clock),
            "cases": Cases(database, clock),
            "orders": Orders(database, clock),
            "crews": Crews(database),
            "vitals": signs,
        },
        facts=Today(views, clock, settings.zone),
        setup=setup_of(declared, town),
        allowed_origins=settings.web.allowed_origins,
        vitals=signs,
    )


def setup_of(declared: Declared, town: Town) -> dict[str, object]:
    """The city, its time zone, its base map, and what `dashboard/wall.yaml` declares."""
    city = declared.settings.city
    west, south, east, north = town.view
    base_map = {
        "style": f"/api/v1/map/style.json?scale={SCALE}&pitch={PITCH}",
        "bounds": ((west, south), (east, north)),
        "pitch": PITCH,
        "bearing": BEARING,
        "name": town.credit,
        "date": town.date,
    }
    names = {"zh": city.name_zh, "en": city.name_en}
    told = wall.setup(wall.load(), city=names, timezone=city.timezone, base_map=base_map)
    return {**told, "areas": town.areas}
