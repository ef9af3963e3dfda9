"""All that is declared in files, read and checked together: a start has all of it or names every mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    homes = [ROOT / room for room in ROOMS]
    if found:
        homes += [found.folder / info.key for info in found]
    texts = gather(lambda: text.load(homes))
    if wrong or found is None or catalogue is None or texts is None or policies is None:
        raise Mistakes(wrong)
    return Declared(read, found, catalogue, texts, *policies)
