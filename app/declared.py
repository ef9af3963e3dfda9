"""All that is declared in files, read and checked together: a start has all of it or names every mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from app import policy
from app.policy import Paths
from core import domains, settings, text
from core.access import Policy
from core.domains import Domains
from core.settings import Settings
from core.text import Texts
from core.yamlfile import Mistake, Mistakes
from dashboard.vitals import declare
from dashboard.vitals.declare import Vital
from dispatch import city as city_rules
from dispatch import plans
from dispatch.city import City
from dispatch.plans import Plans
from events.engine import Model, load_model
from iot import kinds
from iot.kinds import Catalogue

ROOT = Path(__file__).resolve().parent.parent
#: Rooms in the order of their texts and migrations.
ROOMS = ("core", "iot", "gis", "ingest", "events", "dispatch", "dashboard", "simulators", "app")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Declared:
    """The settings and all declarations of an installation."""

    settings: Settings
    domains: Domains
    catalogue: Catalogue
    model: Model
    plans: Plans
    vitals: tuple[Vital, ...]
    city: City
    texts: Texts
    policy: Policy
    paths: Paths


def load(config: Path) -> Declared:
    """Read it all. Raises `Mistakes` with every mistake of every file that could be read."""
    read = settings.load(config)
    wrong: list[Mistake] = []

    def gather(part: Callable[[], T]) -> T | None:
        try:
            return part()
        except Mistakes as found:
            wrong.extend(found.mistakes)
            return None

    policies = gather(policy.load)
    found = gather(lambda: domains.load(read.domains))
    catalogue = gather(lambda: kinds.load(found)) if found else None
    texts = gather(lambda: text.load(_homes(found)))
    model = gather(lambda: load_model(found, catalogue, texts)) if found and catalogue and texts else None
    planned = gather(lambda: plans.load(found)) if found else None
    signs = gather(lambda: declare.load(found, catalogue)) if found and catalogue else None
    city = gather(lambda: city_rules.load(read.zone))
    if wrong or not (found and catalogue and texts and policies and model and planned and signs and city):
        raise Mistakes(wrong)
    return Declared(read, found, catalogue, model, planned, signs, city, texts, *policies)


def reread(known: Declared) -> Declared:
    """The same with rules, incident types and texts as their files are now. Raises `Mistakes`: then nothing is taken.

    Channels and kinds are numbered in the database and known to all rooms; other ones need a start.
    """
    found = domains.load(known.domains.folder)
    catalogue = kinds.load(found)
    if catalogue != known.catalogue:
        told = "channels and kinds are others: start anew to take them"
        raise Mistakes([Mistake(str(found.folder), 1, "channels, kinds", "", told)])
    texts = text.load(_homes(found))
    return replace(known, domains=found, texts=texts, model=load_model(found, catalogue, texts))


def _homes(found: Domains | None) -> list[Path]:
    """Folders with texts."""
    own = [ROOT / room for room in ROOMS]
    return own if found is None else [*own, *(found.folder / info.key for info in found)]
